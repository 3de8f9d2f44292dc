//! The git step with real git: Buildbot's modes, exact revisions, and what is refused.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A bare repository with a clone to write in, and a directory to check out into.
struct Rig {
    folder: tempfile::TempDir,
}

impl Rig {
    /// One commit on `main`: `file` holds `one`, `*.o` is ignored.
    fn new() -> Self {
        let rig = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(rig.work()).unwrap();
        rig.git_in(rig.folder.path(), &["init", "--quiet", "--bare", "-b", "main", "bare"]);
        rig.git_in(rig.folder.path(), &["init", "--quiet", "-b", "main", "desk"]);
        rig.git(&["remote", "add", "origin", rig.bare().to_str().unwrap()]);
        rig.commit("one");
        rig
    }

    fn bare(&self) -> PathBuf {
        self.folder.path().join("bare")
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    fn git_in(&self, directory: &Path, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=A", "-c", "user.email=a@example.org"])
            .args(arguments)
            .current_dir(directory)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", text(&output.stderr));
        text(&output.stdout).trim().to_owned()
    }

    fn git(&self, arguments: &[&str]) -> String {
        self.git_in(&self.folder.path().join("desk"), arguments)
    }

    /// Commits a new content of `file`, pushes it, and returns the hash.
    fn commit(&self, content: &str) -> String {
        let desk = self.folder.path().join("desk");
        fs::write(desk.join("file"), content).unwrap();
        fs::write(desk.join(".gitignore"), "*.o\n").unwrap();
        self.git(&["add", "."]);
        self.git(&["commit", "--quiet", "-m", content]);
        self.git(&["push", "--quiet", "--force", "origin", "HEAD:main"]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_worker"));
        command.arg("git-step").args(arguments).current_dir(self.work());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command
    }

    fn step(&self, arguments: &[&str]) -> Output {
        let bare = self.bare();
        let mut all = vec!["--repository", bare.to_str().unwrap(), "--allow-local"];
        all.extend(arguments);
        self.command(&all).output().unwrap()
    }

    fn good(&self, arguments: &[&str]) -> String {
        let output = self.step(arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stderr)
    }

    /// Returns the last line of a step that fails.
    fn bad(&self, arguments: &[&str]) -> String {
        last_line(&self.step(arguments))
    }

    fn file(&self) -> String {
        fs::read_to_string(self.work().join("file")).unwrap()
    }

    fn has(&self, name: &str) -> bool {
        self.work().join(name).symlink_metadata().is_ok()
    }

    /// Leaves behind what a build leaves: a changed file, an untracked and an ignored one.
    fn build(&self) {
        for name in ["file", "untracked", "ignored.o"] {
            fs::write(self.work().join(name), "left").unwrap();
        }
    }

    fn left(&self) -> (String, bool, bool) {
        (self.file(), self.has("untracked"), self.has("ignored.o"))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn last_line(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    text(&output.stderr).lines().last().unwrap_or_default().to_owned()
}

#[test]
fn incremental_keeps_what_a_build_left_and_follows_the_branch() {
    let rig = Rig::new();
    rig.good(&["--mode", "incremental", "--branch", "main"]);
    rig.build();
    let second = rig.commit("two");
    let said = rig.good(&["--mode", "incremental", "--branch", "main"]);
    assert_eq!(rig.left(), ("two".to_owned(), true, true));
    assert!(said.ends_with(&format!("checked out {second}\n")), "{said}");
}

#[test]
fn a_changed_file_is_restored_even_at_the_same_revision() {
    let rig = Rig::new();
    rig.good(&["--mode", "incremental", "--branch", "main"]);
    rig.build();
    rig.good(&["--mode", "incremental", "--branch", "main"]);
    assert_eq!(rig.file(), "one");
}

#[test]
fn the_methods_of_a_full_checkout_differ_in_what_they_keep() {
    for (method, untracked, ignored) in [
        ("clobber", false, false),
        ("fresh", false, false),
        ("clean", false, true),
        ("copy", false, false),
    ] {
        let rig = Rig::new();
        let kept = rig.folder.path().join("kept");
        let options = ["--mode", "full", "--method", method, "--kept", kept.to_str().unwrap()];
        rig.good(&options);
        rig.build();
        rig.good(&options);
        assert_eq!(rig.left(), ("one".to_owned(), untracked, ignored), "{method}");
        assert_eq!(kept.join(".git").is_dir(), method == "copy", "{method}");
    }
}

#[test]
fn without_branch_and_revision_the_head_of_the_repository_is_checked_out() {
    let rig = Rig::new();
    rig.good(&["--mode", "full"]);
    assert_eq!(rig.file(), "one");
}

#[test]
fn an_older_revision_of_a_branch_is_checked_out_exactly() {
    let rig = Rig::new();
    let first = rig.git(&["rev-parse", "HEAD"]);
    rig.commit("two");
    rig.good(&["--mode", "incremental", "--branch", "main", "--revision", &first]);
    assert_eq!(rig.file(), "one");
}

#[test]
fn a_revision_that_is_on_no_branch_any_more_is_still_found() {
    let rig = Rig::new();
    let lost = rig.commit("lost");
    rig.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    rig.commit("rewritten");
    rig.good(&["--mode", "full", "--branch", "main", "--revision", &lost]);
    assert_eq!(rig.file(), "lost");
}

#[test]
fn a_revision_that_the_server_does_not_give_by_itself_is_found_on_the_branch() {
    let rig = Rig::new();
    let first = rig.git(&["rev-parse", "HEAD"]);
    rig.commit("two");
    // Nobody can fetch a shortened hash.
    let short = &first[..12];
    rig.good(&["--mode", "full", "--branch", "main", "--revision", short]);
    assert_eq!(rig.file(), "one");
}

#[test]
fn a_revision_that_is_here_already_needs_no_network() {
    let rig = Rig::new();
    let first = rig.git(&["rev-parse", "HEAD"]);
    rig.good(&["--mode", "incremental", "--branch", "main"]);
    fs::rename(rig.bare(), rig.folder.path().join("gone")).unwrap();
    rig.good(&["--mode", "incremental", "--branch", "main", "--revision", &first]);
    let line = rig.bad(&["--mode", "incremental", "--branch", "main"]);
    assert!(line.starts_with("git step: cannot fetch refs/heads/main from "), "{line}");
}

#[test]
fn a_revision_that_does_not_exist_is_named_in_one_line() {
    let rig = Rig::new();
    let none = "0123456789012345678901234567890123456789";
    let line = rig.bad(&["--mode", "full", "--branch", "main", "--revision", none]);
    let bare = rig.bare();
    assert_eq!(
        line,
        format!(
            "git step: revision {none} is not in {}, branch `main`; it may have been removed by \
             a rewritten branch",
            bare.display()
        )
    );
}

#[test]
fn a_branch_that_does_not_exist_is_named_in_one_line() {
    let line = Rig::new().bad(&["--mode", "full", "--branch", "none"]);
    assert!(line.starts_with("git step: cannot fetch refs/heads/none from "), "{line}");
}

#[test]
fn a_local_repository_is_refused_unless_master_and_worker_allow_it() {
    let rig = Rig::new();
    let bare = rig.bare();
    let by_master =
        rig.command(&["--repository", bare.to_str().unwrap(), "--mode", "full"]).output().unwrap();
    assert!(last_line(&by_master).contains("allow_local = true"));
    let by_worker = rig.bad(&["--mode", "full", "--forbid-local"]);
    assert!(by_worker.contains("worker.toml"), "{by_worker}");
    assert!(!rig.has(".git"));
}

#[test]
fn a_local_repository_of_another_user_is_read() {
    let rig = Rig::new();
    if rustix::process::geteuid().as_raw() != 0 {
        println!("SKIPPED: only root can give files to another user");
        return;
    }
    let status = Command::new("chown").args(["-R", "1234"]).arg(rig.bare()).status().unwrap();
    assert!(status.success());
    rig.good(&["--mode", "full", "--branch", "main"]);
    assert_eq!(rig.file(), "one");
    let url = format!("file://{}", rig.bare().display());
    let arguments =
        ["--repository", &url, "--allow-local", "--mode", "full", "--method", "clobber"];
    let output = rig.command(&arguments).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn words_of_a_change_are_never_options() {
    let rig = Rig::new();
    let canary = rig.work().join("canary");
    let attack = format!("--upload-pack=touch {}", canary.display());
    for option in ["--branch", "--revision"] {
        let given = format!("{option}={attack}");
        assert!(rig.bad(&["--mode", "full", &given]).contains("is refused"), "{option}");
        assert!(rig.bad(&["--mode", "full", option, &attack]).contains("is refused"), "{option}");
    }
    for repository in [&*attack, "ext::sh -c touch% canary", "ssh://-oProxyCommand=touch canary/x"]
    {
        let output = rig.command(&["--repository", repository, "--mode", "full"]).output().unwrap();
        assert!(last_line(&output).contains("is refused"), "{repository}");
    }
    assert!(!canary.exists());
}

#[test]
fn nothing_in_the_checkout_is_executed() {
    let rig = Rig::new();
    rig.good(&["--mode", "incremental", "--branch", "main"]);
    let canary = rig.folder.path().join("canary");
    let hook = rig.work().join(".git/hooks/post-checkout");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", canary.display())).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let fsmonitor = format!("touch {}", canary.display());
    rig.git_in(&rig.work(), &["config", "core.fsmonitor", &fsmonitor]);
    rig.commit("two");
    rig.good(&["--mode", "incremental", "--branch", "main"]);
    rig.good(&["--mode", "full", "--method", "fresh", "--branch", "main"]);
    assert!(!canary.exists());
}

#[test]
fn a_repository_around_the_working_directory_is_left_alone() {
    let rig = Rig::new();
    let outer = rig.folder.path().join("desk");
    let inner = outer.join("state");
    fs::create_dir(&inner).unwrap();
    fs::write(outer.join("precious"), "untracked").unwrap();
    let bare = rig.bare();
    let mut command = rig.command(&["--repository", bare.to_str().unwrap(), "--allow-local"]);
    command.args(["--mode", "full", "--method", "fresh"]).current_dir(&inner);
    assert!(command.status().unwrap().success());
    assert!(outer.join("precious").exists());
    assert!(inner.join(".git").is_dir());
}

#[test]
fn what_a_killed_git_left_is_no_obstacle() {
    let rig = Rig::new();
    rig.good(&["--mode", "incremental"]);
    fs::write(rig.work().join(".git/index.lock"), "").unwrap();
    rig.good(&["--mode", "incremental"]);
    fs::remove_file(rig.work().join(".git/HEAD")).unwrap();
    rig.good(&["--mode", "incremental"]);
    assert_eq!(rig.file(), "one");
}

#[test]
fn a_repository_elsewhere_is_not_reached_through_a_link() {
    let rig = Rig::new();
    let desk = rig.folder.path().join("desk");
    let head = rig.git(&["symbolic-ref", "HEAD"]);
    symlink(desk.join(".git"), rig.work().join(".git")).unwrap();
    rig.good(&["--mode", "incremental", "--branch", "main"]);
    assert_eq!(rig.git_in(&desk, &["symbolic-ref", "HEAD"]), head);
    assert!(!rig.work().join(".git").is_symlink());
}

#[test]
fn variables_of_git_do_not_lead_it_astray() {
    let rig = Rig::new();
    let desk = rig.folder.path().join("desk");
    let bare = rig.bare();
    let mut command = rig.command(&["--repository", bare.to_str().unwrap(), "--allow-local"]);
    command.args(["--mode", "full"]).env("GIT_DIR", desk.join(".git"));
    command.env("GIT_INDEX_FILE", desk.join("x")).env("GIT_WORK_TREE", &desk);
    assert!(command.status().unwrap().success());
    assert_eq!(rig.file(), "one");
    assert!(!desk.join("x").exists());
}

#[test]
fn a_checkout_is_repacked_when_much_has_piled_up() {
    let rig = Rig::new();
    rig.good(&["--mode", "incremental", "--branch", "main"]);
    let objects = rig.work().join(".git/objects");
    let packs = || {
        let files = fs::read_dir(objects.join("pack")).unwrap().flatten();
        files.filter(|file| file.path().extension().is_some_and(|word| word == "pack")).count()
    };
    for (name, value) in [("fetch.unpackLimit", "1"), ("gc.autoPackLimit", "1")] {
        rig.git_in(&rig.work(), &["config", name, value]);
    }
    rig.commit("two");
    rig.good(&["--mode", "incremental", "--branch", "main"]);
    assert_eq!(packs(), 1);
    rig.commit("three");
    rig.good(&["--mode", "incremental", "--branch", "main"]);
    assert_eq!(packs(), 1, "two packs became one");
    assert_eq!(fs::read_to_string(rig.work().join("file")).unwrap(), "three");
}
