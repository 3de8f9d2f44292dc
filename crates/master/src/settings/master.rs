//! `[master]`: name, data, database and control socket.

use std::path::{Path, PathBuf};

use config::{Code, Context, Decode, Diagnostic, Fields, Name, Node, Spanned};

use super::control;
use crate::store::StateUrl;

/// Where a master keeps its state unless it is told otherwise.
const DATA: &str = "/var/lib/yardmaster/master";

/// The master itself.
#[derive(Debug, Clone)]
pub struct MasterSection {
    pub name: Name,
    /// Where people find it.
    pub url: Option<String>,
    /// `state.db`, `logs/`, `mirrors/`, `lock`.
    pub data: PathBuf,
    pub state: StateUrl,
    /// The administrator's socket.
    pub control: PathBuf,
}

impl Decode for MasterSection {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let mut fields = Fields::of(node, cx)?.with_later(&["cluster"]);
        let name = fields.required("name", cx);
        let url = fields.optional("url", cx);
        let data = fields.or("data", PathBuf::from(DATA), cx);
        let state: Option<Option<Spanned<String>>> = fields.optional("state", cx);
        let control = control::decode(&mut fields, cx);
        fields.finish(cx);
        let data = data?;
        let state = match state? {
            None => Some(StateUrl::Sqlite(data.join("state.db"))),
            Some(text) => state_url(&text, cx),
        };
        Some(Self { name: name?, url: url?, data, state: state?, control: control? })
    }
}

fn state_url(text: &Spanned<String>, cx: &mut Context<'_>) -> Option<StateUrl> {
    let base = cx.path(text.span, "");
    match StateUrl::parse(&text.value, Path::new(&base)) {
        Ok(url) => Some(url),
        Err(bad) => {
            cx.report(Diagnostic::new(Code::BadAddress, text.span, bad.to_string()));
            None
        }
    }
}
