//! What this program says, always on stderr and under the name it was called by.
//!
//! Invariant: no text from a master drives the terminal; control characters are left out.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

const CLEAR_LINE: &str = "\r\x1b[K";
const HINT: &str = "   [Ctrl-C leaves]";

/// Something that ends the program: what, what to do next, and the exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) code: u8,
    pub(crate) what: String,
    pub(crate) next: String,
}

impl Complaint {
    pub(crate) fn new(code: u8, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { code, what: what.into(), next: next.into() }
    }
}

impl std::fmt::Display for Complaint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)?;
        if self.next.is_empty() { Ok(()) } else { write!(f, "; {}", self.next) }
    }
}

/// Speaks on stderr. One live line on a terminal, whole lines elsewhere.
#[derive(Debug)]
pub(crate) struct Speaker {
    name: String,
    is_quiet: bool,
    is_terminal: bool,
    has_live_line: bool,
}

impl Speaker {
    pub(crate) fn new(name: &str, is_quiet: bool) -> Self {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let is_terminal = std::io::stderr().is_terminal() && !is_dumb;
        Self { name: name.to_owned(), is_quiet, is_terminal, has_live_line: false }
    }

    /// Says why the program ends, however quiet it is.
    pub(crate) fn complain(&mut self, complaint: &Complaint) {
        self.clear();
        write(&line(&self.name, &complaint.to_string()));
    }

    /// Says something worth knowing.
    pub(crate) fn say(&mut self, text: &str) {
        if !self.is_quiet {
            self.clear();
            write(&line(&self.name, text));
        }
    }

    /// Says where things are at the moment; on a terminal it replaces what was said before.
    pub(crate) fn say_live(&mut self, text: &str) {
        if self.is_quiet {
            return;
        }
        if self.is_terminal {
            let text = format!("{}: {}", harmless(&self.name), harmless(text));
            write(&format!("{CLEAR_LINE}{}{HINT}", cut(&text, columns())));
            self.has_live_line = true;
        } else {
            write(&line(&self.name, text));
        }
    }

    /// Says whether a new state of a wait is shown by replacing the last one.
    pub(crate) fn is_live(&self) -> bool {
        self.is_terminal
    }

    /// Removes the live line before anything else is written to the terminal.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.has_live_line) {
            write(CLEAR_LINE);
        }
    }
}

/// Returns one line of ours.
pub(crate) fn line(name: &str, text: &str) -> String {
    format!("{}: {}\n", harmless(name), harmless(text.trim_end()))
}

/// Returns text that stays on its line and moves nothing.
pub(crate) fn harmless(text: &str) -> String {
    let text = text.replace(['\n', '\t'], " ");
    text.chars().filter(|c| !c.is_control()).collect()
}

/// Shows a time to the second: `9s`, `24m10s`, `3h0m`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0) => format!("{}ms", time.as_millis()),
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, m, _) => format!("{h}h{m}m"),
    }
}

/// Cuts the text of a live line so that it stays on one: more could not be cleared again.
fn cut(text: &str, columns: usize) -> String {
    let room = columns.saturating_sub(HINT.len() + 1);
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let kept: String = text.chars().take(room.saturating_sub(1)).collect();
    kept + "…"
}

/// Returns the width of the terminal behind stderr; one that does not tell has the usual width.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stderr());
    size.ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(80)
}

fn write(text: &str) {
    // A caller that closed its stderr does not want to hear it.
    drop(std::io::stderr().write_all(text.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_master_says_does_not_drive_the_terminal() {
        assert_eq!(line("a\x1b[2J", "b\x1b]0;t\x07\nc\r\u{9b}m\n"), "a[2J: b]0;t cm\n");
    }

    #[test]
    fn times_read_well() {
        let shown: Vec<String> =
            [0, 9, 1_450, 10_805].map(|s| duration(Duration::from_secs(s))).into();
        assert_eq!(shown, ["0ms", "9s", "24m10s", "3h0m"]);
    }

    #[test]
    fn a_live_line_fits_the_terminal() {
        assert_eq!(cut("hello: short", 80), "hello: short");
        let shown = cut("hello: 1234567890", 17 + HINT.len());
        assert_eq!(shown, "hello: 12345678…");
        assert_eq!(cut("hello", 3), "…");
    }
}
