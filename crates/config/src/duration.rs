//! Durations with their units.

use std::time::Duration;

/// No duration in a configuration is longer than ten years; sums of them never overflow.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 86_400);

/// Reads `250ms`, `90s`, `20m`, `8h`, `3d`, or several joined as in `1h30m`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit_ms = match &rest[..unit_end] {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(number.checked_mul(unit_ms)?))?;
        rest = &rest[unit_end..];
    }
    (total <= LONGEST).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_units() {
        let millis = |text| parse_duration(text).map(|d| d.as_millis());
        assert_eq!(millis("250ms"), Some(250));
        assert_eq!(millis("90s"), Some(90_000));
        assert_eq!(millis("1h30m"), Some(5_400_000));
        assert_eq!(millis("3d"), Some(259_200_000));
        for bad in ["", "20", "s", "-1s", "1.5h", "99999999999d", "5 m", "1x"] {
            assert_eq!(millis(bad), None, "{bad}");
        }
    }
}
