//! Kills within migrations, reloads, backups and restores: what is not on the way of a command.
//!
//! Each place is a trap once for every visit there is. Afterwards there is the database before or
//! the one after, never a mixture, and what is started next goes on from there.

mod migration;
mod reload;
mod restore;

use std::process::Command;

use anyhow::{Context as _, anyhow};
use e2e::{Build, Database, Postgres, Row, Yard, finish};
use failpoint::{Act, Side};

use crate::fleet::State;
use crate::trap::{Action, Trap};
use crate::verdict::{Finding, Kind};

const SIDES: [Side; 2] = [Side::Before, Side::After];

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) caught: usize,
    pub(crate) findings: Vec<Finding>,
}

impl Report {
    fn find(&mut self, what: String) {
        self.findings.push(Finding { kind: Kind::Wrong, what });
    }

    /// Takes note of what is not as it should be.
    fn expect(&mut self, is_so: bool, what: impl FnOnce() -> String) {
        if !is_so {
            self.find(what());
        }
    }

    /// Every place has to be visited at least once.
    fn reached(&mut self, act: Act, side: Side, visits: u64) {
        self.caught += usize::try_from(visits).unwrap_or(usize::MAX);
        if visits == 0 {
            let what = format!("nobody came to {}.{}", act.name(), side.name());
            self.findings.push(Finding { kind: Kind::Unreached, what });
        }
    }
}

/// Goes through all of it, on the databases that are wanted.
pub(crate) fn run(states: &[State]) -> anyhow::Result<Report> {
    let mut report = Report::default();
    for state in states {
        migration::run(*state, &mut report).context("kill within migrations")?;
        reload::run(*state, &mut report).context("kill within a reload")?;
        restore::adopted(*state, &mut report).context("kill within an adoption")?;
    }
    if states.contains(&State::Sqlite) {
        restore::backed_up(&mut report).context("kill within a backup")?;
        restore::restored(&mut report).context("kill within a restore")?;
    }
    Ok(report)
}

/// A yard of its own, with its database.
struct Ward {
    yard: Yard,
    database: Database,
    postgres: Option<Postgres>,
}

const WORK: &str = "app.job = { builder = \"job\", on_disconnect = \"keep\" }\n[builder.job]\n\
    workers = [\"local\"]\nsteps = [{ name = \"job\", command = [\"echo\", \"${args}\"] }]\n";

impl Ward {
    fn new(state: State) -> anyhow::Result<Self> {
        let yard = Yard::of(Build::Armed, WORK);
        match state {
            State::Sqlite => {
                let database = Database::Sqlite(yard.path("master/state.db"));
                Ok(Self { yard, database, postgres: None })
            }
            State::Postgres => {
                let postgres = Postgres::new("failpoints").context("find PostgreSQL")?;
                yard.configure_with_state(&postgres.url(), WORK);
                let database = Database::Postgres(postgres.url());
                Ok(Self { yard, database, postgres: Some(postgres) })
            }
        }
    }

    /// Writes the configuration anew, with the same database.
    fn configure(&self, more: &str) {
        match &self.postgres {
            Some(postgres) => self.yard.configure_with_state(&postgres.url(), more),
            None => self.yard.configure(more),
        }
    }

    fn ask(&self, question: &str) -> anyhow::Result<Vec<Row>> {
        self.database.ask(question).with_context(|| question.to_owned())
    }

    fn texts(&self, question: &str) -> anyhow::Result<Vec<String>> {
        Ok(self.ask(question)?.iter().map(|row| row.get("text")).collect())
    }

    /// Runs `master db …` to its end, which has to be a good one.
    fn db(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let finished = finish(&mut self.db_command(arguments));
        if finished.code() == 0 {
            return Ok(());
        }
        Err(anyhow!("master db {arguments:?}: {}{}", finished.out(), finished.err()))
    }

    fn db_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.yard.master_command();
        command.arg("db").args(arguments);
        command
    }

    /// Lays a trap for what `act` does next, and says whether somebody was caught in it.
    fn trapped(&self, trap: Trap, act: impl FnOnce()) -> anyhow::Result<bool> {
        let folder = self.yard.traps();
        trap.lay(&folder)?;
        act();
        let caught = trap.caught(&folder);
        trap.lift(&folder)?;
        Ok(caught.is_some())
    }

    /// Starts the master until it is ready, or is caught.
    fn dare_master(&self) {
        let mut master = self.yard.start_unready_master();
        e2e::wait_until("a start of the master, or its end", || {
            (master.has_said("ready: ") || master.has_exited()).then_some(())
        });
        master.kill();
    }
}

/// Returns the trap for a visit.
fn trap(act: Act, side: Side, due: u64) -> Trap {
    Trap { act, side, action: Action::Kill, due }
}
