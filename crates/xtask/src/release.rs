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

/// Builds all programs; the client in its own profile, as it is installed.
pub(crate) fn build() -> anyhow::Result<Programs> {
    run(cargo().args([
        "build",
        "--release",
        "--locked",
        "-p",
        "master",
        "-p",
        "worker",
        "-p",
        "shim",
    ]))?;
    run(cargo().args(["build", "--profile", "client", "--locked", "-p", "changeport-cli"]))?;
    let target = target_folder()?;
    Ok(Programs {
        master: target.join("release/master"),
        worker: target.join("release/worker"),
        changeport: target.join("client/changeport"),
    })
}

/// Builds the program that measures others.
pub(crate) fn build_probe() -> anyhow::Result<PathBuf> {
    run(cargo().args(["build", "--profile", "client", "--locked", "-p", "probe"]))?;
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
