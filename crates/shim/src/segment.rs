//! The files of a command's output: `out.000` is the head, all others are the tail of an output
//! that went over its cap.
//!
//! Each file of the tail begins with a gap record: how much output there was between the head and
//! the file. Of the oldest file that is left it is the truth about what is missing, so the record
//! stream is the head, then the tail's files in order, with only that gap among them, and without
//! it where it says zero. Nothing has to be completed when the command or its supervisor ends.

use std::fs;
use std::io;
use std::path::Path;

use crate::record::{self, Channel};

const PREFIX: &str = "out.";
/// Size of the record at the start of a tail's file.
pub(crate) const FIRST_BYTES: usize = record::HEADER_BYTES + 8;

/// Returns the name of a file.
pub(crate) fn name(number: u32) -> String {
    format!("{PREFIX}{number:03}")
}

/// Returns the numbers of the files of the tail that are there, oldest first.
pub(crate) fn tail_numbers(directory: &Path) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let number = number.and_then(|number| number.parse::<u32>().ok());
        numbers.extend(number.filter(|number| *number > 0));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Makes the record at the start of a tail's file.
pub(crate) fn first_record(before_bytes: u64, t_us: i64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FIRST_BYTES);
    record::append(&mut bytes, Channel::Gap, t_us, &before_bytes.to_le_bytes());
    bytes
}

/// Reads the record at the start of a tail's file; `None` where it is torn.
pub(crate) fn before_bytes(file: &[u8]) -> Option<u64> {
    let record = record::first(file).ok().filter(|record| record.channel == Channel::Gap)?;
    record.bytes.try_into().ok().map(u64::from_le_bytes)
}

/// Returns how much of a tail's file is not part of the stream, by its place among those left.
pub(crate) fn hidden_bytes(at: usize, before_bytes: u64) -> u64 {
    if at == 0 && before_bytes > 0 { 0 } else { FIRST_BYTES as u64 }
}
