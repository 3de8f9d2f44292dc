//! Steps that are given secrets, which the engine knows by name alone.

use attempt::{ToMaster, View};
use config::template::Part;
use engine::BuildResult::{Cancelled, Exception, Success};
use engine::{Event, NewChange};

use crate::yard::{SOURCE, Yard, named};

const WHY: &str = "read secret `token` from /etc/token: permission denied";

/// A yard in which `ci#1` waits for the order of its first step to be made.
fn waiting() -> Yard {
    let mut yard = Yard::new(&format!(
        r#"
worker.all = {{ names = ["w1"] }}
scheduler.push = {{ type = "any_branch", change_source = "{SOURCE}", builders = ["ci"] }}
[builder.ci]
workers = ["all"]
[[builder.ci.steps]]
name = "a"
command = ["a"]
env = {{ A = "${{build.builder}}:${{secret.token}}@${{secret.my-host.x}}/", B = "plain", C = "${{secret.token}}" }}
[[builder.ci.steps]]
name = "b"
command = ["b"]
[[builder.ci.steps]]
name = "clean"
command = ["clean"]
always_run = true
"#
    ));
    yard.machine("w1").is_deaf = true;
    yard.attach("w1", 1);
    yard.change(NewChange::default());
    yard
}

fn unsent(yard: &mut Yard, worker: &str) {
    let (command, stamp) =
        (yard.command("ci#1").0, yard.machine("w1").stamp.expect("it is attached"));
    yard.machine("w1").is_deaf = false;
    yard.happens(Event::Unsent { worker: named(worker), stamp, command, why: WHY.to_owned() });
}

#[test]
fn the_order_names_secrets_and_the_plan_keeps_the_template() {
    let mut yard = waiting();
    yard.machine("w1").is_deaf = false;
    yard.detach("w1");
    yard.attach("w1", 1);
    let order = yard.machine("w1").starts[0].clone();
    assert_eq!(order.env, [(b"B".to_vec(), b"plain".to_vec())]);
    let bytes = |text: &str| Part::Bytes(text.into());
    let secret = |name| Part::Secret(named(name));
    assert_eq!(
        order.secret_env,
        [
            (
                b"A".to_vec(),
                vec![bytes("ci:"), secret("token"), bytes("@"), secret("my-host.x"), bytes("/")]
            ),
            (b"C".to_vec(), vec![secret("token")]),
        ]
    );
}

#[test]
fn what_could_not_be_sent_never_ran_and_the_build_goes_on_as_after_any_exception() {
    let mut yard = waiting();
    unsent(&mut yard, "w1");
    assert_eq!(yard.steps("ci#1"), "a EXCEPTION, b SKIPPED, clean running");
    yard.exits("ci#1", 0);
    let end = yard.end_of("ci#1").unwrap();
    assert_eq!((end.result, end.exit_code), (Exception, 78));
    assert_eq!(end.reason, format!("step a did not start: {WHY}"));
    let started: Vec<_> = yard.machine("w1").starts.iter().map(|order| &order.argv[0]).collect();
    assert_eq!(started, [&b"clean".to_vec()]);
}

#[test]
fn who_was_stopped_before_that_is_cancelled() {
    let mut yard = waiting();
    yard.stop("ci#1", "enough", attempt::StopOrder { signal: 15, grace_ms: 1 });
    unsent(&mut yard, "w1");
    assert_eq!(yard.steps("ci#1"), "a CANCELLED, b SKIPPED, clean running");
    yard.exits("ci#1", 0);
    assert_eq!(yard.end_of("ci#1").map(|end| end.result), Some(Cancelled));
}

#[test]
fn a_command_that_its_worker_has_reported_is_not_taken_for_unsent() {
    let mut yard = waiting();
    let (command, stamp) =
        (yard.command("ci#1").0, yard.machine("w1").stamp.expect("it is attached"));
    let report = ToMaster { command, view: View::Running };
    yard.machine("w1").commands.insert(command, View::Running);
    yard.happens(Event::Reported { worker: named("w1"), stamp, report });
    unsent(&mut yard, "w1");
    assert_eq!(yard.steps("ci#1"), "a running, b waiting, clean waiting");
    for _ in 0..3 {
        yard.exits("ci#1", 0);
    }
    assert_eq!(yard.end_of("ci#1").map(|end| end.result), Some(Success));
}

#[test]
fn what_is_told_late_or_of_others_counts_for_nothing() {
    let mut yard = waiting();
    let (command, stamp) =
        (yard.command("ci#1").0, yard.machine("w1").stamp.expect("it is attached"));
    yard.machine("w1").is_deaf = false;
    unsent(&mut yard, "w2");
    yard.detach("w1");
    yard.attach("w1", 1);
    let late = Event::Unsent { worker: named("w1"), stamp, command, why: WHY.to_owned() };
    yard.happens(late);
    assert_eq!(yard.steps("ci#1"), "a running, b waiting, clean waiting");
    assert_eq!(yard.machine("w1").starts.len(), 1);
}
