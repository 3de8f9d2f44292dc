//! A master that says what a test tells it to say.

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use proto::message::hello::{Hello, Refusal, Role, Welcome};
use proto::message::launch::{Accepted, Ended, Follow, Launch, Output, Position, Progress, Stage};
use proto::record::{self, Channel};
use proto::{Frame, FrameReader, Message, encode};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tempfile::TempDir;

/// Nothing that a test waits for takes longer on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder with the master's socket in it.
pub(crate) struct Yard {
    folder: TempDir,
    listener: Option<UnixListener>,
}

impl Yard {
    /// Makes a yard whose master listens.
    pub(crate) fn new() -> Self {
        let mut yard = Self::without_master();
        yard.start_master();
        yard
    }

    pub(crate) fn without_master() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), listener: None }
    }

    pub(crate) fn start_master(&mut self) {
        self.listener = Some(UnixListener::bind(self.path("change.sock")).unwrap());
    }

    /// Ends the master as a kill would: what is connected stays with the test.
    pub(crate) fn kill_master(&mut self) {
        self.listener = None;
        std::fs::remove_file(self.path("change.sock")).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Takes the next connection, without a word.
    pub(crate) fn accept(&self) -> Call {
        let listener = self.listener.as_ref().expect("the master listens");
        wait_for(listener);
        let (socket, _) = listener.accept().unwrap();
        Call { socket, reader: FrameReader::authenticated() }
    }

    /// Takes the next connection and welcomes it.
    pub(crate) fn welcome(&self) -> Call {
        let mut call = self.accept();
        let hello: Hello = call.receive();
        assert_eq!(hello.role, Role::Client);
        call.send(&Welcome {
            version: 1,
            features: 0,
            master: "yard".to_owned(),
            epoch: 1,
            session: 0,
            principal: "unix:yard:0".to_owned(),
        });
        call
    }

    /// Takes a launch and accepts it as `hello#1`; the caller follows from the beginning.
    pub(crate) fn accept_launch(&self) -> (Call, Launch) {
        let mut call = self.welcome();
        let launch: Launch = call.receive();
        call.send(&accepted());
        assert_eq!(call.receive::<Follow>(), follow(Position::default()));
        (call, launch)
    }

    /// Takes a launch that runs at once.
    pub(crate) fn run_launch(&self) -> Call {
        let (mut call, _) = self.accept_launch();
        call.progress(Stage::Running, 0, "on w1");
        call
    }
}

pub(crate) fn accepted() -> Accepted {
    Accepted { change: 1, requests: vec!["hello#1".to_owned()], schedulers: Vec::new() }
}

pub(crate) fn follow(position: Position) -> Follow {
    Follow { request: "hello#1".to_owned(), position }
}

/// One connection, seen from the master.
pub(crate) struct Call {
    socket: UnixStream,
    reader: FrameReader,
}

impl Call {
    pub(crate) fn send<M: Message>(&mut self, message: &M) {
        self.send_bytes(&encode(message).unwrap());
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// Reads the next message, which has to be of this kind.
    pub(crate) fn receive<M: Message>(&mut self) -> M {
        loop {
            if let Some(frame) = self.reader.next_frame().unwrap() {
                return Frame::open(&frame).unwrap();
            }
            assert!(
                self.read() > 0,
                "the client hung up instead of {}",
                proto::kind::name(M::KIND)
            );
        }
    }

    /// Waits until the client is gone, and it has said nothing more.
    pub(crate) fn hung_up(mut self) {
        while self.read() > 0 {}
        let frame = self.reader.next_frame().unwrap();
        let name = frame.map(|frame| proto::kind::name(frame.kind));
        assert_eq!(name, None);
    }

    fn read(&mut self) -> usize {
        wait_for(&self.socket);
        let mut buffer = [0; 4096];
        let count = self.socket.read(&mut buffer).unwrap();
        self.reader.push(&buffer[..count]);
        count
    }

    pub(crate) fn progress(&mut self, stage: Stage, place: u32, detail: &str) {
        let (request, detail) = ("hello#1".to_owned(), detail.to_owned());
        self.send(&Progress { request, stage, place, detail });
    }

    /// Sends records that begin at an offset of the first part; returns where they end.
    pub(crate) fn output(&mut self, offset: u64, records: &[(Channel, &[u8])]) -> u64 {
        let mut bytes = Vec::new();
        for (channel, payload) in records {
            record::append(&mut bytes, *channel, 1, payload);
        }
        let end = offset + bytes.len() as u64;
        self.send(&Output { position: Position { part: 0, offset }, records: bytes.into() });
        end
    }

    /// Says that the program ended with this exit code.
    pub(crate) fn ended(&mut self, exit_code: u8) {
        let result = if exit_code == 0 { "SUCCESS" } else { "FAILURE" };
        self.send(&Ended {
            request: "hello#1".to_owned(),
            result: result.to_owned(),
            exit_code,
            reason: String::new(),
        });
    }

    pub(crate) fn refuse(&mut self, code: &str) {
        self.send(&Refusal {
            code: code.to_owned(),
            message: format!("refused for {code}"),
            hint: "do otherwise".to_owned(),
        });
    }
}

/// Waits until something can be read.
pub(crate) fn wait_for(source: &impl AsFd) {
    let mut sources = [PollFd::new(source, PollFlags::IN)];
    let patience = Timespec::try_from(PATIENCE).unwrap();
    let count = poll(&mut sources, Some(&patience)).unwrap();
    assert_eq!(count, 1, "the client said nothing for {PATIENCE:?}");
}
