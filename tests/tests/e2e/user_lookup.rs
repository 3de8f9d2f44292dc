//! A user database that takes its time.

use std::process::Command;
use std::time::{Duration, Instant};

use e2e::{UserDatabase, Yard, finish};

const APP: &str = "app.hello = { builder = \"hello\" }\n[builder.hello]\nworkers = [\"local\"]\n\
    steps = [{ name = \"hello\", script = 'echo \"$CALLER\"', env = { CALLER = \"${user.name}\" } }]\n";

#[test]
fn a_lookup_that_blocks_holds_up_nobody_else() {
    let yard = Yard::new(APP);
    let test = "a user database that does not answer";
    let Some(mut users) = UserDatabase::new(test, yard.path("nscd")) else { return };
    let _master = yard.start_master_as(|command| users.impose_on(command));
    let _worker = yard.start_worker("");
    let client = yard.start_changeport(&["run", "hello"]);
    users.wait_until_asked();
    // Whoever needs no name is answered, on either socket.
    let other = yard.changeport(&["status", "hello#1"]);
    assert!(other.err().contains("no request hello#1"), "{}", other.err());
    assert!(users.is_waited_for(), "it was answered once the lookup had been given up");
    assert!(yard.master(&["status"]).status.success());
    let sent = yard.changeport(&["send", "--author", "ann"]);
    assert_eq!(sent.code(), 0, "{}", sent.err());
    users.end();
    let name = finish(Command::new("id").arg("-un")).out();
    let client = client.finish();
    assert_eq!((client.code(), client.out()), (0, name), "{}", client.err());
}

#[test]
fn a_master_stops_in_time_while_a_lookup_blocks() {
    let yard = Yard::new(APP);
    let test = "stopping beside a user database that does not answer";
    let Some(mut users) = UserDatabase::new(test, yard.path("nscd")) else { return };
    let master = yard.start_master_as(|command| users.impose_on(command));
    let client = yard.start_changeport(&["run", "hello"]);
    users.wait_until_asked();
    let begun = Instant::now();
    let (code, log) = master.stop();
    assert_eq!(code, 0, "{log}");
    // The C library gives up after twice this time.
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
    drop(client);
}
