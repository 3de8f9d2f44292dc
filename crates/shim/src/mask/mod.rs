//! Takes the values of secrets out of an output: `[secret NAME]` stands where one was.
//!
//! `guises` are the forms in which a value is looked for, `stream` finds them in bytes that come in
//! pieces. What was changed in a way that is not among the guises is not found: this guards against
//! accidents, not against a command that wants to tell.

mod guises;
mod stream;

use std::io;
use std::sync::Arc;

use crate::record::Channel;
use crate::secrets::Secrets;
use stream::{Finder, Stream};

/// The outputs of one command, each looked through on its own.
pub(crate) struct Mask {
    finder: Arc<Finder>,
    out: Stream,
    err: Stream,
}

impl Mask {
    /// Prepares to look for the values.
    ///
    /// # Errors
    /// When they are too many to be looked for together.
    pub(crate) fn new(secrets: &Secrets) -> io::Result<Self> {
        let finder = Arc::new(Finder::new(&secrets.values).map_err(io::Error::other)?);
        Ok(Self { out: Stream::new(&finder), err: Stream::new(&finder), finder })
    }

    /// Takes a piece of an output and returns what is certain to be none of the values. A tail that
    /// could be the beginning of one is held until it is known.
    pub(crate) fn take(&mut self, channel: Channel, bytes: &[u8]) -> Vec<u8> {
        self.stream(channel).take(bytes)
    }

    /// Returns what is still held: the output has ended.
    pub(crate) fn end(&mut self, channel: Channel) -> Vec<u8> {
        self.stream(channel).end()
    }

    /// Says which secret is in a text, if one is.
    pub(crate) fn found_in(&self, text: &[u8]) -> Option<&str> {
        self.finder.first(text)
    }

    fn stream(&mut self, channel: Channel) -> &mut Stream {
        if channel == Channel::Err { &mut self.err } else { &mut self.out }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secret::Secret;

    use super::guises::guises;
    use super::*;
    use crate::secrets::Value;

    const VALUE: &str = "s3cr3t/+\"'\\ \u{e9}=%&?\nsecond line\tof it";

    fn mask(values: &[(&str, &str)]) -> Mask {
        let value = |(name, value): &(&str, &str)| Value {
            name: (*name).to_owned(),
            value: Secret::new(value.as_bytes().to_vec()),
        };
        let values = values.iter().map(value).collect();
        Mask::new(&Secrets { values, env: Vec::new() }).unwrap()
    }

    /// Passes a text in pieces through a mask.
    fn pass(mask: &mut Mask, pieces: &[&[u8]]) -> Vec<u8> {
        let mut passed = Vec::new();
        for piece in pieces {
            passed.extend(mask.take(Channel::Out, piece));
        }
        passed.extend(mask.end(Channel::Out));
        passed
    }

    #[test]
    fn every_guise_is_found_split_anywhere() {
        let mut mask = mask(&[("token", VALUE)]);
        let all = guises(VALUE.as_bytes());
        assert!(all.len() > 20, "{}", all.len());
        for guise in all {
            let text = [b"<", guise.as_slice(), b">"].concat();
            for at in 0..=text.len() {
                let passed = pass(&mut mask, &[&text[..at], &text[at..]]);
                let shown = String::from_utf8_lossy(&passed).into_owned();
                assert_eq!(shown, "<[secret token]>", "{:?}", String::from_utf8_lossy(&guise));
            }
        }
    }

    #[test]
    fn what_can_be_no_beginning_flows_at_once() {
        let mut mask = mask(&[("a", "abcdef")]);
        assert_eq!(mask.take(Channel::Out, b"xyz ab"), b"xyz ");
        assert_eq!(mask.take(Channel::Err, b"cdef\n"), b"cdef\n", "the other stream");
        assert_eq!(mask.take(Channel::Out, b"c"), b"");
        assert_eq!(mask.take(Channel::Out, b"x"), b"abcx");
        assert_eq!(mask.take(Channel::Out, b"abcdef"), b"[secret a]");
        assert_eq!(mask.take(Channel::Out, b"abcde"), b"");
        assert_eq!(mask.end(Channel::Out), b"abcde");
        assert_eq!(mask.end(Channel::Out), b"");
    }

    #[test]
    fn values_that_overlap_hide_all_they_cover() {
        let mut mask = mask(&[("a", "abcdef"), ("b", "defghi"), ("c", "abcdefghijkl")]);
        let cases: [(&[u8], &[u8]); 5] = [
            (b"-abcdefghi-", b"-[secret a]-"),
            (b"abcdefabcdef", b"[secret a][secret a]"),
            (b"abcdefghijkl", b"[secret c]"),
            (b"abcdefghijk", b"[secret a]jk"),
            (b"abcabcdefg", b"abc[secret a]g"),
        ];
        for (text, expected) in cases {
            for at in 0..=text.len() {
                let passed = pass(&mut mask, &[&text[..at], &text[at..]]);
                assert_eq!(passed, expected, "{:?} at {at}", String::from_utf8_lossy(text));
            }
        }
    }

    #[test]
    fn an_endless_overlap_is_not_held() {
        let mut mask = mask(&[("a", "aaaaaa")]);
        for _ in 0..100 {
            assert!(mask.take(Channel::Out, &[b'a'; 1000]).len() <= "[secret a]".len());
            assert!(mask.out.held() < 6);
        }
        assert_eq!(mask.end(Channel::Out), b"");
    }

    /// Finds the same by looking everywhere.
    fn plainly(text: &[u8], value: &str) -> Vec<u8> {
        let mut is_hidden = vec![false; text.len()];
        let mut begins = vec![false; text.len()];
        let mut end = 0;
        for at in 0..text.len() {
            for guise in guises(value.as_bytes()) {
                if text[at..].starts_with(&guise) {
                    begins[at] |= at >= end;
                    end = end.max(at + guise.len());
                    is_hidden[at..at + guise.len()].fill(true);
                }
            }
        }
        let mut passed = Vec::new();
        for at in 0..text.len() {
            if begins[at] {
                passed.extend(b"[secret v]");
            } else if !is_hidden[at] {
                passed.push(text[at]);
            }
        }
        passed
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_hide_the_same(
            value in "[ab\n'=é]{6,12}",
            parts in prop::collection::vec((any::<prop::sample::Index>(), "[ab\n'=é]{0,6}", 0usize..40), 0..8),
            sizes in prop::collection::vec(1usize..9, 1..20),
        ) {
            let guises = guises(value.as_bytes());
            let mut text = Vec::new();
            for (index, between, cut) in &parts {
                let guise = index.get(&guises);
                text.extend(&guise[..guise.len() - cut.min(&guise.len())]);
                text.extend(between.as_bytes());
            }
            let mut mask = mask(&[("v", &value)]);
            let (mut passed, mut rest) = (Vec::new(), text.as_slice());
            for size in sizes.iter().cycle() {
                let (piece, after) = rest.split_at((*size).min(rest.len()));
                passed.extend(mask.take(Channel::Out, piece));
                rest = after;
                if rest.is_empty() { break; }
            }
            passed.extend(mask.end(Channel::Out));
            prop_assert_eq!(&passed, &plainly(&text, &value));
            prop_assert!(!String::from_utf8_lossy(&passed).contains(&value));
        }
    }
}
