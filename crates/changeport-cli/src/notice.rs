//! What this program says, always on stderr and under the name it was called by.

use std::io::{IsTerminal as _, Write as _};

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
        self.write(&format!("{}: {complaint}\n", self.name));
    }

    /// Says something worth knowing.
    pub(crate) fn say(&mut self, text: &str) {
        if !self.is_quiet {
            self.clear();
            self.write(&format!("{}: {text}\n", self.name));
        }
    }

    /// Says where things are at the moment; on a terminal it replaces what was said before.
    pub(crate) fn say_live(&mut self, text: &str) {
        if self.is_quiet {
            return;
        }
        if self.is_terminal {
            self.write(&format!("\r\x1b[K{}: {text}   [Ctrl-C leaves]", self.name));
            self.has_live_line = true;
        } else {
            self.write(&format!("{}: {text}\n", self.name));
        }
    }

    /// Says whether a new state of a wait is shown by replacing the last one.
    pub(crate) fn is_live(&self) -> bool {
        self.is_terminal
    }

    /// Removes the live line before anything else is written to the terminal.
    pub(crate) fn clear(&mut self) {
        if self.has_live_line {
            self.write("\r\x1b[K");
            self.has_live_line = false;
        }
    }

    fn write(&self, text: &str) {
        // Text from a master must not drive the terminal.
        let is_harmless = |c: &char| !c.is_control() || matches!(c, '\n' | '\r' | '\x1b');
        let text: String = text.chars().filter(is_harmless).collect();
        // A caller that closed its stderr does not want to hear it.
        drop(std::io::stderr().write_all(text.as_bytes()));
    }
}
