//! What is executed: one arm per kind of program.

use std::os::unix::ffi::OsStrExt as _;

use proto::message::command::{Program, Start};

use super::workdir::Place;
use super::{OrderError, Workshop};

/// Returns the argument vector of an order.
pub(super) fn argv(
    start: &Start,
    workshop: &Workshop,
    place: &Place,
) -> Result<Vec<Vec<u8>>, OrderError> {
    let given = || start.argv.iter().map(|argument| argument.0.clone());
    match start.program {
        Program::Exec if start.argv.is_empty() => Err(OrderError::Empty),
        Program::Exec => Ok(given().collect()),
        Program::Script => script(start),
        Program::Git => {
            let mut argv = vec![workshop.program.as_os_str().as_bytes().to_vec()];
            argv.push(b"git-step".to_vec());
            argv.extend(given());
            argv.push(b"--kept".to_vec());
            argv.push(place.kept().into_os_string().into_encoded_bytes());
            if !workshop.repositories.allow_local {
                argv.push(b"--forbid-local".to_vec());
            }
            Ok(argv)
        }
        Program::Unknown => Err(OrderError::Program(start.program)),
    }
}

fn script(start: &Start) -> Result<Vec<Vec<u8>>, OrderError> {
    let [body] = start.argv.as_slice() else {
        return Err(OrderError::Script { count: start.argv.len() });
    };
    // `-c` takes the body as it stands even where it begins with a dash.
    let words = ["bash", "-euo", "pipefail", "-c", "--"];
    let mut argv: Vec<Vec<u8>> = words.map(|word| word.as_bytes().to_vec()).to_vec();
    argv.push(body.0.clone());
    Ok(argv)
}
