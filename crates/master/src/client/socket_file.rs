//! The file of a Unix socket: made, and removed, without taking anything from anybody else.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// Why a path cannot be our socket.
#[derive(Debug, thiserror::Error)]
enum Taken {
    #[error("another process listens on {path}; stop it, or give this master another path")]
    Listener { path: PathBuf },
    #[error("{path} is there and is no socket; move it away, or give this master another path")]
    NoSocket { path: PathBuf },
}

/// A socket's file, known again by what it is and not by its name alone.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    /// Binds a socket. One that nobody listens on, left by a master that was killed, is replaced.
    ///
    /// # Errors
    /// When somebody listens there, when something else is there, or it cannot be made.
    pub(super) async fn bind(path: &Path, mode: u32) -> io::Result<(UnixListener, Self)> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        make_room(path).await?;
        let socket = UnixListener::bind(path)?;
        let made = fs::symlink_metadata(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        let file = Self { path: path.to_owned(), device: made.dev(), inode: made.ino() };
        Ok((socket, file))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file, unless it is another by now.
    pub(super) fn remove(&self) -> io::Result<()> {
        let found = fs::symlink_metadata(&self.path)?;
        if (found.dev(), found.ino()) == (self.device, self.inode) {
            fs::remove_file(&self.path)?;
        }
        Ok(())
    }
}

/// Removes a socket that nobody listens on.
async fn make_room(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let taken = |why| Err(io::Error::new(io::ErrorKind::AddrInUse, why));
    if !found.file_type().is_socket() {
        return taken(Taken::NoSocket { path: path.to_owned() });
    }
    // Only a refusal proves that nobody listens: a busy or a forbidden one is somebody's.
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Ok(_) | Err(_) => taken(Taken::Listener { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_took_our_place_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let (_first, ours) = SocketFile::bind(&path, 0o600).await.unwrap();
        fs::rename(&path, folder.path().join("aside")).unwrap();
        let (_second, theirs) = SocketFile::bind(&path, 0o600).await.unwrap();
        ours.remove().unwrap();
        assert!(path.exists());
        theirs.remove().unwrap();
        assert!(!path.exists());
    }
}
