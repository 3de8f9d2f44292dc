//! `wait ID…`: waits for the ends of requests and exits with the first code that is not 0.

use std::time::Instant;

use proto::message::launch::{Ended, Follow, Position};

use super::complaint;
use crate::connection::{Connection, Trouble};
use crate::notice::{Complaint, Speaker};
use crate::reconnect::{Pauses, insist};
use crate::settings::Settings;
use crate::{OWN_NAME, exit};

/// No build has so many commands: a follower there is sent no output.
const PAST_ALL_OUTPUT: Position = Position { part: u32::MAX, offset: 0 };

pub(crate) fn main(settings: &Settings, requests: &[String]) -> Result<u8, Complaint> {
    let mut speaker = Speaker::new(OWN_NAME, settings.is_quiet);
    let mut code = 0;
    for request in requests {
        let ended = wait_for(settings, request)?;
        if !ended.reason.is_empty() {
            speaker.say(&format!("{request}: {}", ended.reason));
        }
        if code == 0 {
            code = ended.exit_code;
        }
    }
    Ok(code)
}

fn wait_for(settings: &Settings, request: &str) -> Result<Ended, Complaint> {
    let follow = Follow { request: request.to_owned(), position: PAST_ALL_OUTPUT };
    let ended = insist(|pauses| {
        let mut connection = Connection::open(&settings.address, &follow)?;
        receive(&mut connection, pauses)
    });
    ended.map_err(|trouble| match trouble {
        Trouble::Lost(error) => {
            let what = format!("the master has not answered for a minute ({error})");
            let next = format!("{request} may still run; later: changeport wait {request}");
            Complaint::new(exit::UNREACHABLE, what, next)
        }
        Trouble::Unreachable(_)
        | Trouble::Refused(_)
        | Trouble::NotUnderstood(_)
        | Trouble::TooLarge(_) => complaint(&trouble, &settings.address.master),
    })
}

fn receive(connection: &mut Connection, pauses: &mut Pauses) -> Result<Ended, Trouble> {
    let ended = connection.receive();
    if let Some(lasted) = connection.lasted(Instant::now()) {
        pauses.connected(lasted);
    }
    ended
}
