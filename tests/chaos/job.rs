//! A job: what one launch is to do, how it is asked for, and what has to come of it.
//!
//! All of it stands in one argument, so that the database itself says what was asked.

use std::fmt;
use std::str::FromStr;

use crate::dice::Dice;

/// What a command is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) id: u64,
    /// Of its output.
    pub(crate) seed: u64,
    pub(crate) out_bytes: usize,
    pub(crate) err_bytes: usize,
    pub(crate) wait_ms: u64,
    pub(crate) exit: u8,
    /// It leaves processes behind that have to be ended.
    pub(crate) has_tree: bool,
}

/// Which app is launched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum App {
    /// Ends with its caller.
    Attended,
    /// Goes on without its caller.
    Kept,
    /// Runs again where it was lost.
    Repeated,
}

/// How it is launched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The caller waits for the end.
    Follow,
    /// The caller leaves with the id.
    Detach,
}

/// A launch: a job and how it is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) job: Job,
    pub(crate) app: App,
    pub(crate) mode: Mode,
}

impl App {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Attended => "attended",
            Self::Kept => "kept",
            Self::Repeated => "repeated",
        }
    }
}

impl Launch {
    /// Draws the launch with a number.
    pub(crate) fn draw(seed: u64, id: u64) -> Self {
        let mut dice = Dice::new(seed, id << 1);
        let app = *dice.pick(&[App::Attended, App::Attended, App::Kept, App::Repeated]);
        let mode = *dice.pick(&[Mode::Follow, Mode::Follow, Mode::Detach]);
        let exit = *dice.pick(&[0, 0, 0, 1, 3, 200]);
        let (out, err, wait_ms) = match dice.between(0, 9) {
            0..=4 => (dice.between(0, 2_000), dice.between(0, 200), 0),
            5..=7 => (dice.between(0, 60_000), dice.between(0, 6_000), dice.between(300, 2_500)),
            8 => (dice.between(0, 9_000), 0, dice.between(100, 600)),
            _ => (dice.between(500_000, 3_000_000), dice.between(0, 300_000), 0),
        };
        let size = |bytes| usize::try_from(bytes).expect("sizes are small");
        let job = Job {
            id,
            seed: dice.roll(),
            out_bytes: size(out),
            err_bytes: size(err),
            wait_ms,
            exit,
            has_tree: dice.one_in(5),
        };
        Self { job, app, mode }
    }
}

impl Job {
    /// Returns what the command writes to stdout, from its first byte on.
    pub(crate) fn out(&self) -> Vec<u8> {
        bytes(self.seed, self.out_bytes)
    }

    /// Returns what the command writes to stderr.
    pub(crate) fn err(&self) -> Vec<u8> {
        bytes(!self.seed, self.err_bytes)
    }

    /// Finds a job in bytes that hold its argument somewhere.
    pub(crate) fn find(blob: &[u8]) -> Option<Self> {
        let at = blob.windows(MARK.len()).position(|window| window == MARK.as_bytes())?;
        let rest = &blob[at..];
        let end = rest.iter().position(|byte| *byte == b';')?;
        std::str::from_utf8(&rest[..=end]).ok()?.parse().ok()
    }
}

fn bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut dice = Dice::new(seed, 0);
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        bytes.extend(dice.roll().to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}

const MARK: &str = "job:";

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, seed, out_bytes, err_bytes, wait_ms, exit, has_tree } = self;
        let tree = u8::from(*has_tree);
        write!(f, "{MARK}{id}:{seed}:{out_bytes}:{err_bytes}:{wait_ms}:{exit}:{tree};")
    }
}

/// The argument is not a job.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a job")]
pub(crate) struct NoJob(String);

impl FromStr for Job {
    type Err = NoJob;

    fn from_str(text: &str) -> Result<Self, NoJob> {
        let read = || {
            let inner = text.strip_prefix(MARK)?.strip_suffix(';')?;
            let parts: Vec<u64> = inner.split(':').filter_map(|part| part.parse().ok()).collect();
            let [id, seed, out, err, wait_ms, exit, tree] = parts[..] else { return None };
            Some(Self {
                id,
                seed,
                out_bytes: usize::try_from(out).ok()?,
                err_bytes: usize::try_from(err).ok()?,
                wait_ms,
                exit: u8::try_from(exit).ok()?,
                has_tree: tree == 1,
            })
        };
        read().ok_or_else(|| NoJob(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_read_back_from_the_bytes_around_it() {
        let job = Launch::draw(7, 12).job;
        let blob = [b"\x01\xc4args", job.to_string().as_bytes(), b"\xff more"].concat();
        assert_eq!(Job::find(&blob), Some(job));
        assert_eq!(Job::find(b"job:1:2;"), None);
    }

    #[test]
    fn a_shorter_output_is_the_beginning_of_a_longer_one() {
        assert_eq!(bytes(5, 1_000)[..333], bytes(5, 333)[..]);
        assert_ne!(bytes(5, 8), bytes(6, 8));
    }
}
