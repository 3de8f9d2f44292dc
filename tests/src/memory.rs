//! How much memory a daemon takes, as the kernel counts it.

use std::fs;

use rustix::process::Pid;

/// A daemon's memory at some moment.
#[derive(Debug)]
pub struct Memory {
    pid: Pid,
    before_kib: u64,
}

impl Memory {
    /// Begins to measure.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn of(pid: Pid) -> Self {
        // Sets the peak back to the present.
        fs::write(proc(pid, "clear_refs"), "5").expect("the daemon is ours");
        Self { pid, before_kib: read(pid, "VmRSS:") }
    }

    /// Returns by how much its peak was over the beginning, in KiB.
    pub fn peak_growth_kib(&self) -> u64 {
        read(self.pid, "VmHWM:").saturating_sub(self.before_kib)
    }
}

fn proc(pid: Pid, file: &str) -> String {
    format!("/proc/{}/{file}", pid.as_raw_nonzero())
}

fn read(pid: Pid, key: &str) -> u64 {
    let status = fs::read_to_string(proc(pid, "status")).expect("the daemon is there");
    let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("the kernel tells");
    let digits = line.trim().trim_end_matches(" kB");
    digits.parse().expect("a number of KiB")
}
