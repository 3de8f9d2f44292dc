//! `yardmaster-shim`: the process that forks and becomes supervisors.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("spawner") => match shim::spawner_main() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(&format!("receive a command from the worker: {error}"), 70),
        },
        Some("--version") => complain(concat!("version ", env!("CARGO_PKG_VERSION")), 0),
        _ => complain("this program is started by `worker`, not by hand", 64),
    }
}

fn complain(text: &str, code: u8) -> ExitCode {
    #[expect(clippy::print_stderr, reason = "there is no log here")]
    {
        eprintln!("yardmaster-shim: {text}");
    }
    ExitCode::from(code)
}
