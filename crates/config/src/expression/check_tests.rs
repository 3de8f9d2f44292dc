//! What names and types of expressions are accepted.

use super::*;
use crate::template::{FieldPath, Root};

fn parse(source: &str) -> Result<(Expr, Type), BadExpression> {
    super::parse(source, Known::OfBuild)
}

fn wrong(source: &str) -> (Wrong, String) {
    let bad = parse(source).unwrap_err();
    (bad.kind, bad.message)
}

#[test]
fn fields_are_read_as_fields() {
    for (source, root, fields) in [
        ("change.branch", Root::Change, &["branch"][..]),
        ("args", Root::Args, &[]),
        ("prop.answer", Root::Prop, &["answer"]),
        ("prop[\"got-revision\"]", Root::Prop, &["got-revision"]),
    ] {
        let fields = fields.iter().map(|field| (*field).to_owned()).collect();
        assert_eq!(parse(source).unwrap().0, Expr::Field(FieldPath { root, fields }), "{source}");
    }
}

#[test]
fn names_are_checked_and_the_probable_one_is_told() {
    for (source, kind, near) in [
        ("change.", Wrong::Syntax, None),
        ("chang.branch", Wrong::Name, Some("change")),
        ("change.brunch", Wrong::Name, Some("change.branch")),
        ("change", Wrong::Name, None),
        ("user.name.x", Wrong::Type, None),
        ("change.branch.startwith('x')", Wrong::Name, Some("startsWith")),
        ("change.files.exist(f, f == 'x')", Wrong::Name, Some("exists")),
        ("secret.x", Wrong::Secret, None),
        ("change.branch + secret.x", Wrong::Secret, None),
        ("param.x", Wrong::Later, None),
        ("change.image", Wrong::Later, None),
        ("worker.probe.python", Wrong::Name, None),
    ] {
        let bad = parse(source).unwrap_err();
        assert_eq!((bad.kind, bad.near.as_deref()), (kind, near), "{source}: {bad}");
    }
    let bad = parse("1 == 2 && chang.branch == 'x'").unwrap_err();
    assert_eq!(bad.place.map(|place| &"1 == 2 && chang.branch == 'x'"[place]), Some("chang"));
}

#[test]
fn what_is_judged_before_there_is_a_worker_knows_none() {
    let early = |source| super::parse(source, Known::BeforeWorker).map_err(|bad| bad.kind);
    for source in ["change.branch == 'main' && prop.x", "args", "user.name", "build.number"] {
        assert!(early(source).is_ok(), "{source}");
    }
    assert_eq!(early("worker.name == 'w1'"), Err(Wrong::Name));
}

#[test]
fn types_are_checked_as_far_as_they_are_known() {
    for source in [
        "1 + 'a'",
        "1 + 1.5",
        "change.branch == 1",
        "change.branch && true",
        "!change.branch",
        "build.number < 'x'",
        "build.number < version('1')",
        "version('one')",
        "version('1') == '1'",
        "version(3.10)",
        "duration('10')",
        "'x' in 'xyz'",
        "1 in ['a']",
        "change.files[change.branch]",
        "size(1, 2)",
        "change.branch.matches('(')",
        "change.branch.matches(prop.x)",
        "has(1)",
        "true ? 1 : 2 ? 3 : 4",
        "change.files.all(f, f)",
        "args.map(a, args.map(b, b))",
        "-'x'",
        "range(0, 'x')",
    ] {
        assert_eq!(parse(source).map_err(|bad| bad.kind), Err(Wrong::Type), "{source}");
    }
    for (source, expected) in [
        ("prop.a + prop.b", Type::Any),
        ("prop.python >= '3'", Type::Bool),
        ("version(prop.python) >= version('3.10')", Type::Bool),
        ("change.branch == null", Type::Bool),
        ("build.number > 1.5", Type::Bool),
        ("args.map(a, a + '.o')", Type::list(Type::Text)),
        ("prop.on ? 1 : 2", Type::Int),
        ("prop.on ? 1 : 'a'", Type::Any),
        ("has(prop.a.b) && prop.a.b", Type::Bool),
        ("change.files.exists(f, f.startsWith('src/'))", Type::Bool),
        ("range(0, 10)", Type::list(Type::Int)),
    ] {
        assert_eq!(parse(source).map(|(_, kind)| kind), Ok(expected), "{source}");
    }
}

#[test]
fn bombs_do_not_reach_the_parser() {
    for bomb in [
        "(".repeat(900),
        "!".repeat(900),
        format!("{}c", "a?b:".repeat(7)),
        "(".repeat(7),
        "a".repeat(2_000),
    ] {
        assert_eq!(wrong(&bomb).0, Wrong::TooLarge, "{bomb:.20}");
    }
    assert!(parse(&format!("prop{}", ".a".repeat(500))).is_err());
    assert!(parse(&format!("[{}]", "1,".repeat(400))).is_err(), "more than 256 nodes");
}
