//! Finds values in bytes that come in pieces.
//!
//! **Invariant**: what is held is the longest tail that could be the beginning of a guise, so
//! everything else flows at once and no value gets by, wherever the pieces are cut.

use std::sync::Arc;

use aho_corasick::automaton::{Automaton as _, StateID};
use aho_corasick::nfa::noncontiguous::NFA;
use aho_corasick::{Anchored, BuildError, MatchError, MatchKind};

use super::guises::guises;
use crate::secrets::Value;

/// All guises of all values, to be looked for at once.
pub(super) struct Finder {
    nfa: NFA,
    start: StateID,
    /// How much of a guise that has not ended yet a state has seen, by its number.
    depths: Vec<usize>,
    /// What stands in the place of each guise.
    words: Vec<String>,
    /// Which value each guise is of.
    names: Vec<String>,
}

/// Why values cannot be looked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum FinderError {
    #[error("the secrets are too long to be looked for in the output: {0}")]
    Build(#[from] BuildError),
    #[error("look for secrets in the output: {0}")]
    Match(#[from] MatchError),
}

impl Finder {
    pub(super) fn new(values: &[Value]) -> Result<Self, FinderError> {
        let (mut patterns, mut names) = (Vec::new(), Vec::new());
        for Value { name, value } in values {
            for guise in guises(value.expose()) {
                patterns.push(secret::Zeroizing::new(guise));
                names.push(name.clone());
            }
        }
        let patterns: Vec<&[u8]> = patterns.iter().map(|guise| guise.as_slice()).collect();
        // A prefilter is for whole texts, not for pieces.
        let nfa =
            NFA::builder().match_kind(MatchKind::Standard).prefilter(false).build(&patterns)?;
        let start = nfa.start_state(Anchored::No)?;
        let depths = depths(&nfa, start, &patterns);
        let words = names.iter().map(|name| format!("[secret {name}]")).collect();
        Ok(Self { nfa, start, depths, words, names })
    }

    /// Returns the longest guise that ends with this state: its number and length.
    fn ended(&self, state: StateID) -> Option<(usize, usize)> {
        if !self.nfa.is_match(state) {
            return None;
        }
        let matches = (0..self.nfa.match_len(state)).map(|at| self.nfa.match_pattern(state, at));
        let longest = matches.max_by_key(|pattern| self.nfa.pattern_len(*pattern))?;
        Some((longest.as_usize(), self.nfa.pattern_len(longest)))
    }

    fn depth(&self, state: StateID) -> usize {
        self.depths.get(state.as_usize()).copied().unwrap_or(0)
    }

    /// Returns the name of the first value in a text.
    pub(super) fn first(&self, text: &[u8]) -> Option<&str> {
        let mut state = self.start;
        for byte in text {
            state = self.nfa.next_state(Anchored::No, state, *byte);
            if let Some((guise, _)) = self.ended(state) {
                return Some(&self.names[guise]);
            }
        }
        None
    }
}

/// Walks along every guise, for the automaton does not say how far along one a state is.
fn depths(nfa: &NFA, start: StateID, patterns: &[&[u8]]) -> Vec<usize> {
    let step = |state: StateID, byte: &u8| nfa.next_state(Anchored::No, state, *byte);
    let mut depths = Vec::new();
    let mut note = |state: StateID, depth: usize| {
        if depths.len() <= state.as_usize() {
            depths.resize(state.as_usize() + 1, None);
        }
        depths[state.as_usize()].get_or_insert(depth);
        depths[state.as_usize()]
    };
    for pattern in patterns {
        let Some((_last, before)) = pattern.split_last() else { continue };
        before.iter().zip(1..).fold(start, |state, (byte, depth)| {
            let state = step(state, byte);
            note(state, depth);
            state
        });
    }
    // With a guise that no other goes on from, only a part of its end may begin another.
    let mut by_length = patterns.to_vec();
    by_length.sort_by_key(|pattern| pattern.len());
    for pattern in by_length {
        let Some((_first, behind)) = pattern.split_first() else { continue };
        let end = pattern.iter().fold(start, step);
        let depth = note(behind.iter().fold(start, step), 0);
        note(end, depth.unwrap_or(0));
    }
    depths.into_iter().map(|depth| depth.unwrap_or(0)).collect()
}

/// A value that was found. Places are counted from the beginning of the stream.
struct Found {
    from: u64,
    to: u64,
    guise: usize,
}

/// One output.
pub(super) struct Stream {
    finder: Arc<Finder>,
    state: StateID,
    /// What was taken and is not decided yet.
    held: Vec<u8>,
    /// Where it begins.
    held_from: u64,
    /// Values in it, none of which overlap.
    found: Vec<Found>,
    /// Up to here a word stands for everything already.
    hidden_to: u64,
}

impl Stream {
    pub(super) fn new(finder: &Arc<Finder>) -> Self {
        let (finder, state) = (finder.clone(), finder.start);
        Self { finder, state, held: Vec::new(), held_from: 0, found: Vec::new(), hidden_to: 0 }
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut at = self.held_from + self.held.len() as u64;
        self.held.extend_from_slice(bytes);
        for byte in bytes {
            self.state = self.finder.nfa.next_state(Anchored::No, self.state, *byte);
            at += 1;
            if let Some((guise, length)) = self.finder.ended(self.state) {
                self.note(Found { from: at - length as u64, to: at, guise });
            }
        }
        self.let_go(at - self.finder.depth(self.state) as u64)
    }

    pub(super) fn end(&mut self) -> Vec<u8> {
        self.state = self.finder.start;
        self.let_go(self.held_from + self.held.len() as u64)
    }

    /// Those that overlap become one, called after the one that begins first.
    fn note(&mut self, mut found: Found) {
        while let Some(last) = self.found.pop_if(|last| last.to > found.from) {
            if last.from < found.from {
                found = Found { to: found.to, ..last };
            }
        }
        if found.from < self.hidden_to {
            self.hidden_to = found.to;
        } else {
            self.found.push(found);
        }
    }

    /// Returns what is held up to a place behind which nothing that is found can begin before it.
    fn let_go(&mut self, until: u64) -> Vec<u8> {
        let mut passed = Vec::new();
        let mut at = self.held_from;
        let mut found = std::mem::take(&mut self.found).into_iter().peekable();
        while at < until {
            if let Some(Found { to, guise, .. }) = found.next_if(|found| found.from == at) {
                passed.extend_from_slice(self.finder.words[guise].as_bytes());
                self.hidden_to = to;
            }
            if at < self.hidden_to {
                at = until.min(self.hidden_to);
                continue;
            }
            let to = found.peek().map_or(until, |next| until.min(next.from));
            let place = |at: u64| usize::try_from(at - self.held_from).unwrap_or(self.held.len());
            passed.extend_from_slice(&self.held[place(at)..place(to)]);
            at = to;
        }
        self.found = found.collect();
        let gone = usize::try_from(at - self.held_from).unwrap_or(self.held.len());
        self.held.drain(..gone);
        self.held_from = at;
        passed
    }
}
