//! A draining worker finishes what it has and gets nothing else.

use engine::{Blocker, Readiness, Standing};

use crate::yard::{Yard, named};

const TWO_STEPS: &str = "\
worker.all = { names = [\"w1\", \"w2\"] }
app.ci = { builder = \"ci\", on_disconnect = \"keep\" }
builder.ci = { workers = [\"all\"], steps = [
    { name = \"a\", command = [\"a\"] }, { name = \"b\", command = [\"b\"] },
] }
";

fn left(yard: &mut Yard, worker: &str) -> Vec<u32> {
    yard.machine(worker).left.clone()
}

#[test]
fn a_draining_worker_finishes_its_build_with_every_step_and_is_told_when_none_is_left() {
    let mut yard = Yard::new(TWO_STEPS);
    yard.attach("w1", 2);
    let first = yard.launch("ci");
    yard.becomes("w1", Readiness::Draining);
    assert_eq!(left(&mut yard, "w1"), [1]);
    let second = yard.launch("ci");
    let draining = Blocker::WorkerDraining { worker: named("w1"), left: 1 };
    let waiting = |blockers| Some(Standing::Waiting { place: 1, blockers });
    assert_eq!(yard.standing(&second), waiting(vec![draining]));
    yard.exits(&first, 0);
    assert_eq!(left(&mut yard, "w1"), [1], "between two steps the build is not over");
    yard.exits(&first, 0);
    assert_eq!(left(&mut yard, "w1"), [1, 0]);
    assert_eq!(yard.machine("w1").starts.len(), 2);
    // Another worker takes what waits.
    yard.attach("w2", 1);
    assert_eq!(yard.build(&second).worker, named("w2"));
    assert_eq!(left(&mut yard, "w2"), Vec::<u32>::new());
}

#[test]
fn a_drain_survives_a_lost_connection_and_a_restart_of_the_master() {
    let mut yard = Yard::new(TWO_STEPS);
    yard.attach("w1", 2);
    yard.becomes("w1", Readiness::Draining);
    assert_eq!(left(&mut yard, "w1"), [0]);
    yard.detach("w1");
    yard.attach("w1", 2);
    let waiting = yard.launch("ci");
    assert!(matches!(yard.standing(&waiting), Some(Standing::Waiting { .. })));
    yard.restart();
    yard.attach("w1", 2);
    assert_eq!(left(&mut yard, "w1"), [0, 0, 0], "told on every connection");
    assert!(matches!(yard.standing(&waiting), Some(Standing::Waiting { .. })));
}

#[test]
fn a_worker_that_takes_builds_again_gets_what_waited() {
    let mut yard = Yard::new(TWO_STEPS);
    yard.attach("w1", 1);
    yard.becomes("w1", Readiness::Draining);
    let waiting = yard.launch("ci");
    assert_eq!(yard.machine("w1").starts.len(), 0);
    yard.becomes("w1", Readiness::Ready);
    assert!(matches!(yard.standing(&waiting), Some(Standing::Running { .. })));
    yard.becomes("w1", Readiness::Draining);
    assert_eq!(left(&mut yard, "w1"), [0, 1]);
}
