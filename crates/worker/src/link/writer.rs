//! Writes frames: control before data, so that no flood of output holds up a report or a pong.

use std::time::Duration;

use anyhow::Context as _;
use failpoint::Act;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

/// Control frames that may wait. A peer that lets more pile up does not read.
const CONTROL: usize = 4_096;
/// Frames of data that may wait: one is being written, one is ready.
const DATA: usize = 1;
/// The last words of a connection that is ended from this side.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// The session's side.
#[derive(Debug)]
pub(super) struct Outbox {
    pub(super) control: mpsc::Sender<Vec<u8>>,
    pub(super) data: mpsc::Sender<Vec<u8>>,
}

/// The writer's side.
#[derive(Debug)]
pub(super) struct Writer<W> {
    socket: W,
    control: mpsc::Receiver<Vec<u8>>,
    data: mpsc::Receiver<Vec<u8>>,
}

/// Makes both sides.
pub(super) fn pair<W: AsyncWrite + Unpin>(socket: W) -> (Outbox, Writer<W>) {
    let (control, control_receiver) = mpsc::channel(CONTROL);
    let (data, data_receiver) = mpsc::channel(DATA);
    let writer = Writer { socket, control: control_receiver, data: data_receiver };
    (Outbox { control, data }, writer)
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    /// Writes until the session's side is gone and nothing waits.
    pub(super) async fn run(&mut self) -> anyhow::Result<()> {
        loop {
            // Both branches are cancel-safe; the writing is done after them.
            let mut frame = tokio::select! {
                biased;
                Some(frame) = self.control.recv() => frame,
                Some(frame) = self.data.recv() => frame,
                else => return Ok(()),
            };
            while let Ok(more) = self.control.try_recv() {
                // Whole frames only, in any order but within their kind.
                frame.extend(more);
            }
            failpoint::before(Act::MasterWrite);
            self.socket.write_all(&frame).await.context("write to the master")?;
            failpoint::after(Act::MasterWrite);
        }
    }

    /// Writes what still waits, as far as the peer takes it at once.
    pub(super) async fn finish(&mut self) {
        self.control.close();
        self.data.close();
        // A peer that does not take it learns the same from the next connection.
        drop(tokio::time::timeout(LAST_WORDS, self.run()).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn control_goes_before_data_that_waits_longer() {
        let mut written = Vec::new();
        let (outbox, mut writer) = pair(&mut written);
        outbox.data.send(b"data ".to_vec()).await.unwrap();
        for _ in 0..3 {
            outbox.control.send(b"control ".to_vec()).await.unwrap();
        }
        drop(outbox);
        writer.run().await.unwrap();
        assert_eq!(written, b"control control control data ");
    }

    #[tokio::test(start_paused = true)]
    async fn last_words_to_a_peer_that_does_not_read_take_a_moment_only() {
        let (near, _far) = tokio::io::duplex(4);
        let (outbox, mut writer) = pair(near);
        outbox.control.send(vec![0; 100]).await.unwrap();
        writer.finish().await;
    }
}
