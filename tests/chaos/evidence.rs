//! What is left after a run: the database, the logs, the witness files, what callers were told.
//!
//! Sealed logs are read here by a reader of its own, so that a fault of the master's reader
//! cannot hide one of its writer.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use e2e::{Database, Row, Yard};
use proto::record::{self, Channel};
use sha2::{Digest as _, Sha256};

use crate::callers::{Came, Told};
use crate::job::Job;

/// Everything that is compared.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evidence {
    pub(crate) told: Vec<Told>,
    pub(crate) requests: Vec<Request>,
    /// In the order in which they were assigned.
    pub(crate) commands: Vec<Command>,
    /// By command.
    pub(crate) witnesses: BTreeMap<String, Witness>,
    /// Commits that were pushed, and those of which there are changes.
    pub(crate) pushed: Vec<String>,
    pub(crate) changes: Vec<String>,
    /// Commands that found a witness of their own.
    pub(crate) twice: Vec<String>,
    /// Disks were full at times: work may have been refused.
    pub(crate) had_full_disks: bool,
    /// Commands whose shim we killed.
    pub(crate) killed: BTreeMap<String, Kill>,
    /// How often the first worker's machine was switched off.
    pub(crate) reboots: usize,
    /// Calls that failed in the spool of the second worker.
    pub(crate) failed_in_spool: usize,
    /// Clocks were set: moments cannot be compared.
    pub(crate) had_clocks: bool,
    /// Each may have held one command that it had not forked a supervisor for.
    pub(crate) spawners_killed: usize,
    /// What the daemons' logs say of panics.
    pub(crate) panics: Vec<String>,
}

/// The kill of a shim.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kill {
    /// In µs since 1970.
    pub(crate) at_us: i64,
    /// Its worker was attached, so that the master could know of it at once.
    pub(crate) is_whole: bool,
}

/// A row of the database.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) job: Option<Job>,
    /// It ends with its caller.
    pub(crate) is_attended: bool,
    pub(crate) result: Option<String>,
    pub(crate) exit_code: Option<i64>,
}

/// A row of the database, with its log.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(crate) id: String,
    pub(crate) request: i64,
    pub(crate) worker: String,
    pub(crate) outcome: Option<String>,
    pub(crate) ended_us: Option<i64>,
    pub(crate) log: Log,
}

/// A log against the output of its job.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub(crate) out: Came,
    pub(crate) err: Came,
    /// What contradicts itself in it.
    pub(crate) flaws: Vec<String>,
}

/// What a command said about itself.
#[derive(Debug, Clone)]
pub(crate) struct Witness {
    pub(crate) job: Option<Job>,
    /// Its exit code, where it came to its end.
    pub(crate) end: Option<u8>,
}

const REQUESTS: &str = "SELECT r.id, r.label, r.number, r.result, r.exit_code, r.on_disconnect, \
     c.launch FROM request r LEFT JOIN change c ON c.id = r.change ORDER BY r.id";
const COMMANDS: &str = "SELECT c.id, b.request, c.worker, c.outcome, c.ended_us, l.sealed_path, l.sha256, \
     l.out_bytes, l.err_bytes FROM command c LEFT JOIN build b ON b.id = c.build \
     LEFT JOIN log l ON l.command = c.id ORDER BY c.id";
const CHANGES: &str = "SELECT revision FROM change WHERE source = 'pushed' ORDER BY id";
const OPEN_ENDS: &str = "SELECT (SELECT count(*) FROM request WHERE ended_us IS NULL) + \
     (SELECT count(*) FROM command WHERE state <> 'sealed') AS open";

/// Returns how many requests and commands the database has that have not come to their end.
pub(crate) fn open_ends(database: &Database) -> i64 {
    // A database that is being opened or written is asked again.
    let rows = database.ask(OPEN_ENDS).unwrap_or_default();
    rows.first().map_or(i64::MAX, |row| row.get("open"))
}

/// Returns the commits of which there are changes, each as often as there are.
pub(crate) fn changes(database: &Database) -> Vec<String> {
    let rows = database.ask(CHANGES).unwrap_or_default();
    rows.iter().map(|row| row.get("revision")).collect()
}

/// Reads the database, with every log, and the witnesses.
pub(crate) fn read(yard: &Yard, database: &Database) -> anyhow::Result<Evidence> {
    let logs = yard.path("master/logs");
    let ask = |question| database.ask(question).context("read the database");
    let requests: Vec<Request> = ask(REQUESTS)?.iter().map(request).collect();
    let rows = ask(COMMANDS)?;
    let job_of = |id: i64| {
        requests.iter().find(|request| request.id == id).and_then(|request| request.job.as_ref())
    };
    let commands = rows.iter().map(|row| command(row, &logs, job_of)).collect();
    let (witnesses, twice) = witnesses(&yard.path("witnesses"))?;
    let changes = changes(database);
    Ok(Evidence { requests, changes, commands, witnesses, twice, ..Evidence::default() })
}

fn request(row: &Row) -> Request {
    let (label, number): (String, i64) = (row.get("label"), row.get("number"));
    let launch: Option<Vec<u8>> = row.get("launch");
    Request {
        id: row.get("id"),
        name: format!("{label}#{number}"),
        job: launch.and_then(|blob| Job::find(&blob)),
        is_attended: row.get::<String>("on_disconnect") == "cancel",
        result: row.get("result"),
        exit_code: row.get("exit_code"),
    }
}

fn command<'a>(row: &Row, logs: &Path, job_of: impl Fn(i64) -> Option<&'a Job>) -> Command {
    let request = row.get::<Option<i64>>("request").unwrap_or(-1);
    let (out, err) = job_of(request).map(|job| (job.out(), job.err())).unwrap_or_default();
    Command {
        id: row.get("id"),
        request,
        worker: row.get("worker"),
        outcome: row.get("outcome"),
        ended_us: row.get("ended_us"),
        log: log(row, logs, &out, &err),
    }
}

fn log(row: &Row, logs: &Path, out: &[u8], err: &[u8]) -> Log {
    let sealed: Option<String> = row.get("sealed_path");
    let read = match &sealed {
        None => Ok(Streams::default()),
        Some(name) => Streams::read(&logs.join(name)),
    };
    let mut flaws = Vec::new();
    let streams = read.unwrap_or_else(|error| {
        flaws.push(format!("{error:#}"));
        Streams::default()
    });
    flaws.extend(streams.flaw);
    if sealed.is_some() {
        if row.get::<Vec<u8>>("sha256") != streams.sha256 {
            flaws.push("the checksum in the database is another one".to_owned());
        }
        let noted: [i64; 2] = [row.get("out_bytes"), row.get("err_bytes")];
        if noted.map(i64::cast_unsigned) != [streams.out.len() as u64, streams.err.len() as u64] {
            flaws.push(format!("the database counts {noted:?} bytes"));
        }
    }
    Log { out: Came::of(out, &streams.out), err: Came::of(err, &streams.err), flaws }
}

/// The channels of a sealed log.
#[derive(Debug, Default)]
struct Streams {
    out: Vec<u8>,
    err: Vec<u8>,
    sha256: Vec<u8>,
    flaw: Option<String>,
}

impl Streams {
    /// A sealed log is compressed frames, an index, and the index's length.
    fn read(path: &Path) -> anyhow::Result<Self> {
        let file = fs::read(path).with_context(|| format!("read {}", path.display()))?;
        let frames = &file[..frames_end(&file)?];
        Self::of(&zstd::stream::decode_all(frames).context("decompress a log")?)
    }

    fn of(records: &[u8]) -> anyhow::Result<Self> {
        let sha256 = Sha256::digest(records).to_vec();
        let mut streams = Self { sha256, ..Self::default() };
        let mut rest = records;
        while !rest.is_empty() {
            let record = record::first(rest).context("read a record")?;
            match record.channel {
                Channel::Out => streams.out.extend_from_slice(record.bytes),
                Channel::Err => streams.err.extend_from_slice(record.bytes),
                Channel::System => {}
                Channel::Gap => streams.flaw = Some("bytes were dropped".to_owned()),
            }
            rest = &rest[record.size()..];
        }
        Ok(streams)
    }
}

/// Returns where the frames of a sealed log end and its index begins.
pub(crate) fn frames_end(file: &[u8]) -> anyhow::Result<usize> {
    let (rest, length) = file.split_last_chunk::<4>().context("a sealed log has a length")?;
    let length = usize::try_from(u32::from_le_bytes(*length))?;
    ensure!(length <= rest.len(), "a sealed log is longer than its index");
    Ok(rest.len() - length)
}

type Witnesses = (BTreeMap<String, Witness>, Vec<String>);

fn witnesses(folder: &Path) -> anyhow::Result<Witnesses> {
    let (mut found, mut twice) = (BTreeMap::new(), Vec::new());
    for entry in fs::read_dir(folder).context("list the witnesses")? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(command) = name.strip_suffix(".twice") {
            twice.push(command.to_owned());
            continue;
        }
        let text = fs::read_to_string(entry.path()).context("read a witness")?;
        let end = text.lines().find_map(|line| line.strip_prefix("end ")?.parse().ok());
        found.insert(name, Witness { job: Job::find(text.as_bytes()), end });
    }
    Ok((found, twice))
}
