//! Turns a finished log into its sealed form: zstd frames, an index, a checksum.
//!
//! File: frames of at most 256 KiB of records each, cut at record ends, then the index as
//! MessagePack, then its length as `u32` little-endian. The whole file is written beside,
//! synced, renamed, and its folder synced.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use failpoint::Act;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zstd::bulk::Compressor;

use super::line_index::{LineIndexer, Mark, Written};
use super::live::LiveLog;

/// Records in one compressed frame, in bytes.
const FRAME_BYTES: usize = 256 * 1024;
const LEVEL: i32 = 3;

/// Why a log was not sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("read log {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("write sealed log {path}")]
    Write { path: PathBuf, source: io::Error },
    #[error("encode the index of sealed log {path}")]
    Index { path: PathBuf, source: rmp_serde::encode::Error },
}

/// Where a frame of a sealed log begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FrameStart {
    /// Record-stream offset of its first byte.
    pub offset: u64,
    /// Place in the file.
    pub at: u64,
}

/// The index of a sealed log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Index {
    pub version: u32,
    /// Length of the record stream, in bytes.
    pub bytes: u64,
    pub frames: Vec<FrameStart>,
    /// Where lines are.
    pub marks: Vec<Mark>,
}

/// What the database keeps about a sealed log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    pub bytes: u64,
    pub out: Written,
    pub err: Written,
    /// Size of the sealed file, in bytes; 0 where the log is empty and has no file.
    pub size_bytes: u64,
    /// Of the record stream.
    pub sha256: [u8; 32],
}

/// Seals a log into `target`. The living file stays; the caller removes it once the database
/// knows.
///
/// # Errors
/// When reading or writing fails; then there is no target.
pub(super) fn seal(live: &LiveLog, target: &Path) -> Result<Sealed, SealError> {
    let write = |source| SealError::Write { path: target.to_owned(), source };
    let read = |source| SealError::Read { path: live.path().to_owned(), source };
    let beside = target.with_extension("tmp");
    let mut file = File::create(&beside).map_err(write)?;
    let mut compressor = Compressor::new(LEVEL).map_err(write)?;
    let mut index = Index { version: 1, ..Index::default() };
    let mut lines = LineIndexer::default();
    let mut at = 0u64;
    // The checksum is half of the work, so it has a thread of its own.
    let sha256 = std::thread::scope(|scope| {
        let (hash, pieces) = sync_channel::<Arc<Vec<u8>>>(1);
        let hasher = std::thread::Builder::new().spawn_scoped(scope, move || digest(&pieces));
        // Where no thread can be made, this one does it.
        let mut here = Sha256::new();
        loop {
            let records = Arc::new(live.read_at(index.bytes, FRAME_BYTES).map_err(read)?);
            if records.is_empty() {
                break;
            }
            match &hasher {
                // It ends only after this side.
                Ok(_) => drop(hash.send(records.clone())),
                Err(_no_thread) => here.update(&*records),
            }
            let frame = compressor.compress(&records).map_err(write)?;
            failpoint::around(Act::SealWrite, || file.write_all(&frame)).map_err(write)?;
            index.frames.push(FrameStart { offset: index.bytes, at });
            at += frame.len() as u64;
            index.bytes += records.len() as u64;
            lines.take(&records);
        }
        drop(hash);
        Ok(match hasher {
            Ok(hasher) => hasher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(_no_thread) => here.finalize().into(),
        })
    })?;
    let (out, err) = (lines.out, lines.err);
    index.marks = lines.finish();
    let tail = rmp_serde::to_vec_named(&index)
        .map_err(|source| SealError::Index { path: target.to_owned(), source })?;
    file.write_all(&tail).map_err(write)?;
    let length = u32::try_from(tail.len()).unwrap_or(u32::MAX);
    file.write_all(&length.to_le_bytes()).map_err(write)?;
    failpoint::around(Act::SealSync, || file.sync_all()).map_err(write)?;
    failpoint::around(Act::SealRename, || fs::rename(&beside, target)).map_err(write)?;
    if let Some(folder) = target.parent() {
        let sync = || File::open(folder).and_then(|folder| folder.sync_all());
        failpoint::around(Act::SealFolder, sync).map_err(write)?;
    }
    Ok(Sealed { bytes: index.bytes, out, err, size_bytes: at + tail.len() as u64 + 4, sha256 })
}

fn digest(pieces: &Receiver<Arc<Vec<u8>>>) -> [u8; 32] {
    let mut digest = Sha256::new();
    pieces.iter().for_each(|piece| digest.update(&*piece));
    digest.finalize().into()
}
