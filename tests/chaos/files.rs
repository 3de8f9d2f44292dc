//! What the configuration files of a run say.

use anyhow::Context as _;
use e2e::{Database, Repository, Yard};

/// Places of each worker: fewer than there is work, so that requests queue.
const PLACES: u32 = 3;

/// The master's, on a database of either kind.
pub(crate) fn configuration(
    yard: &Yard,
    database: &Database,
    address: &str,
    names: &[String],
) -> anyhow::Result<String> {
    let state = match database {
        Database::Sqlite(path) => format!("sqlite:{}", path.display()),
        Database::Postgres(url) => url.clone(),
    };
    let program = std::env::current_exe().context("find this program's own file")?;
    let command = format!(
        "command = [\"{}\", \"command\", \"{}\", \"${{args}}\"]",
        program.display(),
        yard.path("witnesses").display()
    );
    // A yard makes the folder when it is asked for its witnesses.
    drop(yard.witnesses());
    Ok(format!(
        r#"version = 1
master = {{ name = "chaos", data = "master", control = "control.sock", state = "{state}" }}
worker_port = {{ listen = "{address}", token_file = "tokens", insecure = true }}
worker.local = {{ names = {names:?}, max_builds = {PLACES} }}
change_source.launch = {{ type = "changeport", listen = ["unix:change.sock"], insecure_userns = true }}
app.attended = {{ builder = "once" }}
app.kept = {{ builder = "once", on_disconnect = "keep" }}
app.repeated = {{ builder = "again", on_disconnect = "keep" }}
[builder.once]
workers = ["local"]
steps = [{{ name = "job", {command} }}]
[builder.again]
workers = ["local"]
steps = [{{ name = "job", {command}, retry_safe = true }}]
"#
    ))
}

/// Nobody builds what is pushed: its changes are what counts.
pub(crate) fn polling(repository: &Repository) -> String {
    format!(
        "[change_source.pushed]\ntype = \"git_poll\"\nrepository = \"{}\"\n\
         allow_local = true\npoll_interval = \"500ms\"\nfirst_sight = \"build\"\n",
        repository.url()
    )
}

/// A worker's.
pub(crate) fn worker_configuration(name: &str, master: &str) -> String {
    format!(
        "insecure = true\nmasters = [\"{master}\"]\nname = \"{name}\"\ntoken = {{ file = \"{name}.token\" }}\n\
         data = \"{name}\"\nmax_builds = {PLACES}\n"
    )
}
