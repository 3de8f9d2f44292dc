//! Removes working directories while too little is free on their disk.

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Workdirs;
use crate::tasks::blocking;

/// Nobody tells when a disk fills.
const GLANCE: Duration = Duration::from_secs(5);

/// Keeps room free until the daemon ends.
pub(crate) async fn run(workdirs: Arc<Workdirs>, end: CancellationToken) {
    if workdirs.policy.keep_free_bytes == 0 {
        return;
    }
    let mut was_short = false;
    loop {
        let (dirs, cancelled) = (workdirs.clone(), end.clone());
        let is_short = blocking(move || pass(&dirs, &cancelled)).await.unwrap_or_else(|error| {
            warn!("make room for working directories: {error}");
            true
        });
        if is_short && !was_short {
            let bytes = workdirs.policy.keep_free_bytes;
            warn!("less than {bytes} bytes are free, and no working directory may go: keep_free");
        }
        was_short = is_short;
        // All branches are cancel-safe.
        tokio::select! {
            () = workdirs.entered.notified() => {}
            () = tokio::time::sleep(GLANCE) => {}
            () = end.cancelled() => return,
        }
    }
}

/// Removes what may go until enough is free; says whether it still is not.
fn pass(workdirs: &Workdirs, end: &CancellationToken) -> io::Result<bool> {
    loop {
        for path in workdirs.trash()? {
            fs::remove_dir_all(path)?;
        }
        if !workdirs.is_short()? {
            return Ok(false);
        }
        if end.is_cancelled() {
            return Ok(true);
        }
        let Some(path) = workdirs.take_away_oldest()? else { return Ok(true) };
        info!("less is free than keep_free: {} goes", path.display());
    }
}
