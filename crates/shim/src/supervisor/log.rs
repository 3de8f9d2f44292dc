//! Writes the output as records: the beginning as it comes, and beyond the cap the newest of the
//! rest.
//!
//! A disk that is full loses nothing: records wait here, the command's pipes are not read
//! meanwhile, and so it waits, too, until there is room again.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use failpoint::Act;

use super::tail::Tail;
use crate::mask::Mask;
use crate::record::{self, Channel};
use crate::segment;
use crate::spec::OutputCap;
use crate::spool::create_new;
use crate::sys::wall_us;

/// Before a full disk is tried again.
pub(super) const FULL_PAUSE: Duration = Duration::from_millis(100);

/// The growing output. Files are made with their first byte.
pub(super) struct Log {
    cap: OutputCap,
    head: Option<File>,
    head_length: u64,
    /// Output that still goes to the head, in bytes.
    head_room: u64,
    /// Records of the head that are not in its file yet, or only in part.
    waiting: Vec<u8>,
    /// How much of them is.
    written: usize,
    tail: Option<Tail>,
    /// What the tail had no room for yet.
    tail_waiting: VecDeque<(Channel, Vec<u8>)>,
    taken_bytes: u64,
    /// Absent: the command has no secrets.
    mask: Option<Box<Mask>>,
}

impl Log {
    pub(super) fn new(cap: Option<OutputCap>) -> Self {
        let cap = cap.unwrap_or(OutputCap { head_bytes: u64::MAX, tail_bytes: 0 });
        Self {
            cap,
            head: None,
            head_length: 0,
            head_room: cap.head_bytes,
            waiting: Vec::new(),
            written: 0,
            tail: None,
            tail_waiting: VecDeque::new(),
            taken_bytes: 0,
            mask: None,
        }
    }

    /// Hides the secrets of the command from now on.
    pub(super) fn hide(&mut self, mask: Mask) {
        self.mask = Some(Box::new(mask));
    }

    /// Returns what hides the secrets of the command, if it has some.
    pub(super) fn mask(&self) -> Option<&Mask> {
        self.mask.as_deref()
    }

    /// Says whether something waits for room on the disk.
    pub(super) fn is_stuck(&self) -> bool {
        !self.waiting.is_empty() || !self.tail_waiting.is_empty()
    }

    /// Returns the length of the record stream that may be read while the command runs.
    pub(super) fn live_length(&self) -> u64 {
        self.head_length
    }

    /// Returns the length of the whole record stream, as it is if the command ends now.
    pub(super) fn length(&self) -> u64 {
        self.head_length + self.tail.as_ref().map_or(0, Tail::length)
    }

    /// Returns how much the command has written, kept or not.
    pub(super) fn taken_bytes(&self) -> u64 {
        self.taken_bytes
    }

    /// Takes output of the command.
    pub(super) fn output(&mut self, channel: Channel, bytes: &[u8]) -> io::Result<()> {
        self.taken_bytes += bytes.len() as u64;
        match &mut self.mask {
            Some(mask) => {
                let bytes = mask.take(channel, bytes);
                self.keep(channel, &bytes)
            }
            None => self.keep(channel, bytes),
        }
    }

    /// Takes what was held back as long as it could be the beginning of a secret: there is no more
    /// on this channel.
    pub(super) fn end(&mut self, channel: Channel) -> io::Result<()> {
        let Some(mask) = &mut self.mask else { return Ok(()) };
        let bytes = mask.end(channel);
        self.keep(channel, &bytes)
    }

    /// Keeps output as it is to be read.
    fn keep(&mut self, channel: Channel, bytes: &[u8]) -> io::Result<()> {
        let room = usize::try_from(self.head_room).unwrap_or(usize::MAX);
        let (first, rest) = bytes.split_at(room.min(bytes.len()));
        if !first.is_empty() {
            self.head_room -= first.len() as u64;
            self.write_head(channel, first)?;
        }
        if rest.is_empty() {
            return Ok(());
        }
        if self.tail.is_none() {
            let OutputCap { head_bytes, tail_bytes } = self.cap;
            let text = format!(
                "output beyond {head_bytes} bytes is shown when the command has ended: \
                 the last {tail_bytes} bytes of it"
            );
            self.write_head(Channel::System, text.as_bytes())?;
            self.tail = Some(Tail::new(tail_bytes));
        }
        self.tail_waiting.push_back((channel, rest.to_vec()));
        self.flush()
    }

    /// Adds a word of our own.
    pub(super) fn system(&mut self, text: &str) -> io::Result<()> {
        if self.tail.is_none() {
            return self.write_head(Channel::System, text.as_bytes());
        }
        self.tail_waiting.push_back((Channel::System, text.as_bytes().to_vec()));
        self.flush()
    }

    /// Completes the output and syncs it, however long the disk is full.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        // A process that could not be ended may still hold a pipe open.
        self.end(Channel::Out)?;
        self.end(Channel::Err)?;
        while self.is_stuck() {
            std::thread::sleep(FULL_PAUSE);
            self.flush()?;
        }
        self.head.as_ref().map_or(Ok(()), File::sync_data)?;
        self.tail.as_ref().map_or(Ok(()), Tail::sync)
    }

    fn write_head(&mut self, channel: Channel, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(record::PAYLOAD_BYTES) {
            record::append(&mut self.waiting, channel, wall_us(), piece);
        }
        self.flush()
    }

    /// Writes what waits, as far as there is room for it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self.flush_head().and_then(|()| self.flush_tail()) {
            Err(error) if is_full(&error) => Ok(()),
            flushed => flushed,
        }
    }

    fn flush_head(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let file = match &mut self.head {
            Some(file) => file,
            none => none.insert(create_new(segment::name(0).as_ref())?),
        };
        while self.written < self.waiting.len() {
            let at = self.head_length + self.written as u64;
            let rest = &self.waiting[self.written..];
            match failpoint::around(Act::OutputWrite, || file.write_at(rest, at)) {
                Ok(0) => return Err(io::ErrorKind::StorageFull.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.head_length += self.waiting.len() as u64;
        self.waiting.clear();
        self.written = 0;
        Ok(())
    }

    fn flush_tail(&mut self) -> io::Result<()> {
        let Some(tail) = &mut self.tail else { return Ok(()) };
        while let Some((channel, bytes)) = self.tail_waiting.front_mut() {
            while !bytes.is_empty() {
                let taken = tail.take(*channel, bytes)?;
                bytes.drain(..taken);
            }
            self.tail_waiting.pop_front();
        }
        Ok(())
    }
}

/// Says whether a disk, or a share of it, has no room left.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
