//! A machine that can be switched off: what a worker sees of mounts and of the boot id, and every
//! process that was ever started there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use e2e::wait_until;
use rustix::process::{Pid, Signal, kill_process};

/// Where the kernel says which boot this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Draws a new id at each reading.
const UUID: &str = "/proc/sys/kernel/random/uuid";
/// Shows the machine its own boot id, takes the disks of other machines away, and stays.
const BOOT: &str = "mount --bind \"$0\" \"$1\" && shift && umount --lazy \"$@\" && echo up && \
    read forever";

/// A mount namespace, held by a process that is the first to die.
#[derive(Debug)]
pub(crate) struct Machine {
    /// Its boot id is in this file.
    boot_id: PathBuf,
    /// Where other machines have their disks.
    foreign: Vec<PathBuf>,
    init: Child,
}

impl Machine {
    /// Switches a machine on. `boot_id` is a file of its own, `foreign` are mounts it does not
    /// have.
    pub(crate) fn new(boot_id: &Path, foreign: Vec<PathBuf>) -> anyhow::Result<Self> {
        let init = boot(boot_id, &foreign)?;
        Ok(Self { boot_id: boot_id.to_owned(), foreign, init })
    }

    /// Returns the words before a command that runs on this machine.
    pub(crate) fn prefix(&self) -> Vec<String> {
        let target = self.init.id().to_string();
        ["nsenter", "--mount", "--target", &target].map(str::to_owned).to_vec()
    }

    /// Returns everything that runs there.
    pub(crate) fn processes(&self) -> Vec<Pid> {
        members(namespace(Pid::from_child(&self.init)).as_deref())
    }

    /// Ends everything that runs there, as a power cut does.
    pub(crate) fn switch_off(&mut self) {
        let here = namespace(Pid::from_child(&self.init));
        wait_until("an end of everything on a machine", || {
            let living = members(here.as_deref());
            for pid in &living {
                // It may be gone by now.
                let _is_gone = kill_process(*pid, Signal::KILL).is_err();
            }
            // Nobody else reaps it.
            let _has_ended = self.init.try_wait().is_ok();
            living.is_empty().then_some(())
        });
    }

    /// Switches it on again.
    pub(crate) fn switch_on(&mut self) -> anyhow::Result<()> {
        self.init = boot(&self.boot_id, &self.foreign)?;
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // What else runs there goes with the yard.
        let _is_gone = self.init.kill().is_err();
        let _is_reaped = self.init.wait().is_err();
    }
}

fn boot(boot_id: &Path, foreign: &[PathBuf]) -> anyhow::Result<Child> {
    let drawn = fs::read(UUID).context("draw a boot id")?;
    fs::write(boot_id, drawn).context("write a boot id")?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", BOOT]);
    command.arg(boot_id).arg(BOOT_ID).args(foreign);
    let init = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut init = init.context("switch a machine on")?;
    let out = init.stdout.take().context("hear of a machine")?;
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line)?;
    anyhow::ensure!(line == "up\n", "a machine does not start");
    Ok(init)
}

/// Returns the processes that live in a mount namespace.
fn members(here: Option<&Path>) -> Vec<Pid> {
    processes().filter(|pid| here.is_some() && namespace(*pid).as_deref() == here).collect()
}

fn processes() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
}

/// Returns the mount namespace of a process that lives.
fn namespace(pid: Pid) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{}/ns/mnt", pid.as_raw_nonzero())).ok()
}
