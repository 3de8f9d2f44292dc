//! Answers questions for a range of a log, at once and with a bounded reply.

use anyhow::Context as _;
use engine::RequestName;
use engine::step::Step;
use proto::message::hello::Refusal;
use proto::message::launch::{Output, Position};
use proto::message::question::{LogEnded, LogRange, LogWanted};
use tokio::io::AsyncWrite;

use super::session::{Out, Session, refusal};
use crate::log::Piece;

/// Sends the piece that was asked for, if there is any, and the end of the answer.
pub(super) async fn answer<S: AsyncWrite>(
    session: &Session<'_>,
    wanted: &LogWanted,
    range: LogRange,
    out: &mut Out<S>,
) -> anyhow::Result<()> {
    let (part, piece) = match piece(session, wanted, range).await? {
        Ok(found) => found,
        Err(refusal) => return out.send(&refusal).await,
    };
    if !piece.records.is_empty() {
        let position = Position { part, offset: piece.offset };
        out.send(&Output { position, records: piece.records.into() }).await?;
    }
    let (first_line, next_byte) = (piece.first_line, piece.next_byte);
    out.send(&LogEnded { build: wanted.build.clone(), first_line, next_byte }).await
}

async fn piece(
    session: &Session<'_>,
    wanted: &LogWanted,
    range: LogRange,
) -> anyhow::Result<Result<(u32, Piece), Refusal>> {
    if wanted.follow {
        let message = "a range of a log is answered at once and cannot be followed";
        return Ok(Err(refusal("bad_request", message, "leave out one of them")));
    }
    let name: RequestName = match wanted.build.parse() {
        Ok(name) => name,
        Err(bad) => return Ok(Err(refusal("bad_request", &format!("{bad}"), ""))),
    };
    let store = &session.parts.store;
    let row = store.request_by_name(&name).await?;
    if !row.is_some_and(|row| session.authority.covers(&row.owner)) {
        return Ok(Err(session.authority.unknown(&name)));
    }
    let Some(build) = store.build_by_name(&name, None).await? else {
        return Ok(Ok((0, Piece::default())));
    };
    let step = match find_step(&name, &build.plan.steps, &wanted.step) {
        Ok(step) => step,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let commands = store.commands_of(build.id).await?;
    let last = commands.iter().filter(|command| command.step == step).max_by_key(|c| c.part);
    let Some(command) = last else { return Ok(Ok((0, Piece::default()))) };
    let (shelf, id) = (session.parts.shelf.clone(), command.id());
    let cut = move || anyhow::Ok(shelf.reader(id)?.piece(range)?);
    let piece = threads::blocking(cut).await.context("read a log")??;
    Ok(Ok((command.part, piece)))
}

/// Finds a step by its name; the only step of a build needs none.
pub(super) fn find_step(name: &RequestName, steps: &[Step], wanted: &str) -> Result<u32, Refusal> {
    if let ([_], "") = (steps, wanted) {
        return Ok(0);
    }
    let found = steps.iter().position(|step| step.name.as_str() == wanted);
    found.and_then(|index| u32::try_from(index).ok()).ok_or_else(|| {
        let names: Vec<_> = steps.iter().map(|step| step.name.to_string()).collect();
        let hint = format!("its steps: {}", names.join(", "));
        let message = match wanted {
            "" => format!("a range is of one step, and {name} has several"),
            wanted => format!("{name} has no step `{wanted}`"),
        };
        refusal("unknown_step", &message, &hint)
    })
}
