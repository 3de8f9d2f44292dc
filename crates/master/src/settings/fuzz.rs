//! What an administrator may write into `master.toml`, as a target for a fuzzer.

use std::path::PathBuf;

use config::{SourceFile, Style, render, to_json};

/// Any text is a configuration or has problems that can be shown; never both nothing.
pub fn master_toml(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (path, folder) = (PathBuf::from("master.toml"), PathBuf::from("/etc/yardmaster"));
    let files = [SourceFile { path, folder, text: text.to_owned() }];
    let super::Reading { configuration, problems, .. } = super::check(files.to_vec());
    assert!(configuration.is_some() || !problems.is_empty());
    let few = &problems[..problems.len().min(20)];
    render(few, &files, Style::Plain);
    to_json(few, &files);
}

#[cfg(test)]
mod tests {
    #[test]
    fn master_toml_of_the_corpus() {
        corpus::replay("master_toml", super::master_toml);
    }
}
