//! Output in bulk: exact below its cap, head, gap and tail beyond it, and never in memory.

use std::io::Read as _;
use std::process::{Child, ChildStdout, Command, Stdio};

use e2e::{Daemon, Yard, wait_until};
use rustix::process::{Pid, Signal, kill_process};

const MIB: u64 = 1024 * 1024;

/// One app that runs a script, with a cap.
fn yard(script: &str, max_output: &str) -> Yard {
    Yard::new(&format!(
        "app.flood = {{ builder = \"flood\" }}\n[builder.flood]\nworkers = [\"local\"]\n\
         steps = [{{ name = \"out\", max_output = \"{max_output}\", script = '''\n{script}\n''' }}]\n"
    ))
}

fn numbers(last: u64) -> Vec<u8> {
    (1..=last).flat_map(|number| format!("{number}\n").into_bytes()).collect()
}

#[test]
fn beyond_its_cap_an_output_is_its_head_an_exact_gap_and_its_tail() {
    let yard = yard("seq 1 200000", "256KiB");
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let client = yard.changeport(&["run", "flood"]);
    assert_eq!(client.code(), 0, "{}", client.err());
    let whole = numbers(200_000);
    let (head, tail) = client.stdout.split_at(128 * 1024);
    assert!(whole.starts_with(head) && whole.ends_with(tail));
    let gap = whole.len() - client.stdout.len();
    assert!(gap > 0 && tail.len() > 120 * 1024 && tail.len() <= 128 * 1024);
    let told = format!("flood: {gap} bytes of output were left out here\n");
    assert!(client.err().contains(&told), "{}", client.err());
    assert!(client.err().contains("output beyond 131072 bytes"), "{}", client.err());
    let logs = yard.master(&["logs", "flood#1"]);
    assert_eq!(logs.stdout, client.stdout);
    let line = format!("[{gap} bytes were left out here]\n");
    assert!(logs.err().contains(&line), "{}", logs.err());
}

#[test]
fn a_worker_decides_where_a_step_does_not_and_grants_no_more_than_its_most() {
    let text = |name: &str, key: &str| {
        format!(
            "[app.{name}]\nbuilder = \"{name}\"\n[builder.{name}]\nworkers = [\"local\"]\n\
             steps = [{{ name = \"out\", {key} command = [\"seq\", \"1\", \"100000\"] }}]\n"
        )
    };
    let apps = text("silent", "") + &text("greedy", "max_output = \"1GiB\",");
    let yard = Yard::new(&apps);
    let _master = yard.start_master();
    let _worker = yard.start_worker("output = { default = \"64KiB\", most = \"128KiB\" }\n");
    for (app, cap) in [("silent", 64 * 1024), ("greedy", 128 * 1024)] {
        let client = yard.changeport(&["run", app]);
        let kept = client.stdout.len();
        assert!(kept <= cap && kept > cap / 16 * 15, "{app}: {kept} bytes kept");
    }
}

#[test]
fn a_cap_is_a_size_with_its_unit_and_not_next_to_nothing() {
    for (size, code) in [("5MB", "E0305"), ("1KiB", "E0303")] {
        let checked = yard("true", size).master(&["check"]);
        let told = checked.out() + &checked.err();
        assert!(told.contains(code), "{size}: {told}");
    }
}

/// A mebibyte without a line feed: NULs, every other byte value, characters of all lengths.
fn pattern() -> Vec<u8> {
    let mut unit: Vec<u8> = (0..=255).filter(|byte| *byte != b'\n').collect();
    unit.extend("\0\0é€😀".bytes());
    let mut pattern = unit.repeat(4_000);
    // No power of two, so that pieces of any size cut characters.
    pattern.truncate(1024 * 1024 - 7);
    pattern
}

#[test]
fn one_line_of_a_hundred_megabytes_comes_back_byte_for_byte_however_it_is_read() {
    const TIMES: usize = 100;
    let yard = yard(&format!("for i in {{1..{TIMES}}}; do cat \"$PATTERN\"; done"), "1GiB");
    let pattern = pattern();
    let file = yard.path("pattern");
    std::fs::write(&file, &pattern).unwrap();
    let _master = yard.start_master();
    let _worker = yard.start_worker(&format!("env = {{ PATTERN = {file:?} }}\n"));
    let mut ways = [yard.changeport_command(), yard.changeport_command(), yard.master_command()];
    ways[0].args(["run", "flood"]);
    ways[1].args(["logs", "flood#1", "--follow"]);
    ways[2].args(["logs", "flood#1"]);
    for way in &mut ways {
        let mut reader = start(way);
        let got = compare(reader.stdout.as_mut().unwrap(), &pattern);
        assert_eq!(got, pattern.len() as u64 * TIMES as u64, "{way:?}");
        assert!(reader.wait().unwrap().success());
    }
}

#[test]
fn every_byte_value_on_both_streams_comes_back_however_it_is_read() {
    let script = "for i in {1..5}; do dd if=\"$PATTERN\" bs=7777 status=none; \
                  cat \"$PATTERN\" >&2; printf '\\0'; done; printf '\\xf0\\x9f'; sleep 0.1; \
                  printf '\\x98\\x80'";
    let yard = yard(script, "1GiB");
    let mut pattern = pattern();
    pattern.extend(0..=255);
    let file = yard.path("pattern");
    std::fs::write(&file, &pattern).unwrap();
    let mut out = [&*pattern, b"\0"].concat().repeat(5);
    out.extend("😀".bytes());
    let err = pattern.repeat(5);
    let _master = yard.start_master();
    let _worker = yard.start_worker(&format!("env = {{ PATTERN = {file:?} }}\n"));
    let run = yard.changeport(&["run", "--quiet", "flood"]);
    let logs = yard.changeport(&["logs", "--quiet", "flood#1"]);
    let master = yard.master(&["logs", "flood#1"]);
    for (way, read) in [("run", run), ("logs", logs), ("master logs", master)] {
        assert_eq!(read.code(), 0, "{way}");
        assert!(read.stdout == out && read.stderr == err, "{way}: other bytes");
    }
}

/// Reads to the end and checks that it is the pattern over and over.
fn compare(out: &mut ChildStdout, pattern: &[u8]) -> u64 {
    let (mut got, mut piece) = (0, vec![0; 256 * 1024]);
    loop {
        let count = out.read(&mut piece).expect("read from the client");
        if count == 0 {
            return got;
        }
        let mut rest = &piece[..count];
        while !rest.is_empty() {
            let at = usize::try_from(got % pattern.len() as u64).expect("it is within the pattern");
            let (same, later) = rest.split_at(rest.len().min(pattern.len() - at));
            assert!(same == &pattern[at..at + same.len()], "another byte after {got}");
            got += same.len() as u64;
            rest = later;
        }
    }
}

fn start(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(Stdio::null()).spawn().expect("start a reader")
}

/// Returns a figure in KiB of `/proc/PID/status`.
fn memory_kib(pid: Pid, key: &str) -> u64 {
    let path = format!("/proc/{}/status", pid.as_raw_nonzero());
    let status = std::fs::read_to_string(path).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Follows the growth of a master, a worker and its shims while a flood goes on.
struct Memory {
    master: (Pid, u64),
    worker: Pid,
    shim_kib: u64,
}

impl Memory {
    fn new(master: &Daemon, worker: &Daemon) -> Self {
        let begun = memory_kib(master.pid(), "VmRSS");
        Self { master: (master.pid(), begun), worker: worker.pid(), shim_kib: 0 }
    }

    fn look(&mut self, yard: &Yard) {
        for (pid, _) in yard.shims() {
            self.shim_kib = self.shim_kib.max(memory_kib(pid, "VmHWM"));
        }
    }

    fn assert_small(&self) {
        let grown = memory_kib(self.master.0, "VmHWM").saturating_sub(self.master.1);
        let worker = memory_kib(self.worker, "VmHWM");
        let shim = self.shim_kib;
        assert!(shim > 0, "no shim was seen");
        assert!(grown <= 32 * 1024, "the master grew by {grown} KiB");
        assert!(worker + shim <= 24 * 1024, "worker {worker} KiB, shim {shim} KiB");
    }
}

#[test]
fn a_flood_is_in_nobodys_memory_and_stopped_followers_do_not_hold_it_up() {
    const FLOOD_MIB: u64 = 500;
    let yard =
        yard(&format!("set +o pipefail; yes 0123456789abcde | head -c {FLOOD_MIB}MiB"), "1GiB");
    let master = yard.start_master();
    let worker = yard.start_worker("");
    let mut memory = Memory::new(&master, &worker);
    let mut readers: Vec<(Child, ChildStdout)> = Vec::new();
    for ways in [&["run", "flood"][..], &["logs", "flood#1", "--follow"]] {
        let mut reader = start(yard.changeport_command().args(ways));
        let mut out = reader.stdout.take().unwrap();
        out.read_exact(&mut [0; 16]).unwrap();
        kill_process(Pid::from_child(&reader), Signal::STOP).unwrap();
        readers.push((reader, out));
    }
    wait_until("the end of the flood", || {
        memory.look(&yard);
        let builds = yard.ask(&["builds", "flood"]);
        (builds.first()?["result"] == "SUCCESS").then_some(())
    });
    for (mut reader, mut out) in readers {
        kill_process(Pid::from_child(&reader), Signal::CONT).unwrap();
        let rest = std::io::copy(&mut out, &mut std::io::sink()).unwrap();
        assert_eq!(rest + 16, FLOOD_MIB * MIB);
        assert!(reader.wait().unwrap().success());
    }
    memory.assert_small();
}
