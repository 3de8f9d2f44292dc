//! Real commands under real supervisors.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod escapes;
mod left;
mod secrets;

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use shim::record::{self, Channel};
use shim::{
    CommandId, Event, EventChannel, Found, Frames, Outcome, OutputCap, Request, Spawner, Spec,
    SpoolError, SpoolRoot, Stdin,
};

struct Rig {
    folder: tempfile::TempDir,
    spool: SpoolRoot,
    spawner: Spawner,
    /// Unique over all tests that run now: sweeps look for it in the whole system.
    id: CommandId,
}

static NEXT: AtomicU64 = AtomicU64::new(1);

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let spool = SpoolRoot::open(&folder.path().join("spool")).unwrap();
        let spawner = Spawner::start(Path::new(env!("CARGO_BIN_EXE_yardmaster-shim"))).unwrap();
        let id = (u128::from(std::process::id()) << 64)
            + u128::from(NEXT.fetch_add(1, Ordering::Relaxed));
        Self { folder, spool, spawner, id: CommandId(id) }
    }

    fn spec(&self, script: &str) -> Spec {
        Spec {
            argv: ["/bin/sh", "-c", script].map(|word| word.as_bytes().to_vec()).to_vec(),
            env: vec![
                b"PATH=/usr/bin:/bin".to_vec(),
                format!("YARDMASTER_COMMAND={}", self.id).into_bytes(),
            ],
            cwd: self.folder.path().as_os_str().as_encoded_bytes().to_vec(),
            stdin: Stdin::Null,
            timeout_ms: None,
            silence_timeout_ms: None,
            kill_grace_ms: 1_000,
            output_cap: None,
            group: None,
            notes: Vec::new(),
            left: None,
            has_secrets: false,
        }
    }

    fn start(&self, spec: &Spec) -> EventChannel {
        self.spawner.spawn(self.spool.create(self.id, spec).unwrap()).unwrap()
    }

    fn run(&self, spec: &Spec) -> (Outcome, Vec<(Channel, Vec<u8>)>) {
        wait_for_end(self.start(spec));
        (self.outcome(), self.log())
    }

    fn outcome(&self) -> Outcome {
        let found = self.spool.inspect(self.id).unwrap();
        let Found::Exited(exit) = found else { panic!("expected an exit, found {found:?}") };
        exit.outcome
    }

    /// What the spool says of a supervisor that is gone. The kernel may close its socket a moment
    /// before it lets go of its lock.
    fn found_at_the_end(&self) -> Found {
        eventually("the lock is free", || self.spool.inspect(self.id).unwrap() != Found::Alive);
        self.spool.inspect(self.id).unwrap()
    }

    fn log(&self) -> Vec<(Channel, Vec<u8>)> {
        let mut reader = self.spool.output(self.id);
        let mut bytes = Vec::new();
        loop {
            let more = reader.read_at(bytes.len() as u64, 64 * 1024).unwrap();
            if more.is_empty() {
                break;
            }
            bytes.extend(more);
        }
        record::iter(&bytes).map(|record| (record.channel, record.bytes.to_vec())).collect()
    }

    fn marker(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn wait_for_end(channel: EventChannel) {
    let mut socket = channel.0;
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).expect("the supervisor ends within 20 s");
}

/// Looks again until a condition holds.
fn eventually(what: &str, condition: impl Fn() -> bool) {
    let since = Instant::now();
    while !condition() {
        assert!(since.elapsed() < Duration::from_secs(10), "{what} within 10 s");
        std::thread::sleep(Duration::from_millis(5)); // poll: a condition of another process
    }
}

fn only(channel: Channel, log: &[(Channel, Vec<u8>)]) -> Vec<u8> {
    log.iter().filter(|(c, _)| *c == channel).flat_map(|(_, bytes)| bytes.clone()).collect()
}

fn pid_in(path: &Path) -> i32 {
    eventually("a pid is written", || {
        fs::read_to_string(path).is_ok_and(|text| text.ends_with('\n'))
    });
    fs::read_to_string(path).unwrap().trim().parse().unwrap()
}

fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

fn kill(pid: i32) {
    let status = std::process::Command::new("/bin/kill").args(["-9", &pid.to_string()]).status();
    assert_eq!(status.unwrap().signal(), None);
}

fn parent_of(pid: i32) -> i32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("PPid:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Waits until the supervisor says that the command has ended; it still listens then.
fn wait_for_word_of_the_end(channel: &mut EventChannel) {
    let mut frames = Frames::default();
    loop {
        let mut bytes = [0; 64];
        let count = channel.0.read(&mut bytes).unwrap();
        assert_ne!(count, 0, "the supervisor left without a word");
        frames.push(&bytes[..count]);
        while let Some(event) = frames.next_event().unwrap() {
            if matches!(event, Event::Exited(_)) {
                return;
            }
        }
    }
}

#[test]
fn the_exit_code_and_both_channels_come_back() {
    let rig = Rig::new();
    let (outcome, log) = rig.run(&rig.spec("echo out; echo err >&2; exit 7"));
    assert_eq!(outcome, Outcome::Exited(7));
    assert_eq!(only(Channel::Out, &log), b"out\n");
    assert_eq!(only(Channel::Err, &log), b"err\n");
}

#[test]
fn a_signal_is_a_signal() {
    let rig = Rig::new();
    assert_eq!(rig.run(&rig.spec("kill -9 $$")).0, Outcome::Signal(9));
}

#[test]
fn every_byte_comes_back_in_order() {
    let rig = Rig::new();
    let script = "i=0; while [ $i -lt 40 ]; do head -c 100000 /dev/zero | tr '\\0' 'x'; printf '\\000\\377\\n'; i=$((i+1)); done";
    let (outcome, log) = rig.run(&rig.spec(script));
    assert_eq!(outcome, Outcome::Exited(0));
    let mut expected = vec![b'x'; 100_000];
    expected.extend([0, 255, b'\n']);
    assert!(only(Channel::Out, &log) == expected.repeat(40));
}

#[test]
fn what_cannot_be_executed_says_why() {
    let rig = Rig::new();
    let mut spec = rig.spec("");
    spec.argv = vec![b"no-such-program".to_vec()];
    let (outcome, log) = rig.run(&spec);
    let Outcome::NotStarted(why) = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("no-such-program") && why.contains("No such file"), "{why}");
    assert_eq!(only(Channel::System, &log), why.into_bytes());
}

#[test]
fn a_missing_directory_is_named() {
    let rig = Rig::new();
    let mut spec = rig.spec("true");
    spec.cwd = b"/nowhere/at/all".to_vec();
    let (outcome, _) = rig.run(&spec);
    assert!(
        matches!(&outcome, Outcome::NotStarted(why) if why.contains("/nowhere/at/all")),
        "{outcome:?}"
    );
}

#[test]
fn a_late_command_is_ended_although_it_ignores_term() {
    let rig = Rig::new();
    let mut spec = rig.spec("trap '' TERM; while :; do sleep 1; done");
    spec.timeout_ms = Some(200);
    spec.kill_grace_ms = 200;
    assert_eq!(rig.run(&spec).0, Outcome::Timeout);
}

#[test]
fn a_silent_command_is_ended_and_a_talking_one_is_not() {
    let rig = Rig::new();
    let mut spec = rig.spec("for i in 1 2 3 4 5 6; do echo $i; sleep 0.2; done; sleep 60");
    spec.silence_timeout_ms = Some(700);
    let (outcome, log) = rig.run(&spec);
    assert_eq!(outcome, Outcome::Timeout);
    assert_eq!(only(Channel::Out, &log), b"1\n2\n3\n4\n5\n6\n");
}

#[test]
fn a_supervisor_sleeps_while_a_command_that_timed_out_takes_its_leave() {
    let rig = Rig::new();
    let stat = rig.marker("stat");
    let leave = format!("echo late; sleep 1; cat /proc/$PPID/stat > {}; exit", stat.display());
    let mut spec = rig.spec(&format!("trap '{leave}' TERM; while :; do sleep 5; done"));
    spec.silence_timeout_ms = Some(100);
    spec.kill_grace_ms = 15_000;
    let (outcome, log) = rig.run(&spec);
    assert_eq!((outcome, only(Channel::Out, &log)), (Outcome::Timeout, b"late\n".to_vec()));
    let stat = fs::read_to_string(stat).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    assert!(ticks < 15, "{ticks} ticks of processor time within a second");
}

#[test]
fn a_stop_is_a_signal_and_the_programs_own_answer_counts() {
    let rig = Rig::new();
    let ready = rig.marker("ready");
    let script =
        format!("trap 'exit 3' INT; echo $$ > {}; while :; do sleep 0.05; done", ready.display());
    let channel = rig.start(&rig.spec(&script));
    pid_in(&ready);
    std::io::Write::write_all(
        &mut (&channel.0),
        &Request::Stop { signal: 2, grace_ms: 10_000 }.encode(),
    )
    .unwrap();
    wait_for_end(channel);
    assert_eq!(rig.outcome(), Outcome::Exited(3));
}

#[test]
fn what_a_command_leaves_behind_is_ended() {
    let rig = Rig::new();
    let (a, b) = (rig.marker("a"), rig.marker("b"));
    let script = format!(
        "(setsid sh -c 'echo $$ > {a}; exec sleep 600' &) ; (trap '' HUP TERM; echo $(exec sh -c 'echo $PPID') > {b}; exec sleep 600) & while [ ! -s {a} ] || [ ! -s {b} ]; do sleep 0.01; done",
        a = a.display(),
        b = b.display()
    );
    let (outcome, log) = rig.run(&rig.spec(&script));
    assert_eq!(outcome, Outcome::Exited(0));
    assert!(!is_alive(pid_in(&a)) && !is_alive(pid_in(&b)));
    assert!(String::from_utf8(only(Channel::System, &log)).unwrap().contains("left behind"));
}

#[test]
fn standard_input_arrives_and_ends() {
    let rig = Rig::new();
    let mut spec = rig.spec("cat");
    spec.stdin = Stdin::Pipe;
    let channel = rig.start(&spec);
    for request in [Request::Stdin(b"in\0put".to_vec()), Request::StdinEnd] {
        std::io::Write::write_all(&mut (&channel.0), &request.encode()).unwrap();
    }
    wait_for_end(channel);
    assert_eq!(only(Channel::Out, &rig.log()), b"in\0put");
}

#[test]
fn a_command_outlives_its_daemon_and_is_adopted() {
    let rig = Rig::new();
    let (go, started) = (rig.marker("go"), rig.marker("started"));
    let script = format!(
        "echo $$ > {}; while [ ! -e {} ]; do sleep 0.02; done; echo done; exit 5",
        started.display(),
        go.display()
    );
    drop(rig.start(&rig.spec(&script)));
    pid_in(&started);
    assert_eq!(rig.spool.inspect(rig.id).unwrap(), Found::Alive);
    let adopted = EventChannel::adopt(&rig.spool.directory(rig.id)).unwrap();
    fs::write(&go, "").unwrap();
    wait_for_end(adopted);
    assert_eq!(rig.outcome(), Outcome::Exited(5));
    assert_eq!(only(Channel::Out, &rig.log()), b"done\n");
}

#[test]
fn a_killed_supervisor_is_lost_and_its_tree_is_swept() {
    let rig = Rig::new();
    let (main, escaped) = (rig.marker("main"), rig.marker("escaped"));
    let script = format!(
        "(setsid sh -c 'echo $$ > {}; exec sleep 600' &); echo $$ > {}; sleep 600",
        escaped.display(),
        main.display()
    );
    let channel = rig.start(&rig.spec(&script));
    let (main, escaped) = (pid_in(&main), pid_in(&escaped));
    kill(parent_of(main));
    wait_for_end(channel);
    let Found::SupervisorLost { started } = rig.found_at_the_end() else { panic!() };
    assert_eq!(started.as_ref().map(|started| started.pid), Some(main));
    let swept = rig.spool.sweep(rig.id, started.as_ref());
    assert!(swept.survivors.is_empty(), "{swept:?}");
    assert!(!is_alive(main) && !is_alive(escaped));
}

#[test]
fn a_command_is_made_once() {
    let rig = Rig::new();
    let spec = rig.spec("true");
    rig.run(&spec);
    assert!(matches!(rig.spool.create(rig.id, &spec), Err(SpoolError::Exists { .. })));
    rig.spool.remove(rig.id).unwrap();
    assert_eq!(rig.spool.list().unwrap(), []);
}

#[test]
fn an_intent_keeps_a_second_supervisor_away() {
    let rig = Rig::new();
    let witness = rig.marker("witness");
    let created =
        rig.spool.create(rig.id, &rig.spec(&format!("touch {}", witness.display()))).unwrap();
    fs::write(rig.spool.directory(rig.id).join("intent"), "earlier").unwrap();
    wait_for_end(rig.spawner.spawn(created).unwrap());
    assert!(!witness.exists());
}

#[test]
fn a_spec_without_a_supervisor_never_ran() {
    let rig = Rig::new();
    drop(rig.spool.create(rig.id, &rig.spec("true")).unwrap());
    assert_eq!(rig.spool.inspect(rig.id).unwrap(), Found::NeverRan);
}

#[test]
fn one_daemon_has_the_spool() {
    let rig = Rig::new();
    let second = SpoolRoot::open(&rig.folder.path().join("spool"));
    assert!(matches!(second, Err(SpoolError::InUse { .. })));
}

/// Writes the numbers from 1 to `last`, a line each.
fn numbers(last: u64) -> String {
    format!("seq 1 {last}")
}

fn written(last: u64) -> Vec<u8> {
    (1..=last).flat_map(|number| format!("{number}\n").into_bytes()).collect()
}

/// Checks that a log is the head, one exact gap and the tail of what was written.
fn assert_cut(log: &[(Channel, Vec<u8>)], whole: &[u8], cap: OutputCap) {
    let at = log.iter().position(|(channel, _)| *channel == Channel::Gap).unwrap();
    let (head, tail) = (only(Channel::Out, &log[..at]), only(Channel::Out, &log[at..]));
    assert_eq!(head.len() as u64, cap.head_bytes);
    assert!(whole.starts_with(&head) && whole.ends_with(&tail));
    let gap = (whole.len() - head.len() - tail.len()) as u64;
    assert_eq!(only(Channel::Gap, log), gap.to_le_bytes(), "one gap, of {gap} bytes");
    let kept = tail.len() as u64;
    assert!(kept <= cap.tail_bytes && kept > cap.tail_bytes / 16 * 15, "{kept} of {cap:?}");
}

#[test]
fn output_beyond_the_cap_is_its_head_an_exact_gap_and_its_tail() {
    let rig = Rig::new();
    let cap = OutputCap { head_bytes: 100_000, tail_bytes: 64_000 };
    let mut spec = rig.spec(&format!("{}; echo end >&2", numbers(200_000)));
    spec.output_cap = Some(cap);
    let (outcome, log) = rig.run(&spec);
    assert_eq!(outcome, Outcome::Exited(0));
    assert_cut(&log, &written(200_000), OutputCap { tail_bytes: 64_000, ..cap });
    assert_eq!(only(Channel::Err, &log), b"end\n");
    let Found::Exited(exit) = rig.spool.inspect(rig.id).unwrap() else { panic!() };
    assert_eq!(exit.log_bytes, rig.spool.output(rig.id).measure().unwrap());
    let files = fs::read_dir(rig.spool.directory(rig.id)).unwrap().flatten();
    let output = files.filter(|file| file.file_name().to_string_lossy().starts_with("out."));
    let disk: u64 = output.map(|file| file.metadata().unwrap().len()).sum();
    assert!(disk < 200_000, "{disk} bytes of disk for a cap of 164,000");
}

#[test]
fn output_within_the_cap_is_whole_although_its_end_came_late() {
    let rig = Rig::new();
    let whole = written(20_000);
    let mut spec = rig.spec(&numbers(20_000));
    let tail_bytes = whole.len() as u64 - 50_000 + 16;
    spec.output_cap = Some(OutputCap { head_bytes: 50_000, tail_bytes });
    let (_, log) = rig.run(&spec);
    assert!(only(Channel::Out, &log) == whole);
    assert_eq!(only(Channel::Gap, &log), b"");
}

#[test]
fn the_tail_is_read_only_after_the_end_and_outlives_a_killed_supervisor() {
    let rig = Rig::new();
    let (done, cap) = (rig.marker("done"), OutputCap { head_bytes: 50_000, tail_bytes: 32_000 });
    let script = format!("{}; echo $$ > {}; sleep 600", numbers(100_000), done.display());
    let mut spec = rig.spec(&script);
    spec.output_cap = Some(cap);
    let channel = rig.start(&spec);
    let main = pid_in(&done);
    let supervisor = parent_of(main);
    let directory = rig.spool.directory(rig.id);
    eventually("the supervisor has read everything", || {
        let files = fs::read_dir(&directory).unwrap().flatten();
        let mut output = files.filter_map(|file| fs::read(file.path()).ok());
        output.any(|bytes| bytes.ends_with(b"\n100000\n"))
    });
    let mut reader = rig.spool.output(rig.id);
    let live = reader.measure().unwrap();
    assert_eq!(live, reader.live_bytes().unwrap());
    let log = rig.log();
    assert_eq!(only(Channel::Out, &log).len() as u64, cap.head_bytes);
    assert!(String::from_utf8(only(Channel::System, &log)).unwrap().contains("beyond 50000"));
    kill(supervisor);
    wait_for_end(channel);
    let Found::SupervisorLost { started } = rig.found_at_the_end() else { panic!() };
    assert_cut(&rig.log(), &written(100_000), cap);
    assert!(reader.measure().unwrap() > live, "the same reader sees the tail now");
    assert!(rig.spool.sweep(rig.id, started.as_ref()).survivors.is_empty());
}

#[test]
fn a_command_beyond_its_cap_is_not_silent() {
    let rig = Rig::new();
    let script = "head -c 5000 /dev/zero; for i in 1 2 3 4 5 6; do echo $i; sleep 0.2; done";
    let mut spec = rig.spec(script);
    spec.silence_timeout_ms = Some(700);
    spec.output_cap = Some(OutputCap { head_bytes: 1_000, tail_bytes: 1_600 });
    assert_eq!(rig.run(&spec).0, Outcome::Exited(0));
}

#[test]
fn a_supervisor_of_a_silent_command_waits_with_the_sync_for_the_word_that_it_is_forgotten() {
    let rig = Rig::new();
    let mut channel = rig.start(&rig.spec("exit 3"));
    wait_for_word_of_the_end(&mut channel);
    assert_eq!(rig.outcome(), Outcome::Exited(3), "the end can be read once it is told");
    let lock = File::open(rig.spool.directory(rig.id).join("lock")).unwrap();
    let is_free = || flock(&lock, FlockOperation::NonBlockingLockShared).is_ok();
    rig.spool.remove(rig.id).unwrap();
    drop(channel);
    eventually("the supervisor is gone", is_free);
    let directory = rig.spool.directory(rig.id);
    assert!(!directory.exists(), "nothing is made again in a directory that was forgotten");
}

#[test]
fn a_supervisor_of_a_silent_command_leaves_by_itself_where_the_master_is_away() {
    let rig = Rig::new();
    let mut channel = rig.start(&rig.spec("exit 3"));
    wait_for_word_of_the_end(&mut channel);
    let mut rest = Vec::new();
    channel.0.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    channel.0.read_to_end(&mut rest).expect("it has patience, but not for ever");
    assert_eq!(rig.outcome(), Outcome::Exited(3));
}
