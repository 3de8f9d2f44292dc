//! What a configuration changes, as the command line shows it.

use config::{Difference, What};
use engine::{Foresight, Touched};
use proto::message::configuration::{AffectedLine, DifferenceLine, LetGo, Plan};

use super::candidate::{Candidate, Running};

/// More help nobody and would not fit a frame.
const MOST_AFFECTED: usize = 1_000;
const MOST_DIFFERENCES: usize = 2_000;
/// Longest value that is shown, in characters.
const MOST_SHOWN: usize = 160;

/// Puts together what is known of a candidate.
pub(super) fn plan(
    candidate: &Candidate,
    running: &Running,
    foresight: &Foresight,
    path: &[u8],
) -> Plan {
    let cold = candidate.cold.iter().map(|difference| line(difference, true));
    let hot = candidate.hot.iter().map(|difference| line(difference, false));
    let fates = [
        ("cancelled", &foresight.cancelled),
        ("drained", &foresight.drained),
        ("started", &foresight.started),
        ("finishing", &foresight.finishing),
    ];
    let affected: Vec<AffectedLine> = fates
        .iter()
        .flat_map(|(fate, touched)| touched.iter().map(|touched| affected(fate, touched)))
        .collect();
    let left_out = affected.len().saturating_sub(MOST_AFFECTED);
    let let_go = foresight.let_go.iter().map(|(scheduler, changes)| LetGo {
        scheduler: scheduler.to_string(),
        changes: u32::try_from(*changes).unwrap_or(u32::MAX),
    });
    Plan {
        revision: running.revision,
        next: candidate.revision,
        path: path.into(),
        differences: hot.chain(cold).take(MOST_DIFFERENCES).collect(),
        affected: affected.into_iter().take(MOST_AFFECTED).collect(),
        left_out: u32::try_from(left_out).unwrap_or(u32::MAX),
        let_go: let_go.collect(),
    }
}

fn line(difference: &Difference, needs_restart: bool) -> DifferenceLine {
    let (old, new) = match &difference.what {
        What::Added { new } => (String::new(), short(new)),
        What::Removed { old } => (short(old), String::new()),
        What::Changed { old, new } => (short(old), short(new)),
    };
    DifferenceLine { path: difference.path.to_string(), old, new, needs_restart }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn affected(fate: &str, touched: &Touched) -> AffectedLine {
    AffectedLine {
        fate: fate.to_owned(),
        request: touched.request.to_string(),
        owner: touched.owner.clone(),
        builder: touched.builder.to_string(),
        worker: touched.worker.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}
