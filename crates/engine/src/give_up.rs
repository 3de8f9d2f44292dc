//! Ends builds whose worker is no longer waited for.
//!
//! Invariant: a command that may still run keeps its place on its worker until the worker has
//! answered for it.

use attempt::master::{Input, Output};
use attempt::{CommandId, StopOrder};
use config::Name;

use crate::close::Verdict;
use crate::decision::{Answer, GivenUp, Refusal};
use crate::engine::Engine;
use crate::event::{Abandoned, Ticket};
use crate::id::{BuildId, RequestId};
use crate::result::{self, BuildResult, exit_code};
use crate::row::{RequestState, StepState};
use crate::time::Now;

impl Engine {
    pub(crate) fn give_up_wanted(
        &mut self,
        now: Now,
        ticket: Ticket,
        abandoned: &Abandoned,
        reason: &str,
    ) {
        let given_up = match abandoned {
            Abandoned::Request(id) => self.give_up_request(now, *id, reason).into_iter().collect(),
            Abandoned::Worker(worker) if !self.expects(worker) => {
                return self.refuse(
                    ticket,
                    Refusal {
                        code: "unknown_worker",
                        message: format!("there is no worker {worker}"),
                        hint: "see: master status".to_owned(),
                    },
                );
            }
            Abandoned::Worker(worker) => self.give_up_worker(now, worker, reason),
        };
        self.answer(ticket, Answer::GivenUp(given_up));
    }

    fn give_up_request(&mut self, now: Now, id: RequestId, reason: &str) -> Option<GivenUp> {
        let request = self.durable.request(id)?;
        let name = request.name.clone();
        match request.state {
            RequestState::Done { .. } => None,
            RequestState::Running { build } => self.give_up_build(now, build, reason),
            RequestState::Waiting | RequestState::Merged { .. } => {
                self.stop_request(now, id, reason.to_owned(), StopOrder::KILL);
                Some(GivenUp { request: name, remains_on: None })
            }
        }
    }

    fn give_up_worker(&mut self, now: Now, worker: &Name, reason: &str) -> Vec<GivenUp> {
        let builds = self.durable.builds().filter(|build| build.worker == *worker);
        let builds: Vec<BuildId> = builds.map(|build| build.id).collect();
        let given_up =
            builds.into_iter().filter_map(|build| self.give_up_build(now, build, reason)).collect();
        // Their builds have ended, and nobody is going to complete their logs.
        for command in self.commands_of(worker) {
            self.give_up_command(now, command);
        }
        given_up
    }

    /// Ends a build in this very decision: nothing more of it is started, not even what always
    /// runs, as that would wait for the worker.
    fn give_up_build(&mut self, now: Now, id: BuildId, reason: &str) -> Option<GivenUp> {
        let build = self.durable.build(id)?;
        let (request, worker) = (build.name.clone(), build.worker.clone());
        let commands = self.durable.commands().filter(|command| command.build == id);
        let commands: Vec<CommandId> = commands.map(|command| command.id()).collect();
        let lost = commands.iter().filter_map(|command| self.give_up_command(now, *command));
        let reason = match lost.last() {
            Some(step) => format!("step {step} was lost: worker {worker} was {reason}"),
            None => format!("worker {worker} was {reason}"),
        };
        self.skip_rest(now, id, "the build was given up");
        let exit_code = exit_code::UNKNOWN_OUTCOME;
        self.conclude(now, id, Verdict { result: BuildResult::Exception, reason, exit_code });
        let kept = commands.iter().filter(|command| self.durable.keep_place(**command)).count();
        Some(GivenUp { request, remains_on: (kept > 0).then_some(worker) })
    }

    /// Gives up one command. Returns its step where that is lost by it.
    fn give_up_command(&mut self, now: Now, id: CommandId) -> Option<Name> {
        let command = self.durable.commands.edit(&id)?;
        let link = self.volatile.workers.get(&command.worker).map(|attached| attached.stamp);
        let outputs = command.half.handle(Input::GiveUp, link);
        let (build, step) = (command.build, command.step);
        let lost = outputs.iter().find_map(|output| match output {
            Output::Ended { outcome, .. } => Some(outcome.clone()),
            Output::Send(_) | Output::Began | Output::LogCut | Output::Accounted => None,
        });
        if let Some(outcome) = &lost {
            command.ended_us = Some(now.wall_us);
            let exit = result::exit_of(outcome);
            let done = StepState::Done { result: result::of_outcome(outcome), exit };
            self.set_step(now, build, step, done, &outcome.to_string());
        }
        self.perform(now, id, outputs);
        let plan = &self.durable.build(build)?.plan;
        lost.map(|_| plan.steps[step as usize].name.clone())
    }
}
