//! Which log is sent next, and how much of it. Pure: files and sockets are the session's.
//!
//! One stream carries one command's log. Streams take turns frame by frame, so that a flood in
//! one command does not hold up another's line. A turn needs credit for the largest record on
//! the stream and on the connection: logs travel in whole records.

use std::collections::{BTreeMap, VecDeque};

use attempt::CommandId;
use proto::{limits, record};

use crate::daemon::Tail;

/// A frame may carry at most this: one record of the largest kind, or as many as fit.
const FRAME: u64 = (record::HEADER_BYTES + record::PAYLOAD_BYTES) as u64;

#[derive(Debug)]
struct Stream {
    command: CommandId,
    /// Record-stream offset of the next byte.
    offset: u64,
    credit: u64,
    /// What was last heard of the log.
    tail: Tail,
    /// Up to where there may be something to read.
    readable: u64,
}

/// The streams of one connection.
#[derive(Debug)]
pub(super) struct Streams {
    next_id: u32,
    credit: u64,
    streams: BTreeMap<u32, Stream>,
    /// Who is served next, first.
    turns: VecDeque<u32>,
}

/// One frame to be filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) stream: u32,
    pub(super) command: CommandId,
    pub(super) offset: u64,
    /// About how much to read, in bytes; one record may go over it and still be within credit.
    pub(super) most: usize,
    /// The log is longer, and will not grow: something has to be there.
    pub(super) is_due: bool,
}

impl Streams {
    pub(super) fn new() -> Self {
        Self {
            next_id: 1,
            credit: limits::CONNECTION_CREDIT_BYTES,
            streams: BTreeMap::new(),
            turns: VecDeque::new(),
        }
    }

    /// Opens a command's stream at an offset and returns its id. Odd, as the worker's are.
    /// `None` where the connection has had all ids there are.
    pub(super) fn open(&mut self, command: CommandId, offset: u64, tail: Tail) -> Option<u32> {
        let id = self.next_id;
        self.next_id = id.checked_add(2)?;
        let credit = limits::STREAM_CREDIT_BYTES;
        let stream = Stream { command, offset, credit, tail, readable: tail.bytes };
        self.streams.insert(id, stream);
        self.turns.push_back(id);
        Some(id)
    }

    /// Returns the commands whose logs are on their way.
    pub(super) fn commands(&self) -> impl Iterator<Item = (u32, CommandId)> {
        self.streams.iter().map(|(id, stream)| (*id, stream.command))
    }

    /// This is how far a log is now. Hearing the same again changes nothing.
    pub(super) fn grew(&mut self, id: u32, tail: Tail) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.tail != tail {
            stream.tail = tail;
            stream.readable = tail.bytes;
        }
        self.close_finished(id);
    }

    /// The master has room for more.
    pub(super) fn credited(&mut self, id: u32, bytes: u64) {
        let most = limits::CONNECTION_CREDIT_BYTES;
        self.credit = self.credit.saturating_add(bytes).min(most);
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.credit = stream.credit.saturating_add(bytes).min(most);
        }
    }

    /// Says whether `turn` would find a stream to serve.
    pub(super) fn has_turn(&self) -> bool {
        self.credit >= FRAME && self.turns.iter().any(|id| self.is_ready(*id))
    }

    /// Picks the stream to be served and puts it behind the others.
    pub(super) fn turn(&mut self) -> Option<Turn> {
        if self.credit < FRAME {
            return None;
        }
        let at = self.turns.iter().position(|id| self.is_ready(*id))?;
        let id = self.turns.remove(at)?;
        self.turns.push_back(id);
        let Stream { command, offset, tail, .. } = *self.streams.get(&id)?;
        let is_due = tail.end.is_some_and(|end| offset < end);
        Some(Turn { stream: id, command, offset, most: limits::STREAM_DATA_BYTES, is_due })
    }

    /// Says whether no stream but this one has anything to send.
    pub(super) fn is_alone(&self, id: u32) -> bool {
        !self.turns.iter().any(|other| *other != id && self.is_ready(*other))
    }

    fn is_ready(&self, id: u32) -> bool {
        self.streams.get(&id).is_some_and(|s| s.offset < s.readable && s.credit >= FRAME)
    }

    /// That much was sent in the stream's turn; nothing means that its present end is reached.
    pub(super) fn sent(&mut self, id: u32, bytes: u64) {
        self.credit = self.credit.saturating_sub(bytes);
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.offset = stream.offset.saturating_add(bytes);
            stream.credit = stream.credit.saturating_sub(bytes);
            if bytes == 0 {
                stream.readable = stream.offset;
            }
        }
        self.close_finished(id);
    }

    /// It cannot be read at the moment: it rests until `wake`.
    pub(super) fn rest(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.readable = stream.offset;
        }
    }

    /// Lets every stream be tried again up to its end.
    pub(super) fn wake(&mut self) {
        for stream in self.streams.values_mut() {
            stream.readable = stream.tail.bytes;
        }
    }

    /// Forgets a stream, as when its command is.
    pub(super) fn close(&mut self, id: u32) {
        self.streams.remove(&id);
        self.turns.retain(|other| *other != id);
    }

    fn close_finished(&mut self, id: u32) {
        let stream = self.streams.get(&id);
        if stream.is_some_and(|s| s.tail.end.is_some_and(|end| s.offset >= end)) {
            self.close(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOD: Tail = Tail { bytes: u64::MAX, end: None };

    fn command(counter: i64) -> CommandId {
        CommandId { incarnation: 1, counter }
    }

    fn served(streams: &mut Streams, bytes: u64) -> Option<u32> {
        let turn = streams.turn()?;
        streams.sent(turn.stream, bytes);
        Some(turn.stream)
    }

    #[test]
    fn streams_take_turns() {
        let mut streams = Streams::new();
        for counter in 1..=3 {
            streams.open(command(counter), 0, FLOOD);
        }
        let order: Vec<_> = (0..6).map(|_| served(&mut streams, 10).unwrap()).collect();
        assert_eq!(order, [1, 3, 5, 1, 3, 5]);
    }

    #[test]
    fn a_stream_continues_where_it_was() {
        let mut streams = Streams::new();
        streams.open(command(1), 500, FLOOD);
        streams.sent(1, 40);
        let turn = streams.turn().unwrap();
        assert_eq!((turn.command, turn.offset), (command(1), 540));
    }

    #[test]
    fn no_stream_goes_over_its_credit_and_others_go_on() {
        let mut streams = Streams::new();
        streams.open(command(1), 0, FLOOD);
        let mut sent = 0;
        while served(&mut streams, FRAME).is_some() {
            sent += FRAME;
        }
        assert!(sent <= limits::STREAM_CREDIT_BYTES && sent + FRAME > limits::STREAM_CREDIT_BYTES);
        streams.open(command(2), 0, FLOOD);
        assert_eq!(served(&mut streams, 1), Some(3));
        streams.credited(1, FRAME);
        assert_eq!(served(&mut streams, 1), Some(1));
    }

    #[test]
    fn all_streams_together_stay_within_the_credit_of_the_connection() {
        let mut streams = Streams::new();
        let mut sent = 0;
        for counter in 0..100 {
            streams.open(command(counter), 0, FLOOD);
            while served(&mut streams, FRAME).is_some() {
                sent += FRAME;
            }
        }
        assert!(sent <= limits::CONNECTION_CREDIT_BYTES);
        assert!(!streams.has_turn());
        streams.credited(1, u64::MAX);
        assert!(streams.has_turn());
    }

    #[test]
    fn a_stream_rests_at_its_present_end_and_wakes_when_it_grows() {
        let mut streams = Streams::new();
        streams.open(command(1), 0, Tail { bytes: 10, end: None });
        assert_eq!(served(&mut streams, 10), Some(1));
        assert!(!streams.has_turn());
        streams.grew(1, Tail { bytes: 11, end: None });
        assert!(streams.has_turn());
    }

    #[test]
    fn a_log_that_is_shorter_than_was_said_is_not_read_again_and_again() {
        let mut streams = Streams::new();
        streams.open(command(1), 0, Tail { bytes: 10, end: Some(10) });
        assert_eq!(served(&mut streams, 0), Some(1));
        streams.grew(1, Tail { bytes: 10, end: Some(10) });
        assert!(!streams.has_turn());
    }

    #[test]
    fn a_log_that_cannot_be_read_is_tried_again_when_it_is_time() {
        let mut streams = Streams::new();
        streams.open(command(1), 0, Tail { bytes: 10, end: Some(10) });
        let turn = streams.turn().unwrap();
        streams.rest(turn.stream);
        assert!(!streams.has_turn());
        streams.wake();
        assert_eq!(served(&mut streams, 10), Some(1));
        assert_eq!(streams.commands().count(), 0);
    }

    #[test]
    fn a_log_that_was_sent_to_its_end_is_done() {
        let mut streams = Streams::new();
        streams.open(command(1), 0, FLOOD);
        streams.grew(1, Tail { bytes: 30, end: Some(30) });
        assert_eq!(served(&mut streams, 30), Some(1));
        assert_eq!(streams.commands().count(), 0);
        assert_eq!(streams.turn(), None);
    }

    #[test]
    fn what_a_master_says_about_unknown_streams_does_no_harm() {
        let mut streams = Streams::new();
        streams.credited(77, u64::MAX);
        streams.sent(77, u64::MAX);
        streams.grew(77, FLOOD);
        assert_eq!(streams.turn(), None);
    }
}
