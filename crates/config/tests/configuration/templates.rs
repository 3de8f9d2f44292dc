//! Templates: what is written literally comes out literally, and nothing hurts the reader.

use config::template::{Argument, FieldPath, Template};
use config::{Code, Context, Decode, Diagnostic, Node, NodeKind, SourceFile, Span, Value};
use proptest::prelude::*;

use crate::schema::{check, file};

fn decode<T: Decode>(text: &str) -> Result<T, Vec<Diagnostic>> {
    let files: [SourceFile; 0] = [];
    let mut cx = Context::new(&files, Vec::new());
    let node = Node { span: Span::default(), kind: NodeKind::Text(text.to_owned()) };
    let decoded = T::decode(&node, &mut cx);
    decoded.ok_or_else(|| cx.finish())
}

fn nothing(_: &FieldPath) -> Option<Value> {
    None
}

/// Texts in which dollars and brackets are frequent.
fn text() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        Just('$'),
        Just('{'),
        Just('}'),
        any::<char>().prop_filter("texts hold no NUL", |character| *character != '\0'),
    ];
    proptest::collection::vec(character, 0..40).prop_map(String::from_iter)
}

proptest! {
    #[test]
    fn literal_text_renders_as_itself(text in text()) {
        prop_assume!(!text.contains("${"));
        let template: Template = decode(&text).unwrap();
        prop_assert_eq!(template.render(&nothing).unwrap(), text.as_bytes());
        let mut argv = Vec::new();
        decode::<Argument>(&text).unwrap().render_into(&nothing, &mut argv).unwrap();
        prop_assert_eq!(argv, [text.into_bytes()]);
    }

    #[test]
    fn a_doubled_dollar_makes_any_text_literal(text in text()) {
        let escaped = text.replace("${", "$${");
        let template: Template = decode(&escaped).unwrap();
        prop_assert_eq!(template.render(&nothing).unwrap(), text.as_bytes());
    }

    #[test]
    fn values_are_never_looked_at_again(before in "[a-z ]{0,8}", value in text(), after in "[a-z ]{0,8}") {
        let template: Template = decode(&format!("{before}${{change.branch}}{after}")).unwrap();
        let scope = |_: &FieldPath| Some(Value::Str(value.clone()));
        let expected = format!("{before}{value}{after}").into_bytes();
        prop_assert_eq!(template.render(&scope).unwrap(), expected);
    }

    #[test]
    fn any_text_is_a_template_or_refused(text in text()) {
        // An end is all that is asked for.
        drop(decode::<Template>(&text));
        drop(decode::<Template>(&format!("${{{text}}}")));
    }
}

#[test]
fn deep_expressions_are_refused() {
    for bomb in ["(", "[", "{", "!", "-", "a.", "a?", "a+", "[a,", "f(", "'", "\"", "((a)."] {
        for length in [40, 400, 40_000] {
            let text = format!("${{{}}}", bomb.repeat(length));
            let problems = decode::<Template>(&text).expect_err(bomb);
            assert_eq!(problems[0].code, Code::BadTemplate, "{bomb} {length}");
        }
    }
}

#[test]
fn deep_configurations_are_refused() {
    const DEPTH: usize = 50_000;
    for bomb in [
        format!("a = {}", "[".repeat(DEPTH)),
        format!("a = {}", "[\n".repeat(DEPTH)),
        format!("a = {}{}", "[".repeat(DEPTH), "]".repeat(DEPTH)),
        format!("a = {}{}", "[\n".repeat(DEPTH), "]\n".repeat(DEPTH)),
        format!("a = {}", "{ a = ".repeat(DEPTH)),
        format!("a = {}1{}", "{a=".repeat(DEPTH), "}".repeat(DEPTH)),
        format!("a{} = 1", ".a".repeat(DEPTH)),
        format!("[a{}]\nb = 1", ".a".repeat(DEPTH)),
        format!("[[a{}]]\nb = 1", ".a".repeat(DEPTH)),
        format!("x = {{ a{} = 1 }}", ".a".repeat(DEPTH)),
    ] {
        let start: String = bomb.chars().take(12).collect();
        let problems = check(&[file("yard.toml", &bomb)]);
        assert!(problems.iter().any(|problem| problem.code == Code::Syntax), "{start}");
    }
}
