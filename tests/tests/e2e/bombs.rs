//! Few bytes that ask for much: nesting and lengths that lie, at every door, from strangers and
//! from those who may come in.

use e2e::{Door, Memory, Yard, open_doors};
use proto::message::hello::{Ping, Pong, Refusal, Role};
use proto::{kind, limits};

const MUST_UNDERSTAND: u8 = 1;
/// Growth of a master while it is under attack, beyond the bytes of one frame, in KiB.
const MOST_KIB: u64 = 1_024;

/// Bodies that make a careless decoder recurse or allocate.
fn bodies(most: usize) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("one byte a level", vec![0x91; most]),
        ("maps in maps", vec![0x81; most]),
        ("a list of four thousand millions", b"\xdd\xff\xff\xff\xff".to_vec()),
        ("a map of four thousand millions", b"\xdf\xff\xff\xff\xff".to_vec()),
        ("four gigabytes of bytes", b"\xc6\xff\xff\xff\xff".to_vec()),
        ("four gigabytes of text", b"\xdb\xff\xff\xff\xff".to_vec()),
        ("bytes within a message", b"\x81\xa5token\xc6\xff\xff\xff\xff".to_vec()),
    ]
}

/// What a door's callers send once they are in.
fn kind_of(door: &Door) -> u16 {
    match door.role {
        Role::Worker => kind::ATTACH,
        Role::Client => kind::LAUNCH,
        Role::Control | Role::Unknown => kind::BUILDS_WANTED,
    }
}

fn assert_grows_little(door: &Door, what: &str, body: &[u8], memory: &Memory) {
    let growth = memory.peak_growth_kib().saturating_sub(body.len() as u64 / 1_024);
    assert!(growth <= MOST_KIB, "{what} at the {door:?}: {growth} KiB more");
}

#[test]
fn a_stranger_with_a_bomb_is_hung_up_on_and_nobody_notices() {
    let yard = Yard::new("");
    let (master, doors) = open_doors(&yard);
    for door in &doors {
        for (what, body) in bodies(4_000) {
            let throw = || {
                let mut raw = door.connect();
                raw.send_frame(kind::HELLO, MUST_UNDERSTAND, &body);
                raw.expect_end();
            };
            throw();
            let mut bystander = door.enter();
            let memory = Memory::of(master.pid());
            (0..20).for_each(|_| throw());
            assert_grows_little(door, what, &body, &memory);
            if door.role != Role::Worker {
                bystander.send(&Ping { nonce: 7 });
                assert_eq!(bystander.expect::<Pong>().nonce, 7);
            }
        }
    }
    assert!(!master.log().contains("panicked"));
}

#[test]
fn a_caller_with_a_bomb_is_told_why_it_is_hung_up_on() {
    let yard = Yard::new("");
    let (mut master, doors) = open_doors(&yard);
    for door in &doors {
        for (what, body) in bodies(1_000_000) {
            let throw = || {
                let mut raw = door.enter();
                raw.send_frame(kind_of(door), MUST_UNDERSTAND, &body);
                if door.role != Role::Worker {
                    assert_eq!(raw.expect::<Refusal>().code, "bad_frame", "{what} at {door:?}");
                }
                raw.expect_end();
            };
            throw();
            let memory = Memory::of(master.pid());
            (0..5).for_each(|_| throw());
            assert_grows_little(door, what, &body, &memory);
        }
    }
    master.wait_for("body of a `attach` message");
    for door in &doors {
        door.enter();
    }
    assert!(!master.log().contains("panicked"));
}

#[test]
fn every_door_has_the_same_limits() {
    let yard = Yard::new("");
    let (_master, doors) = open_doors(&yard);
    let length = |size: usize| u32::try_from(size).expect("limits are small").to_be_bytes();
    for door in &doors {
        let mut stranger = door.connect();
        stranger.send_bytes(&length(limits::FRAME_BEFORE_AUTH_BYTES + 1));
        stranger.expect_end();
        for bytes in [length(limits::FRAME_BYTES + 1), length(usize::from(u16::MAX) << 15), [0; 4]]
        {
            let mut caller = door.enter();
            caller.send_bytes(&bytes);
            caller.expect_end();
        }
        let mut newer = door.enter();
        newer.send_frame(9_999, MUST_UNDERSTAND, b"\x80");
        newer.expect_end();
        if door.role != Role::Worker {
            let mut polite = door.enter();
            polite.send_frame(9_999, 0, b"\x80");
            polite.send(&Ping { nonce: 1 });
            assert_eq!(polite.expect::<Pong>().nonce, 1, "{door:?}");
        }
    }
}
