//! `send`, `status`, `wait`, `logs`, `stop`.

use proto::message::command::Variable;
use proto::message::launch::{Accepted, Cancel, Cancelled, Follow, Position, SendChange, Stage};
use proto::message::question::{
    LogEnded, LogWanted, RequestLine, RequestWanted, Requests, RequestsWanted,
};
use proto::record::Channel;

use crate::master::Yard;
use crate::process::{Finished, finish, start};

#[test]
fn a_sent_change_carries_what_was_said_of_it() {
    let yard = Yard::new();
    let client = start(&mut yard.changeport(&[
        "send",
        "--branch=main",
        "--revision=r1",
        "--author=ann",
        "--comments=why",
        "--file=a",
        "--file=b",
        "--project=p",
        "--category=c",
        "--property=k=v=w",
    ]));
    let mut call = yard.welcome();
    let sent: SendChange = call.receive();
    call.send(&Accepted { change: 7, requests: Vec::new(), schedulers: Vec::new() });
    let expected = SendChange {
        launch_id: sent.launch_id.clone(),
        author: Some("ann".into()),
        comments: "why".into(),
        files: vec!["a".into(), "b".into()],
        branch: Some("main".to_owned()),
        revision: Some("r1".to_owned()),
        project: "p".to_owned(),
        category: Some("c".to_owned()),
        properties: vec![Variable { name: "k".into(), value: "v=w".into() }],
        ..SendChange::default()
    };
    assert_eq!(sent, expected);
    let finished = client.finish();
    assert_eq!(finished.out(), "change 7 accepted, matched nothing\n");
    assert_eq!(finished.code(), Some(0));
}

#[test]
fn a_change_whose_answer_was_lost_is_sent_again_as_the_same() {
    let yard = Yard::new();
    let client = start(&mut yard.changeport(&["send", "--branch=main"]));
    let mut call = yard.welcome();
    let first: SendChange = call.receive();
    drop(call);
    let mut call = yard.welcome();
    assert_eq!(call.receive::<SendChange>(), first);
    let (requests, schedulers) = (vec!["ci#4".to_owned()], vec!["nightly".to_owned()]);
    call.send(&Accepted { change: 8, requests, schedulers });
    assert_eq!(client.finish().out(), "change 8 accepted: ci#4; waits for nightly\n");
}

#[test]
fn wait_exits_with_the_first_code_that_is_not_0() {
    let yard = Yard::new();
    let client = start(&mut yard.changeport(&["wait", "hello#1", "hello#2", "hello#3"]));
    for (request, code) in [("hello#1", 0), ("hello#2", 6), ("hello#3", 7)] {
        let mut call = yard.welcome();
        assert_eq!(call.receive::<Follow>().request, request);
        call.progress(Stage::Queued, 1, "busy");
        call.progress(Stage::Running, 0, "on w1");
        call.ended(code);
        call.hung_up();
    }
    let finished = client.finish();
    assert_eq!((finished.code(), finished.err().as_str()), (Some(6), ""));
}

#[test]
fn wait_outlives_the_master() {
    let mut yard = Yard::new();
    let client = start(&mut yard.changeport(&["wait", "hello#1"]));
    let mut call = yard.welcome();
    let first: Follow = call.receive();
    yard.kill_master();
    drop(call);
    yard.start_master();
    let mut call = yard.welcome();
    assert_eq!(call.receive::<Follow>(), first);
    call.ended(2);
    assert_eq!(client.finish().code(), Some(2));
}

#[test]
fn logs_are_printed_once_over_a_lost_connection() {
    let yard = Yard::new();
    let client = start(&mut yard.changeport(&["logs", "ci#1/test", "-f"]));
    let mut call = yard.welcome();
    let wanted: LogWanted = call.receive();
    let asked = (wanted.build.as_str(), wanted.step.as_str(), wanted.follow);
    assert_eq!(asked, ("ci#1", "test", true));
    let records: [(Channel, &[u8]); 2] = [(Channel::Out, b"o\n"), (Channel::Err, b"e\n")];
    call.output(0, &records);
    drop(call);
    let mut call = yard.welcome();
    assert_eq!(call.receive::<LogWanted>(), wanted);
    let end = call.output(0, &records);
    call.output(end, &[(Channel::Out, b"p\n")]);
    call.send(&LogEnded { build: "ci#1".to_owned(), ..LogEnded::default() });
    let finished = client.finish();
    let seen = (finished.code(), finished.out(), finished.err());
    assert_eq!(seen, (Some(0), "o\np\n".to_owned(), "e\n".to_owned()));
}

fn status(arguments: &[&str]) -> Finished {
    let yard = Yard::new();
    let client = start(&mut yard.changeport(arguments));
    let mut call = yard.welcome();
    let request = call.receive::<RequestWanted>().request;
    call.send(&ended(&request));
    client.finish()
}

fn ended(request: &str) -> RequestLine {
    RequestLine {
        request: request.to_owned(),
        owner: "unix:yard:0".to_owned(),
        stage: Stage::Ended,
        result: "FAILURE".to_owned(),
        exit_code: Some(3),
        detail: "two\nlines".to_owned(),
        place: 0,
        submitted_us: 1,
        started_us: None,
        ended_us: Some(2),
        properties: Vec::new(),
        properties_left_out: 0,
    }
}

#[test]
fn status_tells_where_a_request_is() {
    let told = status(&["status", "hello#1"]).out();
    assert_eq!(told, "hello#1 ended: FAILURE, exit code 3, two lines\n");
    let told: serde_json::Value =
        serde_json::from_slice(&status(&["status", "hello#1", "--json"]).stdout).unwrap();
    assert_eq!((&told["stage"], &told["exit_code"]), (&"ended".into(), &3.into()));
}

#[test]
fn status_without_an_id_lists_what_lives_and_what_ended_last() {
    let requests = || {
        let waits = RequestLine { stage: Stage::Queued, exit_code: None, ..ended("hello#12") };
        vec![waits, ended("hello#1")]
    };
    let list = |arguments: &[&str], left_out| {
        let yard = Yard::new();
        let client = start(&mut yard.changeport(arguments));
        let mut call = yard.welcome();
        assert_eq!(call.receive::<RequestsWanted>().ended, 10);
        call.send(&Requests { requests: requests(), left_out });
        client.finish()
    };
    let listed = list(&["status"], 0);
    let lines: Vec<String> = listed.out().lines().map(str::to_owned).collect();
    let head: Vec<&str> = lines[0].split_whitespace().collect();
    assert_eq!(head, ["REQUEST", "STATE", "SINCE", "DETAIL"]);
    assert!(lines[1].starts_with("hello#12  queued       "), "{listed:?}");
    assert!(lines[2].starts_with("hello#1   FAILURE (3)  "), "{listed:?}");
    assert!(lines[2].ends_with("  two lines") && lines.len() == 3, "{listed:?}");
    let listed = list(&["status", "--json"], 3);
    let said = "changeport: 3 more of your requests wait or run\n";
    assert_eq!((listed.err().as_str(), listed.out().lines().count()), (said, 2));
}

#[test]
fn a_list_of_nothing_is_empty_and_says_so() {
    for (arguments, said) in
        [(&["status"][..], "changeport: you have no requests\n"), (&["status", "--json"], "")]
    {
        let yard = Yard::new();
        let client = start(&mut yard.changeport(arguments));
        let mut call = yard.welcome();
        let _wanted: RequestsWanted = call.receive();
        call.send(&Requests { requests: Vec::new(), left_out: 0 });
        let finished = client.finish();
        assert_eq!(
            (finished.code(), finished.out(), finished.err()),
            (Some(0), "".into(), said.into())
        );
    }
}

#[test]
fn stop_asks_for_the_end_and_tells_what_it_meant() {
    let yard = Yard::new();
    let client = start(&mut yard.changeport(&["stop", "hello#1", "--reason", "enough"]));
    let mut call = yard.welcome();
    let cancel: Cancel = call.receive();
    let expected = ("hello#1", "enough", 0);
    assert_eq!((cancel.request.as_str(), cancel.reason.as_str(), cancel.signal), expected);
    call.send(&Cancelled { request: cancel.request, stage: Stage::Running, detail: String::new() });
    assert_eq!(client.finish().out(), "hello#1 was told to end\n");
}

#[test]
fn a_request_that_does_not_exist_is_64() {
    let yard = Yard::new();
    for verb in ["status", "wait", "logs", "stop"] {
        let client = start(&mut yard.changeport(&[verb, "hello#9"]));
        let mut call = yard.welcome();
        call.refuse("unknown_request");
        let finished = client.finish();
        let expected = "changeport: refused for unknown_request; do otherwise\n";
        assert_eq!((finished.code(), finished.err().as_str()), (Some(64), expected), "{verb}");
    }
}

#[test]
fn help_and_version_are_on_stdout_and_nonsense_is_64() {
    let yard = Yard::without_master();
    let version = finish(&mut yard.changeport(&["--version"]));
    assert_eq!((version.code(), version.out().starts_with("changeport ")), (Some(0), true));
    assert!(finish(&mut yard.changeport(&["--help"])).out().contains("CHANGEPORT_MASTER"));
    let nonsense = finish(&mut yard.changeport(&["stauts"]));
    assert_eq!((nonsense.code(), nonsense.out().as_str()), (Some(64), ""));
    assert!(nonsense.err().contains("'status'"), "{nonsense:?}");
}

#[test]
fn a_log_of_another_step_begins_with_its_own_part() {
    let yard = Yard::new();
    let client = start(&mut yard.changeport(&["logs", "ci#1/second"]));
    let mut call = yard.welcome();
    let _wanted: LogWanted = call.receive();
    let mut records = Vec::new();
    proto::record::append(&mut records, Channel::Out, 1, b"second\n");
    let position = Position { part: 1, offset: 0 };
    call.send(&proto::message::launch::Output { position, records: records.into() });
    call.send(&LogEnded { build: "ci#1".to_owned(), ..LogEnded::default() });
    assert_eq!(client.finish().out(), "second\n");
}
