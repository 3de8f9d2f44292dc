//! Makes output of commands harmless for a terminal: no byte of a log can move its cursor, set
//! its title or answer in its user's name.

/// Where in the text a filter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Text,
    /// After ESC.
    Escape,
    /// In a control sequence, such as a colour.
    Sequence,
    /// In a string for the terminal, such as a title.
    String,
}

/// A filter for one stream; a sequence may begin in one piece and end in the next.
#[derive(Debug)]
pub(super) struct Disarmed {
    state: State,
}

impl Disarmed {
    pub(super) fn new() -> Self {
        Self { state: State::Text }
    }

    /// Returns the text of a piece: line breaks and tabs, and no other control characters.
    pub(super) fn text(&mut self, piece: &[u8]) -> String {
        let text = String::from_utf8_lossy(piece);
        text.chars().filter(|character| self.keeps(*character)).collect()
    }

    fn keeps(&mut self, character: char) -> bool {
        // A string without an end must not hide the rest of the log.
        if character == '\n' {
            self.state = State::Text;
            return true;
        }
        let keeps = self.state == State::Text && (character == '\t' || !character.is_control());
        self.state = self.after(character);
        keeps
    }

    fn after(&self, character: char) -> State {
        match (self.state, character) {
            (_, '\u{1b}') => State::Escape,
            (State::Text | State::Sequence, '\u{9b}') | (State::Escape, '[') => State::Sequence,
            (State::Escape, ']' | 'P' | 'X' | '^' | '_')
            | (State::Text | State::Sequence, '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}') => {
                State::String
            }
            (State::Escape, ' '..='/') => State::Escape,
            (State::Sequence, ' '..='?') => State::Sequence,
            (State::String, '\u{7}' | '\u{9c}') => State::Text,
            (State::String, _) => State::String,
            (State::Text | State::Escape | State::Sequence, _) => State::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn colours_titles_and_cursors_leave_nothing_behind() {
        for (bytes, shown) in [
            (&b"a\x1b[31mred\x1b[0m\tb\n"[..], "ared\tb\n"),
            (b"a\x1b]0;title\x07b\x1b]8;;x\x1b\\c", "abc"),
            (b"a\x1bP1$r0m\x1b\\b\x1b(0c\x1bcd", "abcd"),
            (b"50%\r100%\x08\x00\x7f", "50%100%"),
            ("a\u{9b}2Jb\u{9d}0;t\u{9c}c\u{85}".as_bytes(), "abc"),
            (b"a\x1b]0;no end\nb", "a\nb"),
            (b"gr\xc3\xbc\xc3\x9f\xff", "grüß\u{fffd}"),
        ] {
            assert_eq!(Disarmed::new().text(bytes), shown);
        }
    }

    #[test]
    fn a_sequence_may_be_cut_anywhere() {
        let mut filter = Disarmed::new();
        let pieces = b"a\x1b]0;t\x1b\\\x1b[1;31mb".chunks(1);
        assert_eq!(pieces.map(|piece| filter.text(piece)).collect::<String>(), "ab");
    }

    proptest! {
        #[test]
        fn nothing_but_text_comes_out(bytes in any::<Vec<u8>>()) {
            let shown = Disarmed::new().text(&bytes);
            prop_assert!(shown.chars().all(|c| matches!(c, '\n' | '\t') || !c.is_control()));
        }
    }
}
