//! What `changeport` can be told to do, one verb a file.

pub(crate) mod logs;
pub(crate) mod run;
pub(crate) mod send;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod wait;

use proto::Message;

use crate::connection::{Connection, Trouble};
use crate::exit;
use crate::notice::Complaint;
use crate::settings::{Master, Settings};

/// Asks one question and waits for the answer.
fn ask<Q: Message, A: Message>(settings: &Settings, question: &Q) -> Result<A, Complaint> {
    Connection::open(&settings.master, settings.token.as_ref(), question)
        .and_then(|mut connection| connection.receive())
        .map_err(|trouble| complaint(&trouble, &settings.master))
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
