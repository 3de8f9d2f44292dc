//! What the worker tells about its machine.

use std::fs;

use proto::message::command::Facts;

/// Reads the facts, at every connection: memory and cores may change.
pub(super) fn read(cgroup: &str) -> Facts {
    let system = rustix::system::uname();
    Facts {
        os: std::env::consts::OS.to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
        hostname: system.nodename().to_string_lossy().into_owned(),
        version: proto::VERSION.to_owned(),
        cores: crate::settings::cores(),
        memory_bytes: memory_bytes(&fs::read_to_string("/proc/meminfo").unwrap_or_default()),
        cgroup: cgroup.to_owned(),
    }
}

fn memory_bytes(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or_default().saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_counted_in_bytes() {
        assert_eq!(memory_bytes("MemTotal:        2048 kB\nMemFree: 1 kB\n"), 2_097_152);
        assert_eq!(memory_bytes("nonsense"), 0);
    }

    #[test]
    fn this_machine_has_facts() {
        let facts = read("v2");
        assert!(!facts.hostname.is_empty() && facts.cores > 0 && facts.memory_bytes > 0);
    }
}
