//! `run APP`, `submit APP`, and every launcher.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use proto::Bytes;
use proto::message::launch::{Launch, Wait};

use crate::follow::Run;
use crate::notice::{Complaint, Speaker};
use crate::settings::{Patience, Settings};
use crate::signals::Signals;
use crate::status_file::{self, Ending, Origin};
use crate::{environment, exit, launch_id, settings, size};

/// Launches an app as the environment says and returns what to exit with.
pub(crate) fn launch(app: &str, arguments: impl Iterator<Item = OsString>) -> u8 {
    match Settings::from_environment() {
        Ok(settings) => launch_with(&settings, app, arguments),
        Err(complaint) => {
            let mut speaker = Speaker::new(app, settings::is_quiet());
            refuse(settings::status_file().as_deref(), &mut speaker, &complaint)
        }
    }
}

/// Launches an app and returns what to exit with.
pub(crate) fn launch_with(
    settings: &Settings,
    app: &str,
    arguments: impl Iterator<Item = OsString>,
) -> u8 {
    let mut speaker = Speaker::new(app, settings.is_quiet);
    let status_file = settings.status_file.as_deref();
    let ready = prepare(settings, app, arguments).and_then(|launch| Ok((launch, catch_signals()?)));
    let (launch, signals) = match ready {
        Ok(ready) => ready,
        Err(complaint) => return refuse(status_file, &mut speaker, &complaint),
    };
    let wait = launch.wait;
    let ending = Run::new(settings, &mut speaker, launch, signals).follow();
    if wait == Wait::Detach
        && let (0, Some(request)) = (ending.exit_code, &ending.request)
        && let Err(error) = writeln!(std::io::stdout(), "{request}")
    {
        speaker.say(&format!("accepted as {request}, and nobody reads it: {error}"));
    }
    note(status_file, &mut speaker, &ending);
    ending.exit_code
}

fn catch_signals() -> Result<Signals, Complaint> {
    Signals::catch()
        .map_err(|error| Complaint::new(exit::BUG, format!("catch signals: {error}"), ""))
}

fn prepare(
    settings: &Settings,
    app: &str,
    arguments: impl Iterator<Item = OsString>,
) -> Result<Launch, Complaint> {
    let bug = |what: String| Complaint::new(exit::BUG, what, "");
    if !is_name(app) {
        let what = format!("there is no app `{app}`");
        let next = "names of apps are letters, digits, `.`, `_` and `-`, at most 64";
        return Err(Complaint::new(exit::UNKNOWN_APP, what, next));
    }
    let mut launch = Launch {
        launch_id: launch_id::draw().map_err(|error| bug(format!("draw a launch id: {error}")))?,
        app: app.to_owned(),
        args: arguments.map(|argument| Bytes(argument.into_vec())).collect(),
        env: Vec::new(),
        offered: environment::usual(),
        cwd: Bytes(std::env::current_dir().unwrap_or_default().into_os_string().into_vec()),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        wait: match settings.patience {
            Patience::Forever | Patience::AtMost(_) => Wait::Follow,
            Patience::None => Wait::StartNow,
            Patience::Detach => Wait::Detach,
        },
    };
    environment::fill(&mut launch);
    size::check(&launch)?;
    Ok(launch)
}

/// Says whether configurations could have this name: `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`.
fn is_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.len() <= 64
        && text.bytes().all(is_part)
        && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
}

/// Refuses a launch before anything is sent.
fn refuse(status_file: Option<&Path>, speaker: &mut Speaker, complaint: &Complaint) -> u8 {
    speaker.complain(complaint);
    let ending = Ending {
        origin: Origin::Launcher,
        request: None,
        result: None,
        exit_code: complaint.code,
        reason: complaint.what.clone(),
    };
    note(status_file, speaker, &ending);
    complaint.code
}

fn note(status_file: Option<&Path>, speaker: &mut Speaker, ending: &Ending) {
    if let Some(path) = status_file
        && let Err(error) = status_file::write(path, ending)
    {
        speaker.say(&format!("write CHANGEPORT_STATUS {}: {error}", path.display()));
    }
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn names_are_those_a_configuration_can_have() {
        for name in ["a", "7z", "ansys-2026.1_x", &"a".repeat(64)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "-a", ".a", "a b", "ä", "a/b", &"a".repeat(65)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
