//! The programs under test, built once for a run of tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// One of the programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    Master,
    Worker,
    Changeport,
}

static FOLDER: OnceLock<PathBuf> = OnceLock::new();

/// Returns the path of a program, building all of them the first time.
///
/// # Panics
/// When they do not build.
pub fn binary(which: Binary) -> PathBuf {
    let folder = FOLDER.get_or_init(build);
    folder.join(match which {
        Binary::Master => "master",
        Binary::Worker => "worker",
        Binary::Changeport => "changeport",
    })
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
fn build() -> PathBuf {
    let this = std::env::current_exe().expect("a program knows its own file");
    let folder = this.parent().expect("a program lies in a folder");
    // Tests lie in TARGET/PROFILE/deps, programs in TARGET/PROFILE.
    let folder = if folder.ends_with("deps") { folder.parent() } else { Some(folder) };
    let folder = folder.expect("profiles lie in TARGET");
    let target = folder.parent().expect("profiles lie in TARGET");
    let mut command = cargo();
    command.args(["build", "--quiet", "--locked", "--target-dir"]).arg(target);
    command.args(["-p", "master", "-p", "worker", "-p", "shim", "-p", "changeport-cli"]);
    if folder.ends_with("release") {
        command.arg("--release");
    }
    let status = command.status().expect("start cargo");
    assert!(status.success(), "the programs under test do not build: {status}");
    folder.to_owned()
}
