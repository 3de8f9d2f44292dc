//! `master stop ID --give-up`, `master stop --worker NAME --give-up`

use std::io::Write as _;
use std::path::Path;

use proto::message::launch::{GiveUp, GivenUp};

use super::{connect, print, print_json};

pub(super) fn main(config: &Path, json: bool, wanted: &GiveUp) -> anyhow::Result<()> {
    let mut master = connect(config)?;
    let nothing = match wanted.worker.as_str() {
        "" => format!("{} had ended before", wanted.request),
        worker => format!("nothing runs on {worker}"),
    };
    master.send(wanted)?;
    let given_up: GivenUp = master.receive()?;
    if json {
        return print_json("given_up", &given_up.builds);
    }
    if given_up.builds.is_empty() {
        return print(|out| writeln!(out, "{nothing}"));
    }
    print(|out| {
        for build in &given_up.builds {
            match build.remains_on.as_str() {
                "" => writeln!(out, "{} has ended", build.request)?,
                worker => writeln!(
                    out,
                    "{} has ended; it may still run on {worker}, which is told to kill it and \
                     has that place free afterwards",
                    build.request
                )?,
            }
        }
        Ok(())
    })
}
