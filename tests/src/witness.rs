//! The witness folder: proof of how often a command really ran.
//!
//! Each run makes a file named after its command id, which fails where there is one: a second run
//! of the same command would leave a mark beside it.

use std::fs;
use std::path::{Path, PathBuf};

/// What ran, as the commands themselves say.
#[derive(Debug, Clone)]
pub struct Witnesses {
    folder: PathBuf,
}

impl Witnesses {
    pub(crate) fn new(folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).expect("make the folder of witnesses");
        Self { folder }
    }

    /// Returns the lines a `script` begins with to leave its witness.
    pub fn script(&self) -> String {
        let folder = self.folder.display();
        format!(
            "w={folder}/$YARDMASTER_COMMAND\n\
             if ! (set -o noclobber; echo $$ > \"$w\") 2>/dev/null; then : > \"$w.twice\"; fi\n"
        )
    }

    /// Returns the ids of all commands that ran.
    ///
    /// # Panics
    /// When one ran twice.
    pub fn ran(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.folder)
            .expect("list the witnesses")
            .map(|entry| entry.expect("read a witness").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        let twice: Vec<&String> = names.iter().filter(|name| name.ends_with(".twice")).collect();
        assert!(twice.is_empty(), "commands that ran twice: {twice:?}");
        names
    }

    /// Returns a file beside the witnesses, for a script to write to.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.parent().unwrap_or(Path::new("/")).join(name)
    }
}
