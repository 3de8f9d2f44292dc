//! What a command may write, shown on a terminal, as a target for a fuzzer.

use super::terminal::Disarmed;

/// No control character comes out but line breaks and tabs, wherever the text is cut.
///
/// The first byte is the size of the pieces.
pub fn terminal(input: &[u8]) {
    let Some((piece, bytes)) = input.split_first() else { return };
    let mut filter = Disarmed::new();
    for piece in bytes.chunks(usize::from(*piece).max(1)) {
        let shown = filter.text(piece);
        assert!(shown.chars().all(|c| matches!(c, '\n' | '\t') || !c.is_control()));
    }
    // What follows a line break is shown, whatever was open before.
    assert_eq!(filter.text(b"\nend"), "\nend");
}

#[cfg(test)]
mod tests {
    #[test]
    fn escapes_of_the_corpus() {
        corpus::replay("terminal", super::terminal);
    }
}
