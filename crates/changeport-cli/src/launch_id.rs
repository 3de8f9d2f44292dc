//! Launch ids: `UUIDv7`, unique without asking anybody. Source: RFC 9562, section 5.7.

use crate::clock;

/// Draws an id.
///
/// # Errors
/// When the system has no random numbers.
pub(crate) fn draw() -> Result<String, getrandom::Error> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes)?;
    Ok(format(&bytes, clock::now_ms()))
}

/// Puts the time, the version and the variant over random bytes.
fn format(random: &[u8; 16], unix_ms: u64) -> String {
    let mut bytes = *random;
    bytes[..6].copy_from_slice(&unix_ms.to_be_bytes()[2..]);
    bytes[6] = 0x70 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_that_of_the_rfc() {
        assert_eq!(format(&[0xff; 16], 0x017f_22e2_79b0), "017f22e2-79b0-7fff-bfff-ffffffffffff");
    }

    #[test]
    fn two_ids_differ() {
        assert_ne!(draw().unwrap(), draw().unwrap());
    }
}
