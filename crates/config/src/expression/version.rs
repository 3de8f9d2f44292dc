//! Versions and their order: `3.9` is less than `3.10`, which is `3.10.0` and more than `3.10rc1`.

use std::cmp::Ordering;

/// A version, in its parts.
#[derive(Debug, Clone)]
pub(crate) struct Version(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Number(u64),
    /// Comes before what has nothing there: a release is more than its candidates.
    Word(String),
}

/// Longest text of a version, in bytes.
const BYTES: usize = 128;

impl Version {
    /// Reads a version; `None` where the text is none. What stands behind a `+` names a build and
    /// has no place in the order.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let text = text.split('+').next().unwrap_or_default();
        if text.len() > BYTES || !text.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let is_number = first.is_ascii_digit();
            let is_word = first.is_ascii_alphabetic();
            if !is_number && !is_word && !".-_~".contains(first) {
                return None;
            }
            let same = |c: char| {
                if is_number { c.is_ascii_digit() } else { is_word && c.is_ascii_alphabetic() }
            };
            let length = rest.find(|c| !same(c)).unwrap_or(rest.len()).max(1);
            let (part, behind) = rest.split_at(length);
            if is_number {
                parts.push(Part::Number(part.parse().ok()?));
            } else if is_word {
                parts.push(Part::Word(part.to_ascii_lowercase()));
            }
            rest = behind;
        }
        Some(Self(parts))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let most = self.0.len().max(other.0.len());
        let pairs = (0..most).map(|at| (self.0.get(at), other.0.get(at)));
        let orders = pairs.map(|pair| match pair {
            (Some(Part::Number(one)), Some(Part::Number(other))) => one.cmp(other),
            (Some(Part::Word(one)), Some(Part::Word(other))) => one.cmp(other),
            (Some(Part::Number(one)), None) => one.cmp(&0),
            (None, Some(Part::Number(other))) => 0.cmp(other),
            (Some(Part::Word(_)), Some(Part::Number(_)) | None) => Ordering::Less,
            (Some(Part::Number(_)) | None, Some(Part::Word(_))) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        });
        orders.fold(Ordering::Equal, Ordering::then)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn versions_have_the_order_that_people_expect() {
        let ordered = [
            "0",
            "0.0.1",
            "1.0-alpha",
            "1.0-alpha.2",
            "1.0-beta",
            "1.0rc1",
            "1.0rc2",
            "1.0",
            "1.0.1",
            "1.2",
            "1.9",
            "1.10",
            "2.0",
            "3.9.18",
            "3.10",
            "3.10.4",
            "3.11",
            "10",
        ];
        for (at, text) in ordered.iter().enumerate() {
            for (other_at, other) in ordered.iter().enumerate() {
                let order = version(text).cmp(&version(other));
                assert_eq!(order, at.cmp(&other_at), "{text} and {other}");
            }
        }
        for (one, same) in [
            ("3.10", "3.10.0"),
            ("v1.2", "1.2"),
            ("1.0RC1", "1.0rc1"),
            ("1.2+5", "1.2"),
            ("1-2", "1.2"),
        ] {
            assert_eq!(version(one), version(same), "{one}");
        }
    }

    #[test]
    fn what_begins_with_no_number_is_no_version() {
        for text in
            ["", "v", "latest", "-1", "1 2", "1/2", "99999999999999999999", &"1.".repeat(65)]
        {
            assert!(Version::parse(text).is_none(), "{text}");
        }
    }
}
