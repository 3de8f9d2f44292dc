//! What `changeport` can be told to do, one verb a file.

pub(crate) mod logs;
pub(crate) mod run;
pub(crate) mod send;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod wait;

use std::io::Write as _;

use proto::Message;

use crate::connection::{Connection, Trouble};
use crate::exit;
use crate::notice::Complaint;
use crate::reconnect::insist;
use crate::settings::Settings;
use crate::socket::Master;

/// Asks one question and waits for the answer, over lost connections too: nothing that this
/// program asks does more when it is asked twice.
fn ask<Q: Message, A: Message>(settings: &Settings, question: &Q) -> Result<A, Complaint> {
    try_to_ask(settings, question).map_err(|trouble| complaint(&trouble, &settings.address.master))
}

fn try_to_ask<Q: Message, A: Message>(settings: &Settings, question: &Q) -> Result<A, Trouble> {
    insist(|_| Connection::open(&settings.address, question)?.receive())
}

/// Writes an answer to stdout.
fn print(text: &str) -> Result<u8, Complaint> {
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => Ok(0),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(exit::BROKEN_PIPE),
        Err(error) => {
            let what = format!("write to stdout: {error}");
            Err(Complaint::new(exit::UNKNOWN_OUTCOME, what, format!("it said: {text}")))
        }
    }
}

/// Says what a trouble means where nothing was under way.
pub(crate) fn complaint(trouble: &Trouble, master: &Master) -> Complaint {
    match trouble {
        Trouble::Unreachable(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            let what = format!("the master at {master} may not be called by this user");
            Complaint::new(exit::NOT_ALLOWED, what, "ask the administrator")
        }
        Trouble::Unreachable(error) => {
            let what = format!("the master at {master} cannot be reached ({error})");
            Complaint::new(exit::UNREACHABLE, what, "is it running? CHANGEPORT_MASTER says where")
        }
        Trouble::Lost(error) => Complaint::new(
            exit::UNREACHABLE,
            format!("the master at {master} did not answer ({error})"),
            "try again",
        ),
        Trouble::Refused(refusal) => {
            Complaint::new(exit::of_refusal(refusal), refusal.message.clone(), refusal.hint.clone())
        }
        Trouble::NotUnderstood(_) => {
            Complaint::new(exit::VERSION, trouble.to_string(), "upgrade the older side")
        }
        Trouble::TooLarge(_) => {
            Complaint::new(exit::BAD_REQUEST, trouble.to_string(), "pass less at once")
        }
    }
}
