//! What an administrator may write into `worker.toml`, as a target for a fuzzer.

use std::path::PathBuf;

use config::{SourceFile, Style, render, to_json};

/// Any text is a configuration or has problems that can be shown; never both nothing.
pub(crate) fn worker_toml(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    // A fuzzer is not to read the files of this machine as tokens.
    let (path, folder) = (PathBuf::from("worker.toml"), PathBuf::from("/nonexistent"));
    let loaded = super::check(SourceFile { path, folder, text: text.to_owned() });
    assert!(loaded.settings.is_some() || !loaded.problems.is_empty());
    let few = &loaded.problems[..loaded.problems.len().min(20)];
    render(few, &loaded.files, Style::Plain);
    to_json(few, &loaded.files);
}

#[cfg(test)]
mod tests {
    #[test]
    fn worker_toml_of_the_corpus() {
        corpus::replay("worker_toml", super::worker_toml);
    }
}
