//! What a request waited for and for how long, as it is known when it has run.

use attempt::StopOrder;
use engine::{Hindrance, LaunchWait, Readiness};

use crate::yard::{SECOND, Yard};

fn yard() -> Yard {
    Yard::new(
        r#"
worker.all = { names = ["w1"], resources = { gpus = 1 } }
lock.l = {}
builder.x = { workers = ["all"], locks = [{ name = "l" }], steps = [{ command = ["x"] }] }
builder.y = { workers = ["all"], locks = [{ name = "l" }], steps = [{ command = ["y"] }] }
builder.g = { workers = ["all"], resources = { gpus = 1 }, steps = [{ command = ["g"] }] }
builder.r = { workers = ["all"], require = '"x11" in worker.labels', steps = [{ command = ["r"] }] }
app.x = { builder = "x", on_disconnect = "keep" }
app.y = { builder = "y", on_disconnect = "keep" }
app.g = { builder = "g", on_disconnect = "keep" }
app.r = { builder = "r", on_disconnect = "keep" }
"#,
    )
}

fn call(yard: &mut Yard, apps: &[&str]) {
    for app in apps {
        yard.call(app, LaunchWait::Detach);
    }
}

/// Says in seconds how long a request waited for what.
fn waited(yard: &Yard, name: &str) -> Vec<String> {
    let waits = &yard.requests[&yard.id(name)].waits;
    assert!(waits.now.is_none(), "{name} waits for nothing any more");
    waits.spent.iter().map(|(what, us)| format!("{} {what}", us / SECOND)).collect()
}

#[test]
fn how_long_a_request_waited_for_what_is_kept_with_it_over_a_restart() {
    let mut yard = yard();
    call(&mut yard, &["x", "y"]);
    // It is found within a second that nobody is there.
    yard.wait(5 * SECOND);
    yard.attach("w1", 1);
    yard.wait(10 * SECOND);
    yard.restart();
    yard.attach("w1", 1);
    yard.becomes("w1", Readiness::Draining);
    yard.wait(3 * SECOND);
    assert!(yard.is_waiting("y#1"));
    yard.exits("x#1", 0);
    yard.becomes("w1", Readiness::Ready);
    yard.exits("y#1", 0);
    assert_eq!(waited(&yard, "x#1"), ["4 a worker to connect"]);
    let worker = Hindrance::Worker.to_string();
    assert_eq!(
        waited(&yard, "y#1"),
        [format!("12 {worker}"), "5 a worker to connect".to_owned()],
        "a look is up to a second late"
    );
}

#[test]
fn a_lock_counts_where_a_place_is_free_and_a_place_where_it_is_not() {
    let mut yard = yard();
    yard.attach("w1", 2);
    call(&mut yard, &["x", "y"]);
    yard.wait(6 * SECOND);
    call(&mut yard, &["g", "g"]);
    yard.wait(4 * SECOND);
    yard.exits("g#1", 0);
    yard.exits("x#1", 0);
    yard.exits("y#1", 0);
    let told = waited(&yard, "y#1");
    assert!(told.contains(&"6 lock l".to_owned()), "{told:?}");
    assert!(told.iter().any(|told| told.ends_with(&Hindrance::Worker.to_string())), "{told:?}");
}

#[test]
fn resources_and_requirements_count_and_who_is_behind_waits_for_its_turn() {
    let mut yard = yard();
    yard.attach("w1", 4);
    call(&mut yard, &["g", "g", "g", "r"]);
    yard.wait(5 * SECOND);
    yard.exits("g#1", 0);
    yard.stop("r#1", "not needed", StopOrder::ASK);
    yard.stop("g#3", "not needed", StopOrder::ASK);
    assert_eq!(waited(&yard, "g#2"), [format!("4 {}", Hindrance::Resources)]);
    assert_eq!(waited(&yard, "r#1"), [format!("4 {}", Hindrance::Requirement)]);
    assert_eq!(waited(&yard, "g#3"), [""; 0], "its turn had not come");
}
