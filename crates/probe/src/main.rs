//! Measures processes for `cargo xtask bench`.
//!
//! It is small, so that what it adds is small: the kernel counts the pages of the process that
//! starts a program into the peak of that program, and a job that tells when it runs is a
//! process that has to be started first.
//!
//! One file per task. To add one: its file and an arm in `obey`.

mod attach;
mod enter;
mod line;
mod lines;
mod logs;
mod moment;
mod run;
mod submit;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

const USAGE: &str = "usage: probe run COUNT WIDTH PROGRAM [ARGUMENT…]
       probe moment FILE
       probe submit CHANGE_SOCKET CONTROL_SOCKET APP COUNT
       probe fill CHANGE_SOCKET APP COUNT
       probe idle CONTROL_SOCKET
       probe lines COUNT [GO_FILE TIME_FILE]
       probe logs CHANGE_SOCKET CONTROL_SOCKET FOLDER APP JOBS LINES
       probe attach ADDRESS CONTROL_SOCKET TOKENS_FILE
       probe enter FILE PROGRAM [ARGUMENT…]
";

fn main() -> ExitCode {
    match obey(std::env::args_os().skip(1)) {
        Ok(text) => match std::io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_unread) => ExitCode::FAILURE,
        },
        Err(error) => {
            let told = writeln!(std::io::stderr(), "probe: {error:#}");
            ExitCode::from(if told.is_ok() { 1 } else { 2 })
        }
    }
}

fn obey(mut arguments: impl Iterator<Item = OsString>) -> anyhow::Result<String> {
    let task = arguments.next().context(USAGE)?;
    let mut next = || arguments.next().context(USAGE);
    match task.to_str() {
        Some("moment") => moment::write(&next()?),
        Some("fill") => {
            let (change, app, count) = (next()?, next()?, number(&next()?)?);
            submit::fill(&change, &app.to_string_lossy(), count)
        }
        Some("idle") => submit::when_idle(&next()?),
        Some("lines") => {
            let count = number(&next()?)?;
            lines::write(count, arguments.next().zip(arguments.next()))
        }
        Some("logs") => {
            let (change, control, folder, app) = (next()?, next()?, next()?, next()?);
            let (jobs, lines) = (number(&next()?)?, number(&next()?)?);
            logs::measure((&change, &control), &folder, &app.to_string_lossy(), (jobs, lines))
        }
        Some("attach") => {
            let (port, control, tokens) = (next()?, next()?, next()?);
            attach::measure(&port, &control, &tokens)
        }
        Some("enter") => {
            let (group, program) = (next()?, next()?);
            enter::execute(&group, &program, arguments)
        }
        Some("run") => {
            let (count, width, program) = (number(&next()?)?, number(&next()?)?, next()?);
            run::measure(count, width, &program, &arguments.collect::<Vec<_>>())
        }
        Some("submit") => {
            let (change, control, app, count) = (next()?, next()?, next()?, number(&next()?)?);
            submit::measure(&change, &control, &app.to_string_lossy(), count)
        }
        Some(_) | None => bail!(USAGE),
    }
}

fn number(text: &OsString) -> anyhow::Result<usize> {
    text.to_str().and_then(|text| text.parse().ok()).with_context(|| format!("{text:?}: a number"))
}
