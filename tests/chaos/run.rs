//! A run from its seed to its verdict.

use std::fs;
use std::io::Write as _;
use std::ops::Range;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use e2e::{Build, SickDisk};
use serde_json::json;

use crate::baseline::Baseline;
use crate::cycle::{Cycle, Scene};
use crate::evidence::{self, Evidence};
use crate::fault::{Disk, Family};
use crate::fleet::{Clocks, Disks, Fleet, Grounds, Pushes, State, Wiring};
use crate::memory::{self, Memory};
use crate::verdict::{self, Finding, Kind};
use crate::{Arguments, clock, host, power, sabotage, say, say_summary};

/// For everything to end after the last fault.
const TO_SETTLE: Duration = Duration::from_secs(50);
/// For a daemon to end after SIGTERM.
const TO_STOP: Duration = Duration::from_secs(2);
/// For the processes and the place of a command after its shim was killed.
const TO_RELEASE: Duration = Duration::from_secs(1);
/// For a master to notice that a worker's machine is silent.
const TO_NOTICE: Duration = Duration::from_millis(proto::limits::SILENCE_MS + 2_000);
/// How many violations are written out.
const MOST_SHOWN: usize = 40;
/// Between two words about the progress.
const WORD: Duration = Duration::from_secs(10);

/// Plays the cycles, then compares everything that is left.
pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    let wiring = wiring(&arguments.faults)?;
    let families = possible(&arguments.faults)?;
    let has = |family| families.contains(&family);
    let grounds = Grounds {
        build: Build::Plain,
        state: State::Sqlite,
        pushes: Pushes::No,
        wiring,
        disks: if has(Family::Disk) { Disks::Own } else { Disks::Shared },
        clocks: if has(Family::Clock) { Clocks::Own } else { Clocks::Shared },
    };
    let fleet = Fleet::start(grounds, arguments.seed).context("start master and workers")?;
    let baseline = Baseline::take(&fleet);
    let mut scene = Scene::new(fleet)?;
    let warm_up = memory::warm_up(&families, arguments.cycles);
    play(&mut scene, arguments, &families, 0..warm_up.unwrap_or(0))?;
    let warm = warm_up.map(|_cycle| rest(&mut scene, &baseline)).transpose()?;
    play(&mut scene, arguments, &families, warm_up.unwrap_or(0)..arguments.cycles)?;
    scene.go_silent(Cycle::draw(arguments.seed, arguments.cycles, &families).into_launches())?;
    if let Some(warm) = warm {
        scene.drift = warm.drift(&rest(&mut scene, &baseline)?);
        scene.drift.words().for_each(|line| say(&line));
    }
    let (evidence, findings) = conclude(&mut scene, &baseline, arguments)?;
    let is_clean = findings.is_empty();
    report(arguments, &scene, &evidence, &findings, begun.elapsed());
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Lets everything come to its end, compares what is left, and tells what is wrong with it.
pub(crate) fn conclude(
    scene: &mut Scene,
    baseline: &Baseline,
    arguments: &Arguments,
) -> anyhow::Result<(Evidence, Vec<Finding>)> {
    scene.settle(TO_SETTLE)?;
    let mut left = baseline.left_in(&scene.fleet);
    left.extend(scene.drift.left());
    scene.fleet.end();
    if let Some(what) = arguments.sabotage {
        sabotage::spoil(&scene.fleet.yard, &scene.fleet.database, what)
            .context("spoil what the run left")?;
    }
    let mut evidence = gather(scene)?;
    evidence.had_clocks = scene.fleet.has_clocks();
    let mut findings = verdict::judge(&evidence);
    findings.extend(scene.seen.drain(..).map(|what| Finding { kind: Kind::Lost, what }));
    let surprises = scene.fleet.surprises.drain(..);
    findings.extend(surprises.map(|what| Finding { kind: Kind::Wrong, what }));
    findings.extend(left.into_iter().map(|what| Finding { kind: Kind::Left, what }));
    findings.extend(late(scene, &evidence));
    for finding in findings.iter().take(MOST_SHOWN) {
        say(&finding.to_string());
    }
    if arguments.keep || !(findings.is_empty() || arguments.sabotage.is_some()) {
        let folder = scene.fleet.yard.keep();
        say(&format!("everything is left in {}; a disk is an image there", folder.display()));
    }
    Ok((evidence, findings))
}

/// Says what lies between master and workers. Where the network itself is to be broken, the run
/// goes on in one of its own.
fn wiring(families: &[Family]) -> anyhow::Result<Wiring> {
    if !families.contains(&Family::Net) {
        return Ok(Wiring::Direct);
    }
    let Some(reason) = host::enter_own_network()? else { return Ok(Wiring::Networked) };
    note_skip(&format!("SKIPPED: chaos by lost packets: {reason}"))?;
    Ok(Wiring::Proxied)
}

/// Leaves out what cannot be broken here, and says so. Where it can, a cut of the power has to
/// show first that it takes away what was not synced.
fn possible(families: &[Family]) -> anyhow::Result<Vec<Family>> {
    let mut families = families.to_vec();
    if families.contains(&Family::Disk)
        && let Some(reason) = power::prove().context("prove that power can be cut")?
    {
        note_skip(&format!("SKIPPED: chaos on disks: {reason}"))?;
        families.retain(|family| *family != Family::Disk);
    }
    if families.contains(&Family::Disk)
        && let Some(reason) = SickDisk::cannot()
    {
        note_skip(&format!("SKIPPED: chaos by failed calls: {reason}"))?;
    }
    if families.contains(&Family::Clock)
        && let Some(reason) = clock::cannot()
    {
        note_skip(&format!("SKIPPED: chaos of clocks: {reason}"))?;
        families.retain(|family| *family != Family::Clock);
    }
    ensure!(!families.is_empty(), "there is nothing left to break");
    Ok(families)
}

/// Tells whoever runs this, and `cargo xtask test`, which counts what was skipped.
fn note_skip(reason: &str) -> anyhow::Result<()> {
    say(reason);
    if let Some(path) = std::env::var_os("YARDMASTER_SKIPS") {
        let file = fs::OpenOptions::new().append(true).create(true).open(path);
        writeln!(file.context("open the list of skips")?, "{reason}").context("note a skip")?;
    }
    Ok(())
}

/// Lets everything come to its end for a moment, and measures the memory of the daemons.
fn rest(scene: &mut Scene, baseline: &Baseline) -> anyhow::Result<Memory> {
    scene.settle(TO_SETTLE)?;
    // What is still left is found at the end.
    drop(baseline.left_in(&scene.fleet));
    Ok(Memory::of(scene))
}

fn play(
    scene: &mut Scene,
    arguments: &Arguments,
    families: &[Family],
    cycles: Range<u64>,
) -> anyhow::Result<()> {
    let mut word = Instant::now();
    for number in cycles {
        let cycle = Cycle::draw(arguments.seed, number, families);
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
    let mut evidence = evidence::read(&scene.fleet.yard, &scene.fleet.database)?;
    evidence.pushed = scene.fleet.pushed();
    evidence.told = std::mem::take(&mut scene.callers.told);
    evidence.had_full_disks = scene.fleet.disk(Disk::Master).is_some();
    evidence.killed = std::mem::take(&mut scene.killed);
    evidence.reboots = scene.fleet.reboots;
    evidence.failed_in_spool = scene.fleet.failed_in_spool;
    evidence.spawners_killed = scene.spawners_killed;
    for entry in fs::read_dir(scene.fleet.write_logs()?).context("list the daemons' logs")? {
        let path = entry?.path();
        let log = fs::read_to_string(&path).context("read a daemon's log")?;
        let panics = log.lines().filter(|line| line.contains("panicked at"));
        evidence.panics.extend(panics.map(|line| format!("{}: {line}", path.display())));
    }
    Ok(evidence)
}

/// Compares the slowest of each kind with its limit.
fn late(scene: &Scene, evidence: &Evidence) -> Vec<Finding> {
    let notice = scene.fleet.times.notice.unwrap_or_default();
    let measured = [
        ("the notice of a silent worker", notice, TO_NOTICE),
        ("the end of a daemon after SIGTERM", scene.fleet.times.stop, TO_STOP),
        ("the end of a tree whose shim was killed", scene.slowest_tree, TO_RELEASE),
        ("a free place after its shim was killed", slowest_release(evidence), TO_RELEASE),
    ];
    let late = measured.into_iter().filter(|(_, took, limit)| took > limit);
    let finding = |(what, took, limit)| Finding {
        kind: Kind::Late,
        what: format!("{what} took {took:?}, the limit is {limit:?}"),
    };
    late.map(finding).collect()
}

/// From the kill of a shim until the database says that its command has ended.
fn slowest_release(evidence: &Evidence) -> Duration {
    let took_us = evidence.commands.iter().filter(|_| !evidence.had_clocks);
    let took_us = took_us.filter_map(|command| {
        let kill = evidence.killed.get(&command.id).filter(|kill| kill.is_whole)?;
        Some(command.ended_us? - kill.at_us)
    });
    Duration::from_micros(took_us.max().unwrap_or(0).max(0).cast_unsigned())
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
    let times = &scene.fleet.times;
    let mut adoptions = times.adoptions.clone();
    adoptions.sort_unstable();
    let middle = adoptions.get(adoptions.len() / 2).copied().unwrap_or_default();
    let summary = json!({
        "cycles": arguments.cycles,
        "builds": evidence.requests.len(),
        "lost": count(Kind::Lost),
        "twice": count(Kind::Twice),
        "wrong": count(Kind::Wrong),
        "gaps": count(Kind::Gap),
        "left": count(Kind::Left),
        "late": count(Kind::Late),
        "slowest_adoption_ms": ms(adoptions.last().copied().unwrap_or_default()),
        "median_adoption_ms": ms(middle),
        "slowest_stop_ms": ms(times.stop),
        "notice_ms": times.notice.map(ms),
        "slowest_tree_ms": ms(scene.slowest_tree),
        "slowest_release_ms": ms(slowest_release(evidence)),
        "shims_killed": evidence.killed.len(),
        "clients_killed": scene.callers.killed,
        "growth_percent": scene.drift.percent(),
        "reboots": evidence.reboots,
        "failed_calls": scene.fleet.failed_calls,
        "seed": arguments.seed,
        "seconds": took.as_secs(),
    });
    say_summary(&summary, arguments.json);
}
