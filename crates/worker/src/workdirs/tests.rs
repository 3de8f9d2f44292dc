//! Only what no build can need goes, and the longest unused first.

use std::fs;
use std::time::Duration;

use super::*;

const KEEP: DiskPolicy = DiskPolicy { keep_free_bytes: u64::MAX };

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// Enters directories, a second after each other as far as anybody can see, and leaves a file in
/// each.
fn enter(workdirs: &Workdirs, places: &[(&str, u32)]) {
    for (second, (builder, slot)) in (1..).zip(places) {
        let place = workdirs.path().join(builder).join(slot.to_string());
        let make = || {
            fs::create_dir_all(&place).unwrap();
            fs::write(place.join("file"), "x").unwrap();
        };
        workdirs.enter(&name(builder), *slot, make).unwrap();
        let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        File::open(&place).unwrap().set_modified(moment).unwrap();
    }
}

/// Takes away all that may go, and says in which order.
fn taken(workdirs: &Workdirs) -> Vec<String> {
    std::iter::from_fn(|| workdirs.take_away_oldest().unwrap())
        .map(|path| path.strip_prefix(workdirs.path()).unwrap().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn the_last_tenant_of_a_slot_keeps_its_directory() {
    let folder = tempfile::tempdir().unwrap();
    let workdirs = Workdirs::open(folder.path().join("work"), KEEP).unwrap();
    enter(&workdirs, &[("a", 0), ("b", 0), ("a", 1)]);
    assert_eq!(taken(&workdirs), ["a/0"]);
    enter(&workdirs, &[("a", 0), ("c", 1)]);
    assert_eq!(taken(&workdirs), ["b/0", "a/1"], "the longest unused first");
    assert_eq!(workdirs.trash().unwrap().len(), 3);
}

#[test]
fn tenants_are_known_after_a_restart_and_not_where_nobody_noted_them() {
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().join("work");
    enter(&Workdirs::open(work.clone(), KEEP).unwrap(), &[("a", 0), ("b", 0)]);
    fs::create_dir_all(work.join("c/7")).unwrap();
    let again = Workdirs::open(work.clone(), KEEP).unwrap();
    assert_eq!(taken(&again), ["a/0"]);
    let unnoted = Workdirs::open(work.clone(), DiskPolicy::default()).unwrap();
    enter(&unnoted, &[("a", 0)]);
    assert_eq!(taken(&Workdirs::open(work, KEEP).unwrap()), [] as [&str; 0]);
}

#[test]
fn what_is_not_ours_stays() {
    let folder = tempfile::tempdir().unwrap();
    let workdirs = Workdirs::open(folder.path().join("work"), KEEP).unwrap();
    enter(&workdirs, &[("a", 0)]);
    fs::create_dir_all(workdirs.path().join("b/other")).unwrap();
    fs::create_dir_all(workdirs.path().join("-odd/0")).unwrap();
    fs::write(workdirs.path().join("file"), "").unwrap();
    assert_eq!(taken(&workdirs), [] as [&str; 0]);
}
