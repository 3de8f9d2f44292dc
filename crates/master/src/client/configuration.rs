//! Configurations: what another one would change, taking it, and what earlier ones were.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use config::SourceFile;
use proto::message::configuration::{
    BadConfig, ConfigPart, Plan, PlanWanted, ReloadWanted, Reloaded, Revision, RevisionWanted,
};
use proto::message::hello::Refusal;
use proto::{Bytes, limits};
use tokio::io::AsyncWrite;

use super::session::{Out, Session, refusal};
use crate::reload::{NotReloaded, Queued};

const HINT: &str = "see `master plan` and `master reload`";

/// The files of a configuration as they come in.
#[derive(Debug, Default)]
pub(super) struct Parts {
    parts: Vec<ConfigPart>,
    bytes: usize,
}

impl Parts {
    fn add(&mut self, part: ConfigPart) -> Result<(), Refusal> {
        self.bytes += part.path.0.len() + part.folder.0.len() + part.text.0.len() + 64;
        if self.bytes > limits::CONFIG_BYTES {
            let message = "the configuration is larger than a master reads";
            return Err(refusal("too_large", message, ""));
        }
        self.parts.push(part);
        Ok(())
    }

    /// Puts the files together, and begins anew.
    fn take(&mut self) -> Result<Vec<SourceFile>, Refusal> {
        let mut files: Vec<(u32, ConfigPart)> = Vec::new();
        for part in std::mem::take(self).parts {
            match files.last_mut().filter(|(file, _)| *file == part.file) {
                Some((_, file)) => file.text.0.extend(part.text.0),
                None => files.push((part.file, part)),
            }
        }
        files.into_iter().map(|(_, file)| source(file)).collect()
    }
}

fn source(file: ConfigPart) -> Result<SourceFile, Refusal> {
    let path = |bytes: Bytes| PathBuf::from(OsString::from_vec(bytes.0));
    let text = String::from_utf8(file.text.0)
        .map_err(|_bad| refusal("bad_request", "a configuration is not UTF-8", ""))?;
    Ok(SourceFile { path: path(file.path), folder: path(file.folder), text })
}

fn queued(cancel: bool) -> Queued {
    if cancel { Queued::Cancel } else { Queued::Drain }
}

/// Keeps a part for the message that it is for.
pub(super) async fn part<S: AsyncWrite>(
    session: &mut Session<'_>,
    part: ConfigPart,
    out: &mut Out<S>,
) -> anyhow::Result<()> {
    let taken = session.authority.over_all(HINT).and_then(|()| session.parts_of_config.add(part));
    match taken {
        Ok(()) => Ok(()),
        Err(refused) => out.send(&refused).await,
    }
}

pub(super) async fn plan<S: AsyncWrite>(
    session: &mut Session<'_>,
    wanted: PlanWanted,
    out: &mut Out<S>,
) -> anyhow::Result<()> {
    let files = session.parts_of_config.take();
    match session.authority.over_all(HINT).and(files) {
        Ok(files) => {
            let planned = session.parts.reloads.plan(files, queued(wanted.cancel_queued)).await;
            answer(planned, |plan| plan, out).await
        }
        Err(refused) => out.send(&refused).await,
    }
}

pub(super) async fn reload<S: AsyncWrite>(
    session: &Session<'_>,
    wanted: ReloadWanted,
    out: &mut Out<S>,
) -> anyhow::Result<()> {
    if let Err(refused) = session.authority.over_all(HINT) {
        return out.send(&refused).await;
    }
    let queued = queued(wanted.cancel_queued);
    let reloaded = session.parts.reloads.reload(wanted.revision, queued).await;
    answer(reloaded, |plan| Reloaded { plan }, out).await
}

async fn answer<S: AsyncWrite, M: proto::Message>(
    outcome: Result<Plan, NotReloaded>,
    message: fn(Plan) -> M,
    out: &mut Out<S>,
) -> anyhow::Result<()> {
    match outcome {
        Ok(plan) => out.send(&message(plan)).await,
        Err(NotReloaded::Invalid { mut text }) => {
            let most = limits::CONFIG_PART_BYTES;
            text.truncate(text.floor_char_boundary(most));
            out.send(&BadConfig { text }).await
        }
        Err(NotReloaded::Refused { code, message, hint }) => {
            out.send(&refusal(code, &message, &hint)).await
        }
    }
}

pub(super) async fn revision<S: AsyncWrite>(
    session: &Session<'_>,
    wanted: RevisionWanted,
    out: &mut Out<S>,
) -> anyhow::Result<()> {
    if let Err(refused) = session.authority.over_all("see `master config`") {
        return out.send(&refused).await;
    }
    let store = &session.parts.store;
    let found = match wanted.revision {
        0 => store.revision_newest().await?,
        n => store.revision_get(n).await?,
    };
    let Some(found) = found else {
        let message = format!("there is no revision {}", wanted.revision);
        let newest = store.revision_newest().await?.map_or(0, |newest| newest.n);
        let hint = format!("they go from 1 to {newest}");
        return out.send(&refusal("unknown_revision", &message, &hint)).await;
    };
    for (file, number) in found.files.iter().zip(0u32..) {
        for part in in_parts(number, &file.path, &[], &file.text) {
            out.send(&part).await?;
        }
    }
    out.send(&Revision { revision: found.n, loaded_us: found.loaded_us }).await
}

/// Cuts a file into pieces; an empty one is a piece too.
pub(crate) fn in_parts(
    file: u32,
    path: &[u8],
    folder: &[u8],
    text: &[u8],
) -> impl Iterator<Item = ConfigPart> {
    let pieces = text.chunks(limits::CONFIG_PART_BYTES);
    let empty = text.is_empty().then_some(&[][..]);
    pieces.chain(empty).map(move |piece| ConfigPart {
        file,
        path: path.into(),
        folder: folder.into(),
        text: piece.into(),
    })
}
