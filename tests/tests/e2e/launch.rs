//! A launch from the client to the command and back.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use e2e::{Yard, finish};

const HELLO: &str = r#"
app.hello = { builder = "hello", env = ["DISPLAY", "LC_*"] }
[builder.hello]
workers = ["local"]
steps = [{ name = "hello", command = ["printf", "[%s]", "${args}"] }]
"#;

#[test]
fn a_launcher_passes_its_arguments_byte_for_byte() {
    let yard = Yard::new(HELLO);
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let mut hello = yard.launcher("hello");
    hello.args(["a b", "", "--help", "--", "$HOME;`id`", "\n"]).arg(OsStr::from_bytes(b"\xff\xfe"));
    let finished = finish(&mut hello);
    assert_eq!(finished.code(), 0, "{}", finished.err());
    assert_eq!(finished.stdout, b"[a b][][--help][--][$HOME;`id`][\n][\xff\xfe]");
    assert_eq!(finished.err(), "");
}

#[test]
fn output_and_exit_code_are_the_programs_own() {
    let yard = Yard::new(
        r#"
app.both = { builder = "both" }
app.dies = { builder = "dies" }
[builder.both]
workers = ["local"]
steps = [{ name = "both", script = "echo out; echo err >&2; exit 7" }]
[builder.dies]
workers = ["local"]
steps = [{ name = "dies", script = "kill -9 $$" }]
"#,
    );
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let both = yard.changeport(&["run", "both"]);
    assert_eq!((both.code(), both.out().as_str(), both.err().as_str()), (7, "out\n", "err\n"));
    let dies = yard.changeport(&["run", "dies"]);
    assert_eq!(dies.code(), 137, "{}", dies.err());
}

#[test]
fn an_unknown_app_is_127_before_anything_is_queued() {
    let yard = Yard::new(HELLO);
    let _master = yard.start_master();
    let finished = finish(&mut yard.launcher("helo"));
    assert_eq!(finished.code(), 127);
    assert!(finished.err().contains("no app `helo`"), "{}", finished.err());
    assert_eq!(finished.err().lines().count(), 1, "{}", finished.err());
    assert!(!yard.master(&["queue", "--json"]).out().contains("helo"));
}

#[test]
fn a_program_that_cannot_run_is_told_in_a_sentence_and_to_programs_in_words() {
    let yard = Yard::new(
        r#"
app.nope = { builder = "nope" }
[builder.nope]
workers = ["local"]
steps = [{ name = "nope", command = ["/x/y"] }]
"#,
    );
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let nope = yard.changeport(&["run", "nope"]);
    assert_eq!(nope.code(), 126, "{}", nope.err());
    let why = "cannot run `/x/y`: No such file or directory (os error 2)";
    // The command's own log has said it already: it is not told twice.
    assert_eq!(nope.err(), format!("nope: {why}\n"));
    let told = yard.master(&["why", "nope#1"]).out();
    assert!(told.contains(&format!("ended: FAILURE, step nope did not start: {why}")), "{told}");
    let json = yard.master(&["builds", "--json"]).out();
    assert!(json.contains(&format!("not_started({why})")), "{json}");
}
