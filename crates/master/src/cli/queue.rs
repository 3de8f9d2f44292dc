//! `master queue`

use std::path::Path;

use proto::message::question::{Queue, QueueWanted};

use super::table::{duration, plain};
use super::{connect, print, print_json, table};

pub(super) fn main(config: &Path, json: bool) -> anyhow::Result<()> {
    let mut master = connect(config)?;
    master.send(&QueueWanted {})?;
    let Queue { requests } = master.receive()?;
    if json {
        return print_json("request", &requests);
    }
    let now = crate::clock::wall_us();
    let row = |line: &proto::message::question::QueueLine| {
        vec![
            if line.place == 0 { "–".to_owned() } else { line.place.to_string() },
            line.request.clone(),
            plain(&line.owner),
            line.priority.to_string(),
            duration(now - line.submitted_us),
            plain(&line.blocked_by),
        ]
    };
    let rows: Vec<Vec<String>> = requests.iter().map(row).collect();
    print(|out| {
        table::write(out, &["PLACE", "REQUEST", "OWNER", "PRIORITY", "WAITED", "WAITS FOR"], &rows)
    })
}
