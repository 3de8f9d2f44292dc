//! Reads what a process uses from `/proc`. Source: proc(5).

use std::fs;

use anyhow::{Context as _, anyhow};
use rustix::process::Pid;

/// Returns the CPU time of all threads of a process, in seconds.
pub(super) fn cpu_s(pid: Pid) -> anyhow::Result<f64> {
    let stat = read(pid, "stat")?;
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    // Fields 14 and 15, counted from 1; the name is field 2.
    let ticks = after_name.split_whitespace().skip(11).take(2);
    let ticks = ticks.map(str::parse::<u32>).sum::<Result<u32, _>>();
    let ticks = ticks.map_err(|bad| anyhow!("read the CPU time of process {pid:?}: {bad}"))?;
    let per_second = u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100);
    Ok(f64::from(ticks) / f64::from(per_second))
}

/// Returns the resident memory of a process in MB.
pub(super) fn rss_mb(pid: Pid) -> anyhow::Result<f64> {
    status_mb(pid, "VmRSS:")
}

/// Returns the largest resident memory a process ever had, in MB.
pub(super) fn peak_rss_mb(pid: Pid) -> anyhow::Result<f64> {
    status_mb(pid, "VmHWM:")
}

/// Returns the children of the main thread of a process.
pub(super) fn children(pid: Pid) -> Vec<Pid> {
    let number = pid.as_raw_nonzero();
    let list = read(pid, &format!("task/{number}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|word| Pid::from_raw(word.parse().ok()?)).collect()
}

fn status_mb(pid: Pid, key: &str) -> anyhow::Result<f64> {
    let status = read(pid, "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u32>().ok());
    let kib = kib.with_context(|| format!("find {key} of process {pid:?}"))?;
    Ok(f64::from(kib) * 1024.0 / 1e6)
}

fn read(pid: Pid, file: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{}/{file}", pid.as_raw_nonzero());
    fs::read_to_string(&path).with_context(|| format!("read {path}"))
}
