//! `master why ID`

use std::io::Write as _;
use std::path::Path;

use proto::message::question::{Reason, Why, WhyWanted};

use super::table::plain;
use super::{connect, print, print_json};

pub(super) fn main(config: &Path, json: bool, request: String) -> anyhow::Result<()> {
    let mut master = connect(config)?;
    master.send(&WhyWanted { request })?;
    let why: Why = master.receive()?;
    if json {
        return print_json("why", &[why]);
    }
    print(|out| {
        writeln!(out, "{} {}", why.request, plain(&why.headline))?;
        for reason in &why.reasons {
            let mark = if reason.is_met { '✓' } else { unmet(reason) };
            writeln!(out, "  {mark} {}  {}", plain(&reason.what), plain(&reason.detail))?;
        }
        Ok(())
    })
}

/// Marks a step by its result, which stands first, as `master builds` does; anything else is a
/// condition that does not hold.
fn unmet(reason: &Reason) -> char {
    let result = reason.detail.split(' ').next().filter(|_| reason.what.starts_with("step "));
    match result {
        Some("SKIPPED") => '–',
        Some("WARNINGS") => '!',
        Some(_) | None => '✗',
    }
}
