//! Compares what callers were told, what the database says, what the logs hold and what the
//! commands themselves witnessed.
//!
//! Invariant: every rule here can be broken by a doctored piece of evidence; the tests do.

use std::collections::BTreeMap;
use std::fmt;

use crate::callers::{Came, Told};
use crate::evidence::{Command, Evidence, Request};
use crate::job::{App, Job, Mode};

/// What was violated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Something accepted is gone, never ended, or is said to be lost without a reason.
    Lost,
    /// It ran more often than it may.
    Twice,
    /// The outcome is not what the command did.
    Wrong,
    /// The log is not what the command wrote.
    Gap,
    /// Something is there after the run that was not there before it.
    Left,
    /// It took longer than promised.
    Late,
    /// A failpoint that no process came to.
    Unreached,
}

/// A violation, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    pub(crate) what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.what)
    }
}

const SUPERVISOR_LOST: &str = "lost(supervisor)";
const REBOOTED: &str = "lost(reboot)";
/// The worker whose machine is switched off.
const ON_MACHINE: &str = "w1";
/// The worker on whose disk calls fail.
const ON_SICK_DISK: &str = "w2";
/// Exit code of a launcher whose command may have run, and nobody knows how it ended.
const UNKNOWN_OUTCOME: i64 = 74;
/// A launcher whose request the master could not store.
const NOT_STORED: i32 = 75;
/// A launcher that could not reach the master.
const UNREACHABLE: i32 = 69;

/// Returns every violation.
pub(crate) fn judge(evidence: &Evidence) -> Vec<Finding> {
    let spawners_killed = evidence.spawners_killed;
    let mut judge = Judge { evidence, spawners_killed, findings: Vec::new() };
    judge.callers();
    judge.requests();
    judge.witnesses();
    judge.commits();
    for panic in &evidence.panics {
        judge.find(Kind::Wrong, panic.clone());
    }
    judge.findings
}

struct Judge<'a> {
    evidence: &'a Evidence,
    /// Commands that may still be excused by a spawner that was killed.
    spawners_killed: usize,
    findings: Vec<Finding>,
}

impl<'a> Judge<'a> {
    fn find(&mut self, kind: Kind, what: String) {
        self.findings.push(Finding { kind, what });
    }

    /// Every caller: what it was told is in the database, once.
    fn callers(&mut self) {
        let mut by_job: BTreeMap<u64, Vec<&'a Request>> = BTreeMap::new();
        for request in &self.evidence.requests {
            if let Some(job) = &request.job {
                by_job.entry(job.id).or_default().push(request);
            }
        }
        for told in &self.evidence.told {
            let job = told.launch.job.id;
            let requests = by_job.remove(&job).unwrap_or_default();
            if requests.len() > 1 {
                self.find(Kind::Twice, format!("job {job} was accepted {} times", requests.len()));
            }
            let request = requests.first().copied();
            if let Some(name) = &told.request
                && request.is_none_or(|request| request.name != *name)
            {
                self.find(Kind::Lost, format!("job {job} was accepted as {name}, which is gone"));
            } else {
                self.caller(told, request);
            }
        }
        for (job, _) in by_job {
            self.find(Kind::Wrong, format!("job {job} is in the database, and nobody sent it"));
        }
    }

    fn caller(&mut self, told: &Told, request: Option<&Request>) {
        let job = &told.launch.job;
        let Some(code) = told.code else { return };
        let said = format!("the caller of job {} was told {code} ({})", job.id, told.words.trim());
        match (&told.request, told.launch.mode) {
            // Refused before anything was sent, or given up.
            (None, _) if code == UNREACHABLE => {}
            (None, _) if code == NOT_STORED && self.evidence.had_full_disks => {}
            (None, _) => self.find(Kind::Wrong, format!("{said} without a request")),
            (Some(_), Mode::Detach) if code == 0 => {}
            (Some(_), Mode::Detach) => self.find(Kind::Wrong, said),
            (Some(_), Mode::Follow) => {
                let noted = request.and_then(|request| request.exit_code);
                if noted != Some(i64::from(code)) {
                    self.find(Kind::Wrong, format!("{said}, the database says {noted:?}"));
                }
                let is_broken = match told.out {
                    Came::Whole => false,
                    Came::Beginning => self.was_whole(request),
                    // The output of an attempt that was lost comes before that of the next.
                    Came::Other => told.launch.app != App::Repeated || self.runs(request) < 2,
                };
                if is_broken {
                    self.find(Kind::Gap, format!("{said}, and its output is {:?}", told.out));
                }
            }
        }
    }

    fn commands_of(&self, request: &Request) -> impl Iterator<Item = &'a Command> + use<'a> {
        let id = request.id;
        self.evidence.commands.iter().filter(move |command| command.request == id)
    }

    fn runs(&self, request: Option<&Request>) -> usize {
        request.map_or(0, |request| self.commands_of(request).count())
    }

    /// Says whether the last command ended by itself, so that all of its output has to be there.
    fn was_whole(&self, request: Option<&Request>) -> bool {
        let last = request.and_then(|request| self.commands_of(request).last());
        last.and_then(|command| command.outcome.as_deref()).is_some_and(has_exited)
    }

    /// Every request: it has ended, as its commands did.
    fn requests(&mut self) {
        for request in &self.evidence.requests {
            let name = &request.name;
            let Some(job) = &request.job else {
                self.find(Kind::Wrong, format!("{name} holds no job of ours"));
                continue;
            };
            let (Some(result), Some(code)) = (&request.result, request.exit_code) else {
                self.find(Kind::Lost, format!("{name} (job {}) never ended", job.id));
                continue;
            };
            let commands: Vec<&Command> = self.commands_of(request).collect();
            for command in &commands {
                self.command(request, job, command);
            }
            self.attempts(request, &commands);
            let last = commands.last().and_then(|command| command.outcome.as_deref());
            let expected = match last {
                Some(SUPERVISOR_LOST | REBOOTED) => UNKNOWN_OUTCOME,
                Some(outcome) if has_exited(outcome) => i64::from(job.exit),
                // Cancelled in the queue or while it ran; the reason is judged with the command.
                Some(_) | None => code,
            };
            if code != expected {
                let what = format!("{name} has {result} with {code}, its command {last:?}");
                self.find(Kind::Wrong, what);
            }
            if last.is_none() && !self.may_be_cancelled(request) {
                self.find(Kind::Lost, format!("{name} has {result} and never ran"));
            }
        }
    }

    /// A request may be cancelled if its caller was killed, and was to be waited for.
    fn may_be_cancelled(&self, request: &Request) -> bool {
        let job = request.job.as_ref().map(|job| job.id);
        let mut told = self.evidence.told.iter();
        let caller = told.find(|told| Some(told.launch.job.id) == job);
        request.is_attended && caller.is_none_or(|told| told.code.is_none())
    }

    /// Only what was lost may run again, and only where it is said to be safe.
    fn attempts(&mut self, request: &Request, commands: &[&Command]) {
        let may_repeat = request.name.starts_with(App::Repeated.name());
        let Some((_, earlier)) = commands.split_last() else { return };
        let are_lost = earlier
            .iter()
            .all(|command| matches!(command.outcome.as_deref(), Some(SUPERVISOR_LOST | REBOOTED)));
        let is_allowed = earlier.is_empty() || (may_repeat && are_lost);
        if !is_allowed {
            self.find(Kind::Twice, format!("{} ran {} times", request.name, commands.len()));
        }
    }

    fn command(&mut self, request: &Request, job: &Job, command: &Command) {
        let id = &command.id;
        let name = &request.name;
        let witness = self.evidence.witnesses.get(id);
        let end = witness.and_then(|witness| witness.end);
        let Some(outcome) = command.outcome.as_deref() else {
            return self.find(Kind::Lost, format!("command {id} of {name} never ended"));
        };
        if has_exited(outcome) {
            if end != Some(job.exit) || outcome != format!("exited({})", job.exit) {
                let what = format!("command {id} of {name}: {outcome}, it says {end:?}, job {job}");
                self.find(Kind::Wrong, what);
            }
        } else if outcome == SUPERVISOR_LOST {
            // A supervisor that cannot write how its command ended is of no use.
            let is_known = self.evidence.killed.contains_key(id)
                || self.was_rebooted(command)
                || self.had_a_sick_disk(command);
            if !is_known {
                self.find(
                    Kind::Lost,
                    format!("command {id} of {name} is {outcome}, nobody killed it"),
                );
            }
        } else if outcome == REBOOTED && self.was_rebooted(command) {
        } else if outcome.starts_with("not_started(") && witness.is_none() {
            // Its shim was killed before it let the command run, or there was no room for it.
            if self.evidence.had_full_disks || self.evidence.killed.contains_key(id) {
                // Known.
            } else if self.spawners_killed > 0 {
                self.spawners_killed -= 1;
            } else {
                self.find(Kind::Wrong, format!("command {id} of {name} is {outcome}"));
            }
        } else if outcome.starts_with("lost(") {
            self.find(Kind::Lost, format!("command {id} of {name} is {outcome}"));
        } else if !self.may_be_cancelled(request) {
            self.find(Kind::Wrong, format!("command {id} of {name} is {outcome}, it says {end:?}"));
        }
        self.log(name, command, has_exited(outcome));
    }

    /// Says whether the machine it ran on was ever switched off.
    fn was_rebooted(&self, command: &Command) -> bool {
        self.evidence.reboots > 0 && command.worker == ON_MACHINE
    }

    /// Says whether calls ever failed in the spool it was in.
    fn had_a_sick_disk(&self, command: &Command) -> bool {
        self.evidence.failed_in_spool > 0 && command.worker == ON_SICK_DISK
    }

    fn log(&mut self, name: &str, command: &Command, is_whole: bool) {
        let place = format!("the log of command {} of {name}", command.id);
        for flaw in &command.log.flaws {
            self.find(Kind::Gap, format!("{place}: {flaw}"));
        }
        for (channel, came) in [("stdout", command.log.out), ("stderr", command.log.err)] {
            if came == Came::Other || (is_whole && came != Came::Whole) {
                self.find(Kind::Gap, format!("{place}: {channel} is {came:?}"));
            }
        }
    }

    /// Every commit: there is one change of it.
    fn commits(&mut self) {
        for commit in &self.evidence.pushed {
            match self.evidence.changes.iter().filter(|change| *change == commit).count() {
                0 => self.find(Kind::Lost, format!("commit {commit} was never found")),
                1 => {}
                count => self.find(Kind::Twice, format!("commit {commit} was found {count} times")),
            }
        }
    }

    /// Every run: it is in the database, and it was the only one of its command.
    fn witnesses(&mut self) {
        for command in &self.evidence.twice {
            self.find(Kind::Twice, format!("command {command} was executed twice"));
        }
        let known: BTreeMap<&str, i64> =
            self.evidence.commands.iter().map(|c| (c.id.as_str(), c.request)).collect();
        for (command, witness) in &self.evidence.witnesses {
            let request = known.get(command.as_str()).and_then(|request| {
                self.evidence.requests.iter().find(|known| known.id == *request)
            });
            match request {
                None => self.find(Kind::Lost, format!("command {command} ran and is not known")),
                // One that was ended before it could say what it runs is judged by its end alone.
                Some(request) if witness.job.is_some() && witness.job != request.job => {
                    let what = format!("command {command} of {} ran another job", request.name);
                    self.find(Kind::Wrong, what);
                }
                Some(_) => {}
            }
        }
    }
}

fn has_exited(outcome: &str) -> bool {
    outcome.starts_with("exited(")
}

#[cfg(test)]
mod tests;
