//! SIGHUP ends neither daemon: a master reloads, and a worker, which cannot in this version, says so
//! in its log.

use e2e::Yard;
use rustix::process::Signal;

const HELLO: &str = r#"
app.hello = { builder = "hello" }
[builder.hello]
workers = ["local"]
steps = [{ name = "hello", command = ["printf", "hello"] }]
"#;

#[test]
fn a_hang_up_ends_neither_daemon() {
    let yard = Yard::new(HELLO);
    let mut master = yard.start_master();
    let mut worker = yard.start_worker("");
    for _ in 0..2 {
        master.signal(Signal::HUP);
        worker.signal(Signal::HUP);
    }
    master.wait_for("reload: nothing changes");
    assert!(worker.wait_for("reload is not in this version").contains("restart the worker"));
    let hello = yard.changeport(&["run", "hello"]);
    assert_eq!((hello.code(), hello.out().as_str()), (0, "hello"), "{}", hello.err());
    assert_eq!(worker.stop().0, 0);
    assert_eq!(master.stop().0, 0);
}
