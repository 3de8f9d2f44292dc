//! What is served first.

use attempt::StopOrder;
use engine::{Answer, Event, LaunchWait, NewChange, Prioritized};

use crate::yard::{SOURCE, Yard};

/// Builder `ci` with apps of three priorities and a scheduler of its own.
fn yard() -> Yard {
    Yard::new(&format!(
        r#"
worker.all = {{ names = ["w1"], max_builds = 1 }}
app.later = {{ builder = "ci", on_disconnect = "keep", priority = -5 }}
app.usual = {{ builder = "ci", on_disconnect = "keep" }}
app.first = {{ builder = "ci", on_disconnect = "keep", priority = 1000 }}
builder.ci = {{ workers = ["all"], steps = [{{ name = "make", command = ["make"] }}] }}
scheduler.push = {{ type = "any_branch", change_source = "{SOURCE}", filter = {{ category = {{ not = "launch" }} }}, builders = ["ci"], priority = 7 }}
"#
    ))
}

fn set(yard: &mut Yard, name: &str, priority: i32) -> Prioritized {
    let (ticket, request) = (yard.ticket(), yard.id(name));
    yard.happens(Event::PriorityWanted { ticket, request, priority });
    let Answer::Prioritized(prioritized) = yard.answer(ticket) else { panic!("it is answered") };
    prioritized
}

/// Lets every build end, and returns the requests in the order in which they were served.
fn served(yard: &mut Yard) -> Vec<String> {
    let mut served = Vec::new();
    let next = |yard: &Yard| yard.engine.durable().builds().next().map(|b| b.name.to_string());
    while let Some(name) = next(yard) {
        yard.exits(&name, 0);
        served.push(name);
    }
    served
}

#[test]
fn the_higher_priority_is_served_first_and_of_equals_the_older() {
    let mut yard = yard();
    for app in ["later", "usual", "first", "usual"] {
        yard.call(app, LaunchWait::Detach);
    }
    yard.change(NewChange::default());
    yard.restart();
    yard.attach("w1", 1);
    assert_eq!(served(&mut yard), ["first#1", "ci#1", "usual#1", "usual#2", "later#1"]);
}

#[test]
fn a_request_that_waits_is_moved_and_stays_moved() {
    let mut yard = yard();
    for app in ["usual", "usual", "usual"] {
        yard.call(app, LaunchWait::Detach);
    }
    yard.changed.clear();
    assert_eq!(set(&mut yard, "usual#3", 1), Prioritized::Waiting);
    assert_eq!(yard.changed, [yard.id("usual#3")], "its followers hear of it");
    assert_eq!(set(&mut yard, "usual#1", -1), Prioritized::Waiting);
    yard.restart();
    yard.attach("w1", 1);
    assert_eq!(served(&mut yard), ["usual#3", "usual#2", "usual#1"]);
}

#[test]
fn what_runs_or_has_ended_has_no_priority_any_more() {
    let mut yard = yard();
    yard.call("usual", LaunchWait::Detach);
    yard.attach("w1", 1);
    assert_eq!(set(&mut yard, "usual#1", 9), Prioritized::Running);
    yard.stop("usual#1", "not needed", StopOrder::ASK);
    yard.exits("usual#1", 0);
    assert_eq!(set(&mut yard, "usual#1", 9), Prioritized::Done);
}

#[test]
fn those_who_follow_hear_of_the_place_they_were_moved_to() {
    let mut yard = yard();
    yard.attach("w1", 1);
    for _ in 0..4 {
        yard.launch("usual");
    }
    for name in ["usual#2", "usual#3", "usual#4"] {
        let request = yard.id(name);
        yard.happens(Event::FollowerCame { request });
    }
    yard.wait(1_000_000);
    yard.changed.clear();
    assert_eq!(set(&mut yard, "usual#4", 1), Prioritized::Waiting);
    yard.wait(1_000_000);
    let mut heard = std::mem::take(&mut yard.changed);
    heard.sort();
    heard.dedup();
    let everybody = ["usual#2", "usual#3", "usual#4"].map(|name| yard.id(name));
    assert_eq!(heard, everybody);
}
