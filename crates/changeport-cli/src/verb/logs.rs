//! `logs ID[/STEP]`: the output of a request, its channels kept apart.

use proto::Message as _;
use proto::message::launch::Output;
use proto::message::question::{LogEnded, LogWanted};

use super::complaint;
use crate::connection::{Connection, Trouble};
use crate::exit;
use crate::notice::Complaint;
use crate::output::{OwnWords, Printer};
use crate::settings::Settings;

pub(crate) fn main(settings: &Settings, id: &str, follow: bool) -> Result<u8, Complaint> {
    let (build, step) = id.split_once('/').unwrap_or((id, ""));
    let wanted = LogWanted {
        build: build.to_owned(),
        step: step.to_owned(),
        follow,
        first_line: 0,
        lines: 0,
    };
    let master = &settings.master;
    let mut connection = Connection::open(master, settings.token.as_ref(), &wanted)
        .map_err(|trouble| complaint(&trouble, master))?;
    print_all(&mut connection).map_err(|trouble| complaint(&trouble, master))
}

fn print_all(connection: &mut Connection) -> Result<u8, Trouble> {
    let mut printer = Printer::default();
    loop {
        let Some(frame) = connection.next()? else {
            connection.fill()?;
            continue;
        };
        match frame.kind {
            Output::KIND => {
                let output: Output = frame.open().map_err(Trouble::NotUnderstood)?;
                if printer.print(&output, OwnWords::Show).is_err() {
                    return Ok(exit::BROKEN_PIPE);
                }
            }
            LogEnded::KIND => return Ok(0),
            _ => frame.skip_unknown().map_err(Trouble::NotUnderstood)?,
        }
    }
}
