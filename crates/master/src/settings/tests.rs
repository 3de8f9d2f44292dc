//! The whole configuration: what later versions know, and what damage does.

use std::fs;
use std::path::Path;

use config::Code;
use proptest::prelude::*;
use proptest::sample::Index;

use super::Reading;

/// Uses every kind and key of later versions in one place or another.
const LATER: &str = r#"version = 1
master = { name = "later", state = "postgres://db/later", cluster = "later" }
web.listen = "127.0.0.1:8010"
worker_port = { listen = "0.0.0.0:9989", certificate = "tls.crt", key = "tls_key", tls = true, token_file = "workers" }
peer_port = { listen = "10.0.0.1:9990" }
peer_client.login = { token = "login" }
secret.tls_key = { credential = "tls_key" }
secret.key = { credential = "key" }
auth.oidc = { issuer = "https://id.example.org" }
role.developer = { members = ["group:dev"], allow = ["view"] }
lock.deploy = { scope = "master", max = 1, path = "/var/lock/deploy", was = "s" }
pool.gpu = { kind = "resource", seats = 8 }
session.desktop = { builder = "forwarded", reconnect = "same" }
peer.east = { url = "https://east.example.org:9990" }
reporter.mail = { type = "mail", to = ["${change.author}"] }
dashboard.weather = { widget = [] }
change_source.images = { type = "registry_poll", repository = "registry.example.org/apps/*" }
change_source.hook = { type = "webhook" }
change_source.files = { type = "file_watch" }
change_source.clock = { type = "timer" }
change_source.launch = { type = "changeport", listen = ["unix:change.sock", "tcp:10.1.0.5:9999"], authenticate = ["peercred", "token"], token_file = "workers", tls = true, certificate = "tls.crt", key = "tls_key", was = "s" }
change_source.solver = { type = "git_poll", repository = "https://git.example.org/solver.git", when = "true", submodules = true, ssh_key = "k", token = "t", was = "s" }
scheduler.nightly = { type = "nightly", cron = "0 3 * * *", builders = ["ci"] }
scheduler.now = { type = "periodic", every = "10m", builders = ["ci"] }
scheduler.package = { type = "dependent", upstream = "push", builders = ["ci"] }
scheduler.force = { type = "force", builders = ["ci"] }
scheduler.daily = { type = "graph", node.fetch = { builder = "ci" } }
scheduler.sub = { type = "triggerable", builders = ["ci"] }
scheduler.mine = { type = "try", builders = ["ci"] }
scheduler.push = { type = "any_branch", change_source = "images", when = "true", parameters = {}, priority = 1, was = "s", builders = ["ci"] }
worker.build = { names = ["build01"], placement = "least_loaded", resources = { cpus = 64 }, was = "s", when = "true" }
worker.cloud = { labels = ["docker"], latent = { kind = "docker", min = 2 } }
app.ansys = { builder = "ci", aliases = ["a"], wait = true, busy = "queue", notify = ["mail"], was = "s" }
[builder.forwarded]
forward = { peers = ["east"], policy = "fixed" }
[builder.ci]
workers = ["build", "cloud"]
collapse_requests = false
was = "s"
locks = [{ name = "deploy" }]
parameters.profile = { type = "choice" }
pools = [{ name = "gpu", seats = 1 }]
resources = { cpus = 4 }
steps = [
  { name = "go?", approve = { role = "release", within = "8h" } },
  { name = "keep", upload = ["out"], as = "out-${revision.short}" },
  { name = "fetch", download = "out" },
  { name = "map", trigger = "solve", for_each = {}, max_parallel = 16, wait = true },
  { name = "a", command = ["${param.profile}", "${change.image}"], env = { KEY = "${secret.key}" }, attach = "x11", container = {}, egress = [] },
  { name = "b", script = "true", junit = "*.xml", metrics = "stdout", needs = ["a"], pam = "login", retry = {}, run_as = "root" },
  { name = "c", script = "true", as = "x", for_each = {}, max_parallel = 1, wait = true },
]
"#;

fn read(folder: &Path, text: &str) -> Reading {
    fs::write(folder.join("workers"), "").unwrap();
    fs::write(folder.join("master.toml"), text).unwrap();
    super::read(&folder.join("master.toml")).unwrap()
}

#[test]
fn words_of_later_versions_are_told_as_such_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let reading = read(folder.path(), LATER);
    let told: Vec<String> = reading
        .problems
        .iter()
        .map(|problem| format!("{} {}", problem.code.code(), problem.message))
        .collect();
    assert!(reading.problems.iter().all(|problem| problem.code == Code::NotYet), "{told:#?}");
    let words = |text: &str| text.split('`').nth(1).map(str::to_owned);
    let told: Vec<String> = told.iter().filter_map(|message| words(message)).collect();
    let expected = "cluster web certificate key tls peer_port peer_client auth role path was \
                    pool session peer reporter dashboard registry_poll webhook file_watch timer \
                    tls certificate key was when submodules ssh_key token was nightly periodic \
                    dependent force graph triggerable try when parameters was placement \
                    was when latent aliases wait busy notify was forward \
                    was parameters pools approve upload download \
                    trigger param change.image attach container egress junit metrics needs \
                    pam retry run_as as for_each max_parallel wait";
    assert_eq!(told.join(" "), expected);
}

#[test]
fn encryption_of_a_later_version_is_not_taken_for_none() {
    let folder = tempfile::tempdir().unwrap();
    let clear = LATER.replace(", certificate = \"tls.crt\", key = \"tls_key\", tls = true", "");
    let reading = read(folder.path(), &clear);
    assert!(reading.problems.iter().any(|problem| problem.code == Code::Insecure));
}

#[test]
fn a_path_in_a_problem_is_tidy() {
    let folder = tempfile::tempdir().unwrap();
    let text = LATER.replace("token_file = \"workers\"", "token_file = \"./x/./absent\"");
    let problems = read(folder.path(), &text).problems;
    let absent = problems.iter().find(|problem| problem.code == Code::Unreadable).unwrap();
    let path = folder.path().join("x/absent");
    assert!(absent.message.contains(&path.display().to_string()), "{}", absent.message);
}

/// A configuration that this version takes.
fn valid() -> String {
    let example = include_str!("../../../../examples/master.toml");
    example.replace("../target/demo/tokens", "workers")
}

#[test]
fn the_example_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let reading = read(folder.path(), &valid());
    assert_eq!(reading.problems, []);
    assert!(reading.configuration.is_some());
}

#[test]
fn locks_that_nobody_could_be_given_are_refused_with_their_places() {
    let folder = tempfile::tempdir().unwrap();
    let problems = |lock: &str, x: &str, y: &str| {
        let text = format!(
            "version = 1\nmaster = {{ name = \"m\" }}\n\
             worker_port = {{ listen = \"127.0.0.1:0\", token_file = \"workers\" }}\n\
             worker.w = {{ names = [\"w1\"] }}\nlock.a = {{ {lock} }}\nlock.b = {{}}\n\
             app.x = {{ builder = \"x\" }}\napp.y = {{ builder = \"y\" }}\n\
             builder.x = {{ workers = [\"w\"], {x} }}\nbuilder.y = {{ workers = [\"w\"], {y} }}\n"
        );
        let problems = read(folder.path(), &text).problems;
        problems.into_iter().map(|problem| (problem.code, problem.message)).collect::<Vec<_>>()
    };
    let step = "steps = [{ command = [\"true\"], locks = [{ name = \"b\" }] }]";
    let good = format!("locks = [{{ name = \"a\" }}], {step}");
    assert_eq!(problems("max = 2", &good, &good), []);
    let cycle = "locks = [{ name = \"b\" }], steps = [{ command = [\"true\"], locks = [{ name = \"a\" }] }]";
    let both = problems("", &good, cycle);
    assert_eq!(both.len(), 2, "{both:?}");
    assert!(both.iter().all(|(code, text)| *code == Code::LockTrouble && text.contains("waits")));
    for (lock, x, expected) in [
        ("", "locks = [{ name = \"b\" }]", "the lock `b` is taken twice"),
        ("", "locks = [{ name = \"a\" }, { name = \"a\" }]", "the lock `a` is taken twice"),
        (
            "max = 4",
            "locks = [{ name = \"a\", access = \"counting\", count = 5 }]",
            "5 units of the lock `a` are never free",
        ),
        (
            "scope = \"worker\", max = 4, max_for_worker = { w1 = 2 }",
            "locks = [{ name = \"a\", access = \"counting\", count = 3 }]",
            "3 units of the lock `a` are never free",
        ),
    ] {
        let found = problems(lock, &format!("{x}, {step}"), &good);
        assert_eq!(found, [(Code::LockTrouble, expected.to_owned())]);
    }
    for (lock, x, code) in [
        ("max = 0", "locks = []", Code::OutOfRange),
        ("max_for_worker = { w1 = 2 }", "locks = []", Code::OutOfRange),
        ("", "locks = [{ name = \"aa\" }]", Code::UnknownName),
        ("", "locks = [\"a\"]", Code::WrongType),
        ("", "locks = [{ name = \"a\", count = 1 }]", Code::OutOfRange),
        ("", "locks = [{ name = \"a\", access = \"shared\" }]", Code::OutOfRange),
    ] {
        let found = problems(lock, &format!("{x}, {step}"), &good);
        assert_eq!(found.iter().map(|(code, _)| *code).collect::<Vec<_>>(), [code], "{found:?}");
    }
}

#[test]
fn what_can_never_work_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (good, bad) in [
        ("names = [\"demo\"]", "names = []"),
        ("names = [\"demo\"]", "names = [\"demo\"], max_builds = 0"),
        ("builders = [\"ci\"]", "builders = []"),
        ("branches = [\"**\"]", "branches = []"),
        ("workers = [\"local\"]\nsteps", "workers = []\nsteps"),
        (
            "  { name = \"hello\", command = [\"printf\", \"hello from a worker, %s\\\\n\", \"${args}\"] },",
            "",
        ),
        ("script = \"git ls-files | wc -l; echo \\\"on branch $BRANCH\\\"\"", "script = \" \\n\""),
        ("\"DISPLAY\"", "\"DISPLAY=1\""),
        ("\"DISPLAY\"", "\"\""),
        ("\"LC_*\"", "\"*_LC\""),
    ] {
        let text = valid();
        assert!(text.contains(good), "{good}");
        let reading = read(folder.path(), &text.replacen(good, bad, 1));
        let codes: Vec<Code> = reading.problems.iter().map(|problem| problem.code).collect();
        assert_eq!(codes, [Code::OutOfRange], "{bad}");
    }
}

#[test]
fn a_command_line_is_told_how_to_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let list = "command = [\"git\", \"log\", \"-1\", \"--stat\", \"${revision.id}\"]";
    for (line, help) in [
        ("git log", "write: command = [\"git\", \"log\"]; or, for a shell: script = \"git log\""),
        ("git log | wc", "for a shell, write: script = \"git log | wc\""),
        ("", "write the program and its arguments: command = [\"git\", \"log\"]"),
    ] {
        let text = valid().replace(list, &format!("command = \"{line}\""));
        let problems = read(folder.path(), &text).problems;
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert_eq!(problems[0].code, Code::WrongType);
        assert_eq!(problems[0].help.as_deref(), Some(help));
    }
}

#[test]
fn a_variable_that_never_passes_is_refused_where_nothing_else_is_meant() {
    let folder = tempfile::tempdir().unwrap();
    for (pattern, expected) in [
        ("LD_PRELOAD", vec![Code::DeniedVariable]),
        ("GIT_*", vec![Code::DeniedVariable]),
        ("BASH_ENV", vec![Code::DeniedVariable]),
        ("L*", vec![]),
        ("*", vec![]),
        ("PATH", vec![]),
    ] {
        let text = valid().replacen("\"DISPLAY\"", &format!("\"{pattern}\""), 1);
        let reading = read(folder.path(), &text);
        let codes: Vec<Code> = reading.problems.iter().map(|problem| problem.code).collect();
        assert_eq!(codes, expected, "{pattern}");
        assert_eq!(reading.configuration.is_some(), codes.is_empty(), "{pattern}");
    }
}

#[test]
fn a_password_in_an_address_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let text = valid().replace("../target/demo/checkout.git", "https://a:b@example.org/c.git");
    let reading = read(folder.path(), &text);
    let codes: Vec<Code> = reading.problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, [Code::SecretInAddress]);
    let line = 1 + text.lines().position(|line| line.contains("a:b@")).unwrap();
    let shown = config::render(&reading.problems, &reading.files, config::Style::Plain);
    assert!(shown.contains(&format!("master.toml:{line}\n")), "{shown}");
    assert!(!shown.contains("a:b"), "{shown}");
    assert!(reading.configuration.is_some());
}

/// Returns the problems of a configuration with one secret and a step that this is written into.
fn with_secret(folder: &Path, secret: &str, step: &str) -> Vec<(Code, String)> {
    let text =
        valid().replacen("[builder.ci]", &format!("[secret.deploy]\n{secret}\n[builder.ci]"), 1);
    let text = text.replacen("name = \"hello\"", &format!("{step}, name = \"hello\""), 1);
    let reading = read(folder, &text);
    let shown = |problem: &config::Diagnostic| {
        let place = problem.primary.span;
        let text = &reading.files[place.file].text[place.start..place.end];
        (problem.code, format!("{}: {}", text, problem.message))
    };
    reading.problems.iter().map(shown).collect()
}

#[test]
fn a_secret_comes_from_exactly_one_place_and_its_file_is_looked_at() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("token"), "hunter2").unwrap();
    let modes =
        [(0o600, vec![]), (0o640, vec![Code::GroupReadable]), (0o604, vec![Code::Unreadable])];
    let step = "env = { TOKEN = \"x${secret.deploy}\" }";
    for (mode, expected) in modes {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(folder.path().join("token"), permissions).unwrap();
        let found = with_secret(folder.path(), "file = \"token\"", step);
        let codes: Vec<Code> = found.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes, expected, "{mode:o}");
        assert!(found.iter().all(|(_, text)| !text.contains("hunter")), "{found:?}");
    }
    for (secret, code) in [
        ("", Code::MissingKey),
        ("file = \"absent\"", Code::SecretUnread),
        ("file = \"token\"\ncredential = \"x\"", Code::Duplicate),
        ("credential = \"../x\"", Code::BadName),
        ("command = []", Code::OutOfRange),
        ("command = [\"\"]", Code::OutOfRange),
        ("command = \"pass show x\"", Code::WrongType),
        ("credential = \"x\"\nvalue = \"hunter2\"", Code::UnknownKey),
    ] {
        fs::set_permissions(folder.path().join("token"), fs::Permissions::from_mode(0o600))
            .unwrap();
        let found = with_secret(folder.path(), secret, step);
        assert_eq!(found.iter().map(|(code, _)| *code).collect::<Vec<_>>(), [code], "{secret}");
    }
    let unused = with_secret(folder.path(), "credential = \"x\"", "timeout = \"1h\"");
    assert_eq!(unused, [(Code::Unused, "deploy: secret `deploy` is never used".to_owned())]);
}

#[test]
fn a_secret_stands_in_an_environment_alone() {
    let folder = tempfile::tempdir().unwrap();
    let source = "credential = \"x\"";
    let elsewhere = "no expression sees a secret: a step's `env` alone may hold it, as \
        `${secret.NAME}` by itself or within a text";
    let used = "env = { A = \"${secret.deploy}\" }";
    for (step, place) in [
        ("env = { A = \"${secret.deploy + 'x'}\" }", "secret"),
        ("env = { A = \"${secret['deploy']}\" }", "["),
        ("env = { A = \"${size(secret.deploy)}\" }", "secret"),
        (&format!("{used}, when = \"secret.deploy == 'x'\""), "secret"),
    ] {
        let found = with_secret(folder.path(), source, step);
        let expected = (Code::SecretElsewhere, format!("{place}: {elsewhere}"));
        assert!(found.contains(&expected), "{step}: {found:?}");
    }
    let text = valid().replacen("\"hello from", "\"${secret.deploy}\", \"hello from", 1);
    let found = read(folder.path(), &text).problems;
    assert_eq!(found.iter().map(|it| it.code).collect::<Vec<_>>(), [Code::SecretElsewhere]);
    assert!(found[0].help.as_deref().unwrap_or_default().contains("env = {"), "{found:?}");
    let text = valid().replacen("git ls-files", "echo ${secret.deploy}; git ls-files", 1);
    let found = read(folder.path(), &text).problems;
    assert_eq!(found.iter().map(|it| it.code).collect::<Vec<_>>(), [Code::TemplateInScript]);
    // A secret that is not there is found by its name, at its place.
    let found = with_secret(folder.path(), source, "env = { A = \"a ${ secret.deplay } b\" }");
    let expected = "secret.deplay: no secret named `deplay`".to_owned();
    assert_eq!(found, [(Code::UnknownName, expected)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_damaged_configuration_is_told_where_it_is_damaged(
        is_later in any::<bool>(),
        at in any::<Index>(),
        cut in 0..40usize,
        piece in prop_oneof![
            proptest::sample::select(&["[", "]", "{", "}", "\"", "=", "\n", "${", "🦀", "1", "-", "."][..])
                .prop_map(str::to_owned),
            any::<String>(),
        ],
    ) {
        let text = if is_later { LATER.to_owned() } else { valid() };
        let mut characters: Vec<char> = text.chars().collect();
        let start = at.index(characters.len());
        let end = (start + cut).min(characters.len());
        characters.splice(start..end, piece.chars());
        let folder = tempfile::tempdir().unwrap();
        let reading = read(folder.path(), &String::from_iter(characters));
        for problem in &reading.problems {
            let labels = [Some(&problem.primary), problem.secondary.as_ref()];
            for label in labels.into_iter().flatten() {
                let text = &reading.files[label.span.file].text;
                prop_assert!(text.get(label.span.start..label.span.end).is_some(), "{:?}", problem);
            }
        }
    }
}
