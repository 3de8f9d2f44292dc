//! Daemons that get no more threads and processes: what needs one waits or fails with a reason, and
//! goes well again once there are some.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::{Daemon, Yard, remove_group, wait_until};
use rustix::process::Pid;

use crate::installed::note_skip;

/// Where groups that limit tasks may be made: version 1, version 2.
const HIERARCHIES: [&str; 2] = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"];
/// A runtime lets go of a thread that had nothing to do for ten seconds.
const IDLE: Duration = Duration::from_secs(12);
const JOB: &str = "app.job = { builder = \"job\", on_disconnect = \"keep\" }\n[builder.job]\n\
    workers = [\"local\"]\nsteps = [{ name = \"job\", command = [\"echo\", \"${args}\"] }]\n";

/// A limit of threads and processes for some of them.
struct TaskLimit {
    folder: PathBuf,
}

impl TaskLimit {
    fn new(name: &str) -> Option<Self> {
        let name = format!("ym-{name}-{}", std::process::id());
        for hierarchy in HIERARCHIES {
            let folder = Path::new(hierarchy).join(&name);
            if fs::create_dir(&folder).is_err() {
                continue;
            }
            let limit = Self { folder };
            if limit.folder.join("pids.max").exists() {
                return Some(limit);
            }
        }
        note_skip("SKIPPED: threads: no control group here limits tasks");
        None
    }

    fn hold(&self, pid: Pid) {
        let procs = self.folder.join("cgroup.procs");
        fs::write(procs, pid.as_raw_nonzero().to_string()).expect("the process is ours");
    }

    /// No more than there are.
    fn forbid_more(&self) {
        let now = fs::read_to_string(self.folder.join("pids.current")).expect("the group is ours");
        self.set(now.trim());
    }

    fn set(&self, most: &str) {
        fs::write(self.folder.join("pids.max"), most).expect("the group is ours");
    }
}

impl Drop for TaskLimit {
    fn drop(&mut self) {
        remove_group(&self.folder);
    }
}

/// Returns how many threads of a runtime a daemon has.
fn runtime_threads(daemon: &Daemon) -> usize {
    let tasks = format!("/proc/{}/task", daemon.pid().as_raw_nonzero());
    let tasks = fs::read_dir(tasks).expect("the daemon is ours").flatten();
    let names = tasks.map(|task| fs::read_to_string(task.path().join("comm")).unwrap_or_default());
    names.filter(|name| name.starts_with("tokio")).count()
}

fn children(pid: Pid) -> Vec<Pid> {
    let file = format!("/proc/{0}/task/{0}/children", pid.as_raw_nonzero());
    let list = fs::read_to_string(file).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
}

#[test]
fn a_master_without_threads_goes_on_with_the_one_it_keeps() {
    let Some(limit) = TaskLimit::new("master") else { return };
    let yard = Yard::new(JOB);
    let mut master = yard.start_master();
    let _worker = yard.start_worker("");
    limit.hold(master.pid());
    // Those of earlier work are gone by then, but for the one that is kept.
    let since = Instant::now();
    wait_until("an end of idle threads", || {
        (since.elapsed() > IDLE && runtime_threads(&master) <= 3).then_some(())
    });
    limit.forbid_more();
    let clients: Vec<_> = (0..4).map(|_| yard.start_changeport(&["run", "job", "word"])).collect();
    let status = yard.master(&["status"]);
    assert_eq!(status.code(), 0, "{}", status.err());
    wait_until("sealed logs", || {
        let logs = fs::read_dir(yard.path("master/logs")).expect("the yard is ours").flatten();
        (logs.filter(|log| log.path().extension().is_some_and(|e| e == "logz")).count() == 4)
            .then_some(())
    });
    let refused = fs::read_to_string(limit.folder.join("pids.events")).expect("the group is ours");
    assert_ne!(refused, "max 0\n", "no thread was missed");
    limit.set("max");
    // Some wait for a reader of the database, which is a thread.
    for client in clients {
        let run = client.finish();
        assert_eq!((run.code(), run.out()), (0, "word\n".to_owned()), "{}", run.err());
    }
    assert!(!master.has_exited());
    assert!(!master.log().contains("panicked"), "{}", master.log());
}

#[test]
fn a_worker_without_processes_says_that_a_command_did_not_start() {
    let Some(limit) = TaskLimit::new("worker") else { return };
    let yard = Yard::new(JOB);
    let _master = yard.start_master();
    let mut worker = yard.start_worker("");
    limit.hold(worker.pid());
    for spawner in children(worker.pid()) {
        limit.hold(spawner);
        children(spawner).into_iter().for_each(|ahead| limit.hold(ahead));
    }
    limit.forbid_more();
    let run = yard.changeport(&["run", "job", "word"]);
    assert_ne!(run.code(), 0);
    let reasons = ["supervisor", "temporarily unavailable"];
    assert!(reasons.iter().any(|reason| run.err().contains(reason)), "{}", run.err());
    limit.set("max");
    let run = yard.changeport(&["run", "job", "word"]);
    assert_eq!((run.code(), run.out()), (0, "word\n".to_owned()), "{}", run.err());
    assert!(!worker.has_exited());
    assert!(!worker.log().contains("panicked"), "{}", worker.log());
}

/// Has a daemon start as the only task it may have.
fn alone(limit: &TaskLimit, command: &mut Command) {
    limit.set("1");
    let mut limited = Command::new("bash");
    let script = format!("echo $$ > {}/cgroup.procs; exec \"$@\"", limit.folder.display());
    limited.arg("-c").arg(script).arg("limited");
    limited.arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        limited.current_dir(folder);
    }
    *command = limited;
}

#[test]
fn a_daemon_that_gets_no_thread_at_its_start_says_so() {
    let Some(limit) = TaskLimit::new("start") else { return };
    let yard = Yard::new(JOB);
    yard.configure_worker_of(&["127.0.0.1:1"], "");
    let mut master = yard.master_command();
    alone(&limit, &mut master);
    let mut worker = yard.worker_command();
    alone(&limit, &mut worker);
    for (command, code) in [(&mut master, 1), (&mut worker, 70)] {
        let ended = e2e::finish(command);
        assert_eq!(ended.code(), code, "{}", ended.err());
        assert!(ended.err().contains("start "), "{}", ended.err());
        assert!(!ended.err().contains("panicked"), "{}", ended.err());
    }
}
