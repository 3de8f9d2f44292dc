//! `[worker_port]`: where workers connect, and by which tokens.

use std::net::SocketAddr;
use std::path::PathBuf;

use config::{Code, Context, Decode, Diagnostic, Fields, Node, Spanned};

use crate::worker_port::TokenFile;

/// Keys of later versions by which a port encrypts.
pub(crate) const TLS: &[&str] = &["certificate", "key", "tls"];

/// The port of the workers.
#[derive(Debug, Clone)]
pub struct WorkerPort {
    pub listen: SocketAddr,
    pub token_file: PathBuf,
}

impl Decode for WorkerPort {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let mut fields = Fields::of(node, cx)?.with_later(TLS);
        let listen: Option<Spanned<SocketAddr>> = fields.required("listen", cx);
        let token_file: Option<Spanned<PathBuf>> = fields.required("token_file", cx);
        let insecure = fields.or("insecure", false, cx);
        let wants_tls = fields.has_later(TLS);
        fields.finish(cx);
        if let (Some(listen), Some(false), false) = (&listen, insecure, wants_tls) {
            check_loopback(listen, cx);
        }
        if let Some(file) = &token_file {
            check_token_file(file, cx);
        }
        Some(Self { listen: listen?.value, token_file: token_file?.value })
    }
}

/// Without TLS, tokens and logs cross the network in clear.
pub(crate) fn check_loopback(address: &Spanned<SocketAddr>, cx: &mut Context<'_>) {
    if !address.value.ip().is_loopback() {
        let message = format!("{} can be reached from outside, without encryption", address.value);
        cx.report(Diagnostic::new(Code::Insecure, address.span, message).help(
            "listen on 127.0.0.1, or say `insecure = true` where the network itself is safe",
        ));
    }
}

/// Reports a token file that cannot be used, before anybody depends on it.
pub(crate) fn check_token_file(file: &Spanned<PathBuf>, cx: &mut Context<'_>) {
    if let Err(error) = TokenFile::read(&file.value) {
        let message = format!("{:#}", anyhow::Error::from(error));
        let problem = Diagnostic::new(Code::Unreadable, file.span, message);
        cx.report(
            problem.help("`master token NAME` draws a token and prints the line for this file"),
        );
    }
}
