//! A control group: the one place where the kernel adds up a process and all its descendants,
//! those included that nobody waits for. Source: the kernel's cgroup-v2 document.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// A group of our own, removed with this value.
#[derive(Debug)]
pub(super) struct Group {
    folder: PathBuf,
}

impl Group {
    /// Makes a group below our own.
    pub(super) fn new() -> anyhow::Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").context("list mounts")?;
        let mount = mounts.lines().find_map(|line| {
            let mut words = line.split(' ').skip(1);
            let (place, kind) = (words.next()?, words.next()?);
            (kind == "cgroup2").then_some(place)
        });
        let mount = mount.context("there are no control groups of version 2")?;
        let own = fs::read_to_string("/proc/self/cgroup").context("find our control group")?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
        let name = format!("yardmaster-bench.{}", std::process::id());
        let folder = Path::new(mount).join(own).join(name);
        fs::create_dir(&folder)
            .with_context(|| format!("make control group {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// Returns the file that takes the ids of processes to be added.
    pub(super) fn entrance(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }

    /// Returns the CPU time of everything that ever ran in it, in ms.
    pub(super) fn cpu_ms(&self) -> anyhow::Result<f64> {
        let path = self.folder.join("cpu.stat");
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let used = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
        let used: f64 = used.and_then(|text| text.parse().ok()).context("find the CPU time")?;
        Ok(used / 1e3)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that is just ending may still be in it; an empty group costs nothing.
        drop(fs::remove_dir(&self.folder));
    }
}
