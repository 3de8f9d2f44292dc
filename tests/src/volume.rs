//! A small disk of its own, which can be full, and whose power can be cut. Only root can have one.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::FallocateFlags;

use crate::process::{finish, wait_until};

const FILLER: &str = "filler";
/// Shuts an ext4 file system down without writing its journal: ioctl `EXT4_IOC_SHUTDOWN` with
/// `EXT4_GOING_FLAGS_NOLOGFLUSH`. Source: `fs/ext4/ext4.h` of Linux.
const SHUT_DOWN: &str = "open(my $file, '<', $ARGV[0]) or die \"open: $!\"; \
     my $flags = pack('L', 2); ioctl($file, 0x8004587d, $flags) or die \"ioctl: $!\";";

/// A mounted file system in a file.
#[derive(Debug)]
pub struct Volume {
    image: PathBuf,
    place: PathBuf,
}

impl Volume {
    /// Makes a file system and mounts it on a new folder.
    ///
    /// # Errors
    /// The reason why this cannot be done here.
    pub fn new(place: &Path, mebibytes: u64) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root can mount a file system".to_owned());
        }
        fs::create_dir_all(place).map_err(|error| format!("make a folder: {error}"))?;
        let image = place.with_extension("image");
        let file = File::create(&image).map_err(|error| format!("make an image: {error}"))?;
        file.set_len(mebibytes << 20).map_err(|error| format!("make an image: {error}"))?;
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image))?;
        let volume = Self { image, place: place.to_owned() };
        volume.mount()?;
        Ok(volume)
    }

    fn mount(&self) -> Result<(), String> {
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.place))
    }

    /// Writes until nothing fits any more.
    ///
    /// # Panics
    /// When that fails for another reason.
    pub fn fill(&self) {
        let path = self.place.join(FILLER);
        self.reserve(&File::create(&path).expect("make a filler"));
        let mut file = OpenOptions::new().append(true).open(path).expect("open the filler");
        for size in [1 << 20, 4096, 1] {
            let piece = vec![0; size];
            while file.write_all(&piece).is_ok() {}
        }
    }

    /// Takes most of the room at once.
    fn reserve(&self, file: &File) {
        let Ok(free) = rustix::fs::statvfs(&self.place) else { return };
        let most = free.f_bavail * free.f_frsize;
        // The file system needs some of it to say where the rest is: what fits, fits.
        for part in [most / 100 * 99, most / 100 * 90] {
            if rustix::fs::fallocate(file, FallocateFlags::empty(), 0, part).is_ok() {
                return;
            }
        }
    }

    /// Makes room again.
    ///
    /// # Panics
    /// When it was not full.
    pub fn free(&self) {
        fs::remove_file(self.place.join(FILLER)).expect("remove the filler");
    }

    /// Cuts its power: what was not synced is gone, and everything fails from now on.
    ///
    /// # Panics
    /// When that cannot be done.
    pub fn cut_power(&self) {
        let any = self.place.join("power");
        // It cannot be made where the disk is full; then something else is there.
        drop(File::create(&any));
        run(Command::new("perl").args(["-e", SHUT_DOWN]).arg(&any)).expect("shut a volume down");
    }

    /// Mounts it again, as a machine does that was started again, once nobody has a file of it
    /// open.
    ///
    /// # Panics
    /// When that cannot be done.
    pub fn restore_power(&self) {
        wait_until("an end of all use of a volume", || {
            run(Command::new("umount").arg(&self.place)).ok()
        });
        // A mount namespace that is about to end may still have it.
        wait_until("an end of all mounts of a volume", || {
            let devices = finish(Command::new("losetup").arg("-j").arg(&self.image));
            devices.out().is_empty().then_some(())
        });
        self.mount().expect("mount a volume");
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Detached at once, gone when the last process is.
        drop(run(Command::new("umount").arg("-l").arg(&self.place)));
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let there = Command::new("which").arg(command.get_program()).output();
    if !there.is_ok_and(|there| there.status.success()) {
        return Err(format!("{} is not installed", command.get_program().display()));
    }
    let finished = finish(command);
    let what = || format!("{command:?}: {}", finished.err().trim());
    if finished.status.success() { Ok(()) } else { Err(what()) }
}
