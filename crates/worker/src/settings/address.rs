//! Addresses of masters: a host, looked up at every attempt, and a port.

use std::fmt;
use std::net::IpAddr;

use config::{Code, Context, Decode, Diagnostic, Node};

/// `HOST:PORT`; an IPv6 host stands in brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    text: String,
    host: String,
}

impl Address {
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        port.parse::<u16>().ok().filter(|port| *port != 0)?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bracketed.unwrap_or(host);
        let is_plain = host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
        let is_host = match bracketed {
            Some(host) => host.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && is_plain,
        };
        is_host.then(|| Self { text: text.to_owned(), host: host.to_owned() })
    }

    /// Says whether bytes sent there stay on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let ip: Option<IpAddr> = self.host.parse().ok();
        ip.map_or(self.host == "localhost", |ip| ip.is_loopback())
    }

    /// Returns the text as the resolver takes it.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Decode for Address {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let text = String::decode(node, cx)?;
        let parsed = Self::parse(&text);
        if parsed.is_none() {
            let problem = Diagnostic::new(Code::BadAddress, node.span, "expected HOST:PORT");
            cx.report(problem.help("like \"ci.example.org:9989\" or \"[::1]:9989\""));
        }
        parsed
    }
}
