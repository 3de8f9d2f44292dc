//! The message types, one file per conversation:
//! `hello` opens every connection, `command` is master and worker about commands, `stream`
//! carries bytes, `launch` is a client that submits and follows, `question` is the command line
//! asking, `configuration` the same about configurations.

pub mod command;
pub mod configuration;
pub mod hello;
pub mod launch;
pub mod question;
pub mod stream;

/// Ties message types to their kinds.
macro_rules! messages {
    ($($type:ty = $kind:ident;)+) => {
        $(impl crate::Message for $type { const KIND: u16 = crate::kind::$kind; })+
    };
}
pub(crate) use messages;
