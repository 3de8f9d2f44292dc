//! The command line's side of the control socket.

use std::collections::VecDeque;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};

use tokio::io::AsyncReadExt as _;

use super::{Status, Wish, address};

const PATIENCE: Duration = Duration::from_secs(10);

/// A connection to a running daemon that has answered.
#[derive(Debug)]
pub(crate) struct Client {
    reader: BufReader<UnixStream>,
    /// The answer.
    pub(crate) status: Status,
}

impl Client {
    /// Asks the daemon of a data directory.
    pub(crate) fn ask(data: &Path, wish: Wish) -> anyhow::Result<Self> {
        let connect = || {
            let (_folder, path) = address(data)?;
            UnixStream::connect(path)
        };
        let mut socket = connect().with_context(|| {
            format!("reach a worker on {} (does it run, and are you its user?)", data.display())
        })?;
        socket.set_read_timeout(Some(PATIENCE)).context("set a deadline")?;
        writeln!(socket, "{}", wish.words()).context("ask the worker")?;
        let mut reader = BufReader::new(socket);
        let mut line = String::new();
        reader.read_line(&mut line).context("wait for the worker's answer")?;
        if line.is_empty() {
            bail!("the worker does not answer; it may be stopping, or you are not its user");
        }
        let status = serde_json::from_str(&line).context("read the worker's answer")?;
        Ok(Self { reader, status })
    }

    /// Goes on listening within a runtime.
    ///
    /// # Errors
    /// When the socket cannot be handed over.
    pub(crate) fn news(self) -> io::Result<News> {
        let first = VecDeque::from([self.status]);
        // The daemon says more only once something changes; nothing may be lost that it said.
        let read = self.reader.buffer().to_vec();
        let socket = self.reader.into_inner();
        socket.set_nonblocking(true)?;
        let socket = tokio::net::UnixStream::from_std(socket)?;
        Ok(News { first, read, socket })
    }

    /// Waits until the daemon has ended.
    pub(crate) fn wait(mut self) -> anyhow::Result<()> {
        self.reader.get_ref().set_read_timeout(None).context("wait without a deadline")?;
        let mut rest = Vec::new();
        // A reset is an end as well.
        drop(self.reader.read_to_end(&mut rest));
        Ok(())
    }
}

/// What the daemon says as it goes on.
#[derive(Debug)]
pub(crate) struct News {
    first: VecDeque<Status>,
    /// What was read of the next line.
    read: Vec<u8>,
    socket: tokio::net::UnixStream,
}

impl News {
    /// Returns the next thing it says; `None` once it has ended. Cancel-safe: what was read is
    /// kept.
    pub(crate) async fn next(&mut self) -> Option<Status> {
        if let Some(status) = self.first.pop_front() {
            return Some(status);
        }
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return serde_json::from_slice(&line).ok();
            }
            let mut bytes = [0; 1024];
            match self.socket.read(&mut bytes).await {
                // A reset is an end as well.
                Ok(0) | Err(_) => return None,
                Ok(count) => self.read.extend_from_slice(&bytes[..count]),
            }
        }
    }
}
