//! `cargo xtask test`: what CI runs, in the order in which mistakes are cheapest to find.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail};

use crate::cargo::{cargo, root, run};
use crate::{chaos, debian, mutants, say, tidy};

/// Skips that are right even where everything could be installed.
const EXPECTED_SKIPS: &[&str] = &[];

/// How many tests ended how.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

pub(crate) fn main() -> anyhow::Result<()> {
    stage("needs", debian::provide)?;
    stage("format", || run(cargo().args(["fmt", "--all", "--check"])))?;
    stage("tidy", tidy::main)?;
    stage("clippy", || {
        let lint = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
        run(cargo().args(lint))?;
        // `--all-targets` leaves out tests that are only run by name.
        let sim = ["clippy", "--locked", "-p", "engine", "--test", "simulator", "--"];
        run(cargo().args(sim).args(["-D", "warnings"]))
    })?;
    let skips = Skips::new();
    let mut counts = Counts::default();
    stage("tests", || {
        let all = ["test", "--workspace", "--locked", "--no-fail-fast"];
        counts = add(counts, count(cargo().args(all), &skips.path)?);
        Ok(())
    })?;
    stage("simulator", || {
        let sim = ["test", "--profile", "sim", "--locked", "-p", "engine", "--test", "simulator"];
        counts = add(counts, count(cargo().args(sim), &skips.path)?);
        Ok(())
    })?;
    stage("mutants", mutants::main)?;
    stage("chaos", || chaos::normal(&skips.path))?;
    stage("failpoints", chaos::failpoints)?;
    report(counts, &skips)
}

fn add(a: Counts, b: Counts) -> Counts {
    Counts {
        passed: a.passed + b.passed,
        failed: a.failed + b.failed,
        ignored: a.ignored + b.ignored,
    }
}

/// Runs a part and says how long it took.
fn stage(name: &str, part: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let begun = Instant::now();
    say(&format!("== {name}"));
    part().with_context(|| name.to_owned())?;
    say(&format!("== {name}: {:.1} s", begun.elapsed().as_secs_f64()));
    Ok(())
}

/// Where tests that cannot run say why.
struct Skips {
    path: PathBuf,
}

impl Skips {
    fn new() -> Self {
        let name = format!("yardmaster-skips.{}", std::process::id());
        Self { path: std::env::temp_dir().join(name) }
    }

    fn read(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines.dedup();
        lines
    }
}

impl Drop for Skips {
    fn drop(&mut self) {
        // It is not there where nothing was skipped.
        drop(fs::remove_file(&self.path));
    }
}

/// Runs tests, shows what is worth reading, and counts.
fn count(command: &mut Command, skips: &Path) -> anyhow::Result<Counts> {
    command.env("YARDMASTER_SKIPS", skips).env("RUST_BACKTRACE", "0").stdout(Stdio::piped());
    let mut child = command.spawn().context("start cargo test")?;
    let stdout = child.stdout.take().context("read from cargo test")?;
    let mut counts = Counts::default();
    for line in BufReader::new(stdout).lines() {
        let line = line.context("read from cargo test")?;
        if let Some(result) = line.strip_prefix("test result: ") {
            counts = add(counts, counted(result));
        }
        if is_worth_reading(&line) {
            say(&line);
        }
    }
    let status = child.wait().context("wait for cargo test")?;
    if !status.success() && counts.failed == 0 {
        bail!("cargo test: {status}");
    }
    Ok(counts)
}

fn is_worth_reading(line: &str) -> bool {
    let is_quiet = line.trim().is_empty()
        || line.starts_with("running ")
        || line.contains(" 0 passed; 0 failed; 0 ignored;")
        || (line.starts_with("test ") && line.ends_with("... ok"));
    !is_quiet
}

/// Reads `ok. 5 passed; 0 failed; 1 ignored; …`.
fn counted(result: &str) -> Counts {
    let number = |word: &str| {
        let part = result.split([';', '.']).map(str::trim).find(|part| part.ends_with(word));
        part.and_then(|part| part.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    Counts { passed: number(" passed"), failed: number(" failed"), ignored: number(" ignored") }
}

fn report(counts: Counts, skips: &Skips) -> anyhow::Result<()> {
    let skipped = skips.read();
    for line in &skipped {
        say(line);
    }
    let unexpected = skipped.iter().filter(|line| !EXPECTED_SKIPS.contains(&line.as_str())).count();
    let Counts { passed, failed, ignored } = counts;
    if ignored > 0 {
        say(&format!("{ignored} tests are only run by name"));
    }
    say(&format!("{passed} passed, {failed} failed, {} skipped", skipped.len()));
    if failed > 0 {
        bail!("{failed} tests failed");
    }
    if unexpected > 0 && std::env::var_os("CI").is_some() {
        bail!("{unexpected} tests could not run, and under CI all of them have to");
    }
    say(&format!("all is well in {}", root().display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted() {
        let counts = counted("FAILED. 12 passed; 3 failed; 2 ignored; 0 measured; 0 filtered out");
        assert_eq!((counts.passed, counts.failed, counts.ignored), (12, 3, 2));
    }
}
