//! The checked configuration as far as the engine decides by it.

use std::collections::{BTreeMap, BTreeSet};

use config::{
    AtLeastOne, Code, Condition, Context, Decode, Diagnostic, Fields, Name, Node, Requirement,
    Spanned, Value, choice,
};

use crate::lock::{self, Claim, Lock};
use crate::placement::Placement;
use crate::priority;
use crate::property;
use crate::reference;
use crate::resources::Resources;
use crate::row::OnDisconnect;
use crate::scheduler::Scheduler;
use crate::step::{self, Draft, Repository, Step};
use crate::variable::{self, Offered, Pattern};

/// Everything the engine knows from the configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// The number under which the configuration was stored.
    pub revision: i64,
    pub workers: BTreeMap<Name, WorkerGroup>,
    pub schedulers: BTreeMap<Name, Scheduler>,
    pub locks: BTreeMap<Name, Lock>,
    pub builders: BTreeMap<Name, Builder>,
    /// Those of the builders that the configuration no longer has, and for which something waits.
    pub retired: BTreeSet<Name>,
    pub apps: BTreeMap<Name, App>,
    /// What git steps check out, by change source.
    pub repositories: BTreeMap<Name, Repository>,
    /// What every build knows.
    pub properties: BTreeMap<String, Value>,
    /// The change source by which clients submit, if one listens.
    pub changeport: Option<Name>,
}

/// `[worker.NAME]`: a group of workers that are configured alike.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerGroup {
    pub names: Vec<Name>,
    /// Builds at once on each; a worker may say it wants fewer.
    pub max_builds: Option<u32>,
    pub labels: Vec<Name>,
    /// What each has, over what it says of itself.
    pub resources: Resources,
    /// What a build on one of them knows.
    pub properties: BTreeMap<String, Value>,
}

/// `[builder.NAME]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Builder {
    /// Groups whose workers may run it.
    pub workers: Vec<Name>,
    pub description: String,
    /// What its builds know, whatever a change or scheduler says.
    pub properties: BTreeMap<String, Value>,
    /// What they know where nothing else says so.
    pub default_properties: BTreeMap<String, Value>,
    /// Its requests are skipped where it does not hold.
    pub when: Option<Condition>,
    /// What a worker has to be or have.
    pub require: Option<Requirement>,
    /// What a build takes of its worker.
    pub resources: Resources,
    /// What a build holds from its start to its end.
    pub locks: Vec<Claim>,
    pub placement: Placement,
    /// Requests that ask for the same are merged.
    pub collapse_requests: bool,
    pub steps: Vec<Step>,
}

/// `[app.NAME]`: a launcher.
#[derive(Debug, Clone, PartialEq)]
pub struct App {
    pub builder: Name,
    /// Variables of the caller that the app wants.
    pub env: Vec<Pattern>,
    pub on_disconnect: OnDisconnect,
    pub summary: String,
    /// Of its calls; higher is served first.
    pub priority: i32,
    /// What a build of a call knows.
    pub properties: BTreeMap<String, Value>,
}

impl App {
    /// Says whether the caller may pass the variable.
    pub fn allows_variable(&self, name: &[u8], value: &[u8]) -> bool {
        variable::passes(&self.env, name, value)
    }

    /// Returns what it wants of the caller's environment and the client did not look for.
    pub(crate) fn env_missing(&self, offered: &Offered) -> Vec<Pattern> {
        variable::missing(&self.env, offered)
    }
}

impl Settings {
    /// Returns the groups a worker belongs to.
    pub fn groups_of<'a>(
        &'a self,
        worker: &'a Name,
    ) -> impl Iterator<Item = (&'a Name, &'a WorkerGroup)> {
        self.workers.iter().filter(move |(_, group)| group.names.contains(worker))
    }

    /// Says whether the configuration knows the worker.
    pub fn knows_worker(&self, worker: &Name) -> bool {
        self.groups_of(worker).next().is_some()
    }

    /// Says whether a worker may run a builder.
    pub fn may_run(&self, worker: &Name, builder: &Builder) -> bool {
        self.groups_of(worker).any(|(group, _)| builder.workers.contains(group))
    }
}

/// Decodes names and notes what they refer to.
pub(crate) fn references(
    fields: &mut Fields<'_>,
    key: &'static str,
    kind: config::NameKind,
    cx: &mut Context<'_>,
) -> Option<Vec<Name>> {
    let AtLeastOne(names) = fields.required(key, cx)?;
    Some(refer(names, kind, cx))
}

fn refer(names: Vec<Spanned<Name>>, kind: config::NameKind, cx: &mut Context<'_>) -> Vec<Name> {
    for name in &names {
        cx.refer(kind, name.clone());
    }
    names.into_iter().map(|name| name.value).collect()
}

impl Decode for WorkerGroup {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let later = &["latent", "placement", "was", "when"];
        let mut fields = Fields::of(node, cx)?.with_later(later);
        let names: Option<AtLeastOne<Name>> = fields.required_unless("names", &["latent"], cx);
        let max_builds = max_builds(&mut fields, cx);
        let labels = fields.or("labels", Vec::new(), cx);
        let resources = fields.or("resources", Resources::default(), cx);
        let properties = property::table(&mut fields, "properties", cx);
        fields.finish(cx);
        Some(Self {
            names: names?.0,
            max_builds: max_builds?,
            labels: labels?,
            resources: resources?,
            properties: properties?,
        })
    }
}

fn max_builds(fields: &mut Fields<'_>, cx: &mut Context<'_>) -> Option<Option<u32>> {
    let count: Option<Spanned<u32>> = fields.optional("max_builds", cx)?;
    if let Some(none) = count.as_ref().filter(|count| count.value == 0) {
        let message = "workers that run no build at all are never used";
        let problem = Diagnostic::new(Code::OutOfRange, none.span, message);
        cx.report(problem.help("write at least 1, or leave the worker out of `names`"));
    }
    Some(count.map(|count| count.value))
}

/// Reads names of variables, or how they begin.
fn passed_variables(fields: &mut Fields<'_>, cx: &mut Context<'_>) -> Option<Vec<Pattern>> {
    let texts: Vec<Spanned<String>> = fields.or("env", Vec::new(), cx)?;
    let patterns: Vec<Option<Pattern>> =
        texts.iter().map(|text| passed_variable(text, cx)).collect();
    patterns.into_iter().collect()
}

fn passed_variable(text: &Spanned<String>, cx: &mut Context<'_>) -> Option<Pattern> {
    let pattern = Pattern::parse(&text.value);
    match &pattern {
        None => {
            let message = format!("`{}` is not the name of a variable", text.value);
            let problem = Diagnostic::new(Code::OutOfRange, text.span, message);
            cx.report(problem.help("write a name, or how names begin: \"DISPLAY\", \"LC_*\""));
        }
        Some(denied) if denied.is_denied() => {
            let message = format!("`{}` never passes from a caller to an app", text.value);
            let problem = Diagnostic::new(Code::DeniedVariable, text.span, message);
            cx.report(problem.help(
                "a value that you choose yourself belongs to the step: env = { NAME = \"value\" }",
            ));
        }
        Some(_) => {}
    }
    pattern
}

impl Decode for Builder {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let later = &["forward", "parameters", "pools", "was"];
        let mut fields = Fields::of(node, cx)?.with_later(later);
        let elsewhere = &["forward"];
        let workers: Option<AtLeastOne<_>> = fields.required_unless("workers", elsewhere, cx);
        let workers = workers.map(|AtLeastOne(names)| refer(names, reference::WORKER, cx));
        let description = fields.or("description", String::new(), cx);
        let properties = property::table(&mut fields, "properties", cx);
        let default_properties = property::table(&mut fields, "default_properties", cx);
        let when = match fields.entry("when") {
            Some(entry) => Condition::decode_early(&entry.value, cx).map(Some),
            None => Some(None),
        };
        let require = fields.optional("require", cx);
        let resources = fields.or("resources", Resources::default(), cx);
        let locks = lock::claims(&mut fields, cx);
        let placement = Placement::decode(fields.entry("placement"), cx);
        let collapse_requests = fields.or("collapse_requests", false, cx);
        let steps: Option<AtLeastOne<Draft>> = fields.required_unless("steps", elsewhere, cx);
        let steps = steps.and_then(|AtLeastOne(drafts)| step::name_all(drafts, cx));
        fields.finish(cx);
        Some(Self {
            workers: workers?,
            description: description?,
            properties: properties?,
            default_properties: default_properties?,
            when: when?,
            require: require?,
            resources: resources?,
            locks: locks?,
            placement: placement?,
            collapse_requests: collapse_requests?,
            steps: steps?,
        })
    }
}

impl Decode for App {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let mut fields =
            Fields::of(node, cx)?.with_later(&["aliases", "busy", "notify", "wait", "was"]);
        let builder: Option<Spanned<Name>> = fields.required("builder", cx);
        if let Some(builder) = &builder {
            cx.refer(reference::BUILDER, builder.clone());
        }
        let env = passed_variables(&mut fields, cx);
        let options = [("cancel", OnDisconnect::Cancel), ("keep", OnDisconnect::Keep)];
        let on_disconnect = match fields.entry("on_disconnect") {
            Some(entry) => choice(&entry.value, &options, cx),
            None => Some(OnDisconnect::Cancel),
        };
        let summary = fields.or("summary", String::new(), cx);
        let priority = priority::decode(&mut fields, cx);
        let properties = property::table(&mut fields, "properties", cx);
        fields.finish(cx);
        Some(Self {
            builder: builder?.value,
            env: env?,
            on_disconnect: on_disconnect?,
            summary: summary?,
            priority: priority?,
            properties: properties?,
        })
    }
}
