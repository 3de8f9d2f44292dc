//! What a restarted worker finds on disk, as targets for a fuzzer: each panics where an invariant
//! does not hold.

use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

use crate::exit::{self, Exit};
use crate::frame::Frames;
use crate::inspect::{format_started, parse_started};
use crate::output::OutputReader;
use crate::spec::{self, Spec, seal};
use crate::{Outcome, record, segment, spool};

/// A file of a spool that can be read is the same after it was written again.
///
/// The first byte chooses the file, and whether the checksum is put right before.
pub fn spool_files(input: &[u8]) {
    let Some((choice, file)) = input.split_first() else { return };
    match choice % 6 {
        0 => round_trip(file, Exit::from_file, Exit::to_file),
        1 => round_trip(file, Spec::from_file, Spec::to_file),
        2 => round_trip(&sealed(*exit::MAGIC, file), Exit::from_file, Exit::to_file),
        3 => round_trip(&sealed(*spec::MAGIC, file), Spec::from_file, Spec::to_file),
        4 => {
            if let Some(started) = parse_started(file) {
                assert_eq!(parse_started(format_started(&started).as_bytes()), Some(started));
            }
        }
        _ => supervisor(file),
    }
}

fn sealed(magic: [u8; 4], body: &[u8]) -> Vec<u8> {
    seal(magic, body).expect("sealing copies bytes")
}

fn round_trip<T: PartialEq + Debug, E: Debug>(
    file: &[u8],
    read: fn(&[u8]) -> Option<T>,
    write: fn(&T) -> Result<Vec<u8>, E>,
) {
    let Some(found) = read(file) else { return };
    let again = write(&found).expect("what was read can be written");
    assert_eq!(read(&again), Some(found));
}

/// Frames between worker and supervisor come out the same however they are cut.
fn supervisor(bytes: &[u8]) {
    let read = |size: usize| {
        let (mut frames, mut found) = (Frames::default(), Vec::new());
        for piece in bytes.chunks(size.max(1)) {
            frames.push(piece);
            while let Ok(Some(request)) = frames.next_request() {
                found.push(request);
            }
        }
        found
    };
    assert_eq!(read(bytes.len()), read(3));
    let mut events = Frames::default();
    events.push(bytes);
    while let Ok(Some(_)) = events.next_event() {}
}

/// The output of a command that has ended is whole records, the same in whatever pieces it is
/// read.
///
/// Two numbers of two bytes are the sizes of the head and of the tail's first file.
pub fn output(input: &[u8]) {
    let Some((sizes, rest)) = input.split_first_chunk::<4>() else { return };
    let size = |low: u8, high: u8| usize::from(u16::from_le_bytes([low, high]));
    let (head, rest) = rest.split_at(size(sizes[0], sizes[1]).min(rest.len()));
    let (first, second) = rest.split_at(size(sizes[2], sizes[3]).min(rest.len()));
    let folder = folder(&[head, first, second]);
    let whole = read_all(&folder, 1 << 20);
    assert_eq!(record::valid_prefix(&whole), whole.len());
    assert_eq!(read_all(&folder, 1), whole);
    let mut reader = OutputReader::new(folder);
    assert_eq!(reader.measure().expect("the folder is ours"), whole.len() as u64);
}

/// Makes the directory of a command that has ended; the same one each time, on this thread.
fn folder(files: &[&[u8]]) -> PathBuf {
    let id = (std::process::id(), std::thread::current().id());
    let folder = std::env::temp_dir().join(format!("yardmaster-fuzz.{id:?}"));
    fs::create_dir_all(&folder).expect("the folder is ours");
    for (number, bytes) in (0..).zip(files) {
        fs::write(folder.join(segment::name(number)), bytes).expect("the folder is ours");
    }
    let exit = Exit {
        outcome: Outcome::Exited(0),
        ended_us: 0,
        duration_us: 0,
        log_bytes: 0,
        survivors: Vec::new(),
        left: None,
    };
    let exit = exit.to_file().expect("an exit can be written");
    fs::write(folder.join(spool::EXIT), exit).expect("the folder is ours");
    folder
}

fn read_all(folder: &Path, most: usize) -> Vec<u8> {
    let mut reader = OutputReader::new(folder.to_owned());
    let mut whole = Vec::new();
    loop {
        let bytes = reader.read_at(whole.len() as u64, most).expect("the folder is ours");
        if bytes.is_empty() {
            return whole;
        }
        whole.extend(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spool_files_of_the_corpus() {
        corpus::replay("spool_files", spool_files);
    }

    #[test]
    fn output_of_the_corpus() {
        corpus::replay("output", output);
        fs::remove_dir_all(folder(&[])).expect("the folder is ours");
    }
}
