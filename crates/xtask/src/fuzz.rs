//! `cargo xtask fuzz`: lets libFuzzer search with the targets in `fuzz/`, on the stable toolchain.
//!
//! The flags are those of `cargo fuzz run --sanitizer none`, which finds the same targets; here no
//! tool has to be installed. The targets themselves are tested on their corpora by `cargo test`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::cargo::{cargo, root, run};
use crate::say;

/// Coverage that libFuzzer reads, and the targets in the crates.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Clink-dead-code \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";
/// An input that takes longer is a finding, in seconds.
const SLOW: u32 = 5;
/// An input that takes more memory is a finding, in MiB.
const MOST_MIB: u32 = 512;

/// What to search, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Targets, such as `frames`; all of them where none is named.
    targets: Vec<String>,
    /// For each target, in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Keep in the corpora the least that reaches as much as what was found.
    #[arg(long)]
    keep: bool,
}

/// Searches with each target in turn; the first finding fails the task.
pub(crate) fn main(options: &Options) -> anyhow::Result<()> {
    let folder = root().join("fuzz");
    let machine = machine()?;
    let mut build = cargo();
    // Not `--locked`: whoever gives a crate of ours a dependency need not think of this one.
    build.args(["build", "--release", "--target", &machine]);
    run(build.current_dir(&folder).env("RUSTFLAGS", FLAGS))?;
    let programs = folder.join("target").join(machine).join("release");
    let wanted =
        if options.targets.is_empty() { targets(&folder)? } else { options.targets.clone() };
    for target in &wanted {
        say(&format!("== {target}"));
        let place = Place::of(&folder, target)?;
        let program = programs.join(target);
        search(&program, &place, options.seconds)?;
        if options.keep {
            keep(&program, &place)?;
        }
    }
    Ok(())
}

/// The folders of a target.
struct Place {
    corpus: PathBuf,
    found: PathBuf,
    artifacts: String,
}

impl Place {
    fn of(folder: &Path, target: &str) -> anyhow::Result<Self> {
        let (corpus, found) =
            (folder.join("corpus").join(target), folder.join("found").join(target));
        let artifacts = folder.join("artifacts").join(target);
        for needed in [&corpus, &found, &artifacts] {
            fs::create_dir_all(needed).with_context(|| format!("make {}", needed.display()))?;
        }
        Ok(Self { corpus, found, artifacts: format!("-artifact_prefix={}/", artifacts.display()) })
    }
}

fn search(program: &Path, place: &Place, seconds: u32) -> anyhow::Result<()> {
    let limits = [
        format!("-max_total_time={seconds}"),
        format!("-timeout={SLOW}"),
        format!("-rss_limit_mb={MOST_MIB}"),
        "-print_final_stats=1".to_owned(),
    ];
    let mut command = Command::new(program);
    command.args(limits).arg(&place.artifacts).args([&place.found, &place.corpus]);
    run(&mut command)
}

/// Replaces the corpus by the smallest inputs that reach what it and the findings reach.
fn keep(program: &Path, place: &Place) -> anyhow::Result<()> {
    let mut merge = Command::new(program);
    run(merge.arg("-merge=1").args([&place.corpus, &place.found]))
}

fn targets(folder: &Path) -> anyhow::Result<Vec<String>> {
    let entries = fs::read_dir(folder.join("fuzz_targets")).context("list fuzz/fuzz_targets")?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry.context("list fuzz/fuzz_targets")?.path();
        names.extend(path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// Returns the name of this machine's target: with one, flags are not for build scripts.
fn machine() -> anyhow::Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("run rustc -vV")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match text.lines().find_map(|line| line.strip_prefix("host: ")) {
        Some(machine) => Ok(machine.to_owned()),
        None => bail!("rustc -vV does not say what machine this is:\n{text}"),
    }
}
