//! A disk that fails on purpose: a file system in user space over a folder, which answers some
//! calls with EIO. Only root can have one.
//!
//! `wire` is the kernel's protocol, `server` does what is asked, `ailment` says what fails.

mod ailment;
mod server;
mod wire;

use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

pub use ailment::{Ailment, Deed, Part};
use server::Server;

/// A mounted file system, gone when dropped.
#[derive(Debug)]
pub struct SickDisk {
    place: PathBuf,
    health: Arc<Mutex<Health>>,
    server: Option<JoinHandle<Server>>,
}

/// What is wrong at the moment, and what came of it.
#[derive(Debug, Default)]
struct Health {
    ailment: Option<Ailment>,
    /// Calls that failed, and syncs among them.
    failed: usize,
    failed_syncs: usize,
}

impl Health {
    /// Says whether a call fails, and counts it.
    fn fails(&mut self, deed: Deed, path: &Path) -> bool {
        let Some(ailment) = &mut self.ailment else { return false };
        if ailment.deed != deed || ailment.times == 0 || !ailment.part.holds(path) {
            return false;
        }
        ailment.times -= 1;
        self.failed += 1;
        self.failed_syncs += usize::from(deed == Deed::Sync);
        true
    }
}

/// What an ailment did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Toll {
    pub failed: usize,
    pub failed_syncs: usize,
}

impl SickDisk {
    /// Says why there can be none here.
    pub fn cannot() -> Option<&'static str> {
        if !rustix::process::geteuid().is_root() {
            return Some("only root can mount a file system");
        }
        let is_there = Path::new("/dev/fuse").exists();
        (!is_there).then_some("there is no /dev/fuse")
    }

    /// Makes `place` show what is in the folder `backing`.
    ///
    /// # Errors
    /// The reason why this cannot be done here.
    pub fn new(backing: &Path, place: &Path) -> Result<Self, String> {
        if let Some(reason) = Self::cannot() {
            return Err(reason.to_owned());
        }
        let says = |what: &str, error: std::io::Error| format!("{what}: {error}");
        fs::create_dir_all(place).map_err(|error| says("make a folder", error))?;
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let device = rustix::fs::open("/dev/fuse", flags, Mode::empty());
        let device = device.map_err(|errno| says("open /dev/fuse", errno.into()))?;
        attach(&device, place).map_err(|errno| says("mount a file system", errno.into()))?;
        let health = Arc::new(Mutex::new(Health::default()));
        let server = Server::new(backing, health.clone()).map_err(|error| says("serve", error))?;
        let name = "sick disk".to_owned();
        let server = std::thread::Builder::new().name(name).spawn(move || server.run(&device));
        let server = Some(server.map_err(|error| says("serve", error))?);
        Ok(Self { place: place.to_owned(), health, server })
    }

    /// Lets calls fail from now on.
    pub fn ail(&self, ailment: Ailment) {
        let mut health = self.lock();
        *health = Health { ailment: Some(ailment), ..Health::default() };
    }

    /// Lets everything go well again, and says what had failed.
    pub fn heal(&self) -> Toll {
        let health = std::mem::take(&mut *self.lock());
        Toll { failed: health.failed, failed_syncs: health.failed_syncs }
    }

    /// Ends the file system once nobody has a file of it open. What the disk never got is gone
    /// from the folder then. Returns how many pages that were.
    ///
    /// # Panics
    /// When somebody goes on using it.
    pub fn forget(mut self) -> usize {
        crate::wait_until("an end of all use of a sick disk", || {
            unmount(&self.place, UnmountFlags::empty()).ok()
        });
        let server = self.server.take().and_then(|server| server.join().ok());
        server.map_or(0, Server::evict)
    }

    fn lock(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SickDisk {
    fn drop(&mut self) {
        // Detached at once; the server ends when the last process that uses it does.
        let _was_gone = unmount(&self.place, UnmountFlags::DETACH).is_err();
    }
}

fn attach(device: &OwnedFd, place: &Path) -> rustix::io::Result<()> {
    let options = format!(
        "fd={},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions",
        device.as_raw_fd()
    );
    let options = std::ffi::CString::new(options).unwrap_or_default();
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("sick-disk", place, "fuse.sick", flags, options.as_c_str())
}
