//! Runs a program again and again and tells what each process cost.

use std::ffi::{OsStr, OsString};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, bail};
use wait4::Wait4 as _;

use crate::moment::now_ns;

/// Runs it `count` times, `width` at once. A line for each: begin and end in ns, peak of resident
/// memory in KiB, CPU in µs.
pub(crate) fn measure(
    count: usize,
    width: usize,
    program: &OsStr,
    arguments: &[OsString],
) -> anyhow::Result<String> {
    let (begun, lines) = (AtomicUsize::new(0), Mutex::new(String::new()));
    let work = || -> anyhow::Result<()> {
        while begun.fetch_add(1, Ordering::Relaxed) < count {
            let line = one(program, arguments)?;
            lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push_str(&line);
        }
        Ok(())
    };
    if width <= 1 {
        work()?;
    } else {
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..width).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|worker| match worker.join() {
                Ok(outcome) => outcome,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })?;
    }
    Ok(lines.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

fn one(program: &OsStr, arguments: &[OsString]) -> anyhow::Result<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    let begin = now_ns();
    let child = command.spawn().with_context(|| format!("start {}", program.display()))?;
    let used = child.wait4().context("wait for a program")?;
    let end = now_ns();
    if !used.status.success() {
        bail!("{}: {}", program.display(), used.status);
    }
    let cpu = used.rusage.utime + used.rusage.stime;
    Ok(format!("{begin} {end} {} {}\n", used.rusage.maxrss / 1024, cpu.as_micros()))
}
