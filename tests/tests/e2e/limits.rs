//! Control groups end to end: what commands may use, and that none leaves anything behind.

use std::fs::File;

use e2e::{Yard, groups_of, wait_until};
use rustix::fs::{FlockOperation, flock};

/// Steps that use more than they may, and one that leaves a daemon behind that hides.
fn builders(yard: &Yard) -> String {
    let witness = yard.path("witness").display().to_string();
    format!(
        r#"
app.bomb = {{ builder = "bomb" }}
app.hog = {{ builder = "hog" }}
app.escape = {{ builder = "escape" }}
app.modest = {{ builder = "modest" }}
[builder.bomb]
workers = ["local"]
steps = [{{ name = "bomb", script = "b() {{ b | b & }}; b; sleep 0.5; true", max_processes = 40 }}]
[builder.hog]
workers = ["local"]
steps = [{{ name = "hog", command = ["perl", "-e", '$a = "x" x (1 << 28); print length $a'], memory = "32MiB" }}]
[builder.escape]
workers = ["local"]
steps = [{{ name = "escape", script = '''
exec 9>{witness}; flock -s 9
setsid env -i sleep 1000 > /dev/null 2>&1 &
echo left
''' }}]
[builder.modest]
workers = ["local"]
steps = [{{ name = "modest", script = "echo ran", max_processes = 40, memory = "64MiB" }}]
"#
    )
}

fn yard() -> Yard {
    let yard = Yard::new("");
    yard.configure(&builders(&yard));
    yard
}

/// The words of `worker status` about control groups.
fn groups(yard: &Yard) -> String {
    let status = yard.worker(&["status"]).out();
    let line = status.lines().find_map(|line| line.strip_prefix("groups"));
    line.unwrap_or_else(|| panic!("no groups in {status}")).trim().to_owned()
}

/// No group of a command of this yard is left.
fn assert_clean(yard: &Yard) {
    let logs = std::fs::read_dir(yard.path("master/logs")).expect("the master has logs");
    for log in logs.flatten() {
        let name = log.file_name().to_string_lossy().into_owned();
        wait_until("the end of every control group", || {
            groups_of(name.get(..32).unwrap_or(&name)).is_empty().then_some(())
        });
    }
}

#[test]
fn a_fork_bomb_fails_with_pids_limit() {
    let yard = yard();
    let _master = yard.start_master();
    let mut worker = yard.start_worker("");
    let line = worker.wait_for("control groups: ");
    if !line.contains("processes") {
        println!("SKIPPED: no control groups here that limit processes: {line}");
        return;
    }
    let finished = yard.changeport(&["run", "bomb"]);
    assert_eq!(finished.code(), 137, "{}", finished.err());
    let said = finished.err();
    assert!(said.contains("was refused a process: it had as many as it may"), "{said}");
    assert_eq!(yard.results("bomb", 1), ["FAILURE"]);
    worker.wait_for("command ended: pids_limit");
    assert_eq!(yard.changeport(&["run", "modest"]).code(), 0, "the machine goes on");
    assert_clean(&yard);
}

#[test]
fn a_step_that_runs_out_of_memory_is_oom_and_no_signal() {
    let yard = yard();
    let _master = yard.start_master();
    let mut worker = yard.start_worker("");
    let line = worker.wait_for("control groups: ");
    if !line.contains("memory") {
        println!("SKIPPED: no control groups here that limit memory: {line}");
        return;
    }
    let finished = yard.changeport(&["run", "hog"]);
    assert_eq!(finished.code(), 137, "{}", finished.err());
    worker.wait_for("command ended: oom");
    let said = finished.err();
    assert!(said.contains("ran out of memory"), "{said}");
    let logs = yard.master(&["logs", "hog#1"]);
    let told = format!("{}{}", logs.out(), logs.err());
    assert!(told.contains("may use 32.0 MiB"), "{told}");
    assert_clean(&yard);
}

#[test]
fn a_place_is_free_only_once_nobody_is_left_with_and_without_control_groups() {
    for choice in ["auto", "v2", "v1", "off"] {
        let yard = yard();
        let _master = yard.start_master();
        yard.configure_worker(&format!("control_groups = \"{choice}\"\nmax_builds = 1\n"));
        let mut worker = yard.start_configured_worker();
        let line = worker.wait_for("control groups: ");
        if line.contains("none") && choice.starts_with('v') {
            println!("SKIPPED: no control groups {choice} here");
            continue;
        }
        let finished = yard.changeport(&["run", "escape"]);
        assert_eq!((finished.code(), finished.out().as_str()), (0, "left\n"), "{choice}");
        let witness = File::open(yard.path("witness")).expect("the step made it");
        let is_free = flock(&witness, FlockOperation::NonBlockingLockExclusive);
        assert!(is_free.is_ok(), "somebody is left with control groups {choice}");
        assert_clean(&yard);
    }
}

#[test]
fn a_limit_that_cannot_be_kept_is_told_and_not_forgotten() {
    let yard = yard();
    let _master = yard.start_master();
    let mut worker = yard.start_worker("control_groups = \"off\"\nmemory = { most = \"1GiB\" }\n");
    worker.wait_for("control groups: none");
    worker.wait_for("not every limit of worker.toml can be kept");
    assert_eq!(groups(&yard), "none; limits nothing");
    let finished = yard.changeport(&["run", "modest"]);
    assert_eq!(finished.out(), "ran\n");
    let logs = yard.master(&["logs", "modest#1"]);
    let told = format!("{}{}", logs.out(), logs.err());
    for key in ["`max_processes`", "`memory`"] {
        assert!(told.contains(&format!("{key} of this step is not kept")), "{told}");
    }
    let check = yard.worker(&["check"]).out();
    assert!(check.contains("none; limits nothing"), "{check}");
}
