//! What a peer may send, as targets for a fuzzer: each panics where an invariant does not hold.

use std::fmt::Debug;

use crate::message::{command, configuration, hello, launch, question, stream};
use crate::{Frame, FrameReader, Message, encode, limits, record};

/// Frames come out the same however the stream of bytes is cut, and none is over the limit.
///
/// The first byte is the size of the pieces.
pub fn frames(input: &[u8]) {
    let Some((piece, wire)) = input.split_first() else { return };
    for reader in [FrameReader::before_auth, FrameReader::authenticated] {
        let whole = read_all(reader(), wire, wire.len().max(1));
        assert_eq!(whole, read_all(reader(), wire, usize::from(*piece).max(1)));
        assert!(whole.0.iter().all(|frame| frame.body.len() <= limits::FRAME_BYTES));
    }
}

fn read_all(mut reader: FrameReader, wire: &[u8], piece: usize) -> (Vec<Frame>, bool) {
    let mut frames = Vec::new();
    for bytes in wire.chunks(piece) {
        reader.push(bytes);
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return (frames, false),
            }
        }
    }
    (frames, true)
}

/// A body that decodes is the same message after it was encoded again.
///
/// The first byte is the number of the kind.
pub fn messages(input: &[u8]) {
    let Some((kind, body)) = input.split_first() else { return };
    let kind = u16::from(*kind);
    if crate::kind::ALL.iter().any(|(known, _)| *known == kind) {
        open_any(&Frame { kind, flags: 1, body: body.to_vec() });
    }
}

/// Opens a frame as what it says it is.
fn open_any(frame: &Frame) {
    macro_rules! by_kind {
        ($($type:ty,)+) => {
            match frame.kind {
                $(<$type>::KIND => round_trip::<$type>(frame),)+
                _ => unreachable!("kind {} is not in the list of this target", frame.kind),
            }
        };
    }
    by_kind! {
        hello::Hello, hello::Welcome, hello::Refusal, hello::Ping, hello::Pong,
        command::Attach, command::Attached, command::Start, command::Stop, command::FinalAck,
        command::Report, command::Availability, command::BuildsLeft, command::LeftProperties,
        command::Probed,
        stream::StreamOpen, stream::StreamData, stream::StreamCredit,
        launch::Launch, launch::SendChange, launch::Accepted, launch::Follow, launch::Progress,
        launch::Output, launch::Ended, launch::Cancel, launch::Cancelled, launch::Leave,
        launch::EnvWanted, launch::GiveUp, launch::GivenUp, launch::SetPriority, launch::PrioritySet,
        question::BuildsWanted, question::Builds, question::QueueWanted, question::Queue,
        question::WhyWanted, question::Why, question::LogWanted, question::LogEnded,
        question::StatusWanted, question::Status, question::RequestWanted, question::RequestLine,
        question::RequestsWanted, question::Requests, question::LocksWanted, question::Locks,
        configuration::ConfigPart, configuration::PlanWanted, configuration::Plan, configuration::ReloadWanted, configuration::Reloaded, configuration::BadConfig, configuration::RevisionWanted, configuration::Revision,
    }
}

fn round_trip<M: Message + PartialEq + Debug>(frame: &Frame) {
    let Ok(message) = frame.open::<M>() else { return };
    // Names of fields may make a message longer than what it was read from.
    let Ok(wire) = encode(&message) else { return };
    let mut reader = FrameReader::authenticated();
    reader.push(&wire);
    let again = reader.next_frame().expect("a frame of ours").expect("a whole frame");
    assert_eq!(again.open::<M>().expect("a message of ours"), message);
}

/// The records at the start of a log are what was there, and stop at the first damage.
pub fn records(input: &[u8]) {
    let valid = record::valid_prefix(input);
    let mut copy = Vec::new();
    for record in record::iter(input) {
        record::append(&mut copy, record.channel, record.t_us, record.bytes);
    }
    assert_eq!(copy, input[..valid]);
    assert!(record::first(&input[valid..]).is_err());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_in_the_list_of_the_target() {
        for (kind, _) in crate::kind::ALL {
            messages(&[u8::try_from(*kind).expect("numbers are small"), 0xc0]);
        }
    }

    #[test]
    fn frames_of_the_corpus() {
        corpus::replay("frames", frames);
    }

    #[test]
    fn messages_of_the_corpus() {
        corpus::replay("messages", messages);
    }

    #[test]
    fn records_of_the_corpus() {
        corpus::replay("records", records);
    }
}
