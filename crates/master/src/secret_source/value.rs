//! From what was read to the value of a secret.

use secret::{LEAST_BYTES, MOST_BYTES, Secret, Zeroizing};

/// What was read is no value of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadValue {
    #[error("it is shorter than {LEAST_BYTES} bytes, which could not be hidden in an output")]
    Short,
    #[error("it is longer than {MOST_BYTES} bytes")]
    Long,
    #[error("it holds a NUL byte, which no environment can hold")]
    Nul,
}

/// Enough to see that something is too long, with the end of its line.
pub(super) const READ_BYTES: usize = MOST_BYTES + 2;

/// Makes room for all that is read: a buffer that grows leaves copies behind.
pub(super) fn buffer() -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(READ_BYTES + 32))
}

/// Takes the value out of what was read; the end of its last line is none of it.
pub(super) fn value(read: &[u8]) -> Result<Secret, BadValue> {
    let value = read.strip_suffix(b"\n").unwrap_or(read);
    match value.len() {
        0..LEAST_BYTES => Err(BadValue::Short),
        _ if value.len() > MOST_BYTES => Err(BadValue::Long),
        _ if value.contains(&0) => Err(BadValue::Nul),
        _ => Ok(Secret::new(value.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_end_of_a_line_goes_and_the_rest_is_the_value() {
        let bytes = |read: &[u8]| value(read).map(|secret| secret.expose().to_vec());
        assert_eq!(bytes(b"hunter2\n"), Ok(b"hunter2".to_vec()));
        assert_eq!(bytes(b"hunter2\n\n"), Ok(b"hunter2\n".to_vec()));
        assert_eq!(bytes(b" hunter \xff"), Ok(b" hunter \xff".to_vec()));
        for (read, bad) in [
            (&b"12345\n"[..], BadValue::Short),
            (b"", BadValue::Short),
            (b"\n", BadValue::Short),
            (b"hunt\0er", BadValue::Nul),
            (&[b'x'; MOST_BYTES + 1], BadValue::Long),
        ] {
            assert_eq!(bytes(read), Err(bad));
        }
        assert!(value(&[b'x'; MOST_BYTES]).is_ok() && value(b"123456").is_ok());
        let mut longest = vec![b'x'; MOST_BYTES];
        longest.push(b'\n');
        assert!(value(&longest).is_ok());
    }
}
