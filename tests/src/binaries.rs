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

/// Builds into the target directory that this test was built in.
fn build() -> PathBuf {
    let this = std::env::current_exe().expect("a test knows its own file");
    let folder = this.ancestors().nth(2).expect("tests lie in TARGET/PROFILE/deps");
    let target = folder.parent().expect("profiles lie in TARGET");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lie in the workspace");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(root)
        .args(["build", "--quiet", "--locked", "--target-dir"])
        .arg(target)
        .args(["-p", "master", "-p", "worker", "-p", "shim", "-p", "changeport-cli"])
        .status()
        .expect("start cargo");
    assert!(status.success(), "the programs under test do not build: {status}");
    target.join("debug")
}
