//! Refuses what is too large before anything is queued, naming the limit.

use proto::limits;
use proto::message::launch::Launch;

use crate::exit;
use crate::notice::Complaint;

/// A launch has a few values of its own, and each variable is a name, a value and their map.
const OTHER_VALUES: usize = 64;
const VALUES_OF_A_VARIABLE: usize = 5;

/// Checks arguments and environment of a launch.
pub(crate) fn check(launch: &Launch) -> Result<(), Complaint> {
    for (at, argument) in launch.args.iter().enumerate() {
        check_value(&format!("argument {}", at + 1), argument.0.len())?;
    }
    for variable in &launch.env {
        check_value(&format!("variable {}", variable.name.lossy()), variable.value.0.len())?;
    }
    let arguments: usize = launch.args.iter().map(|argument| argument.0.len() + 1).sum();
    let variables: usize =
        launch.env.iter().map(|variable| variable.name.0.len() + variable.value.0.len() + 2).sum();
    let (total, limit) = (arguments + variables, limits::COMMAND_BYTES);
    if total > limit {
        return too_large(format!(
            "arguments and environment of {total} bytes are over the limit of {limit} bytes"
        ));
    }
    let values = launch.args.len() + launch.env.len() * VALUES_OF_A_VARIABLE + OTHER_VALUES;
    if values > limits::ITEMS {
        let (count, limit) = (launch.args.len(), limits::ITEMS);
        return too_large(format!("{count} arguments are over the limit of about {limit}"));
    }
    Ok(())
}

fn check_value(what: &str, size_bytes: usize) -> Result<(), Complaint> {
    if size_bytes <= limits::VALUE_BYTES {
        return Ok(());
    }
    let limit = limits::VALUE_BYTES;
    too_large(format!("{what} of {size_bytes} bytes is over the limit of {limit} bytes"))
}

fn too_large(what: String) -> Result<(), Complaint> {
    Err(Complaint::new(exit::BAD_REQUEST, what, "pass it in a file"))
}

#[cfg(test)]
mod tests {
    use proto::Bytes;
    use proto::message::command::Variable;
    use proto::message::launch::Wait;

    use super::*;

    fn launch(args: Vec<Bytes>, env: Vec<Variable>) -> Launch {
        let (launch_id, app, host) = ("id".to_owned(), "hello".to_owned(), "host".to_owned());
        let (offered, cwd, wait) = (Vec::new(), Bytes::default(), Wait::Follow);
        Launch { launch_id, app, args, env, offered, cwd, host, wait }
    }

    fn refusal(args: Vec<Bytes>, env: Vec<Variable>) -> String {
        let complaint = check(&launch(args, env)).expect_err("too large");
        assert_eq!(complaint.code, exit::BAD_REQUEST);
        complaint.what
    }

    fn bytes(count: usize) -> Bytes {
        Bytes(vec![b'x'; count])
    }

    #[test]
    fn what_just_fits_is_taken() {
        let quarter = bytes(limits::VALUE_BYTES - 1);
        assert_eq!(check(&launch(vec![quarter; 4], Vec::new())), Ok(()));
        assert_eq!(check(&launch(vec![bytes(limits::VALUE_BYTES)], Vec::new())), Ok(()));
    }

    #[test]
    fn each_limit_is_named() {
        let large = limits::VALUE_BYTES + 1;
        let what = refusal(vec![bytes(1), bytes(large)], Vec::new());
        assert_eq!(what, "argument 2 of 131073 bytes is over the limit of 131072 bytes");
        let variable = Variable { name: "LC_ALL".into(), value: bytes(large) };
        let what = refusal(Vec::new(), vec![variable]);
        assert_eq!(what, "variable LC_ALL of 131073 bytes is over the limit of 131072 bytes");
        let what = refusal(vec![bytes(limits::VALUE_BYTES); 4], Vec::new());
        let total = "arguments and environment of 524292 bytes are over the limit of 524288 bytes";
        assert_eq!(what, total);
        let what = refusal(vec![Bytes::default(); limits::ITEMS], Vec::new());
        assert_eq!(what, "131072 arguments are over the limit of about 131072");
    }
}
