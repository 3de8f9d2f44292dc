//! How much a command may use, and what of that is not kept here.

use proto::message::command::Start;
use shim::{CommandId, GroupOrder, Limits};

use super::Workshop;
use crate::daemon::spool_id;
use crate::link::command_from_wire;

/// Returns the control group of a command, and what its log has to say of limits a step asked
/// for and does not get.
pub(super) fn of(start: &Start, workshop: &Workshop) -> (Option<GroupOrder>, Vec<String>) {
    let command: CommandId = spool_id(command_from_wire(start.command));
    let wanted = Limits {
        max_processes: workshop.limits.processes.granted(start.max_processes),
        memory_bytes: workshop.limits.memory.granted(start.memory_bytes),
    };
    let group = workshop.home.as_ref().map(|home| home.order(command, wanted));
    let kept = group.as_ref().map(GroupOrder::limits).unwrap_or_default();
    let mut notes = Vec::new();
    if start.max_processes.is_some() && kept.max_processes.is_none() {
        notes.push(not_kept("max_processes", "processes"));
    }
    if start.memory_bytes.is_some() && kept.memory_bytes.is_none() {
        notes.push(not_kept("memory", "memory"));
    }
    (group, notes)
}

fn not_kept(key: &str, what: &str) -> String {
    format!(
        "`{key}` of this step is not kept: this worker has no control groups that limit {what} \
         (`worker status` says what it has)"
    )
}
