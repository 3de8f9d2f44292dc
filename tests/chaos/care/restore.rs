//! Kills within backups, restores and adoptions.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use e2e::{Daemon, finish};
use failpoint::{Act, Side};

use super::{Report, SIDES, Ward, trap};
use crate::fleet::State;

const BACKUP: [Act; 6] = [
    Act::BackupCopy,
    Act::BackupTable,
    Act::BackupSeal,
    Act::BackupSync,
    Act::BackupLink,
    Act::BackupFolder,
];
const RESTORE: [Act; 11] = [
    Act::RestoreCopy,
    Act::EpochCommit,
    Act::NoteCommit,
    Act::RestoreSync,
    Act::SwapDecide,
    Act::SwapDecideFolder,
    Act::SwapKeep,
    Act::SwapKeepFolder,
    Act::SwapPlace,
    Act::SwapPlaceFolder,
    Act::LogAside,
];
const ADOPT: [Act; 3] = [Act::EpochCommit, Act::NoteCommit, Act::LogAside];

const REQUESTS: &str = "SELECT label || '#' || number AS text FROM request ORDER BY id";
const COMMANDS: &str = "SELECT id AS text FROM command ORDER BY id";
const INCARNATION: &str = "SELECT CAST(incarnation AS TEXT) AS text FROM meta";

/// What a database holds, as far as it tells one from the other.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Content {
    incarnation: Vec<String>,
    requests: Vec<String>,
    commands: Vec<String>,
}

impl Content {
    fn of(ward: &Ward) -> anyhow::Result<Self> {
        Ok(Self {
            incarnation: ward.texts(INCARNATION)?,
            requests: ward.texts(REQUESTS)?,
            commands: ward.texts(COMMANDS)?,
        })
    }
}

/// A ward that lived on after its backup, and what it was at either time.
struct Past {
    ward: Ward,
    before: Content,
    after: Content,
    /// Everything that was ever given out.
    given: BTreeSet<String>,
}

impl Past {
    /// Lets work be done before and after a backup. The master ends without a word, so that its
    /// database is in several files.
    fn live(state: State) -> anyhow::Result<Self> {
        let mut ward = Ward::new(state)?;
        let (master, worker) = start(&mut ward);
        work(&ward, 2)?;
        // The last log is noted in the database a moment after its caller has gone.
        settle(&ward);
        match &ward.postgres {
            None => ward.db(&["backup", &path(&ward, "backup.db")])?,
            Some(postgres) => {
                // The server writes it, who is somebody else.
                postgres.dump(&ward.yard.path("backup.db"));
            }
        }
        let before = Content::of(&ward)?;
        work(&ward, 2)?;
        settle(&ward);
        worker.stop();
        master.kill();
        // Before anybody looks into it: whoever closes it last folds its files into one.
        copy(&ward.yard.path("master"), &ward.yard.path("kept"))?;
        let after = Content::of(&ward)?;
        let given = after.requests.iter().chain(&after.commands).cloned().collect();
        if let Some(postgres) = &ward.postgres {
            postgres.dump(&ward.yard.path("after.db"));
        }
        Ok(Self { ward, before, after, given })
    }

    /// Puts everything back as it was before the restore.
    fn rewind(&self) -> anyhow::Result<()> {
        let folder = self.ward.yard.path("master");
        // The worker knows of masters that never were.
        for folder in [&folder, &self.ward.yard.path("worker")] {
            if folder.exists() {
                fs::remove_dir_all(folder).context("remove a data folder")?;
            }
        }
        copy(&self.ward.yard.path("kept"), &folder)?;
        if let Some(postgres) = &self.ward.postgres {
            postgres.restore(&self.ward.yard.path("after.db"));
        }
        Ok(())
    }

    /// Starts a master and lets it work: it goes on from one of the two, and gives nothing out
    /// again.
    fn go_on(&mut self, place: &str, may: &[When], report: &mut Report) -> anyhow::Result<()> {
        let (master, worker) = start(&mut self.ward);
        let found = Content::of(&self.ward)?;
        let when = self.when(&found);
        report.expect(when.is_some_and(|when| may.contains(&when)), || {
            format!("after a kill at {place} the database is {when:?}, not {may:?}: {found:?}")
        });
        work(&self.ward, 1)?;
        settle(&self.ward);
        let now = Content::of(&self.ward)?;
        let known: BTreeSet<&String> = found.requests.iter().chain(&found.commands).collect();
        for new in now.requests.iter().chain(&now.commands).filter(|id| !known.contains(id)) {
            report.expect(!self.given.contains(new), || {
                format!("{new} was given out again after a kill at {place}")
            });
        }
        worker.stop();
        master.stop();
        let verified = finish(&mut self.ward.db_command(&["verify"]));
        report.expect(verified.code() == 0, || {
            format!("not sound after a kill at {place}: {}{}", verified.out(), verified.err())
        });
        Ok(())
    }

    fn when(&self, found: &Content) -> Option<When> {
        if *found == self.after {
            return Some(When::After);
        }
        let is_backup = found.requests == self.before.requests
            && found.commands == self.before.commands
            && found.incarnation != self.after.incarnation;
        is_backup.then_some(When::Restored)
    }
}

/// Which of the databases is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// The one before the restore, with all that happened after the backup.
    After,
    /// The backup, with another incarnation.
    Restored,
}

fn start(ward: &mut Ward) -> (Daemon, Daemon) {
    let master = ward.yard.start_master();
    let worker = ward.yard.start_worker("");
    (master, worker)
}

fn work(ward: &Ward, count: usize) -> anyhow::Result<()> {
    for _ in 0..count {
        let finished = ward.yard.changeport(&["run", "job", "word"]);
        ensure!(finished.out() == "word\n", "a job: {}{}", finished.out(), finished.err());
    }
    Ok(())
}

/// Waits until every log is sealed and every spool is empty.
fn settle(ward: &Ward) {
    e2e::wait_until("an end of all work", || {
        (crate::evidence::open_ends(&ward.database) == 0).then_some(())
    });
}

fn path(ward: &Ward, name: &str) -> String {
    ward.yard.path(name).display().to_string()
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let finished = finish(Command::new("cp").arg("-a").arg(from).arg(to));
    ensure!(finished.code() == 0, "copy a folder: {}", finished.err());
    Ok(())
}

/// Every place of a backup: it is there whole or not at all, and the next one can be made.
pub(super) fn backed_up(report: &mut Report) -> anyhow::Result<()> {
    let mut ward = Ward::new(State::Sqlite)?;
    let (master, worker) = start(&mut ward);
    work(&ward, 1)?;
    for (act, side) in BACKUP.iter().flat_map(|act| SIDES.map(|side| (*act, side))) {
        let place = format!("{}.{}", act.name(), side.name());
        let file = path(&ward, &format!("{place}.db"));
        let make = || drop(finish(&mut ward.db_command(&["backup", &file])));
        let was_caught = ward.trapped(trap(act, side, 1), make)?;
        report.reached(act, side, u64::from(was_caught));
        if !Path::new(&file).exists() {
            ward.db(&["backup", &file]).with_context(|| format!("again after {place}"))?;
        }
        let verified = finish(&mut ward.db_command(&["verify", &file]));
        report.expect(verified.code() == 0, || {
            format!("a backup that was killed at {place}: {}", verified.out())
        });
    }
    worker.stop();
    master.stop();
    Ok(())
}

/// Every place of a restore, and the same place of the start that completes it.
pub(super) fn restored(report: &mut Report) -> anyhow::Result<()> {
    let mut past = Past::live(State::Sqlite)?;
    let backup = path(&past.ward, "backup.db");
    for (act, side) in RESTORE.iter().flat_map(|act| SIDES.map(|side| (*act, side))) {
        let mut visits = 0;
        loop {
            past.rewind()?;
            let trap = trap(act, side, visits + 1);
            let restore = || drop(finish(&mut past.ward.db_command(&["restore", &backup])));
            if !past.ward.trapped(trap, restore)? {
                break;
            }
            visits += 1;
            let decided =
                past.ward.yard.path("master/state.db.restoring").exists() || is_later(act, side);
            if decided {
                // The start that completes it may die at the same place.
                past.ward.trapped(super::trap(act, side, 1), || past.ward.dare_master())?;
            }
            let may = if decided { When::Restored } else { When::After };
            past.go_on(&trap.to_string(), &[may], report)?;
        }
        report.reached(act, side, visits);
    }
    Ok(())
}

/// Says whether the restored database is in its place already.
fn is_later(act: Act, side: Side) -> bool {
    matches!((act, side), (Act::SwapPlace, Side::After) | (Act::SwapPlaceFolder | Act::LogAside, _))
}

/// Every place of an adoption. It is begun again after a kill; a master does not run before.
pub(super) fn adopted(state: State, report: &mut Report) -> anyhow::Result<()> {
    let mut past = Past::live(state)?;
    for (act, side) in ADOPT.iter().flat_map(|act| SIDES.map(|side| (*act, side))) {
        let mut visits = 0;
        loop {
            past.rewind()?;
            put_back(&past.ward)?;
            let adopt = || drop(finish(&mut past.ward.db_command(&["adopt"])));
            if !past.ward.trapped(trap(act, side, visits + 1), adopt)? {
                break;
            }
            visits += 1;
            past.ward.db(&["adopt"])?;
            let place = format!("{}.{} on {state:?}", act.name(), side.name());
            past.go_on(&place, &[When::Restored], report)?;
        }
        report.reached(act, side, visits);
    }
    Ok(())
}

/// Puts the backup into the place of the database, as people do by hand.
fn put_back(ward: &Ward) -> anyhow::Result<()> {
    if let Some(postgres) = &ward.postgres {
        postgres.restore(&ward.yard.path("backup.db"));
        return Ok(());
    }
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        fs::remove_file(ward.yard.path("master").join(name)).context("remove a database")?;
    }
    let to = ward.yard.path("master/state.db");
    fs::copy(ward.yard.path("backup.db"), to).context("copy a backup").map(drop)
}
