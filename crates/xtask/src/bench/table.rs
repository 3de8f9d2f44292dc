//! The results for people.

use super::figure::{Figure, Summary};

const HEAD: [&str; 9] =
    ["", "case", "metric", "median", "min", "max", "n", "unit", "master / worker: CPU s, peak MB"];

/// Shows all results, aligned.
pub(super) fn of(results: &[(&'static str, Figure)], version: &str) -> String {
    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    rows.extend(results.iter().map(|(workload, figure)| row(workload, figure)));
    let widths: Vec<usize> = (0..HEAD.len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate();
        let shown: Vec<String> = cells
            .map(|(column, (cell, width))| match column {
                3..=6 => format!("{cell:>width$}"),
                _ => format!("{cell:<width$}"),
            })
            .collect();
        shown.join("  ").trim_end().to_owned()
    };
    let lines: Vec<String> = rows.iter().map(line).collect();
    format!("{}\nversion {version}", lines.join("\n"))
}

fn row(workload: &str, figure: &Figure) -> Vec<String> {
    let Summary { median, min, max, n } = figure.summary();
    let (metric, unit) = figure.metric();
    let used = figure.daemons().map(|daemons| daemons.fields().map(|(_, value)| value));
    let used = used.map(|[master, master_mb, worker, worker_mb]| {
        format!("{master:.2}, {master_mb:.1} / {worker:.2}, {worker_mb:.1}")
    });
    vec![
        workload.to_owned(),
        figure.case.clone(),
        metric.to_owned(),
        digits(median),
        digits(min),
        digits(max),
        n.to_string(),
        unit.to_owned(),
        used.unwrap_or_default(),
    ]
}

/// Three digits that mean something.
fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
