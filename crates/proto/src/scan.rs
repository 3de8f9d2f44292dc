//! Looks over a MessagePack body before serde sees it: depth, item count, lengths.
//!
//! Iterative on purpose. A decoder that recurses can be killed by one byte per level, so the
//! shape is proved harmless first. Format: <https://github.com/msgpack/msgpack/blob/master/spec.md>.

use crate::limits;

/// Why a body was refused before decoding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    #[error("nested deeper than {} levels", limits::DEPTH)]
    TooDeep,
    #[error("more than {} values", limits::ITEMS)]
    TooMany,
    #[error("cut short")]
    Truncated,
    #[error("bytes after the end")]
    Trailing,
    #[error("the reserved byte 0xc1")]
    Reserved,
}

/// What one header says about what follows it.
enum Item {
    Scalar { skip: usize },
    Container { values: usize },
}

/// Proves that `body` is exactly one MessagePack value within the limits.
pub(crate) fn check(body: &[u8]) -> Result<(), ScanError> {
    let mut open: Vec<usize> = vec![1];
    let mut items = 0usize;
    let mut at = 0usize;
    loop {
        while open.last() == Some(&0) {
            open.pop();
        }
        let Some(left) = open.last_mut() else { break };
        *left -= 1;
        items += 1;
        if items > limits::ITEMS {
            return Err(ScanError::TooMany);
        }
        let (item, header) = read_item(&body[at..])?;
        at += header;
        match item {
            Item::Scalar { skip } => {
                at = at
                    .checked_add(skip)
                    .filter(|end| *end <= body.len())
                    .ok_or(ScanError::Truncated)?;
            }
            Item::Container { values } => {
                if values > limits::ITEMS {
                    return Err(ScanError::TooMany);
                }
                if open.len() > limits::DEPTH {
                    return Err(ScanError::TooDeep);
                }
                open.push(values);
            }
        }
    }
    if at == body.len() { Ok(()) } else { Err(ScanError::Trailing) }
}

fn read_item(rest: &[u8]) -> Result<(Item, usize), ScanError> {
    let first = *rest.first().ok_or(ScanError::Truncated)?;
    let scalar = |skip: usize| Ok((Item::Scalar { skip }, 1));
    match first {
        0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => scalar(0),
        0x80..=0x8f => Ok((Item::Container { values: 2 * usize::from(first & 0x0f) }, 1)),
        0x90..=0x9f => Ok((Item::Container { values: usize::from(first & 0x0f) }, 1)),
        0xa0..=0xbf => scalar(usize::from(first & 0x1f)),
        0xc1 => Err(ScanError::Reserved),
        0xc4 | 0xd9 => sized(rest, 1, 0),
        0xc5 | 0xda => sized(rest, 2, 0),
        0xc6 | 0xdb => sized(rest, 4, 0),
        0xc7 => sized(rest, 1, 1),
        0xc8 => sized(rest, 2, 1),
        0xc9 => sized(rest, 4, 1),
        0xcc | 0xd0 => scalar(1),
        0xcd | 0xd1 => scalar(2),
        0xca | 0xce | 0xd2 => scalar(4),
        0xcb | 0xcf | 0xd3 => scalar(8),
        0xd4 => scalar(2),
        0xd5 => scalar(3),
        0xd6 => scalar(5),
        0xd7 => scalar(9),
        0xd8 => scalar(17),
        0xdc => counted(rest, 2, 1),
        0xdd => counted(rest, 4, 1),
        0xde => counted(rest, 2, 2),
        0xdf => counted(rest, 4, 2),
    }
}

fn sized(rest: &[u8], width: usize, extra: usize) -> Result<(Item, usize), ScanError> {
    let size = big_endian(rest, width)?;
    Ok((Item::Scalar { skip: size + extra }, 1 + width))
}

fn counted(rest: &[u8], width: usize, per_entry: usize) -> Result<(Item, usize), ScanError> {
    let values = big_endian(rest, width)?.saturating_mul(per_entry);
    Ok((Item::Container { values }, 1 + width))
}

fn big_endian(rest: &[u8], width: usize) -> Result<usize, ScanError> {
    let digits = rest.get(1..=width).ok_or(ScanError::Truncated)?;
    Ok(digits.iter().fold(0usize, |value, byte| (value << 8) | usize::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_bombs_are_refused_without_recursion() {
        assert_eq!(check(&vec![0x91; 1_000_000]), Err(ScanError::TooDeep));
        assert_eq!(check(&vec![0x81; 1_000_000]), Err(ScanError::TooDeep));
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        assert_eq!(check(&[0xdd, 0xff, 0xff, 0xff, 0xff]), Err(ScanError::TooMany));
        assert_eq!(check(&[0xc6, 0xff, 0xff, 0xff, 0xff]), Err(ScanError::Truncated));
        assert_eq!(check(&[]), Err(ScanError::Truncated));
        assert_eq!(check(&[0xc1]), Err(ScanError::Reserved));
        assert_eq!(check(&[0xc0, 0xc0]), Err(ScanError::Trailing));
    }

    #[test]
    fn ordinary_bodies_pass() {
        let body = rmp_serde::to_vec_named(&vec![("a", 1), ("b", -70_000)]).unwrap();
        assert_eq!(check(&body), Ok(()));
    }
}
