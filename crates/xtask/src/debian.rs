//! What the tests need from the system, and how to get it on Debian.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::cargo::run;
use crate::say;

/// Something tests need: how to see that it is there, and the package that brings it.
struct Need {
    package: &'static str,
    is_there: fn() -> bool,
}

const NEEDS: &[Need] = &[
    Need { package: "git", is_there: || is_on_path("git") },
    Need { package: "postgresql", is_there: has_postgresql },
    Need { package: "iproute2", is_there: || is_on_path("ip") },
    Need { package: "iptables", is_there: || is_on_path("iptables") },
    Need { package: "libfaketime", is_there: has_faketime },
    Need { package: "systemd", is_there: || is_on_path("systemd-analyze") },
];

/// Installs what is missing where that is possible, otherwise says what to install.
pub(crate) fn provide() -> anyhow::Result<()> {
    let missing: Vec<&str> =
        NEEDS.iter().filter(|need| !(need.is_there)()).map(|need| need.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !rustix::process::geteuid().is_root() || !is_on_path("apt-get") {
        say(&format!("the tests that need these are skipped; install: {names}"));
        return Ok(());
    }
    say(&format!("installing for the tests: {names}"));
    if missing.contains(&"postgresql") {
        no_cluster_of_its_own()?;
    }
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-y"]);
        command
    };
    run(apt().arg("update"))?;
    run(apt().args(["install", "--no-install-recommends"]).args(&missing))?;
    if let Some(need) = NEEDS.iter().find(|need| !(need.is_there)()) {
        bail!("{} was installed and is still not found", need.package);
    }
    Ok(())
}

/// The tests start servers of their own; Debian's would only be in the way.
fn no_cluster_of_its_own() -> anyhow::Result<()> {
    let path = Path::new("/etc/postgresql-common/createcluster.conf");
    if path.exists() {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    }
    fs::write(path, "create_main_cluster = false\n")
        .with_context(|| format!("write {}", path.display()))
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn has_faketime() -> bool {
    let Ok(folders) = fs::read_dir("/usr/lib") else { return false };
    folders.flatten().any(|folder| folder.path().join("faketime/libfaketimeMT.so.1").is_file())
}

fn has_postgresql() -> bool {
    let Ok(versions) = fs::read_dir("/usr/lib/postgresql") else { return false };
    versions.flatten().any(|version| version.path().join("bin/postgres").is_file())
}
