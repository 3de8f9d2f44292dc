//! The numbers of all message types. A new message takes the next free number of its block and
//! one line here; numbers are never reused.

/// Declares the numbers and their names together, so that errors can name what came.
macro_rules! kinds {
    ($($name:ident = $number:literal, $text:literal;)+) => {
        $(#[doc = concat!("The kind of `", $text, "`.")] pub const $name: u16 = $number;)+

        /// Every kind with its name, in order of the numbers.
        pub const ALL: &[(u16, &str)] = &[$(($number, $text)),+];

        /// Returns the name of a kind for messages to people.
        pub fn name(kind: u16) -> &'static str {
            ALL.iter().find(|(number, _)| *number == kind).map_or("unknown", |(_, name)| name)
        }
    };
}

kinds! {
    HELLO = 1, "hello";
    WELCOME = 2, "welcome";
    REFUSAL = 3, "refusal";
    PING = 4, "ping";
    PONG = 5, "pong";

    ATTACH = 20, "attach";
    ATTACHED = 21, "attached";
    START = 22, "start";
    STOP = 23, "stop";
    FINAL_ACK = 24, "final_ack";
    REPORT = 25, "report";
    AVAILABILITY = 26, "availability";
    BUILDS_LEFT = 27, "builds_left";
    LEFT_PROPERTIES = 28, "left_properties";
    PROBED = 29, "probed";

    STREAM_OPEN = 40, "stream_open";
    STREAM_DATA = 41, "stream_data";
    STREAM_CREDIT = 42, "stream_credit";

    LAUNCH = 60, "launch";
    SEND = 61, "send";
    ACCEPTED = 62, "accepted";
    FOLLOW = 63, "follow";
    PROGRESS = 64, "progress";
    OUTPUT = 65, "output";
    ENDED = 66, "ended";
    CANCEL = 67, "cancel";
    CANCELLED = 68, "cancelled";
    LEAVE = 69, "leave";
    ENV_WANTED = 70, "env_wanted";
    GIVE_UP = 71, "give_up";
    GIVEN_UP = 72, "given_up";
    SET_PRIORITY = 73, "set_priority";
    PRIORITY_SET = 74, "priority_set";

    BUILDS_WANTED = 80, "builds_wanted";
    BUILDS = 81, "builds";
    QUEUE_WANTED = 82, "queue_wanted";
    QUEUE = 83, "queue";
    WHY_WANTED = 84, "why_wanted";
    WHY = 85, "why";
    LOG_WANTED = 86, "log_wanted";
    LOG_ENDED = 87, "log_ended";
    STATUS_WANTED = 88, "status_wanted";
    STATUS = 89, "status";
    REQUEST_WANTED = 90, "request_wanted";
    REQUEST = 91, "request";
    REQUESTS_WANTED = 92, "requests_wanted";
    REQUESTS = 93, "requests";
    LOCKS_WANTED = 94, "locks_wanted";
    LOCKS = 95, "locks";

    CONFIG_PART = 100, "config_part";
    PLAN_WANTED = 101, "plan_wanted";
    PLAN = 102, "plan";
    RELOAD_WANTED = 103, "reload_wanted";
    RELOADED = 104, "reloaded";
    BAD_CONFIG = 105, "bad_config";
    REVISION_WANTED = 106, "revision_wanted";
    REVISION = 107, "revision";
}
