//! Takes launches and changes from clients.

use anyhow::anyhow;
use config::{Name, Value};
use engine::variable::Offered;
use engine::{Answer, Event, LaunchOffer, LaunchWait, NewChange, Offer, Submission};
use proto::message::command::Variable;
use proto::message::hello::Refusal;
use proto::message::launch::{Accepted, EnvWanted, Launch, SendChange, Wait};
use proto::{Bytes, feature, limits};
use tokio::sync::oneshot;

use super::fingerprint;
use super::listener::Door;
use super::session::{Session, refusal};

/// What a submission is answered with.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    Accepted(Accepted),
    EnvWanted(EnvWanted),
    Refused(Refusal),
}

/// An answer that is known, or that is known once the submission is committed.
#[derive(Debug)]
pub(super) enum Reply {
    Now(Verdict),
    Later(oneshot::Receiver<Answer>),
}

impl Reply {
    /// Waits for the answer. Cancel-safe: it can be waited for again.
    pub(super) async fn wait(&mut self) -> anyhow::Result<Verdict> {
        match self {
            Self::Now(verdict) => Ok(verdict.clone()),
            Self::Later(answer) => {
                Ok(verdict(answer.await.map_err(|_gone| anyhow!("the master is stopping"))?))
            }
        }
    }
}

fn refused(refusal: Refusal) -> anyhow::Result<Reply> {
    Ok(Reply::Now(Verdict::Refused(refusal)))
}

/// Longest launch id, in bytes.
const KEY_BYTES: usize = 64;

pub(super) async fn launch(session: &Session<'_>, launch: Launch) -> anyhow::Result<Reply> {
    let Door::Change { source, .. } = &session.door else {
        return refused(refusal("wrong_port", "launches go to the change port", ""));
    };
    if let Err(refused) = check_size(&launch.args, &launch.env) {
        return Ok(Reply::Now(Verdict::Refused(refused)));
    }
    let Ok(app) = Name::parse(&launch.app) else {
        let message = format!("there is no app `{}`", launch.app);
        return refused(refusal("unknown_app", &message, ""));
    };
    let wait = match launch.wait {
        Wait::Follow => LaunchWait::Follow,
        Wait::Detach => LaunchWait::Detach,
        Wait::StartNow => LaunchWait::StartNow,
        Wait::Unknown => {
            return refused(refusal("bad_request", "the way to wait is not known here", ""));
        }
    };
    let body = fingerprint::of_launch(&launch);
    let offer = LaunchOffer {
        source: source.clone(),
        app,
        args: launch.args.into_iter().map(|bytes| bytes.0).collect(),
        env: launch.env.into_iter().map(|v| (v.name.0, v.value.0)).collect(),
        offered: if session.features & feature::ENV_WANTED == 0 {
            Offered::Somehow
        } else {
            Offered::By(launch.offered.into_iter().map(|pattern| pattern.0).collect())
        },
        cwd: launch.cwd.0,
        host: launch.host,
        user: session.user().await?.clone(),
        wait,
    };
    submit(session, launch.launch_id, body, Offer::Launch(offer)).await
}

pub(super) async fn change(session: &Session<'_>, sent: SendChange) -> anyhow::Result<Reply> {
    let Door::Change { source, .. } = &session.door else {
        return refused(refusal("wrong_port", "changes go to the change port", ""));
    };
    let body = fingerprint::of_change(&sent);
    let mut properties = std::collections::BTreeMap::new();
    for Variable { name, value } in sent.properties {
        let Ok(name) = String::from_utf8(name.0) else {
            return refused(refusal("bad_request", "a property's name is not UTF-8", "rename it"));
        };
        properties.insert(name, Value::from_bytes(value.0));
    }
    let author = match sent.author {
        Some(author) => author.0,
        None => session.user().await?.name.clone().into_bytes(),
    };
    let new = NewChange {
        source: Some(source.clone()),
        category: sent.category,
        branch: sent.branch,
        revision: sent.revision,
        repository: sent.repository,
        project: sent.project,
        codebase: sent.codebase,
        author,
        comments: sent.comments.0,
        files: sent.files.into_iter().map(|file| file.0).collect(),
        properties,
    };
    submit(session, sent.launch_id, body, Offer::Change(new)).await
}

async fn submit(
    session: &Session<'_>,
    key: String,
    body: u64,
    offer: Offer,
) -> anyhow::Result<Reply> {
    if key.is_empty() || key.len() > KEY_BYTES || !key.is_ascii() {
        return refused(refusal("bad_request", "the launch id is not a short ASCII text", ""));
    }
    let principal = session.principal.name.clone();
    if let Some(known) = session.parts.store.key_find(&principal, &key).await? {
        return Ok(Reply::Now(verdict(engine::repeat(&known, body))));
    }
    let submission = Submission { principal, key, body, offer };
    let core = &session.parts.core;
    let answer = core.hand_in(move |ticket| Event::Submitted { ticket, submission }).await?;
    Ok(Reply::Later(answer))
}

fn verdict(answer: Answer) -> Verdict {
    match answer {
        Answer::Accepted(accepted) => Verdict::Accepted(Accepted {
            change: accepted.change.0,
            requests: accepted.requests.iter().map(ToString::to_string).collect(),
            schedulers: accepted.schedulers,
        }),
        Answer::EnvWanted(patterns) => Verdict::EnvWanted(EnvWanted {
            patterns: patterns.iter().map(|pattern| pattern.as_str().into()).collect(),
        }),
        Answer::Refused(refused) => {
            Verdict::Refused(refusal(refused.code, &refused.message, &refused.hint))
        }
        Answer::Polled
        | Answer::Reconfigured
        | Answer::Stopped(_)
        | Answer::Prioritized(_)
        | Answer::GivenUp(_) => Verdict::Refused(refusal(
            "bug",
            "the master answered another question",
            "please report this",
        )),
    }
}

fn check_size(args: &[Bytes], env: &[Variable]) -> Result<(), Refusal> {
    let values = args.iter().chain(env.iter().map(|variable| &variable.value));
    let largest = values.map(|value| value.0.len()).max().unwrap_or(0);
    let total: usize = args.iter().map(|arg| arg.0.len() + 1).sum::<usize>()
        + env.iter().map(|v| v.name.0.len() + v.value.0.len() + 2).sum::<usize>();
    if largest > limits::VALUE_BYTES {
        let message =
            format!("an argument of {largest} bytes is over the limit of {}", limits::VALUE_BYTES);
        return Err(refusal("too_large", &message, "pass it in a file"));
    }
    if total > limits::COMMAND_BYTES {
        let message = format!(
            "arguments and environment of {total} bytes are over the limit of {}",
            limits::COMMAND_BYTES
        );
        return Err(refusal("too_large", &message, "pass them in a file"));
    }
    let has_nul = args.iter().any(|arg| arg.0.contains(&0))
        || env
            .iter()
            .any(|v| v.name.0.contains(&0) || v.value.0.contains(&0) || v.name.0.contains(&b'='));
    if has_nul {
        return Err(refusal("bad_request", "an argument or variable holds a NUL byte", ""));
    }
    Ok(())
}
