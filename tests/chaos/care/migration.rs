//! Kills within the steps of the schema: the next start goes on where the last one stopped, with
//! the rows that were there.

use failpoint::{Act, Side};

use super::{Report, SIDES, Ward, trap};
use crate::fleet::State;

const ACTS: [Act; 2] = [Act::MigrationScript, Act::MigrationCommit];
/// Rows as the first step of the schema has them: a command in the place 3 of its build.
const ROWS: &str = "\
    INSERT INTO build (id, request, label, number, rerun, builder, worker, slot, revision, plan, \
        steps, started_us, result, ended_us) \
        VALUES (7, 6, 'job', 1, 0, 'job', 'w1', 3, 1, '', '', 1, 'SUCCESS', 2);\
    INSERT INTO command (id, build, step, part, attempt, worker, boot_id, spool_id, state, \
        outcome, state_detail, assigned_us, ended_us) \
        VALUES ('00', 7, 0, 0, 1, 'w1', '', '', 'sealed', 'exited(0)', '', 1, 2);\
    INSERT INTO submission_key (principal, key, body, change, requests, schedulers, accepted_us, \
        is_retired) VALUES ('uid:0', 'k', 1, 1, '', '', 1, 1);\
    INSERT INTO counter (name, value) VALUES ('build', 7), ('command', 1)";
const STEPS: &str = "SELECT CAST(n AS TEXT) AS text FROM migration ORDER BY n";
const KEPT: &str = "SELECT 'build ' || id AS text FROM build UNION ALL \
    SELECT 'command ' || id || ' in place ' || slot FROM command UNION ALL \
    SELECT 'key ' || key FROM submission_key ORDER BY 1";

/// Kills a master at every place of every step.
pub(super) fn run(state: State, report: &mut Report) -> anyhow::Result<()> {
    let whole = Ward::new(state)?;
    whole.dare_master();
    let whole = (tables(&whole, state)?, whole.texts(STEPS)?);
    for (act, side) in ACTS.iter().flat_map(|act| SIDES.map(|side| (*act, side))) {
        let steps = whole.1.len() as u64;
        for step in 1..=steps {
            let ward = Ward::new(state)?;
            let is_old = step > 1;
            if is_old {
                make_old(&ward, state)?;
            }
            let visit = if is_old { step - 1 } else { step };
            let place = format!("{}.{} of step {step} on {state:?}", act.name(), side.name());
            if !ward.trapped(trap(act, side, visit), || ward.dare_master())? {
                report.find(format!("nobody came to {place}"));
                continue;
            }
            let applied = ward.texts(STEPS)?.len() as u64;
            let is_done = act == Act::MigrationCommit && side == Side::After;
            let expected = if is_done { step } else { step - 1 };
            report.expect(applied == expected, || format!("{applied} steps stand after {place}"));
            ward.dare_master();
            let now = (tables(&ward, state)?, ward.texts(STEPS)?);
            report.expect(now == whole, || format!("other tables after {place}: {now:?}"));
            if is_old {
                let kept = ward.texts(KEPT)?;
                let expected = ["build 7", "command 00 in place 3", "key k"];
                report.expect(kept == expected, || format!("other rows after {place}: {kept:?}"));
            }
        }
        report.reached(act, side, steps);
    }
    Ok(())
}

/// Stops a start after its first step, and leaves rows there.
fn make_old(ward: &Ward, state: State) -> anyhow::Result<()> {
    let first = trap(Act::MigrationCommit, Side::After, 1);
    anyhow::ensure!(ward.trapped(first, || ward.dare_master())?, "no start stops after a step");
    let rows = match state {
        // Exact bytes are bytes there.
        State::Sqlite => ROWS.replace("''", "x''").replace("'w1', x'', x''", "'w1', '', ''"),
        State::Postgres => ROWS.to_owned(),
    };
    ward.ask(&rows).map(drop)
}

/// Lists every column and index.
fn tables(ward: &Ward, state: State) -> anyhow::Result<Vec<String>> {
    ward.texts(match state {
        State::Sqlite => {
            "SELECT s.name || ' ' || COALESCE(s.sql, '') AS text FROM sqlite_schema s ORDER BY 1"
        }
        State::Postgres => {
            "SELECT table_name || '.' || column_name || ' ' || data_type AS text \
             FROM information_schema.columns WHERE table_schema = 'public' UNION ALL \
             SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
        }
    })
}
