//! What a peer understands beyond the version it speaks: bits of `features` in `hello` and
//! `welcome`. A bit is never reused.

/// A client answers `env_wanted`.
pub const ENV_WANTED: u64 = 1;
/// A master takes `left_properties` before an `attach`.
pub const LEFT_PROPERTIES: u64 = 2;
/// A master takes `probed`.
pub const PROBED: u64 = 4;
/// A worker takes `secrets` with a `start`.
pub const SECRETS: u64 = 8;
