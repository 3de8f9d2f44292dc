//! Other configurations of the yard, drawn by the seed: builders, workers and schedulers come and
//! go, places become fewer and more, timers change.

use std::time::Duration;

use engine::scheduler::{AnyBranch, SchedulerKind, SingleBranch};
use engine::settings::Settings;

use crate::host::rng::Rng;
use crate::yard::{self, LICENCE, MOST_LICENCES, named};

/// Draws a configuration. The worker `w2`, and what the judge knows by name, stays as it is.
pub(crate) fn draw(rng: &mut Rng) -> Settings {
    let mut settings = yard::settings();
    for builder in ["docs", "judged", "nothing", "ci"] {
        if rng.permille(250) {
            remove_builder(&mut settings, builder);
        }
    }
    if rng.permille(300) {
        remove_builder(&mut settings, "service");
        let builder = named("tool");
        settings.apps.get_mut(&named("endless")).expect("it is there").builder = builder;
    }
    vary_workers(&mut settings, rng);
    vary_timers(&mut settings, rng);
    let licence = settings.locks.get_mut(&named(LICENCE)).expect("it is there");
    licence.max = [1, 2, MOST_LICENCES][rng.index(3)];
    settings
}

fn remove_builder(settings: &mut Settings, builder: &str) {
    settings.builders.remove(&named(builder));
    for scheduler in settings.schedulers.values_mut() {
        scheduler.builders.retain(|name| *name != named(builder));
    }
    settings.schedulers.retain(|_, scheduler| !scheduler.builders.is_empty());
}

fn vary_workers(settings: &mut Settings, rng: &mut Rng) {
    let all = settings.workers.get_mut(&named("all")).expect("it is there");
    for worker in ["w1", "w3"] {
        if rng.permille(300) {
            all.names.retain(|name| *name != named(worker));
        }
    }
    all.max_builds = [None, Some(1), Some(2)][rng.index(3)];
}

fn vary_timers(settings: &mut Settings, rng: &mut Rng) {
    if rng.permille(200) {
        settings.schedulers.remove(&named("sent"));
    }
    let Some(any) = settings.schedulers.get_mut(&named("any")) else { return };
    any.stable_timer = [None, Some(1), Some(5), Some(60)][rng.index(4)].map(Duration::from_secs);
    let main = SingleBranch { branch: Some("main".to_owned()) };
    any.kind = match rng.index(3) {
        0 => SchedulerKind::SingleBranch(main),
        _ => SchedulerKind::AnyBranch(AnyBranch {}),
    };
}

/// Takes along what is gone as long as somebody waits for it.
pub(crate) fn retire(new: &mut Settings, old: &Settings) {
    for (name, builder) in &old.builders {
        if !new.builders.contains_key(name) {
            new.builders.insert(name.clone(), builder.clone());
            new.retired.insert(name.clone());
        }
    }
}
