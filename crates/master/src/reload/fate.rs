//! Which differences take effect in a running master, and which when it starts again.
//!
//! What is not named here is hot: a new kind of thing needs no line, unless it has an address.

use config::{Difference, Path};

/// Says whether a difference waits for the next start of the master.
pub(super) fn needs_restart(difference: &Difference) -> bool {
    waits(&difference.path)
}

fn waits(path: &Path) -> bool {
    let keys: Vec<&str> = path.keys().iter().map(String::as_str).collect();
    match keys.as_slice() {
        ["master", key, ..] => *key != "url",
        ["worker_port"] => true,
        // Doors of change sources are opened and closed one by one.
        ["change_source" | "properties", ..] => false,
        [_, "listen"] | [_, _, "listen", ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use config::{SourceFile, differences};

    use super::*;

    #[test]
    fn addresses_of_the_master_itself_wait_for_a_restart() {
        for (text, expected) in [
            ("master.state = \"sqlite:x\"", true),
            ("master.data = \"x\"", true),
            ("master.control = \"x\"", true),
            ("master.cluster = \"x\"", true),
            ("master.url = \"x\"", false),
            ("worker_port.listen = \"x\"", true),
            ("worker_port.token_file = \"x\"", false),
            ("web.listen = \"x\"", true),
            ("change_source.launch.listen = \"x\"", false),
            ("properties.listen = \"x\"", false),
            ("builder.listen.workers = [\"x\"]", false),
        ] {
            let parse = |text: &str| {
                let (path, folder) = (PathBuf::from("m.toml"), PathBuf::new());
                config::parse(&[SourceFile { path, folder, text: text.to_owned() }]).0
            };
            // The same key with another value: what is new as a whole is told as a whole.
            let old = parse(&text.replace("\"x\"", "\"old\"").replace("sqlite:x", "sqlite:old"));
            let found = differences(&old, &parse(text));
            assert_eq!(found.iter().map(needs_restart).collect::<Vec<_>>(), [expected], "{text}");
        }
    }
}
