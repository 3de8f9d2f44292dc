//! Does what the kernel asks, in the folder below; one request after the other.
//!
//! **Invariant**: a node stands for one file below, however many names it has, for as long as the
//! kernel knows it: its descriptor keeps the file's number from being given to another one.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;

use super::Health;
use super::ailment::{Deed, Memory, Part};
use super::wire::{self, Asked, kind};

const ROOT: u64 = 1;
/// Which of the attributes are to be set.
const SET_MODE: u32 = 1;
const SET_SIZE: u32 = 8;

type Answer = Result<Vec<u8>, Errno>;

#[derive(Debug)]
pub(super) struct Server {
    health: Arc<Mutex<Health>>,
    nodes: BTreeMap<u64, Node>,
    /// By device and number of the file.
    known: BTreeMap<(u64, u64), u64>,
    handles: BTreeMap<u64, Handle>,
    /// Of files of the database.
    memories: BTreeMap<u64, Memory>,
    last: u64,
}

#[derive(Debug)]
struct Node {
    place: OwnedFd,
    /// From the root.
    path: PathBuf,
    lookups: u64,
}

#[derive(Debug)]
enum Handle {
    File(File),
    Folder { place: OwnedFd, entries: Vec<(u64, u32, Vec<u8>)> },
}

impl Server {
    pub(super) fn new(folder: &Path, health: Arc<Mutex<Health>>) -> io::Result<Self> {
        let place = rustix::fs::open(folder, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let stat = rustix::fs::fstat(&place)?;
        let root = Node { place, path: PathBuf::new(), lookups: 1 };
        Ok(Self {
            health,
            nodes: [(ROOT, root)].into(),
            known: [((stat.st_dev, stat.st_ino), ROOT)].into(),
            handles: BTreeMap::new(),
            memories: BTreeMap::new(),
            last: ROOT,
        })
    }

    /// Serves until the file system is unmounted.
    pub(super) fn run(mut self, device: &OwnedFd) -> Self {
        let mut buffer = vec![0; wire::ROOM_BYTES];
        loop {
            let size = match rustix::io::read(device, &mut buffer) {
                Ok(size) => size,
                Err(Errno::INTR | Errno::AGAIN | Errno::NOENT) => continue,
                Err(_unmounted) => return self,
            };
            let Some(asked) = Asked::read(&buffer[..size]) else { continue };
            match asked.kind {
                kind::FORGET => self.forget(asked.node, asked.u64(0)),
                kind::BATCH_FORGET => {
                    for at in 0..asked.u32(0) as usize {
                        self.forget(asked.u64(8 + 16 * at), asked.u64(16 + 16 * at));
                    }
                }
                kind::INTERRUPT => {}
                _ => {
                    let reply = wire::reply(asked.unique, self.answer(asked));
                    // Whoever asked may have been killed.
                    let _was_killed = rustix::io::write(device, &reply).is_err();
                }
            }
        }
    }

    /// Lets every file of the database be what it is on the disk.
    pub(super) fn evict(mut self) -> usize {
        let mut evicted = 0;
        for (node, mut memory) in std::mem::take(&mut self.memories) {
            let Some(node) = self.nodes.get(&node) else { continue };
            let file = File::options().write(true).open(by_descriptor(&node.place));
            evicted += file.and_then(|file| memory.evict(&file)).unwrap_or(0);
        }
        evicted
    }

    fn answer(&mut self, asked: Asked<'_>) -> Answer {
        match asked.kind {
            kind::INIT => Ok(wire::init()),
            kind::LOOKUP => self.enter(asked.node, asked.names(0)[0]),
            kind::GETATTR => Ok(wire::attr(&rustix::fs::fstat(&self.node(asked.node)?.place)?)),
            kind::SETATTR => self.set(asked),
            kind::MKNOD => self.make_node(asked),
            kind::MKDIR => self.make_folder(asked),
            kind::UNLINK => self.remove(asked, AtFlags::empty()),
            kind::RMDIR => self.remove(asked, AtFlags::REMOVEDIR),
            kind::RENAME => self.rename(asked, 8, RenameFlags::empty()),
            kind::RENAME2 => self.rename(asked, 16, RenameFlags::from_bits_retain(asked.u32(8))),
            kind::LINK => self.link(asked),
            kind::OPEN => self.open(asked.node, asked.u32(0)),
            kind::CREATE => self.create(asked),
            kind::READ => self.read(asked),
            kind::WRITE => self.write(asked),
            kind::STATFS => {
                let path = by_descriptor(&self.node(asked.node)?.place);
                Ok(wire::statfs(&rustix::fs::statvfs(path)?))
            }
            kind::FSYNC | kind::FSYNCDIR => self.sync(asked),
            kind::FLUSH => Ok(Vec::new()),
            kind::OPENDIR => self.open_folder(asked.node),
            kind::READDIR => self.list(asked),
            kind::RELEASE | kind::RELEASEDIR => {
                self.handles.remove(&asked.u64(0));
                Ok(Vec::new())
            }
            _ => Err(Errno::NOSYS),
        }
    }

    fn node(&self, node: u64) -> Result<&Node, Errno> {
        self.nodes.get(&node).ok_or(Errno::STALE)
    }

    fn handle(&self, handle: u64) -> Result<&Handle, Errno> {
        self.handles.get(&handle).ok_or(Errno::BADF)
    }

    fn fails(&self, deed: Deed, path: &Path) -> Result<(), Errno> {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if health.fails(deed, path) { Err(Errno::IO) } else { Ok(()) }
    }

    fn fails_at(&self, deed: Deed, folder: u64, name: &OsStr) -> Result<(), Errno> {
        self.fails(deed, &self.node(folder)?.path.join(name))
    }

    /// Finds a name in a folder and makes its node known.
    fn enter(&mut self, folder: u64, name: &OsStr) -> Answer {
        let (node, stat) = self.find(folder, name)?;
        Ok(wire::entry(node, &stat))
    }

    fn find(&mut self, folder: u64, name: &OsStr) -> Result<(u64, Stat), Errno> {
        let parent = self.node(folder)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let place = rustix::fs::openat(&parent.place, name, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&place)?;
        let path = parent.path.join(name);
        let key = (stat.st_dev, stat.st_ino);
        let next = self.last + 1;
        let number = *self.known.entry(key).or_insert(next);
        if number == next {
            self.last = next;
            self.nodes.insert(number, Node { place, path, lookups: 1 });
        } else if let Some(node) = self.nodes.get_mut(&number) {
            node.lookups += 1;
            node.path = path;
        }
        Ok((number, stat))
    }

    fn forget(&mut self, number: u64, count: u64) {
        let Some(node) = self.nodes.get_mut(&number) else { return };
        node.lookups = node.lookups.saturating_sub(count);
        // What the disk of a file is said to hold is remembered longer than the kernel does.
        if node.lookups == 0 && number != ROOT && !self.memories.contains_key(&number) {
            self.nodes.remove(&number);
            self.known.retain(|_, known| *known != number);
        }
    }

    fn set(&mut self, asked: Asked<'_>) -> Answer {
        let valid = asked.u32(0);
        let node = self.node(asked.node)?;
        let path = by_descriptor(&node.place);
        if valid & SET_MODE != 0 {
            rustix::fs::chmod(&path, Mode::from_raw_mode(asked.u32(68) & 0o7777))?;
        }
        if valid & SET_SIZE != 0 {
            self.fails(Deed::Write, &node.path)?;
            let size = asked.u64(16);
            let file = File::options().write(true).open(&path).map_err(|error| errno(&error))?;
            file.set_len(size).map_err(|error| errno(&error))?;
            if let Some(memory) = self.memories.get_mut(&asked.node) {
                memory.before_truncate(size);
            }
        }
        Ok(wire::attr(&rustix::fs::fstat(&self.node(asked.node)?.place)?))
    }

    fn make_node(&mut self, asked: Asked<'_>) -> Answer {
        let name = asked.names(16)[0];
        self.fails_at(Deed::Name, asked.node, name)?;
        let (mode, umask) = (asked.u32(0), asked.u32(8));
        let kind = rustix::fs::FileType::from_raw_mode(mode);
        let mode = Mode::from_raw_mode(mode & 0o7777 & !umask);
        rustix::fs::mknodat(&self.node(asked.node)?.place, name, kind, mode, 0)?;
        self.enter(asked.node, name)
    }

    fn make_folder(&mut self, asked: Asked<'_>) -> Answer {
        let name = asked.names(8)[0];
        self.fails_at(Deed::Name, asked.node, name)?;
        let mode = Mode::from_raw_mode(asked.u32(0) & 0o7777 & !asked.u32(4));
        rustix::fs::mkdirat(&self.node(asked.node)?.place, name, mode)?;
        self.enter(asked.node, name)
    }

    fn remove(&mut self, asked: Asked<'_>, flags: AtFlags) -> Answer {
        let name = asked.names(0)[0];
        rustix::fs::unlinkat(&self.node(asked.node)?.place, name, flags)?;
        Ok(Vec::new())
    }

    fn rename(&mut self, asked: Asked<'_>, at: usize, flags: RenameFlags) -> Answer {
        let [old, new] = asked.names(at);
        let target = asked.u64(0);
        self.fails_at(Deed::Name, target, new)?;
        let (from, to) = (self.node(asked.node)?, self.node(target)?);
        rustix::fs::renameat_with(&from.place, old, &to.place, new, flags)?;
        // So that the node, where there is one, has its new path. The kernel looked nothing up.
        let (number, _) = self.find(target, new)?;
        self.forget(number, 1);
        Ok(Vec::new())
    }

    fn link(&mut self, asked: Asked<'_>) -> Answer {
        let name = asked.names(8)[0];
        self.fails_at(Deed::Name, asked.node, name)?;
        let from = by_descriptor(&self.node(asked.u64(0))?.place);
        let to = &self.node(asked.node)?.place;
        rustix::fs::linkat(rustix::fs::CWD, from, to, name, AtFlags::SYMLINK_FOLLOW)?;
        self.enter(asked.node, name)
    }

    fn hold(&mut self, handle: Handle) -> u64 {
        self.last += 1;
        self.handles.insert(self.last, handle);
        self.last
    }

    fn open(&mut self, node: u64, flags: u32) -> Answer {
        // The kernel says where bytes are appended, and has made the file empty where it has to be.
        let not = OFlags::APPEND | OFlags::TRUNC | OFlags::CREATE | OFlags::EXCL;
        let flags = OFlags::from_bits_retain(flags).difference(not | OFlags::NOFOLLOW);
        let path = by_descriptor(&self.node(node)?.place);
        let file = rustix::fs::open(path, readable(flags) | OFlags::CLOEXEC, Mode::empty())?;
        Ok(wire::opened(self.hold(Handle::File(file.into()))))
    }

    fn create(&mut self, asked: Asked<'_>) -> Answer {
        let name = asked.names(16)[0];
        self.fails_at(Deed::Name, asked.node, name)?;
        let flags = OFlags::from_bits_retain(asked.u32(0)).difference(OFlags::APPEND);
        let flags = readable(flags) | OFlags::CREATE | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(asked.u32(4) & 0o7777 & !asked.u32(8));
        let file = rustix::fs::openat(&self.node(asked.node)?.place, name, flags, mode)?;
        let mut answer = self.enter(asked.node, name)?;
        answer.extend(wire::opened(self.hold(Handle::File(file.into()))));
        Ok(answer)
    }

    fn file(&self, handle: u64) -> Result<&File, Errno> {
        match self.handle(handle)? {
            Handle::File(file) => Ok(file),
            Handle::Folder { .. } => Err(Errno::ISDIR),
        }
    }

    fn read(&mut self, asked: Asked<'_>) -> Answer {
        self.fails(Deed::Read, &self.node(asked.node)?.path)?;
        let file = self.file(asked.u64(0))?;
        let mut bytes = vec![0; asked.u32(16) as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            let at = asked.u64(8) + filled as u64;
            match file.read_at(&mut bytes[filled..], at).map_err(|error| errno(&error))? {
                0 => break,
                read => filled += read,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn write(&mut self, asked: Asked<'_>) -> Answer {
        let path = self.node(asked.node)?.path.clone();
        self.fails(Deed::Write, &path)?;
        let (handle, offset, bytes) = (asked.u64(0), asked.u64(8), asked.rest(40));
        let bytes = &bytes[..bytes.len().min(asked.u32(16) as usize)];
        if Part::Database.holds(&path) {
            let mut memory = self.memories.remove(&asked.node).unwrap_or_default();
            memory.before_write(self.file(handle)?, offset, bytes.len());
            self.memories.insert(asked.node, memory);
        }
        let written = self.file(handle)?.write_at(bytes, offset);
        written.map(wire::written).map_err(|error| errno(&error))
    }

    fn sync(&mut self, asked: Asked<'_>) -> Answer {
        let path = self.node(asked.node)?.path.clone();
        if let Err(errno) = self.fails(Deed::Sync, &path) {
            if let Some(memory) = self.memories.get_mut(&asked.node) {
                memory.failed();
            }
            return Err(errno);
        }
        match self.handle(asked.u64(0))? {
            Handle::File(file) => rustix::fs::fsync(file.as_fd())?,
            Handle::Folder { place, .. } => rustix::fs::fsync(place)?,
        }
        if let Some(memory) = self.memories.get_mut(&asked.node) {
            memory.synced();
        }
        Ok(Vec::new())
    }

    fn open_folder(&mut self, node: u64) -> Answer {
        let path = by_descriptor(&self.node(node)?.place);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let place = rustix::fs::open(path, flags, Mode::empty())?;
        let mut entries = Vec::new();
        for entry in Dir::read_from(&place)? {
            let entry = entry?;
            let kind = entry.file_type().as_raw_mode() >> 12;
            entries.push((entry.ino(), kind, entry.file_name().to_bytes().to_vec()));
        }
        Ok(wire::opened(self.hold(Handle::Folder { place, entries })))
    }

    fn list(&mut self, asked: Asked<'_>) -> Answer {
        self.fails(Deed::Read, &self.node(asked.node)?.path)?;
        let Handle::Folder { entries, .. } = self.handle(asked.u64(0))? else {
            return Err(Errno::NOTDIR);
        };
        let from = usize::try_from(asked.u64(8)).unwrap_or(usize::MAX);
        let most = asked.u32(16) as usize;
        let mut listed = Vec::new();
        for (at, (inode, kind, name)) in entries.iter().enumerate().skip(from) {
            if !wire::push_entry(&mut listed, most, at as u64 + 1, (*inode, *kind, name)) {
                break;
            }
        }
        Ok(listed)
    }
}

/// A file that is written has to be read, too, to know what it was before.
fn readable(flags: OFlags) -> OFlags {
    if flags.contains(OFlags::WRONLY) {
        return flags.difference(OFlags::WRONLY) | OFlags::RDWR;
    }
    flags
}

fn by_descriptor(place: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", place.as_raw_fd()))
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
