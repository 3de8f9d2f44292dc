//! Called by an app's name: everything after it belongs to the app, byte for byte.

use std::ffi::{OsStr, OsString};

use crate::exit;
use crate::notice::{Complaint, Speaker};
use crate::settings::Settings;
use crate::verb::run;

pub(crate) fn main(name: &OsStr, arguments: impl Iterator<Item = OsString>) -> u8 {
    let Some(app) = name.to_str() else {
        let what = format!("there is no app `{}`", name.to_string_lossy());
        let complaint = Complaint::new(exit::UNKNOWN_APP, what, "names of apps are plain ASCII");
        Speaker::new(OsStr::to_string_lossy(name).as_ref(), false).complain(&complaint);
        return complaint.code;
    };
    match Settings::from_environment() {
        Ok(settings) => run::launch(&settings, app, arguments.collect()),
        Err(complaint) => {
            Speaker::new(app, false).complain(&complaint);
            complaint.code
        }
    }
}
