//! Tables for people: columns as wide as their cells, the last one open; stable order, no colour.

use crate::notice::harmless;

/// Returns rows under a head line. Nothing in a cell drives a terminal.
pub(crate) fn format<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let head = head.map(str::to_owned);
    let all = std::iter::once(&head).chain(rows);
    let cells: Vec<[String; N]> =
        all.map(|row| row.each_ref().map(|cell| harmless(cell))).collect();
    let mut widths = [0; N];
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; N]| {
        let padded = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    cells.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_nothing_moves_the_cursor() {
        let rows = [["ci#1", "a\x1b[2J"], ["x", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(format(["REQUEST", "STATE"], &rows), "REQUEST  STATE\nci#1     a[2J\nx");
    }
}
