//! A run from its seed to its verdict.

use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;

use crate::cycle::{Cycle, Scene};
use crate::evidence::{self, Evidence};
use crate::fault::Family;
use crate::fleet::{Fleet, Wiring};
use crate::verdict::{self, Finding, Kind};
use crate::{Arguments, sabotage, say};

/// For everything to end after the last fault.
const TO_SETTLE: Duration = Duration::from_secs(50);
/// How many violations are written out.
const MOST_SHOWN: usize = 40;
/// Between two words about the progress.
const WORD: Duration = Duration::from_secs(10);

/// Plays the cycles, then compares everything that is left.
pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    let families = &arguments.faults;
    let wiring = if families.contains(&Family::Net) { Wiring::Proxied } else { Wiring::Direct };
    let fleet = Fleet::start(wiring, arguments.seed).context("start master and workers")?;
    let mut scene = Scene::new(fleet)?;
    play(&mut scene, arguments)?;
    scene.settle(TO_SETTLE)?;
    scene.fleet.end();
    if let Some(what) = arguments.sabotage {
        sabotage::spoil(&scene.fleet.yard, what).context("spoil what the run left")?;
    }
    let evidence = gather(&mut scene)?;
    let mut findings = verdict::judge(&evidence);
    let seen = scene.seen.drain(..).map(|what| Finding { kind: Kind::Lost, what });
    findings.extend(seen);
    for finding in findings.iter().take(MOST_SHOWN) {
        say(&finding.to_string());
    }
    let is_clean = findings.is_empty();
    if arguments.keep || !(is_clean || arguments.sabotage.is_some()) {
        say(&format!("everything is left in {}", scene.fleet.yard.keep().display()));
    }
    report(arguments, &scene, &evidence, &findings, begun.elapsed());
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn play(scene: &mut Scene, arguments: &Arguments) -> anyhow::Result<()> {
    let mut word = Instant::now();
    for number in 0..arguments.cycles {
        let cycle = Cycle::draw(arguments.seed, number, &arguments.faults);
        let what = format!("cycle {number} of seed {}: {cycle:?}", arguments.seed);
        scene.play(cycle).with_context(|| what)?;
        if word.elapsed() > WORD {
            word = Instant::now();
            say(&format!("{} of {} cycles", number + 1, arguments.cycles));
        }
    }
    Ok(())
}

fn gather(scene: &mut Scene) -> anyhow::Result<Evidence> {
    let mut evidence = evidence::read(&scene.fleet.yard)?;
    evidence.told = std::mem::take(&mut scene.callers.told);
    evidence.killed = std::mem::take(&mut scene.killed);
    for entry in fs::read_dir(scene.fleet.write_logs()?).context("list the daemons' logs")? {
        let path = entry?.path();
        let log = fs::read_to_string(&path).context("read a daemon's log")?;
        let panics = log.lines().filter(|line| line.contains("panicked at"));
        evidence.panics.extend(panics.map(|line| format!("{}: {line}", path.display())));
    }
    Ok(evidence)
}

fn report(
    arguments: &Arguments,
    scene: &Scene,
    evidence: &Evidence,
    findings: &[Finding],
    took: Duration,
) {
    let count = |kind| findings.iter().filter(|finding| finding.kind == kind).count();
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let times = scene.fleet.times;
    let release_us = evidence
        .commands
        .iter()
        .filter_map(|command| Some(command.ended_us? - evidence.killed.get(&command.id)?));
    let summary = json!({
        "cycles": arguments.cycles,
        "builds": evidence.requests.len(),
        "lost": count(Kind::Lost),
        "twice": count(Kind::Twice),
        "wrong": count(Kind::Wrong),
        "gaps": count(Kind::Gap),
        "slowest_adoption_ms": ms(times.adoption),
        "slowest_stop_ms": ms(times.stop),
        "slowest_tree_ms": ms(scene.slowest_tree),
        "slowest_release_ms": release_us.max().unwrap_or(0) / 1_000,
        "shims_killed": evidence.killed.len(),
        "seed": arguments.seed,
        "seconds": took.as_secs(),
    });
    if arguments.json {
        say(&summary.to_string());
        return;
    }
    for (name, value) in summary.as_object().into_iter().flatten() {
        say(&format!("{name:>20}  {value}"));
    }
}
