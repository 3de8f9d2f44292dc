//! `worker run`: the daemon.
//!
//! In this order: the lock of the data directory, the spawners, the spool, and only then threads.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use shim::{SpoolError, SpoolRoot};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use super::{EXIT_SOFTWARE, EXIT_TEMPORARY, complain, machine, settings};
use crate::control::{About, Server};
use crate::daemon::{self, Daemon, Parts, Recovered, Spawners};
use crate::exec::{Own, Workshop};
use crate::link::{self, LinkState, Links};
use crate::probes::Prober;
use crate::settings::Settings;
use crate::tasks::Tasks;
use crate::workdirs::{self, Workdirs};

const SHIM: &str = "yardmaster-shim";
/// Events that wait for the daemon's loop; a full queue stops reading the connection.
const EVENTS: usize = 4_096;
const THREADS: usize = 2;
/// For tasks to end after a signal; what takes longer is cut off.
const LAST_TASKS: Duration = Duration::from_millis(1_200);
/// For blocking work to end after that.
const LAST_WORK: Duration = Duration::from_millis(300);

pub(super) fn main(config: &Path) -> ExitCode {
    let settings = match settings(config) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    log_to_stderr();
    heap::keep_small();
    match prepare(settings).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            let is_taken = matches!(error.downcast_ref(), Some(SpoolError::InUse { .. }));
            ExitCode::from(if is_taken { EXIT_TEMPORARY } else { EXIT_SOFTWARE })
        }
    }
}

fn log_to_stderr() {
    let filter =
        EnvFilter::try_from_env("YARDMASTER_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_target(false)
        .init();
}

/// Everything that is done while the process has one thread.
struct Prepared {
    settings: Settings,
    spool: Arc<SpoolRoot>,
    spawners: Spawners,
    workshop: Workshop,
    recovered: Recovered,
}

fn prepare(mut settings: Settings) -> anyhow::Result<Prepared> {
    let data = settings.data.clone();
    let work = data.join("work");
    let workdirs = Workdirs::open(work.clone(), settings.disk);
    let workdirs = workdirs.with_context(|| format!("make {}", work.display()))?;
    let spool = SpoolRoot::open(&data.join("spool"))?;
    let program = std::env::current_exe().context("find this program's own file")?;
    let shim = settings.shim.take().unwrap_or_else(|| beside(&program));
    let spawners = Spawners::start(shim).context("start a spawner (see `shim` in worker.toml)")?;
    let recovered = daemon::recover(&spool).context("read the spool")?;
    let home = shim::Home::find(settings.limits.groups);
    machine::tell(home.as_ref(), settings.limits);
    let workshop = Workshop {
        workdirs: Arc::new(workdirs),
        program,
        own: Own::read(&data),
        variables: std::mem::take(&mut settings.env),
        repositories: settings.repositories,
        output: settings.output,
        limits: settings.limits,
        home,
    };
    Ok(Prepared { settings, spool: Arc::new(spool), spawners, workshop, recovered })
}

fn beside(program: &Path) -> PathBuf {
    program.with_file_name(SHIM)
}

fn run(prepared: Prepared) -> anyhow::Result<()> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let built =
        threads::probe().and_then(|()| builder.worker_threads(THREADS).enable_all().build());
    let runtime = built.context("start threads (see the limits of tasks of this service)")?;
    let outcome = runtime.block_on(serve(prepared));
    match outcome {
        Ok(Stopped::AtOnce) => runtime.shutdown_background(),
        Ok(Stopped::InOrder) | Err(_) => runtime.shutdown_timeout(LAST_WORK),
    }
    outcome.map(|_stopped| ())
}

/// How much time is left for blocking work.
enum Stopped {
    InOrder,
    AtOnce,
}

async fn serve(prepared: Prepared) -> anyhow::Result<Stopped> {
    let Prepared { settings, spool, spawners, workshop, recovered } = prepared;
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("listen for SIGHUP")?;
    let tasks = Tasks::default();
    tasks.spawn("thread", threads::keep_one(tasks.end().clone()));
    let (events, queue) = mpsc::channel(EVENTS);
    let (state, link) = watch::channel(LinkState::Connecting);
    let end = tasks.end().clone();
    let words = machine::words(workshop.home.as_ref());
    let cgroup = machine::word(workshop.home.as_ref());
    let workdirs = workshop.workdirs.clone();
    let (prober, probes) = Prober::new(settings.probes, &workshop.own, &workshop.variables);
    let parts = Parts {
        spool: spool.clone(),
        spawners,
        workshop,
        tasks: tasks.clone(),
        events: events.clone(),
    };
    let daemon = Daemon::new(parts, recovered);
    tasks.spawn("probes", prober.run(end.clone()));
    let about = About {
        name: settings.name.to_string(),
        max_builds: settings.max_builds,
        control_groups: words,
        link,
        leave: daemon.leave(),
        probes: probes.clone(),
    };
    let server = Server::bind(&settings.data, about, events.clone(), end.clone())
        .with_context(|| format!("make the control socket in {}", settings.data.display()))?;
    let links = Links {
        masters: settings.masters,
        token: settings.token,
        max_builds: settings.max_builds,
        cgroup,
        spool,
        daemon: events,
        tails: daemon.tails(),
        state,
        findings: probes.findings,
    };
    info!(worker.name = %settings.name, data = %settings.data.display(), "worker started");
    let mut ended = tasks.spawn_watched("daemon", daemon.run(queue));
    tasks.spawn("control socket", server.run(tasks.clone()));
    tasks.spawn("link", link::run(links, end.clone()));
    tasks.spawn("janitor", workdirs::run(workdirs, end.clone()));
    loop {
        // All branches are cancel-safe.
        tokio::select! {
            _ = terminate.recv() => info!("stopping on SIGTERM; commands go on"),
            _ = interrupt.recv() => info!("stopping on SIGINT; commands go on"),
            () = end.cancelled() => {}
            ended = &mut ended => ended.context("run the commands of this worker")?,
            Some(()) = hangup.recv() => {
                warn!(
                    "SIGHUP: reload is not in this version; restart the worker to read its \
                     configuration anew, commands go on meanwhile"
                );
                continue;
            }
        }
        break;
    }
    // Whichever branch wins, nothing else is left to do; what is cut off is as after a kill.
    let stopped = tokio::select! {
        () = tasks.finish() => Stopped::InOrder,
        () = tokio::time::sleep(LAST_TASKS) => {
            warn!("some tasks did not end in time");
            Stopped::InOrder
        }
        _ = terminate.recv() => Stopped::AtOnce,
        _ = interrupt.recv() => Stopped::AtOnce,
    };
    info!("worker stopped");
    Ok(stopped)
}
