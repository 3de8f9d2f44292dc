//! What `cargo xtask bench` can be told.

/// Which workloads, how thoroughly, and for whom.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// W0, W1, W2, W3, W3e, W3c, W4, W4f, W5, W5w; all where none is named.
    pub(super) workloads: Vec<String>,
    /// Fewer and smaller runs, to see that everything works.
    #[arg(long)]
    pub(super) quick: bool,
    /// One line of JSON a result.
    #[arg(long)]
    pub(super) json: bool,
}
