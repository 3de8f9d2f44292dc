//! The release binaries, for what shows or measures the product.

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::Value;

use crate::cargo::{cargo, run};

/// Where the built programs are.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) master: PathBuf,
    pub(crate) worker: PathBuf,
    pub(crate) changeport: PathBuf,
}

/// A program that has no libraries to look for starts in two thirds of the time, and is forked
/// faster.
const STATIC: &str = "target-feature=+crt-static";

/// Builds all programs as they are installed: the client in its own profile; the client and the
/// supervisor, which are started all the time, without shared libraries.
pub(crate) fn build() -> anyhow::Result<Programs> {
    run(cargo().args(["build", "--release", "--locked", "-p", "master", "-p", "worker"]))?;
    build_static("shim", "yardmaster-shim", "release")?;
    build_static("changeport-cli", "changeport", "client")?;
    let target = target_folder()?;
    Ok(Programs {
        master: target.join("release/master"),
        worker: target.join("release/worker"),
        changeport: target.join("client/changeport"),
    })
}

fn build_static(package: &str, program: &str, profile: &str) -> anyhow::Result<()> {
    let mut command = cargo();
    command.args(["rustc", "--locked", "--profile", profile, "-p", package, "--bin", program]);
    run(command.args(["--", "-C", STATIC]))
}

/// Builds the program that measures others.
pub(crate) fn build_probe() -> anyhow::Result<PathBuf> {
    build_static("probe", "probe", "client")?;
    Ok(target_folder()?.join("client/probe"))
}

fn target_folder() -> anyhow::Result<PathBuf> {
    let output = cargo()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .context("run cargo metadata")?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("read cargo metadata")?;
    let folder = metadata["target_directory"].as_str().context("find the target directory")?;
    Ok(PathBuf::from(folder))
}
