//! W0: what this machine can do at this hour, to compare the other figures with: one process that
//! does nothing, started and waited for, and one small append that is synced.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Instant;

use anyhow::Context as _;

use super::figure::{Figure, Metric};
use super::yard::{Bench, Yard};

/// About what a row is.
const APPENDED: [u8; 200] = [b'x'; 200];

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let yard = Yard::new(bench, 1)?;
    let processes = yard.run((bench.times(500, 50), 1), &["true"])?;
    let processes = processes.iter().map(|ran| ran.wall_ms()).collect();
    let path = yard.path("appended");
    let file = OpenOptions::new().append(true).create(true).open(&path);
    let mut file = file.with_context(|| format!("make {}", path.display()))?;
    let mut sync = || -> anyhow::Result<f64> {
        let begun = Instant::now();
        file.write_all(&APPENDED).and_then(|()| file.sync_data()).context("append and sync")?;
        Ok(begun.elapsed().as_secs_f64() * 1e3)
    };
    let syncs: anyhow::Result<Vec<f64>> = (0..bench.times(500, 50)).map(|_| sync()).collect();
    Ok(vec![
        Figure::new("process=true", Metric::WallMs, processes),
        Figure::new("append+fdatasync", Metric::WallMs, syncs?),
    ])
}
