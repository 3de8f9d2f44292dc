//! `wait ID…`: waits for the ends of requests and exits with the first that is not 0.

use proto::message::launch::{Ended, Follow, Position};

use super::complaint;
use crate::connection::{Connection, Trouble};
use crate::notice::Complaint;
use crate::pause::Pauses;
use crate::settings::Settings;

/// No build has so many commands: a follower there is sent no output.
const PAST_ALL_OUTPUT: Position = Position { part: u32::MAX, offset: 0 };

pub(crate) fn main(settings: &Settings, requests: &[String]) -> Result<u8, Complaint> {
    let mut code = 0;
    for request in requests {
        let ended = wait_for(settings, request)?;
        if code == 0 {
            code = ended.exit_code;
        }
    }
    Ok(code)
}

/// Waits over lost connections too, as a launcher does.
fn wait_for(settings: &Settings, request: &str) -> Result<Ended, Complaint> {
    let follow = Follow { request: request.to_owned(), position: PAST_ALL_OUTPUT };
    let mut pauses: Option<Pauses> = None;
    loop {
        let opened = Connection::open(&settings.master, settings.token.as_ref(), &follow);
        let ended = opened.and_then(|mut connection| {
            pauses = None;
            connection.receive()
        });
        let trouble = match ended {
            Ok(ended) => return Ok(ended),
            Err(trouble @ Trouble::Lost(_)) => trouble,
            Err(trouble @ Trouble::Unreachable(_)) if pauses.is_some() => trouble,
            Err(trouble) => return Err(complaint(&trouble, &settings.master)),
        };
        let now = std::time::Instant::now();
        match pauses.get_or_insert_with(|| Pauses::begin(now)).next(now) {
            Some(pause) => std::thread::sleep(pause),
            None => return Err(complaint(&trouble, &settings.master)),
        }
    }
}
