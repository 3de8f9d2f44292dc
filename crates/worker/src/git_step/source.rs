//! What a git step accepts: repositories by an allow-list of schemes, references by their shape.

use std::path::{Path, PathBuf};

use super::LocalPolicy;

/// Why a repository or reference was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SourceError {
    #[error("repository `{0}` is refused: use https://…, ssh://… or user@host:path")]
    Scheme(String),
    #[error("repository `{0}` is refused: a host or path may not begin with a dash")]
    Dash(String),
    #[error("repository is refused: it holds control characters")]
    Control,
    #[error(
        "repository `{0}` is on this machine; its change source has to say `allow_local = true`"
    )]
    LocalByMaster(String),
    #[error(
        "repository `{0}` is on this machine, which the worker does not allow; write \
         `repositories = {{ allow_local = true }}` in worker.toml"
    )]
    LocalByWorker(String),
    #[error("branch `{0}` is refused: git knows no such name")]
    Branch(String),
    #[error("revision `{0}` is refused: give the hash of a commit, or a tag")]
    Revision(String),
}

/// An acceptable repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    Remote(String),
    /// An absolute path.
    Local(PathBuf),
}

impl Source {
    /// Checks a repository.
    pub(super) fn parse(text: &str, policy: LocalPolicy) -> Result<Self, SourceError> {
        if text.chars().any(char::is_control) {
            return Err(SourceError::Control);
        }
        if text.starts_with('-') {
            return Err(SourceError::Dash(text.to_owned()));
        }
        let local = text.strip_prefix("file://").unwrap_or(text);
        if local.starts_with('/') {
            return parse_local(text, Path::new(local), policy);
        }
        let refused = || SourceError::Scheme(without_secret(text));
        let host = match text.split_once("://") {
            Some(("https" | "ssh", rest)) => rest.split('/').next().unwrap_or_default(),
            Some(_) => return Err(refused()),
            // `user@host:path`; `helper::anything` would run a program.
            None => match text.split_once(':') {
                Some((host, path)) if !host.contains('/') && !path.starts_with(':') => {
                    if path.starts_with('-') {
                        return Err(SourceError::Dash(text.to_owned()));
                    }
                    host
                }
                Some(_) | None => return Err(refused()),
            },
        };
        let name = host.rsplit('@').next().unwrap_or_default();
        if name.is_empty() {
            return Err(refused());
        }
        if name.starts_with('-') || host.starts_with('-') {
            return Err(SourceError::Dash(without_secret(text)));
        }
        Ok(Self::Remote(text.to_owned()))
    }

    /// Returns what git is given.
    pub(super) fn argument(&self) -> String {
        match self {
            Self::Remote(url) => url.clone(),
            Self::Local(path) => path.display().to_string(),
        }
    }

    /// Returns what people are shown: no user, no password.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Remote(url) => without_secret(url),
            Self::Local(path) => path.display().to_string(),
        }
    }
}

fn parse_local(text: &str, path: &Path, policy: LocalPolicy) -> Result<Source, SourceError> {
    if !policy.master_allows {
        return Err(SourceError::LocalByMaster(text.to_owned()));
    }
    if !policy.worker_allows {
        return Err(SourceError::LocalByWorker(text.to_owned()));
    }
    Ok(Source::Local(path.to_owned()))
}

fn without_secret(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (host, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let host = host.rsplit_once('@').map_or(host, |(_secret, host)| host);
    format!("{scheme}://{host}{path}")
}

/// A name of something in a repository that git cannot take for anything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference(String);

impl Reference {
    /// Checks the name of a branch, or a whole name that begins with `refs/`.
    pub(super) fn branch(text: &str) -> Result<Self, SourceError> {
        if !is_reference(text) {
            return Err(SourceError::Branch(text.escape_debug().to_string()));
        }
        Ok(Self(text.to_owned()))
    }

    /// Checks a revision: the hash of a commit or the name of a tag.
    pub(super) fn revision(text: &str) -> Result<Self, SourceError> {
        if !is_reference(text) {
            return Err(SourceError::Revision(text.escape_debug().to_string()));
        }
        Ok(Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Says whether it is the whole hash of an object, which means the same for ever.
    pub(super) fn is_hash(&self) -> bool {
        matches!(self.0.len(), 40 | 64) && self.0.bytes().all(|byte| byte.is_ascii_hexdigit())
    }

    /// Returns the name in full, as it is fetched.
    pub(super) fn in_full(&self) -> String {
        if self.0 == "HEAD" || self.0.starts_with("refs/") {
            return self.0.clone();
        }
        format!("refs/heads/{}", self.0)
    }
}

/// The rules of git-check-ref-format(1).
fn is_reference(text: &str) -> bool {
    let is_bad = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
    let part_is_good =
        |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    !text.starts_with(['-', '+'])
        && !text.contains("..")
        && !text.contains("@{")
        && !text.ends_with('.')
        && text != "@"
        && !text.contains(is_bad)
        && text.split('/').all(part_is_good)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: LocalPolicy = LocalPolicy { master_allows: true, worker_allows: true };

    #[test]
    fn remote_repositories_come_by_https_and_ssh() {
        for good in [
            "https://example.org/a.git",
            "https://user:secret@example.org:8443/a",
            "ssh://git@example.org/a",
            "git@example.org:a/b.git",
        ] {
            assert_eq!(Source::parse(good, BOTH), Ok(Source::Remote(good.to_owned())));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "",
            "-x",
            "--upload-pack=x",
            "http://h/a",
            "git://h/a",
            "ftp://h/a",
            "ext::sh -c x",
            "fd::3",
            "ssh://-oProxyCommand=x/a",
            "ssh://u@-oProxyCommand=x/a",
            "-oX@host:a",
            "u@-h:a",
            "host:-x",
            "relative/path",
            "../up",
            "~/home",
            "https://",
            "ssh://@/a",
            "https://h/a\nb",
            "HTTPS://h/a",
            ":path",
        ] {
            assert!(Source::parse(bad, BOTH).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_local_repository_needs_both_to_allow_it() {
        for text in ["/srv/a.git", "file:///srv/a.git"] {
            let local = |master_allows, worker_allows| {
                Source::parse(text, LocalPolicy { master_allows, worker_allows })
            };
            assert_eq!(local(true, true), Ok(Source::Local("/srv/a.git".into())));
            assert_eq!(local(false, true), Err(SourceError::LocalByMaster(text.to_owned())));
            assert_eq!(local(true, false), Err(SourceError::LocalByWorker(text.to_owned())));
        }
    }

    #[test]
    fn no_password_is_shown() {
        let source = Source::parse("https://user:secret@example.org/a@b", BOTH).unwrap();
        assert_eq!(source.shown(), "https://example.org/a@b");
    }

    #[test]
    fn references_are_names_and_nothing_more() {
        for good in ["main", "feature/x-1", "refs/pull/7/head", "v1.0", "HEAD", "é"] {
            assert!(Reference::branch(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "-x",
            "--upload-pack=x",
            "+main",
            "a..b",
            "a b",
            "a:b",
            "a^",
            "a~1",
            "a*",
            "a?",
            "a[",
            "a\\b",
            "a@{1}",
            "@",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.",
            "a\nb",
        ] {
            assert!(Reference::branch(bad).is_err(), "{bad}");
            assert!(Reference::revision(bad).is_err(), "{bad}");
        }
    }
}
