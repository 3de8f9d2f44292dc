//! A copy of the engine with every bug in it, and the tests that are to find them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::list::Mutant;
use crate::cargo::{cargo, root};

/// The crates the bugs live in, and what they need.
const CRATES: [&str; 4] = ["attempt", "config", "corpus", "engine"];

/// Appended to the crate that both halves and the engine see.
const SWITCH: &str = "
/// Says whether a deliberate bug is switched on.
pub fn mutant(number: u32) -> bool {
    static ON: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    let read = || std::env::var(\"MUTANT\").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    *ON.get_or_init(read) == number
}
";

/// The tests that are to see the bugs: of the two halves, and of the engine.
const TESTS: usize = 2;

/// Lengths of the simulator's run: a bug that is only seen after more steps is not seen well.
const SHORTER: [(&str, &str); 2] = [
    ("const SEEDS: u64 = 200;", "const SEEDS: u64 = 100;"),
    ("const STEPS: u32 = 100_000;", "const STEPS: u32 = 5_000;"),
];

/// Many times what a test takes that comes to an end.
const PATIENCE: Duration = Duration::from_secs(60);
const GLANCE: Duration = Duration::from_millis(10);

/// Lints are for the code as it is.
const LINTS: &str = "[workspace.lints.rust]\nwarnings = \"allow\"\n";

/// The built tests.
pub(super) struct Workshop {
    /// Each fails on its own where it sees something.
    tests: Vec<PathBuf>,
}

impl Workshop {
    /// Copies, plants the bugs and builds.
    pub(super) fn build(mutants: &[Mutant]) -> anyhow::Result<Self> {
        let folder = root().join("target/mutants");
        let crates = folder.join("crates");
        if crates.exists() {
            fs::remove_dir_all(&crates).context("remove the last copy")?;
        }
        for name in CRATES {
            copy(&root().join("crates").join(name), &crates.join(name))?;
        }
        let manifest = fs::read_to_string(root().join("Cargo.toml")).context("read Cargo.toml")?;
        let manifest = manifest.replace("[\"crates/*\", \"tests\"]", "[\"crates/*\"]");
        let manifest = manifest.replace("[workspace.lints.rust]\n", LINTS);
        fs::write(folder.join("Cargo.toml"), manifest).context("write Cargo.toml")?;
        fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock"))
            .context("copy Cargo.lock")?;
        plant(&crates, mutants)?;
        shorten(&crates.join("engine/tests/simulator/main.rs"))?;
        Ok(Self { tests: built(&folder)? })
    }

    /// Says whether any test fails with the bug of this number; 0 is none.
    pub(super) fn is_seen(&self, number: u32) -> anyhow::Result<bool> {
        for test in &self.tests {
            let mut command = Command::new(test);
            command.args(["--skip", "every_deliberate_bug"]).env("MUTANT", number.to_string());
            command.env("RUST_BACKTRACE", "0").stdout(Stdio::null()).stderr(Stdio::null());
            if !passes(&mut command).with_context(|| format!("run {}", test.display()))? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Says whether a test comes to a good end. With some bugs it comes to none: a thread turns in
/// circles before another one sees something.
fn passes(command: &mut Command) -> anyhow::Result<bool> {
    let begun = Instant::now();
    let mut test = command.spawn()?;
    while begun.elapsed() < PATIENCE {
        if let Some(status) = test.try_wait()? {
            return Ok(status.success());
        }
        std::thread::sleep(GLANCE); // poll: the end of another process
    }
    test.kill()?;
    test.wait()?;
    Ok(false)
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("list {}", from.display()))? {
        let entry = entry.with_context(|| format!("list {}", from.display()))?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)
                .with_context(|| format!("copy {}", entry.path().display()))?;
        }
    }
    Ok(())
}

/// Puts every bug into its file, behind its number.
fn plant(crates: &Path, mutants: &[Mutant]) -> anyhow::Result<()> {
    let mut files: Vec<&str> = mutants.iter().map(|mutant| mutant.file).collect();
    files.sort_unstable();
    files.dedup();
    for file in files {
        let path = crates.join(file);
        let text = fs::read_to_string(&path).with_context(|| format!("read {file}"))?;
        let of_it = (1u32..).zip(mutants).filter(|(_, mutant)| mutant.file == file);
        let mut edits = of_it
            .map(|(number, mutant)| edit(&text, number, mutant))
            .collect::<anyhow::Result<Vec<_>>>()?;
        edits.sort_by_key(|edit| edit.start);
        if let Some(pair) = edits.windows(2).find(|pair| pair[0].end > pair[1].start) {
            bail!("two bugs meet in {file}: `{}`", pair[1].becomes);
        }
        let mut spoiled = text.clone();
        for edit in edits.iter().rev() {
            spoiled.replace_range(edit.start..edit.end, &edit.becomes);
        }
        fs::write(&path, spoiled).with_context(|| format!("write {file}"))?;
    }
    let lib = crates.join("attempt/src/lib.rs");
    let text = fs::read_to_string(&lib).context("read attempt/src/lib.rs")?;
    fs::write(&lib, text + SWITCH).context("write attempt/src/lib.rs")
}

fn shorten(simulator: &Path) -> anyhow::Result<()> {
    let mut text = fs::read_to_string(simulator).context("read the simulator")?;
    for (long, short) in SHORTER {
        if !text.contains(long) {
            bail!("the simulator has to hold: {long}");
        }
        text = text.replace(long, short);
    }
    fs::write(simulator, text).context("shorten the simulator")
}

struct Edit {
    start: usize,
    end: usize,
    becomes: String,
}

fn edit(text: &str, number: u32, mutant: &Mutant) -> anyhow::Result<Edit> {
    let Mutant { file, at, becomes, .. } = mutant;
    let parts = at.split_once('«').and_then(|(before, rest)| {
        let (original, after) = rest.split_once('»')?;
        Some((before, original, after))
    });
    let Some((before, original, after)) = parts else { bail!("no «…» in `{at}`") };
    let whole = format!("{before}{original}{after}");
    let mut places = text.match_indices(&whole);
    let (Some((place, _)), None) = (places.next(), places.next()) else {
        bail!("{file} has to hold exactly once: {whole}");
    };
    let start = place + before.len();
    let is_on = if file.starts_with("attempt/") { "crate::mutant" } else { "attempt::mutant" };
    let becomes = format!("(if {is_on}({number}) {{ {becomes} }} else {{ {original} }})");
    Ok(Edit { start, end: start + original.len(), becomes })
}

/// Builds the tests and returns their programs. What they depend on is shared with the simulator
/// of the right code.
fn built(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut command = cargo();
    command.current_dir(folder).env("CARGO_TARGET_DIR", root().join("target"));
    command.args(["test", "--quiet", "--profile", "sim", "--no-run", "--message-format=json"]);
    command.args(["-p", "attempt", "--test", "lossy", "-p", "engine", "--test", "simulator"]);
    let output = command.stderr(Stdio::inherit()).output().context("start cargo")?;
    if !output.status.success() {
        bail!("the copy with the bugs does not build: {}", folder.display());
    }
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let programs = lines.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    let programs: Vec<PathBuf> = programs.collect();
    if programs.len() != TESTS {
        bail!("cargo named {} programs", programs.len());
    }
    Ok(programs)
}
