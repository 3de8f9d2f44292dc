//! The configuration under which the simulated master runs: a few builders that between them use
//! every rule the engine has.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use config::filter::ChangeFilter;
use config::template::{Argument, FieldPath, Root, Template};
use config::{Condition, Context, Decode as _, Name, Node, NodeKind, Span, Value};
use engine::lock::{Access, Claim, Lock, Scope};
use engine::resources::Resources;
use engine::result::Flags;
use engine::row::OnDisconnect;
use engine::scheduler::{
    AnyBranch, Cancelling, Importance, Scheduler, SchedulerKind, SingleBranch,
};
use engine::settings::{App, Builder, Settings, WorkerGroup};
use engine::step::{CommandStep, ExitCodes, Step, StepKind};
use engine::variable::Pattern;
use engine::{BuildResult, Placement};

/// The source that polls.
pub(crate) const POLLED: &str = "git";
/// The source by which clients submit.
pub(crate) const SUBMITTED: &str = "launch";

/// How a simulated program behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// Ends well.
    Fine,
    /// Ends well or not.
    Flaky,
    /// Ends only when it is told to.
    Endless,
}

impl Program {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Fine, "fine"), (Self::Flaky, "flaky"), (Self::Endless, "endless")];

    /// Reads the program of a start order.
    pub(crate) fn of(argv: &[Vec<u8>]) -> Self {
        let word = argv.first().map(Vec::as_slice).unwrap_or_default();
        let known = Self::ALL.iter().find(|(_, known)| known.as_bytes() == word);
        known.map(|(program, _)| *program).expect("a start order names a program of the yard")
    }

    fn step(self, name: &str) -> Step {
        let word = Self::ALL.iter().find(|(program, _)| *program == self).map(|(_, word)| *word);
        let mut argv = vec![Argument::Template(Template::literal(word.unwrap_or_default()))];
        argv.extend(SHOWN.map(|name| {
            Argument::Splice(FieldPath { root: Root::Prop, fields: vec![name.to_owned()] })
        }));
        Step {
            name: named(name),
            kind: StepKind::Command(CommandStep { argv }),
            env: Vec::new(),
            workdir: None,
            timeout: None,
            silence_timeout: None,
            max_output_bytes: None,
            max_processes: None,
            memory_bytes: None,
            locks: Vec::new(),
            when: None,
            set_properties: None,
            exit_codes: ExitCodes::default(),
            flags: Flags::HALT,
            always_run: false,
            retry_safe: false,
        }
    }
}

/// The properties that every program of the yard is given, in order.
pub(crate) const SHOWN: [&str; 3] = ["level", "site", "owner"];
/// What `level` is where nothing sets it.
pub(crate) const LEVEL: &str = "0";

fn claim(lock: &str, access: Access) -> Vec<Claim> {
    vec![Claim { lock: named(lock), access }]
}

fn gpus_of(amount: u64) -> Resources {
    Resources::new([("gpus".to_owned(), amount)])
}

fn property(name: &str, value: &str) -> BTreeMap<String, Value> {
    [(name.to_owned(), Value::Str(value.to_owned()))].into()
}

pub(crate) fn named(text: &str) -> Name {
    Name::parse(text).expect("the yard's names are good")
}

/// The machines, with the builds each takes at once.
pub(crate) const MACHINES: [(&str, u32); 3] = [("w1", 1), ("w2", 2), ("w3", 3)];

pub(crate) const APPS: [&str; 7] =
    ["tool", "kept", "endless", "large", "small", "licensed", "audit"];
/// The lock that builders take, of the whole master.
pub(crate) const LICENCE: &str = "licence";
/// Most units of it in any configuration.
pub(crate) const MOST_LICENCES: u32 = 3;
/// The lock that steps take, of each worker.
pub(crate) const TREE: &str = "tree";
/// The worker that has some of what `large` and `small` take.
pub(crate) const EQUIPPED: &str = "w2";
/// How much it has.
pub(crate) const GPUS: u64 = 2;

/// Makes the settings with which a run begins and ends.
pub(crate) fn settings() -> Settings {
    let group = |names: &[&str]| WorkerGroup {
        names: names.iter().map(|name| named(name)).collect(),
        max_builds: None,
        labels: Vec::new(),
        resources: Resources::default(),
        properties: BTreeMap::new(),
    };
    let builder = |workers: &str, steps: Vec<Step>| Builder {
        workers: vec![named(workers)],
        description: String::new(),
        properties: BTreeMap::new(),
        default_properties: property("level", LEVEL),
        when: None,
        require: None,
        resources: Resources::default(),
        locks: Vec::new(),
        placement: Placement::LeastLoaded,
        collapse_requests: false,
        steps,
    };
    let ci = vec![
        Step { retry_safe: true, ..Program::Fine.step("checkout") },
        Step {
            set_properties: Some("left.json".to_owned()),
            locks: claim(TREE, Access::Exclusive),
            ..Program::Flaky.step("build")
        },
        Step { flags: Flags::WARN, ..Program::Flaky.step("lint") },
        Step {
            flags: Flags::CONTINUE,
            set_properties: Some("left.json".to_owned()),
            ..Program::Flaky.step("test")
        },
        Step { always_run: true, retry_safe: true, ..Program::Fine.step("clean") },
    ];
    let docs = vec![Step { locks: claim(TREE, Access::Exclusive), ..Program::Fine.step("docs") }];
    let holding = |access, builder| Builder { locks: claim(LICENCE, access), ..builder };
    let taking = |gpus, builder| Builder { resources: gpus_of(gpus), ..builder };
    let builders = [
        ("ci", Builder { collapse_requests: true, ..builder("all", ci) }),
        ("judged", builder("all", judged())),
        ("docs", Builder { collapse_requests: true, ..builder("few", docs) }),
        ("tool", builder("all", vec![Program::Flaky.step("tool")])),
        ("large", taking(2, builder("all", vec![Program::Flaky.step("large")]))),
        ("small", taking(1, builder("all", vec![Program::Fine.step("small")]))),
        (
            "licensed",
            holding(Access::Counting(1), builder("all", vec![Program::Flaky.step("licensed")])),
        ),
        ("audit", holding(Access::Exclusive, builder("all", vec![Program::Fine.step("audit")]))),
        ("service", builder("all", vec![Program::Endless.step("service")])),
        ("nothing", builder("all", Vec::new())),
    ];
    let app = |builder: &str, on_disconnect| App {
        builder: named(builder),
        env: Pattern::parse("DISPLAY").into_iter().collect(),
        on_disconnect,
        summary: String::new(),
        priority: 0,
        properties: BTreeMap::new(),
    };
    let urgent = App { priority: 3, ..app("tool", OnDisconnect::Cancel) };
    let apps = [
        ("tool", urgent),
        ("kept", app("tool", OnDisconnect::Keep)),
        ("endless", app("service", OnDisconnect::Cancel)),
        ("large", app("large", OnDisconnect::Cancel)),
        ("small", app("small", OnDisconnect::Keep)),
        ("licensed", app("licensed", OnDisconnect::Keep)),
        ("audit", app("audit", OnDisconnect::Cancel)),
    ];
    let few = WorkerGroup {
        properties: property("site", "few"),
        resources: gpus_of(GPUS),
        ..group(&[EQUIPPED])
    };
    Settings {
        revision: 0,
        workers: [("all", group(&["w1", "w2", "w3"])), ("few", few)]
            .map(|(name, group)| (named(name), group))
            .into(),
        schedulers: schedulers(),
        locks: [(LICENCE, Scope::Master, 2), (TREE, Scope::Worker, 1)]
            .map(|(name, scope, max)| {
                (named(name), Lock { scope, max, max_for_worker: BTreeMap::new() })
            })
            .into(),
        builders: builders.map(|(name, builder)| (named(name), builder)).into(),
        retired: BTreeSet::new(),
        apps: apps.map(|(name, app)| (named(name), app)).into(),
        repositories: BTreeMap::new(),
        properties: property("site", "global"),
        changeport: Some(named(SUBMITTED)),
    }
}

fn condition(text: &str) -> Option<Condition> {
    let kind = NodeKind::Text(text.to_owned());
    Condition::decode(&Node { span: Span::default(), kind }, &mut Context::new(&[], Vec::new()))
}

/// Steps whose programs have something to say, and which mean different things for their build.
fn judged() -> Vec<Step> {
    let codes = [(4, BuildResult::Warnings), (5, BuildResult::Skipped)];
    let step = |name, flags| Step {
        set_properties: Some("left.json".to_owned()),
        exit_codes: ExitCodes(codes.into()),
        flags,
        ..Program::Flaky.step(name)
    };
    let harmless = Flags { flunk_on_failure: false, ..Flags::CONTINUE };
    vec![
        step("harmless", harmless),
        step("strict", Flags { flunk_on_warnings: true, ..Flags::CONTINUE }),
        step("gate", Flags { halt_on_failure: true, ..harmless }),
        Step { when: condition("prop.level == \"0\""), ..step("first", harmless) },
        Step {
            when: condition("prop.level != \"0\""),
            ..step("tidy", Flags { warn_on_warnings: true, ..Flags::WARN })
        },
        Step { always_run: true, ..step("report", harmless) },
    ]
}

fn schedulers() -> BTreeMap<Name, Scheduler> {
    let scheduler = |name: &str, source: &str, builders: &[&str], stable, kind| Scheduler {
        name: named(name),
        change_source: named(source),
        filter: ChangeFilter::default(),
        importance: Importance::default(),
        stable_timer: stable,
        builders: builders.iter().map(|name| named(name)).collect(),
        priority: 0,
        cancelling: Cancelling::default(),
        properties: BTreeMap::new(),
        kind,
    };
    let five_seconds = Some(Duration::from_secs(5));
    let any = SchedulerKind::AnyBranch(AnyBranch {});
    let main = SchedulerKind::SingleBranch(SingleBranch { branch: Some("main".to_owned()) });
    let important = |only, scheduler: Scheduler| Scheduler {
        importance: Importance { files: vec!["src/**".to_owned()], only },
        ..scheduler
    };
    let old_builds = Cancelling { old_builds: true, failing_buildsets: false };
    let failing_buildsets = Cancelling { old_builds: false, failing_buildsets: true };
    let with_site =
        |scheduler: Scheduler| Scheduler { properties: property("site", "scheduler"), ..scheduler };
    [
        important(false, scheduler("any", POLLED, &["ci"], five_seconds, any)),
        Scheduler {
            cancelling: failing_buildsets,
            ..with_site(scheduler("main", POLLED, &["ci", "docs", "judged"], None, main.clone()))
        },
        Scheduler {
            cancelling: old_builds,
            ..important(
                true,
                scheduler("sent", SUBMITTED, &["docs", "nothing"], five_seconds, main),
            )
        },
    ]
    .into_iter()
    .map(|scheduler| (scheduler.name.clone(), scheduler))
    .collect()
}
