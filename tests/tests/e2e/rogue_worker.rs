//! A worker with a right token that says what it should not: nothing of it is believed, and
//! somebody can read of it.

use std::fs;

use e2e::{Daemon, Raw, Yard, wait_until};
use proto::message::command::{
    Attach, Attached, CommandId, End, Ending, Facts, Phase, Readiness, Report, Start,
};
use proto::message::hello::{Hello, Role, Welcome};
use proto::message::stream::{StreamData, StreamOpen};
use proto::{Bytes, Frame, Message as _, kind, record};

/// Builders of the honest worker `w1` and of the rogue `w2`.
fn config(yard: &Yard) -> String {
    let gate = yard.path("gate").display().to_string();
    format!(
        r#"
worker.other = {{ names = ["w2"], max_builds = 8 }}
app.honest = {{ builder = "honest" }}
app.own = {{ builder = "own" }}
[builder.honest]
workers = ["local"]
steps = [{{ name = "s", script = "echo up; until test -e {gate}; do sleep 0.02; done; echo done" }}]
[builder.own]
workers = ["other"]
steps = [{{ name = "s", command = ["true"] }}]
"#
    )
}

struct Rogue {
    yard: Yard,
    master: Daemon,
    _worker: Daemon,
    token: Bytes,
}

impl Rogue {
    fn new() -> Self {
        let yard = Yard::new("");
        yard.configure(&config(&yard));
        yard.draw_token("w2", "w2.token", "w2.hash");
        let hashes = ["tokens", "w2.hash"].map(|file| fs::read_to_string(yard.path(file)));
        yard.write("tokens", &hashes.map(|text| text.expect("the yard is ours")).concat());
        let token = fs::read(yard.path("w2.token")).expect("the yard is ours");
        let master = yard.start_master();
        let worker = yard.start_worker("");
        Self { yard, master, _worker: worker, token: token.trim_ascii().into() }
    }

    fn attach(&self, commands: Vec<Report>) -> Raw {
        let mut raw = self.yard.raw_worker();
        raw.send(&Hello::new(Role::Worker, Some(self.token.clone())));
        raw.expect::<Welcome>();
        let hostname = "h\n2026-01-01T00:00:00Z ERROR forged".to_owned();
        let facts = Facts { hostname, ..Facts::default() };
        let (boot_id, spool_id) = ("boot".to_owned(), "spool".to_owned());
        let readiness = Readiness::Ready;
        raw.send(&Attach { boot_id, spool_id, max_builds: 8, facts, commands, readiness });
        // Orders may come before it.
        while raw.receive().expect("the master answers").kind != Attached::KIND {}
        raw
    }

    /// Starts the honest worker's command and returns its id.
    fn honest_command(&self) -> CommandId {
        assert_eq!(self.yard.changeport(&["submit", "honest"]).out(), "honest#1\n");
        let shims = wait_until("the honest command", || {
            Some(self.yard.shims()).filter(|shims| !shims.is_empty())
        });
        let number = u128::from_str_radix(&shims[0].1, 16).expect("an id is hexadecimal");
        let halves = number.to_be_bytes();
        let (high, low) = halves.split_at(8);
        CommandId {
            incarnation: u64::from_be_bytes(high.try_into().expect("half of 16 bytes")),
            counter: i64::from_be_bytes(low.try_into().expect("half of 16 bytes")),
        }
    }

    fn finish_honest(&self) {
        self.yard.write("gate", "");
        assert_eq!(self.yard.results("honest", 1), ["SUCCESS"]);
        assert_eq!(self.yard.log_of("honest#1"), b"up\ndone\n");
    }

    fn lines(&self, text: &str) -> usize {
        self.master.log().lines().filter(|line| line.contains(text)).count()
    }
}

fn ended(command: CommandId, code: i32, log_bytes: u64) -> Report {
    let end = End {
        ending: Ending::Exited,
        code,
        reason: String::new(),
        log_bytes,
        properties: None,
        no_properties: None,
    };
    Report { command, phase: Phase::Ended, end: Some(end) }
}

fn running(command: CommandId) -> Report {
    Report { command, phase: Phase::Running, end: None }
}

/// The same database's next commands, another database's, and nonsense.
fn strange(honest: CommandId) -> Vec<CommandId> {
    let CommandId { incarnation, counter } = honest;
    vec![
        honest,
        CommandId { incarnation, counter: counter + 1 },
        CommandId { incarnation: incarnation ^ 1, counter },
        CommandId { incarnation: u64::MAX, counter: i64::MAX },
        CommandId { incarnation: 0, counter: i64::MIN },
    ]
}

#[test]
fn what_a_worker_says_of_commands_it_was_not_given_counts_for_nothing() {
    let mut rogue = Rogue::new();
    let honest = rogue.honest_command();
    let claims = strange(honest).into_iter().map(|id| ended(id, 0, 0)).collect();
    let mut raw = rogue.attach(claims);
    for id in strange(honest) {
        raw.send(&running(id));
        raw.send(&ended(id, 0, u64::MAX));
    }
    drop(raw);
    let mut raw = rogue.attach(Vec::new());
    for _ in 0..200 {
        strange(honest).into_iter().for_each(|id| raw.send(&ended(id, 1, 0)));
    }
    rogue.master.wait_for("reports a command that it was not given");
    raw.send(&proto::message::hello::Ping { nonce: 9 });
    while raw.receive().is_some_and(|frame: Frame| frame.kind != kind::PONG) {}
    rogue.finish_honest();
    let lines = rogue.lines("it was not given");
    assert!((1..=40).contains(&lines), "{lines} lines about 1,000 reports");
    assert_eq!(rogue.lines("this database does not know"), 3, "one of each other database");
    assert!(!rogue.master.log().contains("\n2026-01-01T00:00:00Z ERROR forged"));
}

#[test]
fn a_log_is_taken_only_from_the_worker_of_its_command() {
    let rogue = Rogue::new();
    let honest = rogue.honest_command();
    let mut forged = Vec::new();
    record::append(&mut forged, record::Channel::Out, 1, b"forged\n");
    for command in strange(honest) {
        let mut raw = rogue.attach(Vec::new());
        raw.send(&StreamOpen { stream: 1, command, offset: 0 });
        raw.send(&StreamData { stream: 1, bytes: forged.clone().into() });
        raw.expect_end();
    }
    for stream in [0, 1, 2, u32::MAX] {
        let mut raw = rogue.attach(Vec::new());
        raw.send(&StreamData { stream, bytes: forged.clone().into() });
        raw.expect_end();
    }
    rogue.finish_honest();
    assert!(rogue.lines("sends the log of a command") >= 1);
}

/// Waits for the start of the rogue's own command.
fn start(raw: &mut Raw) -> CommandId {
    loop {
        let frame = raw.receive().expect("the master sends an order");
        if frame.kind == Start::KIND {
            return frame.open::<Start>().expect("a start").command;
        }
    }
}

#[test]
fn an_end_is_said_once_and_on_the_present_connection() {
    let rogue = Rogue::new();
    let mut older = rogue.attach(Vec::new());
    assert_eq!(rogue.yard.changeport(&["submit", "own"]).out(), "own#1\n");
    let command = start(&mut older);
    let mut newer = rogue.attach(vec![running(command)]);
    older.send(&ended(command, 0, 0));
    older.expect_end();
    newer.send(&ended(command, 7, 0));
    newer.send(&ended(command, 0, 0));
    newer.send(&running(command));
    assert_eq!(rogue.yard.results("own", 1), ["FAILURE"]);
    let waited = rogue.yard.changeport(&["wait", "own#1"]);
    assert_eq!(waited.code(), 7, "{}", waited.err());
}

#[test]
fn its_own_streams_keep_to_the_limits() {
    let rogue = Rogue::new();
    let record = |size: usize| {
        let mut bytes = Vec::new();
        record::append(&mut bytes, record::Channel::Out, 1, &vec![b'x'; size]);
        bytes
    };
    let two = [record(40_000), record(40_000)].concat();
    let mut command = None;
    for (what, bytes) in
        [("more than a piece may be", two), ("no record", b"x".to_vec()), ("a hole", record(1))]
    {
        let mut raw = rogue.attach(command.map(running).into_iter().collect());
        let id = command.unwrap_or_else(|| {
            assert_eq!(rogue.yard.changeport(&["submit", "own"]).out(), "own#1\n");
            start(&mut raw)
        });
        command = Some(id);
        let offset = if what == "a hole" { 1 << 40 } else { 0 };
        raw.send(&StreamOpen { stream: 1, command: id, offset });
        raw.send(&StreamData { stream: 1, bytes: bytes.into() });
        raw.expect_end();
    }
    // A log that can never be whole is trouble of this command alone.
    let mut raw = rogue.attach(command.map(running).into_iter().collect());
    raw.send(&ended(command.expect("it was started"), 0, u64::MAX));
    assert_eq!(rogue.yard.results("own", 1), ["SUCCESS"]);
    rogue.honest_command();
    rogue.finish_honest();
}
