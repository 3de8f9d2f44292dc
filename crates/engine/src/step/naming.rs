//! What the steps of a builder are called.
//!
//! Invariant: each name is there once. Who gives two steps one name is told so; steps without one
//! are called by their kind, with a number from the second on: `command`, `command_1`.

use std::collections::BTreeMap;

use config::{Code, Context, Diagnostic, Name, Span, Spanned};

use super::Step;

/// A step, and the name it was given if it was.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(super) given: Option<Spanned<Name>>,
    /// Called by its kind as yet.
    pub(super) step: Step,
}

/// Gives every step its name. `None` after a name that is there twice.
pub(crate) fn name_all(drafts: Vec<Draft>, cx: &mut Context<'_>) -> Option<Vec<Step>> {
    let mut taken: BTreeMap<Name, Option<Span>> = BTreeMap::new();
    let mut is_whole = true;
    for given in drafts.iter().filter_map(|draft| draft.given.as_ref()) {
        if let Some(Some(first)) = taken.insert(given.value.clone(), Some(given.span)) {
            let message = format!("two steps are called `{}`", given.value);
            let problem = Diagnostic::new(Code::Duplicate, given.span, message);
            cx.report(problem.also(first, "this one is").help("give one another `name`"));
            is_whole = false;
        }
    }
    let name = |Draft { given, mut step }: Draft| {
        step.name = match given {
            Some(given) => given.value,
            None => free(&step.name, &taken)?,
        };
        taken.entry(step.name.clone()).or_default();
        Some(step)
    };
    let steps: Option<Vec<Step>> = drafts.into_iter().map(name).collect();
    steps.filter(|_| is_whole)
}

/// Returns the first of `word`, `word_1`, `word_2` … that is free. There is always one.
fn free(word: &Name, taken: &BTreeMap<Name, Option<Span>>) -> Option<Name> {
    let numbered = (1..).map_while(|number| Name::parse(&format!("{word}_{number}")).ok());
    std::iter::once(word.clone()).chain(numbered).find(|name| !taken.contains_key(name))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use config::{Decode as _, SourceFile, Style};

    use crate::settings::Builder;

    /// Returns the names of the steps, or what is wrong with them.
    fn names(steps: &str) -> Result<Vec<String>, String> {
        let text = format!("workers = [\"all\"]\nsteps = [\n{steps}\n]");
        let files = [SourceFile { path: PathBuf::from("x"), folder: PathBuf::new(), text }];
        let (tree, problems) = config::parse(&files);
        let mut cx = config::Context::new(&files, problems);
        let builder = Builder::decode(&tree, &mut cx);
        let problems = cx.finish();
        let names = |builder: Builder| builder.steps.iter().map(|s| s.name.to_string()).collect();
        builder.map(names).ok_or_else(|| config::render(&problems, &files, Style::Plain))
    }

    #[test]
    fn steps_without_a_name_are_called_by_their_kind_and_numbered() {
        let make = "{ command = [\"make\"] },\n";
        assert_eq!(names(&make.repeat(3)).unwrap(), ["command", "command_1", "command_2"]);
        let given = "{ name = \"command_1\", script = \"true\" },\n";
        let mixed = [make, make, given, "{ script = \"true\" },"].concat();
        assert_eq!(names(&mixed).unwrap(), ["command", "command_2", "command_1", "script"]);
        let longest = format!("{{ name = \"{}\", script = \"true\" }}", "x".repeat(64));
        assert_eq!(names(&longest).unwrap(), ["x".repeat(64)]);
    }

    #[test]
    fn a_name_given_twice_is_told_with_both_places() {
        let told = names(
            "{ name = \"a\", script = \"true\" },\n{ script = \"true\" },\n{ name = \"a\", command = [\"b\"] }",
        )
        .unwrap_err();
        assert!(told.contains("two steps are called `a`"), "{told}");
        assert!(told.contains("x:5:") && told.contains("3 |"), "{told}");
    }
}
