//! Disks of a run: full ones, ones whose power is cut, ones on which calls fail.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use e2e::{Ailment, Part, SickDisk, Volume, Yard, remove_group};

use super::{Fleet, ON_MACHINE, ON_SICK_DISK, Station};
use crate::baseline::groups;
use crate::fault::Disk;
use crate::freeze::frozen;
use crate::machine::Machine;

impl Fleet {
    /// Cuts the power of the master's disk and brings it back; the master does not survive that.
    pub(crate) fn cut_power(&mut self, down: Duration) {
        let Some(disk) = self.disks.first() else { return };
        frozen(|| self.master_pid().into_iter().collect(), || disk.cut_power());
        // It may go on for a moment, and must not tell anybody what it did not keep.
        std::thread::sleep(down);
        self.kill_master();
        self.forget_disk(|disk| disk.restore_power());
    }

    /// Lets calls fail on a disk. A daemon that cannot trust its disk may end by itself.
    pub(crate) fn sicken(&mut self, ailment: Ailment) {
        let Some(disk) = self.sick.get(of_master(ailment)) else { return };
        disk.ail(ailment);
        let daemon = match ailment.part {
            Part::Database | Part::Logs => self.master_pid(),
            Part::Spool => self.worker_pid(ON_SICK_DISK),
        };
        self.caught.extend(daemon);
    }

    /// Lets everything go well again. What a failed sync did not bring to the disk is not there
    /// for the next master.
    pub(crate) fn cure(&mut self, ailment: Ailment) -> anyhow::Result<()> {
        let Some(disk) = self.sick.get(of_master(ailment)) else { return Ok(()) };
        let toll = disk.heal();
        self.failed_calls += toll.failed;
        match ailment.part {
            Part::Spool => self.failed_in_spool += toll.failed,
            Part::Database | Part::Logs if toll.failed_syncs > 0 => {
                self.kill_master();
                self.forget_disk(|_disk| {});
            }
            Part::Database | Part::Logs => {}
        }
        Ok(())
    }

    /// Takes the disk of a master that has ended away, does something to it, and brings it back.
    fn forget_disk(&mut self, act: impl FnOnce(&Volume)) {
        let Some(disk) = self.disks.first() else { return };
        let was_sick = !self.sick.is_empty();
        if was_sick {
            self.sick.remove(0).forget();
        }
        act(disk);
        if was_sick {
            let again = SickDisk::new(&self.yard.path("master.disk"), &self.yard.path("master"));
            self.sick.insert(0, again.expect("it was mounted before"));
        }
    }

    /// Lets the first worker's machine fail to use its disk for a while, cuts its power, and
    /// switches it on again. Returns the commands it had.
    pub(crate) fn reboot(&mut self, failing: Duration) -> anyhow::Result<Vec<String>> {
        let (Some(machine), Some(disk)) =
            (&mut self.machine, self.disks.get(Disk::Worker as usize))
        else {
            return Ok(Vec::new());
        };
        let name = &self.stations[ON_MACHINE].name;
        let commands = self.yard.shims_of(name).into_iter().map(|(_, command)| command).collect();
        frozen(|| machine.processes(), || disk.cut_power());
        std::thread::sleep(failing);
        machine.switch_off();
        forget_groups(&self.yard, &self.stations);
        disk.restore_power();
        machine.switch_on()?;
        self.reboots += 1;
        if let Some(daemon) = self.stations[ON_MACHINE].daemon.take() {
            let name = self.stations[ON_MACHINE].name.clone();
            self.bury(daemon, &name);
        }
        Ok(commands)
    }
}

/// A thousand cycles leave a gibibyte of logs.
const MASTER_MEBIBYTES: u64 = 4_096;

pub(super) type OwnDisks = (Vec<Volume>, Vec<SickDisk>, Option<Machine>);

/// Makes the disks of the master and of workers, and the machine of the first one.
pub(super) fn own_disks(yard: &Yard) -> anyhow::Result<OwnDisks> {
    let disk = |place: &str, mebibytes| {
        Volume::new(&yard.path(place), mebibytes).map_err(anyhow::Error::msg)
    };
    let sick = |backing: &str, place: &str| {
        SickDisk::new(&yard.path(backing), &yard.path(place)).map_err(anyhow::Error::msg)
    };
    let mut foreign = vec![yard.path("master")];
    if SickDisk::cannot().is_some() {
        let disks = vec![disk("master", MASTER_MEBIBYTES)?, disk("w1", 128)?];
        let machine = Machine::new(&yard.path("w1.boot"), foreign)?;
        return Ok((disks, Vec::new(), Some(machine)));
    }
    let disks = vec![disk("master.disk", MASTER_MEBIBYTES)?, disk("w1", 128)?];
    fs::create_dir(yard.path("w2.disk")).context("make a folder")?;
    let sick = vec![sick("master.disk", "master")?, sick("w2.disk", "w2")?];
    foreign.extend(["master.disk", "w2"].map(|place| yard.path(place)));
    let machine = Machine::new(&yard.path("w1.boot"), foreign)?;
    Ok((disks, sick, Some(machine)))
}

/// Returns which of the sick disks it is about.
fn of_master(ailment: Ailment) -> usize {
    match ailment.part {
        Part::Database | Part::Logs => 0,
        Part::Spool => 1,
    }
}

/// Takes away the control groups of a machine that is off, as its kernel would have. A command
/// without a directory at another worker was one of that machine.
fn forget_groups(yard: &Yard, stations: &[Station]) {
    let others = stations.iter().enumerate().filter(|(index, _)| *index != ON_MACHINE);
    let spools: Vec<PathBuf> =
        others.map(|(_, station)| yard.path(&station.name).join("spool")).collect();
    for group in groups(yard) {
        let name = group.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let id = name.trim_start_matches("yardmaster-");
        if !spools.iter().any(|spool| spool.join(id).exists()) {
            remove_group(&group);
        }
    }
}
