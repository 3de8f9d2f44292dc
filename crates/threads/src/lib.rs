//! Threads for blocking work, in a daemon that may not be able to make more of them.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

/// Blocking work that takes longer may wait for a thread that could not be made.
const NUDGE: Duration = Duration::from_secs(1);
/// The runtime lets go of a thread that had nothing to do for ten seconds. Threads are asked in turn,
/// so of two one is let go.
const BEAT: Duration = Duration::from_secs(7);

/// Runs blocking work on a thread of its own; the error is a panic in it.
///
/// Where the system makes no more threads, the work waits for the one that `keep_one` keeps, or for
/// the next that can be made: one is asked for now and then.
///
/// # Errors
/// When the work panicked, or the runtime has ended.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    let mut job = on_a_thread(work);
    loop {
        match tokio::time::timeout(NUDGE, &mut job).await {
            Ok(done) => return done,
            Err(_late) => drop(on_a_thread(|| ())),
        }
    }
}

/// Keeps one thread for blocking work from now on, as long as what is returned runs. A runtime that
/// has none, and cannot make one, panics where it is asked for it.
pub fn keep_one(end: CancellationToken) -> impl Future<Output = ()> + Send + 'static {
    drop(on_a_thread(|| ()));
    async move {
        let mut beat = tokio::time::interval(BEAT);
        // Both branches are cancel-safe.
        while tokio::select! { _ = beat.tick() => true, () = end.cancelled() => false } {
            drop(on_a_thread(|| ()));
        }
    }
}

/// Makes sure that a thread can be made at all: a runtime without one has nothing to say.
///
/// # Errors
/// What the system says.
pub fn probe() -> io::Result<()> {
    let thread = std::thread::Builder::new().spawn(|| ())?;
    // It did nothing that could have gone wrong.
    thread.join().map_err(|_panic| io::Error::other("a thread panicked"))
}

#[expect(clippy::disallowed_methods, reason = "every other place asks for threads through here")]
fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    tokio::task::spawn_blocking(work)
}
