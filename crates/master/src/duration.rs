//! A length of time as people write it.

/// Shows a duration of µs in its two largest units.
pub(crate) fn duration(us: i64) -> String {
    let seconds = us / 1_000_000;
    match seconds {
        ..1 => format!("{} ms", us / 1_000),
        1..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
    }
}
