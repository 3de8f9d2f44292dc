//! Where control groups of commands can be made: below the group of this process.
//!
//! Version 2 is taken where it limits processes, else version 1 where it does, else whichever
//! can at least end a command. In version 2 only a group without processes of its own may limit
//! those within, but for the root: a daemon in a group named `daemon` has its commands beside
//! it, which is what `DelegateSubgroup=daemon` in a unit is for.

use std::fs;
use std::path::{Path, PathBuf};

use super::Version;
use super::folder::write;
use super::order::{GroupOrder, Limits};
use crate::id::CommandId;

/// The group of a daemon that shares its parent's with its commands.
const BESIDE: &str = "daemon";
const PREFIX: &str = "yardmaster-";

/// Which groups are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    #[default]
    Auto,
    Only(Version),
    Off,
}

/// Where the groups of commands are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    version: Version,
    tree: PathBuf,
    can_limit_processes: bool,
    memory: Option<PathBuf>,
}

impl Home {
    /// Finds a home; `None` where there is none or none is wanted. Tries to make a group, so it
    /// is known that it can be done.
    pub fn find(choice: Choice) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let map = Map { mounts: &mounts, own: &own };
        let second = || Self::second(&map);
        let first = || Self::first(&map);
        match choice {
            Choice::Off => None,
            Choice::Only(Version::V2) => second(),
            Choice::Only(Version::V1) => first(),
            Choice::Auto => {
                let mut homes: Vec<Self> = second().into_iter().chain(first()).collect();
                // Stable: version 2 stays first among equals.
                homes.sort_by_key(|home| !home.can_limit_processes);
                homes.into_iter().next()
            }
        }
    }

    fn second(map: &Map<'_>) -> Option<Self> {
        let own = map.own_folder(Hierarchy::Second)?;
        let beside = own.file_name().is_some_and(|name| name == BESIDE);
        let parent = own.parent().filter(|parent| beside && can_make_group(parent));
        let tree = parent.map_or(own.clone(), Path::to_owned);
        if !can_make_group(&tree) {
            return None;
        }
        // Refused where processes are in it, or where it has no such controller.
        for controller in ["+pids", "+memory"] {
            write(&tree, "cgroup.subtree_control", controller).ok();
        }
        let enabled = fs::read_to_string(tree.join("cgroup.subtree_control")).unwrap_or_default();
        let has = |controller| enabled.split_whitespace().any(|word| word == controller);
        let memory = has("memory").then(|| tree.clone());
        Some(Self { version: Version::V2, can_limit_processes: has("pids"), memory, tree })
    }

    fn first(map: &Map<'_>) -> Option<Self> {
        let usable = |controller| {
            map.own_folder(Hierarchy::First(controller)).filter(|folder| can_make_group(folder))
        };
        let pids = usable("pids");
        let can_limit_processes = pids.is_some();
        let tree = pids.or_else(|| usable("freezer"))?;
        Some(Self { version: Version::V1, tree, can_limit_processes, memory: usable("memory") })
    }

    /// Returns which interface it is.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Says whether processes can be limited here.
    pub fn can_limit_processes(&self) -> bool {
        self.can_limit_processes
    }

    /// Says whether memory can be limited here.
    pub fn can_limit_memory(&self) -> bool {
        self.memory.is_some()
    }

    /// Says what a command's group is to be. Limits that cannot be had are left out.
    pub fn order(&self, command: CommandId, wanted: Limits) -> GroupOrder {
        let name = format!("{PREFIX}{command}");
        let limits = Limits {
            max_processes: wanted.max_processes.filter(|_| self.can_limit_processes),
            memory_bytes: wanted.memory_bytes.filter(|_| self.memory.is_some()),
        };
        let memory = self.memory.as_ref().filter(|_| limits.memory_bytes.is_some());
        GroupOrder {
            version: self.version,
            tree: self.tree.join(&name),
            memory: memory.map(|memory| memory.join(&name)),
            limits,
        }
    }
}

/// One way to look at the processes of a machine.
#[derive(Clone, Copy)]
enum Hierarchy<'a> {
    First(&'a str),
    Second,
}

/// What the kernel says of mounts and of this process.
struct Map<'a> {
    mounts: &'a str,
    own: &'a str,
}

impl Map<'_> {
    /// Returns the directory of this process's own group.
    fn own_folder(&self, hierarchy: Hierarchy<'_>) -> Option<PathBuf> {
        let path = self.own.lines().find_map(|line| own_path(line, hierarchy))?;
        self.mounts.lines().find_map(|line| {
            let (root, place) = mount(line, hierarchy)?;
            // A container sees only a part of the hierarchy; its root is mounted here.
            let below = Path::new(path).strip_prefix(root).ok()?;
            Some(if below.as_os_str().is_empty() {
                place.into()
            } else {
                Path::new(place).join(below)
            })
        })
    }
}

/// Reads a line of `/proc/PID/cgroup`: `7:pids:/path`.
fn own_path<'l>(line: &'l str, hierarchy: Hierarchy<'_>) -> Option<&'l str> {
    let (_, rest) = line.split_once(':')?;
    let (controllers, path) = rest.split_once(':')?;
    let is_it = match hierarchy {
        Hierarchy::Second => controllers.is_empty(),
        Hierarchy::First(controller) => controllers.split(',').any(|word| word == controller),
    };
    is_it.then_some(path)
}

/// Reads a line of `/proc/PID/mountinfo`: what is mounted, and where.
fn mount<'l>(line: &'l str, hierarchy: Hierarchy<'_>) -> Option<(&'l str, &'l str)> {
    let (place, filesystem) = line.split_once(" - ")?;
    let mut words = place.split(' ').skip(3);
    let (root, place) = (words.next()?, words.next()?);
    let mut words = filesystem.split(' ');
    let (kind, options) = (words.next()?, words.nth(1)?);
    let is_it = match hierarchy {
        Hierarchy::Second => kind == "cgroup2",
        Hierarchy::First(controller) => {
            kind == "cgroup" && options.split(',').any(|word| word == controller)
        }
    };
    is_it.then_some((root, place))
}

fn can_make_group(folder: &Path) -> bool {
    let trial = folder.join(format!("{PREFIX}trial-{}", std::process::id()));
    fs::create_dir(&trial).and_then(|()| fs::remove_dir(&trial)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
30 24 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw
32 30 0:28 /docker/x /sys/fs/cgroup/cpu,pids rw - cgroup cgroup rw,cpu,pids
";

    fn folder(own: &str, hierarchy: Hierarchy<'_>) -> Option<PathBuf> {
        Map { mounts: MOUNTS, own }.own_folder(hierarchy)
    }

    #[test]
    fn the_own_group_is_found_below_its_mount() {
        let own = "5:cpu,pids:/docker/x/w\n1:name=systemd:/a\n0::/system.slice/worker.service\n";
        let second = "/sys/fs/cgroup/unified/system.slice/worker.service";
        assert_eq!(folder(own, Hierarchy::Second), Some(second.into()));
        let first = "/sys/fs/cgroup/cpu,pids/w";
        assert_eq!(folder(own, Hierarchy::First("pids")), Some(first.into()));
        assert_eq!(folder(own, Hierarchy::First("memory")), None);
    }

    #[test]
    fn a_root_is_its_mount_and_a_group_outside_the_mount_is_none() {
        assert_eq!(folder("0::/\n", Hierarchy::Second), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(folder("5:cpu,pids:/other\n", Hierarchy::First("pids")), None);
        assert_eq!(folder("", Hierarchy::Second), None);
    }

    #[test]
    fn limits_that_cannot_be_had_are_left_out() {
        let home = Home {
            version: Version::V1,
            tree: "/pids".into(),
            can_limit_processes: true,
            memory: None,
        };
        let wanted = Limits { max_processes: Some(5), memory_bytes: Some(6) };
        let order = home.order(CommandId(1), wanted);
        assert_eq!(order.limits(), Limits { max_processes: Some(5), memory_bytes: None });
        assert_eq!(order.tree, Path::new("/pids").join(format!("yardmaster-{}", CommandId(1))));
        assert_eq!(order.memory, None);
    }
}
