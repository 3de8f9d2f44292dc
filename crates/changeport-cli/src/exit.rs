//! Exit codes that are ours, not the app's. Source: `sysexits.h` and the shells' conventions.

use proto::message::hello::Refusal;

pub(crate) const BAD_REQUEST: u8 = 64;
pub(crate) const UNREACHABLE: u8 = 69;
pub(crate) const BUG: u8 = 70;
/// It may have run.
pub(crate) const UNKNOWN_OUTCOME: u8 = 74;
/// It provably never ran: safe to try again.
pub(crate) const NEVER_RAN: u8 = 75;
pub(crate) const VERSION: u8 = 76;
pub(crate) const NOT_ALLOWED: u8 = 77;
pub(crate) const CONFIG: u8 = 78;
pub(crate) const UNKNOWN_APP: u8 = 127;
pub(crate) const HUNG_UP: u8 = 129;
pub(crate) const LEFT: u8 = 130;
pub(crate) const BROKEN_PIPE: u8 = 141;
pub(crate) const TERMINATED: u8 = 143;

/// Returns the code for a refusal. One the master has and this client does not know is a bad
/// request: nothing was accepted.
pub(crate) fn of_refusal(refusal: &Refusal) -> u8 {
    match refusal.code.as_str() {
        "unknown_app" => UNKNOWN_APP,
        "would_queue" | "not_stored" | "too_many_connections" => NEVER_RAN,
        "not_allowed" | "unknown_token" => NOT_ALLOWED,
        "version" | "unknown_kind" => VERSION,
        "bug" => BUG,
        "wrong_port" | "no_change_source" => CONFIG,
        _ => BAD_REQUEST,
    }
}
