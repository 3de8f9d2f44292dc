//! What of a caller's environment reaches an app.

use std::collections::BTreeMap;

use e2e::{Raw, Yard, finish};
use proto::Bytes;
use proto::message::command::Variable;
use proto::message::hello::{Hello, Role, Welcome};
use proto::message::launch::{Accepted, EnvWanted, Launch, Wait};

/// `all` gets what it can, `some` a few; `show` prints the environment as the kernel has it.
const APPS: &str = r#"
app.all = { builder = "show", env = ["*"] }
app.some = { builder = "show", env = ["DISPLAY", "LICENCE", "SITE_*"] }
[builder.show]
workers = ["local"]
steps = [{ name = "show", command = ["cat", "/proc/self/environ"] }]
"#;

/// By each of these a caller could decide what a program loads, runs, reads or takes for its own.
const DENIED: [&str; 58] = [
    "AUTHSTATE",
    "BASHOPTS",
    "BASH_ENV",
    "BASH_FUNC_x%%",
    "CDPATH",
    "CLASSPATH",
    "DLC_ACE",
    "DYLD_INSERT_LIBRARIES",
    "ENV",
    "FPATH",
    "GCONV_PATH",
    "GETCONF_DIR",
    "GIT_CONFIG_COUNT",
    "GIT_EXEC_PATH",
    "GIT_SSH_COMMAND",
    "GLIBC_TUNABLES",
    "GLOBIGNORE",
    "HOSTALIASES",
    "IFS",
    "JAVA_TOOL_OPTIONS",
    "KRB5_CONFIG",
    "KRB5_KTNAME",
    "LDR_PRELOAD",
    "LD_AUDIT",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "LIBPATH",
    "LOCALDOMAIN",
    "LOCPATH",
    "MALLOC_TRACE",
    "NIS_PATH",
    "NLSPATH",
    "NODE_OPTIONS",
    "NODE_PATH",
    "NULLCMD",
    "PATH_LOCALE",
    "PERL5DB",
    "PERL5LIB",
    "PERL5OPT",
    "PERLIO_DEBUG",
    "PERLLIB",
    "PS4",
    "PYTHONHOME",
    "PYTHONINSPECT",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PYTHONUSERBASE",
    "READNULLCMD",
    "RES_OPTIONS",
    "RUBYLIB",
    "RUBYOPT",
    "SHELLOPTS",
    "SHLIB_PATH",
    "TERMCAP",
    "TERMINFO",
    "TERMPATH",
    "ZDOTDIR",
    "_RLD_LIST",
];

fn launch(app: &str, env: &[(&str, &str)], offered: &[&str]) -> Launch {
    let variable =
        |(name, value): &(&str, &str)| Variable { name: (*name).into(), value: (*value).into() };
    Launch {
        launch_id: "one".to_owned(),
        app: app.to_owned(),
        args: Vec::new(),
        env: env.iter().map(variable).collect(),
        offered: offered.iter().map(|pattern| (*pattern).into()).collect(),
        cwd: Bytes::from("/"),
        host: "here".to_owned(),
        wait: Wait::Detach,
    }
}

/// Connects as a client of this version.
fn client(yard: &Yard) -> Raw {
    let mut raw = yard.raw_client();
    raw.send(&Hello::new(Role::Client, None));
    raw.expect::<Welcome>();
    raw
}

/// Returns the variables that a command of `show` printed.
fn shown(text: &[u8]) -> BTreeMap<String, String> {
    let variables = text.split(|byte| *byte == 0).filter(|variable| !variable.is_empty());
    let pair = |variable: &[u8]| {
        let text = String::from_utf8_lossy(variable).into_owned();
        let (name, value) = text.split_once('=').expect("NAME=VALUE");
        (name.to_owned(), value.to_owned())
    };
    variables.map(pair).collect()
}

#[test]
fn what_decides_what_a_program_runs_does_not_reach_it_whatever_the_app_allows() {
    let yard = Yard::new(APPS);
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let mut sent: Vec<(&str, &str)> = DENIED.iter().map(|name| (*name, "caller")).collect();
    sent.extend([("PATH", "caller"), ("HOME", "caller"), ("SHELL", "caller")]);
    sent.extend([("TOOL", "() { caller; }"), ("TERM", "/caller"), ("TZ", ":/caller")]);
    sent.extend([("HARMLESS", "wanted"), ("LANG", "de_DE.UTF-8")]);
    let mut raw = client(&yard);
    raw.send(&launch("all", &sent, &["*"]));
    assert_eq!(raw.expect::<Accepted>().requests, ["all#1"]);
    assert_eq!(yard.results("show", 1), ["SUCCESS"]);
    let shown = shown(&yard.log_of("all#1"));
    let strange: Vec<_> = shown.iter().filter(|(_, value)| value.contains("caller")).collect();
    assert_eq!(strange, [] as [(&String, &String); 0]);
    assert_eq!((shown["HARMLESS"].as_str(), shown["LANG"].as_str()), ("wanted", "de_DE.UTF-8"));
}

#[test]
fn a_variable_that_the_app_lists_needs_no_word_of_its_caller() {
    let yard = Yard::new(APPS);
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    for app in ["some", "all"] {
        let mut command = yard.launcher(app);
        command.env("DISPLAY", ":3").env("LICENCE", "27000@lic").env("SITE_ROOT", "/site");
        command.env("SECRET", "s").env("BASH_ENV", "b");
        let finished = finish(&mut command);
        assert_eq!((finished.code(), finished.err()), (0, String::new()), "{app}");
        let shown = shown(&finished.stdout);
        let of = |name: &str| shown.get(name).map(String::as_str);
        assert_eq!(
            [of("DISPLAY"), of("LICENCE"), of("SITE_ROOT")],
            [Some(":3"), Some("27000@lic"), Some("/site")]
        );
        assert_eq!(of("SECRET"), (app == "all").then_some("s"));
        assert_eq!(of("BASH_ENV"), None);
        assert_eq!(of("PATH"), Some("/usr/local/bin:/usr/bin:/bin"), "the worker's");
    }
}

#[test]
fn a_launch_that_lacks_variables_is_not_taken_and_is_taken_once_with_them() {
    let yard = Yard::new(APPS);
    let lacking = launch("some", &[("DISPLAY", ":1")], &["DISPLAY"]);
    let whole = || {
        let env = [("DISPLAY", ":1"), ("LICENCE", "l")];
        launch("some", &env, &["DISPLAY", "LICENCE", "SITE_*"])
    };
    let master = yard.start_master();
    let mut raw = client(&yard);
    raw.send(&lacking);
    assert_eq!(raw.expect::<EnvWanted>().patterns, ["LICENCE", "SITE_*"].map(Bytes::from));
    assert_eq!(yard.ask(&["queue"]).len(), 0);
    master.kill();
    let master = yard.start_master();
    assert_eq!(yard.ask(&["queue"]).len(), 0);
    let mut raw = client(&yard);
    raw.send(&lacking);
    assert_eq!(raw.expect::<EnvWanted>().patterns.len(), 2, "nothing was stored of the first");
    for _ in 0..2 {
        raw.send(&whole());
        assert_eq!(raw.expect::<Accepted>().requests, ["some#1"]);
    }
    master.kill();
    let _master = yard.start_master();
    let mut raw = client(&yard);
    raw.send(&whole());
    assert_eq!(raw.expect::<Accepted>().requests, ["some#1"]);
    let _worker = yard.start_worker("");
    assert_eq!(yard.results("show", 1), ["SUCCESS"]);
    assert_eq!(shown(&yard.log_of("some#1"))["LICENCE"], "l");
}

#[test]
fn a_client_that_cannot_be_asked_is_taken_at_its_word() {
    let yard = Yard::new(APPS);
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let mut raw = yard.raw_client();
    raw.send(&Hello { features: 0, ..Hello::new(Role::Client, None) });
    raw.expect::<Welcome>();
    raw.send(&launch("some", &[("LICENCE", "l"), ("LD_PRELOAD", "x")], &[]));
    assert_eq!(raw.expect::<Accepted>().requests, ["some#1"]);
    assert_eq!(yard.results("show", 1), ["SUCCESS"]);
    let shown = shown(&yard.log_of("some#1"));
    assert_eq!((shown["LICENCE"].as_str(), shown.get("LD_PRELOAD")), ("l", None));
}
