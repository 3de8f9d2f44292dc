//! Submissions over one connection, by a client of few words.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use e2e::Yard;
use proto::message::hello::{Hello, Role, Welcome};
use proto::message::launch::{Accepted, Launch, Wait};
use proto::{Bytes, FrameReader, encode};

const HELLO: &str = r#"
app.hello = { builder = "hello" }
[builder.hello]
workers = ["local"]
steps = [{ name = "hello", command = ["true"] }]
"#;

fn launch(id: &str) -> Vec<u8> {
    let launch = Launch {
        launch_id: id.to_owned(),
        app: "hello".to_owned(),
        args: Vec::new(),
        env: Vec::new(),
        offered: Vec::new(),
        cwd: Bytes::from("/"),
        host: "here".to_owned(),
        wait: Wait::Detach,
    };
    encode(&launch).expect("a launch is small")
}

#[test]
fn many_submissions_at_once_are_answered_in_their_order_and_each_once() {
    let yard = Yard::new(HELLO);
    let _master = yard.start_master();
    let mut socket = UnixStream::connect(yard.path("change.sock")).expect("connect");
    let mut bytes = encode(&Hello::new(Role::Client, None)).expect("a hello is small");
    // More than a master takes before it answers; every tenth repeats the first.
    let ids: Vec<usize> = (0..600).map(|n| if n % 10 == 9 { 0 } else { n }).collect();
    bytes.extend(ids.iter().flat_map(|id| launch(&format!("launch-{id}"))));
    let mut writing = socket.try_clone().expect("share the socket");
    let writer = std::thread::spawn(move || {
        writing.write_all(&bytes).expect("write");
        writing.shutdown(Shutdown::Write).expect("end the writing");
    });
    let mut answers = Vec::new();
    socket.read_to_end(&mut answers).expect("read all answers");
    writer.join().expect("the writer does not panic");
    let mut reader = FrameReader::authenticated();
    reader.push(&answers);
    let mut frames = std::iter::from_fn(|| reader.next_frame().expect("frames"));
    frames.next().expect("a welcome").open::<Welcome>().expect("a welcome");
    let answers: Vec<Accepted> = frames.map(|frame| frame.open().expect("accepted")).collect();
    let mut next = 0;
    let expected: Vec<String> = ids
        .iter()
        .enumerate()
        .map(|(at, id)| {
            let is_new = at == *id;
            next += i32::from(is_new);
            format!("hello#{}", if is_new { next } else { 1 })
        })
        .collect();
    let requests: Vec<String> = answers.into_iter().flat_map(|answer| answer.requests).collect();
    assert_eq!(requests, expected);
}
