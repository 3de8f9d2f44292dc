//! Escape artists: whatever a command does to outlive itself, it is gone, on every kind of
//! control groups and without.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use shim::record::Channel;
use shim::{Choice, Found, Home, Limits, Outcome, Version};

use crate::{Rig, eventually, is_alive, kill, only, parent_of, pid_in, wait_for_end};

/// Each leaves something behind that holds the lock of its command. `READY` is made once it does.
const ARTISTS: &[(&str, &str)] = &[
    (
        "a daemon forked twice",
        "perl -MPOSIX -e 'exit if fork; setsid; exit if fork; chdir \"/\"; open STDIN, \"<\", \"/dev/null\"; open STDOUT, \">\", \"/dev/null\"; open STDERR, \">&STDOUT\"; open F, \">\", $ENV{READY}; close F; sleep 600'",
    ),
    ("one without its environment", "setsid env -i sh -c 'touch $0; exec sleep 600' $READY &"),
    (
        "one that ignores every signal it can",
        "setsid env -i sh -c 'trap \"\" HUP INT TERM QUIT USR1 USR2 TSTP; touch $0; while :; do sleep 0.2; done' $READY &",
    ),
    ("one that holds the output open", "(trap '' HUP TERM; touch $READY; exec sleep 600) &"),
    (
        "one that stopped itself",
        "setsid env -i sh -c 'touch $0; kill -STOP $$; sleep 600' $READY &",
    ),
    (
        "a reaper of its own",
        "perl -MPOSIX -e 'if (!fork) { setsid; syscall(157, 36, 1, 0, 0, 0); if (!fork) { setsid; exit if fork; setsid; open F, \">\", $ENV{READY}; close F; sleep 600 } sleep 600 }'",
    ),
    (
        "a comet, which is another process each time",
        "perl -MPOSIX -e 'exit if fork; setsid; %ENV = (READY => $ENV{READY}); for (my $n = 0; ; $n++) { if ($n == 9) { open F, \">\", $ENV{READY}; close F } select undef, undef, undef, 0.002; exit if fork; setsid }'",
    ),
    ("a crowd", "for i in $(seq 40); do setsid env -i sleep 600 & done; touch $READY"),
    (
        "one that walks out of its control group",
        "setsid env -i sh -c 'for f in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/unified/cgroup.procs /sys/fs/cgroup/pids/tasks; do echo $$ > $f; done; touch $0; exec sleep 600' $READY 2>/dev/null &",
    ),
];

const KINDS: [(&str, Choice); 3] = [
    ("control groups v2", Choice::Only(Version::V2)),
    ("control groups v1", Choice::Only(Version::V1)),
    ("no control groups", Choice::Off),
];

/// Returns the home of a kind; says so where this machine has none.
#[expect(clippy::print_stdout, reason = "whoever reads the output of the tests has to know")]
fn home(name: &str, choice: Choice) -> Option<Option<Home>> {
    let home = Home::find(choice);
    if home.is_none() && choice != Choice::Off {
        println!("SKIPPED: this machine has no {name} that can be written");
        return None;
    }
    Some(home)
}

struct Stage {
    rig: Rig,
    witness: PathBuf,
    ready: PathBuf,
}

impl Stage {
    fn new() -> Self {
        let rig = Rig::new();
        let (witness, ready) = (rig.marker("witness"), rig.marker("ready"));
        Self { rig, witness, ready }
    }

    /// A script whose every process holds the witness, whatever becomes of it.
    fn spec(&self, home: Option<&Home>, artist: &str, then: &str) -> shim::Spec {
        let script = format!(
            "exec 9>{}; flock -s 9; {artist}\nuntil [ -e $READY ]; do sleep 0.01; done; {then}",
            self.witness.display()
        );
        let mut spec = self.rig.spec(&script);
        spec.argv[0] = b"/bin/bash".to_vec();
        spec.env.push(format!("READY={}", self.ready.display()).into_bytes());
        spec.group = home.map(|home| home.order(self.rig.id, Limits::default()));
        spec
    }

    fn nobody_is_left(&self) -> bool {
        let file = File::open(&self.witness).unwrap();
        flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
    }
}

fn groups_of(spec: &shim::Spec) -> Vec<PathBuf> {
    let folders = spec.group.iter().flat_map(shim::GroupOrder::folders).map(Path::to_owned);
    folders.filter(|folder| folder.exists()).collect()
}

#[test]
fn nothing_outlives_its_command() {
    for (kind, choice) in KINDS {
        let Some(home) = home(kind, choice) else { continue };
        for (artist, script) in ARTISTS {
            let stage = Stage::new();
            let spec = stage.spec(home.as_ref(), script, "exit 3");
            let channel = stage.rig.start(&spec);
            eventually(artist, || stage.ready.exists());
            let since = Instant::now();
            wait_for_end(channel);
            assert!(stage.nobody_is_left(), "{artist}, {kind}");
            assert!(since.elapsed() < Duration::from_secs(5), "{artist}, {kind}");
            assert_eq!(stage.rig.outcome(), Outcome::Exited(3), "{artist}, {kind}");
            assert_eq!(groups_of(&spec), Vec::<PathBuf>::new(), "{artist}, {kind}");
        }
    }
}

#[test]
fn nothing_outlives_a_killed_supervisor() {
    for (kind, choice) in KINDS {
        let Some(home) = home(kind, choice) else { continue };
        for (artist, script) in ARTISTS {
            let stage = Stage::new();
            let main = stage.rig.marker("main");
            let spec = stage.spec(
                home.as_ref(),
                script,
                &format!("echo $$ > {}; sleep 600", main.display()),
            );
            let channel = stage.rig.start(&spec);
            kill(parent_of(pid_in(&main)));
            wait_for_end(channel);
            let since = Instant::now();
            let Found::SupervisorLost { started } = stage.rig.found_at_the_end() else { panic!() };
            let swept = stage.rig.spool.sweep(stage.rig.id, started.as_ref());
            assert!(swept.survivors.is_empty(), "{artist}, {kind}: {swept:?}");
            assert!(stage.nobody_is_left(), "{artist}, {kind}");
            assert!(since.elapsed() < Duration::from_secs(5), "{artist}, {kind}");
            assert_eq!(groups_of(&spec), Vec::<PathBuf>::new(), "{artist}, {kind}");
        }
    }
}

#[test]
fn an_escape_is_found_although_daemon_and_spawner_went_before_the_supervisor() {
    let stage = Stage::new();
    let main = stage.rig.marker("main");
    let spec = stage.spec(None, ARTISTS[1].1, &format!("echo $$ > {}; sleep 600", main.display()));
    let channel = stage.rig.start(&spec);
    let supervisor = parent_of(pid_in(&main));
    let Stage { rig, witness, ready } = stage;
    let (spool, spawner, id) = (rig.spool, rig.spawner, rig.id);
    // The daemon is gone: its spawner takes no more commands, but stays for those it has.
    drop((channel, spawner));
    kill(supervisor);
    eventually("the lock is free", || spool.inspect(id).unwrap() != Found::Alive);
    let Found::SupervisorLost { started } = spool.inspect(id).unwrap() else { panic!() };
    assert_eq!(spool.sweep(id, started.as_ref()).survivors, []);
    let file = File::open(&witness).unwrap();
    assert!(flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok());
    assert!(ready.exists());
}

/// A process that was frozen in a group of version 1 does not die before it is thawed.
struct Ice(PathBuf);

impl Ice {
    fn new() -> Option<Self> {
        let folder = format!("/sys/fs/cgroup/freezer/yardmaster-test-{}", std::process::id());
        fs::create_dir(&folder).ok().map(|()| Self(folder.into()))
    }

    fn freeze(&self, pid: i32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
        fs::write(self.0.join("freezer.state"), "FROZEN").unwrap();
    }

    fn thaw(&self) {
        fs::write(self.0.join("freezer.state"), "THAWED").unwrap();
    }
}

impl Drop for Ice {
    fn drop(&mut self) {
        self.thaw();
        eventually("the ice is gone", || fs::remove_dir(&self.0).is_ok());
    }
}

#[test]
fn what_cannot_be_killed_is_told_and_the_command_is_not_over_before_it_is_gone() {
    let Some(ice) = Ice::new() else {
        println!("SKIPPED: this machine has no freezer v1, and nothing else that does not die");
        return;
    };
    let rig = Rig::new();
    let pid = rig.marker("pid");
    let go = rig.marker("go");
    let script = format!(
        "setsid sh -c 'echo $$ > {}; exec sleep 600' & until [ -e {} ]; do sleep 0.01; done",
        pid.display(),
        go.display()
    );
    let channel = rig.start(&rig.spec(&script));
    let stuck = pid_in(&pid);
    ice.freeze(stuck);
    fs::write(&go, "").unwrap();
    let since = Instant::now();
    let told = || String::from_utf8(only(Channel::System, &rig.log())).unwrap();
    eventually("it is told", || told().contains(&format!("could not end processes [{stuck}]")));
    assert!(since.elapsed() < Duration::from_secs(6), "{:?}", since.elapsed());
    assert_eq!(rig.spool.inspect(rig.id).unwrap(), Found::Alive);
    ice.thaw();
    wait_for_end(channel);
    assert!(!is_alive(stuck));
    assert_eq!(rig.outcome(), Outcome::Exited(0));
}

#[test]
fn a_fork_bomb_reaches_its_limit_and_the_machine_goes_on() {
    for (kind, choice) in [KINDS[0], KINDS[1]] {
        let Some(Some(home)) = home(kind, choice) else { continue };
        if !home.can_limit_processes() {
            println!("SKIPPED: {kind} of this machine do not limit processes");
            continue;
        }
        let rig = Rig::new();
        let mut spec = rig.spec("b() { b | b & }; b; sleep 0.5; true");
        let limits = Limits { max_processes: Some(40), memory_bytes: None };
        spec.group = Some(home.order(rig.id, limits));
        let channel = rig.start(&spec);
        // Another command starts meanwhile.
        assert!(Command::new("true").status().unwrap().success());
        wait_for_end(channel);
        assert_eq!(rig.outcome(), Outcome::ProcessLimit);
        let said = String::from_utf8(only(Channel::System, &rig.log())).unwrap();
        assert!(said.contains("pids_limit") && said.contains("40 at once"), "{said}");
        eventually("its groups are gone", || groups_of(&spec).is_empty());
    }
}

#[test]
fn a_command_that_runs_out_of_memory_says_so_with_its_peak() {
    for (kind, choice) in [KINDS[0], KINDS[1]] {
        let Some(Some(home)) = home(kind, choice) else { continue };
        if !home.can_limit_memory() {
            println!("SKIPPED: {kind} of this machine do not limit memory");
            continue;
        }
        let rig = Rig::new();
        let mut spec = rig.spec("perl -e '$a = \"x\" x (1 << 28); print length $a'");
        let limits = Limits { max_processes: None, memory_bytes: Some(32 << 20) };
        spec.group = Some(home.order(rig.id, limits));
        let (outcome, log) = rig.run(&spec);
        assert_eq!(outcome, Outcome::OutOfMemory);
        let said = String::from_utf8(only(Channel::System, &log)).unwrap();
        assert!(
            said.contains("ran out of memory: used ") && said.contains("may use 32.0 MiB"),
            "{said}"
        );
        // A signal is a signal, limit or not.
        let rig = Rig::new();
        let mut spec = rig.spec("kill -KILL $$");
        spec.group = Some(home.order(rig.id, limits));
        assert_eq!(rig.run(&spec).0, Outcome::Signal(9));
        eventually("its groups are gone", || groups_of(&spec).is_empty());
    }
}

#[test]
fn a_group_that_cannot_be_made_is_told_in_the_log() {
    let Some(home) = KINDS.iter().find_map(|(_, choice)| Home::find(*choice)) else {
        println!("SKIPPED: this machine has no control groups that can be written");
        return;
    };
    let rig = Rig::new();
    let mut spec = rig.spec("echo ran");
    let order = home.order(rig.id, Limits::default());
    // Somebody was there before.
    let folders: Vec<PathBuf> = order.folders().map(Path::to_owned).collect();
    fs::create_dir(&folders[0]).unwrap();
    spec.group = Some(order);
    let (outcome, log) = rig.run(&spec);
    fs::remove_dir(&folders[0]).ok();
    assert_eq!((outcome, only(Channel::Out, &log)), (Outcome::Exited(0), b"ran\n".to_vec()));
    let said = String::from_utf8(only(Channel::System, &log)).unwrap();
    assert!(said.contains("without a control group"), "{said}");
}
