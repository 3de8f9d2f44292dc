//! The tables, one file each: how a row is written and read, and the questions about it.

pub(super) mod build;
pub(super) mod change;
pub(super) mod command;
pub(super) mod counter;
pub(super) mod key;
pub(super) mod log;
pub(super) mod pending;
pub(super) mod request;
mod revision;
pub(super) mod source;

use attempt::CommandId;
use engine::{BuildId, ChangeId, RequestId, Write};

pub use engine::row::{Revision, RevisionFile};
pub use log::LogRow;
pub use revision::revision_of;

use super::query::Query;

/// What makes two writes replace each other.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum Key<'a> {
    Counter(&'a str),
    Change(ChangeId),
    SourceHeads(&'a str),
    Pending(&'a str, &'a str),
    Submission(&'a str, &'a str),
    Request(RequestId),
    Build(BuildId),
    Command(CommandId),
    Revision(i64),
}

/// Returns the key of the row to write.
pub(super) fn key(write: &Write) -> Key<'_> {
    match write {
        Write::Counter(row) => Key::Counter(&row.name),
        Write::Change(row) => Key::Change(row.id),
        Write::SourceHeads(row) => Key::SourceHeads(row.source.as_str()),
        Write::Pending(row) => Key::Pending(row.scheduler.as_str(), &row.lane),
        Write::SubmissionKey(row) => Key::Submission(&row.principal, &row.key),
        Write::Request(row) => Key::Request(row.id),
        Write::Build(row) => Key::Build(row.id),
        Write::Command(row) => Key::Command(row.id()),
        Write::Revision(row) => Key::Revision(row.n),
    }
}

/// Returns the statement that inserts or replaces the row.
pub(super) fn write(write: &Write) -> Query<'_> {
    match write {
        Write::Counter(row) => counter::put(row),
        Write::Change(row) => change::put(row),
        Write::SourceHeads(row) => source::put(row),
        Write::Pending(row) => pending::put(row),
        Write::SubmissionKey(row) => key::put(row),
        Write::Request(row) => request::put(row),
        Write::Build(row) => build::put(row),
        Write::Command(row) => command::put(row),
        Write::Revision(row) => revision::put(row),
    }
}
