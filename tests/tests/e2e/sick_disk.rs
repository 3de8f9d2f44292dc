//! A disk that fails: what it did not take is never taken for kept.

use std::fs;

use e2e::{Ailment, Deed, Part, SickDisk, Yard, wait_until};

use crate::installed::note_skip;

const JOB: &str = "app.job = { builder = \"job\", on_disconnect = \"keep\" }\n[builder.job]\n\
    workers = [\"local\"]\nsteps = [{ name = \"job\", command = [\"echo\", \"${args}\"] }]\n";

/// Puts the data of a master on a disk that can fail.
fn sick_yard() -> Option<(Yard, SickDisk)> {
    let yard = Yard::new(JOB);
    fs::create_dir(yard.path("disk")).expect("the yard is ours");
    match mount(&yard) {
        Ok(disk) => Some((yard, disk)),
        Err(reason) => {
            note_skip(&format!("SKIPPED: sick disk: {reason}"));
            None
        }
    }
}

fn mount(yard: &Yard) -> Result<SickDisk, String> {
    SickDisk::new(&yard.path("disk"), &yard.path("master"))
}

#[test]
fn what_a_failed_sync_left_in_memory_is_written_again_before_it_is_built_upon() {
    let Some((yard, disk)) = sick_yard() else { return };
    let mut master = yard.start_master();
    assert_eq!(yard.changeport(&["submit", "job", "one"]).out(), "job#1\n");
    // All of them: SQLite takes a log that it can fold into its database away when it is closed.
    disk.ail(Ailment { part: Part::Database, deed: Deed::Sync, times: u32::MAX });
    let client = yard.start_changeport(&["submit", "job", "two"]);
    let (code, log) = master.ended();
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("the disk of the database failed; stop and check it"), "{log}");
    assert!(disk.heal().failed_syncs > 1);
    // It finds the second launch in memory, says that it was accepted, and has a sync succeed.
    let master = yard.start_master();
    assert_eq!(client.finish().out(), "job#2\n");
    master.kill();
    // The power fails.
    disk.forget();
    let _disk = mount(&yard).expect("it was mounted before");
    let _master = yard.start_master();
    assert_eq!(yard.changeport(&["submit", "job", "three"]).out(), "job#3\n");
    let _worker = yard.start_worker("");
    assert_eq!(yard.results("job", 3), ["SUCCESS"; 3]);
}

#[test]
fn a_log_that_cannot_be_sealed_is_sealed_when_the_disk_is_well_again() {
    let Some((yard, disk)) = sick_yard() else { return };
    let mut master = yard.start_master();
    let _worker = yard.start_worker("");
    disk.ail(Ailment { part: Part::Logs, deed: Deed::Sync, times: u32::MAX });
    let run = yard.changeport(&["run", "job", "word"]);
    assert_eq!((run.code(), run.out()), (0, "word\n".to_owned()), "{}", run.err());
    master.wait_for("free space or repair the disk");
    assert!(disk.heal().failed_syncs > 0);
    wait_until("a sealed log", || {
        let logs = fs::read_dir(yard.path("master/logs")).expect("the yard is ours").flatten();
        logs.map(|log| log.path())
            .any(|log| log.extension().is_some_and(|e| e == "logz"))
            .then_some(())
    });
    assert_eq!(yard.log_of("job#1"), b"word\n");
}
