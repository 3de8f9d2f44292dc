//! Commits in a real repository become changes, each exactly once, and builds.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;

use e2e::{Daemon, Port, Repository, Yard, wait_until};
use serde_json::Value;

/// Source `repo`, whose changes all reach `show`; it prints them field by field.
fn watching(repository: &Repository, keys: &str) -> String {
    format!(
        r#"
scheduler.all = {{ type = "any_branch", change_source = "repo", builders = ["show"] }}
[change_source.repo]
type = "git_poll"
repository = "{}"
allow_local = true
poll_interval = "100ms"
{keys}
[builder.show]
workers = ["local"]
steps = [{{ name = "show", command = ["printf", "%s\\0", "${{change.branch}}", "${{revision.id}}", "${{change.author}}", "${{change.comments}}", "${{change.files}}"] }}]
"#,
        repository.url()
    )
}

/// A yard that watches a repository with one commit.
fn yard_with_repository(keys: &str) -> (Yard, Repository) {
    let yard = Yard::new("");
    let repository = yard.repository("repo");
    repository.commit("first", "first");
    repository.push();
    yard.configure(&watching(&repository, keys));
    (yard, repository)
}

/// Returns the fields that `show` printed for its build of this number.
fn shown(yard: &Yard, number: usize) -> Vec<Vec<u8>> {
    let log = yard.log_of(&format!("show#{number}"));
    let log = log.strip_suffix(b"\0").expect("each field ends with a NUL");
    log.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

/// Returns branch and revision of a change that `show` printed.
fn shown_head(yard: &Yard, number: usize) -> (String, String) {
    let fields = shown(yard, number);
    let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
    (text(&fields[0]), text(&fields[1]))
}

/// Returns what `master status` says about a source.
fn source(yard: &Yard, name: &str) -> Value {
    let status = yard.ask(&["status"]).remove(0);
    let sources = status["sources"].as_array().expect("status lists sources").clone();
    sources.into_iter().find(|source| source["name"] == name).expect("the source is listed")
}

/// Waits until a source was polled and nothing went wrong.
fn wait_until_polled(yard: &Yard) {
    wait_until("the first poll", || {
        let source = source(yard, "repo");
        let detail = source["detail"].as_str().unwrap_or_default();
        (detail.contains("branch") && source["is_well"] == true).then_some(())
    });
}

#[test]
fn heads_seen_for_the_first_time_are_recorded_and_not_built() {
    let (yard, repository) = yard_with_repository("first_sight = \"record\"");
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    wait_until_polled(&yard);
    let second = repository.commit("second", "second");
    repository.push();
    assert_eq!(yard.results("show", 1), ["SUCCESS"]);
    assert_eq!(shown_head(&yard, 1), ("main".to_owned(), second));
}

#[test]
fn the_first_push_to_an_empty_repository_is_a_change() {
    let yard = Yard::new("");
    let repository = yard.repository("repo");
    yard.configure(&watching(&repository, "first_sight = \"record\""));
    let master = yard.start_master();
    wait_until_polled(&yard);
    assert_eq!(master.stop().0, 0);
    repository.commit("first", "first");
    let second = repository.commit("second", "second");
    repository.push();
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    assert_eq!(yard.results("show", 1), ["SUCCESS"]);
    assert_eq!(shown_head(&yard, 1), ("main".to_owned(), second));
}

#[test]
fn heads_seen_for_the_first_time_are_built_where_that_is_wanted() {
    let yard = Yard::new("");
    let repository = yard.repository("repo");
    let head = repository.commit("word", "checked out");
    repository.push();
    yard.configure(&format!(
        r#"
scheduler.all = {{ type = "any_branch", change_source = "repo", builders = ["ci"] }}
change_source.repo = {{ type = "git_poll", repository = "{}", allow_local = true, poll_interval = "100ms", first_sight = "build" }}
[builder.ci]
workers = ["local"]
steps = [
  {{ git = "repo", mode = "full", method = "fresh" }},
  {{ name = "head", command = ["git", "rev-parse", "HEAD"] }},
  {{ name = "word", script = "cat word; echo \" on $BRANCH\"", env = {{ BRANCH = "${{change.branch}}" }} }},
]
"#,
        repository.url()
    ));
    let yard = yard;
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    assert_eq!(yard.results("ci", 1), ["SUCCESS"]);
    assert_eq!(yard.log_of("ci#1/head"), format!("{head}\n").as_bytes());
    assert_eq!(yard.log_of("ci#1/word"), b"checked out on main\n");
}

#[test]
fn a_change_has_the_exact_bytes_of_its_commit() {
    let (yard, repository) = yard_with_repository("");
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    wait_until_polled(&yard);
    let odd = OsStr::from_bytes(b"odd \xff\n.txt");
    fs::write(repository.folder().join(odd), "x").expect("the yard is ours");
    fs::write(repository.folder().join("plain"), "x").expect("the yard is ours");
    repository.git(["add", "--all"]);
    let message = repository.folder().join("../message");
    fs::write(&message, b"one \xe4\n\nthree\n").expect("the yard is ours");
    let mut commit = repository.command();
    commit.env("GIT_AUTHOR_NAME", OsStr::from_bytes(b"J\xf6rg"));
    commit.args(["-c", "i18n.commitEncoding=ISO-8859-1", "commit", "--quiet", "--file"]);
    assert!(e2e::finish(commit.arg(&message)).status.success());
    repository.push();
    let head = repository.git(["rev-parse", "HEAD"]);
    assert_eq!(yard.results("show", 1), ["SUCCESS"]);
    let expected: [&[u8]; 6] = [
        b"main",
        head.as_bytes(),
        b"J\xf6rg <ann@example.org>",
        b"one \xe4\n\nthree\n",
        b"odd \xff\n.txt",
        b"plain",
    ];
    assert_eq!(shown(&yard, 1), expected);
}

#[test]
fn each_commit_between_two_polls_is_a_change_and_a_new_branch_adds_what_is_its_own() {
    let (yard, repository) = yard_with_repository("branches = [\"main\", \"feature/*\"]");
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    wait_until_polled(&yard);
    let second = repository.commit("second", "second");
    let third = repository.commit("third", "third");
    repository.push();
    assert_eq!(yard.results("show", 2), ["SUCCESS"; 2]);
    assert_eq!(shown_head(&yard, 1).1, second);
    assert_eq!(shown_head(&yard, 2).1, third);
    repository.git(["switch", "--quiet", "--create", "unwanted"]);
    repository.commit("unwanted", "unwanted");
    repository.push();
    repository.git(["switch", "--quiet", "--create", "feature/new", "main"]);
    let own = repository.commit("own", "own");
    repository.push();
    assert_eq!(yard.results("show", 3), ["SUCCESS"; 3]);
    assert_eq!(shown_head(&yard, 3), ("feature/new".to_owned(), own));
}

#[test]
fn a_rewritten_branch_is_one_change_and_a_deleted_one_none() {
    let (yard, repository) = yard_with_repository("");
    repository.commit("second", "second");
    repository.commit("third", "third");
    repository.push();
    repository.git(["switch", "--quiet", "--create", "doomed"]);
    repository.push();
    let mut master = yard.start_master();
    let _worker = yard.start_worker("");
    wait_until_polled(&yard);
    repository.git(["switch", "--quiet", "main"]);
    repository.git(["reset", "--quiet", "--hard", "HEAD~2"]);
    repository.commit("other second", "other second");
    let rewritten = repository.commit("other third", "other third");
    repository.push();
    assert_eq!(yard.results("show", 1), ["SUCCESS"]);
    assert_eq!(shown_head(&yard, 1), ("main".to_owned(), rewritten));
    master.wait_for("branch main was rewritten");
    repository.git(["push", "--quiet", "origin", ":doomed"]);
    master.wait_for("branch doomed is gone");
    let fourth = repository.commit("fourth", "fourth");
    repository.push();
    assert_eq!(yard.results("show", 2), ["SUCCESS"; 2]);
    assert_eq!(shown_head(&yard, 2).1, fourth);
    assert_eq!(source(&yard, "repo")["is_well"], true);
}

#[test]
fn a_branch_may_take_the_place_of_a_folder_of_branches_and_the_other_way_round() {
    let (yard, repository) = yard_with_repository("");
    repository.git(["switch", "--quiet", "--create", "x"]);
    repository.push();
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    wait_until_polled(&yard);
    repository.git(["push", "--quiet", "origin", ":x"]);
    repository.git(["branch", "--quiet", "--move", "x", "x/y"]);
    let below = repository.commit("below", "below");
    repository.push();
    assert_eq!(yard.results("show", 1), ["SUCCESS"]);
    assert_eq!(shown_head(&yard, 1), ("x/y".to_owned(), below));
    repository.git(["push", "--quiet", "origin", ":x/y"]);
    repository.git(["branch", "--quiet", "--move", "x/y", "x"]);
    repository.git(["reset", "--quiet", "--hard", "main"]);
    let above = repository.commit("above", "above");
    repository.push();
    assert_eq!(yard.results("show", 2), ["SUCCESS"; 2]);
    assert_eq!(shown_head(&yard, 2), ("x".to_owned(), above));
}

#[test]
fn remotes_that_prove_nothing_or_run_commands_are_refused_before_anything_starts() {
    let yard = Yard::new("");
    let urls = [
        "git://example.org/a.git",
        "http://example.org/a.git",
        "ext::sh -c id",
        "-oProxyCommand=id",
        "/srv/git/a.git",
        "file:///srv/git/a.git",
    ];
    let source = |(number, url): (usize, &&str)| {
        format!("change_source.s{number} = {{ type = \"git_poll\", repository = \"{url}\" }}\n")
    };
    yard.configure(&urls.iter().enumerate().map(source).collect::<String>());
    let checked = yard.master(&["check", "--json"]);
    assert_eq!(checked.code(), 78, "{}", checked.err());
    let problems: Vec<Value> = serde_json::from_str(&checked.out()).expect("it is JSON");
    let codes: Vec<&str> = problems.iter().filter_map(|problem| problem["code"].as_str()).collect();
    assert_eq!(codes, ["E0304"; 6], "{problems:#?}");
}

/// A program that stands for ssh and is refused by the other side.
fn refused_ssh(yard: &Yard) -> String {
    fs::create_dir(yard.path("bin")).expect("the yard is ours");
    yard.write(
        "bin/ssh",
        "#!/bin/sh\necho 'git@host: Permission denied (publickey).' >&2\nexit 255\n",
    );
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(yard.path("bin/ssh"), mode).expect("the yard is ours");
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{}:{path}", yard.path("bin").display())
}

/// Counts processes whose command line holds a text.
fn processes_that_mention(text: &str) -> usize {
    let processes = fs::read_dir("/proc").expect("list processes").flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(text)).count()
}

fn wait_for_trouble(yard: &Yard, master: &Daemon, name: &str, words: &str) {
    wait_until(&format!("a second failure of {name}"), || {
        let source = source(yard, name);
        let detail = source["detail"].as_str().unwrap_or_default().to_owned();
        if source["is_well"] == true || !detail.contains("times in a row") {
            return None;
        }
        assert!(detail.contains(words), "{name}: {detail}");
        Some(())
    });
    // The interval is 100 ms: the pause doubles with each failure.
    for pause in ["200ms", "400ms"] {
        let mut lines = master.log().lines().map(str::to_owned).collect::<Vec<_>>();
        lines.retain(|line| line.contains(&format!("poll {name}: ")));
        let word = format!("next try in {pause} ");
        assert!(lines.iter().any(|line| line.contains(&word)), "{lines:#?}");
    }
}

#[test]
fn remotes_in_trouble_are_reported_tried_less_often_and_delay_nobody() {
    let (yard, repository) = yard_with_repository("");
    let silent = TcpListener::bind("127.0.0.1:0").expect("find a free port");
    let silent_address = silent.local_addr().expect("it is bound").to_string();
    let nobody = Port::reserve();
    let closed = nobody.address();
    let bad = |name: &str, url: &str| {
        format!(
            "change_source.{name} = {{ type = \"git_poll\", repository = \"{url}\", \
             poll_interval = \"100ms\", timeout = \"300ms\" }}\n"
        )
    };
    let sources = [
        bad("silent", &format!("https://{silent_address}/a.git")),
        bad("closed", &format!("https://bob:secret@{closed}/a.git")),
        bad("refused", "ssh://git@host.invalid/a.git"),
        bad("missing", "https://no-such-host.invalid/a.git"),
    ];
    yard.configure(&format!("{}{}", sources.concat(), watching(&repository, "")));
    let path = refused_ssh(&yard);
    let master = yard.start_master_as(|command| {
        command.env("PATH", path);
    });
    let _worker = yard.start_worker("");
    wait_until_polled(&yard);
    for number in 1..=3 {
        repository.commit(&number.to_string(), "while others hang");
        repository.push();
        yard.results("show", number);
    }
    wait_for_trouble(&yard, &master, "silent", "did not end within 300ms");
    wait_for_trouble(&yard, &master, "closed", "unable to access");
    wait_for_trouble(&yard, &master, "refused", "Permission denied");
    wait_for_trouble(&yard, &master, "missing", "");
    assert_eq!(source(&yard, "repo")["is_well"], true);
    let (code, log) = master.stop();
    assert_eq!(code, 0, "{log}");
    assert!(!log.contains("secret"), "{log}");
    wait_until("the end of every git", || {
        (processes_that_mention(&silent_address) == 0).then_some(())
    });
}

#[test]
fn a_source_recovers_when_its_repository_comes_back() {
    let (yard, repository) = yard_with_repository("");
    let mut master = yard.start_master();
    let _worker = yard.start_worker("");
    wait_until_polled(&yard);
    fs::rename(yard.path("repo.git"), yard.path("away")).expect("the yard is ours");
    master.wait_for("next try in");
    let second = repository.commit("second", "second");
    fs::rename(yard.path("away"), yard.path("repo.git")).expect("the yard is ours");
    repository.push();
    assert_eq!(yard.results("show", 1), ["SUCCESS"]);
    assert_eq!(shown_head(&yard, 1).1, second);
    wait_until_polled(&yard);
}

#[test]
fn what_a_killed_git_left_in_the_mirror_does_not_stop_the_source() {
    let (yard, repository) = yard_with_repository("first_sight = \"build\"");
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    assert_eq!(yard.results("show", 1), ["SUCCESS"]);
    yard.write("master/mirrors/repo.git/refs/yardmaster/main.lock", "");
    yard.write("master/mirrors/repo.git/packed-refs.lock", "");
    let second = repository.commit("second", "second");
    repository.push();
    assert_eq!(yard.results("show", 2), ["SUCCESS"; 2]);
    assert_eq!(shown_head(&yard, 2).1, second);
}

/// Counts packs of a mirror, and folders of objects that are in none.
fn packs_and_loose(yard: &Yard) -> (usize, usize) {
    let objects = yard.path("master/mirrors/repo.git/objects");
    let names = |folder: &str| {
        let entries = fs::read_dir(objects.join(folder)).expect("a mirror has objects").flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    let packs = names("pack").iter().filter(|name| name.ends_with(".pack")).count();
    (packs, names("").iter().filter(|name| name.len() == 2).count())
}

#[test]
fn a_mirror_is_repacked_when_much_has_piled_up() {
    let (yard, repository) = yard_with_repository("first_sight = \"build\"");
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    assert_eq!(yard.results("show", 1), ["SUCCESS"]);
    let (packs, loose) = packs_and_loose(&yard);
    assert!(packs == 0 && loose > 0, "{packs} {loose}");
    // Each fetch is a pack, and two are too many.
    let settings = "[core]\nbare = true\nrepositoryformatversion = 0\n\
        [fetch]\nunpackLimit = 1\n[gc]\nautoPackLimit = 1\n";
    yard.write("master/mirrors/repo.git/config", settings);
    for number in 2..=3 {
        repository.commit(&number.to_string(), "more");
        repository.push();
        yard.results("show", number);
    }
    wait_until("one pack with everything", || (packs_and_loose(&yard) == (1, 0)).then_some(()));
    assert_eq!(source(&yard, "repo")["is_well"], true);
}

#[test]
fn no_change_is_lost_or_doubled_when_the_master_is_killed_around_polls() {
    let (yard, repository) = yard_with_repository("first_sight = \"record\"");
    let master = yard.start_master();
    wait_until_polled(&yard);
    master.kill();
    let head = yard.path("master/mirrors/repo.git/refs/yardmaster/main");
    let mut commits = Vec::new();
    for round in 0..9 {
        let mut master = yard.start_master();
        for part in ["a", "b"] {
            commits.push(repository.commit(&format!("{round}{part}"), &format!("{round}{part}")));
        }
        let newest = commits.last().cloned().unwrap_or_default();
        repository.push();
        match round % 3 {
            // Somewhere before or within the poll.
            0 => {}
            // Between the fetch and the commit of the changes.
            1 => wait_until("the fetch", || {
                let fetched = fs::read_to_string(&head).unwrap_or_default();
                (fetched.trim() == newest).then_some(())
            }),
            // Just after the commit.
            _ => wait_until("the changes", || {
                (yard.ask(&["queue"]).len() == commits.len()).then_some(())
            }),
        }
        master.signal(rustix::process::Signal::KILL);
        master.ended();
    }
    let _master = yard.start_master();
    wait_until("all changes", || (yard.ask(&["queue"]).len() >= commits.len()).then_some(()));
    let _worker = yard.start_worker("");
    yard.results("show", commits.len());
    let built: Vec<String> =
        (1..=commits.len()).map(|number| shown_head(&yard, number).1).collect();
    assert_eq!(built, commits);
}
