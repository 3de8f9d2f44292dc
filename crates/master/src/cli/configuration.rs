//! `master config`: the configuration as it takes effect, and how earlier ones differ.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use config::{Defaults, Node, NodeKind, SourceFile, Span, What, differences};
use proto::Message as _;
use proto::message::configuration::{ConfigPart, Revision, RevisionWanted};
use proto::message::hello::Refusal;

use super::connect::Connection;
use super::table::plain;
use super::{connect, print};
use crate::settings;

/// The page that tests hold against what is read: it has the defaults.
const PAGE: &str = include_str!("../../../../docs/CONFIGURATION.md");

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print every value that takes effect, with defaults.
    Show {
        /// Say where each value stands.
        #[arg(long)]
        origin: bool,
    },
    /// Print what changed from one revision to another. The master has to run.
    Diff {
        old: i64,
        /// The newest one where left out.
        new: Option<i64>,
    },
}

pub(super) fn main(config: &Path, json: bool, command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Show { origin } => show(config, json, *origin),
        Command::Diff { old, new } => diff(config, json, *old, new.unwrap_or(0)),
    }
}

/// One value of the effective configuration.
#[derive(Debug, serde::Serialize)]
struct Line {
    path: String,
    value: String,
    /// `FILE:LINE`, or `default`.
    origin: String,
}

fn show(config: &Path, json: bool, origin: bool) -> anyhow::Result<()> {
    let reading = settings::read(config)?;
    let mut lines: Vec<Line> = config::settings(&reading.tree)
        .iter()
        .map(|setting| Line {
            path: setting.path.to_string(),
            value: config::show(setting.value),
            origin: place(setting.span(), &reading.files),
        })
        .collect();
    defaults(&reading.tree, &mut lines);
    if json {
        return super::print_json("setting", &lines);
    }
    print(|out| {
        lines.iter().try_for_each(|line| {
            let (path, value) = (plain(&line.path), plain(&line.value));
            match (origin, line.origin.as_str()) {
                (true, origin) => writeln!(out, "{path} = {value}   # {}", plain(origin)),
                (false, "default") => writeln!(out, "{path} = {value}   # default"),
                (false, _) => writeln!(out, "{path} = {value}"),
            }
        })
    })?;
    super::check::report(&reading);
    Ok(())
}

fn place(span: Span, files: &[SourceFile]) -> String {
    let Some(file) = files.get(span.file) else { return String::new() };
    let before = file.text.get(..span.start).unwrap_or_default();
    format!("{}:{}", file.path.display(), 1 + before.matches('\n').count())
}

/// Adds what the page says of keys that are not there.
fn defaults(tree: &Node, lines: &mut Vec<Line>) {
    let page = PAGE.split("\n## worker.toml").next().unwrap_or_default();
    let defaults = Defaults::of_page(page);
    let NodeKind::Table(sections) = &tree.kind else { return };
    for section in sections {
        let NodeKind::Table(things) = &section.value.kind else { continue };
        add(&defaults, &section.key, &section.key, &section.value, lines);
        for thing in things {
            let path = config::settings_path(&[&section.key, &thing.key]);
            let kind = thing.value.text_of("type").unwrap_or("NAME");
            add(&defaults, &format!("{}.{kind}", section.key), &path, &thing.value, lines);
            add_of_lists(&defaults, &section.key, &path, &thing.value, lines);
        }
    }
    lines.sort_by(|one, other| one.path.cmp(&other.path));
}

/// Adds the defaults of lists of tables within a thing, such as the steps of a builder.
fn add_of_lists(
    defaults: &Defaults,
    section: &str,
    path: &str,
    thing: &Node,
    lines: &mut Vec<Line>,
) {
    let NodeKind::Table(entries) = &thing.kind else { return };
    for entry in entries {
        let NodeKind::Array(items) = &entry.value.kind else { continue };
        let table = format!("{section}.NAME.{}", entry.key);
        for (at, item) in items.iter().enumerate() {
            let path = format!("{path}.{}{}", entry.key, config::settings_element(items, at));
            add(defaults, &table, &path, item, lines);
        }
    }
}

fn add(defaults: &Defaults, table: &str, path: &str, node: &Node, lines: &mut Vec<Line>) {
    let NodeKind::Table(entries) = &node.kind else { return };
    for (key, value) in defaults.of_table(table) {
        if !entries.iter().any(|entry| entry.key == *key) {
            lines.push(Line {
                path: format!("{path}.{key}"),
                value: value.clone(),
                origin: "default".to_owned(),
            });
        }
    }
}

/// One difference between two revisions.
#[derive(Debug, serde::Serialize)]
struct Change {
    path: String,
    old: String,
    new: String,
}

fn diff(config: &Path, json: bool, old: i64, new: i64) -> anyhow::Result<()> {
    let mut master = connect(config)?;
    let (old, old_tree) = revision(&mut master, old)?;
    let (new, new_tree) = revision(&mut master, new)?;
    let found = differences(&old_tree, &new_tree);
    let line = |difference: &config::Difference| {
        let path = difference.path.to_string();
        let (old, new) = match difference.what.clone() {
            What::Added { new } => (String::new(), new),
            What::Removed { old } => (old, String::new()),
            What::Changed { old, new } => (old, new),
        };
        Change { path, old, new }
    };
    let lines: Vec<Change> = found.iter().map(line).collect();
    if json {
        return super::print_json("difference", &lines);
    }
    print(|out| {
        for Change { path, old, new } in &lines {
            let (path, old, new) = (plain(path), plain(old), plain(new));
            match (old.is_empty(), new.is_empty()) {
                (true, _) => writeln!(out, "+ {path} {new}")?,
                (false, true) => writeln!(out, "- {path} {old}")?,
                (false, false) => writeln!(out, "~ {path} {old} → {new}")?,
            }
        }
        let moment = |us| crate::utc::utc(us);
        writeln!(
            out,
            "revision {} of {} → {} of {}",
            old.revision,
            moment(old.loaded_us),
            new.revision,
            moment(new.loaded_us)
        )
    })
}

fn revision(master: &mut Connection, revision: i64) -> anyhow::Result<(Revision, Node)> {
    master.send(&RevisionWanted { revision })?;
    let mut files: Vec<(u32, PathBuf, Vec<u8>)> = Vec::new();
    loop {
        let frame = master.frame()?;
        match frame.kind {
            ConfigPart::KIND => {
                let part: ConfigPart = frame.open()?;
                match files.last_mut().filter(|(file, _, _)| *file == part.file) {
                    Some((_, _, text)) => text.extend(part.text.0),
                    None => {
                        let path = PathBuf::from(part.path.lossy().into_owned());
                        files.push((part.file, path, part.text.0));
                    }
                }
            }
            Revision::KIND => return Ok((frame.open()?, tree(files))),
            _ => return Err(frame.open::<Refusal>()?.into()),
        }
    }
}

fn tree(files: Vec<(u32, PathBuf, Vec<u8>)>) -> Node {
    let file = |(_, path, text): (u32, PathBuf, Vec<u8>)| SourceFile {
        path,
        folder: PathBuf::new(),
        text: String::from_utf8_lossy(&text).into_owned(),
    };
    let files: Vec<SourceFile> = files.into_iter().map(file).collect();
    config::parse(&files).0
}
