//! Reads a raw commit object: exact bytes of author and message.

/// What a change takes from a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) parents: Vec<String>,
    /// `Name <mail>`, as it stands in the commit.
    pub(super) author: Vec<u8>,
    pub(super) message: Vec<u8>,
    /// When it was committed, µs since 1970.
    pub(super) when_us: i64,
}

/// Reads what `git cat-file commit` prints. `None` where it is not a commit.
pub(super) fn parse(raw: &[u8]) -> Option<Commit> {
    let end = raw.windows(2).position(|pair| pair == b"\n\n")?;
    let (head, message) = (&raw[..end], &raw[end + 2..]);
    let mut parents = Vec::new();
    let mut author = None;
    let mut when_us = None;
    for line in head.split(|byte| *byte == b'\n') {
        if let Some(parent) = line.strip_prefix(b"parent ") {
            parents.push(String::from_utf8(parent.to_vec()).ok()?);
        } else if let Some(person) = line.strip_prefix(b"author ") {
            author = Some(split_time(person).0.to_vec());
        } else if let Some(person) = line.strip_prefix(b"committer ") {
            when_us = split_time(person).1;
        }
    }
    let when_us = when_us.unwrap_or(0);
    Some(Commit { parents, author: author?, message: message.to_vec(), when_us })
}

/// Splits `Name <mail> 1700000000 +0100`.
fn split_time(person: &[u8]) -> (&[u8], Option<i64>) {
    let Some(end) = person.iter().rposition(|byte| *byte == b'>') else { return (person, None) };
    let (name, rest) = person.split_at(end + 1);
    let seconds = String::from_utf8_lossy(rest);
    let seconds = seconds.split_whitespace().next().and_then(|text| text.parse::<i64>().ok());
    (name, seconds.map(|seconds| seconds.saturating_mul(1_000_000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_utf_8_come_through() {
        let raw = b"tree 1\nparent aa\nparent bb\nauthor J\xf6rg <j@x> 1700000000 +0100\n\
            committer C <c@x> 1700000001 +0000\nencoding ISO-8859-1\n\nh\xe4\n\nmore\n";
        let commit = parse(raw).unwrap();
        assert_eq!(commit.author, b"J\xf6rg <j@x>");
        assert_eq!(commit.message, b"h\xe4\n\nmore\n");
        assert_eq!(commit.parents, ["aa", "bb"]);
        assert_eq!(commit.when_us, 1_700_000_001_000_000);
    }

    #[test]
    fn what_is_no_commit_is_refused() {
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"tree 1\n\nmessage"), None);
    }
}
