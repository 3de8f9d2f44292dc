//! Time as it arrives from the shell.

/// The moment an event is handled. Cron and people live on wall time, everything else on boot
/// time, which counts suspend and never jumps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// µs since 1970; may jump.
    pub wall_us: i64,
    /// µs since the machine booted; never goes back.
    pub boot_us: i64,
}
