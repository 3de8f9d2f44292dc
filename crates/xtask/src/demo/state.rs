//! The demo's folder: tokens, the worker's configuration, the repository, the launcher.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::cargo::{root, run};
use crate::release::Programs;

/// Everything below `target/demo`.
#[derive(Debug)]
pub(super) struct State {
    folder: PathBuf,
}

impl State {
    /// Makes it anew.
    pub(super) fn make(programs: &Programs) -> anyhow::Result<Self> {
        let state = Self { folder: root().join("target/demo") };
        if std::os::unix::net::UnixStream::connect(state.path("control.sock")).is_ok() {
            bail!("a demo is running already; end it with Ctrl-C first");
        }
        if state.folder.exists() {
            fs::remove_dir_all(&state.folder).context("remove the last demo's state")?;
        }
        fs::create_dir_all(state.path("bin")).context("make the demo's folder")?;
        state.write_tokens(programs)?;
        state.write_worker()?;
        state.push_checkout()?;
        std::os::unix::fs::symlink(&programs.changeport, state.path("bin/hello"))
            .context("make the launcher")?;
        Ok(state)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(super) fn change_address(&self) -> String {
        format!("unix:{}", self.path("change.sock").display())
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.path(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }

    fn write_tokens(&self, programs: &Programs) -> anyhow::Result<()> {
        let drawn = Command::new(&programs.master).args(["token", "demo"]).output();
        let text = String::from_utf8_lossy(&drawn.context("draw a token")?.stdout).into_owned();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let [token, hash] = lines.as_slice() else { bail!("no token in:\n{text}") };
        self.write("worker.token", token)?;
        fs::set_permissions(self.path("worker.token"), fs::Permissions::from_mode(0o600))
            .context("protect the token")?;
        self.write("tokens", &format!("{hash}\n"))
    }

    fn write_worker(&self) -> anyhow::Result<()> {
        self.write(
            "worker.toml",
            "masters = [\"127.0.0.1:9989\"]\n\
             name = \"demo\"\n\
             token = { file = \"worker.token\" }\n\
             data = \"worker\"\n\
             repositories = { allow_local = true }\n",
        )
    }

    /// Pushes HEAD of this checkout. A shallow one, or none at all, gives its files as one commit.
    fn push_checkout(&self) -> anyhow::Result<()> {
        let bare = self.path("checkout.git");
        run(Command::new("git")
            .args(["init", "--quiet", "--bare", "--initial-branch=main", "--"])
            .arg(&bare))?;
        let pushed =
            git().args(["push", "--quiet"]).arg(&bare).arg("HEAD:refs/heads/main").output();
        if pushed.is_ok_and(|output| output.status.success()) {
            return Ok(());
        }
        self.commit_files(&bare)
    }

    fn commit_files(&self, bare: &Path) -> anyhow::Result<()> {
        let into = |arguments: &[&str]| {
            let mut command = git();
            command.arg("--git-dir").arg(bare).arg("--work-tree").arg(root()).args(arguments);
            for role in ["AUTHOR", "COMMITTER"] {
                command.env(format!("GIT_{role}_NAME"), "demo");
                command.env(format!("GIT_{role}_EMAIL"), "demo@localhost");
            }
            command
        };
        run(&mut into(&["symbolic-ref", "HEAD", "refs/heads/main"]))?;
        run(&mut into(&["add", "--", "README.md", "Cargo.toml", "crates", "examples"]))?;
        run(&mut into(&["commit", "--quiet", "-m", "The files of this checkout"]))
    }
}

/// Git on a checkout that may belong to somebody else, as in a container.
fn git() -> Command {
    let mut command = Command::new("git");
    command.current_dir(root()).args(["-c", "safe.directory=*"]);
    command
}
