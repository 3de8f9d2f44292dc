//! `master set-priority ID N`

use std::io::Write as _;
use std::path::Path;

use proto::message::launch::{PrioritySet, SetPriority};

use super::table::plain;
use super::{connect, print, print_json};

pub(super) fn main(
    config: &Path,
    json: bool,
    request: String,
    priority: i32,
) -> anyhow::Result<()> {
    let mut master = connect(config)?;
    master.send(&SetPriority { request, priority })?;
    let set: PrioritySet = master.receive()?;
    if json {
        return print_json("priority_set", &[set]);
    }
    let PrioritySet { request, detail, .. } = &set;
    if detail.is_empty() {
        return print(|out| writeln!(out, "{request} waits with priority {priority}"));
    }
    anyhow::bail!("{request} {}; its priority was not changed", plain(detail))
}
