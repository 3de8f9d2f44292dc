//! A socket whose first bytes, either way, are not waited for.
//!
//! The reactor knows what a fresh socket is ready for only once it has had its turn, and a crowd
//! can keep the turn away. What matters at the door is whether somebody has spoken, and that the
//! kernel knows at once: so it is asked itself until the first bytes went through.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpStream, UnixStream};

/// A socket, or half of one, that the kernel can be asked about.
pub trait HasDescriptor {
    fn descriptor(&self) -> BorrowedFd<'_>;
}

impl HasDescriptor for TcpStream {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}

impl HasDescriptor for UnixStream {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}

impl HasDescriptor for OwnedReadHalf {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.as_ref().as_fd()
    }
}

impl HasDescriptor for OwnedWriteHalf {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.as_ref().as_fd()
    }
}

/// A socket that neither waits to hear the first word nor to say it, where it need not.
#[derive(Debug)]
pub struct Prompt<S> {
    socket: S,
    heard: bool,
    spoken: bool,
}

impl<S> Prompt<S> {
    pub fn new(socket: S) -> Self {
        Self { socket, heard: false, spoken: false }
    }
}

impl<S: AsyncRead + HasDescriptor + Unpin> AsyncRead for Prompt<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // First, so that somebody is told should the kernel have nothing either.
        let polled = Pin::new(&mut self.socket).poll_read(context, buffer);
        if self.heard || polled.is_ready() {
            self.heard = true;
            return polled;
        }
        let read =
            recv(self.socket.descriptor(), buffer.initialize_unfilled(), RecvFlags::DONTWAIT);
        answered(read).map(|read| {
            self.heard = true;
            buffer.advance(read?.0);
            Ok(())
        })
    }
}

impl<S: AsyncWrite + HasDescriptor + Unpin> AsyncWrite for Prompt<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(context, bytes);
        if self.spoken || polled.is_ready() {
            self.spoken = true;
            return polled;
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let sent = answered(send(self.socket.descriptor(), bytes, flags));
        self.spoken = sent.is_ready();
        sent
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

fn answered<T>(outcome: rustix::io::Result<T>) -> Poll<io::Result<T>> {
    match outcome {
        Err(Errno::AGAIN | Errno::INTR) => Poll::Pending,
        other => Poll::Ready(other.map_err(io::Error::from)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream as Plain;

    use futures_util::FutureExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A fresh socket in a runtime whose reactor has had no turn, and its other end.
    fn fresh() -> (UnixStream, Plain) {
        let (ours, theirs) = Plain::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (UnixStream::from_std(ours).unwrap(), theirs)
    }

    #[tokio::test]
    async fn what_has_arrived_is_read_before_the_reactor_had_its_turn() {
        let (ours, mut theirs) = fresh();
        theirs.write_all(b"hello").unwrap();
        let (mut ours, mut buffer) = (Prompt::new(ours), [0; 8]);
        assert_eq!(ours.read(&mut buffer).now_or_never().unwrap().unwrap(), 5);
        assert_eq!(&buffer[..5], b"hello");
        theirs.write_all(b", you").unwrap();
        assert_eq!(ours.read(&mut buffer).await.unwrap(), 5);
        drop(theirs);
        assert_eq!(ours.read(&mut buffer).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_socket_waits_where_nothing_has_arrived() {
        let (ours, mut theirs) = fresh();
        let (mut ours, mut buffer) = (Prompt::new(ours), [0; 8]);
        assert!(ours.read(&mut buffer).now_or_never().is_none());
        let (read, ()) = tokio::join!(ours.read(&mut buffer), async {
            theirs.write_all(b"late").unwrap();
        });
        assert_eq!(read.unwrap(), 4);
    }

    #[tokio::test]
    async fn the_first_answer_is_written_at_once() {
        let (ours, mut theirs) = fresh();
        let mut ours = Prompt::new(ours);
        ours.write_all(b"welcome").now_or_never().unwrap().unwrap();
        let mut buffer = [0; 7];
        theirs.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"welcome");
    }

    #[tokio::test]
    async fn an_end_is_heard_at_once() {
        let (ours, theirs) = fresh();
        drop(theirs);
        let (mut ours, mut buffer) = (Prompt::new(ours), [0; 8]);
        assert_eq!(ours.read(&mut buffer).now_or_never().unwrap().unwrap(), 0);
    }
}
