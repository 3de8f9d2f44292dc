//! What this machine has to end and limit commands by, in words.

use shim::{Home, Version};
use tracing::{info, warn};

use crate::settings::LimitPolicy;

/// Returns the fact that masters are told.
pub(super) fn word(home: Option<&Home>) -> &'static str {
    match home.map(Home::version) {
        Some(Version::V2) => "v2",
        Some(Version::V1) => "v1",
        None => "none",
    }
}

/// Says what there is, with what can be limited.
pub(super) fn words(home: Option<&Home>) -> String {
    let can = [
        ("processes", home.is_some_and(Home::can_limit_processes)),
        ("memory", home.is_some_and(Home::can_limit_memory)),
    ];
    let list: Vec<&str> = can.iter().filter(|(_, can)| *can).map(|(word, _)| *word).collect();
    let limits = if list.is_empty() {
        "limits nothing".to_owned()
    } else {
        format!("limits {}", list.join(" and "))
    };
    format!("{}; {limits}", word(home))
}

/// Says it once in the log of the daemon, with what follows from it.
pub(super) fn tell(home: Option<&Home>, policy: LimitPolicy) {
    if home.is_none() {
        warn!(
            "control groups: none; what a command leaves behind is found among the descendants \
             of its supervisor, and nothing is limited"
        );
    } else {
        info!("control groups: {}", words(home));
    }
    let is_unkept = !home.is_some_and(Home::can_limit_processes)
        || (policy.memory.granted(None).is_some() && !home.is_some_and(Home::can_limit_memory));
    if policy.is_wanted && is_unkept {
        warn!("not every limit of worker.toml can be kept: control groups: {}", words(home));
    }
}
