//! `logs ID[/STEP]`: the output of a request, its channels kept apart.

use std::io;
use std::time::{Duration, Instant};

use proto::Message as _;
use proto::message::launch::Output;
use proto::message::question::{LogEnded, LogWanted};
use rustix::event::{PollFd, PollFlags};

use super::complaint;
use crate::connection::{Connection, Trouble};
use crate::notice::Complaint;
use crate::output::{OutputError, OwnWords, Printer};
use crate::reconnect::insist;
use crate::settings::Settings;
use crate::{OWN_NAME, exit, poll};

const LONG: Duration = Duration::from_secs(3_600);

/// How printing a log came to an end.
enum End {
    Whole,
    NotWritten(io::Error),
    Broken(OutputError),
}

pub(crate) fn main(settings: &Settings, id: &str, follow: bool) -> Result<u8, Complaint> {
    let (build, step) = id.split_once('/').unwrap_or((id, ""));
    let wanted = LogWanted { build: build.to_owned(), step: step.to_owned(), follow, range: None };
    let mut printer = Printer::new(OwnWords::Under(OWN_NAME.to_owned()));
    // Asked again, the master begins anew; the printer leaves out what it has seen.
    let end = insist(|pauses| {
        let mut connection = Connection::open(&settings.address, &wanted)?;
        let end = print_all(&mut connection, &mut printer);
        if let Some(lasted) = connection.lasted(Instant::now()) {
            pauses.connected(lasted);
        }
        end
    });
    match end.map_err(|trouble| complaint(&trouble, &settings.address.master))? {
        End::Whole => Ok(0),
        End::NotWritten(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            Ok(exit::BROKEN_PIPE)
        }
        End::NotWritten(error) => {
            let what = format!("write the log: {error}");
            Err(Complaint::new(exit::UNKNOWN_OUTCOME, what, "make room and ask again"))
        }
        End::Broken(error) => {
            Err(Complaint::new(exit::BUG, error.to_string(), "please report this"))
        }
    }
}

fn print_all(connection: &mut Connection, printer: &mut Printer) -> Result<End, Trouble> {
    loop {
        let frame = connection.wait_frame()?;
        match frame.kind {
            Output::KIND => {
                if let Err(error) = printer.take(&frame.open()?) {
                    return Ok(End::Broken(error));
                }
                if let Err(error) = write_all(printer) {
                    return Ok(End::NotWritten(error));
                }
                connection.did_not_listen(Instant::now());
            }
            LogEnded::KIND => return Ok(End::Whole),
            _ => frame.skip_unknown()?,
        }
    }
}

fn write_all(printer: &mut Printer) -> io::Result<()> {
    while let Some(fd) = printer.waits_for() {
        let mut sources = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
        poll::wait_until(&mut sources, Instant::now() + LONG)?;
        if !sources[0].revents().is_empty() {
            printer.write_some()?;
        }
    }
    Ok(())
}
