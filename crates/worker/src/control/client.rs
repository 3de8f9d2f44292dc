//! The command line's side of the control socket.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};

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
        writeln!(socket, "{}", wish.word()).context("ask the worker")?;
        let mut reader = BufReader::new(socket);
        let mut line = String::new();
        reader.read_line(&mut line).context("wait for the worker's answer")?;
        if line.is_empty() {
            bail!("the worker does not answer; it may be stopping, or you are not its user");
        }
        let status = serde_json::from_str(&line).context("read the worker's answer")?;
        Ok(Self { reader, status })
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
