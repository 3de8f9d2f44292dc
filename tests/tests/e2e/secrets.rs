//! Secrets reach the environment of a step, and nothing else of ours: no file, no log, no argument,
//! no other environment, no answer.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use e2e::{Daemon, Yard, finish, wait_until};
use proto::message::command::{Attach, Facts, Readiness};
use proto::message::hello::{Hello, Role, Welcome};

/// Values of the three kinds. What every one has is in no other text of a yard.
const FILE: &str = "canary-file/+\"'x y";
const CREDENTIAL: &str = "canary-credential-0";
const COMMAND: &str = "canary-command-1\nits canary-line-2";

/// A yard beside whose files lies a folder with the values.
fn yard(builders: &str) -> Yard {
    let yard = Yard::new("");
    let vault = yard.path("vault");
    fs::create_dir(&vault).expect("make the vault");
    for (name, value) in [("file", FILE), ("credential", CREDENTIAL), ("command", COMMAND)] {
        keep(&yard, name, &format!("{value}\n"));
    }
    configure(&yard, builders);
    yard
}

fn configure(yard: &Yard, builders: &str) {
    let command = yard.path("vault/command").display().to_string();
    yard.configure(&format!(
        r#"
secret.file = {{ file = "vault/file" }}
secret.credential = {{ credential = "credential" }}
secret.command = {{ command = ["cat", "{command}"] }}
app.ci = {{ builder = "ci", on_disconnect = "keep" }}
{builders}
"#
    ));
}

/// Writes a value that its owner alone can read.
fn keep(yard: &Yard, name: &str, value: &str) {
    let name = format!("vault/{name}");
    yard.write(&name, value);
    fs::set_permissions(yard.path(&name), Permissions::from_mode(0o600)).expect("hide a value");
}

fn start_master(yard: &Yard) -> Daemon {
    yard.start_master_as(|command| {
        command.env("CREDENTIALS_DIRECTORY", yard.path("vault"));
    })
}

/// Says whether bytes hold a value or its beginning, as it is or in base64 or hexadecimal.
fn tells(bytes: &[u8]) -> bool {
    ["canary", "Y2FuYXJ5", "NhbmFyeS", "jYW5hcnkt", "63616e617279"]
        .iter()
        .any(|text| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

/// Returns the first file below a folder that tells a value, but for the vault's.
fn telltale(folder: &Path) -> Option<String> {
    fs::read_dir(folder).expect("list a folder").find_map(|entry| {
        let path = entry.expect("list a folder").path();
        if path.is_symlink() || path.ends_with("vault") {
            return None;
        }
        if path.is_dir() {
            return telltale(&path);
        }
        // Files come and go while something runs; a socket cannot be read.
        let bytes = fs::read(&path).unwrap_or_default();
        tells(&bytes).then(|| path.display().to_string())
    })
}

/// Checks what everybody, or a user of the same name, sees of the processes of a yard. Only the
/// command itself has its environment.
fn check_processes(yard: &Yard) {
    let mut with_environment = 0;
    for pid in yard.processes() {
        let process = Path::new("/proc").join(pid.as_raw_nonzero().to_string());
        let read = |name| fs::read(process.join(name)).unwrap_or_default();
        assert!(!tells(&read("cmdline")), "the arguments of {pid:?}");
        let program = fs::read_link(process.join("exe")).unwrap_or_default();
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if ["master", "worker", "yardmaster-shim", "changeport"].contains(&name.as_str()) {
            assert!(!tells(&read("environ")), "the environment of {name}");
        } else {
            with_environment += usize::from(tells(&read("environ")));
        }
    }
    assert!(with_environment > 0, "the command itself has it");
}

const SHOWING: &str = r#"
[builder.ci]
workers = ["local"]
[[builder.ci.steps]]
name = "show"
env = { F = "${secret.file}", C = "<${secret.credential}>", M = "${secret.command}", PLAIN = "plain" }
script = '''
echo "$F|$C|$M|$PLAIN"
for text in "$F" "$C" "$M"; do
  printf %s "$text" | base64
  printf %s "$text" | od -An -v -tx1 | tr -d ' \n'; echo
  printf '%q\n' "$text"
  echo "$text" >&2
done
for part in cana ry-creden tial-0; do printf %s "$part"; sleep 0.05; done
set -x
: "$F" "$C" "$M"
set +x
touch showed
until test -e GATE; do sleep 0.02; done
'''
"#;

#[test]
fn a_secret_is_in_the_environment_of_its_command_and_nowhere_else() {
    let yard = yard("");
    let builders = SHOWING.replace("GATE", &yard.path("gate").display().to_string());
    configure(&yard, &builders);
    let master = start_master(&yard);
    let worker = yard.start_worker("");
    assert_eq!(yard.changeport(&["submit", "ci"]).code(), 0);
    let log = wait_until("the output", || {
        let log = yard.master(&["logs", "ci#1"]);
        let log = log.out() + &log.err();
        log.contains("+ set +x").then_some(log)
    });
    assert!(log.contains("[secret file]|<[secret credential]>|[secret command]|plain\n"), "{log}");
    assert!(log.matches("[secret credential]").count() >= 6, "{log}");
    assert!(log.matches("[secret file]").count() >= 6, "{log}");
    assert!(!tells(log.as_bytes()), "{log}");
    check_processes(&yard);
    assert_eq!(telltale(&yard.path("")), None, "while it runs");
    // It goes on under another worker and another master.
    worker.kill();
    master.kill();
    let master = start_master(&yard);
    let worker = yard.start_configured_worker();
    yard.write("gate", "");
    assert_eq!(yard.results("ci", 1), ["SUCCESS"]);
    for arguments in [
        &["builds", "ci", "--json"][..],
        &["builds", "ci"],
        &["logs", "ci#1"],
        &["config", "show"],
        &["plan"],
        &["check"],
        &["status", "--json"],
    ] {
        let finished = yard.master(arguments);
        assert!(!tells(&finished.stdout) && !tells(&finished.stderr), "master {arguments:?}");
    }
    assert!(!tells(&yard.changeport(&["status", "ci#1", "--json"]).stdout));
    assert!(!tells(master.log().as_bytes()) && !tells(worker.log().as_bytes()));
    assert_eq!(telltale(&yard.path("")), None, "when it has ended");
    let (code, log) = master.stop();
    assert_eq!((code, tells(log.as_bytes())), (0, false));
    assert_eq!(telltale(&yard.path("")), None, "when the master has ended");
}

const USING: &str = r#"
[builder.ci]
workers = ["local"]
steps = [
  { name = "use", script = "touch ran; test \"$TOKEN\" = \"$(cat VAULT/file)\"", env = { TOKEN = "${secret.file}" } },
  { name = "next", script = "true" },
  { name = "clean", script = "rm -f ran", always_run = true },
]
"#;

/// Returns the names and results of the steps of a build, and why it ended as it did.
fn story(yard: &Yard, build: &str) -> String {
    yard.changeport(&["status", build]).out()
}

#[test]
fn a_secret_that_cannot_be_read_is_the_exception_of_its_step_and_is_read_anew_for_the_next() {
    let yard = yard("");
    configure(&yard, &USING.replace("VAULT", &yard.path("vault").display().to_string()));
    let path = yard.path("vault/file");
    let mode = |mode| fs::set_permissions(&path, Permissions::from_mode(mode)).expect("chmod");
    mode(0o644);
    let checked = yard.master(&["check"]);
    assert_ne!(checked.code(), 0);
    assert!(checked.out().contains("E0502") || checked.err().contains("E0502"), "{checked:?}");
    mode(0o640);
    let checked = yard.master(&["check"]);
    assert_eq!(checked.code(), 0, "{checked:?}");
    assert!(checked.out().contains("W0505"), "{}", checked.out());
    mode(0o600);
    let master = start_master(&yard);
    let _worker = yard.start_worker("");
    let shown = path.display();
    let absent = format!("open {shown}: No such file or directory (os error 2)");
    let mut count = 0;
    for (value, why) in [
        (Some("hunter2!\n"), None),
        (None, Some(absent.as_str())),
        (Some("hunt\n"), Some("it is shorter than 6 bytes")),
        (Some("hunter2!"), Some("can be read or written by everybody (mode 0604)")),
        (Some("another value\n"), None),
    ] {
        fs::remove_file(&path).expect("remove the value");
        value.into_iter().for_each(|value| keep(&yard, "file", value));
        if why.is_some_and(|why| why.contains("0604")) {
            mode(0o604);
        }
        let ran = yard.changeport(&["run", "ci"]);
        count += 1;
        let story = story(&yard, &format!("ci#{count}"));
        match why {
            None => assert_eq!(ran.code(), 0, "{} {story}", ran.err()),
            Some(why) => {
                assert_eq!(ran.code(), 78, "{} {story}", ran.err());
                let sentence = "step use did not start: secret `file` cannot be read: ";
                assert!(ran.err().contains(sentence) && ran.err().contains(why), "{}", ran.err());
                assert!(!yard.path("worker/work/ci/ran").exists(), "it must not run");
            }
        }
        if value.is_none() {
            keep(&yard, "file", "for the next\n");
        }
    }
    let expected = ["SUCCESS", "EXCEPTION", "EXCEPTION", "EXCEPTION", "SUCCESS"];
    assert_eq!(yard.results("ci", count), expected);
    assert!(!master.log().contains("hunter2"), "{}", master.log());
    assert!(master.log().contains("a command is not started: secret `file`"), "{}", master.log());
}

#[test]
fn another_secret_is_there_with_the_builder_that_a_reload_brings() {
    let yard = yard(&USING.replace("use\"", "other\""));
    configure(&yard, "[builder.ci]\nworkers = [\"local\"]\nsteps = [{ script = \"true\" }]");
    let _master = start_master(&yard);
    let _worker = yard.start_worker("");
    keep(&yard, "new", "a new value\n");
    let vault = yard.path("vault").display().to_string();
    let builder =
        USING.replace("VAULT/file", &format!("{vault}/new")).replace("secret.file", "secret.new");
    configure(&yard, &format!("secret.new = {{ file = \"vault/new\" }}\n{builder}"));
    let plan = yard.master(&["plan"]);
    assert!(plan.out().contains("+ secret.new"), "{}", plan.out());
    assert_eq!(yard.master(&["reload"]).code(), 0);
    let ran = yard.changeport(&["run", "ci"]);
    assert_eq!(ran.code(), 0, "{}", ran.err());
}

#[test]
fn a_worker_that_does_not_know_secrets_is_sent_none() {
    let yard = yard(USING);
    let _master = start_master(&yard);
    let mut raw = yard.raw_worker();
    let token = fs::read(yard.path("worker.token")).expect("the yard is ours");
    let hello = Hello::new(Role::Worker, Some(token.trim_ascii().into()));
    raw.send(&Hello { features: 0, ..hello });
    raw.expect::<Welcome>();
    raw.send(&Attach {
        boot_id: "boot".to_owned(),
        spool_id: "spool".to_owned(),
        max_builds: 1,
        facts: Facts::default(),
        commands: Vec::new(),
        readiness: Readiness::Ready,
    });
    assert_eq!(yard.changeport(&["submit", "ci"]).code(), 0);
    let build = wait_until("the end of the step", || {
        let build = yard.ask(&["builds", "ci"]).into_iter().next()?;
        (build["steps"][0]["result"] == "EXCEPTION").then_some(build)
    });
    let told = build["steps"][0]["detail"].as_str().expect("a sentence");
    assert!(told.contains("too old to keep a secret"), "{told}");
    assert!(!tells(build.to_string().as_bytes()), "{build}");
}

/// The hash tells whether the command had the right value without saying it.
const HASHED: &str = r#"
[builder.ci]
workers = ["local"]
steps = [{ name = "use", retry_safe = true, env = { TOKEN = "${secret.credential}" }, script = '''
test "$(printf %s "${TOKEN-}" | sha256sum)" = "HASH" || touch BAD
echo "$TOKEN"
''' }]
"#;

#[test]
fn no_kill_of_a_worker_makes_a_command_run_without_its_secret_or_leaves_it_behind() {
    let yard = yard("");
    let mut hash = Command::new("sh");
    hash.args(["-c", &format!("printf %s '{CREDENTIAL}' | sha256sum")]);
    let hash = finish(&mut hash).out();
    let bad = yard.path("bad").display().to_string();
    configure(&yard, &HASHED.replace("HASH", hash.trim()).replace("BAD", &bad));
    let _master = start_master(&yard);
    let mut worker = yard.start_worker("");
    const ROUNDS: u64 = 24;
    for round in 0..ROUNDS {
        assert_eq!(yard.changeport(&["submit", "ci"]).code(), 0);
        // From before the order has come to after the command has begun.
        std::thread::sleep(Duration::from_millis(round % 12)); // not a wait: a moment to kill at
        worker.kill();
        assert_eq!(telltale(&yard.path("")), None, "after kill {round}");
        worker = yard.start_configured_worker();
    }
    let results = yard.results("ci", usize::try_from(ROUNDS).expect("a few"));
    assert_eq!(results, vec!["SUCCESS"; results.len()]);
    assert!(!yard.path("bad").exists(), "a command ran without its secret");
    for build in 1..=ROUNDS {
        assert_eq!(yard.log_of(&format!("ci#{build}")), b"[secret credential]\n");
    }
    assert_eq!(telltale(&yard.path("")), None);
}
