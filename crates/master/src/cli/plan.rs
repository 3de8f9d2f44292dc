//! `master plan` and `master reload`: what another configuration changes, and taking it.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use config::Severity;
use proto::Message as _;
use proto::message::configuration::{
    AffectedLine, BadConfig, DifferenceLine, Plan, PlanWanted, ReloadWanted, Reloaded,
};
use proto::message::hello::Refusal;

use super::table::plain;
use super::{EXIT_CONFIG, check, code_of, complain, connect, print, print_json};
use crate::client::in_parts;
use crate::settings;

/// Exit code of a plan that changes something.
const EXIT_CHANGES: u8 = 2;
/// So many requests of a kind are named.
const MOST_NAMED: usize = 5;

/// `master plan`: 0 where nothing changes, 2 where something does.
pub(super) fn plan(config: &Path, json: bool, cancel_queued: bool) -> ExitCode {
    finish(try_plan(config, json, cancel_queued))
}

/// `master reload`.
pub(super) fn reload(
    config: &Path,
    json: bool,
    revision: Option<i64>,
    cancel_queued: bool,
) -> ExitCode {
    finish(try_reload(config, json, ReloadWanted { revision, cancel_queued }))
}

fn finish(outcome: anyhow::Result<u8>) -> ExitCode {
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::from(code_of(&error))
        }
    }
}

fn try_plan(config: &Path, json: bool, cancel_queued: bool) -> anyhow::Result<u8> {
    let reading = settings::read(config)?;
    if reading.problems.iter().any(|problem| problem.severity() == Severity::Error) {
        check::report(&reading);
        return Ok(EXIT_CONFIG);
    }
    let mut master = connect(config)?;
    for (file, number) in reading.files.iter().zip(0u32..) {
        let (path, folder) = (file.path.as_os_str(), file.folder.as_os_str());
        let bytes = (path.as_encoded_bytes(), folder.as_encoded_bytes());
        for part in in_parts(number, bytes.0, bytes.1, file.text.as_bytes()) {
            master.send(&part)?;
        }
    }
    master.send(&PlanWanted { cancel_queued })?;
    let frame = master.frame()?;
    let plan: Plan = match frame.kind {
        Plan::KIND => frame.open()?,
        kind => return refused(kind, &frame),
    };
    let same = std::path::absolute(config)?.as_os_str().as_encoded_bytes() == plan.path.0;
    if json {
        print_json("plan", std::slice::from_ref(&plan))?;
    } else {
        let advice = advice(&plan, same, cancel_queued);
        print(|out| out.write_all(format!("{}{advice}", text(&plan)).as_bytes()))?;
    }
    Ok(if plan.differences.is_empty() && plan.affected.is_empty() { 0 } else { EXIT_CHANGES })
}

fn try_reload(config: &Path, json: bool, wanted: ReloadWanted) -> anyhow::Result<u8> {
    let reading = settings::read(config)?;
    if settings::control_socket(config).is_err() {
        // Not even that can be read: the master itself would say the same.
        check::report(&reading);
        return Ok(EXIT_CONFIG);
    }
    let mut master = connect(config)?;
    master.send(&wanted)?;
    let frame = master.frame()?;
    let Reloaded { plan } = match frame.kind {
        Reloaded::KIND => frame.open()?,
        kind => return refused(kind, &frame),
    };
    if json {
        print_json("reloaded", std::slice::from_ref(&plan))?;
        return Ok(0);
    }
    let outcome = if plan.differences.is_empty() && plan.affected.is_empty() {
        format!("nothing changes: revision {} is in force; token files were read anew\n", plan.next)
    } else {
        format!("revision {} is in force; {}\n", plan.next, counts(&plan))
    };
    print(|out| out.write_all(format!("{}{outcome}", text(&plan)).as_bytes()))?;
    Ok(0)
}

/// Says what is wrong with the configuration, or why it was not looked at.
fn refused(kind: u16, frame: &proto::Frame) -> anyhow::Result<u8> {
    if kind == BadConfig::KIND {
        let BadConfig { text } = frame.open()?;
        std::io::stderr().write_all(text.as_bytes())?;
        return Ok(EXIT_CONFIG);
    }
    Err(frame.open::<Refusal>()?.into())
}

fn text(plan: &Plan) -> String {
    let mut text = String::new();
    for line in &plan.differences {
        difference(&mut text, line);
    }
    for (fate, words) in [
        ("cancelled", "waits and is cancelled"),
        ("drained", "waits for a builder that is gone, and is still served"),
        ("started", "starts at once"),
        ("finishing", "runs and finishes as it began"),
    ] {
        let lines: Vec<&AffectedLine> =
            plan.affected.iter().filter(|line| line.fate == fate).collect();
        for line in lines.iter().take(MOST_NAMED) {
            let worker = match line.worker.as_str() {
                "" => String::new(),
                worker => format!(" on {}", plain(worker)),
            };
            let (request, owner) = (plain(&line.request), plain(&line.owner));
            text.push_str(&format!("  {request} of {owner} {words}{worker}\n"));
        }
        if lines.len() > MOST_NAMED {
            text.push_str(&format!("  and {} more: {words}\n", lines.len() - MOST_NAMED));
        }
    }
    for held in &plan.let_go {
        let (changes, scheduler) = (held.changes, plain(&held.scheduler));
        text.push_str(&format!(
            "  scheduler {scheduler} lets go of {changes} changes that it holds\n"
        ));
    }
    text
}

fn difference(text: &mut String, line: &DifferenceLine) {
    let (path, old, new) = (plain(&line.path), plain(&line.old), plain(&line.new));
    let sign = match (line.needs_restart, old.is_empty(), new.is_empty()) {
        (true, _, _) => '!',
        (false, true, _) => '+',
        (false, false, true) => '-',
        (false, false, false) => '~',
    };
    let values = match (old.is_empty(), new.is_empty()) {
        (true, _) => new,
        (false, true) => old,
        (false, false) => format!("{old} → {new}"),
    };
    let when = if line.needs_restart { "   (needs a restart)" } else { "" };
    text.push_str(&format!("{sign} {path} {values}{when}\n"));
}

fn counts(plan: &Plan) -> String {
    let cold = plan.differences.iter().filter(|line| line.needs_restart).count();
    let hot = plan.differences.len() - cold;
    match cold {
        0 => format!("{hot} hot"),
        cold => format!("{hot} hot, {cold} restart"),
    }
}

fn advice(plan: &Plan, is_masters_file: bool, cancel_queued: bool) -> String {
    let (from, to) = (plan.revision, plan.next);
    if plan.differences.is_empty() && plan.affected.is_empty() {
        return format!("nothing changes: this is revision {from}\n");
    }
    if from == to && !cancel_queued {
        return format!("this is revision {from}; {}\n", counts(plan));
    }
    let place = match is_masters_file {
        true => "Apply with".to_owned(),
        false => format!("Put it in place of {}, then", plain(&plan.path.lossy())),
    };
    let flag = if cancel_queued { " --cancel-queued" } else { "" };
    let drained = plan.affected.iter().any(|line| line.fate == "drained");
    let hint = if drained {
        "   (--cancel-queued ends what waits for builders that are gone)"
    } else {
        ""
    };
    format!(
        "revision {from} → {to}; {}. {place}: master reload --revision {to}{flag}{hint}\n",
        counts(plan)
    )
}
