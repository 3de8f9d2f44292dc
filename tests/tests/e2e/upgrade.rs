//! An upgrade under load: both daemons are replaced by another build, again and again, and no
//! build notices.

use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::{Binary, Daemon, Yard, binary, finish, other_build, wait_until};
use rustix::process::Signal;

const RESTARTS: usize = 20;
const BUILDERS: usize = 4;
const LINES: usize = 400;
const OTHER: &str = "9.9.9-other";

/// Builders of two steps that talk all the time, so every restart finds some that run.
fn builders(yard: &Yard) -> String {
    let witness = yard.witnesses().script();
    let one = |number: usize| {
        format!(
            r#"
[builder.load{number}]
workers = ["local"]
steps = [
    {{ name = "first", script = '''
{witness}
for i in $(seq {LINES}); do echo first $i; sleep 0.002; done
''' }},
    {{ name = "second", script = '''
{witness}
for i in $(seq {LINES}); do echo second $i; done
''' }},
]
"#
        )
    };
    let app = |number| {
        format!("app.load{number} = {{ builder = \"load{number}\", on_disconnect = \"keep\" }}\n")
    };
    (0..BUILDERS).map(app).chain((0..BUILDERS).map(one)).collect()
}

fn expected() -> String {
    let of = |step: &'static str| (1..=LINES).map(move |i| format!("{step} {i}\n"));
    of("first").chain(of("second")).collect()
}

/// A folder of programs, and what they say they are.
struct Build {
    folder: PathBuf,
    version: String,
}

impl Build {
    fn of(folder: &Path) -> Self {
        let said = finish(Command::new(folder.join("master")).arg("--version")).out();
        let version = said.trim().strip_prefix("master ").expect("it says its version").to_owned();
        Self { folder: folder.to_owned(), version }
    }

    /// Starts a daemon of this build.
    fn start(&self, yard: &Yard, program: &str) -> Daemon {
        let mut command = Command::new(self.folder.join(program));
        command.arg("--config").arg(yard.path(&format!("{program}.toml")));
        yard.start_program(&mut command)
    }
}

fn submit(yard: &Yard, count: &mut usize) {
    for builder in 0..BUILDERS {
        let submitted = yard.changeport(&["submit", &format!("load{builder}")]);
        assert_eq!(submitted.code(), 0, "{}", submitted.err());
    }
    *count += 1;
}

#[test]
fn twenty_rolling_restarts_with_another_build_fail_no_build() {
    let built = binary(Binary::Master);
    let builds = [
        Build::of(built.parent().expect("programs lie in folders")),
        Build::of(&other_build(OTHER)),
    ];
    assert_eq!(builds[1].version, OTHER);
    assert_ne!(builds[0].version, OTHER);
    let yard = Yard::new("");
    yard.configure(&builders(&yard));
    let mut master = yard.start_master();
    let mut worker = yard.start_worker("");
    let mut rounds = 0;
    for restart in 0..RESTARTS {
        let build = &builds[(restart + 1) % 2];
        submit(&yard, &mut rounds);
        wait_until("a command that runs", || (!yard.shims().is_empty()).then_some(()));
        // What a package does: the one after the other, each while the other works.
        master.signal(Signal::TERM);
        assert_eq!(master.exited(), 0, "{}", master.log());
        master = build.start(&yard, "master");
        master.wait_for("ready: ");
        worker.signal(Signal::TERM);
        assert_eq!(worker.exited(), 0, "{}", worker.log());
        worker = build.start(&yard, "worker");
        worker.wait_for("attached");
        let status = yard.ask(&["status"]).remove(0);
        assert_eq!(status["version"], build.version.as_str());
    }
    let expected = expected();
    for builder in (0..BUILDERS).map(|number| format!("load{number}")) {
        assert_eq!(yard.results(&builder, rounds), vec!["SUCCESS"; rounds]);
        for number in 1..=rounds {
            let name = format!("{builder}#{number}");
            assert_eq!(String::from_utf8_lossy(&yard.log_of(&name)), expected, "{name}");
        }
    }
    assert_eq!(yard.witnesses().ran().len(), rounds * BUILDERS * 2);
}
