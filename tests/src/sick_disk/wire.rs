//! What the kernel asks of a file system in user space, and how it is answered.
//!
//! Source: `include/uapi/linux/fuse.h`, version 7.31. Numbers are in the byte order of the
//! machine; a request is 40 bytes and its arguments, an answer is 16 bytes and what was asked for.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{Stat, StatVfs};
use rustix::io::Errno;

pub(super) const VERSION: [u32; 2] = [7, 31];
/// The most that is written at once, in bytes.
pub(super) const MOST_BYTES: u32 = 128 * 1024;
/// What a request may have, beside what is written.
pub(super) const ROOM_BYTES: usize = MOST_BYTES as usize + 4096;
/// For how long the kernel may remember names and attributes, in seconds. Nobody else changes
/// them.
const VALID_S: u64 = 1;
const BIG_WRITES: u32 = 1 << 5;

/// What is asked, by its number.
pub(super) mod kind {
    pub(in super::super) const LOOKUP: u32 = 1;
    pub(in super::super) const FORGET: u32 = 2;
    pub(in super::super) const GETATTR: u32 = 3;
    pub(in super::super) const SETATTR: u32 = 4;
    pub(in super::super) const MKNOD: u32 = 8;
    pub(in super::super) const MKDIR: u32 = 9;
    pub(in super::super) const UNLINK: u32 = 10;
    pub(in super::super) const RMDIR: u32 = 11;
    pub(in super::super) const RENAME: u32 = 12;
    pub(in super::super) const LINK: u32 = 13;
    pub(in super::super) const OPEN: u32 = 14;
    pub(in super::super) const READ: u32 = 15;
    pub(in super::super) const WRITE: u32 = 16;
    pub(in super::super) const STATFS: u32 = 17;
    pub(in super::super) const RELEASE: u32 = 18;
    pub(in super::super) const FSYNC: u32 = 20;
    pub(in super::super) const FLUSH: u32 = 25;
    pub(in super::super) const INIT: u32 = 26;
    pub(in super::super) const OPENDIR: u32 = 27;
    pub(in super::super) const READDIR: u32 = 28;
    pub(in super::super) const RELEASEDIR: u32 = 29;
    pub(in super::super) const FSYNCDIR: u32 = 30;
    pub(in super::super) const CREATE: u32 = 35;
    pub(in super::super) const INTERRUPT: u32 = 36;
    pub(in super::super) const BATCH_FORGET: u32 = 42;
    pub(in super::super) const RENAME2: u32 = 45;
}

/// A request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) kind: u32,
    pub(super) unique: u64,
    pub(super) node: u64,
    body: &'a [u8],
}

impl<'a> Asked<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let head = Self { kind: 0, unique: 0, node: 0, body: bytes };
        Some(Self {
            kind: head.u32(4),
            unique: head.u64(8),
            node: head.u64(16),
            body: bytes.get(40..)?,
        })
    }

    /// Returns a number of the arguments; 0 where the kernel sent none.
    pub(super) fn u32(&self, at: usize) -> u32 {
        let bytes = self.body.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        u32::from_ne_bytes(bytes.unwrap_or_default())
    }

    pub(super) fn u64(&self, at: usize) -> u64 {
        let bytes = self.body.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        u64::from_ne_bytes(bytes.unwrap_or_default())
    }

    /// Returns the bytes after the numbers.
    pub(super) fn rest(&self, at: usize) -> &'a [u8] {
        self.body.get(at..).unwrap_or_default()
    }

    /// Returns the names after the numbers.
    pub(super) fn names(&self, at: usize) -> [&'a OsStr; 2] {
        let mut names = self.rest(at).split(|byte| *byte == 0).map(OsStr::from_bytes);
        [names.next().unwrap_or_default(), names.next().unwrap_or_default()]
    }
}

/// An answer, or the number of an error.
pub(super) fn reply(unique: u64, answer: Result<Vec<u8>, Errno>) -> Vec<u8> {
    let (error, body) = match answer {
        Ok(body) => (0, body),
        Err(errno) => (-errno.raw_os_error(), Vec::new()),
    };
    let length = u32::try_from(16 + body.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(16 + body.len());
    bytes.extend(length.to_ne_bytes());
    bytes.extend(error.to_ne_bytes());
    bytes.extend(unique.to_ne_bytes());
    bytes.extend(body);
    bytes
}

/// Lays numbers one after the other.
macro_rules! laid {
    ($($number:expr),* $(,)?) => {{
        let mut bytes = Vec::new();
        $(bytes.extend($number.to_ne_bytes());)*
        bytes
    }};
}

pub(super) fn init() -> Vec<u8> {
    let [major, minor] = VERSION;
    let mut bytes = laid![major, minor, MOST_BYTES, BIG_WRITES, 16_u16, 12_u16, MOST_BYTES, 1_u32];
    bytes.resize(64, 0);
    bytes
}

fn narrow(number: impl TryInto<u32>) -> u32 {
    number.try_into().unwrap_or(u32::MAX)
}

fn wide(number: impl TryInto<u64>) -> u64 {
    number.try_into().unwrap_or(0)
}

fn attributes(stat: &Stat) -> Vec<u8> {
    laid![
        stat.st_ino,
        wide(stat.st_size),
        wide(stat.st_blocks),
        wide(stat.st_atime),
        wide(stat.st_mtime),
        wide(stat.st_ctime),
        narrow(stat.st_atime_nsec),
        narrow(stat.st_mtime_nsec),
        narrow(stat.st_ctime_nsec),
        stat.st_mode,
        narrow(stat.st_nlink),
        stat.st_uid,
        stat.st_gid,
        0_u32,
        4096_u32,
        0_u32,
    ]
}

pub(super) fn attr(stat: &Stat) -> Vec<u8> {
    let mut bytes = laid![VALID_S, 0_u32, 0_u32];
    bytes.extend(attributes(stat));
    bytes
}

pub(super) fn entry(node: u64, stat: &Stat) -> Vec<u8> {
    let mut bytes = laid![node, 0_u64, VALID_S, VALID_S, 0_u32, 0_u32];
    bytes.extend(attributes(stat));
    bytes
}

pub(super) fn opened(handle: u64) -> Vec<u8> {
    laid![handle, 0_u32, 0_u32]
}

pub(super) fn written(size: usize) -> Vec<u8> {
    laid![narrow(size), 0_u32]
}

pub(super) fn statfs(stat: &StatVfs) -> Vec<u8> {
    let mut bytes = laid![
        stat.f_blocks,
        stat.f_bfree,
        stat.f_bavail,
        stat.f_files,
        stat.f_ffree,
        narrow(stat.f_bsize),
        255_u32,
        narrow(stat.f_frsize),
    ];
    bytes.resize(80, 0);
    bytes
}

/// Adds an entry of a directory, where it fits. `next` is the place after it.
pub(super) fn push_entry(
    into: &mut Vec<u8>,
    most: usize,
    next: u64,
    entry: (u64, u32, &[u8]),
) -> bool {
    let (inode, kind, name) = entry;
    let size = (24 + name.len()).next_multiple_of(8);
    if into.len() + size > most {
        return false;
    }
    let end = into.len() + size;
    into.extend(laid![inode, next, narrow(name.len()), kind]);
    into.extend_from_slice(name);
    into.resize(end, 0);
    true
}
