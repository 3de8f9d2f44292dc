//! Questions of the command line: order, limits, names.

use engine::row::{Build, Command, RequestState};
use engine::{BuildId, BuildResult, RequestId, RequestName, Write};

use super::arbitrary::{build, command, request, samples};
use super::fixture::Yard;
use super::suite;
use crate::store::{RevisionFile, revision_of};

suite! {
    builds_are_listed_newest_first_by_pages_and_by_builder,
    a_name_means_the_latest_run,
    an_owner_finds_what_ended_last,
    commands_of_a_build_are_listed_by_part,
    configurations_are_kept_under_their_numbers,
    builders_for_which_something_waits_are_listed_once,
    what_does_not_exist_is_not_found,
}

/// Builds 1 to n of two builders in turn.
fn builds(n: i64) -> Vec<Build> {
    let mut rows = samples(build(), usize::try_from(n).unwrap());
    let builders = [rows[0].builder.clone(), config::Name::parse("other").unwrap()];
    for ((id, at), row) in (1..=n).zip([0, 1].into_iter().cycle()).zip(&mut rows) {
        row.id = BuildId(id);
        row.builder = builders[at].clone();
        row.name = RequestName { label: row.builder.clone(), number: id };
        row.rerun = 1;
    }
    rows
}

fn ids(builds: &[Build]) -> Vec<i64> {
    builds.iter().map(|build| build.id.0).collect()
}

async fn builds_are_listed_newest_first_by_pages_and_by_builder(yard: Yard) {
    let store = yard.store().await;
    let rows = builds(6);
    let writes: Vec<Write> = rows.iter().cloned().map(Write::Build).collect();
    store.commit(&writes).await.unwrap();
    let all = store.build_list(None, None, 4).await.unwrap();
    assert_eq!(ids(&all), [6, 5, 4, 3]);
    let older = store.build_list(None, Some(BuildId(3)), 4).await.unwrap();
    assert_eq!(ids(&older), [2, 1]);
    let of_one = store.build_list(Some("other"), None, 2).await.unwrap();
    assert_eq!(ids(&of_one), [6, 4]);
    assert_eq!(of_one[0], rows[5]);
}

async fn an_owner_finds_what_ended_last(yard: Yard) {
    let store = yard.store().await;
    let mut rows = samples(request(), 6);
    for (id, row) in (1..).zip(&mut rows) {
        row.id = RequestId(id);
        row.name.number = id;
        row.owner = if id == 5 { "unix:host:2" } else { "unix:host:1" }.to_owned();
        row.state = RequestState::Done {
            result: BuildResult::Success,
            reason: String::new(),
            exit_code: 0,
            // The first ended last, and two at the same time.
            ended_us: [60, 20, 30, 20, 70, 0][usize::try_from(id - 1).unwrap()],
        };
    }
    rows[5].state = RequestState::Waiting;
    let writes: Vec<Write> = rows.iter().cloned().map(Write::Request).collect();
    store.commit(&writes).await.unwrap();
    let found = store.request_ended("unix:host:1", 3).await.unwrap();
    assert_eq!(found.iter().map(|row| row.id.0).collect::<Vec<_>>(), [1, 3, 4]);
    assert_eq!(found[0], rows[0]);
    assert_eq!(store.request_ended("unix:host:1", 9).await.unwrap().len(), 4);
    assert_eq!(store.request_ended("unix:host:3", 9).await.unwrap(), []);
}

async fn a_name_means_the_latest_run(yard: Yard) {
    let store = yard.store().await;
    let mut rows = builds(3);
    rows[2].name = rows[0].name.clone();
    rows[2].rerun = 2;
    let name = rows[0].name.clone();
    store.commit(&rows.iter().cloned().map(Write::Build).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(store.build_by_name(&name, None).await.unwrap().as_ref(), Some(&rows[2]));
    assert_eq!(store.build_by_name(&name, Some(1)).await.unwrap().as_ref(), Some(&rows[0]));
    assert_eq!(store.build_by_name(&name, Some(3)).await.unwrap(), None);
}

async fn commands_of_a_build_are_listed_by_part(yard: Yard) {
    let store = yard.store().await;
    let mut rows: Vec<Command> = samples(command(), 4);
    for (part, row) in [2, 0, 1, 0].into_iter().zip(&mut rows) {
        (row.build, row.part) = (BuildId(7), part);
    }
    rows[3].build = BuildId(8);
    store.commit(&rows.iter().cloned().map(Write::Command).collect::<Vec<_>>()).await.unwrap();
    let listed = store.commands_of(BuildId(7)).await.unwrap();
    assert_eq!(listed, [rows[1].clone(), rows[2].clone(), rows[0].clone()]);
}

async fn configurations_are_kept_under_their_numbers(yard: Yard) {
    let store = yard.store().await;
    let file = |text: &[u8]| RevisionFile { path: b"m\xff.toml".to_vec(), text: text.to_vec() };
    let one = revision_of(1, vec![file(b"a"), file(b"b")], 10);
    let two = revision_of(2, vec![file(b"ab"), file(b"")], 30);
    assert_ne!(one.sha256, two.sha256);
    assert_eq!(store.revision_newest().await.unwrap(), None);
    store.revision_put(&one).await.unwrap();
    assert!(store.revision_put(&one).await.is_err(), "a number is given once");
    // A running engine writes its own.
    store.commit(&[Write::Revision(two.clone())]).await.unwrap();
    assert_eq!(store.revision_get(1).await.unwrap(), Some(one));
    assert_eq!(store.revision_newest().await.unwrap(), Some(two));
}

async fn builders_for_which_something_waits_are_listed_once(yard: Yard) {
    let store = yard.store().await;
    let mut rows = samples(request(), 5);
    let done = RequestState::Done {
        result: BuildResult::Success,
        reason: String::new(),
        exit_code: 0,
        ended_us: 1,
    };
    let running = RequestState::Running { build: BuildId(1) };
    let waiting = RequestState::Waiting;
    let states = [waiting.clone(), waiting.clone(), waiting, running, done];
    let builders = ["b", "a", "b", "c", "d"];
    for (((row, state), builder), id) in rows.iter_mut().zip(states).zip(builders).zip(1..) {
        (row.id, row.name.number, row.state) = (RequestId(id), id, state);
        row.builder = config::Name::parse(builder).unwrap();
    }
    store.commit(&rows.into_iter().map(Write::Request).collect::<Vec<_>>()).await.unwrap();
    let found = store.request_builders().await.unwrap();
    assert_eq!(found.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

async fn what_does_not_exist_is_not_found(yard: Yard) {
    let store = yard.store().await;
    let name = RequestName { label: config::Name::parse("ci").unwrap(), number: 1 };
    let id = attempt::CommandId { incarnation: 1, counter: 1 };
    assert_eq!(store.change_by_id(engine::ChangeId(1)).await.unwrap(), None);
    assert_eq!(store.request_by_id(RequestId(1)).await.unwrap(), None);
    assert_eq!(store.request_by_name(&name).await.unwrap(), None);
    assert_eq!(store.build_by_id(BuildId(1)).await.unwrap(), None);
    assert_eq!(store.build_by_name(&name, None).await.unwrap(), None);
    assert_eq!(store.command_by_id(id).await.unwrap(), None);
    assert_eq!(store.commands_of(BuildId(1)).await.unwrap(), []);
    assert_eq!(store.key_find("a", "b").await.unwrap(), None);
    assert_eq!(store.log_of(id).await.unwrap(), None);
    assert_eq!(store.revision_get(1).await.unwrap(), None);
    assert_eq!(store.build_list(None, None, 10).await.unwrap(), []);
}
