//! Who is told that a line moved, and when.

use std::collections::BTreeSet;

use engine::{Departure, Event, RequestId};

use crate::yard::{SECOND, Yard};

const APPS: &str = r#"
worker.all = { names = ["w1", "w2"] }
app.tool = { builder = "tool", on_disconnect = "keep" }
app.other = { builder = "other", on_disconnect = "keep" }
builder.tool = { workers = ["all"], steps = [{ command = ["tool"] }] }
builder.other = { workers = ["all"], steps = [{ command = ["other"] }] }
"#;

/// Longer than the pause between two looks.
const MOMENT: i64 = SECOND / 20;

/// Launches requests that are followed, and returns their names.
fn followed(yard: &mut Yard, app: &str, count: usize) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|_| yard.launch(app)).collect();
    for name in &names {
        let request = yard.id(name);
        yard.happens(Event::FollowerCame { request });
    }
    settle(yard);
    names
}

/// Lets everybody hear what there is.
fn settle(yard: &mut Yard) {
    yard.wait(60 * SECOND);
    yard.changed.clear();
}

fn heard(yard: &mut Yard) -> BTreeSet<RequestId> {
    std::mem::take(&mut yard.changed).into_iter().collect()
}

fn ids(yard: &Yard, names: &[String]) -> BTreeSet<RequestId> {
    names.iter().map(|name| yard.id(name)).collect()
}

#[test]
fn everybody_behind_a_start_hears_of_it_at_once() {
    let mut yard = Yard::new(APPS);
    yard.attach("w1", 1);
    let running = yard.launch("tool");
    let names = followed(&mut yard, "tool", 3);
    yard.exits(&running, 0);
    assert!(heard(&mut yard).is_superset(&ids(&yard, &names)), "within the same decision");
    yard.wait(MOMENT);
    yard.changed.clear();
    // The end frees a place that the next one takes: by whom the worker is full is another now.
    yard.exits(&names[0], 0);
    assert!(heard(&mut yard).is_superset(&ids(&yard, &names[1..])));
}

#[test]
fn what_comes_soon_after_is_told_soon_after_and_together() {
    let mut yard = Yard::new(APPS);
    let names = followed(&mut yard, "tool", 4);
    yard.stop(&names[0], "", attempt::StopOrder::KILL);
    yard.changed.clear();
    yard.stop(&names[1], "", attempt::StopOrder::KILL);
    yard.stop(&names[2], "", attempt::StopOrder::KILL);
    let last = yard.id(&names[3]);
    assert!(!heard(&mut yard).contains(&last), "it was told a moment ago");
    yard.wait(MOMENT);
    assert_eq!(yard.changed, [last], "once for both");
}

#[test]
fn who_arrives_behind_moves_nobody_and_who_is_not_followed_is_not_told() {
    let mut yard = Yard::new(APPS);
    let names = followed(&mut yard, "tool", 2);
    let stranger = yard.launch("tool");
    let stranger = yard.id(&stranger);
    settle(&mut yard);
    let late = yard.launch("tool");
    yard.launch("other");
    yard.wait(MOMENT);
    assert!(heard(&mut yard).is_disjoint(&ids(&yard, &names)));
    let request = yard.id(&names[1]);
    yard.happens(Event::FollowerLeft { request, departure: Departure::Farewell });
    yard.stop(&names[0], "", attempt::StopOrder::KILL);
    yard.wait(MOMENT);
    assert_eq!(heard(&mut yard), ids(&yard, &names[..1]), "its own end, and nobody else");
    assert!(yard.is_waiting(&late) && yard.engine.standing(stranger).is_some());
}

#[test]
fn what_keeps_it_waiting_is_told_as_well() {
    let mut yard = Yard::new(APPS);
    let names = followed(&mut yard, "tool", 2);
    let all = ids(&yard, &names);
    yard.attach("w1", 0);
    yard.wait(MOMENT);
    assert_eq!(heard(&mut yard), all, "the worker is full");
    yard.attach("w2", 0);
    yard.wait(MOMENT);
    assert_eq!(heard(&mut yard), all, "both are");
    yard.detach("w1");
    yard.detach("w2");
    yard.wait(MOMENT);
    assert_eq!(heard(&mut yard), all, "there is none");
}

#[test]
fn a_long_line_is_told_in_pieces_and_to_its_end() {
    const COUNT: usize = 400;
    let mut yard = Yard::new(APPS);
    let first = yard.launch("tool");
    let names: Vec<String> = (0..COUNT).map(|_| yard.launch("tool")).collect();
    let all = ids(&yard, &names);
    for request in &all {
        yard.happens(Event::FollowerCame { request: *request });
    }
    settle(&mut yard);
    yard.stop(&first, "", attempt::StopOrder::KILL);
    let mut told = heard(&mut yard);
    assert!((100..=257).contains(&told.len()), "{} at once", told.len());
    yard.wait(SECOND / 50);
    told.extend(heard(&mut yard));
    assert!(told.is_superset(&all), "{} of {COUNT} were told", told.len());
    yard.wait(3_600 * SECOND);
    assert_eq!(yard.changed, [], "then there is peace");
}

#[test]
fn a_line_that_never_rests_is_told_to_its_end() {
    const COUNT: usize = 300;
    let mut yard = Yard::new(APPS);
    let leaving: Vec<String> = (0..40).map(|_| yard.launch("tool")).collect();
    let names = followed(&mut yard, "tool", COUNT);
    let mut told = BTreeSet::new();
    for name in &leaving {
        yard.stop(name, "", attempt::StopOrder::KILL);
        yard.wait(SECOND / 200);
        told.extend(heard(&mut yard));
    }
    assert!(told.is_superset(&ids(&yard, &names)), "{} of {COUNT} were told", told.len());
}
