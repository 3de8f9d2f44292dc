//! Every limit of the protocol in one place, each with its unit.

/// The protocol versions this build speaks, lowest and highest.
pub const VERSIONS: (u16, u16) = (1, 1);

/// Largest frame before the peer has proved who it is, in bytes, header excluded.
pub const FRAME_BEFORE_AUTH_BYTES: usize = 4 * 1024;
/// Largest frame afterwards, in bytes, header excluded.
pub const FRAME_BYTES: usize = 1024 * 1024;
/// Deepest nesting of a body.
pub const DEPTH: usize = 16;
/// Most values (scalars, keys, containers) in one body.
pub const ITEMS: usize = 128 * 1024;

/// Largest piece of a byte stream in one frame, in bytes.
pub const STREAM_DATA_BYTES: usize = 64 * 1024;
/// Bytes a sender may have in flight on one stream before it is granted more.
pub const STREAM_CREDIT_BYTES: u64 = 256 * 1024;
/// Bytes a sender may have in flight on all streams of a connection.
pub const CONNECTION_CREDIT_BYTES: u64 = 4 * 1024 * 1024;

/// Most records in one reply to a question for a range of a log, in bytes; with its frame it stays
/// below `FRAME_BYTES`.
pub const RANGE_BYTES: usize = 1020 * 1024;

/// One piece of a file of a configuration, in bytes.
pub const CONFIG_PART_BYTES: usize = 512 * 1024;
/// All files of a configuration together, in bytes.
pub const CONFIG_BYTES: usize = 16 * 1024 * 1024;

/// Arguments and environment of one command together, in bytes.
pub const COMMAND_BYTES: usize = 512 * 1024;
/// One argument or environment value, in bytes.
pub const VALUE_BYTES: usize = 128 * 1024;

/// What a command leaves as properties, in bytes.
pub const PROPERTIES_BYTES: usize = 64 * 1024;
/// Commands of a worker that have ended, left properties, and are not final yet.
pub const LEFT_PROPERTIES: usize = 1024;

/// Most probes of a worker.
pub const PROBES: usize = 64;
/// What a probe has found, in bytes.
pub const PROBE_BYTES: usize = 256;

/// A peer has this long to finish its handshake.
pub const HANDSHAKE_MS: u64 = 5_000;
/// A silent peer is asked for a sign of life this often.
pub const PING_MS: u64 = 10_000;
/// A peer silent for this long is gone.
pub const SILENCE_MS: u64 = 30_000;
