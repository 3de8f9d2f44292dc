//! `master token NAME`: draws a worker's secret.

use std::io::Write as _;

use anyhow::{Context as _, anyhow};
use config::Name;
use sha2::{Digest as _, Sha256};

use super::print;

pub(super) fn main(worker: &str) -> anyhow::Result<()> {
    let name = Name::parse(worker).map_err(|bad| anyhow!("{bad}"))?;
    let mut secret = [0u8; 32];
    getrandom::fill(&mut secret).context("draw a secret")?;
    let token = hex(&secret);
    let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    print(|out| {
        writeln!(out, "# into the worker's token file, readable by it alone:")?;
        writeln!(out, "{token}")?;
        writeln!(out, "# into the master's token_file:")?;
        writeln!(out, "{name} {}", hex(&hash))
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
