//! Who a client is, as the kernel or a token says; never as the client says.

use std::fs;

use rustix::net::sockopt::socket_peercred;
use tokio::net::UnixStream;

/// An established identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Principal {
    /// Such as `unix:host:1000` or `token:ci`.
    pub name: String,
    pub who: Who,
}

/// What is known of a caller before its name is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Who {
    User {
        uid: u32,
        gid: u32,
    },
    /// The name of a token.
    Token(String),
}

/// The uid the kernel shows for users of other namespaces.
const OVERFLOW_UID: u32 = 65_534;

/// Returns the identity of the process that opened a Unix socket.
///
/// # Errors
/// One sentence where the kernel's answer cannot be trusted.
pub(super) fn of_peer(socket: &UnixStream, host: &str) -> Result<Principal, String> {
    let peer =
        socket_peercred(socket).map_err(|error| format!("ask the kernel who calls: {error}"))?;
    let (uid, gid) = (peer.uid.as_raw(), peer.gid.as_raw());
    if uid == OVERFLOW_UID {
        return Err(
            "the caller is in another user namespace; its identity is not known here".into()
        );
    }
    Ok(Principal { name: format!("unix:{host}:{uid}"), who: Who::User { uid, gid } })
}

/// Returns the uid of the process that opened a Unix socket, as the kernel shows it here.
pub(super) fn uid_of_peer(socket: &UnixStream) -> Option<u32> {
    socket_peercred(socket).ok().map(|peer| peer.uid.as_raw())
}

/// Says whether uids mean the same here as for the kernel; otherwise `SO_PEERCRED` lies.
pub(super) fn has_identity_map() -> bool {
    let Ok(map) = fs::read_to_string("/proc/self/uid_map") else { return true };
    let mut numbers = map.split_whitespace().map(str::parse::<u64>);
    matches!(
        (numbers.next(), numbers.next(), numbers.next()),
        (Some(Ok(0)), Some(Ok(0)), Some(Ok(4_294_967_295)))
    )
}
