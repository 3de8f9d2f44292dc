//! A worker's disk that lost the end of a log: what is left is sealed, and nothing waits for ever.

use std::fs::{self, OpenOptions};
use std::path::PathBuf;

use e2e::{Yard, wait_until};

/// The log in the spool, and what the master has of it, once the command has ended unseen.
struct Ended {
    spool: PathBuf,
    output: PathBuf,
    kept: u64,
    whole: u64,
}

/// Lets a command write, then write more and end while its worker is dead.
fn ended_unseen(yard: &Yard) -> Ended {
    let gate = yard.path("gate");
    yard.configure(&format!(
        "app.lines = {{ builder = \"lines\" }}\n[builder.lines]\nworkers = [\"local\"]\n\
         steps = [{{ name = \"lines\", script = '''\nseq 1 1000\necho half-way >&2\n\
         until test -e {gate}; do sleep 0.02; done\nseq 1001 2000\nexit 3\n''' }}]\n",
        gate = gate.display()
    ));
    let _master = yard.start_master();
    let worker = yard.start_worker("");
    assert_eq!(yard.changeport(&["submit", "lines"]).out(), "lines#1\n");
    wait_until("the first half", || {
        yard.master(&["logs", "lines#1"]).err().contains("half-way").then_some(())
    });
    let (_, command) = yard.shims().pop().expect("the command runs");
    worker.kill();
    let kept = yard.path("master/logs").join(format!("{command}.log"));
    let kept = fs::metadata(kept).expect("the master has the first half").len();
    yard.write("gate", "");
    let spool = yard.path("worker/spool").join(command);
    let exit = spool.join("exit");
    wait_until("the command's end in the spool", || exit.exists().then_some(()));
    let output = spool.join("out.000");
    let whole = fs::metadata(&output).expect("it has a log").len();
    Ended { spool, output, kept, whole }
}

fn assert_sealed(yard: &Yard, ended: &Ended, bytes: u64) {
    let file = OpenOptions::new().write(true).open(&ended.output).expect("the yard is ours");
    file.set_len(bytes).expect("the yard is ours");
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let waited = yard.changeport(&["wait", "lines#1"]);
    assert_eq!(waited.code(), 3, "its result is known: {}", waited.err());
    wait_until("a spool that was let go of", || (!ended.spool.exists()).then_some(()));
    let logs = fs::read_dir(yard.path("master/logs")).expect("list the logs").flatten();
    let living = logs.filter(|log| log.file_name().to_string_lossy().ends_with(".log")).count();
    assert_eq!(living, 0, "the log is sealed");
    let followed = yard.master(&["logs", "lines#1", "--follow"]);
    let text = followed.out();
    let whole: String = (1..=2_000).map(|number| format!("{number}\n")).collect();
    assert!(whole.starts_with(&text), "what is left is its beginning: {text}");
    assert!(text.lines().count() >= 1_000, "what the master had is there");
}

#[test]
fn a_log_of_which_the_master_has_more_is_sealed_as_the_master_has_it() {
    let yard = Yard::new("");
    let ended = ended_unseen(&yard);
    assert_sealed(&yard, &ended, ended.kept / 2);
}

#[test]
fn a_log_that_is_torn_is_taken_as_far_as_it_is_whole() {
    let yard = Yard::new("");
    let ended = ended_unseen(&yard);
    assert!(ended.whole > ended.kept + 2);
    assert_sealed(&yard, &ended, ended.whole - 2);
}
