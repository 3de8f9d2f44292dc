//! Which limit of its control group a command met, and what follows.

use crate::exit::Outcome;
use crate::group::{Counted, Limits};

/// What the log says, and how the command ended where a limit decided that.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) said: Vec<String>,
    pub(super) outcome: Option<Outcome>,
}

/// Judges by what the kernel counted. A command that was refused a process has failed whatever it
/// makes of that; one that lost a process to a limit of memory has, unless it says itself that it
/// has not.
pub(super) fn judge(limits: Limits, counted: Counted, code: Option<i32>) -> Verdict {
    let mut verdict = Verdict { said: Vec::new(), outcome: None };
    if let Some(most) = limits.max_processes.filter(|_| counted.refused_forks > 0) {
        verdict.said.push(format!(
            "pids_limit: was refused a process or thread; it may have {most} at once \
             (max_processes)"
        ));
        verdict.outcome = Some(Outcome::ProcessLimit);
    }
    if let Some(most) = limits.memory_bytes.filter(|_| counted.oom_kills > 0) {
        let peak = counted.peak_bytes.unwrap_or(most);
        let (peak, most) = (size(peak), size(most));
        verdict.said.push(format!("ran out of memory: used {peak}, may use {most} (memory)"));
        if code != Some(0) {
            verdict.outcome = Some(Outcome::OutOfMemory);
        }
    }
    verdict
}

/// Writes a size for people, in MiB with one digit after the point.
fn size(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) / (1024 * 1024);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_was_met_decides() {
        let limits = Limits { max_processes: Some(5), memory_bytes: Some(32 << 20) };
        let counted = |refused_forks, oom_kills| Counted {
            refused_forks,
            oom_kills,
            peak_bytes: Some(33_000_000),
        };
        for (counted, code, lines, outcome) in [
            (counted(0, 0), Some(1), 0, None),
            (counted(1, 0), Some(0), 1, Some(Outcome::ProcessLimit)),
            (counted(0, 1), Some(1), 1, Some(Outcome::OutOfMemory)),
            (counted(0, 1), None, 1, Some(Outcome::OutOfMemory)),
            (counted(0, 1), Some(0), 1, None),
            (counted(2, 1), Some(0), 2, Some(Outcome::ProcessLimit)),
            (counted(2, 1), None, 2, Some(Outcome::OutOfMemory)),
        ] {
            let verdict = judge(limits, counted, code);
            assert_eq!((verdict.said.len(), &verdict.outcome), (lines, &outcome), "{counted:?}");
        }
        let said = judge(limits, counted(0, 1), None).said.remove(0);
        assert_eq!(said, "ran out of memory: used 31.4 MiB, may use 32.0 MiB (memory)");
        // Without a limit nothing of it counts.
        let none = judge(Limits::default(), counted(1, 1), Some(1));
        assert_eq!(none, Verdict { said: Vec::new(), outcome: None });
    }
}
