//! Runs builds: starts them, takes their steps in order, turns outcomes into results.

use attempt::master::{Command as Half, Input, Output, State};
use attempt::{CommandId, Outcome};
use config::Name;

use crate::close::Verdict;
use crate::decision::{Action, Directive, StartOrder};
use crate::engine::Engine;
use crate::id::{BuildId, RequestId};
use crate::plan::Plan;
use crate::property::{Origins, Phase, Properties};
use crate::result::{self, BuildResult, Exit, exit_code};
use crate::row::{Build, Command, RequestState, StepProgress, StepState};
use crate::step::RenderFailed;
use crate::subject::Subject;
use crate::time::Now;

/// What becomes of a build next.
enum Next {
    Start(u32),
    Skip(u32),
    Finish,
}

impl Engine {
    /// Starts a build of a waiting request on a worker with a free place.
    pub(crate) fn start_build(&mut self, now: Now, request: RequestId, worker: Name) {
        let settings = self.settings.clone();
        self.absorb(request);
        let Some(waiting) = self.durable.request(request) else { return };
        let Some(builder) = settings.builders.get(&waiting.builder) else { return };
        let (name, builder_name) = (waiting.name.clone(), waiting.builder.clone());
        let id = self.durable.next_build();
        self.durable.add_build(Build {
            id,
            request,
            name,
            rerun: 1,
            builder: builder_name.clone(),
            slot: self.free_slot(&worker),
            plan: Plan::new(builder_name, builder, &worker, &settings),
            worker,
            revision: settings.revision,
            steps: builder.steps.iter().map(|_| StepProgress::waiting()).collect(),
            properties: Properties::new(),
            started_us: now.wall_us,
            stop_reason: None,
            end: None,
        });
        self.end_wait(now, request);
        self.durable.set_request_state(request, RequestState::Running { build: id });
        self.actions.push(Action::RequestChanged { request });
        self.advance(now, id);
    }

    /// Goes on with a build until a command runs or the build is over.
    pub(crate) fn advance(&mut self, now: Now, id: BuildId) {
        loop {
            let Some(build) = self.durable.build(id) else { return };
            match next(build) {
                None => return,
                Some(Next::Finish) => return self.finish(now, id),
                Some(Next::Skip(step)) => {
                    let done =
                        StepState::Done { result: BuildResult::Skipped, exit: Exit::Ours(0) };
                    self.set_step(now, id, step, done, "an earlier step ended the build");
                }
                Some(Next::Start(step)) => {
                    if self.start_step(now, id, step) {
                        return;
                    }
                }
            }
        }
    }

    /// Starts a command for a step. Says whether there is one now; otherwise the step is done.
    fn start_step(&mut self, now: Now, id: BuildId, step: u32) -> bool {
        match self.is_wanted(id, step) {
            Ok(None) if self.has_to_wait(id, step) => {
                self.wait_for_locks(now, id, step);
                true
            }
            Ok(None) => self.assign(now, id, step),
            Ok(Some(why)) => {
                let done = StepState::Done { result: BuildResult::Skipped, exit: Exit::Ours(0) };
                self.set_step(now, id, step, done, &why);
                false
            }
            Err(failed) => {
                let done = StepState::Done {
                    result: BuildResult::Exception,
                    exit: Exit::Ours(exit_code::CONFIG),
                };
                self.set_step(now, id, step, done, &failed.why);
                false
            }
        }
    }

    /// Looks whether a step is to run and can: says why it is left out, if it is.
    fn is_wanted(&self, id: BuildId, step: u32) -> Result<Option<String>, RenderFailed> {
        let Some(build) = self.durable.build(id) else { return Ok(None) };
        let Some(subject) = self.subject(build) else { return Ok(None) };
        let step = &build.plan.steps[step as usize];
        let failed = |why: String| RenderFailed { step: step.name.clone(), why };
        if let Some(condition) = &step.when {
            let text = condition.text();
            let holds = subject.holds(condition);
            let holds = holds.map_err(|why| failed(format!("its condition `{text}`: {why}")))?;
            if !holds {
                return Ok(Some(format!("its condition does not hold: {text}")));
            }
        }
        step.render(&subject).map(|_| None)
    }

    /// Commits a new command to the build's worker and sends it.
    pub(crate) fn assign(&mut self, now: Now, id: BuildId, step: u32) -> bool {
        let counter = self.durable.next_command();
        let command = CommandId { incarnation: self.identity.incarnation, counter };
        let Some(build) = self.durable.build(id) else { return false };
        let Some(attached) = self.volatile.workers.get(&build.worker) else {
            // The worker is gone between two steps: `worker_attached` comes back to this build.
            return true;
        };
        let (worker, place, link) =
            (build.worker.clone(), attached.place.clone(), Some(attached.stamp));
        let slot = build.slot;
        let part = build.steps.iter().map(|step| step.attempts).sum();
        let locks = [&build.plan.locks[..], &build.plan.steps[step as usize].locks].concat();
        let (attempt, request) = (build.steps[step as usize].attempts + 1, build.request);
        self.durable.edit_step(id, step, |progress| {
            progress.attempts = attempt;
            if let StepState::Blocked { since_us, .. } = progress.state {
                // A clock that was set back has nothing to say about it.
                progress.locks_us += (now.wall_us - since_us).max(0);
            }
            progress.state = StepState::Running;
            progress.started_us.get_or_insert(now.wall_us);
        });
        let half = Half::assigned(command, place);
        let outputs = half.start(link);
        self.durable.commands.put(Command {
            half,
            build: id,
            step,
            part,
            attempt,
            worker,
            slot,
            locks,
            assigned_us: now.wall_us,
            began_us: None,
            ended_us: None,
        });
        self.actions.push(Action::RequestChanged { request });
        self.perform(now, command, outputs);
        true
    }

    /// Lets an event act on the master's half of a command.
    pub(crate) fn drive(&mut self, now: Now, id: CommandId, input: Input<'_>) {
        let Some(command) = self.durable.commands.get(&id) else { return };
        let link = self.volatile.workers.get(&command.worker).map(|attached| attached.stamp);
        let before = command.half.clone();
        let Some(command) = self.durable.commands.edit(&id) else { return };
        let outputs = command.half.handle(input, link);
        let was_stopped = before.state.stop().is_some();
        if before.is_unaccounted() && !command.half.is_unaccounted() {
            self.durable.free_kept_place(id);
        }
        for output in &outputs {
            if let Output::Ended { outcome, properties } = output {
                self.command_ended(now, id, outcome, properties.as_ref(), was_stopped);
            }
        }
        self.perform(now, id, outputs);
    }

    /// Turns what the half wants into actions.
    pub(crate) fn perform(&mut self, now: Now, id: CommandId, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Send(message) => self.send(id, message),
                Output::Began => {
                    if let Some(command) = self.durable.commands.edit(&id) {
                        command.began_us.get_or_insert(now.wall_us);
                    }
                }
                Output::Ended { .. } | Output::LogCut | Output::Accounted => self.seal(id),
            }
        }
    }

    /// Asks for the log of an ended command. An empty one has nothing to seal and is let go of.
    pub(crate) fn seal(&mut self, id: CommandId) {
        let Some(command) = self.durable.commands.get(&id) else { return };
        let log_bytes = match command.half.state {
            State::Ended { log_bytes, .. } => log_bytes,
            State::Sealed { .. } => 0,
            State::Assigned { .. }
            | State::Running { .. }
            | State::Doubtful { .. }
            | State::GivenUp
            | State::LogGivenUp { .. } => return,
        };
        self.actions.push(Action::SealLog { command: id, log_bytes });
    }

    fn send(&mut self, id: CommandId, message: attempt::ToWorker) {
        let Some(command) = self.durable.commands.get(&id) else { return };
        let worker = command.worker.clone();
        let (stamp, directive) = match message {
            attempt::ToWorker::Start { stamp, .. } => match self.start_order(command) {
                Some(order) => (stamp, Directive::Start(Box::new(order))),
                None => return,
            },
            attempt::ToWorker::Stop { stamp, command, order } => {
                (stamp, Directive::Stop { command, order })
            }
            attempt::ToWorker::FinalAck { stamp, command } => {
                (stamp, Directive::FinalAck { command })
            }
        };
        self.actions.push(Action::Send { worker, stamp, directive });
    }

    /// Expands a command's step. The same rows give the same order, so sending again is safe.
    fn start_order(&self, command: &Command) -> Option<StartOrder> {
        let build = self.durable.build(command.build)?;
        let step = &build.plan.steps[command.step as usize];
        let rendered = step.render(&self.subject(build)?).ok()?;
        let millis = |duration: std::time::Duration| u64::try_from(duration.as_millis()).ok();
        Some(StartOrder {
            command: command.id(),
            program: rendered.program,
            argv: rendered.argv,
            env: rendered.env,
            secret_env: rendered.secret_env,
            builder: build.builder.clone(),
            slot: build.slot,
            workdir: step.workdir.clone().unwrap_or_default().into_bytes(),
            timeout_ms: step.timeout.and_then(millis),
            silence_timeout_ms: step.silence_timeout.and_then(millis),
            max_output_bytes: step.max_output_bytes,
            max_processes: step.max_processes,
            memory_bytes: step.memory_bytes,
            properties_file: step.set_properties.clone().map(String::into_bytes),
        })
    }

    fn subject<'a>(&'a self, build: &'a Build) -> Option<Subject<'a>> {
        let request = self.durable.request(build.request)?;
        let change = self.durable.change(request.change)?;
        Some(Subject(Origins { change, request, phase: Phase::Build(build) }))
    }

    /// Leaves out every step that was not begun, those that always run among them.
    pub(crate) fn skip_rest(&mut self, now: Now, id: BuildId, why: &str) {
        let Some(build) = self.durable.build(id) else { return };
        let waiting: Vec<u32> = (0u32..)
            .zip(&build.steps)
            .filter(|(_, progress)| {
                matches!(progress.state, StepState::Waiting | StepState::Blocked { .. })
            })
            .map(|(index, _)| index)
            .collect();
        for step in waiting {
            let done = StepState::Done { result: BuildResult::Skipped, exit: Exit::Ours(0) };
            self.set_step(now, id, step, done, why);
        }
    }

    pub(crate) fn set_step(
        &mut self,
        now: Now,
        id: BuildId,
        step: u32,
        state: StepState,
        detail: &str,
    ) {
        let Some(request) = self.durable.build(id).map(|build| build.request) else { return };
        self.durable.edit_step(id, step, |progress| {
            progress.state = state;
            detail.clone_into(&mut progress.detail);
            if matches!(state, StepState::Done { .. }) {
                progress.ended_us = Some(now.wall_us);
            }
        });
        self.actions.push(Action::RequestChanged { request });
    }

    /// Goes on with the builds of a worker whose next command waited for it.
    pub(crate) fn resume_builds(&mut self, now: Now, worker: &Name) {
        let builds: Vec<BuildId> =
            self.durable.slots(worker).into_iter().flatten().map(|(_, build)| *build).collect();
        for build in builds {
            self.advance(now, build);
        }
    }

    fn finish(&mut self, now: Now, id: BuildId) {
        if let Some(verdict) = self.durable.build(id).map(verdict) {
            self.conclude(now, id, verdict);
        }
    }

    /// Ends a build and its request.
    pub(crate) fn conclude(&mut self, now: Now, id: BuildId, verdict: Verdict) {
        let Some(request) = self.durable.build(id).map(|build| build.request) else { return };
        self.durable.end_build(id, verdict.result, now.wall_us);
        self.close(now, request, verdict);
    }
}

/// Says what comes next for a build, or `None` while a command of it runs.
fn next(build: &Build) -> Option<Next> {
    let mut is_over = build.stop_reason.is_some();
    for ((step, progress), index) in build.plan.steps.iter().zip(&build.steps).zip(0u32..) {
        match progress.state {
            StepState::Running => return None,
            StepState::Done { result, .. } => {
                is_over |= result::effect(step.flags, result).ends_build;
            }
            StepState::Waiting | StepState::Blocked { .. } => {
                let is_left_out = is_over && !step.always_run;
                return Some(if is_left_out { Next::Skip(index) } else { Next::Start(index) });
            }
        }
    }
    Some(Next::Finish)
}

/// Adds up the steps of a build that is over.
fn verdict(build: &Build) -> Verdict {
    let mut total = BuildResult::Success;
    let mut deciding: Option<(usize, Exit)> = None;
    for (index, (step, progress)) in build.plan.steps.iter().zip(&build.steps).enumerate() {
        let StepState::Done { result, exit } = progress.state else { continue };
        let Some(adds) = result::effect(step.flags, result).adds else { continue };
        if total.worst(adds) != total {
            total = adds;
            deciding = Some((index, exit));
        }
    }
    if let Some(reason) = &build.stop_reason {
        let exit_code = match deciding {
            Some((_, exit)) if total == BuildResult::Cancelled => exit.code(),
            Some(_) | None => exit_code::CANCELLED,
        };
        return Verdict { result: BuildResult::Cancelled, reason: reason.clone(), exit_code };
    }
    match (total, deciding) {
        (BuildResult::Success | BuildResult::Warnings | BuildResult::Skipped, _) | (_, None) => {
            Verdict { result: total, reason: String::new(), exit_code: 0 }
        }
        // What the program itself said needs no words of ours.
        (_, Some((_, Exit::Own(exit_code)))) => {
            Verdict { result: total, reason: String::new(), exit_code }
        }
        (_, Some((index, Exit::Ours(exit_code)))) => {
            let (step, progress) = (&build.plan.steps[index].name, &build.steps[index]);
            let detail = &progress.detail;
            let reason = match Outcome::from_words(detail) {
                Some(outcome) => result::sentence(step, &outcome),
                None if progress.attempts == 0 => {
                    result::sentence(step, &Outcome::NotStarted(detail.clone()))
                }
                None => format!("step {step} {detail}"),
            };
            Verdict { result: total, reason, exit_code }
        }
    }
}
