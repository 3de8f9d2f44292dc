//! Takes submissions and polled changes in: idempotency, changes, launches.

use std::collections::BTreeMap;

use config::Name;

use crate::decision::{Accepted, Answer, Refusal};
use crate::engine::Engine;
use crate::event::{LaunchOffer, LaunchWait, NewChange, Offer, PolledChange, Submission, Ticket};
use crate::id::{ChangeId, RequestName};
use crate::property::{self, Source};
use crate::row::{Change, Launch, OnDisconnect, SourceHeads, SubmissionKey};
use crate::schedule::NewRequest;
use crate::time::Now;
use crate::variable::Pattern;

/// The category of the change that a launch is.
const LAUNCH_CATEGORY: &str = "launch";

/// What a submission led to.
struct Made {
    change: ChangeId,
    requests: Vec<RequestName>,
    schedulers: Vec<String>,
}

/// Why a submission led to nothing.
enum NotMade {
    Refused(Refusal),
    EnvWanted(Vec<Pattern>),
}

impl From<Refusal> for NotMade {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Engine {
    pub(crate) fn submitted(&mut self, now: Now, ticket: Ticket, submission: Submission) {
        let Submission { principal, key, body, offer } = submission;
        if let Some(known) = self.volatile.recent.find(&principal, &key) {
            let answer = repeat(known, body);
            self.answer(ticket, answer);
            return;
        }
        let made = match offer {
            Offer::Launch(launch) => self.launch(now, &principal, launch),
            Offer::Change(change) => self.submitted_change(now, &principal, change),
        };
        match made {
            Ok(made) => self.accept(now, ticket, SubmissionId { principal, key, body }, made),
            Err(NotMade::Refused(refusal)) => self.refuse(ticket, refusal),
            Err(NotMade::EnvWanted(patterns)) => self.answer(ticket, Answer::EnvWanted(patterns)),
        }
    }

    fn accept(&mut self, now: Now, ticket: Ticket, id: SubmissionId, made: Made) {
        let Made { change, requests, schedulers } = made;
        let row = SubmissionKey {
            principal: id.principal,
            key: id.key,
            body: id.body,
            change,
            requests: requests.clone(),
            schedulers: schedulers.clone(),
            accepted_us: now.wall_us,
        };
        self.durable.keep_key(row.clone());
        self.volatile.recent.remember(now.boot_us, row);
        self.answer(ticket, Answer::Accepted(Accepted { change, requests, schedulers }));
    }

    fn launch(&mut self, now: Now, principal: &str, offer: LaunchOffer) -> Result<Made, NotMade> {
        let settings = self.settings.clone();
        let app = settings.apps.get(&offer.app).ok_or_else(|| unknown_app(&offer.app))?;
        if offer.wait == LaunchWait::StartNow && !self.can_start_now(&app.builder, principal) {
            return Err(would_queue(&offer.app).into());
        }
        let missing = app.env_missing(&offer.offered);
        if !missing.is_empty() {
            return Err(NotMade::EnvWanted(missing));
        }
        let on_disconnect = match offer.wait {
            LaunchWait::Detach => OnDisconnect::Keep,
            LaunchWait::Follow | LaunchWait::StartNow => app.on_disconnect,
        };
        let label = offer.app.clone();
        let properties = property::from(&Source::App(offer.app.clone()), &app.properties);
        let env = offer.env.into_iter();
        let env = env.filter(|(name, value)| app.allows_variable(name, value)).collect();
        let launch = Launch {
            app: offer.app,
            args: offer.args,
            env,
            cwd: offer.cwd,
            host: offer.host,
            user: offer.user,
        };
        let author = launch.user.name.clone().into_bytes();
        let new = NewChange {
            source: Some(offer.source),
            category: Some(LAUNCH_CATEGORY.to_owned()),
            author,
            ..NewChange::default()
        };
        let change = self.add_change(now, principal, new, now.wall_us, Some(launch))?;
        let request = self.add_request(
            now,
            NewRequest {
                label,
                builder: app.builder.clone(),
                changes: vec![change],
                owner: principal.to_owned(),
                reason: LAUNCH_CATEGORY.to_owned(),
                scheduler: None,
                priority: app.priority,
                collapses: false,
                on_disconnect,
                properties,
            },
        );
        let (mut requests, schedulers) = self.schedule(now, change);
        requests.insert(0, request);
        Ok(Made { change, requests, schedulers })
    }

    fn submitted_change(
        &mut self,
        now: Now,
        principal: &str,
        new: NewChange,
    ) -> Result<Made, NotMade> {
        let change = self.add_change(now, principal, new, now.wall_us, None)?;
        let (requests, schedulers) = self.schedule(now, change);
        Ok(Made { change, requests, schedulers })
    }

    pub(crate) fn polled(
        &mut self,
        now: Now,
        ticket: Ticket,
        source: Name,
        heads: BTreeMap<String, String>,
        changes: Vec<PolledChange>,
    ) {
        let principal = Change::found_by(&source);
        for polled in changes {
            let new = NewChange { source: Some(source.clone()), ..polled.change };
            match self.add_change(now, &principal, new, polled.when_us, None) {
                Ok(change) => {
                    self.schedule(now, change);
                }
                Err(refusal) => return self.refuse(ticket, refusal),
            }
        }
        self.durable.heads.put(SourceHeads { source, heads });
        self.answer(ticket, Answer::Polled);
    }

    fn add_change(
        &mut self,
        now: Now,
        principal: &str,
        new: NewChange,
        when_us: i64,
        launch: Option<Launch>,
    ) -> Result<ChangeId, Refusal> {
        let source =
            new.source.or_else(|| self.settings.changeport.clone()).ok_or_else(no_source)?;
        let id = self.durable.next_change();
        self.durable.changes.put(Change {
            id,
            source,
            principal: principal.to_owned(),
            category: new.category,
            branch: new.branch,
            revision: new.revision,
            repository: new.repository,
            project: new.project,
            codebase: new.codebase,
            author: new.author,
            comments: new.comments,
            files: new.files,
            properties: new.properties,
            when_us,
            accepted_us: now.wall_us,
            launch,
            holders: 0,
        });
        Ok(id)
    }
}

/// What makes a submission the same submission.
struct SubmissionId {
    principal: String,
    key: String,
    body: u64,
}

/// Returns the answer to a key that was accepted before, also for the listener that found it
/// in the store.
pub fn repeat(known: &SubmissionKey, body: u64) -> Answer {
    if known.body != body {
        return Answer::Refused(Refusal {
            code: "key_reused",
            message: format!("launch id `{}` was used for something else", known.key),
            hint: "draw a new id for each launch".to_owned(),
        });
    }
    Answer::Accepted(Accepted {
        change: known.change,
        requests: known.requests.clone(),
        schedulers: known.schedulers.clone(),
    })
}

fn unknown_app(app: &Name) -> Refusal {
    Refusal {
        code: "unknown_app",
        message: format!("there is no app `{app}`"),
        hint: "the administrator defines apps in master.toml as `app.NAME`".to_owned(),
    }
}

fn would_queue(app: &Name) -> Refusal {
    Refusal {
        code: "would_queue",
        message: format!("{app} cannot start at once"),
        hint: format!("try later, or: changeport submit {app}"),
    }
}

fn no_source() -> Refusal {
    Refusal {
        code: "no_change_source",
        message: "no change source takes submissions".to_owned(),
        hint: "add a change_source of type \"changeport\" to master.toml".to_owned(),
    }
}
