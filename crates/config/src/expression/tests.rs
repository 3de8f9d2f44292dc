//! What expressions come to, and that none takes long.

use super::*;
use crate::condition;
use crate::template::{FieldPath, RenderError, Root};
use crate::value::Value;

fn parse(source: &str) -> Result<(Expr, Type), BadExpression> {
    super::parse(source, Known::OfBuild)
}

fn text(text: &str) -> Value {
    Value::Str(text.to_owned())
}

fn scope(path: &FieldPath) -> Option<Value> {
    let field = path.fields.first().map_or("", String::as_str);
    match (path.root, field) {
        (Root::Args, _) => Some(Value::List(vec![text("a"), Value::Bytes(vec![0xff])])),
        (Root::Change, "branch") => Some(text("release/3.10")),
        (Root::Change, "category") => Some(Value::Null),
        (Root::Change, "files") => Some(Value::List(vec![text("src/a.rs"), text("docs/b.md")])),
        (Root::Build, "number") => Some(Value::Int(7)),
        (Root::Prop, "python") => Some(text("3.10.4")),
        (Root::Prop, "level") => Some(Value::Int(2)),
        (Root::Prop, "ratio") => Some(Value::Float(3.10)),
        (Root::Prop, "on") => Some(Value::Bool(true)),
        (Root::Prop, "map") => Some(Value::Map([("x y".to_owned(), Value::Int(1))].into())),
        (Root::Prop, "big") => Some(text(&"x".repeat(100_000))),
        _ => None,
    }
}

fn evaluate(source: &str) -> Result<Value, RenderError> {
    let (expression, _) = parse(source).unwrap_or_else(|bad| panic!("{source}: {bad}"));
    expression.evaluate(&scope)
}

fn is_true(source: &str) {
    assert_eq!(evaluate(source), Ok(Value::Bool(true)), "{source}");
}

#[test]
fn conditions_hold_as_cel_has_it() {
    for source in [
        "1 + 2 * 3 == 7 && 7 / 2 == 3 && -7 % 3 == -1 && 1.5 + 1.0 == 2.5",
        "change.branch == 'release/3.10' && change.branch != \"main\"",
        "change.branch.startsWith('release/') && change.branch.endsWith('3.10')",
        "change.branch.contains('/') && change.branch.matches('^release/[0-9.]+$')",
        "change.category == null && !(change.category == 'x') && !(change.category > 'a')",
        "!change.category.startsWith('x')",
        "change.files.exists(f, f.startsWith('docs/')) && !change.files.all(f, f.endsWith('.rs'))",
        "change.files.exists_one(f, f.endsWith('.md')) && size(change.files) == 2",
        "change.files.filter(f, f.contains('src')).map(f, f + '!') == ['src/a.rs!']",
        "'docs/b.md' in change.files && !('x' in change.files) && 2 in [1, 2] && 'x y' in prop.map",
        "version(prop.python) >= version('3.10') && version(prop.python) > version('3.9')",
        "prop.python < '3.9' && version('3.9') < version('3.10')",
        "prop.level == 2 && prop.level == 2.0 && prop.level < 2.5 && double(prop.level) == 2.0",
        "prop.map['x y'] == 1 && {'a': [1]}['a'][0] == 1 && args[0] == 'a'",
        "has(prop.level) && !has(prop.nothing) && !has(prop.map.z) && has(prop.map['x y'])",
        "prop.on ? build.number == 7 : prop.nothing",
        "duration('90s') == duration('1500ms') + duration('88500ms') && duration('1h') > duration('59m')",
        "int('12') == 12 && int(3.9) == 3 && string(12) == '12' && double('1.5') == 1.5",
        "'a,b'.split(',') == ['a', 'b'] && ['a', 'b'].join('-') == 'a-b' && size('äö') == 2",
        "range(0, 3) == [0, 1, 2] && range(3, 0) == []",
        "'a' < 'b' && true || false",
    ] {
        is_true(source);
    }
}

#[test]
fn what_decides_alone_decides_whatever_is_wrong_with_the_other_side() {
    is_true("prop.nothing == 1 || true");
    is_true("true || prop.nothing == 1");
    is_true("!(prop.nothing == 1 && false)");
    is_true("!(false && prop.nothing == 1)");
    for source in ["prop.nothing == 1 && true", "false || prop.nothing == 1"] {
        assert_eq!(evaluate(source), Err(RenderError::Missing("prop.nothing".to_owned())));
    }
}

#[test]
fn what_does_not_go_together_says_so() {
    for (source, why) in [
        ("prop.level && true", "`2` is not true or false"),
        ("prop.level + 'x'", "`+` does not go with `2` and `x`"),
        ("prop.python + 1", "does not go with"),
        ("prop.level < prop.python", "have no order"),
        ("version(prop.ratio) > version('3.9')", "`3.1` is no text"),
        ("version(prop.level + 'x')", "does not go with"),
        ("version(change.branch) > version('1')", "`release/3.10` is no version"),
        ("args[2]", "a list of 2 has no element 2"),
        ("args[-1]", "has no element -1"),
        ("prop.map.z", "there is no `z` here"),
        ("prop.level.z", "`2` has no `z`"),
        ("int(change.branch)", "is no integer"),
        ("1 / 0", "division by zero"),
        ("9223372036854775807 + 1", "too large"),
        ("1.0 / 0.0", "too large"),
        ("prop.level.all(x, x)", "is no list"),
    ] {
        let refused = evaluate(source).unwrap_err().to_string();
        assert!(refused.contains(why), "{source}: {refused}");
    }
    assert!(condition::parse("prop.level", Known::OfBuild).unwrap().holds(&scope).is_err());
    assert!(condition::parse("'x'", Known::OfBuild).is_err(), "a text is no condition");
}

#[test]
fn no_expression_takes_long_or_makes_much() {
    for source in [
        "range(0, 10001)",
        "range(-9223372036854775807, 9223372036854775807)",
        "range(0, 10000).all(x, x + x + x + x + x + x + x + x + x + x >= 0)",
        "range(0, 10000).map(x, prop.big)",
        "range(0, 10000).filter(x, prop.big.contains('y'))",
        "range(0, 10000).exists(x, prop.big.matches('(x+x+)+y'))",
        "prop.big.split('').map(x, [x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x])",
        "range(0, 1000).map(n, prop.big).exists(x, x == x && x == x && x == x)",
        "prop.big.split('')",
        "prop.big + prop.big",
        "[prop.big, prop.big].join('')",
    ] {
        let refused = evaluate(source);
        assert!(refused.is_err(), "{source}: {refused:.80?}");
    }
}

#[test]
fn an_expression_can_be_stored() {
    let source =
        "change.files.exists(f, f.matches('x')) ? version('1') < version(prop.x) : -1 in [1, 2.5]";
    let (expression, _) =
        parse(&format!("!({source}) && has(prop.a.b) && {{'a': null}}['a'] == b'x'")).unwrap();
    let stored = rmp_serde::to_vec_named(&expression).unwrap();
    assert_eq!(rmp_serde::from_slice::<Expr>(&stored).unwrap(), expression);
}
