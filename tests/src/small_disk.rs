//! A file system so small that a test can fill it.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::Command;

const SIZE: &str = "size=4m";

/// A mounted file system, gone when dropped.
#[derive(Debug)]
pub struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts one at a new folder, or says that the test is skipped where that is not allowed.
    ///
    /// # Panics
    /// When the folder cannot be made.
    pub fn mount(test: &str, path: PathBuf) -> Option<Self> {
        fs::create_dir(&path).expect("make a folder");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", SIZE, "none"]).arg(&path);
        if command.output().is_ok_and(|output| output.status.success()) {
            return Some(Self { path });
        }
        private_postgres::skip(&format!("{test}: not allowed to mount a small file system"));
        None
    }

    /// Takes all space there is.
    ///
    /// # Panics
    /// When something else than space is missing.
    pub fn fill(&self) {
        let mut file = File::create(self.filler()).expect("make a file");
        loop {
            match file.write_all(&[1; 4_096]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return,
                Err(error) => panic!("fill {}: {error}", self.path.display()),
            }
        }
    }

    /// Gives the space back.
    ///
    /// # Panics
    /// When it was not taken.
    pub fn free(&self) {
        fs::remove_file(self.filler()).expect("it was filled");
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a daemon that is killed after it may still stand there.
        let unmounted = Command::new("umount").arg("-l").arg(&self.path).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "unmount {}", self.path.display());
    }
}
