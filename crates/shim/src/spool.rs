//! The spool: one directory a command, and who owns them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use failpoint::Act;
use owner::{Lock, LockError};
use rustix::fs::{IFlags, Mode, OFlags, ioctl_getflags, ioctl_setflags};

use crate::ahead::Ahead;
use crate::directory::Directory;
use crate::group::{Group, GroupOrder};
use crate::id::CommandId;
use crate::inspect::{self, Found, Started};
use crate::output::OutputReader;
use crate::secrets::Secrets;
use crate::spec::Spec;
use crate::sweep::{Swept, sweep};
use crate::sys::boot_id;

pub(crate) const LOCK: &str = "lock";
pub(crate) const SPEC: &str = "spec";
pub(crate) const INTENT: &str = "intent";
pub(crate) const STARTED: &str = "started";
pub(crate) const EXIT: &str = "exit";
pub(crate) const CONTROL: &str = "ctl.sock";
/// Beside the directories: the id of the present boot, which every `intent` is a link to.
pub(crate) const BOOT: &str = "boot";

/// Why the spool did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    #[error("make spool {path}")]
    Make { path: PathBuf, source: io::Error },
    #[error("the spool is in use by another worker")]
    InUse { source: LockError },
    #[error("write {path}")]
    Write { path: PathBuf, source: io::Error },
    #[error("read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("encode {path}")]
    Encode { path: PathBuf, source: rmp_serde::encode::Error },
    #[error("keep the secrets of a command in memory")]
    Secrets { source: io::Error },
    #[error("command {command} is in the spool already")]
    Exists { command: CommandId },
}

/// The directory of all commands of a worker, locked for one daemon.
#[derive(Debug)]
pub struct SpoolRoot {
    path: PathBuf,
    spool_id: String,
    ahead: Ahead,
    _lock: Lock,
}

/// A directory made for a command, its lock held, its spec written.
#[derive(Debug)]
pub struct Created {
    pub command: CommandId,
    pub(crate) directory: OwnedFd,
    pub(crate) lock: OwnedFd,
    pub(crate) secrets: Option<OwnedFd>,
}

impl Created {
    /// Adds what its spec says it has. It is in memory alone, and goes with this value.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn with_secrets(mut self, secrets: &Secrets) -> Result<Self, SpoolError> {
        let kept = secrets.to_memory().map_err(|source| SpoolError::Secrets { source })?;
        self.secrets = Some(kept);
        Ok(self)
    }
}

impl SpoolRoot {
    /// Opens or makes the spool.
    ///
    /// # Errors
    /// `InUse` where another daemon has it, `Make` and `Read` for trouble with the disk.
    pub fn open(path: &Path) -> Result<Self, SpoolError> {
        let make = |source| SpoolError::Make { path: path.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(make)?;
        spread(path);
        let lock = Lock::acquire(&path.join("owner.lock")).map_err(|source| match source {
            LockError::Held { .. } => SpoolError::InUse { source },
            LockError::Io { path, source } => SpoolError::Make { path, source },
        })?;
        let spool_id = read_or_draw_id(&path.join("spool_id")).map_err(make)?;
        note_boot(&path.join(BOOT)).map_err(make)?;
        let ahead = Ahead::new(path).map_err(make)?;
        Ok(Self { path: path.to_owned(), spool_id, ahead, _lock: lock })
    }

    /// Returns the random id made with the spool: another disk, another id.
    pub fn spool_id(&self) -> &str {
        &self.spool_id
    }

    /// Returns the highest epoch of a master that was stored, 0 at first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn epoch(&self) -> Result<i64, SpoolError> {
        let path = self.path.join("epoch");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim().parse().unwrap_or(0)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(source) => Err(SpoolError::Read { path, source }),
        }
    }

    /// Stores the highest epoch durably.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn set_epoch(&self, epoch: i64) -> Result<(), SpoolError> {
        let path = self.path.join("epoch");
        write_durably(&path, epoch.to_string().as_bytes())
            .map_err(|source| SpoolError::Write { path, source })
    }

    /// Makes the directory of a command with its lock and spec.
    ///
    /// # Errors
    /// `Exists` where the command is known; nothing is left behind after other errors.
    pub fn create(&self, command: CommandId, spec: &Spec) -> Result<Created, SpoolError> {
        let path = self.directory(command);
        match failpoint::around(Act::SpoolDirectory, || self.ahead.make(&path)) {
            Ok(made) => self.fill(command, made, spec).inspect_err(|_| {
                // Without a spec the directory means nothing; it may go.
                drop(fs::remove_dir_all(&path));
            }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(SpoolError::Exists { command })
            }
            Err(source) => Err(SpoolError::Make { path, source }),
        }
    }

    fn fill(
        &self,
        command: CommandId,
        made: Directory,
        spec: &Spec,
    ) -> Result<Created, SpoolError> {
        let path = self.directory(command);
        let make = |source| SpoolError::Make { path: path.clone(), source };
        let spec =
            spec.to_file().map_err(|source| SpoolError::Encode { path: path.clone(), source })?;
        let beside = path.join("spec.tmp");
        let write = || create_new(&beside)?.write_all(&spec);
        failpoint::around(Act::SpecWrite, write).map_err(make)?;
        let rename = || fs::rename(&beside, path.join(SPEC));
        failpoint::around(Act::SpecRename, rename).map_err(make)?;
        let Directory { folder, lock, .. } = made;
        Ok(Created { command, directory: folder, lock: lock.into(), secrets: None })
    }

    /// Returns every command that has a directory.
    ///
    /// # Errors
    /// When the spool cannot be read.
    pub fn list(&self) -> Result<Vec<CommandId>, SpoolError> {
        let read = |source| SpoolError::Read { path: self.path.clone(), source };
        let mut commands = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(read)? {
            let entry = entry.map_err(read)?;
            commands.extend(entry.file_name().to_str().and_then(CommandId::from_name));
        }
        commands.sort_unstable();
        Ok(commands)
    }

    /// Says what became of a command.
    ///
    /// # Errors
    /// When its directory cannot be read.
    pub fn inspect(&self, command: CommandId) -> Result<Found, SpoolError> {
        let path = self.directory(command);
        inspect::inspect(&path).map_err(|source| SpoolError::Read { path, source })
    }

    /// Opens a command's output.
    pub fn output(&self, command: CommandId) -> OutputReader {
        OutputReader::new(self.directory(command))
    }

    /// Kills what is left of a command whose supervisor is gone, and removes its control group.
    /// Takes up to five seconds where something does not die.
    pub fn sweep(&self, command: CommandId, started: Option<&Started>) -> Swept {
        sweep(command, started, self.group(command).as_ref())
    }

    fn group(&self, command: CommandId) -> Option<GroupOrder> {
        let spec = fs::read(self.directory(command).join(SPEC)).ok()?;
        Spec::from_file(&spec)?.group
    }

    /// Removes a command's directory, and its control group where the supervisor did not come to
    /// that.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn remove(&self, command: CommandId) -> Result<(), SpoolError> {
        if let Some(order) = self.group(command) {
            Group::of(&order).remove();
        }
        let path = self.directory(command);
        self.ahead.remove(&path).map_err(|source| SpoolError::Write { path, source })
    }

    /// Returns the directory of a command.
    pub fn directory(&self, command: CommandId) -> PathBuf {
        self.path.join(command.to_string())
    }
}

pub(crate) fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY, Mode::empty())?)
}

pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Opens a file for writing, empty, whether it was there or not.
pub(crate) fn create_over(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Writes beside, syncs, renames, and syncs the folder.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("tmp");
    let mut file = create_over(&beside)?;
    file.write_all(bytes)?;
    failpoint::around(Act::KeepSync, || file.sync_data())?;
    failpoint::around(Act::KeepRename, || fs::rename(&beside, path))?;
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = File::open(folder.unwrap_or(Path::new(".")))?;
    failpoint::around(Act::KeepFolder, || folder.sync_all())
}

/// Tells ext4 that the directories below have nothing to do with each other, so that it spreads
/// them over the disk. Without a journal it looks for each new file's inode behind all those of its
/// neighbourhood that were deleted in the last minutes, and commands come and go fast. A hint: other
/// file systems do not know it.
fn spread(path: &Path) {
    let hint = || -> io::Result<()> {
        let folder = open_directory(path)?;
        Ok(ioctl_setflags(&folder, ioctl_getflags(&folder)? | IFlags::TOPDIR)?)
    };
    hint().ok();
}

/// Notes the present boot in a file of its own: older ones go on as the intents of older boots.
fn note_boot(path: &Path) -> io::Result<()> {
    let boot_id = boot_id();
    if fs::read(path).is_ok_and(|noted| noted == boot_id.as_bytes()) {
        return Ok(());
    }
    write_durably(path, boot_id.as_bytes())
}

fn read_or_draw_id(path: &Path) -> io::Result<String> {
    match fs::read_to_string(path) {
        Ok(text) if text.trim().len() == 32 => return Ok(text.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut random = [0u8; 16];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    write_durably(path, id.as_bytes())?;
    Ok(id)
}
