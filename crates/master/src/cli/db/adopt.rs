//! `master db adopt`

use engine::Unfinished;

use super::restore::{set_aside, tell};
use super::{alone_with, new_start};
use crate::cli::{print, print_json};
use crate::settings::MasterSection;
use crate::store::restore;

pub(super) async fn main(
    master: &MasterSection,
    json: bool,
    unfinished: Unfinished,
) -> anyhow::Result<()> {
    let (_lock, shelf) = alone_with(master)?;
    let logs: Vec<_> = shelf.commands()?.into_iter().collect();
    let adopted = restore::adopt(&master.state, new_start()?, unfinished, &logs).await?;
    let aside = set_aside(&shelf, &adopted)?;
    if json {
        return print_json("adopted", &[adopted]);
    }
    print(|out| tell(out, &adopted, aside.as_deref()))
}
