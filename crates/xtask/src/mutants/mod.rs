//! `cargo xtask mutants`: does the simulator see the bugs it is there for?
//!
//! All deliberate bugs are built into one copy of the engine, each behind a number that the
//! environment variable `MUTANT` switches on. The simulator has to pass without any and to fail
//! with each. A bug that nobody sees is a check that is missing.

mod list;
mod workshop;

use std::time::Instant;

use anyhow::bail;

use crate::say;
use list::MUTANTS;
use workshop::Workshop;

pub(crate) fn main() -> anyhow::Result<()> {
    let workshop = Workshop::build(MUTANTS)?;
    if workshop.is_seen(0)? {
        bail!("the simulator fails without any of the bugs");
    }
    let mut unseen = Vec::new();
    for (number, mutant) in (1u32..).zip(MUTANTS) {
        let begun = Instant::now();
        let is_seen = workshop.is_seen(number)?;
        let word = if is_seen { "seen" } else { "NOT SEEN" };
        let seconds = begun.elapsed().as_secs_f64();
        say(&format!("{number:>3} {word} after {seconds:.1} s: {} ({})", mutant.bug, mutant.file));
        if !is_seen {
            unseen.push(mutant.bug);
        }
    }
    if unseen.is_empty() {
        say(&format!("all {} bugs were seen", MUTANTS.len()));
        return Ok(());
    }
    bail!("nobody saw: {}", unseen.join("; "))
}
