//! What a caller sees: launchers, verbs, signals, exit codes, and calls over TCP.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::{Client, Daemon, Raw, Relay, Yard, finish, wait_until};
use proto::message::hello::{Hello, Refusal, Role, Welcome};
use rustix::process::{Signal, kill_process};

/// Apps of all sorts. `gate` and `kept` write `up` and wait for the file `gate`; a signal to end
/// they answer by a word in the file `ended`.
fn apps(yard: &Yard) -> String {
    let folder = yard.path("").display().to_string();
    format!(
        r#"
app.echo = {{ builder = "echo" }}
app.env = {{ builder = "env", env = ["DISPLAY", "LC_*"] }}
app.fail = {{ builder = "fail" }}
app.gate = {{ builder = "gate" }}
app.kept = {{ builder = "gate", on_disconnect = "keep" }}
app.killed = {{ builder = "killed" }}
scheduler.releases = {{ type = "any_branch", change_source = "launch", filter = {{ branch = "release" }}, builders = ["sent"] }}
[builder.echo]
workers = ["local"]
steps = [{{ name = "echo", command = ["printf", "[%s]", "${{args}}"] }}]
[builder.env]
workers = ["local"]
steps = [{{ name = "env", command = ["env"] }}]
[builder.fail]
workers = ["local"]
steps = [{{ name = "fail", script = "echo out; echo err >&2; exit 3" }}]
[builder.killed]
workers = ["local"]
steps = [{{ name = "killed", command = ["sh", "-c", "kill -s $1 $$", "sh", "${{args}}"] }}]
[builder.sent]
workers = ["local"]
steps = [{{ name = "sent", command = ["printf", "%s|", "${{change.author}}", "${{change.comments}}", "${{change.branch}}", "${{prop.colour}}", "${{change.files}}"] }}]
[builder.gate]
workers = ["local"]
steps = [{{ name = "gate", script = '''
trap 'echo INT > {folder}/ended; exit 9' INT
trap 'echo HUP > {folder}/ended; exit 9' HUP
trap 'echo TERM > {folder}/ended; exit 9' TERM
echo up
until test -e {folder}/gate; do sleep 0.02; done
echo through
''' }}]
"#
    )
}

/// A yard with all apps.
fn yard() -> Yard {
    let yard = Yard::new("");
    yard.configure(&apps(&yard));
    yard
}

fn wait_until_up(yard: &Yard, build: &str) {
    wait_until(&format!("{build} to run"), || {
        yard.master(&["logs", build]).out().contains("up").then_some(())
    });
}

fn wait_until_waiting(yard: &Yard, requests: usize) {
    wait_until("the queue", || (yard.ask(&["queue"]).len() == requests).then_some(()));
}

fn open_gate(yard: &Yard) {
    fs::write(yard.path("gate"), "").expect("the yard is ours");
}

fn interrupt(client: &Client) {
    kill_process(client.pid(), Signal::INT).expect("the client is ours");
}

#[test]
fn a_launcher_passes_everything_and_only_what_is_allowed_of_the_environment() {
    let yard = yard();
    let _master = yard.start_master();
    let mut worker = yard.start_worker("env = { SITE = \"secret of the site\" }");
    for argument in ["--help", "--version", "--", "-q", "--master=tcp:x:1", "status"] {
        let echoed = finish(yard.launcher("echo").arg(argument));
        assert_eq!((echoed.code(), echoed.out()), (0, format!("[{argument}]")), "{}", echoed.err());
    }
    let mut env = yard.launcher("env");
    env.env("DISPLAY", ":7").env("LC_NUMERIC", "de").env("LANG", "xx").env("SECRET", "secret");
    env.env("CHANGEPORT_ENV", "SECRET").env("LD_PRELOAD", "");
    let env = finish(&mut env).out();
    let mut names: Vec<&str> = env.lines().filter_map(|line| line.split('=').next()).collect();
    names.retain(|name| !["HOME", "LOGNAME", "USER", "PWD", "SHLVL", "_"].contains(name));
    names.sort_unstable();
    let expected = [
        "DISPLAY",
        "LANG",
        "LC_NUMERIC",
        "PATH",
        "SITE",
        "YARDMASTER_BUILDER",
        "YARDMASTER_COMMAND",
    ];
    assert_eq!(names, expected);
    assert!(env.contains("DISPLAY=:7\n") && env.contains("LC_NUMERIC=de\n"), "{env}");
    assert!(env.contains("LANG=C.UTF-8\n") && env.contains("SITE=secret of the site\n"), "{env}");
    let line = worker.wait_for("variables=DISPLAY");
    assert!(line.contains("SITE") && !line.contains("secret"), "{line}");
}

#[test]
fn verbs_submit_ask_wait_read_and_stop() {
    let yard = yard();
    let _master = yard.start_master();
    let submitted = yard.changeport(&["submit", "fail"]);
    assert_eq!((submitted.code(), submitted.out().as_str()), (0, "fail#1\n"));
    let status = yard.changeport(&["status", "fail#1"]).out();
    assert_eq!(status, "fail#1 is queued, place 1; none of its workers is connected (w1)\n");
    let mine = yard.changeport(&["status"]).out();
    assert_eq!(mine.lines().count(), 2, "{mine}");
    let line = mine.lines().last().expect("there are two");
    assert!(line.starts_with("fail#1   queued  "), "{mine}");
    assert!(line.ends_with("place 1; none of its workers is connected (w1)"), "{mine}");
    let _worker = yard.start_worker("");
    let waited = yard.changeport(&["wait", "fail#1"]);
    assert_eq!((waited.code(), waited.out(), waited.err()), (3, String::new(), String::new()));
    let status = yard.changeport(&["status", "fail#1"]).out();
    assert_eq!(status, "fail#1 ended: FAILURE, exit code 3\n");
    let status = yard.changeport(&["status", "--json", "fail#1"]).out();
    let status: serde_json::Value = serde_json::from_str(&status).expect("it is JSON");
    assert_eq!((&status["stage"], &status["exit_code"]), (&"ended".into(), &3.into()));
    let logs = yard.changeport(&["logs", "fail#1"]);
    assert_eq!((logs.code(), logs.out(), logs.err()), (0, "out\n".into(), "err\n".into()));
    let logs = yard.changeport(&["logs", "fail#1/fail"]);
    assert_eq!((logs.code(), logs.out()), (0, "out\n".into()));
    assert_eq!(yard.changeport(&["submit", "gate"]).out(), "gate#1\n");
    wait_until_up(&yard, "gate#1");
    let mine = yard.changeport(&["status"]).out();
    let begins =
        ["REQUEST  STATE        SINCE", "gate#1   running      ", "fail#1   FAILURE (3)  "];
    assert_eq!(mine.lines().count(), begins.len(), "{mine}");
    for (line, begin) in mine.lines().zip(begins) {
        assert!(line.starts_with(begin), "{mine}");
    }
    assert!(mine.contains("on w1, step gate\n"), "{mine}");
    let json = yard.changeport(&["status", "--json"]).out();
    let lines: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
    assert_eq!((&lines[0]["stage"], &lines[0]["ended_us"]), (&"running".into(), &().into()));
    assert!(lines[0]["started_us"].as_i64() >= lines[0]["submitted_us"].as_i64(), "{json}");
    assert_eq!((&lines[1]["result"], &lines[1]["exit_code"]), (&"FAILURE".into(), &3.into()));
    assert!(lines[1]["ended_us"].is_i64(), "{json}");
    let following = yard.start_changeport(&["logs", "--follow", "gate#1"]);
    let stopped = yard.changeport(&["stop", "gate#1", "--reason", "enough"]);
    assert_eq!(stopped.out(), "gate#1 was told to end\n", "{}", stopped.err());
    let waited = yard.changeport(&["wait", "gate#1", "fail#1"]);
    assert_eq!(waited.code(), 9, "{}", waited.err());
    assert!(waited.err().contains("enough"), "{}", waited.err());
    assert_eq!(following.finish().out(), "up\n");
    assert_eq!(fs::read_to_string(yard.path("ended")).expect("it ended"), "TERM\n");
    let again = yard.changeport(&["stop", "gate#1"]);
    assert_eq!(again.out(), "gate#1 had ended before\n");
    for verb in ["status", "wait", "logs", "stop"] {
        let unknown = yard.changeport(&[verb, "gate#77"]);
        assert_eq!(unknown.code(), 64, "{verb}: {}", unknown.err());
        assert!(unknown.err().contains("no request gate#77"), "{verb}: {}", unknown.err());
        let nonsense = yard.changeport(&[verb, "non sense"]);
        assert_eq!(nonsense.code(), 64, "{verb}: {}", nonsense.err());
        assert_eq!(nonsense.err().lines().count(), 1, "{verb}: {}", nonsense.err());
    }
}

#[test]
fn a_sent_change_says_what_became_of_it() {
    let yard = yard();
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let nobody = yard.changeport(&["send", "--branch", "main", "--comments", "nobody wants it"]);
    assert_eq!(nobody.code(), 0, "{}", nobody.err());
    assert_eq!(nobody.out(), "change 1 accepted, matched nothing\n");
    let wanted = ["send", "--branch", "release", "--author", "Ann", "--comments", "one\ntwo"];
    let more = ["--file", "a", "--file", "b c", "--property", "colour=red"];
    let wanted = yard.changeport(&[&wanted[..], &more].concat());
    assert_eq!(wanted.out(), "change 2 accepted: sent#1\n", "{}", wanted.err());
    assert_eq!(yard.results("sent", 1), ["SUCCESS"]);
    assert_eq!(yard.log_of("sent#1"), b"Ann|one\ntwo|release|red|a|b c|");
    let waited = yard.changeport(&["wait", "sent#1"]);
    assert_eq!((waited.code(), waited.err()), (0, String::new()), "it is theirs who sent it");
}

#[test]
fn a_command_killed_by_a_signal_is_128_and_its_number() {
    let yard = yard();
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    for (signal, code) in [("TERM", 143), ("KILL", 137), ("SEGV", 139)] {
        let killed = yard.changeport(&["run", "killed", signal]);
        assert_eq!(killed.code(), code, "{signal}: {}", killed.err());
    }
}

#[test]
fn an_interrupt_in_the_queue_leaves_it_and_is_130() {
    let yard = yard();
    let _master = yard.start_master();
    let client = yard.start_changeport(&["run", "gate"]);
    wait_until_waiting(&yard, 1);
    interrupt(&client);
    let finished = client.finish();
    assert_eq!(finished.code(), 130, "{}", finished.err());
    wait_until_waiting(&yard, 0);
    let why = yard.master(&["why", "gate#1"]).out();
    assert!(why.contains("CANCELLED"), "{why}");
}

#[test]
fn an_interrupt_reaches_the_running_app_whose_own_code_comes_back() {
    let yard = yard();
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let client = yard.start_changeport(&["run", "gate"]);
    wait_until_up(&yard, "gate#1");
    interrupt(&client);
    let finished = client.finish();
    assert_eq!(finished.code(), 9, "{}", finished.err());
    assert_eq!(finished.out(), "up\n");
    assert_eq!(fs::read_to_string(yard.path("ended")).expect("it ended"), "INT\n");
    assert_eq!(yard.results("gate", 1), ["CANCELLED"]);
}

#[test]
fn what_an_app_does_without_its_caller_is_for_the_administrator_to_say() {
    let yard = yard();
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let left = yard.start_changeport(&["run", "gate"]);
    wait_until_up(&yard, "gate#1");
    kill_process(left.pid(), Signal::KILL).expect("the client is ours");
    assert_eq!(left.finish().code(), 137);
    assert_eq!(yard.results("gate", 1), ["CANCELLED"]);
    assert_eq!(fs::read_to_string(yard.path("ended")).expect("it ended"), "HUP\n");
    let why = yard.master(&["why", "gate#1"]).out();
    assert!(why.contains("its caller left"), "{why}");
    let left = yard.start_changeport(&["run", "kept"]);
    wait_until_up(&yard, "kept#1");
    kill_process(left.pid(), Signal::HUP).expect("the client is ours");
    assert_eq!(left.finish().code(), 129);
    open_gate(&yard);
    assert_eq!(yard.results("gate", 2), ["CANCELLED", "SUCCESS"]);
    assert_eq!(yard.log_of("kept#1"), b"up\nthrough\n");
}

#[test]
fn a_caller_that_does_not_want_to_wait_gets_75_and_leaves_nothing() {
    let yard = yard();
    let _master = yard.start_master();
    let status = yard.path("status.json");
    let mut command = yard.changeport_command();
    let busy = finish(command.args(["run", "--no-wait", "echo"]).env("CHANGEPORT_STATUS", &status));
    assert_eq!(busy.code(), 75, "{}", busy.err());
    assert_eq!(busy.err().lines().count(), 1, "{}", busy.err());
    let status = fs::read(status).expect("it was written");
    let status: serde_json::Value = serde_json::from_slice(&status).expect("it is JSON");
    assert_eq!(status["origin"], "launcher");
    assert_eq!(yard.ask(&["queue"]).len(), 0);
    let busy = finish(yard.launcher("echo").env("CHANGEPORT_WAIT", "no"));
    assert_eq!(busy.code(), 75, "{}", busy.err());
    let tired = finish(yard.launcher("echo").env("CHANGEPORT_WAIT", "50ms"));
    assert_eq!(tired.code(), 75, "{}", tired.err());
    assert_eq!(yard.ask(&["queue"]).len(), 0);
    let _worker = yard.start_worker("");
    let ran = yard.changeport(&["run", "--no-wait", "echo", "now"]);
    assert_eq!((ran.code(), ran.out().as_str()), (0, "[now]"), "{}", ran.err());
}

#[test]
fn a_master_that_is_not_there_is_69_in_one_line() {
    let yard = yard();
    for finished in [yard.changeport(&["status"]), finish(&mut yard.launcher("echo"))] {
        assert_eq!(finished.code(), 69, "{}", finished.err());
        assert_eq!(finished.err().lines().count(), 1, "{}", finished.err());
        assert!(finished.err().contains("CHANGEPORT_MASTER"), "{}", finished.err());
    }
}

/// A yard whose clients may also call over TCP, with a token for `laptop`.
fn yard_with_tcp() -> Yard {
    let yard = yard();
    yard.draw_token("laptop", "laptop.token", "clients");
    let text = fs::read_to_string(yard.path("master.toml")).expect("the yard is ours");
    let text = text.replace(
        "listen = [\"unix:change.sock\"]",
        "listen = [\"unix:change.sock\", \"127.0.0.1:0\"], authenticate = [\"peercred\", \"token\"], \
         token_file = \"clients\"",
    );
    yard.write("master.toml", &text);
    yard
}

/// Returns where a master listens for clients on TCP.
fn tcp_address(master: &mut Daemon) -> String {
    let ready = master.wait_for("ready: ");
    let address = ready.split("clients 127").nth(1).and_then(|rest| rest.split(',').next());
    format!("127{}", address.expect("it listens for clients on TCP"))
}

/// A client that calls over TCP with a token, or without.
fn over_tcp(yard: &Yard, address: &str, token: Option<&str>) -> Command {
    let mut command = yard.changeport_command();
    command.env("CHANGEPORT_MASTER", format!("tcp:{address}"));
    if let Some(file) = token {
        command.env("CHANGEPORT_TOKEN_FILE", yard.path(file));
    }
    command
}

#[test]
fn a_caller_over_tcp_is_who_its_token_says() {
    let yard = yard_with_tcp();
    let mut master = yard.start_master();
    let _worker = yard.start_worker("");
    let address = tcp_address(&mut master);
    let run = finish(over_tcp(&yard, &address, Some("laptop.token")).args(["run", "fail"]));
    assert_eq!((run.code(), run.out(), run.err()), (3, "out\n".into(), "err\n".into()));
    yard.write("wrong.token", "no token at all");
    for token in [None, Some("wrong.token"), Some("worker.token")] {
        let refused = finish(over_tcp(&yard, &address, token).args(["run", "fail"]));
        assert_eq!(refused.code(), 77, "{token:?}: {}", refused.err());
        assert!(refused.err().contains("CHANGEPORT_TOKEN_FILE"), "{token:?}: {}", refused.err());
    }
    let mut raw = Raw::tcp(&address);
    raw.send(&Hello::new(Role::Client, None));
    assert_eq!(raw.expect::<Refusal>().code, "not_allowed");
    raw.expect_end();
    let other = yard.changeport(&["status", "fail#1"]);
    assert_eq!(other.code(), 64, "it is not theirs to see: {}", other.out());
    let own = finish(over_tcp(&yard, &address, Some("laptop.token")).args(["status", "fail#1"]));
    assert_eq!(own.out(), "fail#1 ended: FAILURE, exit code 3\n", "{}", own.err());
    assert_eq!(yard.changeport(&["run", "echo", "x"]).out(), "[x]", "the kernel's word goes on");
}

#[test]
fn an_app_outlives_a_lost_connection_of_its_caller() {
    let yard = yard_with_tcp();
    let mut master = yard.start_master();
    let _worker = yard.start_worker("");
    let relay = Relay::to(&tcp_address(&mut master));
    let mut command = over_tcp(&yard, relay.address(), Some("laptop.token"));
    let client = Client::start(command.args(["run", "gate"]));
    let connection = relay.connection();
    wait_until_up(&yard, "gate#1");
    connection.lose();
    let _next = relay.connection();
    open_gate(&yard);
    let finished = client.finish();
    assert_eq!((finished.code(), finished.out().as_str()), (0, "up\nthrough\n"), "{finished:?}");
}

#[test]
fn a_caller_who_leaves_over_tcp_is_not_waited_for() {
    let yard = yard_with_tcp();
    let mut master = yard.start_master();
    let address = tcp_address(&mut master);
    let mut command = over_tcp(&yard, &address, Some("laptop.token"));
    let mut client = Client::start(command.args(["run", "gate"]));
    assert!(client.hears().contains("queued as gate#1"));
    let began = Instant::now();
    kill_process(client.pid(), Signal::HUP).expect("the client is ours");
    assert_eq!(client.finish().code(), 129);
    wait_until_waiting(&yard, 0);
    assert!(began.elapsed() < Duration::from_secs(20), "as if the connection had been lost");
}

#[test]
fn the_kernel_watches_over_a_caller_on_tcp() {
    let yard = yard_with_tcp();
    let mut master = yard.start_master();
    let address = tcp_address(&mut master);
    let caller = std::net::TcpStream::connect(&address).expect("the master listens");
    let of = |address: std::net::SocketAddr| format!(":{:04X}", address.port());
    let (near, far) = (caller.local_addr(), caller.peer_addr());
    let (near, far) = (of(near.expect("it is bound")), of(far.expect("it is connected")));
    // The columns of proc_net_tcp(5): addresses of both ends, state, queues, then the timer that
    // is armed, of which 2 is that of keepalive.
    wait_until("a keepalive timer", || {
        let table = fs::read_to_string("/proc/net/tcp").expect("this is Linux");
        table.lines().find_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let [_, local, remote, _, _, timer, ..] = columns[..] else { return None };
            let is_ours = local.ends_with(&far) && remote.ends_with(&near);
            (is_ours && timer.starts_with("02:")).then_some(())
        })
    });
}

#[test]
fn a_port_without_proof_of_identity_is_refused_by_check() {
    let yard = yard();
    let text = fs::read_to_string(yard.path("master.toml")).expect("the yard is ours");
    yard.write("master.toml", &text.replace("\"unix:change.sock\"", "\"127.0.0.1:0\""));
    let checked = yard.master(&["check"]);
    assert_eq!(checked.code(), 78, "{}", checked.out());
    assert!(checked.out().contains("E0501"), "{}", checked.out());
}

#[test]
fn a_token_file_that_is_missing_is_said_before_anything_is_sent() {
    let yard = yard();
    let mut command = yard.changeport_command();
    let refused = finish(command.arg("status").env("CHANGEPORT_TOKEN_FILE", yard.path("none")));
    assert_eq!(refused.code(), 64, "{}", refused.err());
    assert!(refused.err().contains("none"), "{}", refused.err());
}

/// Lets a program open only so many files.
fn with_few_descriptors(command: &mut Command) {
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 256; exec \"$0\" \"$@\""]);
    limited.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        limited.env(name, value.unwrap_or_default());
    }
    if let Some(folder) = command.get_current_dir() {
        limited.current_dir(folder);
    }
    *command = limited;
}

#[test]
fn a_caller_with_too_many_connections_is_refused_and_others_are_not() {
    let yard = yard_with_tcp();
    let mut master = yard.start_master_as(with_few_descriptors);
    let _worker = yard.start_worker("");
    let address = tcp_address(&mut master);
    let welcomed = || {
        let mut raw = yard.raw_client();
        raw.send(&Hello::new(Role::Client, None));
        raw.expect::<Welcome>();
        raw
    };
    let mut crowd: Vec<Raw> = (0..64).map(|_| welcomed()).collect();
    let refused = yard.changeport(&["run", "echo", "x"]);
    assert_eq!(refused.code(), 75, "it never ran: {}", refused.err());
    assert!(refused.err().contains("has 64 connections"), "{}", refused.err());
    let other = finish(over_tcp(&yard, &address, Some("laptop.token")).args(["run", "echo", "y"]));
    assert_eq!(other.out(), "[y]", "{}", other.err());
    assert_eq!(yard.ask(&["status"]).len(), 1, "administrators get in");
    crowd.pop();
    wait_until("a connection that was given back", || {
        (yard.changeport(&["run", "echo", "x"]).out() == "[x]").then_some(())
    });
}
