//! The loop on a database that refuses.

use config::Name;
use engine::row::User;
use engine::{Departure, LaunchOffer, LaunchWait, Offer, RequestId, Submission};
use tempfile::TempDir;

use super::*;
use crate::store::tests::fault;
use crate::store::{self, StateUrl};

const CONFIGURATION: &str = r#"version = 1
master = { name = "m", data = "data" }
worker.local = { names = ["w1"], max_builds = 1 }
worker_port = { listen = "127.0.0.1:0", token_file = "tokens" }
change_source.launch = { type = "changeport", listen = ["unix:change.sock"] }
app.one = { builder = "one" }
app.bad = { builder = "one" }
[builder.one]
workers = ["local"]
steps = [{ name = "one", command = ["true"] }]
"#;

/// A loop whose database refuses every request of the app `bad`.
struct Refusing {
    yard: Yard,
    drawn: u64,
    _folder: TempDir,
}

impl Refusing {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("master.toml");
        std::fs::write(&file, CONFIGURATION).unwrap();
        std::fs::write(folder.path().join("tokens"), "").unwrap();
        let reading = crate::settings::read(&file).unwrap();
        let settings = reading.configuration.expect("no errors").engine;
        let database = folder.path().join("state.db");
        let start = store::Start { incarnation: 7, wall_us: 1 };
        let opened = Store::open(&StateUrl::Sqlite(database.clone()), start).await.unwrap();
        fault::refuse_bad_requests(&database).await;
        let parts = Parts {
            store: Arc::new(opened.store),
            settings: Arc::new(settings),
            identity: opened.identity,
            seals: mpsc::channel(1).0,
        };
        let yard = Yard::restore(parts, CancellationToken::new()).await.unwrap();
        Self { yard, drawn: 0, _folder: folder }
    }

    fn launch(&mut self, app: &str) -> (Input, oneshot::Receiver<Answer>) {
        self.drawn += 1;
        let submission = Submission {
            principal: "unix:here:1000".to_owned(),
            key: format!("key {}", self.drawn),
            body: 1,
            offer: Offer::Launch(LaunchOffer {
                source: Name::parse("launch").unwrap(),
                app: Name::parse(app).unwrap(),
                args: Vec::new(),
                env: Vec::new(),
                offered: engine::variable::Offered::Somehow,
                cwd: Vec::new(),
                host: "here".to_owned(),
                user: User { name: "ann".to_owned(), uid: None, gid: None, home: String::new() },
                wait: LaunchWait::Follow,
            }),
        };
        let (reply, answer) = oneshot::channel();
        let make = move |ticket| Event::Submitted { ticket, submission };
        (Input::Asked(Box::new(make), reply), answer)
    }

    async fn take(&mut self, mut batch: Vec<Input>) {
        self.yard.take(&mut batch).await.unwrap();
    }

    /// Takes a batch that is rolled back because of one submission in it.
    async fn take_with_a_bad_one(&mut self, event: Event) {
        let (bad, refused) = self.launch("bad");
        self.take(vec![Input::Event(event), bad]).await;
        let answer = refused.await.unwrap();
        assert!(matches!(&answer, Answer::Refused(why) if why.code == "not_stored"), "{answer:?}");
    }

    async fn accepted(&mut self) -> RequestId {
        let (launch, answer) = self.launch("one");
        self.take(vec![launch]).await;
        assert!(matches!(answer.await.unwrap(), Answer::Accepted(_)));
        self.yard.engine.durable().requests().next().expect("it was accepted").id
    }

    fn is_waiting(&self, request: RequestId) -> bool {
        self.yard.engine.standing(request).is_some()
    }
}

#[tokio::test]
async fn a_follower_that_came_in_a_refused_batch_is_counted_once() {
    let mut yard = Refusing::new().await;
    let request = yard.accepted().await;
    yard.take(vec![Input::Event(Event::FollowerCame { request })]).await;
    yard.take_with_a_bad_one(Event::FollowerCame { request }).await;
    yard.take(vec![Input::Event(Event::FollowerLeft { request, departure: Departure::Farewell })])
        .await;
    assert!(yard.is_waiting(request), "one still follows");
    yard.take(vec![Input::Event(Event::FollowerLeft { request, departure: Departure::Farewell })])
        .await;
    assert!(!yard.is_waiting(request), "nobody follows");
}

#[tokio::test]
async fn a_follower_that_left_in_a_refused_batch_is_counted_once() {
    let mut yard = Refusing::new().await;
    let request = yard.accepted().await;
    for _ in 0..2 {
        yard.take(vec![Input::Event(Event::FollowerCame { request })]).await;
    }
    yard.take_with_a_bad_one(Event::FollowerLeft { request, departure: Departure::Farewell }).await;
    assert!(yard.is_waiting(request), "one still follows");
    yard.take(vec![Input::Event(Event::FollowerLeft { request, departure: Departure::Farewell })])
        .await;
    assert!(!yard.is_waiting(request), "nobody follows");
}
