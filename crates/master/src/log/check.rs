//! Reads a sealed log whole, and says whether it is what was sealed.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use proto::record;
use sha2::{Digest as _, Sha256};

use super::line_index::{LineIndexer, Walk};
use super::seal::Sealed;
use super::sealed::SealedLog;
use crate::store::LogRow;

/// Compares a sealed log with what the database notes of it. `None` where they agree.
pub fn compare(folder: &Path, row: &LogRow) -> Option<String> {
    let path = folder.join(&row.sealed_path);
    let told = |what: &str| Some(format!("log {}: {what}", path.display()));
    match inspect(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => told("the file is missing"),
        Err(error) => told(&error.to_string()),
        Ok(sealed) if sealed.size_bytes != row.sealed_bytes => told("its size is another one"),
        Ok(sealed) if sealed.sha256 != row.sha256 => told("its SHA-256 is another one"),
        Ok(sealed) if sealed.bytes != row.record_bytes => told("its length is another one"),
        Ok(_) => None,
    }
}

/// Reads every record, and looks whether the index tells the truth of them.
///
/// # Errors
/// When the file cannot be read, or its parts do not agree.
pub(super) fn inspect(path: &Path) -> io::Result<Sealed> {
    let log = SealedLog::open(path)?;
    let damaged = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let (mut digest, mut lines, mut bytes) = (Sha256::new(), LineIndexer::default(), 0_u64);
    let (mut walk, mut marks) = (Walk::default(), log.index.marks.iter().peekable());
    for frame in &log.index.frames {
        if frame.offset != bytes {
            return Err(damaged(format!("the index misses the records at {bytes}")));
        }
        let records = log.read_at(bytes)?;
        if records.is_empty() {
            return Err(damaged(format!("there are no records at {bytes}")));
        }
        digest.update(&records);
        lines.take(&records);
        for record in record::iter(&records) {
            let mark = marks.next_if(|mark| mark.offset == walk.offset());
            if mark.is_some_and(|mark| *mark != walk.mark()) {
                return Err(damaged(format!("the line marked at {} is another", walk.offset())));
            }
            walk.take(record);
        }
        bytes += records.len() as u64;
    }
    if bytes != log.index.bytes {
        return Err(damaged(format!("{bytes} bytes of records, not {}", log.index.bytes)));
    }
    if let Some(mark) = marks.next() {
        return Err(damaged(format!("a line is marked at {}, within a record", mark.offset)));
    }
    let (out, err) = (lines.out, lines.err);
    let size_bytes = log.file.metadata()?.len();
    let mut tail = vec![0; usize::try_from(size_bytes - log.frames_end).unwrap_or(0)];
    log.file.read_exact_at(&mut tail, log.frames_end)?;
    let written =
        rmp_serde::to_vec_named(&log.index).map_err(|error| damaged(error.to_string()))?;
    if tail.get(..tail.len().saturating_sub(4)) != Some(written.as_slice()) {
        return Err(damaged("its index is not as it was written".to_owned()));
    }
    Ok(Sealed { bytes, out, err, size_bytes, sha256: digest.finalize().into() })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proto::record::Channel;

    use super::*;
    use crate::log::live::LiveLog;
    use crate::log::seal;

    fn sealed_row(folder: &Path, sealed: &Sealed) -> LogRow {
        assert!(folder.join("x.logz").exists());
        LogRow {
            command: attempt::CommandId { incarnation: 1, counter: 1 },
            record_bytes: sealed.bytes,
            sealed_path: "x.logz".to_owned(),
            sealed_bytes: sealed.size_bytes,
            sha256: sealed.sha256,
            out_bytes: sealed.out.bytes,
            err_bytes: sealed.err.bytes,
            out_lines: sealed.out.lines,
            err_lines: sealed.err.lines,
            sealed_us: 1,
        }
    }

    #[test]
    fn every_flipped_byte_that_matters_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let live = LiveLog::open(&folder.path().join("x.log")).unwrap();
        let mut records = Vec::new();
        for number in 0..300 {
            let channel = if number % 3 == 0 { Channel::Err } else { Channel::Out };
            record::append(&mut records, channel, number, format!("line {number}\n").as_bytes());
        }
        live.append(0, &records).unwrap();
        let path = folder.path().join("x.logz");
        let sealed = seal::seal(&live, &path).unwrap();
        let row = sealed_row(folder.path(), &sealed);
        assert_eq!(compare(folder.path(), &row), None);
        assert_eq!(inspect(&path).unwrap(), sealed);
        let healthy = fs::read(&path).unwrap();
        for at in 0..healthy.len() {
            let mut bytes = healthy.clone();
            bytes[at] ^= 0xff;
            fs::write(&path, bytes).unwrap();
            assert!(compare(folder.path(), &row).is_some(), "byte {at} of {}", healthy.len());
        }
        fs::write(&path, &healthy[..healthy.len() - 1]).unwrap();
        assert!(compare(folder.path(), &row).is_some());
        fs::remove_file(&path).unwrap();
        assert!(compare(folder.path(), &row).is_some_and(|finding| finding.contains("missing")));
    }
}
