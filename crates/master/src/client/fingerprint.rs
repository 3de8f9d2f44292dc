//! The body of a submission in 64 bits, by which a reused launch id is told from a repeated one.
//!
//! Every field is taken apart by name, so a field that is added to a message does not compile
//! before it counts here.

use proto::Bytes;
use proto::message::command::Variable;
use proto::message::launch::{Launch, SendChange};

/// Returns the fingerprint of all that a launch says.
///
/// How its variables were chosen says nothing about it, and was not there before.
pub(super) fn of_launch(launch: &Launch) -> u64 {
    let Launch { launch_id: _, app, args, env, offered: _, cwd, host, wait } = launch;
    let mut print = Fingerprint::new();
    print.text(app);
    print.list(args, Fingerprint::exact);
    print.list(env, Fingerprint::variable);
    print.exact(cwd);
    print.text(host);
    print.text(wait.word());
    print.0
}

/// Returns the fingerprint of all that a change says.
pub(super) fn of_change(change: &SendChange) -> u64 {
    let SendChange {
        launch_id: _,
        author,
        comments,
        files,
        branch,
        revision,
        repository,
        project,
        codebase,
        category,
        properties,
    } = change;
    let mut print = Fingerprint::new();
    print.list(author.as_slice(), Fingerprint::exact);
    print.exact(comments);
    print.list(files, Fingerprint::exact);
    print.optional(branch);
    print.optional(revision);
    print.text(repository);
    print.text(project);
    print.text(codebase);
    print.optional(category);
    print.list(properties, Fingerprint::variable);
    print.0
}

/// FNV-1a over values that each begin with their length, so no two bodies run into each other.
/// Stable over versions and machines, as it is stored.
struct Fingerprint(u64);

impl Fingerprint {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn raw(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn length(&mut self, length: usize) {
        self.raw(&(length as u64).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.raw(text.as_bytes());
    }

    fn exact(&mut self, bytes: &Bytes) {
        self.length(bytes.0.len());
        self.raw(&bytes.0);
    }

    fn variable(&mut self, variable: &Variable) {
        let Variable { name, value } = variable;
        self.exact(name);
        self.exact(value);
    }

    fn optional(&mut self, text: &Option<String>) {
        self.list(text.as_slice(), |print, text| print.text(text));
    }

    fn list<T>(&mut self, items: &[T], one: fn(&mut Self, &T)) {
        self.length(items.len());
        for item in items {
            one(self, item);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proto::message::launch::Wait;

    use super::*;

    fn variable(name: &str, value: &str) -> Variable {
        Variable { name: name.into(), value: value.into() }
    }

    fn launch() -> Launch {
        Launch {
            launch_id: "one".into(),
            app: "hello".into(),
            args: vec!["a".into(), "b".into()],
            env: vec![variable("LANG", "C")],
            offered: Vec::new(),
            cwd: "/home/ann".into(),
            host: "cae01".into(),
            wait: Wait::Follow,
        }
    }

    #[test]
    fn every_part_of_a_launch_counts_but_its_id() {
        let with = |edit: fn(&mut Launch)| {
            let mut launch = launch();
            edit(&mut launch);
            of_launch(&launch)
        };
        assert_eq!(with(|launch| launch.launch_id = "two".into()), of_launch(&launch()));
        assert_eq!(with(|launch| launch.offered = vec!["LANG".into()]), of_launch(&launch()));
        let different = [
            of_launch(&launch()),
            with(|launch| launch.app = "hullo".into()),
            with(|launch| launch.args = vec!["ab".into()]),
            with(|launch| launch.args = vec!["b".into(), "a".into()]),
            with(|launch| launch.env.clear()),
            with(|launch| launch.env = vec![variable("LANG", "D")]),
            with(|launch| launch.env = vec![variable("LAN", "GC")]),
            with(|launch| launch.cwd = "/".into()),
            with(|launch| launch.host = "cae02".into()),
            with(|launch| launch.wait = Wait::Detach),
        ];
        assert_eq!(BTreeSet::from(different).len(), different.len());
    }

    #[test]
    fn every_part_of_a_change_counts_but_its_id() {
        let with = |edit: fn(&mut SendChange)| {
            let mut change = SendChange::default();
            edit(&mut change);
            of_change(&change)
        };
        let plain = of_change(&SendChange::default());
        assert_eq!(with(|change| change.launch_id = "two".into()), plain);
        let different = [
            plain,
            with(|change| change.author = Some("ann".into())),
            with(|change| change.author = Some(Bytes::default())),
            with(|change| change.comments = "x".into()),
            with(|change| change.files = vec!["x".into()]),
            with(|change| change.branch = Some("x".into())),
            with(|change| change.branch = Some(String::new())),
            with(|change| change.revision = Some("x".into())),
            with(|change| change.repository = "x".into()),
            with(|change| change.project = "x".into()),
            with(|change| change.codebase = "x".into()),
            with(|change| change.category = Some("x".into())),
            with(|change| change.properties = vec![variable("x", "y")]),
        ];
        assert_eq!(BTreeSet::from(different).len(), different.len());
    }

    /// A stored fingerprint is compared with one of a later version.
    #[test]
    fn a_fingerprint_never_changes() {
        assert_eq!(of_launch(&launch()), 0x2914_9bfc_1ee9_0473);
        assert_eq!(of_change(&SendChange::default()), 0xf14b_84b8_290b_8965);
    }
}
