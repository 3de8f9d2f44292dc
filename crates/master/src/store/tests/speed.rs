//! How many batches a second the disk takes. Run by hand, in release:
//! `cargo test --release -p master store::tests::speed -- --ignored --nocapture --test-threads 1`

use std::time::Instant;

use engine::{BuildId, Write};

use super::arbitrary::{build, command, request, samples};
use super::fixture::{Yard, on_postgres, on_sqlite};

#[test]
#[ignore = "a measurement"]
fn batches_per_second_on_sqlite() {
    on_sqlite(batches_per_second);
}

#[test]
#[ignore = "a measurement"]
fn batches_per_second_on_postgres() {
    on_postgres("batches_per_second", batches_per_second);
}

async fn batches_per_second(yard: Yard) {
    let store = yard.store().await;
    let writes = rows(3000);
    for size in [1, 10, 100] {
        let batches = 3000 / size;
        let began = Instant::now();
        for batch in writes.chunks(size).take(batches) {
            store.commit(batch).await.unwrap();
        }
        let seconds = began.elapsed().as_secs_f64();
        let per_second = f64::from(u32::try_from(batches).unwrap()) / seconds;
        println!("{}: {size} writes a batch: {per_second:.0} batches/s", yard.url);
    }
}

/// A mix like that of running builds: requests, builds and commands.
fn rows(n: usize) -> Vec<Write> {
    let mut requests = samples(request(), n / 3);
    let mut builds = samples(build(), n / 3);
    let mut commands = samples(command(), n / 3);
    for (id, request) in (0..).zip(&mut requests) {
        (request.id, request.name.number) = (engine::RequestId(id), id);
    }
    for (id, build) in (0..).zip(&mut builds) {
        (build.id, build.name.number) = (BuildId(id), id);
    }
    for (id, command) in (0..).zip(&mut commands) {
        command.half.id = attempt::CommandId { incarnation: 1, counter: id };
        command.build = BuildId(id);
    }
    let thirds = requests.into_iter().zip(builds).zip(commands);
    thirds
        .flat_map(|((request, build), command)| {
            [Write::Request(request), Write::Build(build), Write::Command(command)]
        })
        .collect()
}
