//! Tables for people: columns as wide as their cells, no colour, stable order.

pub(super) use crate::duration::duration;
use std::io::{self, Write};

/// Writes rows under a head line.
pub(super) fn write(out: &mut impl Write, head: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    writeln!(out, "{}", line(&head))?;
    for row in rows {
        writeln!(out, "{}", line(row))?;
    }
    Ok(())
}

/// Makes text from elsewhere harmless for a terminal: control characters become spaces.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut out = Vec::new();
        let rows =
            [vec!["ci#1".to_owned(), "SUCCESS".to_owned()], vec!["x".to_owned(), String::new()]];
        write(&mut out, &["BUILD", "RESULT"], &rows).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "BUILD  RESULT\nci#1   SUCCESS\nx\n");
    }

    #[test]
    fn terminal_escapes_are_disarmed() {
        assert_eq!(plain("a\u{1b}]0;x\u{7}b"), "a ]0;x b");
    }
}
