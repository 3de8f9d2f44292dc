//! Another configuration while everything runs: what changes for whom, and what does not.

use std::collections::BTreeMap;
use std::sync::Arc;

use attempt::StopOrder;
use engine::row::{Request, RequestState};
use engine::settings::Settings;
use engine::{Answer, BuildResult, Engine, Event, Foresight, NewChange, Readiness, Touched};
use proptest::prelude::*;

use crate::configured::settings;
use crate::yard::{End, SECOND, SOURCE, Yard, named};

impl Yard {
    /// Gives the running master another configuration, as `master reload` does: builders that it
    /// leaves out stay as long as something waits for them.
    pub(crate) fn reload(&mut self, configuration: &str) {
        let mut new = settings(configuration);
        for (name, builder) in &self.engine.settings().builders {
            let has_workers = builder.workers.iter().any(|group| new.workers.contains_key(group));
            if has_workers && !new.builders.contains_key(name) {
                new.builders.insert(name.clone(), builder.clone());
                new.retired.insert(name.clone());
            }
        }
        self.reload_with(new);
    }

    /// The same without what waits for builders that are gone.
    pub(crate) fn reload_and_cancel(&mut self, configuration: &str) {
        self.reload_with(settings(configuration));
    }

    fn reload_with(&mut self, new: Settings) {
        let settings = Arc::new(new);
        let foreseen = self.engine.foresee(self.now, settings.clone());
        let before = self.engine.clone();
        let ticket = self.ticket();
        self.happens(Event::Reconfigured { ticket, settings, revision: None });
        assert_eq!(self.answer(ticket), Answer::Reconfigured);
        self.check_foresight(&before, &foreseen);
    }

    /// What was foreseen is what happened.
    fn check_foresight(&self, before: &Engine, foreseen: &Foresight) {
        let waited = |request: &&Request| {
            let old = before.durable().request(request.id);
            let waits = |state: &RequestState| {
                matches!(state, RequestState::Waiting | RequestState::Merged { .. })
            };
            old.is_some_and(|old| waits(&old.state))
        };
        let names = |is_so: fn(&RequestState) -> bool| {
            let requests = self.requests.values().filter(waited);
            let those = requests.filter(|request| is_so(&request.state));
            those.map(|request| request.name.clone()).collect::<Vec<_>>()
        };
        let of = |touched: &[Touched]| {
            touched.iter().map(|touched| touched.request.clone()).collect::<Vec<_>>()
        };
        let ended = |state: &RequestState| matches!(state, RequestState::Done { .. });
        let runs = |state: &RequestState| matches!(state, RequestState::Running { .. });
        assert_eq!(of(&foreseen.cancelled), names(ended));
        assert_eq!(of(&foreseen.started), names(runs));
    }
}

const CI: &str = r#"builder.ci = { workers = ["all"], steps = [{ name = "a", command = ["a"] }, { name = "b", command = ["b"] }] }"#;
const APP: &str = r#"app.ci = { builder = "ci", on_disconnect = "keep" }"#;

fn workers(names: &str, more: &str) -> String {
    format!("worker.all = {{ names = [{names}]{more} }}\n")
}

fn base(names: &str, more: &str) -> String {
    format!("{}{APP}\n{CI}\n", workers(names, more))
}

fn cancelled(builder: &str) -> Option<End> {
    Some(End {
        result: BuildResult::Cancelled,
        exit_code: 130,
        reason: format!("builder {builder} is no longer in the configuration"),
    })
}

#[test]
fn a_running_build_goes_on_by_the_plan_it_began_with() {
    let mut yard = Yard::new(&base("\"w1\"", ""));
    yard.attach("w1", 1);
    let (first, second) = (yard.launch("ci"), yard.launch("ci"));
    let other = r#"builder.ci = { workers = ["all"], steps = [{ name = "c", command = ["c"] }] }"#;
    yard.reload(&format!("{}{APP}\n{other}\n", workers("\"w1\"", "")));
    yard.exits(&first, 0);
    assert_eq!(yard.steps(&first), "a SUCCESS, b running");
    yard.exits(&first, 0);
    assert_eq!(yard.steps(&second), "c running", "what starts later is as it is now");
}

#[test]
fn fewer_places_revoke_nothing_and_are_not_given_before_enough_are_free() {
    let mut yard = Yard::new(&base("\"w1\"", ""));
    yard.attach("w1", 3);
    let names: Vec<String> = (0..5).map(|_| yard.launch("ci")).collect();
    yard.reload(&base("\"w1\"", ", max_builds = 1"));
    assert!(yard.machine("w1").stops.is_empty());
    for (ended, starts) in [(0, 3), (1, 3), (2, 4)] {
        yard.exits(&names[ended], 1);
        let started = yard.machine("w1").starts.len();
        assert_eq!(started, starts, "after the end of {}", names[ended]);
    }
    yard.reload(&base("\"w1\"", ", max_builds = 2"));
    assert_eq!(yard.machine("w1").starts.len(), 5, "more places wake who waits");
}

#[test]
fn a_new_builder_runs_on_connected_workers_without_a_disconnect() {
    let mut yard = Yard::new(&base("\"w1\"", ""));
    let stamp = yard.attach("w1", 1);
    let docs = "app.docs = { builder = \"docs\" }\n\
                builder.docs = { workers = [\"all\"], steps = [{ command = [\"docs\"] }] }\n";
    yard.reload(&format!("{}{docs}", base("\"w1\"", "")));
    let name = yard.launch("docs");
    assert_eq!(yard.build(&name).worker, named("w1"));
    assert_eq!(yard.engine.attached(&named("w1")), Some((stamp, 1)));
}

#[test]
fn a_worker_that_is_added_to_a_group_gets_what_waits_for_it() {
    let mut yard = Yard::new(&base("\"w1\"", ""));
    let name = yard.launch("ci");
    yard.reload(&base("\"w1\", \"w2\"", ""));
    yard.attach("w2", 1);
    assert_eq!(yard.build(&name).worker, named("w2"));
}

#[test]
fn a_removed_builder_finishes_what_runs_and_serves_what_waits() {
    let mut yard = Yard::new(&base("\"w1\"", ""));
    yard.attach("w1", 1);
    let (runs, waits) = (yard.launch("ci"), yard.launch("ci"));
    let without = format!(
        "{}builder.other = {{ workers = [\"all\"], steps = [{{ command = [\"x\"] }}] }}\n",
        workers("\"w1\"", "")
    );
    yard.reload(&without);
    // Once more: it is still waited for.
    yard.reload(&without);
    for name in [&runs, &waits] {
        yard.exits(name, 0);
        yard.exits(name, 0);
        assert_eq!(yard.end_of(name).unwrap().result, BuildResult::Success);
    }
}

#[test]
fn what_waits_for_a_removed_builder_is_cancelled_on_demand_and_where_it_cannot_run() {
    for on_demand in [true, false] {
        let mut yard = Yard::new(&base("\"w1\"", ""));
        yard.attach("w1", 1);
        let (runs, waits) = (yard.launch("ci"), yard.launch("ci"));
        if on_demand {
            yard.reload_and_cancel(&workers("\"w1\"", ""));
        } else {
            // Its group is gone too.
            yard.reload("worker.others = { names = [\"w1\"] }");
        }
        assert_eq!(yard.end_of(&waits), cancelled("ci"));
        assert!(yard.changed.contains(&yard.id(&waits)), "who follows it is told");
        yard.exits(&runs, 0);
        yard.exits(&runs, 0);
        assert_eq!(yard.end_of(&runs).unwrap().result, BuildResult::Success);
    }
}

#[test]
fn what_was_merged_into_a_request_is_cancelled_with_it() {
    let collapsing = CI.replace("steps", "collapse_requests = true, steps");
    let yard = |more: &str| format!("{}{more}", workers("\"w1\"", ""));
    let scheduled = format!(
        "{collapsing}\nscheduler.s = {{ type = \"any_branch\", change_source = \"{SOURCE}\", \
         builders = [\"ci\"] }}\n"
    );
    let mut yard_of = Yard::new(&yard(&scheduled));
    for _ in 0..3 {
        change(&mut yard_of, "main", "x");
    }
    let merged = |row: &&Request| matches!(row.state, RequestState::Merged { .. });
    assert_eq!(yard_of.requests.values().filter(merged).count(), 2);
    yard_of.reload_and_cancel(&yard(""));
    for name in yard_of.names() {
        assert_eq!(yard_of.end_of(&name), cancelled("ci"));
    }
}

#[test]
fn a_start_with_another_configuration_cancels_what_nobody_can_serve() {
    let mut yard = Yard::new(&base("\"w1\"", ""));
    let waits = yard.launch("ci");
    yard.restart_as(&workers("\"w1\"", ""));
    assert_eq!(yard.end_of(&waits), None);
    yard.wait(0);
    assert_eq!(yard.end_of(&waits), cancelled("ci"));
    assert_eq!(yard.engine.deadline(), None, "once is enough");
}

#[test]
fn a_removed_worker_finishes_what_it_has_and_is_sent_away() {
    let mut yard = Yard::new(&base("\"w1\", \"w2\"", ""));
    yard.attach("w1", 2);
    yard.attach("w2", 1);
    let name = yard.launch("ci");
    assert_eq!(yard.build(&name).worker, named("w1"));
    yard.reload(&base("\"w2\"", ""));
    let (second, third) = (yard.launch("ci"), yard.launch("ci"));
    assert_eq!(yard.build(&second).worker, named("w2"));
    assert!(yard.is_waiting(&third), "it gets nothing new");
    yard.exits(&name, 0);
    assert!(yard.is_attached("w1"), "the build has another step");
    // It comes back after a lost connection: something of it is needed.
    yard.detach("w1");
    assert!(yard.engine.expects(&named("w1")));
    yard.attach("w1", 2);
    assert!(yard.is_attached("w1"));
    yard.exits(&name, 0);
    assert!(!yard.is_attached("w1"));
    assert!(!yard.engine.expects(&named("w1")));
    assert_eq!(yard.end_of(&name).unwrap().result, BuildResult::Success);
    yard.attach("w1", 2);
    assert!(!yard.is_attached("w1"), "nothing of it is needed");
}

#[test]
fn an_idle_worker_that_is_removed_is_sent_away_at_once() {
    let mut yard = Yard::new(&base("\"w1\", \"w2\"", ""));
    yard.attach("w1", 1);
    yard.becomes("w1", Readiness::Draining);
    yard.reload(&base("\"w2\"", ""));
    assert!(!yard.is_attached("w1"));
}

#[test]
fn a_removed_app_is_unknown_and_its_calls_run_on() {
    let mut yard = Yard::new(&base("\"w1\"", ""));
    yard.attach("w1", 1);
    let (runs, waits) = (yard.launch("ci"), yard.launch("ci"));
    yard.reload(&format!("{}{CI}\n", workers("\"w1\"", "")));
    let refused = crate::yard::refused(yard.call("ci", engine::LaunchWait::Follow));
    assert_eq!(refused, "unknown_app");
    yard.stop(&runs, "", StopOrder::KILL);
    yard.exits(&runs, 137);
    assert!(matches!(yard.requests[&yard.id(&waits)].state, RequestState::Running { .. }));
}

fn scheduler(keys: &str) -> String {
    format!(
        "{}scheduler.s = {{ change_source = \"{SOURCE}\", builders = [\"ci\"], {keys} }}\n",
        base("\"w1\"", "")
    )
}

fn change(yard: &mut Yard, branch: &str, file: &str) {
    yard.change(NewChange {
        branch: Some(branch.to_owned()),
        files: vec![file.as_bytes().to_vec()],
        ..NewChange::default()
    });
}

/// Returns how many changes each request stands for.
fn made(yard: &Yard) -> Vec<usize> {
    yard.requests.values().map(|request| request.changes.len()).collect()
}

#[test]
fn a_stable_timer_runs_from_its_last_change_by_what_the_scheduler_says_now() {
    for (new, passed, expected) in [
        ("type = \"any_branch\", stable_timer = \"60s\"", 10, 0),
        ("type = \"any_branch\", stable_timer = \"60s\"", 57, 1),
        ("type = \"any_branch\", stable_timer = \"4s\"", 2, 1),
        ("type = \"any_branch\", stable_timer = \"1s\"", 0, 1),
        ("type = \"any_branch\"", 0, 1),
    ] {
        for restart in [false, true] {
            let mut yard = Yard::new(&scheduler("type = \"any_branch\", stable_timer = \"10s\""));
            change(&mut yard, "main", "x");
            yard.wait(3 * SECOND);
            yard.reload(&scheduler(new));
            if restart {
                yard.restart();
            }
            yard.wait(passed * SECOND);
            assert_eq!(yard.requests.len(), expected, "{new} after {passed} s, {restart}");
        }
    }
}

#[test]
fn what_a_scheduler_holds_is_what_it_would_take_now() {
    let both = "type = \"any_branch\", stable_timer = \"10s\"";
    for (new, expected) in [
        (both.to_owned(), vec![1, 1]),
        (both.replace("any", "single"), vec![2]),
        (format!("{}, branch = \"main\"", both.replace("any", "single")), vec![1]),
        (format!("{both}, filter = {{ branch = \"next\" }}"), vec![1]),
        (format!("{both}, important_files = [\"src/**\"]"), vec![1]),
        (format!("{both}, filter = {{ branch = \"none\" }}"), vec![]),
    ] {
        let mut yard = Yard::new(&scheduler(both));
        change(&mut yard, "main", "src/x");
        change(&mut yard, "next", "README");
        yard.reload(&scheduler(&new));
        yard.wait(11 * SECOND);
        assert_eq!(made(&yard), expected, "{new}");
        assert_eq!(yard.engine.durable().rows().pending, []);
        let held = yard.engine.durable().rows().changes.len();
        assert_eq!(held, expected.iter().sum::<usize>(), "{new}");
    }
}

#[test]
fn a_removed_scheduler_lets_go_of_what_it_holds_and_an_equal_one_of_nothing() {
    let held = scheduler("type = \"any_branch\", stable_timer = \"10s\"");
    let mut yard = Yard::new(&held);
    change(&mut yard, "main", "x");
    let rows = yard.engine.durable().rows();
    yard.reload(&held);
    assert_eq!(yard.engine.durable().rows(), rows);
    yard.reload(&base("\"w1\"", ""));
    assert_eq!(yard.engine.durable().rows().changes, []);
    assert_eq!(yard.engine.deadline(), None);
}

/// A configuration that is drawn.
#[derive(Debug, Clone)]
struct Drawn {
    builders: BTreeMap<&'static str, (bool, u8)>,
    names: Vec<&'static str>,
    max_builds: Option<u32>,
    timer: Option<u32>,
    kind: &'static str,
}

impl Drawn {
    fn text(&self) -> String {
        let names = ["w0"].iter().chain(&self.names).map(|name| format!("{name:?}"));
        let names: Vec<String> = names.collect();
        let most = self.max_builds.map(|most| format!(", max_builds = {most}")).unwrap_or_default();
        let mut text = format!("worker.all = {{ names = [{}]{most} }}\n", names.join(", "));
        text.push_str("worker.few = { names = [\"w3\"] }\n");
        for (name, (is_few, step)) in &self.builders {
            let group = if *is_few { "few" } else { "all" };
            text.push_str(&format!(
                "builder.{name} = {{ workers = [\"{group}\"], steps = [{{ name = \"s{step}\", command = [\"x\"] }}] }}\n\
                 app.{name} = {{ builder = \"{name}\", on_disconnect = \"keep\" }}\n"
            ));
        }
        if let (Some(builder), Some(timer)) = (self.builders.keys().next(), self.timer) {
            let kind = self.kind;
            text.push_str(&format!(
                "scheduler.s = {{ type = \"{kind}\", change_source = \"{SOURCE}\", builders = [\"{builder}\"], stable_timer = \"{timer}s\" }}\n"
            ));
        }
        text
    }
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let builders = proptest::collection::btree_map(
        proptest::sample::select(vec!["a", "b", "c"]),
        (any::<bool>(), 0..3u8),
        0..4,
    );
    let names = proptest::sample::subsequence(vec!["w1", "w2", "w3"], 0..4);
    let kinds = proptest::sample::select(vec!["any_branch", "single_branch"]);
    (builders, names, proptest::option::of(1..4u32), proptest::option::of(1..20u32), kinds)
        .prop_map(|(builders, names, max_builds, timer, kind)| Drawn {
            builders,
            names,
            max_builds,
            timer,
            kind,
        })
}

/// Something that happens to a yard.
#[derive(Debug, Clone)]
enum Happening {
    Launch(&'static str),
    Change(&'static str),
    Attach(&'static str, u32),
    Detach(&'static str),
    End(&'static str, usize),
    Wait(i64),
}

fn happening() -> impl Strategy<Value = Happening> {
    let worker = || proptest::sample::select(vec!["w1", "w2", "w3"]);
    let builder = proptest::sample::select(vec!["a", "b", "c"]);
    prop_oneof![
        3 => builder.prop_map(Happening::Launch),
        2 => proptest::sample::select(vec!["main", "next"]).prop_map(Happening::Change),
        3 => (worker(), 1..4u32).prop_map(|(worker, most)| Happening::Attach(worker, most)),
        1 => worker().prop_map(Happening::Detach),
        1 => (worker(), 0..3usize).prop_map(|(worker, which)| Happening::End(worker, which)),
        1 => (0..8i64).prop_map(Happening::Wait),
    ]
}

fn let_happen(yard: &mut Yard, happening: &Happening) {
    match happening {
        Happening::Launch(app) => drop(yard.call(app, engine::LaunchWait::Detach)),
        Happening::Change(branch) => change(yard, branch, "x"),
        Happening::Attach(worker, most) if !yard.is_attached(worker) => {
            // The port lets nobody in whom the engine does not expect.
            if yard.engine.expects(&named(worker)) {
                yard.attach(worker, *most);
            }
        }
        Happening::Detach(worker) if yard.is_attached(worker) => yard.detach(worker),
        Happening::Attach(..) | Happening::Detach(_) => {}
        Happening::End(worker, which) => yard.one_ends(worker, *which, 0),
        Happening::Wait(seconds) => yard.wait(seconds * SECOND),
    }
}

/// No worker was given a build for which it had no place; those it has stay.
fn check_places(yard: &Yard, before: &engine::Rows) {
    let after = yard.engine.durable().rows();
    for build in &before.builds {
        let kept = after.builds.iter().find(|row| row.id == build.id);
        assert_eq!(kept, Some(build), "a running build is as it was");
    }
    for command in &before.commands {
        let kept = after.commands.iter().find(|row| row.id() == command.id());
        assert_eq!(kept, Some(command), "a command is as it was");
    }
    for worker in ["w1", "w2", "w3"].map(named) {
        let count =
            |rows: &engine::Rows| rows.builds.iter().filter(|build| build.worker == worker).count();
        if count(&after) > count(before) {
            let capacity = yard.engine.attached(&worker).map_or(0, |(_, capacity)| capacity);
            assert!(count(&after) <= capacity as usize, "{worker} has more than its places");
        }
    }
}

/// Whatever waits can be served, once there is a worker.
fn check_nobody_is_lost(yard: &Yard) {
    let settings = yard.engine.settings();
    for request in yard.engine.durable().requests() {
        if request.state == RequestState::Waiting {
            let builder = settings.builders.get(&request.builder);
            let groups = builder.map(|builder| builder.workers.clone()).unwrap_or_default();
            let can_run = groups.iter().any(|group| settings.workers.contains_key(group));
            assert!(can_run, "{} waits for nothing", request.name);
        }
    }
}

proptest! {
    /// `Yard::reload` holds what happens against what was foreseen, and `Yard::happens` the state
    /// against what a restart would find.
    #[test]
    fn any_configuration_takes_the_place_of_any_other(
        one in drawn(),
        other in drawn(),
        before in proptest::collection::vec(happening(), 0..24),
        after in proptest::collection::vec(happening(), 0..8),
        cancels in any::<bool>(),
    ) {
        let mut yard = Yard::new(&one.text());
        before.iter().for_each(|happening| let_happen(&mut yard, happening));
        let rows = yard.engine.durable().rows();
        yard.reload(&one.text());
        prop_assert_eq!(&yard.engine.durable().rows(), &rows, "the same changes nothing");
        if cancels {
            yard.reload_and_cancel(&other.text());
        } else {
            yard.reload(&other.text());
        }
        check_places(&yard, &rows);
        check_nobody_is_lost(&yard);
        let settled = yard.engine.durable().rows();
        let deadline = yard.engine.deadline();
        // A start with it finds nothing more to do.
        let mut again = yard.engine.clone();
        let due = Event::Due;
        prop_assert_eq!(again.handle(yard.now, due.clone()).writes.len(), yard.engine.clone().handle(yard.now, due).writes.len());
        yard.restart();
        prop_assert_eq!(&yard.engine.durable().rows(), &settled);
        prop_assert_eq!(yard.engine.deadline().is_some(), deadline.is_some());
        after.iter().for_each(|happening| let_happen(&mut yard, happening));
        yard.reload(&one.text());
        check_nobody_is_lost(&yard);
        let back = yard.engine.settings();
        prop_assert!(one.builders.keys().all(|name| back.builders.contains_key(&named(name))));
        prop_assert_eq!(&back.schedulers.len(), &usize::from(one.timer.is_some() && !one.builders.is_empty()));
    }
}
