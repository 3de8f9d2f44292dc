//! `master explain CODE`

use std::io::Write as _;
use std::process::ExitCode;

use config::Code;

use super::{EXIT_USAGE, complain, print};

pub(super) fn main(text: &str) -> ExitCode {
    let Some(code) = Code::find(text) else {
        let known: Vec<&str> = Code::ALL.iter().map(|code| code.code()).collect();
        complain(&format!("there is no code `{text}`; there are: {}", known.join(", ")));
        return ExitCode::from(EXIT_USAGE);
    };
    let printed =
        print(|out| writeln!(out, "{}: {}\n\n{}", code.code(), code.title(), code.explanation()));
    if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
