//! Those who talk to the master: callers of apps, senders of changes, a polled repository and
//! people who follow or stop requests. They remember every answer and hold the master to it.

use std::collections::{BTreeMap, BTreeSet};

use config::Value;
use engine::row::{Build, Request, RequestState, SubmissionKey, User};
use engine::variable::{Offered, Pattern};
use engine::{
    Abandoned, Accepted, Answer, BuildResult, Engine, Event, GivenUp, LaunchOffer, LaunchWait,
    NewChange, Offer, PolledChange, Prioritized, RequestId, RequestName, StopScope, Stopped,
    Submission, Ticket, repeat,
};

use crate::database::Database;
use crate::host::rng::Rng;
use crate::yard::{APPS, POLLED, SUBMITTED, named};

const BRANCHES: [&str; 3] = ["main", "next", "old"];
const PRINCIPALS: [&str; 2] = ["unix:host:1000", "token:ci"];

/// What an answer is waited for.
#[derive(Debug, Clone)]
enum Asked {
    Submission(Box<Submission>),
    Poll(BTreeMap<String, String>),
    Stop(RequestId),
    GiveUp(Abandoned),
    Priority(RequestId, i32),
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    next_ticket: u64,
    next_serial: u64,
    asked: BTreeMap<Ticket, Asked>,
    /// Submitted and not answered: to be repeated, as a real client does.
    unanswered: Vec<Submission>,
    accepted: Vec<(Submission, Accepted)>,
    /// Where in `accepted` a key is.
    accepted_at: BTreeMap<(String, String), usize>,
    /// The polled repository: the revisions of each branch, oldest first.
    repository: BTreeMap<String, Vec<String>>,
    /// The requests somebody follows, and whether their end was seen.
    pub(crate) following: BTreeMap<RequestId, bool>,
    /// Followers who lost the master.
    pub(crate) cut_off: BTreeSet<RequestId>,
}

/// The files of a change: of every third only what is not important, of some none at all.
fn touched(serial: &str) -> Vec<Vec<u8>> {
    let files: &[&str] = match serial.bytes().last() {
        Some(b'0' | b'3' | b'6') => &["docs/a.md"],
        Some(b'9') => &[],
        _ => &["docs/a.md", "src/a/b.rs"],
    };
    files.iter().map(|file| file.as_bytes().to_vec()).collect()
}

/// What a change says of properties: sometimes that somebody else is behind it.
fn said(rng: &mut Rng, serial: &str) -> BTreeMap<String, Value> {
    let said = [("level", serial), ("owner", "root")];
    let said = said.into_iter().filter(|_| rng.permille(300));
    said.map(|(name, value)| (name.to_owned(), Value::Str(value.to_owned()))).collect()
}

fn offered(patterns: &[&str]) -> Offered {
    Offered::By(patterns.iter().map(|pattern| pattern.as_bytes().to_vec()).collect())
}

impl Clients {
    fn ticket(&mut self, asked: Asked) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.asked.insert(ticket, asked);
        ticket
    }

    /// Something new, perhaps twice at once, or something old once more.
    pub(crate) fn submit(&mut self, rng: &mut Rng, database: &Database) -> Vec<Event> {
        let submission = match rng.below(10) {
            0 => self.old_submission(rng),
            1 => self.unanswered.pop(),
            _ => Some(self.new_submission(rng)),
        };
        // Both were looked up before either was accepted.
        let twin = submission.clone().filter(|_| rng.permille(100));
        let both = submission.into_iter().chain(twin);
        both.filter_map(|submission| self.offer(submission, database)).collect()
    }

    /// Repeats everything that was never answered.
    pub(crate) fn repeat_all(&mut self, database: &Database) -> Vec<Event> {
        let unanswered = std::mem::take(&mut self.unanswered);
        unanswered.into_iter().filter_map(|submission| self.offer(submission, database)).collect()
    }

    /// Keeps a submission to be repeated, once: a client that was told what is wanted does not go
    /// back to what it sent before.
    fn again(&mut self, submission: Submission) {
        let id = |known: &Submission| (known.principal.clone(), known.key.clone());
        if self.unanswered.iter().all(|known| id(known) != id(&submission)) {
            self.unanswered.push(submission);
        }
    }

    fn offer(&mut self, submission: Submission, database: &Database) -> Option<Event> {
        let id = (submission.principal.clone(), submission.key.clone());
        let ticket = self.ticket(Asked::Submission(Box::new(submission.clone())));
        // The listener asks the store first.
        match database.keys.get(&id) {
            Some(known) => {
                let answer = repeat(known, submission.body);
                self.answered(ticket, &answer, database);
                None
            }
            None => Some(Event::Submitted { ticket, submission }),
        }
    }

    fn old_submission(&mut self, rng: &mut Rng) -> Option<Submission> {
        let (old, _) = rng.pick(&self.accepted)?;
        let changed = rng.permille(300);
        Some(Submission { body: if changed { old.body + 1 } else { old.body }, ..old.clone() })
    }

    fn new_submission(&mut self, rng: &mut Rng) -> Submission {
        self.next_serial += 1;
        let serial = self.next_serial.to_string();
        let offer = if rng.permille(700) {
            Offer::Launch(LaunchOffer {
                source: named(SUBMITTED),
                app: named(rng.pick(&APPS).copied().unwrap_or_default()),
                args: vec![serial.clone().into_bytes()],
                env: vec![(b"DISPLAY".to_vec(), b":1".to_vec()), (b"HOME".to_vec(), Vec::new())],
                // Now and then a client has not looked for what the app wants.
                offered: offered(if self.next_serial.is_multiple_of(5) {
                    &[]
                } else {
                    &["DISPLAY"]
                }),
                cwd: b"/".to_vec(),
                host: "host".to_owned(),
                user: User::default(),
                wait: [LaunchWait::Follow, LaunchWait::Detach, LaunchWait::StartNow][rng.index(3)],
            })
        } else {
            Offer::Change(NewChange {
                branch: rng.pick(&BRANCHES).map(|branch| (*branch).to_owned()),
                comments: serial.clone().into_bytes(),
                properties: said(rng, &serial),
                files: touched(&serial),
                ..NewChange::default()
            })
        };
        let principal = PRINCIPALS[rng.index(PRINCIPALS.len())].to_owned();
        Submission { principal, key: format!("key-{serial}"), body: self.next_serial, offer }
    }

    /// People commit, and the poller asks the master to take it in.
    pub(crate) fn poll(&mut self, rng: &mut Rng, engine: &Engine) -> Event {
        for _ in 0..rng.below(3) {
            let branch = BRANCHES[rng.index(BRANCHES.len())];
            self.next_serial += 1;
            let revision = format!("r{}", self.next_serial);
            self.repository.entry(branch.to_owned()).or_default().push(revision);
        }
        let known = engine.durable().heads_of(&named(POLLED)).unwrap_or_default();
        let mut heads = BTreeMap::new();
        let mut changes = Vec::new();
        for (branch, revisions) in &self.repository {
            let seen = known
                .get(branch)
                .and_then(|head| revisions.iter().rposition(|revision| revision == head));
            let first_new = seen.map_or(0, |at| at + 1);
            for revision in &revisions[first_new..] {
                let change = NewChange {
                    branch: Some(branch.clone()),
                    revision: Some(revision.clone()),
                    properties: said(rng, revision),
                    files: touched(revision),
                    ..NewChange::default()
                };
                changes.push(PolledChange { change, when_us: 1 });
            }
            heads.extend(revisions.last().map(|head| (branch.clone(), head.clone())));
        }
        let ticket = self.ticket(Asked::Poll(heads.clone()));
        Event::Polled { ticket, source: named(POLLED), heads, changes }
    }

    /// Somebody stops a request.
    pub(crate) fn stop(&mut self, request: RequestId, scope: StopScope) -> Event {
        let ticket = self.ticket(Asked::Stop(request));
        let order = attempt::StopOrder { signal: 15, grace_ms: 1_000 };
        Event::StopWanted { ticket, request, reason: "stopped by hand".to_owned(), order, scope }
    }

    /// An administrator has a request served sooner or later.
    pub(crate) fn prioritize(&mut self, request: RequestId, priority: i32) -> Event {
        let ticket = self.ticket(Asked::Priority(request, priority));
        Event::PriorityWanted { ticket, request, priority }
    }

    /// Somebody does not wait any longer.
    pub(crate) fn give_up(&mut self, abandoned: Abandoned) -> Event {
        let ticket = self.ticket(Asked::GiveUp(abandoned.clone()));
        Event::GiveUpWanted { ticket, abandoned, reason: "given up by hand".to_owned() }
    }

    /// The answer of a master, after its commit.
    pub(crate) fn answered(&mut self, ticket: Ticket, answer: &Answer, database: &Database) {
        let Some(asked) = self.asked.remove(&ticket) else { return };
        match (asked, answer) {
            (Asked::Submission(submission), Answer::Accepted(accepted)) => {
                let row = known(&submission, database);
                assert_eq!(row.map(|row| row.body), Some(submission.body), "it was this");
                for request in &accepted.requests {
                    assert!(database.named(request).is_some(), "{request} was promised");
                }
                self.remember(*submission, accepted.clone());
            }
            (Asked::Submission(submission), Answer::Refused(refusal)) => {
                let known = known(&submission, database);
                let is_right = match refusal.code {
                    "key_reused" => known.is_some_and(|row| row.body != submission.body),
                    "would_queue" => known.is_none(),
                    _ => false,
                };
                assert!(is_right, "{submission:?} was refused: {refusal:?}");
            }
            (Asked::Submission(mut submission), Answer::EnvWanted(patterns)) => {
                assert_eq!(known(&submission, database), None, "nothing was taken");
                let Offer::Launch(launch) = &mut submission.offer else {
                    panic!("a change has no environment: {submission:?}");
                };
                let wanted: Vec<&str> = patterns.iter().map(Pattern::as_str).collect();
                assert_eq!((&launch.offered, &wanted[..]), (&offered(&[]), &["DISPLAY"][..]));
                launch.offered = offered(&wanted);
                self.again(*submission);
            }
            (Asked::Poll(heads), Answer::Polled) => {
                let stored = database.heads.get(POLLED).map(|row| &row.heads);
                assert_eq!(stored, Some(&heads), "the heads are stored with their changes");
            }
            (Asked::Stop(request), Answer::Stopped(stopped)) => {
                let state = &database.requests[&request].state;
                let is_true = match (stopped, state) {
                    (Stopped::Waiting, RequestState::Done { result, .. }) => {
                        *result == BuildResult::Cancelled
                    }
                    (Stopped::Running | Stopped::Away { .. }, RequestState::Running { build }) => {
                        database.builds[build].stop_reason.is_some()
                    }
                    (Stopped::Spared, RequestState::Running { .. }) => true,
                    (
                        Stopped::Running | Stopped::Away { .. } | Stopped::Spared | Stopped::Done,
                        RequestState::Done { .. },
                    ) => true,
                    (_, _) => false,
                };
                assert!(is_true, "{stopped:?}, but it is {state:?}");
            }
            (Asked::Priority(request, priority), Answer::Prioritized(prioritized)) => {
                check_prioritized(&database.requests[&request], priority, prioritized);
            }
            (Asked::GiveUp(abandoned), Answer::GivenUp(given_up)) => {
                check_given_up(&abandoned, given_up, database);
            }
            (Asked::GiveUp(Abandoned::Worker(_)), Answer::Refused(refusal)) => {
                assert_eq!(refusal.code, "unknown_worker", "the configuration has changed");
            }
            (asked, answer) => panic!("{answer:?} is no answer to {asked:?}"),
        }
    }

    fn remember(&mut self, submission: Submission, accepted: Accepted) {
        let key = (submission.principal.clone(), submission.key.clone());
        match self.accepted_at.get(&key) {
            Some(at) => assert_eq!(self.accepted[*at].1, accepted, "the answer to a key changed"),
            None => {
                self.accepted_at.insert(key, self.accepted.len());
                self.accepted.push((submission, accepted));
            }
        }
    }

    /// The master died: open questions stay open, followers are cut off.
    pub(crate) fn master_died(&mut self) {
        for asked in std::mem::take(&mut self.asked).into_values() {
            if let Asked::Submission(submission) = asked {
                self.again(*submission);
            }
        }
        let seen = std::mem::take(&mut self.following);
        self.cut_off.extend(seen.into_iter().filter(|(_, saw_end)| !saw_end).map(|(id, _)| id));
    }

    /// A follower looks at its request, because it was told to or because it just came.
    pub(crate) fn look(&mut self, request: RequestId, database: &Database) {
        if let Some(saw_end) = self.following.get_mut(&request) {
            let row = database.requests.get(&request);
            *saw_end = row.is_some_and(|row| matches!(row.state, RequestState::Done { .. }));
        }
    }

    /// Nothing that was accepted has vanished: it is alive, or its end is stored.
    pub(crate) fn check_accepted(&self, engine: &Engine, database: &Database) {
        let names = self.accepted.iter().flat_map(|(_, accepted)| &accepted.requests);
        for name in names {
            check_living(name, engine, database);
        }
        for request in database.requests.values() {
            check_living(&request.name, engine, database);
        }
    }

    /// At the end: every question has its answer, and everything was taken in exactly once.
    pub(crate) fn check_settled(&self, database: &Database) {
        assert!(self.asked.is_empty(), "never answered: {:?}", self.asked);
        assert!(self.unanswered.is_empty(), "never answered: {:?}", self.unanswered);
        let unseen: Vec<_> = self.following.iter().filter(|(_, saw_end)| !**saw_end).collect();
        assert!(unseen.is_empty(), "followers never heard of the end: {unseen:?}");
        let mut submitted = BTreeSet::new();
        let mut polled = BTreeSet::new();
        for change in database.changes.values() {
            let serial = change.launch.as_ref().map_or(&change.comments, |launch| &launch.args[0]);
            let is_new = if change.source.as_str() == SUBMITTED {
                submitted.insert(serial.clone())
            } else {
                polled.insert((change.branch.clone(), change.revision.clone()))
            };
            assert!(is_new, "taken in twice: {change:?}");
        }
        assert_eq!(submitted.len(), database.keys.len(), "a change for each key");
        let commits = self.repository.values().map(Vec::len).sum::<usize>();
        assert!(polled.len() <= commits, "more changes than commits");
        let heads = database.heads.get(POLLED).map(|row| row.heads.clone()).unwrap_or_default();
        for (branch, revisions) in &self.repository {
            let head = heads.get(branch);
            assert_eq!(head, revisions.last(), "the head of {branch}");
        }
        assert_eq!(polled.len(), commits, "a change for each commit");
    }
}

/// Unless it was served or merged it has what was asked for.
fn check_prioritized(row: &Request, priority: i32, prioritized: &Prioritized) {
    let is_true = match (prioritized, &row.state) {
        // It may have been served at once.
        (Prioritized::Waiting, _) => row.priority == priority,
        (Prioritized::Merged { .. }, RequestState::Merged { .. })
        | (Prioritized::Running, RequestState::Running { .. })
        | (Prioritized::Done, RequestState::Done { .. }) => true,
        (_, _) => false,
    };
    assert!(is_true, "{prioritized:?}, but it is {row:?}");
}

/// What was given up is over. A place of it that became free may have been taken at once.
fn check_given_up(abandoned: &Abandoned, given_up: &[GivenUp], database: &Database) {
    let is_over = match abandoned {
        Abandoned::Request(id) => {
            matches!(database.requests[id].state, RequestState::Done { .. })
        }
        Abandoned::Worker(worker) => {
            let is_listed = |build: &&Build| given_up.iter().any(|one| one.request == build.name);
            let mut builds = database.builds.values().filter(|build| build.worker == *worker);
            let last = builds.clone().filter(is_listed).map(|build| build.id).max();
            builds.all(|build| build.end.is_some() || last.is_some_and(|last| build.id > last))
        }
    };
    assert!(is_over, "{abandoned:?} was given up and goes on");
}

fn known<'a>(submission: &Submission, database: &'a Database) -> Option<&'a SubmissionKey> {
    database.keys.get(&(submission.principal.clone(), submission.key.clone()))
}

fn check_living(name: &RequestName, engine: &Engine, database: &Database) {
    let stored = database.named(name).unwrap_or_else(|| panic!("{name} vanished"));
    let is_over = matches!(stored.state, RequestState::Done { .. });
    let living = engine.durable().request_named(name);
    assert_eq!(living.is_none(), is_over, "{name} is {:?} and in memory {living:?}", stored.state);
}
