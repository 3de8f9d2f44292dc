//! Generators of rows with extreme values. Every struct is written out field by field, so a new
//! field does not compile before it is generated.

use std::collections::BTreeMap;
use std::time::Duration;

use attempt::master::State;
use attempt::{CommandId, LostReason, Outcome, Place, StopOrder};
use config::template::{Argument, FieldPath, Root, Template};
use config::{Condition, Context, Decode as _, Name, Node, NodeKind, Span, Value};
use engine::lock::{Access, Claim};
use engine::property::{Properties, Property, Source};
use engine::resources::Resources;
use engine::result::{Exit, Flags};
use engine::row::{
    Build, Change, Command, Counter, Launch, OnDisconnect, Pending, Request, RequestState,
    SourceHeads, StepProgress, StepState, SubmissionKey, User,
};
use engine::step::{
    CommandStep, ExitCodes, GitMethod, GitMode, GitStep, Repository, ScriptStep, Step, StepKind,
};
use engine::{
    BuildId, BuildResult, BuildsetId, ChangeId, Hindrance, Plan, RequestId, RequestName, Waits,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::super::LogRow;

/// Returns as many values as asked for, the same ones in every run.
pub(super) fn samples<T: std::fmt::Debug>(strategy: impl Strategy<Value = T>, n: usize) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    (0..n).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

fn int() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), Just(i64::MIN), Just(i64::MAX), any::<i64>()]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("nul \0 and escape \u{1a}@Z".to_owned()),
        "[\0\u{1a}\u{1f}'\"$1\\\\]{0,6}",
        ".{0,12}",
    ]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(Vec::new()), Just(b"\0\xff\xc3(".to_vec()), vec(any::<u8>(), 0..40)]
}

fn name() -> impl Strategy<Value = Name> {
    "[A-Za-z0-9][A-Za-z0-9._-]{0,63}".prop_map(|text| Name::parse(&text).unwrap())
}

fn result() -> impl Strategy<Value = BuildResult> {
    proptest::sample::select(BuildResult::ALL.to_vec())
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        int().prop_map(Value::Int),
        (-1e300..1e300_f64).prop_map(Value::Float),
        text().prop_map(Value::Str),
        bytes().prop_map(Value::Bytes),
        any::<u32>().prop_map(|ms| Value::Duration(Duration::from_millis(ms.into()))),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::List),
            btree_map(text(), inner, 0..4).prop_map(Value::Map),
        ]
    })
}

fn properties() -> impl Strategy<Value = Properties> {
    let source = prop_oneof![
        Just(Source::Default),
        Just(Source::Global),
        Just(Source::Change),
        name().prop_map(Source::Scheduler),
        name().prop_map(Source::App),
        Just(Source::Builder),
        name().prop_map(Source::Worker),
        Just(Source::Build),
        name().prop_map(Source::Step),
        Just(Source::Caller),
    ];
    let property = (value(), source).prop_map(|(value, source)| Property { value, source });
    btree_map(text(), property, 0..3)
}

pub(super) fn counter() -> impl Strategy<Value = Counter> {
    (text(), int()).prop_map(|(name, value)| Counter { name, value })
}

pub(super) fn heads() -> impl Strategy<Value = SourceHeads> {
    (name(), btree_map(text(), text(), 0..4))
        .prop_map(|(source, heads)| SourceHeads { source, heads })
}

pub(super) fn pending() -> impl Strategy<Value = Pending> {
    (name(), text(), vec(int().prop_map(ChangeId), 0..4), int(), int()).prop_map(
        |(scheduler, lane, changes, armed_us, stable_us)| Pending {
            scheduler,
            lane,
            changes,
            armed_us,
            stable_us,
        },
    )
}

pub(super) fn key() -> impl Strategy<Value = SubmissionKey> {
    let requests = vec(request_name(), 0..3);
    (text(), text(), any::<u64>(), int(), requests, vec(text(), 0..3), int()).prop_map(
        |(principal, key, body, change, requests, schedulers, accepted_us)| SubmissionKey {
            principal,
            key,
            body,
            change: ChangeId(change),
            requests,
            schedulers,
            accepted_us,
        },
    )
}

fn user() -> impl Strategy<Value = User> {
    (text(), any::<Option<u32>>(), any::<Option<u32>>(), text())
        .prop_map(|(name, uid, gid, home)| User { name, uid, gid, home })
}

fn launch() -> impl Strategy<Value = Launch> {
    (name(), vec(bytes(), 0..4), vec((bytes(), bytes()), 0..4), bytes(), text(), user())
        .prop_map(|(app, args, env, cwd, host, user)| Launch { app, args, env, cwd, host, user })
}

fn values() -> impl Strategy<Value = BTreeMap<String, Value>> {
    btree_map(text(), value(), 0..4)
}

pub(super) fn change() -> impl Strategy<Value = Change> {
    let names = (int(), name(), text(), option::of(text()), option::of(text()));
    let places = (option::of(text()), text(), text(), text());
    let contents = (bytes(), bytes(), vec(bytes(), 0..4), values());
    let rest = (int(), int(), option::of(launch()), int());
    (names, places, contents, rest).prop_map(|(names, places, contents, rest)| {
        let (id, source, principal, category, branch) = names;
        let (revision, repository, project, codebase) = places;
        let (author, comments, files, properties) = contents;
        let (when_us, accepted_us, launch, holders) = rest;
        Change {
            id: ChangeId(id),
            source,
            principal,
            category,
            branch,
            revision,
            repository,
            project,
            codebase,
            author,
            comments,
            files,
            properties,
            when_us,
            accepted_us,
            launch,
            holders,
        }
    })
}

fn request_name() -> impl Strategy<Value = RequestName> {
    (name(), int()).prop_map(|(label, number)| RequestName { label, number })
}

fn request_state() -> impl Strategy<Value = RequestState> {
    prop_oneof![
        Just(RequestState::Waiting),
        int().prop_map(|into| RequestState::Merged { into: RequestId(into) }),
        int().prop_map(|build| RequestState::Running { build: BuildId(build) }),
        (result(), text(), any::<u8>(), int()).prop_map(|(result, reason, exit_code, ended_us)| {
            RequestState::Done { result, reason, exit_code, ended_us }
        }),
    ]
}

pub(super) fn request() -> impl Strategy<Value = Request> {
    let ids = (int(), request_name(), name(), int(), int(), vec(int().prop_map(ChangeId), 0..4));
    let on_disconnect = prop_oneof![Just(OnDisconnect::Cancel), Just(OnDisconnect::Keep)];
    let asked = (option::of(name()), any::<i32>(), any::<bool>(), waits());
    let rest = (text(), text(), asked, int(), on_disconnect, properties(), request_state());
    (ids, rest).prop_map(|(ids, rest)| {
        let (id, name, builder, buildset, change, changes) = ids;
        let (owner, reason, asked, submitted_us, on_disconnect, properties, state) = rest;
        let (scheduler, priority, collapses, waits) = asked;
        Request {
            id: RequestId(id),
            name,
            builder,
            buildset: BuildsetId(buildset),
            change: ChangeId(change),
            changes,
            owner,
            reason,
            scheduler,
            priority,
            collapses,
            submitted_us,
            on_disconnect,
            properties,
            waits,
            state,
        }
    })
}

fn waits() -> impl Strategy<Value = Waits> {
    let hindrance = prop_oneof![
        name().prop_map(Hindrance::Lock),
        Just(Hindrance::Resources),
        Just(Hindrance::Worker),
        Just(Hindrance::Requirement),
        Just(Hindrance::NoWorker),
    ]
    .boxed();
    let spent = btree_map(hindrance.clone(), int(), 0..3);
    (spent, option::of((hindrance, int()))).prop_map(|(spent, now)| Waits { spent, now })
}

fn exit() -> impl Strategy<Value = Exit> {
    prop_oneof![any::<u8>().prop_map(Exit::Own), any::<u8>().prop_map(Exit::Ours)]
}

fn claims() -> impl Strategy<Value = Vec<Claim>> {
    let access = prop_oneof![Just(Access::Exclusive), any::<u32>().prop_map(Access::Counting)];
    vec((name(), access).prop_map(|(lock, access)| Claim { lock, access }), 0..3)
}

fn step_progress() -> impl Strategy<Value = StepProgress> {
    let state = prop_oneof![
        Just(StepState::Waiting),
        Just(StepState::Running),
        (int(), int()).prop_map(|(turn, since_us)| StepState::Blocked { turn, since_us }),
        (result(), exit()).prop_map(|(result, exit)| StepState::Done { result, exit }),
    ];
    (state, any::<u32>(), text(), int(), option::of(int()), option::of(int())).prop_map(
        |(state, attempts, detail, locks_us, started_us, ended_us)| StepProgress {
            state,
            attempts,
            detail,
            locks_us,
            started_us,
            ended_us,
        },
    )
}

fn repository() -> impl Strategy<Value = Repository> {
    (text(), option::of(text()), any::<bool>()).prop_map(|(url, branch, allow_local)| Repository {
        url,
        branch,
        allow_local,
    })
}

fn plan() -> impl Strategy<Value = Plan> {
    let repositories = btree_map(name(), repository(), 0..3);
    let amounts = vec((text(), any::<u64>()), 0..3).prop_map(Resources::new);
    let takes = (properties(), amounts, claims());
    (any::<u32>(), name(), vec(step(), 0..4), repositories, takes).prop_map(
        |(version, builder, steps, repositories, (properties, resources, locks))| Plan {
            version,
            builder,
            steps,
            repositories,
            properties,
            resources,
            locks,
        },
    )
}

pub(super) fn build() -> impl Strategy<Value = Build> {
    let ids = (int(), int(), request_name(), any::<i32>(), name(), name(), any::<u32>());
    let work = (int(), plan(), vec(step_progress(), 0..4), properties());
    let rest = (int(), option::of(text()), option::of((result(), int())));
    (ids, work, rest).prop_map(|(ids, work, rest)| {
        let (id, request, name, rerun, builder, worker, slot) = ids;
        let (revision, plan, steps, properties) = work;
        let (started_us, stop_reason, end) = rest;
        Build {
            id: BuildId(id),
            request: RequestId(request),
            name,
            rerun,
            builder,
            worker,
            slot,
            revision,
            plan,
            steps,
            properties,
            started_us,
            stop_reason,
            end,
        }
    })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let reasons: Vec<LostReason> = LostReason::WORDS.iter().map(|(reason, _)| *reason).collect();
    prop_oneof![
        any::<i32>().prop_map(Outcome::Exited),
        any::<i32>().prop_map(Outcome::Signal),
        Just(Outcome::Timeout),
        Just(Outcome::OutOfMemory),
        Just(Outcome::ProcessLimit),
        Just(Outcome::Cancelled),
        text().prop_map(Outcome::NotStarted),
        proptest::sample::select(reasons).prop_map(Outcome::Lost),
    ]
}

fn state() -> impl Strategy<Value = State> {
    let stop =
        (any::<i32>(), any::<u64>()).prop_map(|(signal, grace_ms)| StopOrder { signal, grace_ms });
    let stop = option::of(stop).boxed();
    prop_oneof![
        stop.clone().prop_map(|stop| State::Assigned { stop }),
        stop.clone().prop_map(|stop| State::Running { stop }),
        stop.prop_map(|stop| State::Doubtful { stop }),
        (outcome(), any::<u64>())
            .prop_map(|(outcome, log_bytes)| State::Ended { outcome, log_bytes }),
        Just(State::GivenUp),
        outcome().prop_map(|outcome| State::LogGivenUp { outcome }),
        outcome().prop_map(|outcome| State::Sealed { outcome }),
    ]
}

fn command_id() -> impl Strategy<Value = CommandId> {
    (any::<u64>(), int()).prop_map(|(incarnation, counter)| CommandId { incarnation, counter })
}

fn half() -> impl Strategy<Value = attempt::master::Command> {
    (command_id(), text(), text(), state()).prop_map(|(id, boot_id, spool_id, state)| {
        attempt::master::Command { id, place: Place { boot_id, spool_id }, state }
    })
}

pub(super) fn command() -> impl Strategy<Value = Command> {
    let number = any::<u32>;
    let place = (half(), int(), number(), number(), number(), name(), number(), claims());
    let times = (int(), option::of(int()), option::of(int()));
    (place, times).prop_map(|(place, times)| {
        let (half, build, step, part, attempt, worker, slot, locks) = place;
        let (assigned_us, began_us, ended_us) = times;
        Command {
            half,
            build: BuildId(build),
            step,
            part,
            attempt,
            worker,
            slot,
            locks,
            assigned_us,
            began_us,
            ended_us,
        }
    })
}

pub(super) fn log() -> impl Strategy<Value = LogRow> {
    let size = any::<u64>;
    let sizes = (size(), size(), size(), size(), size(), size());
    (command_id(), sizes, text(), any::<[u8; 32]>(), int()).prop_map(
        |(command, sizes, sealed_path, sha256, sealed_us)| {
            let (record_bytes, sealed_bytes, out_bytes, err_bytes, out_lines, err_lines) = sizes;
            LogRow {
                command,
                record_bytes,
                sealed_path,
                sealed_bytes,
                sha256,
                out_bytes,
                err_bytes,
                out_lines,
                err_lines,
                sealed_us,
            }
        },
    )
}

fn argument() -> impl Strategy<Value = Argument> {
    prop_oneof![
        text().prop_map(|text| Argument::Template(Template::literal(text))),
        vec(text(), 0..3)
            .prop_map(|fields| Argument::Splice(FieldPath { root: Root::Change, fields })),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    let texts = ["true", "prop.x == 1 && has(prop.y)", "change.files.exists(f, f.startsWith('a'))"];
    proptest::sample::select(texts.to_vec()).prop_map(|text| {
        let node = Node { span: Span::default(), kind: NodeKind::Text(text.to_owned()) };
        Condition::decode(&node, &mut Context::new(&[], Vec::new())).unwrap()
    })
}

fn step_kind() -> impl Strategy<Value = StepKind> {
    let method = proptest::sample::select(vec![
        GitMode::Incremental,
        GitMode::Full(GitMethod::Clobber),
        GitMode::Full(GitMethod::Fresh),
        GitMode::Full(GitMethod::Clean),
        GitMode::Full(GitMethod::Copy),
    ]);
    prop_oneof![
        (name(), option::of(text()), method)
            .prop_map(|(source, branch, mode)| StepKind::Git(GitStep { source, branch, mode })),
        vec(argument(), 0..4).prop_map(|argv| StepKind::Command(CommandStep { argv })),
        text().prop_map(|body| StepKind::Script(ScriptStep { body })),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let times = (any::<Option<Duration>>(), any::<Option<Duration>>());
    let sizes = (any::<Option<u64>>(), any::<Option<u32>>(), any::<Option<u64>>());
    let limits = (times, sizes);
    let flags = proptest::sample::select(vec![Flags::HALT, Flags::CONTINUE, Flags::WARN]);
    let codes = btree_map(any::<u8>(), result(), 0..3).prop_map(ExitCodes);
    let meaning = (codes, flags, option::of(condition()), claims());
    let env = vec((text(), text().prop_map(Template::literal)), 0..3);
    let names = (name(), step_kind(), env, option::of(text()), option::of(text()));
    (names, limits, meaning, any::<bool>(), any::<bool>()).prop_map(
        |(
            (name, kind, env, workdir, set_properties),
            ((timeout, silence_timeout), (max_output_bytes, max_processes, memory_bytes)),
            (exit_codes, flags, when, locks),
            always_run,
            retry_safe,
        )| Step {
            name,
            kind,
            env,
            workdir,
            timeout,
            silence_timeout,
            max_output_bytes,
            max_processes,
            memory_bytes,
            locks,
            when,
            set_properties,
            exit_codes,
            flags,
            always_run,
            retry_safe,
        },
    )
}
