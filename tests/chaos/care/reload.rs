//! Kills around the commit of another configuration: there is the one before, with what waited, or
//! the one after, with what that means for it.

use failpoint::{Act, Side};

use super::{Report, SIDES, WORK, Ward, trap};
use crate::fleet::State;

const ACTS: [Act; 2] = [Act::Reconfigured, Act::BatchCommit];
const REVISIONS: &str = "SELECT CAST(max(n) AS TEXT) AS text FROM revision";
const RESULTS: &str = "SELECT COALESCE(result, 'waits') AS text FROM request ORDER BY id";
/// Something waits for it, as no worker is there.
const OLD: &str = "app.old = { builder = \"old\", on_disconnect = \"keep\" }\nbuilder.old = \
    { workers = [\"local\"], steps = [{ name = \"old\", command = [\"echo\", \"${args}\"] }] }\n";

/// Kills a master at every place of a reload.
pub(super) fn run(state: State, report: &mut Report) -> anyhow::Result<()> {
    for (act, side) in ACTS.iter().flat_map(|act| SIDES.map(|side| (*act, side))) {
        let ward = Ward::new(state)?;
        ward.configure(&format!("{OLD}{WORK}"));
        let mut master = ward.yard.start_master();
        let submitted = ward.yard.changeport(&["submit", "old", "1"]);
        anyhow::ensure!(submitted.code() == 0, "submit: {}", submitted.err());
        ward.configure(WORK);
        let place = format!("{}.{} of a reload on {state:?}", act.name(), side.name());
        let reload = || drop(ward.yard.master(&["reload", "--cancel-queued"]));
        let is_caught = ward.trapped(trap(act, side, 1), reload)?;
        if is_caught {
            master.exited();
        }
        report.reached(act, side, is_caught.into());
        let is_done = side == Side::After;
        let found = (ward.texts(REVISIONS)?, ward.texts(RESULTS)?);
        let expected = if is_done { ("2", "CANCELLED") } else { ("1", "waits") };
        let expected = (vec![expected.0.to_owned()], vec![expected.1.to_owned()]);
        report.expect(found == expected, || format!("{found:?} after {place}"));
        ward.dare_master();
        let now = (ward.texts(REVISIONS)?, ward.texts(RESULTS)?);
        let expected = (vec!["2".to_owned()], expected.1);
        report.expect(now == expected, || format!("{now:?} at the start after {place}"));
    }
    Ok(())
}
