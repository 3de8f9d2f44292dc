//! Which repositories may be polled: `https`, `ssh`, and local ones where that is allowed.

use config::{Code, Context, Diagnostic, Spanned};

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Https,
    Ssh,
    Local,
    Other,
}

fn transport(url: &str) -> Transport {
    match url.split_once("://") {
        Some(("https", _)) => Transport::Https,
        Some(("ssh", _)) => Transport::Ssh,
        Some(("file", _)) => Transport::Local,
        Some(_) => Transport::Other,
        None if url.contains("::") => Transport::Other,
        // `host:path` is ssh, unless a slash comes first.
        None => match url.split_once(':') {
            Some((host, _)) if !host.is_empty() && !host.contains('/') => Transport::Ssh,
            Some(_) | None => Transport::Local,
        },
    }
}

/// Checks a repository's address; a relative local path becomes absolute.
pub(super) fn check(
    repository: &Spanned<String>,
    allow_local: bool,
    cx: &mut Context<'_>,
) -> Option<String> {
    let url = repository.value.as_str();
    let refused = |message: &str, help: &str| {
        Some(Diagnostic::new(Code::BadAddress, repository.span, message).help(help))
    };
    let problem = if url.is_empty() || url.starts_with('-') {
        refused("this is not the address of a repository", "write https://…, ssh://… or host:path")
    } else {
        match transport(url) {
            Transport::Https | Transport::Ssh => None,
            Transport::Local if allow_local => None,
            Transport::Local => refused(
                "a local repository has to be allowed",
                "add allow_local = true, or write https://… or ssh://…",
            ),
            Transport::Other => refused(
                "repositories are read by https and ssh",
                "other protocols prove nothing about the other side, or run commands",
            ),
        }
    };
    if let Some(problem) = problem {
        cx.report(problem);
        return None;
    }
    if has_password(url) {
        let message = "the address holds a password";
        let problem = Diagnostic::new(Code::SecretInAddress, repository.span, message);
        cx.report(problem.help("read the repository by ssh, with a key of the daemon's user"));
    }
    if transport(url) == Transport::Local && !url.contains("://") {
        return Some(cx.path(repository.span, url).display().to_string());
    }
    Some(url.to_owned())
}

/// Returns the path of a local repository.
pub(super) fn local_path(url: &str) -> Option<&str> {
    match transport(url) {
        Transport::Local => Some(url.strip_prefix("file://").unwrap_or(url)),
        Transport::Https | Transport::Ssh | Transport::Other => None,
    }
}

/// Says whether an address has the form `scheme://user:password@host`.
fn has_password(url: &str) -> bool {
    let host = url.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or(""));
    host.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

/// Hides the password of an address in a text for people.
pub(super) fn without_password(text: &str) -> String {
    let Some((before, after)) = text.split_once("://") else { return text.to_owned() };
    let end = after.find(['/', ' ', '\'']).unwrap_or(after.len());
    match after[..end].rfind('@') {
        Some(at) => format!("{before}://…@{}", without_password(&after[at + 1..])),
        None => format!("{before}://{}{}", &after[..end], without_password(&after[end..])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_are_told_apart() {
        for (url, expected) in [
            ("https://example.org/a.git", Transport::Https),
            ("ssh://git@example.org/a.git", Transport::Ssh),
            ("git@example.org:a.git", Transport::Ssh),
            ("/srv/git/a.git", Transport::Local),
            ("../a.git", Transport::Local),
            ("./odd:name", Transport::Local),
            ("file:///srv/a.git", Transport::Local),
            ("http://example.org/a.git", Transport::Other),
            ("git://example.org/a.git", Transport::Other),
            ("ext::sh -c touch% /tmp/x", Transport::Other),
        ] {
            assert_eq!(transport(url), expected, "{url}");
        }
    }

    #[test]
    fn passwords_are_found() {
        assert!(has_password("https://bob:secret@example.org/a.git"));
        for url in ["https://bob@example.org:8443/a:b@c", "git@example.org:a.git", "/a:b@c"] {
            assert!(!has_password(url), "{url}");
        }
    }

    #[test]
    fn passwords_are_hidden() {
        let text = "fatal: unable to access 'https://bob:secret@example.org/a': no route";
        let shown = without_password(text);
        assert_eq!(shown, "fatal: unable to access 'https://…@example.org/a': no route");
        assert_eq!(without_password("https://example.org/a@b"), "https://example.org/a@b");
    }
}
