//! A master that speaks the protocol and decides nothing.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use proto::message::command::{
    Attach, Attached, CommandId, End, FinalAck, LogPosition, Phase, Report, Start, Stop,
};
use proto::message::hello::{Hello, Ping, Pong, Refusal, Welcome};
use proto::message::stream::{StreamCredit, StreamData, StreamOpen};
use proto::record::{self, Channel};
use proto::{Frame, FrameReader, Message, encode};

use super::PATIENCE;

pub(crate) struct Master {
    listener: TcpListener,
}

impl Master {
    pub(crate) fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Accepts the next connection and reads its hello.
    pub(crate) fn accept(&self) -> (Connection, Hello) {
        self.listener.set_nonblocking(true).unwrap();
        let since = Instant::now();
        let socket = loop {
            match self.listener.accept() {
                Ok((socket, _)) => break socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("accept: {error}"),
            }
            assert!(since.elapsed() < PATIENCE, "a worker connects within {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(2)); // poll: another process
        };
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut connection = Connection { socket, reader: FrameReader::authenticated() };
        let hello = connection.receive();
        (connection, hello)
    }

    /// Accepts and welcomes a worker, and reads what it attaches with.
    pub(crate) fn welcome(&self, epoch: i64, session: i64) -> Session {
        let (mut connection, _) = self.accept();
        connection.send(&welcome(epoch, session));
        let attach = connection.receive();
        Session {
            connection,
            epoch,
            session,
            attach,
            streams: BTreeMap::new(),
            logs: BTreeMap::new(),
            reports: Vec::new(),
            gives_credit: true,
        }
    }

    /// Accepts and attaches a worker whose logs this master does not have.
    pub(crate) fn attach(&self, epoch: i64, session: i64) -> Session {
        let mut session = self.welcome(epoch, session);
        session.place(BTreeMap::new());
        session
    }
}

pub(crate) fn welcome(epoch: i64, session: i64) -> Welcome {
    Welcome {
        version: 1,
        features: 0,
        master: "test".to_owned(),
        epoch,
        session,
        principal: "worker:w1".to_owned(),
    }
}

pub(crate) fn refusal() -> Refusal {
    Refusal {
        code: "unknown_token".to_owned(),
        message: "the token is not known".to_owned(),
        hint: "ask for another".to_owned(),
    }
}

pub(crate) struct Connection {
    socket: TcpStream,
    reader: FrameReader,
}

impl Connection {
    pub(crate) fn send<M: Message>(&mut self, message: &M) {
        self.send_raw(&encode(message).unwrap());
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        // A worker that has left is noticed by reading.
        self.socket.write_all(bytes).ok();
    }

    pub(crate) fn receive<M: Message>(&mut self) -> M {
        self.frame().expect("the worker goes on").open().unwrap()
    }

    /// Returns the next frame, or `None` where the worker has left.
    pub(crate) fn frame(&mut self) -> Option<Frame> {
        let mut bytes = [0; 65536];
        loop {
            if let Some(frame) = self.reader.next_frame().unwrap() {
                return Some(frame);
            }
            match self.socket.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.reader.push(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing from the worker: {error}"),
            }
        }
    }

    /// Says whether the worker is silent for a moment.
    pub(crate) fn is_silent_for(&mut self, moment: Duration) -> bool {
        self.socket.set_read_timeout(Some(moment)).unwrap();
        let read = self.socket.peek(&mut [0]);
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

/// An attached worker, and what it has said.
pub(crate) struct Session {
    pub(crate) connection: Connection,
    pub(crate) epoch: i64,
    pub(crate) session: i64,
    pub(crate) attach: Attach,
    streams: BTreeMap<u32, CommandId>,
    /// Records of each command, from where this master wanted them.
    pub(crate) logs: BTreeMap<CommandId, Vec<u8>>,
    pub(crate) reports: Vec<Report>,
    pub(crate) gives_credit: bool,
}

impl Session {
    /// Answers the attach: these logs are here already.
    pub(crate) fn place(&mut self, logs: BTreeMap<CommandId, Vec<u8>>) {
        let position = |report: &Report| {
            let offset = logs.get(&report.command).map_or(0, Vec::len) as u64;
            LogPosition { command: report.command, offset }
        };
        let positions = self.attach.commands.iter().map(position).collect();
        self.connection.send(&Attached { logs: positions });
        self.logs = logs;
    }

    pub(crate) fn send_start(&mut self, start: &Start) -> CommandId {
        self.connection.send(start);
        start.command
    }

    pub(crate) fn send_stop(&mut self, command: CommandId, signal: i32, grace_ms: u64) {
        let (epoch, session) = (self.epoch, self.session);
        self.connection.send(&Stop { epoch, session, command, signal, grace_ms });
    }

    pub(crate) fn send_final_ack(&mut self, command: CommandId) {
        let (epoch, session) = (self.epoch, self.session);
        self.connection.send(&FinalAck { epoch, session, command });
    }

    /// Takes one frame. Says whether there was one.
    pub(crate) fn step(&mut self) -> bool {
        let Some(frame) = self.connection.frame() else { return false };
        match frame.kind {
            Report::KIND => self.reports.push(frame.open().unwrap()),
            StreamOpen::KIND => {
                let open: StreamOpen = frame.open().unwrap();
                assert_eq!(open.stream % 2, 1, "the worker's streams are odd");
                let log = self.logs.entry(open.command).or_default();
                assert_eq!(open.offset, log.len() as u64, "the stream begins where it should");
                assert!(self.streams.insert(open.stream, open.command).is_none());
            }
            StreamData::KIND => self.data(frame.open().unwrap()),
            Ping::KIND => {
                let Ping { nonce } = frame.open().unwrap();
                self.connection.send(&Pong { nonce });
            }
            Pong::KIND => {}
            kind => panic!("a frame of kind {kind}"),
        }
        true
    }

    fn data(&mut self, StreamData { stream, bytes }: StreamData) {
        let bytes = bytes.0;
        assert_eq!(record::valid_prefix(&bytes), bytes.len(), "whole records only");
        self.logs.get_mut(&self.streams[&stream]).unwrap().extend(&bytes);
        if self.gives_credit {
            self.credit(stream, bytes.len() as u64);
        }
    }

    pub(crate) fn credit(&mut self, stream: u32, bytes: u64) {
        self.connection.send(&StreamCredit { stream, bytes });
    }

    /// Takes frames until a condition holds.
    pub(crate) fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let since = Instant::now();
        while !condition(self) {
            assert!(since.elapsed() < PATIENCE, "{what} within {PATIENCE:?}");
            assert!(self.step(), "{what} before the worker leaves");
        }
    }

    /// Takes what comes until the worker leaves.
    pub(crate) fn until_gone(&mut self) {
        let since = Instant::now();
        while self.step() {
            assert!(since.elapsed() < PATIENCE, "the worker leaves within {PATIENCE:?}");
        }
    }

    pub(crate) fn phase(&self, command: CommandId) -> Option<Phase> {
        self.reports.iter().rev().find(|r| r.command == command).map(|report| report.phase)
    }

    /// Waits until a command has ended and its log is here.
    pub(crate) fn end(&mut self, command: CommandId) -> End {
        let ended = |session: &Self| {
            let report = session.reports.iter().rev().find(|r| r.command == command)?;
            let end = report.end.clone()?;
            let log_bytes = session.logs.get(&command).map_or(0, Vec::len) as u64;
            (log_bytes >= end.log_bytes).then_some(end)
        };
        self.until("a command ends and its log comes", |session| ended(session).is_some());
        ended(self).unwrap()
    }

    pub(crate) fn output(&self, command: CommandId, channel: Channel) -> String {
        let log = self.logs.get(&command).map(Vec::as_slice).unwrap_or_default();
        let bytes: Vec<u8> = record::iter(log)
            .filter(|record| record.channel == channel)
            .flat_map(|record| record.bytes.to_vec())
            .collect();
        String::from_utf8(bytes).unwrap()
    }
}
