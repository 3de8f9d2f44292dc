//! What an administrator installs from `config/`: systemd takes the units, the daemons take the
//! samples.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::{Binary, binary, finish};

fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}

#[test]
fn systemd_takes_the_units() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        let reason = "SKIPPED: systemd-analyze is not installed";
        println!("{reason}");
        return note_skip(reason);
    }
    let folder = tempfile::tempdir().expect("make a folder");
    for (unit, program) in [
        ("yardmaster-master.service", Binary::Master),
        ("yardmaster-worker.service", Binary::Worker),
    ] {
        let built = binary(program).parent().map(Path::to_owned).expect("programs lie in folders");
        let text = shipped(unit);
        assert!(text.contains("=/usr/lib/yardmaster/"), "{unit}");
        let text = text.replace("=/usr/lib/yardmaster", &format!("={}", built.display()));
        let path = folder.path().join(unit);
        fs::write(&path, text).expect("write the unit");
        let verified = finish(Command::new("systemd-analyze").arg("verify").arg(&path));
        assert_eq!((verified.code(), verified.err().as_str()), (0, ""), "{unit}");
    }
}

/// Tells `cargo xtask test`, which counts what was skipped.
pub(super) fn note_skip(reason: &str) {
    if let Some(path) = std::env::var_os("YARDMASTER_SKIPS") {
        let file = fs::OpenOptions::new().append(true).create(true).open(path);
        writeln!(file.expect("open the list of skips"), "{reason}").expect("note a skip");
    }
}

/// Puts a sample where relative paths in it lead to files that are there.
fn install(folder: &Path, name: &str, text: &str) -> PathBuf {
    for secret in ["workers", "worker.token"] {
        let path = folder.join(secret);
        fs::write(&path, "build01 0123456789\n").expect("write a secret");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("protect it");
    }
    // Only what the sample says is looked at, not what this machine has.
    fs::write(folder.join("workers"), "").expect("write no tokens");
    let path = folder.join(name);
    fs::write(&path, text).expect("write the sample");
    path
}

/// Returns a sample with everything in force that it only suggests: `#key`, but not `# words`.
fn with_suggestions(text: &str) -> String {
    let suggested = |line: &str| {
        let rest = line.strip_prefix('#')?;
        let is_words = rest.is_empty() || (rest.starts_with(' ') && !rest.starts_with("  "));
        (!is_words).then(|| rest.to_owned())
    };
    text.lines().map(|line| suggested(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}

#[test]
fn the_daemons_take_the_samples_and_all_they_suggest() {
    for (sample, program) in [("master.toml", Binary::Master), ("worker.toml", Binary::Worker)] {
        let plain = shipped(sample);
        let whole = with_suggestions(&plain);
        assert_ne!(plain, whole, "{sample} suggests something");
        for text in [plain, whole] {
            let folder = tempfile::tempdir().expect("make a folder");
            let path = install(folder.path(), sample, &text);
            let mut check = Command::new(binary(program));
            let checked = finish(check.arg("--config").arg(&path).arg("check"));
            assert_eq!(checked.code(), 0, "{sample}:\n{}{}", checked.out(), checked.err());
            assert!(!checked.out().contains("warning"), "{sample}:\n{}", checked.out());
        }
    }
}
