//! Frames over any split of the byte stream, and what bad peers send.

use proptest::prelude::*;
use proto::message::hello::{Hello, Ping, Role};
use proto::{Bytes, DecodeError, FrameReader, Message as _, encode, limits};

proptest! {
    #[test]
    fn frames_survive_any_split(
        nonces in prop::collection::vec(any::<u64>(), 1..20), piece in 1usize..50,
    ) {
        let wire: Vec<u8> =
            nonces.iter().flat_map(|nonce| encode(&Ping { nonce: *nonce }).unwrap()).collect();
        let mut reader = FrameReader::before_auth();
        let mut got = Vec::new();
        for bytes in wire.chunks(piece) {
            reader.push(bytes);
            while let Some(frame) = reader.next_frame().unwrap() {
                got.push(frame.open::<Ping>().unwrap().nonce);
            }
        }
        prop_assert_eq!(got, nonces);
    }

    #[test]
    fn noise_is_an_error_or_silence_never_a_panic(noise in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut reader = FrameReader::authenticated();
        reader.push(&noise);
        while let Ok(Some(frame)) = reader.next_frame() {
            let _ignored = frame.open::<Hello>();
        }
    }

    #[test]
    fn any_bytes_make_the_round_trip(token in prop::collection::vec(any::<u8>(), 0..200)) {
        let hello = Hello::new(Role::Worker, Some(Bytes(token)));
        let mut reader = FrameReader::before_auth();
        reader.push(&encode(&hello).unwrap());
        prop_assert_eq!(reader.next_frame().unwrap().unwrap().open::<Hello>().unwrap(), hello);
    }
}

#[test]
fn an_unproved_peer_gets_four_kibibytes() {
    let mut reader = FrameReader::before_auth();
    let size = u32::try_from(limits::FRAME_BEFORE_AUTH_BYTES + 1).unwrap();
    reader.push(&size.to_be_bytes());
    assert!(matches!(reader.next_frame(), Err(DecodeError::TooLarge { limit: 4096, .. })));
}

#[test]
fn an_unknown_kind_is_refused_only_if_it_must_be_understood() {
    let mut wire = encode(&Ping { nonce: 1 }).unwrap();
    wire[4..6].copy_from_slice(&999u16.to_be_bytes());
    let mut reader = FrameReader::authenticated();
    reader.push(&wire);
    let mut frame = reader.next_frame().unwrap().unwrap();
    assert!(matches!(frame.skip_unknown(), Err(DecodeError::UnknownKind { kind: 999 })));
    frame.flags = 0;
    assert!(frame.skip_unknown().is_ok());
    assert!(matches!(frame.open::<Ping>(), Err(DecodeError::Unexpected { wanted: "ping", .. })));
}

#[test]
fn a_word_of_a_newer_peer_is_unknown_not_an_error() {
    #[derive(serde::Serialize)]
    struct Newer {
        role: &'static str,
        min_version: u16,
        max_version: u16,
        agent: &'static str,
        favourite_colour: &'static str,
    }
    let newer = Newer {
        role: "observer",
        min_version: 1,
        max_version: 9,
        agent: "x",
        favourite_colour: "b",
    };
    let body = rmp_serde::to_vec_named(&newer).unwrap();
    let frame = proto::Frame { kind: Hello::KIND, flags: 1, body };
    let hello = frame.open::<Hello>().unwrap();
    assert_eq!((hello.role, hello.common_version()), (Role::Unknown, Some(1)));
}
