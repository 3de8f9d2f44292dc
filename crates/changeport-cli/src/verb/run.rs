//! `run APP`, `submit APP`, and every launcher.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::ffi::OsStringExt as _;

use proto::Bytes;
use proto::message::launch::{Launch, Wait};

use crate::follow::Run;
use crate::notice::{Complaint, Speaker};
use crate::settings::Settings;
use crate::signals::Signals;
use crate::status_file::{self, Ending};
use crate::{environment, exit, launch_id, size};

/// Launches an app and returns what to exit with.
pub(crate) fn launch(settings: &Settings, app: &str, arguments: Vec<OsString>) -> u8 {
    let mut speaker = Speaker::new(app, settings.is_quiet);
    let launch = match prepare(settings, app, arguments) {
        Ok(launch) => launch,
        Err(complaint) => return refuse(settings, &mut speaker, &complaint),
    };
    let signals = match Signals::catch() {
        Ok(signals) => signals,
        Err(error) => {
            let what = format!("catch signals: {error}");
            return refuse(settings, &mut speaker, &Complaint::new(exit::BUG, what, ""));
        }
    };
    let ending = Run::new(settings, &mut speaker, &launch, signals).follow();
    if launch.wait == Wait::Detach
        && let (0, Some(request)) = (ending.exit_code, &ending.request)
        && let Err(error) = writeln!(std::io::stdout(), "{request}")
    {
        speaker.say(&format!("accepted as {request}, and nobody reads it: {error}"));
    }
    note(settings, &mut speaker, &ending);
    ending.exit_code
}

fn prepare(settings: &Settings, app: &str, arguments: Vec<OsString>) -> Result<Launch, Complaint> {
    let bug = |what: String| Complaint::new(exit::BUG, what, "");
    let launch = Launch {
        launch_id: launch_id::draw().map_err(|error| bug(format!("draw a launch id: {error}")))?,
        app: app.to_owned(),
        args: arguments.into_iter().map(|argument| Bytes(argument.into_vec())).collect(),
        env: environment::offered(),
        cwd: Bytes(std::env::current_dir().unwrap_or_default().into_os_string().into_vec()),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        wait: settings.wait,
    };
    size::check(&launch)?;
    Ok(launch)
}

fn refuse(settings: &Settings, speaker: &mut Speaker, complaint: &Complaint) -> u8 {
    speaker.complain(complaint);
    let ending = Ending {
        origin: status_file::Origin::Launcher,
        request: None,
        result: None,
        exit_code: complaint.code,
        reason: complaint.what.clone(),
    };
    note(settings, speaker, &ending);
    complaint.code
}

fn note(settings: &Settings, speaker: &mut Speaker, ending: &Ending) {
    if let Some(path) = &settings.status_file
        && let Err(error) = status_file::write(path, ending)
    {
        speaker.say(&format!("write CHANGEPORT_STATUS {}: {error}", path.display()));
    }
}
