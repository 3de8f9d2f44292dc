//! The kinds of names that parts of a configuration refer to each other by.

use config::NameKind;

pub const BUILDER: NameKind = NameKind { words: "builder", section: "builder" };
pub const WORKER: NameKind = NameKind { words: "worker", section: "worker" };
pub const LOCK: NameKind = NameKind { words: "lock", section: "lock" };
pub const APP: NameKind = NameKind { words: "app", section: "app" };
pub const CHANGE_SOURCE: NameKind = NameKind { words: "change source", section: "change_source" };
pub const SECRET: NameKind = NameKind { words: "secret", section: "secret" };
/// A change source that knows a repository, such as `git_poll`.
pub const REPOSITORY: NameKind =
    NameKind { words: "change source with a repository", section: "change_source" };
