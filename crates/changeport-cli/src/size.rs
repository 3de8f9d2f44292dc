//! Refuses what is too large before anything is queued, naming the limit.

use proto::limits;
use proto::message::launch::Launch;

use crate::exit;
use crate::notice::Complaint;

/// Checks arguments and environment of a launch.
pub(crate) fn check(launch: &Launch) -> Result<(), Complaint> {
    let too_large =
        |what: String| Err(Complaint::new(exit::BAD_REQUEST, what, "pass it in a file"));
    let values = launch.args.iter().chain(launch.env.iter().map(|variable| &variable.value));
    let largest = values.map(|value| value.0.len()).max().unwrap_or(0);
    if largest > limits::VALUE_BYTES {
        let limit = limits::VALUE_BYTES;
        return too_large(format!("an argument of {largest} bytes is over the limit of {limit}"));
    }
    let arguments: usize = launch.args.iter().map(|argument| argument.0.len() + 1).sum();
    let variables: usize =
        launch.env.iter().map(|variable| variable.name.0.len() + variable.value.0.len() + 2).sum();
    let (total, limit) = (arguments + variables, limits::COMMAND_BYTES);
    if total > limit {
        return too_large(format!(
            "arguments and environment of {total} bytes are over the limit of {limit}"
        ));
    }
    Ok(())
}
