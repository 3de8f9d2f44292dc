//! What no well-behaved peer, caller or administrator gives: it is refused with what to do, and
//! the daemons go on serving everybody else.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

use e2e::{Finished, Raw, Yard, finish};
use proto::message::command::Variable;
use proto::message::hello::{Hello, Ping, Pong, Refusal, Role, Welcome};
use proto::message::launch::{Accepted, Launch, Wait};
use proto::message::question::{BuildsWanted, StatusWanted};
use proto::{Bytes, kind, limits};

const MUST_UNDERSTAND: u8 = 1;

const ECHO: &str = r#"
app.echo = { builder = "echo", env = ["DISPLAY", "LC_*"] }
app.show = { builder = "show", env = ["DISPLAY", "LC_*"] }
[builder.echo]
workers = ["local"]
steps = [{ name = "echo", command = ["printf", "[%s]", "${args}"] }]
[builder.show]
workers = ["local"]
steps = [{ name = "show", command = ["printenv", "DISPLAY", "LC_ODD"] }]
"#;

type Connect = fn(&Yard) -> Raw;

fn assert_serves(yard: &Yard) {
    let finished = yard.changeport(&["run", "echo", "still"]);
    assert_eq!((finished.code(), finished.out().as_str()), (0, "[still]"), "{}", finished.err());
}

/// What to send instead of a hello.
fn nonsense() -> Vec<(&'static str, Vec<u8>)> {
    let frame = |kind: u16, body: &[u8]| {
        let length = u32::try_from(body.len() + 3).expect("it is short");
        [&length.to_be_bytes()[..], &kind.to_be_bytes(), &[MUST_UNDERSTAND], body].concat()
    };
    let mut deep = vec![0x91; 4_000];
    deep.push(0xc0);
    vec![
        ("another protocol", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("no length", vec![0; 64]),
        ("the greatest length", vec![0xff; 64]),
        ("a length just over the limit", 4_097_u32.to_be_bytes().to_vec()),
        ("a hello that is no MessagePack", frame(kind::HELLO, &[0xc1])),
        ("a hello cut short", frame(kind::HELLO, &[0x86, 0xa4])),
        ("a hello of another shape", frame(kind::HELLO, &[0x93, 1, 2, 3])),
        ("a hello nested too deeply", frame(kind::HELLO, &deep)),
        ("something before the hello", frame(kind::LAUNCH, &[0x80])),
        ("an unknown kind", frame(9_999, &[0x80])),
    ]
}

#[test]
fn a_stranger_that_sends_nonsense_is_hung_up_on() {
    let yard = Yard::new(ECHO);
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let doors: [(Role, Connect); 2] =
        [(Role::Client, Yard::raw_client), (Role::Worker, Yard::raw_worker)];
    for (role, connect) in doors {
        for (what, bytes) in nonsense() {
            let mut raw = connect(&yard);
            raw.send_bytes(&bytes);
            assert_eq!(raw.receive().map(|frame| frame.kind), None, "{what} from a {role}");
        }
        for (hello, code) in [
            (Hello::new(Role::Control, None), "wrong_port"),
            (Hello { min_version: 7, max_version: 9, ..Hello::new(role, None) }, "version"),
        ] {
            let mut raw = connect(&yard);
            raw.send(&hello);
            assert_eq!(raw.expect::<Refusal>().code, code);
            raw.expect_end();
        }
    }
    assert_serves(&yard);
}

#[test]
fn strangers_that_say_nothing_do_not_keep_callers_out() {
    let yard = Yard::new(ECHO);
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    // More than may be unfinished at once; each is given up after its time for a handshake.
    let mut silent: Vec<Raw> = (0..300).map(|_| yard.raw_client()).collect();
    assert_serves(&yard);
    for raw in &mut silent {
        raw.expect_end();
    }
    assert_serves(&yard);
}

fn launch(args: Vec<Bytes>, env: Vec<Variable>) -> Launch {
    Launch {
        launch_id: "one".to_owned(),
        app: "echo".to_owned(),
        args,
        env,
        offered: vec![Bytes::from("*")],
        cwd: Bytes::default(),
        host: "host".to_owned(),
        wait: Wait::Detach,
    }
}

fn welcomed_client(yard: &Yard) -> Raw {
    let mut raw = yard.raw_client();
    raw.send(&Hello::new(Role::Client, None));
    raw.expect::<Welcome>();
    raw
}

fn welcomed_worker(yard: &Yard) -> Raw {
    let token = fs::read(yard.path("worker.token")).expect("the yard is ours");
    let mut raw = yard.raw_worker();
    raw.send(&Hello::new(Role::Worker, Some(token.trim_ascii().into())));
    raw.expect::<Welcome>();
    raw
}

#[test]
fn what_is_about_everybody_is_not_told_to_a_client() {
    let yard = Yard::new(ECHO);
    let _master = yard.start_master();
    let mut raw = welcomed_client(&yard);
    raw.send(&StatusWanted {});
    assert_eq!(raw.expect::<Refusal>().code, "not_allowed");
    raw.send(&BuildsWanted { builder: String::new(), limit: 1 });
    assert_eq!(raw.expect::<Refusal>().code, "not_allowed");
}

#[test]
fn a_client_that_breaks_the_protocol_loses_its_own_connection_only() {
    let yard = Yard::new(ECHO);
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let mut raw = welcomed_client(&yard);
    raw.send_frame(9_999, 0, b"whatever");
    raw.send(&Ping { nonce: 5 });
    assert_eq!(raw.expect::<Pong>().nonce, 5, "a kind that may be skipped is skipped");
    raw.send_frame(9_999, MUST_UNDERSTAND, b"whatever");
    let refusal = raw.expect::<Refusal>();
    assert_eq!(refusal.code, "unknown_kind");
    assert!(refusal.message.contains("9999"), "{refusal}");
    raw.expect_end();
    for (kind, body) in [
        (kind::LAUNCH, &b"\xc1"[..]),
        (kind::LAUNCH, b"\x81\xa3app\x05"),
        (kind::SEND, b"\xdf\xff\xff\xff\xff"),
        (kind::FOLLOW, b""),
    ] {
        let mut raw = welcomed_client(&yard);
        raw.send_frame(kind, MUST_UNDERSTAND, body);
        raw.expect_end();
    }
    let mut raw = welcomed_client(&yard);
    let over = u32::try_from(limits::FRAME_BYTES + 1).expect("the limit is small");
    raw.send_bytes(&over.to_be_bytes());
    raw.expect_end();
    assert_serves(&yard);
}

#[test]
fn a_worker_that_breaks_the_protocol_does_not_take_the_place_of_the_real_one() {
    let yard = Yard::new(ECHO);
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    for (kind, body) in [
        (kind::ATTACH, &b"\xc1"[..]),
        (kind::REPORT, b"\x80"),
        (kind::LAUNCH, b"\x80"),
        (9_999, b"\x80"),
    ] {
        let mut raw = welcomed_worker(&yard);
        raw.send_frame(kind, MUST_UNDERSTAND, body);
        raw.expect_end();
        assert_serves(&yard);
    }
}

#[test]
fn what_is_too_large_or_holds_a_nul_is_refused_with_the_reason() {
    let yard = Yard::new(ECHO);
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let large = "x".repeat(120_000);
    let refused = finish(yard.launcher("echo").args([large.as_str(); 5]));
    assert_eq!(refused.code(), 64, "{}", refused.err());
    let limit = limits::COMMAND_BYTES.to_string();
    assert!(refused.err().contains(&limit), "{}", refused.err());
    assert_eq!(refused.out(), "");
    let nul = || Bytes(b"a\0b".to_vec());
    let variable = |name: Bytes, value: Bytes| vec![Variable { name, value }];
    for (launch, code, word) in [
        (launch(vec![nul()], Vec::new()), "bad_request", "NUL"),
        (launch(Vec::new(), variable("DISPLAY".into(), nul())), "bad_request", "NUL"),
        (launch(Vec::new(), variable(nul(), ":0".into())), "bad_request", "NUL"),
        (launch(vec![Bytes(vec![b'x'; 200_000])], Vec::new()), "too_large", "131072"),
        (launch(vec![Bytes(vec![b'x'; 130_000]); 5], Vec::new()), "too_large", &limit),
        (
            Launch { launch_id: "x".repeat(65), ..launch(Vec::new(), Vec::new()) },
            "bad_request",
            "id",
        ),
        (
            Launch { app: "../echo".to_owned(), ..launch(Vec::new(), Vec::new()) },
            "unknown_app",
            "..",
        ),
    ] {
        let mut raw = welcomed_client(&yard);
        raw.send(&launch);
        let refusal = raw.expect::<Refusal>();
        assert_eq!(refusal.code, code, "{refusal}");
        assert!(refusal.message.contains(word), "{refusal}");
        raw.send(&Launch {
            launch_id: refusal.message.len().to_string(),
            ..self::launch(Vec::new(), Vec::new())
        });
        raw.expect::<Accepted>();
    }
    assert_serves(&yard);
}

#[test]
fn odd_bytes_come_out_as_they_went_in() {
    let yard = Yard::new(ECHO);
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let odd = OsStr::from_bytes(b"\xff \n\x1b[31m\xc3");
    let folder = yard.path("").join(odd);
    fs::create_dir(&folder).expect("the yard is ours");
    let mut show = yard.launcher("show");
    show.env("DISPLAY", odd).env("LC_ODD", OsStr::from_bytes(b"=\xfe=")).current_dir(&folder);
    let shown = finish(&mut show);
    assert_eq!(shown.code(), 0, "{}", shown.err());
    assert_eq!(shown.stdout, b"\xff \n\x1b[31m\xc3\n=\xfe=\n");
    let mut echo = yard.launcher("echo");
    let echoed = finish(echo.arg(odd).arg("").current_dir(&folder));
    assert_eq!(echoed.stdout, b"[\xff \n\x1b[31m\xc3][]");
    let odd_app = yard.launcher_called(OsStr::from_bytes(b"ec\xffho"));
    let refused = finish(&mut { odd_app });
    assert_eq!(refused.code(), 127, "{}", refused.err());
}

#[test]
fn a_worker_with_a_wrong_token_is_refused_and_says_what_to_check() {
    let yard = Yard::new(ECHO);
    let _master = yard.start_master();
    let right = fs::read_to_string(yard.path("worker.token")).expect("the yard is ours");
    yard.configure_worker("");
    yard.write("worker.token", "not the token\n");
    let mut wrong = yard.start_unattached_worker(|_command| {});
    let line = wrong.wait_for("the token is not known");
    assert!(line.contains("token_file"), "{line}");
    let (code, _log) = wrong.stop();
    assert_eq!(code, 0);
    yard.write("worker.token", &right);
    let _worker = yard.start_configured_worker();
    assert_serves(&yard);
}

/// Asserts that a program gave up because of its configuration, in one line.
fn assert_gave_up(finished: &Finished, words: &[&str]) {
    let err = finished.err();
    assert_eq!(finished.code(), 78, "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
    assert!(words.iter().all(|word| err.contains(word)), "{err} holds {words:?}");
}

#[test]
fn a_configuration_that_cannot_be_read_is_one_line_and_78() {
    let yard = Yard::new(ECHO);
    fs::create_dir(yard.path("folder.toml")).expect("the yard is ours");
    fs::write(yard.path("latin1.toml"), b"version = 1 # \xe4\n").expect("the yard is ours");
    let programs: [fn(&Yard) -> Command; 2] =
        [Yard::bare_master_command, Yard::bare_worker_command];
    for program in programs {
        for verb in ["run", "check"] {
            for (file, word) in [
                ("missing.toml", "No such file"),
                ("folder.toml", "directory"),
                ("latin1.toml", "UTF-8"),
            ] {
                let mut command = program(&yard);
                let finished = finish(command.arg("--config").arg(yard.path(file)).arg(verb));
                assert_gave_up(&finished, &[file, word]);
            }
        }
        yard.write("broken.toml", "version = 1\nname = \"x\n");
        let mut command = program(&yard);
        let finished = finish(command.arg("--config").arg(yard.path("broken.toml")).arg("run"));
        assert_eq!(finished.code(), 78, "{}", finished.err());
        assert!(finished.err().contains("E0001"), "{}", finished.err());
        assert!(finished.err().contains("broken.toml:2"), "{}", finished.err());
    }
}

#[test]
fn a_second_master_is_refused_by_name_of_the_first() {
    let yard = Yard::new("");
    yard.configure_with_state("sqlite:shared.db", ECHO);
    let master = yard.start_master();
    let _worker = yard.start_worker("");
    let pid = master.pid().as_raw_nonzero().to_string();
    let (code, log) = yard.start_unready_master().ended();
    assert_ne!(code, 0);
    assert!(log.contains("another daemon") && log.contains(&pid), "{log}");
    let text = fs::read_to_string(yard.path("master.toml")).expect("the yard is ours");
    let text = text.replace("data = \"master\"", "data = \"master2\"");
    let text = text.replace("control.sock", "control2.sock").replace("change.sock", "change2.sock");
    yard.write("second.toml", &text);
    let second = finish(yard.bare_master_command().arg("--config").arg(yard.path("second.toml")));
    assert_ne!(second.code(), 0);
    assert!(
        second.err().contains("another daemon") && second.err().contains(&pid),
        "{}",
        second.err()
    );
    assert_serves(&yard);
}

#[test]
fn a_database_of_a_newer_version_is_refused_and_left_alone() {
    let yard = Yard::new(ECHO);
    let (code, log) = yard.start_master().stop();
    assert_eq!(code, 0, "{log}");
    let database = yard.path("master/state.db");
    e2e::execute(&database, "INSERT INTO migration (n, name, applied_us) VALUES (99, 'later', 1)");
    let refused = finish(&mut yard.master_command());
    assert_gave_up(&refused, &["newer version", "start that version"]);
    e2e::execute(&database, "DELETE FROM migration WHERE n = 99");
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    assert_serves(&yard);
}
