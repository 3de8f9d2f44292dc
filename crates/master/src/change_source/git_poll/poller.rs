//! The task of one source: rounds, backoff, and what `master status` says about it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use config::Name;
use engine::{Answer, Event};
use failpoint::Act;
use proto::message::question::SourceLine;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::git::Git;
use super::mirror::Mirror;
use super::{GitPoll, round};
use crate::core::{Core, Question};
use crate::status::SourceBoard;

/// The longest pause after failures, unless the interval itself is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// What a poller needs of the master.
#[derive(Debug, Clone)]
pub struct PollerParts {
    pub core: Core,
    pub board: SourceBoard,
    /// Where mirrors are kept.
    pub mirrors: PathBuf,
}

/// One polling source.
#[derive(Debug)]
pub struct Poller {
    name: Name,
    source: GitPoll,
    parts: PollerParts,
}

impl Poller {
    pub fn new(name: Name, source: GitPoll, parts: PollerParts) -> Self {
        Self { name, source, parts }
    }

    /// Polls until cancelled.
    pub async fn run(self, cancel: CancellationToken) {
        let mut failures = 0u32;
        self.tell(true, "has not been polled yet".to_owned());
        if !self.source.poll_at_launch && !pause(self.source.poll_interval, &cancel).await {
            return;
        }
        loop {
            // Dropping a round half-way is safe: heads and changes are committed together.
            let ended = tokio::select! {
                ended = self.round() => ended,
                () = cancel.cancelled() => return,
            };
            match ended {
                Ok(detail) => {
                    failures = 0;
                    self.tell(true, detail);
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    let next = pause_after(self.source.poll_interval, failures);
                    warn!(source = %self.name, "poll {}: {error:#}; next try in {next:?}", self.name);
                    self.tell(false, format!("{error:#}{}", in_a_row(failures)));
                }
            }
            if !pause(pause_after(self.source.poll_interval, failures), &cancel).await {
                return;
            }
        }
    }

    /// Looks once and commits what is new. Returns one sentence for people.
    async fn round(&self) -> anyhow::Result<String> {
        let mirror = self.mirror(&self.parts.mirrors)?;
        let source = self.name.clone();
        let committed = self.parts.core.question(|reply| Question::Heads { source, reply }).await?;
        let Some(found) = round::look(&self.source, &mirror, committed.as_ref()).await? else {
            return Ok(format!(
                "{}, nothing new",
                branches(committed.map_or(0, |heads| heads.len()))
            ));
        };
        for branch in &found.rewritten {
            info!(source = %self.name, "branch {branch} was rewritten: its new head is one change");
        }
        for branch in &found.deleted {
            info!(source = %self.name, "branch {branch} is gone");
        }
        for (branch, count) in &found.left_out {
            warn!(
                source = %self.name,
                "branch {branch}: {count} older commits are left out; one round takes the newest {}",
                round::MOST_CHANGES
            );
        }
        let mut detail =
            format!("{}, {}", branches(found.heads.len()), new_changes(found.changes.len()));
        if !found.deleted.is_empty() {
            detail.push_str(&format!("; gone: {}", found.deleted.join(", ")));
        }
        let (source, heads, changes) = (self.name.clone(), found.heads, found.changes);
        let asked = move |ticket| Event::Polled { ticket, source, heads, changes };
        failpoint::before(Act::GitPolled);
        let answer = self.parts.core.ask(asked).await?;
        failpoint::after(Act::GitPolled);
        match answer {
            Answer::Polled => {}
            Answer::Refused(refusal) => bail!("{}; {}", refusal.message, refusal.hint),
            Answer::Accepted(_)
            | Answer::EnvWanted(_)
            | Answer::Reconfigured
            | Answer::Stopped(_)
            | Answer::Prioritized(_)
            | Answer::GivenUp(_) => {
                bail!("the engine answered something else")
            }
        }
        // Now is a good time: this round is safe, and the next one is a while away.
        if let Err(error) = mirror.repack().await {
            warn!(source = %self.name, "repack the mirror of {}: {:#}", self.name, anyhow::Error::from(error));
        }
        Ok(detail)
    }

    fn mirror(&self, mirrors: &Path) -> anyhow::Result<Mirror> {
        std::fs::create_dir_all(mirrors)?;
        let settings = mirrors.join(format!("{}.gitconfig", self.name));
        let git = Git::new(settings, &self.source.repository, self.source.timeout)?;
        let folder = mirrors.join(GitPoll::folder(&self.name));
        Ok(Mirror::new(git, self.source.repository.clone(), folder))
    }

    fn tell(&self, is_well: bool, detail: String) {
        let (name, kind) = (self.name.to_string(), "git_poll".to_owned());
        self.parts.board.set(SourceLine { name, kind, is_well, detail });
    }
}

fn branches(count: usize) -> String {
    format!("{count} {}", if count == 1 { "branch" } else { "branches" })
}

fn new_changes(count: usize) -> String {
    format!("{count} new {}", if count == 1 { "change" } else { "changes" })
}

fn in_a_row(failures: u32) -> String {
    if failures == 1 { String::new() } else { format!(" (failed {failures} times in a row)") }
}

/// Doubles the interval with every failure.
fn pause_after(interval: Duration, failures: u32) -> Duration {
    let doubled = interval.saturating_mul(1u32 << failures.min(16));
    doubled.min(LONGEST_PAUSE.max(interval))
}

/// Waits; `false` when cancelled.
async fn pause(length: Duration, cancel: &CancellationToken) -> bool {
    tokio::select! {
        () = tokio::time::sleep(length) => true,
        () = cancel.cancelled() => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        assert_eq!((branches(1), branches(2)), ("1 branch".to_owned(), "2 branches".to_owned()));
        assert_eq!(
            (new_changes(0), new_changes(1)),
            ("0 new changes".into(), "1 new change".into())
        );
        assert_eq!(in_a_row(1) + &in_a_row(2), " (failed 2 times in a row)");
    }

    #[test]
    fn pauses_double_up_to_a_limit() {
        let minute = Duration::from_secs(60);
        assert_eq!(pause_after(minute, 0), minute);
        assert_eq!(pause_after(minute, 2), Duration::from_secs(240));
        assert_eq!(pause_after(minute, 30), LONGEST_PAUSE);
        let day = Duration::from_secs(86_400);
        assert_eq!(pause_after(day, 3), day);
    }
}
