//! A command has ended: what its step has come to, and what it left.

use attempt::{CommandId, LostReason, Outcome, Properties as Left};

use crate::engine::Engine;
use crate::id::BuildId;
use crate::property;
use crate::result::{self, BuildResult, Exit, exit_code};
use crate::row::StepState;
use crate::time::Now;

/// A step that is safe to repeat gets this many commands before its loss is final.
const MOST_ATTEMPTS: u32 = 3;

impl Engine {
    /// Takes the end of a command in, and goes on with its build.
    pub(crate) fn command_ended(
        &mut self,
        now: Now,
        id: CommandId,
        outcome: &Outcome,
        left: Option<&Left>,
        was_stopped: bool,
    ) {
        let Some(command) = self.durable.commands.edit(&id) else { return };
        command.ended_us = Some(now.wall_us);
        let (build_id, step) = (command.build, command.step);
        let Some(build) = self.durable.build(build_id) else { return };
        let progress = &build.steps[step as usize];
        let is_outdated = *outcome == Outcome::Lost(LostReason::Restored);
        let may_repeat = matches!(outcome, Outcome::Lost(_))
            && !is_outdated
            && build.plan.steps[step as usize].retry_safe
            && progress.attempts < MOST_ATTEMPTS
            && build.stop_reason.is_none();
        if may_repeat {
            self.set_step(now, build_id, step, StepState::Waiting, &outcome.to_string());
        } else {
            let (done, detail) = self.end_of_step(build_id, step, outcome, left, was_stopped);
            self.set_step(now, build_id, step, done, &detail);
        }
        if is_outdated {
            self.skip_rest(now, build_id, crate::backup::SKIPPED);
        }
        self.advance(now, build_id);
    }

    /// Says what a step has come to whose last command ended, and keeps what that left.
    fn end_of_step(
        &mut self,
        id: BuildId,
        step: u32,
        outcome: &Outcome,
        left: Option<&Left>,
        was_stopped: bool,
    ) -> (StepState, String) {
        let (mut exit, mut detail) = (result::exit_of(outcome), outcome.to_string());
        if was_stopped {
            return (StepState::Done { result: BuildResult::Cancelled, exit }, detail);
        }
        let taken = self.take_properties(id, step, outcome, left);
        let codes = self.durable.build(id).map(|build| &build.plan.steps[step as usize].exit_codes);
        let mut result =
            codes.map_or_else(|| result::of_outcome(outcome), |codes| codes.result(outcome));
        if let Err(why) = taken
            && !result.is_bad()
        {
            (result, exit, detail) = (BuildResult::Exception, Exit::Ours(exit_code::CONFIG), why);
        }
        (StepState::Done { result, exit }, detail)
    }

    /// Takes what the command of a step left, if it ended by itself. Says what it became where that
    /// is not what its end says.
    fn take_properties(
        &mut self,
        id: BuildId,
        step: u32,
        outcome: &Outcome,
        left: Option<&Left>,
    ) -> Result<(), String> {
        let Some(build) = self.durable.build(id) else { return Ok(()) };
        let step = &build.plan.steps[step as usize];
        if step.set_properties.is_none() || !matches!(outcome, Outcome::Exited(_)) {
            return Ok(());
        }
        let (name, values) = (step.name.clone(), property::read(left)?);
        if values.is_empty() {
            return Ok(());
        }
        let Some(build) = self.durable.edit_build(id) else { return Ok(()) };
        property::merge(&mut build.properties, &name, values)
    }
}
