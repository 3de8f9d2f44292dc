//! A follower beside a real loop, whose worker is played by hand.

use std::sync::Arc;
use std::time::Duration;

use attempt::{CommandId, Outcome, Place, Stamp, ToMaster, View};
use config::Name;
use engine::row::User;
use engine::{Answer, LaunchOffer, LaunchWait, Offer, Submission};
use proto::record::{self, Channel};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::client::{Callers, Users};
use crate::core::listening::{Heard, listen_in};
use crate::core::{self, Core, Parts, ToSession, WorkerSession};
use crate::log::{Keeper, Shelf};
use crate::status::SourceBoard;
use crate::store::{Start, StateUrl, Store};
use crate::tasks::Tasks;

const CONFIGURATION: &str = r#"version = 1
master = { name = "m", data = "data" }
worker.local = { names = ["w1"], max_builds = 1 }
worker_port = { listen = "127.0.0.1:0", token_file = "tokens" }
change_source.launch = { type = "changeport", listen = ["unix:change.sock"] }
app.one = { builder = "one" }
[builder.one]
workers = ["local"]
steps = [{ name = "one", command = ["true"] }]
"#;
const STAMP: Stamp = Stamp { epoch: 1, session: 1 };
/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

struct Yard {
    parts: ListenerParts,
    heard: Heard,
    core: Core,
    orders: mpsc::Receiver<ToSession>,
    _folder: TempDir,
}

fn worker() -> Name {
    Name::parse("w1").unwrap()
}

fn place() -> Place {
    Place { boot_id: "boot".to_owned(), spool_id: "spool".to_owned() }
}

impl Yard {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("master.toml");
        std::fs::write(&file, CONFIGURATION).unwrap();
        std::fs::write(folder.path().join("tokens"), "").unwrap();
        let settings = crate::settings::read(&file).unwrap().configuration.unwrap().engine;
        let state = StateUrl::Sqlite(folder.path().join("state.db"));
        let opened = Store::open(&state, Start { incarnation: 7, wall_us: 1 }).await.unwrap();
        let store = Arc::new(opened.store);
        let shelf = Arc::new(Shelf::open(&folder.path().join("logs")).unwrap());
        let tasks = Tasks::default();
        let (seals, wanted) = mpsc::channel(16);
        let parts = Parts {
            store: store.clone(),
            settings: Arc::new(settings),
            identity: opened.identity,
            seals,
        };
        let (core, body) = core::run(parts, tasks.cancel().clone());
        tasks.spawn("engine", async { body.await.unwrap() });
        let keeper = Keeper::new(shelf.clone(), store.clone(), core.clone(), tasks.clone());
        tasks.spawn("keeper", keeper.run(wanted));
        let (ours, heard) = listen_in(Some(core.clone()), &tasks);
        let parts = ListenerParts {
            master: "m".to_owned(),
            host: "here".to_owned(),
            epoch: 1,
            started_us: 1,
            core: ours,
            store,
            shelf,
            sources: SourceBoard::default(),
            users: Users::default(),
            callers: Callers::of_process(),
            reloads: crate::reload::Reloads::to_nobody(),
        };
        let (sender, orders) = mpsc::channel(16);
        let yard = Self { parts, heard, core, orders, _folder: folder };
        yard.attach(sender, Vec::new()).await;
        yard
    }

    async fn attach(&self, sender: mpsc::Sender<ToSession>, commands: Vec<ToMaster>) {
        let close = CancellationToken::new();
        let session = WorkerSession { worker: worker(), stamp: STAMP, sender, close };
        let (worker, place) = (worker(), place());
        let event = Event::WorkerAttached {
            worker,
            stamp: STAMP,
            place,
            max_builds: 1,
            commands,
            readiness: engine::Readiness::Ready,
            facts: engine::Facts::default(),
        };
        self.core.attach(event, session).await.unwrap();
    }

    /// Launches the app; returns its command once the worker is to run it.
    async fn launch(&mut self) -> CommandId {
        let submission = Submission {
            principal: "unix:here:1000".to_owned(),
            key: "key".to_owned(),
            body: 1,
            offer: Offer::Launch(LaunchOffer {
                source: Name::parse("launch").unwrap(),
                app: Name::parse("one").unwrap(),
                args: Vec::new(),
                env: Vec::new(),
                offered: engine::variable::Offered::Somehow,
                cwd: Vec::new(),
                host: "here".to_owned(),
                user: User::default(),
                wait: LaunchWait::Follow,
            }),
        };
        let answer =
            self.core.ask(move |ticket| Event::Submitted { ticket, submission }).await.unwrap();
        assert!(matches!(answer, Answer::Accepted(_)));
        let Some(ToSession::Start(start)) = self.orders.recv().await else { panic!("a start") };
        let id = start.command;
        CommandId { incarnation: id.incarnation, counter: id.counter }
    }

    async fn report(&self, command: CommandId, view: View) {
        let report = ToMaster { command, view };
        let event = Event::Reported { worker: worker(), stamp: STAMP, report };
        self.core.tell(event).await.unwrap();
    }

    async fn follow(&self) -> Follower {
        let follow = Follow { request: "one#1".to_owned(), position: Position::default() };
        Follower::start(&self.parts, &Authority::All, &follow).await.unwrap().unwrap()
    }

    /// Returns how much output comes until that many bytes did, or the end.
    async fn read(&self, follower: &mut Follower, most: usize) -> (usize, Option<Ended>) {
        let mut got = 0;
        while got < most {
            match self.next(follower).await {
                Step::Output(output) => got += output.records.as_ref().len(),
                Step::Progress(_) => {}
                Step::Ended(ended) => return (got, Some(ended)),
                Step::LogEnded(_) => panic!("nobody asked for a log"),
            }
        }
        (got, None)
    }

    async fn next(&self, follower: &mut Follower) -> Step {
        let next = tokio::time::timeout(PATIENCE, follower.next(&self.parts)).await;
        next.expect("a follower waits for nothing").unwrap()
    }
}

fn records(count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..count {
        record::append(&mut bytes, Channel::Out, 1, &[b'x'; 50_000]);
    }
    bytes
}

fn ended(log_bytes: usize) -> View {
    View::Ended { outcome: Outcome::Exited(0), log_bytes: log_bytes as u64, properties: None }
}

#[tokio::test]
async fn reading_on_asks_nobody_while_nothing_changes() {
    let mut yard = Yard::new().await;
    let command = yard.launch().await;
    yard.report(command, View::Running).await;
    let records = records(200);
    let live = yard.parts.shelf.live(command).unwrap().unwrap();
    let (first, rest) = records.split_at(records.len() / 2);
    live.append(0, first).unwrap();
    let mut follower = yard.follow().await;
    assert_eq!(yard.read(&mut follower, first.len()).await, (first.len(), None));
    // It has read all there is, and goes on as the log grows.
    live.append(first.len() as u64, rest).unwrap();
    assert_eq!(yard.read(&mut follower, rest.len()).await, (rest.len(), None));
    let questions = yard.heard.questions();
    assert!(questions <= 6, "{questions} questions for {} bytes", records.len());
    yard.report(command, ended(records.len())).await;
    let (more, end) = yard.read(&mut follower, usize::MAX).await;
    assert_eq!((more, end.unwrap().exit_code), (0, 0));
    let before = yard.heard.questions();
    // Of a request that has ended it knows as much.
    let mut late = yard.follow().await;
    let (got, end) = yard.read(&mut late, usize::MAX).await;
    assert_eq!((got, end.unwrap().exit_code), (records.len(), 0));
    assert!(yard.heard.questions() - before <= 3);
}

#[tokio::test]
async fn a_log_whose_rest_is_lost_is_followed_to_where_it_ends() {
    for is_anything_here in [true, false] {
        let mut yard = Yard::new().await;
        let command = yard.launch().await;
        let records = records(1);
        let here = if is_anything_here { records.len() } else { 0 };
        let live = yard.parts.shelf.live(command).unwrap().unwrap();
        if is_anything_here {
            live.append(0, &records).unwrap();
        }
        drop(live);
        yard.report(command, ended(2 * records.len())).await;
        let mut follower = yard.follow().await;
        assert_eq!(yard.read(&mut follower, here).await, (here, None));
        let end = {
            let mut waiting = Box::pin(yard.read(&mut follower, usize::MAX));
            // It waits for the rest before that is known to be lost.
            let early = tokio::time::timeout(Duration::from_millis(50), &mut waiting).await;
            assert!(early.is_err(), "the log has an end already");
            yard.attach(mpsc::channel(16).0, Vec::new()).await;
            waiting.await
        };
        assert_eq!((end.0, end.1.unwrap().exit_code), (0, 0));
    }
}
