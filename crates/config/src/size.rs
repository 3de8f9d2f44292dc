//! Sizes with their units.

use crate::code::Code;
use crate::context::Context;
use crate::decode::Decode;
use crate::diagnostic::Diagnostic;
use crate::tree::{Node, NodeKind};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size {
    pub bytes: u64,
}

const UNITS: &[(&str, u64)] =
    &[("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// Reads `64KiB`, `128MiB`, `2GiB`, `1TiB`.
pub fn parse_size(text: &str) -> Option<Size> {
    let (number, unit) = UNITS
        .iter()
        .find_map(|(unit, bytes)| text.trim().strip_suffix(unit).map(|number| (number, *bytes)))?;
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| is_plain)?;
    let bytes = number.checked_mul(unit).filter(|bytes| i64::try_from(*bytes).is_ok())?;
    Some(Size { bytes })
}

impl Decode for Size {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let problem = Diagnostic::new(Code::BadSize, node.span, "expected a size")
            .help("sizes look like \"64KiB\", \"128MiB\", \"2GiB\"");
        let parsed = match &node.kind {
            NodeKind::Text(text) => parse_size(text),
            NodeKind::Integer(_)
            | NodeKind::Bool(_)
            | NodeKind::Float(_)
            | NodeKind::Array(_)
            | NodeKind::Table(_)
            | NodeKind::DateTime => None,
        };
        if parsed.is_none() {
            cx.report(problem);
        }
        parsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_carry_units() {
        let bytes = |text| parse_size(text).map(|size| size.bytes);
        assert_eq!(bytes("64KiB"), Some(65_536));
        assert_eq!(bytes("128MiB"), Some(134_217_728));
        assert_eq!(bytes("2GiB"), Some(2_147_483_648));
        for bad in ["", "5", "MiB", "-1MiB", "+1MiB", "1.5GiB", "5MB", "5 MiB", "99999999TiB"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }
}
