//! Another configuration for a running master: by `master reload` and by SIGHUP, while builds run
//! and wait.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use e2e::{Daemon, Repository, Yard, wait_until};
use rustix::process::Signal;
use serde_json::Value;

/// An app whose build ends once there is a file of the name that it is given.
fn app(name: &str) -> String {
    format!(
        r#"
app.{name} = {{ builder = "{name}", on_disconnect = "keep" }}
builder.{name}.workers = ["local"]
builder.{name}.steps = [{{ name = "wait", script = "until [ -e \"$FILE\" ]; do sleep 0.02; done; echo done", env = {{ FILE = "${{args[0]}}" }} }}]
"#
    )
}

/// The same, with at most so many builds on the worker.
fn limited(yard: &Yard, most: u32, more: &str) {
    yard.configure(more);
    let text = fs::read_to_string(yard.path("master.toml")).expect("read the configuration");
    yard.write("master.toml", &text.replace("max_builds = 8", &format!("max_builds = {most}")));
}

fn submit(yard: &Yard, app: &str, file: &str) -> String {
    let file = yard.path(file);
    let submitted = yard.changeport(&["submit", app, file.to_str().expect("it is UTF-8")]);
    assert_eq!(submitted.code(), 0, "{}", submitted.err());
    submitted.out().trim().to_owned()
}

fn status(yard: &Yard) -> Value {
    yard.ask(&["status"]).remove(0)
}

fn wait_for_running(yard: &Yard, count: u64) {
    wait_until("the start of builds", || (status(yard)["running"] == count).then_some(()));
}

/// Reloads by signal and waits for what the log says of it.
fn hang_up(master: &mut Daemon, says: &str) {
    master.signal(Signal::HUP);
    master.wait_for(says);
}

#[test]
fn removing_a_busy_builder_drains_it_and_nothing_is_left_running() {
    let yard = Yard::new("");
    limited(&yard, 1, &format!("{}{}", app("old"), app("new")));
    let master = yard.start_master();
    let _worker = yard.start_worker("");
    let (runs, waits) = (submit(&yard, "old", "go"), submit(&yard, "old", "go"));
    wait_for_running(&yard, 1);
    limited(&yard, 1, &app("new"));
    let plan = yard.master(&["plan"]);
    assert_eq!(plan.code(), 2);
    for line in [
        "- builder.old { workers = [\"local\"], steps",
        "old#2 of ",
        "waits for a builder that is gone, and is still served",
        "runs and finishes as it began on w1",
        "revision 1 → 2; 2 hot. Apply with: master reload --revision 2",
    ] {
        assert!(plan.out().contains(line), "{}", plan.out());
    }
    assert_eq!(yard.master(&["reload", "--revision", "2"]).code(), 0);
    assert_eq!(yard.master(&["plan"]).code(), 0);
    // Whatever is known of it survives.
    master.kill();
    let _master = yard.start_master();
    let refused = yard.changeport(&["submit", "old"]);
    assert_eq!(refused.code(), 127, "{}", refused.err());
    yard.write("go", "");
    assert_eq!(yard.results("old", 2), ["SUCCESS", "SUCCESS"]);
    for name in [runs, waits] {
        assert_eq!(yard.changeport(&["wait", &name]).code(), 0);
    }
    assert_eq!(status(&yard)["revision"], 2);
}

#[test]
fn what_waits_for_a_removed_builder_is_cancelled_where_that_is_wanted() {
    let yard = Yard::new("");
    limited(&yard, 1, &app("old"));
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let (runs, waits) = (submit(&yard, "old", "go"), submit(&yard, "old", "go"));
    wait_for_running(&yard, 1);
    limited(&yard, 1, "");
    let planned = yard.ask(&["reload", "--cancel-queued"]).remove(0);
    let affected = planned["plan"]["affected"].as_array().or(planned["affected"].as_array());
    let cancelled = affected.expect("a plan").iter().find(|line| line["fate"] == "cancelled");
    assert_eq!(cancelled.expect("one is cancelled")["request"], waits.as_str());
    let waited = yard.changeport(&["wait", &waits]);
    assert_eq!(waited.code(), 130, "{}", waited.err());
    let why = yard.master(&["why", &waits]);
    assert!(why.out().contains("builder old is no longer in the configuration"), "{}", why.out());
    yard.write("go", "");
    assert_eq!(yard.changeport(&["wait", &runs]).code(), 0);
}

#[test]
fn a_signal_changes_places_and_a_running_build_keeps_its_plan() {
    let yard = Yard::new("");
    limited(&yard, 2, &app("job"));
    let mut master = yard.start_master();
    let _worker = yard.start_worker("");
    for _ in 0..3 {
        submit(&yard, "job", "go");
    }
    wait_for_running(&yard, 2);
    limited(&yard, 1, &app("job").replace("echo done", "echo other"));
    hang_up(&mut master, "configuration revision 2 is in force");
    assert_eq!(status(&yard)["running"], 2, "nothing is revoked");
    limited(&yard, 3, &app("job").replace("echo done", "echo other"));
    hang_up(&mut master, "configuration revision 3 is in force");
    wait_for_running(&yard, 3);
    yard.write("go", "");
    yard.results("job", 3);
    let logs = ["job#1", "job#2", "job#3"].map(|build| yard.log_of(build));
    assert_eq!(logs, [&b"done\n"[..], b"done\n", b"other\n"]);
}

#[test]
fn a_configuration_that_cannot_be_used_changes_nothing() {
    let yard = Yard::new(&app("job"));
    let mut master = yard.start_master();
    let _worker = yard.start_worker("");
    let good = fs::read_to_string(yard.path("master.toml")).expect("read the configuration");
    yard.write("master.toml", &format!("{good}{}builder.x.workers = [\"lokal\"]\n", app("new")));
    for command in ["reload", "plan"] {
        let refused = yard.master(&[command]);
        assert_eq!(refused.code(), 78);
        assert!(refused.err().contains("did you mean `local`?"), "{}", refused.err());
    }
    hang_up(&mut master, "reload: nothing was changed: error[");
    fs::rename(yard.path("master.toml"), yard.path("away")).expect("move the configuration");
    hang_up(&mut master, "reload: nothing was changed: read the configuration");
    fs::rename(yard.path("away"), yard.path("master.toml")).expect("move it back");
    // A door that does not open is found before anything is changed.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("take a port");
    let address = taken.local_addr().expect("it is bound");
    yard.write(
        "master.toml",
        &format!(
            "{good}{}change_source.more = {{ type = \"changeport\", listen = [\"unix:more.sock\", \
             \"{address}\"], authenticate = [\"token\"], token_file = \"tokens\" }}\n",
            app("new")
        ),
    );
    let refused = yard.master(&["reload"]);
    assert_ne!(refused.code(), 0);
    assert!(refused.err().contains(&address.to_string()), "{}", refused.err());
    assert!(!yard.path("more.sock").exists(), "what was opened is closed again");
    assert_eq!(status(&yard)["revision"], 1);
    assert_eq!(yard.changeport(&["submit", "new"]).code(), 127);
    yard.write("go", "");
    assert_eq!(yard.changeport(&["wait", &submit(&yard, "job", "go")]).code(), 0);
    yard.write("master.toml", &format!("# the same, in other words\n{good}"));
    let same = yard.master(&["reload"]);
    assert!(same.out().contains("nothing changes: revision 1"), "{}", same.out());
}

#[test]
fn a_plan_that_is_outdated_is_not_applied() {
    let yard = Yard::new(&app("one"));
    let _master = yard.start_master();
    assert_eq!(yard.master(&["plan"]).code(), 0);
    yard.configure(&app("two"));
    assert_eq!(yard.master(&["plan"]).code(), 2);
    yard.configure(&app("three"));
    let refused = yard.master(&["reload", "--revision", "2"]);
    assert_eq!(refused.code(), 64);
    assert!(refused.err().contains("is not what was planned as revision 2"), "{}", refused.err());
    yard.configure(&app("two"));
    assert_eq!(yard.master(&["reload", "--revision", "2"]).code(), 0);
    let diff = yard.master(&["config", "diff", "1"]);
    assert!(diff.out().contains("- app.one {"), "{}", diff.out());
    assert!(diff.out().contains("+ builder.two {"), "{}", diff.out());
}

#[test]
fn a_change_port_moves_only_when_its_address_has_changed() {
    let yard = Yard::new(&app("job"));
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let inode = |name: &str| fs::metadata(yard.path(name)).map(|file| file.ino());
    let before = inode("change.sock").expect("the socket is there");
    let go = yard.path("go");
    let follower = yard.start_changeport(&["run", "job", go.to_str().expect("it is UTF-8")]);
    wait_for_running(&yard, 1);
    let text = fs::read_to_string(yard.path("master.toml")).expect("read the configuration");
    // The source has another name: its socket stays.
    yard.write("master.toml", &text.replace("change_source.launch", "change_source.called"));
    assert_eq!(yard.master(&["reload"]).code(), 0);
    assert_eq!(inode("change.sock").expect("it is still there"), before);
    assert_eq!(status(&yard)["sources"][0]["name"], "called");
    yard.write("master.toml", &text.replace("change.sock", "moved.sock"));
    assert_eq!(yard.master(&["reload"]).code(), 0);
    wait_until("the old socket to go", || inode("change.sock").is_err().then_some(()));
    inode("moved.sock").expect("the new one is there");
    yard.write("go", "");
    let finished = follower.finish();
    assert_eq!((finished.code(), finished.out().as_str()), (0, "done\n"), "who is in stays in");
}

#[test]
fn token_files_are_read_anew() {
    let yard = Yard::new("");
    let _master = yard.start_master();
    yard.configure_worker("max_builds = 1\n");
    yard.draw_token("w1", "worker.token", "tokens");
    let mut worker = yard.start_unattached_worker(|_command| {});
    worker.wait_for("the token is not known");
    let same = yard.master(&["reload"]);
    assert!(same.out().contains("token files were read anew"), "{}", same.out());
    worker.wait_for("attached");
}

#[test]
fn a_worker_that_is_removed_finishes_what_it_has_and_goes() {
    let yard = Yard::new(&app("job"));
    let mut master = yard.start_master();
    let mut worker = yard.start_worker("");
    let name = submit(&yard, "job", "go");
    wait_for_running(&yard, 1);
    let text = fs::read_to_string(yard.path("master.toml")).expect("read the configuration");
    yard.write("master.toml", &text.replace("names = [\"w1\"]", "names = [\"w2\"]"));
    assert_eq!(yard.master(&["reload"]).code(), 0);
    // It is let in again as long as something of it is needed.
    master.kill();
    master = yard.start_master();
    worker.wait_for("attached");
    yard.write("go", "");
    assert_eq!(yard.changeport(&["wait", &name]).code(), 0);
    master.wait_for("worker w1 is no longer in the configuration");
    worker.wait_for("stands in no [worker.*]");
}

#[test]
fn what_needs_a_restart_is_told_and_the_rest_is_done() {
    let yard = Yard::new(&app("job"));
    let mut master = yard.start_master();
    let text = fs::read_to_string(yard.path("master.toml")).expect("read the configuration");
    let text = text.replace("data = \"master\"", "data = \"elsewhere\"").replace("8 }", "7 }");
    yard.write("master.toml", &text);
    let plan = yard.master(&["plan"]);
    assert!(plan.out().contains("! master.data \"master\" → \"elsewhere\"   (needs a restart)"));
    assert!(plan.out().contains("revision 1 → 2; 1 hot, 1 restart."), "{}", plan.out());
    let reload = yard.master(&["reload"]);
    assert!(reload.out().contains("revision 2 is in force; 1 hot, 1 restart"), "{}", reload.out());
    master.wait_for("master.data takes effect when the master starts again");
    let plan = yard.master(&["plan"]);
    assert_eq!(plan.code(), 2, "it is still to be done");
    assert!(plan.out().contains("! master.data"), "{}", plan.out());
}

/// A scheduler and a builder for a repository.
fn watching(repository: &Repository, name: &str) -> String {
    format!(
        r#"
scheduler.{name} = {{ type = "any_branch", change_source = "{name}", builders = ["{name}"] }}
change_source.{name} = {{ type = "git_poll", repository = "{}", allow_local = true, poll_interval = "100ms" }}
builder.{name} = {{ workers = ["local"], steps = [{{ name = "show", command = ["echo", "${{change.comments}}"] }}] }}
"#,
        repository.url()
    )
}

#[test]
fn a_poller_that_has_changed_goes_on_where_it_was_and_others_are_left_alone() {
    let yard = Yard::new("");
    let repositories = ["a", "b", "c"].map(|name| yard.repository(name));
    for repository in &repositories {
        repository.commit("file", "first");
        repository.push();
    }
    let [a, b, c] = &repositories;
    yard.configure(&format!("{}{}", watching(a, "a"), watching(b, "b")));
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let is_polled = |name: &str| {
        let sources = status(&yard)["sources"].as_array().cloned().unwrap_or_default();
        let source = sources.iter().find(|source| source["name"] == name).cloned();
        source.is_some_and(|source| {
            source["detail"].as_str().is_some_and(|text| text.contains("1 branch"))
        })
    };
    wait_until("the first polls", || (is_polled("a") && is_polled("b")).then_some(()));
    // One is asked less often, one is gone, one is new.
    let slower = watching(a, "a").replace("100ms", "150ms");
    yard.configure(&format!("{slower}{}", watching(c, "c")));
    assert_eq!(yard.master(&["reload"]).code(), 0);
    assert!(!is_polled("b"));
    wait_until("the first poll of the new one", || is_polled("c").then_some(()));
    for repository in [a, c] {
        repository.commit("file", "second");
        repository.push();
    }
    assert_eq!(yard.results("a", 1), ["SUCCESS"], "only what is new since the first poll");
    assert_eq!(yard.results("c", 1), ["SUCCESS"]);
    assert_eq!(yard.log_of("a#1"), b"second\n\n");
}

#[test]
fn the_effective_configuration_is_shown_with_its_origins() {
    let yard = Yard::new("");
    fs::create_dir(yard.path("conf.d")).expect("make a folder");
    yard.write("conf.d/job.toml", "# an app\napp.job.builder = \"job\"\nbuilder.job = { workers = [\"local\"], steps = [{ command = [\"x\"] }] }\n");
    let shown = yard.master(&["config", "show", "--origin"]).out();
    let folder = yard.path("conf.d/job.toml");
    assert!(
        shown.contains(&format!("app.job.builder = \"job\"   # {}:2\n", folder.display())),
        "{shown}"
    );
    assert!(shown.contains("app.job.on_disconnect = cancel   # default\n"), "{shown}");
    assert!(shown.contains("builder.job.steps[1].retry_safe = false   # default\n"), "{shown}");
}
