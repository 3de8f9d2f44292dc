//! The files of sockets: a daemon takes a leftover's place, and nobody else's.

use std::fs;
use std::os::unix::net::UnixListener;

use e2e::{Yard, finish, wait_until};

const APP: &str = "app.hi = { builder = \"hi\" }\n[builder.hi]\nworkers = [\"local\"]\n\
    steps = [{ name = \"hi\", script = \"echo hi\" }]\n";

/// Both sockets of a master's configuration.
const SOCKETS: [&str; 2] = ["change.sock", "control.sock"];

#[test]
fn a_second_master_leaves_the_sockets_of_the_first_alone() {
    let yard = Yard::new(APP);
    let master = yard.start_master();
    let text = fs::read_to_string(yard.path("master.toml")).expect("read the configuration");
    let text = text.replace("data = \"master\"", "data = \"second\"");
    yard.write("second.toml", &text.replace(yard.worker_address(), "127.0.0.1:0"));
    let second = finish(yard.bare_master_command().arg("--config").arg(yard.path("second.toml")));
    assert_ne!(second.code(), 0, "{}", second.err());
    let told = format!("another process listens on {}", yard.path("change.sock").display());
    assert!(second.err().contains(&told), "{}", second.err());
    let _worker = yard.start_worker("");
    let ran = yard.changeport(&["run", "hi"]);
    assert_eq!(ran.out(), "hi\n", "{}", ran.err());
    assert_eq!(yard.ask(&["status"]).len(), 1);
    assert_eq!(master.stop().0, 0);
    assert_eq!(SOCKETS.map(|name| yard.path(name).exists()), [false; 2]);
}

#[test]
fn what_is_no_socket_is_never_removed() {
    let yard = Yard::new(APP);
    for name in SOCKETS {
        yard.write(name, "dear");
        let (code, log) = yard.start_unready_master().ended();
        assert_ne!(code, 0, "{log}");
        let told = format!("{} is there and is no socket", yard.path(name).display());
        assert!(log.contains(&told), "{log}");
        assert_eq!(fs::read(yard.path(name)).expect("it is still there"), b"dear");
        fs::remove_file(yard.path(name)).expect("the yard is ours");
    }
    let _master = yard.start_master();
    yard.configure_worker("");
    fs::create_dir(yard.path("worker")).expect("the yard is ours");
    yard.write("worker/worker.sock", "dear");
    let (code, log) = yard.start_unattached_worker(|_command| {}).ended();
    assert_ne!(code, 0, "{log}");
    assert!(log.contains("worker.sock is there and is no socket"), "{log}");
    assert_eq!(fs::read(yard.path("worker/worker.sock")).expect("it is still there"), b"dear");
}

#[test]
fn a_killed_masters_sockets_are_taken_over_and_a_stranger_in_their_place_is_left() {
    let yard = Yard::new(APP);
    yard.start_master().kill();
    assert_eq!(SOCKETS.map(|name| yard.path(name).exists()), [true; 2]);
    let master = yard.start_master();
    fs::remove_file(yard.path("change.sock")).expect("the yard is ours");
    let _stranger = UnixListener::bind(yard.path("change.sock")).expect("the place is free");
    assert_eq!(master.stop().0, 0);
    wait_until("the end of the control socket", || {
        (!yard.path("control.sock").exists()).then_some(())
    });
    assert!(yard.path("change.sock").exists());
}
