//! The supervisor of one command: one process, one thread, one poll loop.
//!
//! `run` prepares, `child` is what happens between fork and exec, `watch` is the loop, `log`
//! and `tail` write the output, `peers` talks to workers, `tree` ends what the command left behind,
//! `limit` says which limit it met, `ending` writes how it ended.

mod child;
mod ending;
mod limit;
mod log;
mod peers;
mod tail;
mod tree;
mod watch;

use std::fs;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use failpoint::Act;
use rustix::process::{Pid, set_child_subreaper, setsid};
use secret::Secret;

use crate::exit::{Exit, Outcome};
use crate::group::Group;
use crate::inspect::{Process, Started, format_started};
use crate::left;
use crate::mask::Mask;
use crate::secrets::Secrets;
use crate::spawner::{Handed, report};
use crate::spec::Spec;
use crate::spool::{BOOT, INTENT, SPEC, STARTED, create_new};
use crate::sys::{self, Disposition, boot_id, boot_us, exit_now, start_time, wall_us};
use log::{Log, is_full};
use peers::Peers;

/// Becomes the supervisor of the command whose directory this is. Never returns.
pub(crate) fn run(handed: Handed, spawner: Option<Process>) -> ! {
    let Handed { directory, lock, events, secrets } = handed;
    match supervise(&directory, events, secrets, spawner) {
        Ok(()) => {}
        Err(error) => report(&format!("supervise a command: {error}")),
    }
    // The lock is held to the very end; the kernel lets go of it.
    drop(lock);
    exit_now(0)
}

fn supervise(
    directory: &OwnedFd,
    events: OwnedFd,
    secrets: Option<OwnedFd>,
    spawner: Option<Process>,
) -> io::Result<()> {
    detach(directory)?;
    let Some(spec) = fs::read(SPEC).ok().as_deref().and_then(Spec::from_file) else {
        return Err(io::Error::other("the spec cannot be read"));
    };
    note_intent()?;
    let mut peers = Peers::new(events)?;
    let begun_us = boot_us();
    let mut log = Log::new(spec.output_cap);
    for note in &spec.notes {
        log.system(note)?;
    }
    let group = make_group(&spec, &mut log)?;
    left::clear(&spec);
    let prepare = |secrets: Vec<Secret>| {
        failpoint::around(Act::ForkCommand, || child::prepare(&spec, &secrets, group.as_ref()))
    };
    let outcome = match take_secrets(&spec, secrets, &mut log).and_then(prepare) {
        Ok(child) => {
            write_started(child.pid, spawner)?;
            failpoint::around(Act::Gate, || child.open_gate())?;
            // The command goes first: whoever hears of it has time.
            failpoint::around(Act::TellStarted, || peers.tell_started());
            watch::watch(&spec, child, group.as_ref(), &mut log, &mut peers)?
        }
        Err(error) => watch::Ended {
            outcome: Outcome::NotStarted(format!("prepare the process: {error}")),
            survivors: Vec::new(),
        },
    };
    if let Outcome::NotStarted(why) = &outcome.outcome {
        log.system(why)?;
    }
    failpoint::around(Act::OutputSync, || log.finish())?;
    let exit = Exit {
        outcome: outcome.outcome,
        ended_us: wall_us(),
        duration_us: boot_us() - begun_us,
        log_bytes: log.length(),
        survivors: outcome.survivors,
        left: left::read(&spec, log.mask()),
    };
    let concluded = ending::conclude(&exit, &mut peers);
    // After the end is known: nobody has to wait for it.
    if let Some(group) = group {
        failpoint::around(Act::GroupRemove, || group.remove());
    }
    concluded
}

/// Takes the secrets that came with a command, and has its log hide them. Returns the variables.
fn take_secrets(spec: &Spec, secrets: Option<OwnedFd>, log: &mut Log) -> io::Result<Vec<Secret>> {
    if !spec.has_secrets {
        return Ok(Vec::new());
    }
    let secrets = secrets.ok_or_else(|| io::Error::other("its secrets did not come with it"))?;
    let secrets = Secrets::from_memory(secrets)
        .map_err(|error| io::Error::other(format!("its secrets cannot be read: {error}")))?;
    log.hide(Mask::new(&secrets)?);
    Ok(secrets.env)
}

/// Makes the command's control group. A command goes on without one; its log says so.
fn make_group<'a>(spec: &'a Spec, log: &mut Log) -> io::Result<Option<Group<'a>>> {
    let Some(order) = &spec.group else { return Ok(None) };
    match failpoint::around(Act::GroupMake, || Group::make(order)) {
        Ok(group) => Ok(Some(group)),
        Err(error) => {
            log.system(&format!("runs without a control group and its limits: {error}"))?;
            Ok(None)
        }
    }
}

/// Says that this supervisor has begun. A second one for the same command ends here, whatever
/// brought it about.
fn note_intent() -> io::Result<()> {
    let link = || fs::hard_link(Path::new("..").join(BOOT), INTENT);
    match failpoint::around(Act::Intent, link) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !is_full(&error) => {
            // A file system without links.
            create_new(Path::new(INTENT))?.write_all(boot_id().as_bytes())
        }
        linked => linked,
    }
}

/// Leaves the spawner's world: own session, own signals, standing in the directory.
fn detach(directory: &OwnedFd) -> io::Result<()> {
    sys::set_signal(libc::SIGCHLD, Disposition::Default);
    for signal in [libc::SIGHUP, libc::SIGPIPE, libc::SIGINT, libc::SIGTERM] {
        sys::set_signal(signal, Disposition::Ignore);
    }
    // The spawner's socket is standard input; holding it would keep the spawner's peer waiting.
    let null = fs::File::open("/dev/null")?;
    sys::become_standard(std::os::fd::AsFd::as_fd(&null), 0)?;
    rustix::process::fchdir(directory)?;
    setsid()?;
    set_child_subreaper(Pid::from_raw(1))?;
    Ok(())
}

fn write_started(pid: Pid, spawner: Option<Process>) -> io::Result<()> {
    let pid = pid.as_raw_nonzero().get();
    let start_time = start_time(pid).unwrap_or_default();
    let started = Started { pid, start_time, boot_id: boot_id(), spawner };
    let beside = Path::new("started.tmp");
    let write = || create_new(beside)?.write_all(format_started(&started).as_bytes());
    failpoint::around(Act::StartedWrite, write)?;
    failpoint::around(Act::StartedRename, || fs::rename(beside, STARTED))
}
