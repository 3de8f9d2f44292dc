//! What templates, conditions and filters of a build can see.

use config::filter::Attribute;
use config::template::{Argument, FieldPath, Part, Root, Template};
use config::{Condition, Name, Value};

use crate::property::{self, Origins};
use crate::row::{Change, Request};
use crate::step::Repository;

/// What a command is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a>(pub(crate) Origins<'a>);

impl<'a> Subject<'a> {
    pub(crate) fn change(&self) -> &'a Change {
        self.0.change
    }

    fn request(&self) -> &'a Request {
        self.0.request
    }

    /// Expands a template to exact bytes.
    pub(crate) fn render(&self, template: &Template) -> Result<Vec<u8>, String> {
        template.render(&|path| self.value(path)).map_err(|error| error.to_string())
    }

    /// Expands a template to exact bytes and the names of secrets.
    pub(crate) fn render_parts(&self, template: &Template) -> Result<Vec<Part>, String> {
        template.render_parts(&|path| self.value(path)).map_err(|error| error.to_string())
    }

    /// Says whether a condition holds.
    pub(crate) fn holds(&self, condition: &Condition) -> Result<bool, String> {
        condition.holds(&|path| self.value(path)).map_err(|error| error.to_string())
    }

    /// Expands an argument to the elements it stands for.
    pub(crate) fn render_into(
        &self,
        argument: &Argument,
        argv: &mut Vec<Vec<u8>>,
    ) -> Result<(), String> {
        argument.render_into(&|path| self.value(path), argv).map_err(|error| error.to_string())
    }

    /// Returns the repository of a change source, as the plan pinned it.
    pub(crate) fn repository(&self, source: &Name) -> Option<&Repository> {
        self.0.phase.build()?.plan.repositories.get(source)
    }

    /// Returns what the caller of an app passed in its environment.
    pub(crate) fn launch_env(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.change().launch.as_ref().map(|launch| launch.env.clone()).unwrap_or_default()
    }

    fn value(&self, path: &FieldPath) -> Option<Value> {
        let field = path.fields.first().map_or("", String::as_str);
        match path.root {
            Root::Args => Some(self.args()),
            Root::Change => self.change_field(field),
            Root::Revision => self.revision_field(field),
            Root::Prop => self.0.get(field).map(|property| property.value),
            Root::User => self.user_field(field),
            Root::Worker => self.0.phase.build().map(|build| Value::Str(build.worker.to_string())),
            Root::Build => self.build_field(field),
        }
    }

    fn revision_field(&self, field: &str) -> Option<Value> {
        let revision = self.change().revision.as_deref();
        match field {
            "id" => Some(text_or_null(revision)),
            "short" => {
                let short = revision.map(|revision| revision.chars().take(12).collect::<String>());
                Some(text_or_null(short.as_deref()))
            }
            _ => None,
        }
    }

    fn build_field(&self, field: &str) -> Option<Value> {
        match field {
            "number" => Some(Value::Int(self.request().name.number)),
            "builder" => Some(Value::Str(self.request().builder.to_string())),
            "id" => Some(Value::Str(self.request().name.to_string())),
            _ => None,
        }
    }

    fn args(&self) -> Value {
        let args = self.change().launch.as_ref().map(|launch| launch.args.clone());
        Value::List(args.unwrap_or_default().into_iter().map(Value::from_bytes).collect())
    }

    fn change_field(&self, field: &str) -> Option<Value> {
        let change = self.change();
        Some(match field {
            "id" => Value::Int(change.id.0),
            "author" => Value::from_bytes(change.author.clone()),
            "comments" => Value::from_bytes(change.comments.clone()),
            "files" => Value::List(change.files.iter().cloned().map(Value::from_bytes).collect()),
            "when" => Value::Int(change.when_us / 1_000_000),
            "branch" => text_or_null(change.branch.as_deref()),
            "revision" => text_or_null(change.revision.as_deref()),
            "category" => text_or_null(change.category.as_deref()),
            "repository" => Value::Str(change.repository.clone()),
            "project" => Value::Str(change.project.clone()),
            "codebase" => Value::Str(change.codebase.clone()),
            _ => return None,
        })
    }

    fn user_field(&self, field: &str) -> Option<Value> {
        let launch = self.change().launch.as_ref()?;
        let number = |id: Option<u32>| id.map_or(Value::Null, |id| Value::Int(i64::from(id)));
        Some(match field {
            "name" => Value::Str(launch.user.name.clone()),
            "uid" => number(launch.user.uid),
            "gid" => number(launch.user.gid),
            "home" => Value::Str(launch.user.home.clone()),
            "host" => Value::Str(launch.host.clone()),
            _ => return None,
        })
    }
}

fn text_or_null(text: Option<&str>) -> Value {
    text.map_or(Value::Null, |text| Value::Str(text.to_owned()))
}

/// Returns an attribute of a change for a filter; `None` where the change has none.
pub(crate) fn attribute(change: &Change, attribute: &Attribute) -> Option<Value> {
    match attribute {
        Attribute::Branch => change.branch.clone().map(Value::Str),
        Attribute::Category => change.category.clone().map(Value::Str),
        Attribute::Repository => Some(Value::Str(change.repository.clone())),
        Attribute::Project => Some(Value::Str(change.project.clone())),
        Attribute::Codebase => Some(Value::Str(change.codebase.clone())),
        Attribute::Revision => change.revision.clone().map(Value::Str),
        Attribute::Comments => Some(Value::from_bytes(change.comments.clone())),
        Attribute::Files => {
            Some(Value::List(change.files.iter().cloned().map(Value::from_bytes).collect()))
        }
        Attribute::Author => Some(Value::from_bytes(change.author.clone())),
        Attribute::Property(name) => property::of_change(change, name),
    }
}
