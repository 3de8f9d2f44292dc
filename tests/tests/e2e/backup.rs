//! Backups: made under load, found damaged where they are, restored without running anything
//! twice.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use e2e::{Daemon, Postgres, Yard, finish, wait_until};

/// `job NAME` leaves a witness of its id and one of its name, and runs until it may end.
fn job(yard: &Yard) -> String {
    let witness = yard.witnesses().script();
    let names = yard.path("names").display().to_string();
    let gates = yard.path("gates").display().to_string();
    fs::create_dir_all(&names).expect("the yard is ours");
    fs::create_dir_all(&gates).expect("the yard is ours");
    format!(
        "app.job = {{ builder = \"job\" }}\n[builder.job]\nworkers = [\"local\"]\n\
         steps = [{{ name = \"job\", retry_safe = true, command = [\"bash\", \"-c\", '''\n\
         {witness}\
         if ! (set -o noclobber; : > {names}/$1) 2>/dev/null; then : > {names}/$1.twice; fi\n\
         echo begins $1\n\
         case $1 in hold-*) until test -e {gates}/$1; do sleep 0.02; done;; esac\n\
         echo ends $1\n''', \"job\", \"${{args}}\"] }}]\n"
    )
}

fn open_gate(yard: &Yard, name: &str) {
    fs::write(yard.path("gates").join(name), "").expect("the yard is ours");
}

fn ran(yard: &Yard) -> Vec<String> {
    let entries = fs::read_dir(yard.path("names")).expect("the yard is ours").flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn assert_nothing_ran_twice(yard: &Yard) {
    yard.witnesses().ran();
    let twice: Vec<String> =
        ran(yard).into_iter().filter(|name| name.ends_with(".twice")).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

/// Submits a job and returns the name of its request.
fn submit(yard: &Yard, name: &str) -> String {
    let submitted = yard.changeport(&["submit", "job", name]);
    assert_eq!(submitted.code(), 0, "{}", submitted.err());
    submitted.out().trim_end().to_owned()
}

fn wait_for_begin(yard: &Yard, name: &str) {
    let what = format!("the begin of {name}");
    wait_until(&what, || ran(yard).iter().any(|ran| ran == name).then_some(()));
}

fn result(yard: &Yard, request: &str) -> (String, String) {
    let what = format!("the end of {request}");
    wait_until(&what, || {
        let why = yard.master(&["why", request]).out();
        let is_over = ["ended", "EXCEPTION", "SUCCESS", "FAILURE"].iter().any(|w| why.contains(w));
        let word = ["EXCEPTION", "SUCCESS", "FAILURE"].into_iter().find(|word| why.contains(word));
        is_over.then(|| (word.unwrap_or_default().to_owned(), why))
    })
}

fn wait_for_empty_spool(yard: &Yard) {
    wait_until("an empty spool", || yard.spooled("worker").is_empty().then_some(()));
}

fn db(yard: &Yard, arguments: &[&str]) -> e2e::Finished {
    let mut command = yard.master_command();
    finish(command.arg("db").args(arguments))
}

fn done(yard: &Yard, arguments: &[&str]) -> String {
    let finished = db(yard, arguments);
    assert_eq!(finished.code(), 0, "db {arguments:?}: {}{}", finished.out(), finished.err());
    finished.out()
}

/// What a master knew at a backup and what happened since.
struct Past {
    /// Ran at the backup, and still does.
    holds: String,
    /// Ran or waited at the backup, and has ended since.
    ended: Vec<String>,
}

/// Makes a backup in the middle of work, lets everything but two jobs end, and more run.
fn live_on(yard: &Yard, backup: impl FnOnce()) -> Past {
    for name in ["first", "second"] {
        let run = yard.changeport(&["run", "job", name]);
        assert_eq!(run.code(), 0, "{}", run.err());
    }
    let holds = submit(yard, "hold-stays");
    let mut ended: Vec<String> =
        (1..8).map(|number| submit(yard, &format!("hold-{number}"))).collect();
    (1..8).for_each(|number| wait_for_begin(yard, &format!("hold-{number}")));
    wait_for_begin(yard, "hold-stays");
    ended.extend((1..=4).map(|number| submit(yard, &format!("queued-{number}"))));
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            for number in 1..=10 {
                submit(yard, &format!("load-{number}"));
            }
        });
        backup();
        load.join().expect("the load does not panic");
    });
    (1..8).for_each(|number| open_gate(yard, &format!("hold-{number}")));
    (1..=10).for_each(|number| wait_for_begin(yard, &format!("load-{number}")));
    for name in ["after-1", "after-2"] {
        let run = yard.changeport(&["run", "job", name]);
        assert_eq!(run.code(), 0, "{}", run.err());
    }
    submit(yard, "hold-unknown");
    wait_for_begin(yard, "hold-unknown");
    Past { holds, ended }
}

/// Looks at a master that was started on the restored database.
fn assert_goes_on(yard: &Yard, master: &mut Daemon, past: &Past) {
    master.wait_for("which this database does not know: it is killed");
    let status = yard.master(&["status"]).out();
    assert!(status.contains("not known to the database"), "{status}");
    open_gate(yard, "hold-stays");
    let (word, why) = result(yard, &past.holds);
    assert_eq!(word, "SUCCESS", "{why}");
    let log = yard.log_of(&past.holds);
    assert_eq!(String::from_utf8_lossy(&log), "begins hold-stays\nends hold-stays\n");
    for request in &past.ended {
        let (word, why) = result(yard, request);
        assert_eq!(word, "EXCEPTION", "{request}: {why}");
        assert!(why.contains("restored"), "{request}: {why}");
    }
    let run = yard.changeport(&["run", "job", "new"]);
    assert_eq!((run.code(), run.out().as_str()), (0, "begins new\nends new\n"), "{}", run.err());
    let newest = yard.ask(&["builds", "--limit", "1"]);
    let name = newest[0]["build"].as_str().unwrap_or_default().to_owned();
    let number: i64 = name.trim_start_matches("job#").parse().expect("a number");
    assert!(number > 1_000_000, "{name}");
    wait_for_empty_spool(yard);
    assert_nothing_ran_twice(yard);
    let expected = 2 + 8 + 4 + 10 + 2 + 1 + 1;
    assert_eq!(ran(yard).len(), expected);
    let verified = done(yard, &["verify"]);
    assert!(verified.contains(": sound"), "{verified}");
}

#[test]
fn a_backup_made_under_load_is_restored_and_nothing_runs_twice() {
    let yard = Yard::new("");
    yard.configure(&job(&yard));
    let master = yard.start_master();
    let _worker = yard.start_worker("");
    let file = yard.path("backup.db");
    let file = file.to_str().expect("it is UTF-8");
    let past = live_on(&yard, || {
        let made = done(&yard, &["backup", file]);
        assert!(made.contains("read back and sound"), "{made}");
    });
    let mode = fs::metadata(file).expect("it was made").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = db(&yard, &["backup", file]);
    assert_ne!(again.code(), 0);
    assert!(again.err().contains("never overwritten"), "{}", again.err());
    let early = db(&yard, &["restore", file]);
    assert_ne!(early.code(), 0);
    assert!(early.err().contains("stop it first"), "{}", early.err());

    let (code, log) = master.stop();
    assert_eq!(code, 0, "{log}");
    let restored = done(&yard, &["restore", file]);
    let kept = restored.lines().find_map(|line| line.strip_prefix("the database before is in "));
    assert!(Path::new(kept.expect("it is told")).join("state.db").exists(), "{restored}");
    // What was sealed after the backup, and belongs to no command of it.
    let aside = fs::read_dir(yard.path("master/logs/unknown")).expect("logs were set aside");
    assert!(aside.count() >= 3);
    let mut master = yard.start_master();
    assert_goes_on(&yard, &mut master, &past);
    let (code, log) = master.stop();
    assert_eq!(code, 0, "{log}");
    assert!(done(&yard, &["verify", file]).contains("backup of 2"), "it is as it was");
}

#[test]
fn a_dump_of_postgresql_is_adopted_and_nothing_runs_twice() {
    let Some(database) = Postgres::new("end-to-end on PostgreSQL, a restored dump") else { return };
    let yard = Yard::new("");
    yard.configure_with_state(&database.url(), &job(&yard));
    let master = yard.start_master();
    let _worker = yard.start_worker("");
    let refused = db(&yard, &["backup", "dump"]);
    assert_ne!(refused.code(), 0);
    assert!(refused.err().contains("pg_dump --format=custom --file=dump"), "{}", refused.err());
    let dump = yard.path("dump");
    let past = live_on(&yard, || database.dump(&dump));
    let early = db(&yard, &["adopt"]);
    assert_ne!(early.code(), 0);
    assert!(early.err().contains("stop it first"), "{}", early.err());
    let (code, log) = master.stop();
    assert_eq!(code, 0, "{log}");
    database.restore(&dump);
    done(&yard, &["adopt"]);
    let mut master = yard.start_master();
    assert_goes_on(&yard, &mut master, &past);
}

/// A yard with one finished build and a backup, whose master is stopped.
fn at_rest() -> (Yard, String) {
    let yard = Yard::new("");
    yard.configure(&job(&yard));
    let master = yard.start_master();
    let worker = yard.start_worker("");
    assert_eq!(yard.changeport(&["run", "job", "first"]).code(), 0);
    wait_for_empty_spool(&yard);
    let file = yard.path("backup.db").to_str().expect("it is UTF-8").to_owned();
    done(&yard, &["backup", &file]);
    assert_eq!(worker.stop().0, 0);
    assert_eq!(master.stop().0, 0);
    (yard, file)
}

#[test]
fn a_flipped_byte_is_found_in_a_backup_and_in_a_log() {
    let (yard, file) = at_rest();
    let logs = yard.path("master/logs");
    let logs_text = logs.to_str().expect("it is UTF-8");
    assert!(done(&yard, &["verify"]).contains("1 sealed logs: sound"));
    assert!(done(&yard, &["verify", &file, "--logs", logs_text]).contains("1 sealed logs: sound"));
    let before = fs::read(yard.path("master/state.db")).expect("it is there");
    let healthy = fs::read(&file).expect("it is there");
    for part in 0..16 {
        let mut bytes = healthy.clone();
        bytes[part * healthy.len() / 16 + part * 37] ^= 0x10;
        fs::write(&file, &bytes).expect("the yard is ours");
        let verified = db(&yard, &["verify", &file]);
        assert_eq!(verified.code(), 65, "part {part}: {}{}", verified.out(), verified.err());
        let restored = db(&yard, &["restore", &file]);
        assert_eq!(restored.code(), 65, "part {part}: {}", restored.err());
    }
    assert_eq!(fs::read(yard.path("master/state.db")).expect("it is there"), before);
    let sealed = fs::read_dir(&logs).expect("it is there").flatten();
    let log = sealed.map(|entry| entry.path()).find(|path| path.extension().is_some());
    let log = log.expect("there is one log");
    let mut bytes = fs::read(&log).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&log, bytes).expect("the yard is ours");
    let verified = db(&yard, &["verify"]);
    assert_eq!(verified.code(), 65, "{}", verified.out());
    assert!(verified.out().contains("✗ log "), "{}", verified.out());
}

#[test]
fn a_backup_in_the_place_of_a_database_is_adopted_first() {
    let (yard, file) = at_rest();
    fs::copy(&file, yard.path("master/state.db")).expect("the yard is ours");
    let mut refused = yard.start_unready_master();
    let (code, log) = refused.ended();
    assert_eq!(code, 78, "{log}");
    assert!(log.contains("master db adopt"), "{log}");
    done(&yard, &["adopt"]);
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    assert_eq!(yard.changeport(&["run", "job", "second"]).code(), 0);
    assert_nothing_ran_twice(&yard);
}

#[test]
fn a_damaged_database_is_refused_with_the_steps_of_a_restore_that_work() {
    let (yard, file) = at_rest();
    let database = yard.path("master/state.db");
    let mut bytes = fs::read(&database).expect("it is there");
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0x55);
    fs::write(&database, &bytes).expect("the yard is ours");
    let mut refused = yard.start_unready_master();
    let (code, log) = refused.ended();
    assert_eq!(code, 78, "{log}");
    assert!(log.contains("master db restore FILE"), "{log}");
    let restored = done(&yard, &["restore", &file]);
    let kept = restored.lines().find_map(|line| line.strip_prefix("the database before is in "));
    let kept = Path::new(kept.expect("it is told")).join("state.db");
    assert_eq!(fs::read(kept).expect("it was kept"), bytes);
    let _master = yard.start_master();
    assert_eq!(yard.results("job", 1), ["SUCCESS"]);
}
