//! The programs under test, built once for a run of tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// One of the programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    Master,
    Worker,
    Shim,
    Changeport,
}

impl Binary {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Master, Self::Worker, Self::Shim, Self::Changeport];

    fn file_name(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Worker => "worker",
            Self::Shim => "yardmaster-shim",
            Self::Changeport => "changeport",
        }
    }
}

/// How the programs are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// As they are for everybody.
    Plain,
    /// With failpoints.
    Armed,
}

/// Features of the armed programs.
const ARMED: [&str; 4] = ["-p", "failpoint", "--features", "failpoint/armed"];

static PLAIN: OnceLock<PathBuf> = OnceLock::new();
static ARMED_FOLDER: OnceLock<PathBuf> = OnceLock::new();

/// Returns the path of a program, building all of them the first time.
///
/// # Panics
/// When they do not build.
pub fn binary(which: Binary) -> PathBuf {
    binary_of(Build::Plain, which)
}

/// Returns the path of a program of a build, making the build the first time.
///
/// # Panics
/// When it cannot be made.
pub fn binary_of(build: Build, which: Binary) -> PathBuf {
    let folder = match build {
        Build::Plain => PLAIN.get_or_init(plain),
        Build::Armed => ARMED_FOLDER.get_or_init(armed),
    };
    folder.join(which.file_name())
}

/// Builds the daemons once more with another version, into a target directory beside, and returns
/// the folder of the programs. They differ from the others in every byte that follows from it.
///
/// # Panics
/// When they do not build.
pub fn other_build(version: &str) -> PathBuf {
    let folder = binary(Binary::Master);
    let target = folder.parent().and_then(Path::parent).expect("profiles lie in TARGET");
    let target = target.join("other-build");
    let mut command = cargo();
    command.args(["build", "--quiet", "--locked", "-p", "master", "-p", "worker", "-p", "shim"]);
    // Nobody looks into these with a debugger.
    command.args(["--config", "profile.dev.debug=0", "--target-dir"]).arg(&target);
    let status = command.env("YARDMASTER_BUILD", version).status().expect("start cargo");
    assert!(status.success(), "another build does not come about: {status}");
    target.join("debug")
}

fn cargo() -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lie in the workspace");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Builds into the target directory and for the profile that this program was built in.
fn plain() -> PathBuf {
    let folder = profile_folder();
    run_cargo(&folder, &[]);
    folder
}

/// Builds in the same place, where all dependencies are, and takes the programs away from there.
fn armed() -> PathBuf {
    let folder = profile_folder();
    run_cargo(&folder, &ARMED);
    let aside = folder.join("armed");
    fs::create_dir_all(&aside).expect("make a folder for programs");
    for which in Binary::ALL {
        let name = which.file_name();
        // Beside and renamed: another run may execute the old one.
        let beside = aside.join(format!("{name}.{}", std::process::id()));
        fs::copy(folder.join(name), &beside).expect("copy a program");
        fs::rename(&beside, aside.join(name)).expect("rename a program");
    }
    // Nobody is to find armed programs where plain ones are looked for.
    run_cargo(&folder, &[]);
    aside
}

fn profile_folder() -> PathBuf {
    let this = std::env::current_exe().expect("a program knows its own file");
    let folder = this.parent().expect("a program lies in a folder");
    // Tests lie in TARGET/PROFILE/deps, programs in TARGET/PROFILE.
    let folder = if folder.ends_with("deps") { folder.parent() } else { Some(folder) };
    folder.expect("profiles lie in TARGET").to_owned()
}

fn run_cargo(folder: &Path, more: &[&str]) {
    let target = folder.parent().expect("profiles lie in TARGET");
    let mut command = cargo();
    command.args(["build", "--quiet", "--locked", "--target-dir"]).arg(target);
    command.args(["-p", "master", "-p", "worker", "-p", "shim", "-p", "changeport-cli"]);
    if folder.ends_with("release") {
        command.arg("--release");
    }
    let status = command.args(more).status().expect("start cargo");
    assert!(status.success(), "the programs under test do not build: {status}");
}
