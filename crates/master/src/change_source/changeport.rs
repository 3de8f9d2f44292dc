//! `changeport`: clients submit launches and changes over a socket.

use std::net::SocketAddr;
use std::path::PathBuf;

use config::{Code, Context, Decode, Diagnostic, Fields, Kind, Node, Spanned, choice};

use super::ChangeSource;
use crate::client::Address;
use crate::settings::{TLS, check_loopback, check_socket_path, check_token_file};

const CHANGE_SOCKET: &str = "/run/yardmaster/change.sock";

/// The sockets of a change source and who may come in.
#[derive(Debug, Clone)]
pub struct Changeport {
    pub listen: Vec<Address>,
    /// The kernel says who calls, on Unix sockets.
    pub peercred: bool,
    /// A token says who calls.
    pub token: bool,
    pub token_file: Option<PathBuf>,
    /// Within a user namespace, trust the daemon's own uid.
    pub insecure_userns: bool,
}

/// How a caller proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    Peercred,
    Token,
}

pub(super) const KIND: Kind<ChangeSource> = Kind { name: "changeport", decode };

fn decode(node: &Node, cx: &mut Context<'_>) -> Option<ChangeSource> {
    let mut fields = Fields::of(node, cx)?.with_later(TLS).with_later(&["was"]);
    fields.entry("type");
    let listen = listen(&mut fields, cx);
    let proofs: Option<Vec<Spanned<Proof>>> = match fields.entry("authenticate") {
        Some(entry) => Decode::decode(&entry.value, cx),
        None => Some(Vec::new()),
    };
    let token_file: Option<Option<Spanned<PathBuf>>> = fields.optional("token_file", cx);
    let insecure = fields.or("insecure", false, cx);
    let insecure_userns = fields.or("insecure_userns", false, cx);
    let span = fields.span();
    let wants_tls = fields.has_later(TLS);
    fields.finish(cx);
    let (listen, proofs, token_file) = (listen?, proofs?, token_file?);
    let has = |wanted| proofs.iter().any(|proof| proof.value == wanted);
    let token = has(Proof::Token);
    if let Some(file) = &token_file {
        check_token_file(file, cx);
    } else if token {
        let problem = Diagnostic::new(Code::MissingKey, span, "`token_file` is missing");
        cx.report(problem.help("`authenticate` asks for tokens, and no file says which there are"));
    }
    for address in &listen {
        check_address(address, token, insecure? || wants_tls, cx);
    }
    Some(ChangeSource::Changeport(Changeport {
        listen: listen.into_iter().map(|address| address.value).collect(),
        peercred: proofs.is_empty() || has(Proof::Peercred),
        token,
        token_file: token_file.map(|file| file.value),
        insecure_userns: insecure_userns?,
    }))
}

fn listen(fields: &mut Fields<'_>, cx: &mut Context<'_>) -> Option<Vec<Spanned<Address>>> {
    match fields.entry("listen") {
        Some(entry) => Decode::decode(&entry.value, cx),
        None => {
            let value = Address::Unix(PathBuf::from(CHANGE_SOCKET));
            Some(vec![Spanned { value, span: fields.span() }])
        }
    }
}

fn check_address(address: &Spanned<Address>, token: bool, insecure: bool, cx: &mut Context<'_>) {
    let Address::Tcp(tcp) = address.value else { return };
    let tcp = Spanned { value: tcp, span: address.span };
    if !token {
        let message = "over TCP the kernel does not know who calls";
        let problem = Diagnostic::new(Code::Insecure, address.span, message);
        cx.report(problem.help("add authenticate = [\"token\"] and a `token_file`"));
    }
    if !insecure {
        check_loopback(&tcp, cx);
    }
}

impl Decode for Proof {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        choice(node, &[("peercred", Self::Peercred), ("token", Self::Token)], cx)
    }
}

impl Decode for Address {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let text = String::decode(node, cx)?;
        if let Some(path) = text.strip_prefix("unix:") {
            let path = Spanned { value: cx.path(node.span, path), span: node.span };
            return check_socket_path(&path, cx).map(Self::Unix);
        }
        SocketAddr::decode(node, cx).map(Self::Tcp)
    }
}
