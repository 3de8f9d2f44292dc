//! The deliberate bugs. Each names a place in the code by the text around it: what stands between
//! `«` and `»` is what the bug replaces. The text has to occur exactly once in its file.

/// A bug in the engine or in a half of a command's life.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mutant {
    pub(super) file: &'static str,
    pub(super) at: &'static str,
    pub(super) becomes: &'static str,
    /// What is wrong with it.
    pub(super) bug: &'static str,
}

const fn bug(
    file: &'static str,
    at: &'static str,
    becomes: &'static str,
    bug: &'static str,
) -> Mutant {
    Mutant { file, at, becomes, bug }
}

const MASTER: &str = "attempt/src/master.rs";
const WORKER: &str = "attempt/src/worker.rs";
const BUILD: &str = "engine/src/build.rs";
const CLOSE: &str = "engine/src/close.rs";
const COLLAPSE: &str = "engine/src/collapse.rs";
const DISPATCH: &str = "engine/src/dispatch.rs";
const DURABLE: &str = "engine/src/durable.rs";
const HOLDINGS: &str = "engine/src/lock/holdings.rs";
const IMPORTANCE: &str = "engine/src/scheduler/importance.rs";
const INDEX: &str = "engine/src/request_index.rs";
const INTAKE: &str = "engine/src/intake.rs";
const ENDING: &str = "engine/src/ending.rs";
const EXIT_CODES: &str = "engine/src/step/exit_codes.rs";
const PROPERTY: &str = "engine/src/property/mod.rs";
const PLACEMENT: &str = "engine/src/placement.rs";
const RECONFIGURE: &str = "engine/src/reconfigure.rs";
const RESTORE: &str = "engine/src/restore.rs";
const RESULT: &str = "engine/src/result.rs";
const SCHEDULE: &str = "engine/src/schedule.rs";
const STOP: &str = "engine/src/stop.rs";
const TABLE: &str = "engine/src/table.rs";
const WORKERS: &str = "engine/src/workers.rs";

pub(super) const MUTANTS: &[Mutant] = &[
    bug(
        MASTER,
        "if «place.spool_id != self.place.spool_id» {\n                    return",
        "false",
        "a command is sent again although the spool that knew it is gone",
    ),
    bug(
        MASTER,
        "if «stop.is_some()» { self.end(Outcome::Cancelled, 0) }",
        "false",
        "a command that was to be stopped is started",
    ),
    bug(
        MASTER,
        "(State::Assigned { stop } | State::Doubtful { stop }, View::Running) => {\n                \
         self.state = State::Running { stop: «*stop» };",
        "None",
        "a stop is forgotten when the command is seen running",
    ),
    bug(
        MASTER,
        "if «log_bytes == 0 && !matches!(outcome, Outcome::Lost(_))» {",
        "true",
        "a log is final before its bytes are there",
    ),
    bug(
        MASTER,
        "self.state = State::Sealed { outcome: outcome.clone() };\n                \
         «self.final_ack(link)»",
        "Vec::new()",
        "a worker is never told to forget",
    ),
    bug(
        MASTER,
        "«self.end(Outcome::Lost(reason), 0)»",
        "self.start(link)",
        "a command that once ran is sent again",
    ),
    bug(MASTER, "«vec![Output::LogCut]»", "Vec::new()", "a log is waited for whose rest is gone"),
    bug(
        MASTER,
        "«*stop = Some(order)»;\n                self.send_stop",
        "{}",
        "a stop is not remembered for the next connection",
    ),
    bug(
        WORKER,
        "if «stamp.epoch < self.highest_epoch» {",
        "false",
        "a master that was replaced is believed",
    ),
    bug(
        WORKER,
        "if «self.link != Some(stamp)» {",
        "false",
        "messages of an older connection are obeyed",
    ),
    bug(
        WORKER,
        "if «self.forgotten.contains(command)» {\n            return Vec::new();",
        "false",
        "a doubled start runs the command again",
    ),
    bug(
        WORKER,
        "None => «self.ended(command, CANCELLED)»,",
        "Vec::new()",
        "a stop that overtook its start is dropped",
    ),
    bug(
        WORKER,
        "«self.commands.insert(command, view.clone())»;\n        self.tell",
        "None",
        "an end is reported once and not remembered",
    ),
    bug(
        DISPATCH,
        "«self.capacity(worker)».saturating_sub",
        "(self.capacity(worker) + 1)",
        "a worker is given one build too many",
    ),
    bug(
        DISPATCH,
        "taken.is_none_or(|slots| «!slots.contains_key(slot)»)",
        "true",
        "two builds share a place",
    ),
    bug(
        INDEX,
        "«self.lines.get(builder)?.first()»",
        "self.lines.get(builder)?.iter().last().copied()",
        "the youngest is served first",
    ),
    bug(
        BUILD,
        "«self.durable.set_request_state(request, RequestState::Running { build: id })»;",
        "{}",
        "a request that runs still waits",
    ),
    bug(
        ENDING,
        "self.skip_rest(now, build_id, crate::backup::SKIPPED);\n        }\n        \
         «self.advance(now, build_id)»;",
        "{}",
        "a build stands still after a step",
    ),
    bug(
        ENDING,
        "&& «build.plan.steps[step as usize].retry_safe»",
        "true",
        "a lost command is repeated although that is not safe",
    ),
    bug(
        BUILD,
        "«self.durable.end_build(id, verdict.result, now.wall_us)»;",
        "{}",
        "a build never ends",
    ),
    bug(
        ENDING,
        "if «was_stopped» {\n            return (StepState::Done",
        "!was_stopped",
        "what was stopped counts as done, and the rest as cancelled",
    ),
    bug(
        BUILD,
        "let is_left_out = is_over && «!step.always_run»;",
        "true",
        "a step that always runs is left out",
    ),
    bug(
        BUILD,
        "if «!holds» {\n                return Ok(Some(",
        "holds",
        "conditions are turned round",
    ),
    bug(
        RESULT,
        "Effect { adds: Some(adds), ends_build: «flags.halt_on_failure» }",
        "flags.flunk_on_failure",
        "a build goes on after a step that ends it, or ends although it goes on",
    ),
    bug(
        RESULT,
        "BuildResult::Warnings if «flags.flunk_on_warnings» =>",
        "false",
        "warnings that fail a build do not",
    ),
    bug(
        RESULT,
        "BuildResult::Warnings if «flags.warn_on_warnings» =>",
        "true",
        "warnings are always those of the build",
    ),
    bug(
        RESULT,
        "let adds = if «flags.flunk_on_failure» {",
        "true",
        "every failure of a step fails its build",
    ),
    bug(
        RESULT,
        "if «other.badness() > self.badness()» { other }",
        "true",
        "the last result counts, not the worst",
    ),
    bug(EXIT_CODES, "«meant».unwrap_or_else", "meant.filter(|_| false)", "exit codes mean nothing"),
    bug(PROPERTY, "Self::Step(_) => «7»,", "1", "a change decides what a step has set"),
    bug(PROPERTY, "Self::Worker(_) => «5»,", "0", "a worker's properties count for nothing"),
    bug(PROPERTY, "Self::App(_) => «3»,", "0", "a scheduler's properties count for nothing"),
    bug(PROPERTY, "Self::Default => «0»,", "8", "what is only the default decides"),
    bug(
        PROPERTY,
        "if «is_reserved(name)» {\n            return of_caller(self.change,",
        "false",
        "a change says who called",
    ),
    bug(
        ENDING,
        "|| «!matches!(outcome, Outcome::Exited(_))» {",
        "false",
        "what a command left that was killed is believed",
    ),
    bug(
        MASTER,
        "self.end_with(outcome.clone(), log_bytes, «properties»);",
        "None",
        "what a command left is lost on the way",
    ),
    bug(
        WORKERS,
        "if «self.is_current(worker, stamp)» {",
        "true",
        "the end of an old connection detaches the worker",
    ),
    bug(
        WORKERS,
        "«self.drive(now, command, Input::LogSealed)»;",
        "{}",
        "a sealed log is not noticed",
    ),
    bug(
        SCHEDULE,
        "«self.durable.hold(change)»;",
        "{}",
        "a change that waits for its timer is let go of",
    ),
    bug(SCHEDULE, "«self.durable.release(change)»;", "{}", "a change is held for ever"),
    bug(
        SCHEDULE,
        "let changes = «std::mem::take(&mut pending.changes)»;",
        "pending.changes.clone()",
        "a timer's changes stay and are built again",
    ),
    bug(
        SCHEDULE,
        "Some(Weight::Nothing) | None => «false»,",
        "true",
        "what is of no importance is taken along",
    ),
    bug(
        SCHEDULE,
        "«self.durable.pending.get(&key).is_some_and(|row| !row.changes.is_empty())»",
        "true",
        "an unimportant change starts a timer",
    ),
    bug(
        IMPORTANCE,
        "if «knows_nothing || change.files.iter().any(is_like)» {",
        "true",
        "every change is important",
    ),
    bug(
        INTAKE,
        "if let Some(known) = «self.volatile.recent.find(&principal, &key)» {",
        "None::<&SubmissionKey>",
        "a repeated submission is accepted twice",
    ),
    bug(
        RESTORE,
        "«engine.seal_ended()»;",
        "{}",
        "logs that were to be sealed are forgotten by a restart",
    ),
    bug(
        RESTORE,
        "«self.presume_followed(now, request)»;",
        "{}",
        "a caller who did not come back after a restart is waited for without end",
    ),
    bug(DURABLE, "«taken.remove(&slot)»;", "None", "a place is not given back"),
    bug(
        DURABLE,
        "«slots.insert(command.slot, command.build)»;",
        "None",
        "the place of what was given up is free while it may run",
    ),
    bug(
        MASTER,
        "| State::LogGivenUp { .. }\n                | State::Sealed { .. },\n                \
         View::Running,\n            ) => «self.send_stop(StopOrder::KILL, link)»",
        "Vec::new()",
        "what was given up goes on after its worker came back",
    ),
    bug(INDEX, "«line.remove(&request.queue_key())»;", "()", "what left the queue is still in it"),
    bug(DURABLE, "|counter| counter.value) + «1»;", "0", "ids are given out twice"),
    bug(
        TABLE,
        "let row = self.rows.get_mut(key)?;\n        «self.touched.insert(key.clone())»;",
        "false",
        "a change of a row is not written",
    ),
    bug(TABLE, "«self.touched.insert(row.key())»;", "false", "a new row is not written"),
    bug(
        COLLAPSE,
        "&& one.category == other.category\n        && «one.properties == other.properties»",
        "true",
        "requests are merged that ask for different things",
    ),
    bug(COLLAPSE, "&& «one.branch == other.branch»", "true", "requests of two branches are merged"),
    bug(
        COLLAPSE,
        "«self.durable.add_changes(id, &changes.unwrap_or_default())»;",
        "()",
        "what was merged is not built",
    ),
    bug(
        STOP,
        "«self.succeed(id)»;",
        "()",
        "who was merged into a request that is cancelled is cancelled, too",
    ),
    bug(
        CLOSE,
        "«self.close_one(now, one, Verdict { result, reason: of_merged.clone(), exit_code })»;",
        "()",
        "what was merged into a request does not end with it",
    ),
    bug(
        DURABLE,
        "self.change_request(id, |request| «request.priority = priority»);",
        "drop(priority)",
        "a priority that was set is not kept",
    ),
    bug(
        RECONFIGURE,
        "«self.cancel_queue(now, &builder);»",
        "drop(builder);",
        "what waits for a builder that is gone waits for ever",
    ),
    bug(
        RECONFIGURE,
        "row.changes.iter().for_each(|change| «self.durable.hold(*change)»);",
        "drop(*change)",
        "a change that moves to another lane is let go of",
    ),
    bug(
        WORKERS,
        "for worker in «idle.cloned().collect::<Vec<_>>()» {",
        "Vec::<Name>::from([])",
        "a worker that is removed stays",
    ),
    bug(
        PLACEMENT,
        "0 => «self.resources_taken(worker)»,",
        "Resources::default()",
        "what builds take of their worker is not counted",
    ),
    bug(
        BUILD,
        "Ok(None) if «self.has_to_wait(id, step)» => {",
        "false",
        "a step does not wait for its locks",
    ),
    bug(
        DISPATCH,
        "&& «self.are_free(locks, worker, &reserved.locks)»",
        "true",
        "a build does not wait for its locks",
    ),
    bug(
        DISPATCH,
        "«self.grant_locks(now)»;",
        "()",
        "a step that waits for its locks is never woken",
    ),
    bug(
        DURABLE,
        "«self.holdings.take(command.build, &command.worker, &command.locks)»;",
        "()",
        "what was given up lets go of its locks although it may run",
    ),
    bug(
        HOLDINGS,
        "(Some(held), Some(wanted)) => «held + wanted <= u64::from(max)»,",
        "held <= u64::from(max)",
        "a lock is given beyond its maximum",
    ),
];
