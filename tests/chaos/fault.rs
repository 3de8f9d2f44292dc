//! What is broken, drawn from the seed.

use clap::ValueEnum;
use e2e::{Ailment, Deed, Part};

use crate::dice::Dice;
use crate::host::Loss;
use crate::proxy::{Side, Weather};

/// What may be broken in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Family {
    Master,
    Worker,
    Shim,
    Net,
    Client,
    Disk,
    Clock,
}

/// A wall clock of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Master,
    /// The second worker, with its supervisors.
    Worker,
}

/// A disk of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disk {
    /// Database and logs.
    Master,
    /// Spool and working directories of the first worker.
    Worker,
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    KillMaster {
        down_ms: u64,
    },
    StopMaster {
        down_ms: u64,
    },
    PauseMaster {
        ms: u64,
    },
    KillWorker {
        worker: u64,
        down_ms: u64,
    },
    StopWorker {
        worker: u64,
        down_ms: u64,
    },
    PauseWorker {
        worker: u64,
        ms: u64,
    },
    KillBoth {
        worker: u64,
        down_ms: u64,
    },
    KillShim {
        nth: u64,
    },
    PauseShim {
        nth: u64,
        ms: u64,
    },
    KillClients {
        nth: u64,
        count: u64,
    },
    PauseClient {
        nth: u64,
        ms: u64,
    },
    /// Nothing fits on a disk any more, for a while.
    FullDisk {
        disk: Disk,
        ms: u64,
    },
    /// Calls fail on the disk of the master or of the second worker: once, or all for a while.
    SickDisk {
        ailment: Ailment,
        ms: u64,
    },
    /// The machine of the master loses what was not synced.
    CutPower {
        down_ms: u64,
    },
    /// The machine of the first worker fails to read and write its disk for a while, then loses
    /// its power, and comes back with what was synced.
    Reboot {
        down_ms: u64,
    },
    /// A wall clock is off by so much from now on.
    SetClock {
        whose: Whose,
        seconds: i64,
    },
    /// The third worker is a host of its own, and packets between it and the master are lost.
    Packets {
        loss: Loss,
        ms: u64,
    },
    /// The connection ends on both sides.
    Cut {
        worker: u64,
    },
    /// It ends on one side only.
    HalfOpen {
        worker: u64,
        closed: Side,
    },
    /// Bytes from either side fare like this for a while.
    Weather {
        worker: u64,
        ms: u64,
        from_worker: Weather,
        from_master: Weather,
    },
}

const HOUR: i64 = 3_600;
const YEAR: i64 = 365 * 24 * HOUR;
/// By how many seconds clocks are off.
const OFFSETS: &[i64] = &[-10 * YEAR, -HOUR, -1, 0, 0, 1, HOUR, 25 * HOUR, 10 * YEAR];

impl Fault {
    /// Draws a fault of a family.
    pub(crate) fn draw(family: Family, dice: &mut Dice) -> Self {
        let down_ms = if dice.one_in(3) { 0 } else { dice.between(1, 400) };
        let ms = dice.between(50, 600);
        let (worker, nth) = (dice.roll(), dice.roll());
        let kind = dice.between(0, 9);
        match family {
            Family::Master => match kind {
                0..=4 => Self::KillMaster { down_ms },
                5 | 6 => Self::StopMaster { down_ms },
                7 => Self::PauseMaster { ms },
                _ => Self::KillBoth { worker, down_ms },
            },
            Family::Worker => match kind {
                0..=5 => Self::KillWorker { worker, down_ms },
                6 | 7 => Self::StopWorker { worker, down_ms },
                _ => Self::PauseWorker { worker, ms },
            },
            Family::Shim => match kind {
                0..=7 => Self::KillShim { nth },
                _ => Self::PauseShim { nth, ms },
            },
            Family::Client => match kind {
                0..=7 => Self::KillClients { nth, count: dice.between(1, 3) },
                _ => Self::PauseClient { nth, ms },
            },
            Family::Net => Self::draw_net(worker, dice),
            Family::Disk => match kind {
                0 | 1 => Self::FullDisk { disk: Disk::Master, ms },
                2 => Self::FullDisk { disk: Disk::Worker, ms },
                3 | 4 => Self::Reboot { down_ms },
                5 | 6 => Self::CutPower { down_ms },
                _ => Self::SickDisk { ailment: Self::draw_ailment(dice), ms },
            },
            Family::Clock => {
                let whose = if dice.one_in(2) { Whose::Master } else { Whose::Worker };
                Self::SetClock { whose, seconds: *dice.pick(OFFSETS) }
            }
        }
    }

    fn draw_ailment(dice: &mut Dice) -> Ailment {
        let part = *dice.pick(&[Part::Database, Part::Logs, Part::Spool]);
        let deed =
            *dice.pick(&[Deed::Read, Deed::Write, Deed::Write, Deed::Sync, Deed::Sync, Deed::Name]);
        let times = if dice.one_in(2) { 1 } else { u32::MAX };
        Ailment { part, deed, times }
    }

    fn draw_net(worker: u64, dice: &mut Dice) -> Self {
        let ms = dice.between(100, 1_500);
        let both =
            |weather| Self::Weather { worker, ms, from_worker: weather, from_master: weather };
        match dice.between(0, 15) {
            0..=2 => Self::Cut { worker },
            3 => Self::HalfOpen { worker, closed: Side::Master },
            4 => Self::HalfOpen { worker, closed: Side::Worker },
            5 => both(Weather::Hold),
            6 => Self::Weather {
                worker,
                ms,
                from_worker: Weather::Hold,
                from_master: Weather::Clear,
            },
            7 => Self::Weather {
                worker,
                ms,
                from_worker: Weather::Clear,
                from_master: Weather::Hold,
            },
            8 => both(Weather::Slow { bytes: 1_000 }),
            9 => both(Weather::Delay { ms: dice.between(1, 100) }),
            10 | 11 => both(Weather::Echo),
            12 => Self::Packets { loss: Loss::All, ms },
            13 => Self::Packets { loss: Loss::FromMaster, ms },
            14 => Self::Packets { loss: Loss::FromWorker, ms },
            _ => Self::Packets { loss: Loss::Some { percent: dice.between(10, 60) }, ms },
        }
    }
}
