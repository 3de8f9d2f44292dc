//! Reads what a step left as properties: JSON that nobody has looked at before.

use std::collections::BTreeMap;

use attempt::Properties as Left;
use config::{Name, Value};

use super::{Properties, Property, Source, is_reserved};

/// Deepest nesting, the object itself included.
const DEPTH: usize = 16;
/// Most properties a step sets.
const MOST: usize = 256;
/// Longest name, in bytes.
const NAME_BYTES: usize = 64;
/// What all steps of a build may set together, in bytes: it lives in memory and in the build's row.
const BUILD_BYTES: usize = 256 * 1024;

/// Reads what a command left. `None` stands for a worker that did not know it was asked.
///
/// # Errors
/// A sentence for people: it goes on after the name of the step.
pub(crate) fn read(left: Option<&Left>) -> Result<BTreeMap<String, Value>, String> {
    match left {
        Some(Left::Written(bytes)) => {
            parse(bytes).map_err(|why| format!("left properties that are not: {why}"))
        }
        Some(Left::Missing(why)) => Err(format!("left no properties: {why}")),
        None => Err("left no properties: its worker is too old to take them".to_owned()),
    }
}

/// Adds what a step set to what the build has. What was set before goes where the name is the same.
///
/// # Errors
/// When the build would have more than it may; then nothing is added.
pub(crate) fn merge(
    properties: &mut Properties,
    step: &Name,
    values: BTreeMap<String, Value>,
) -> Result<(), String> {
    let kept = properties.iter().filter(|(name, _)| !values.contains_key(*name));
    let kept = kept.map(|(name, property)| name.len() + weight(&property.value));
    let added = values.iter().map(|(name, value)| name.len() + weight(value));
    if kept.chain(added).sum::<usize>() > BUILD_BYTES {
        return Err(format!(
            "left properties: with them its build has more than {BUILD_BYTES} bytes"
        ));
    }
    let source = Source::Step(step.clone());
    let property = |value| Property { value, source: source.clone() };
    properties.extend(values.into_iter().map(|(name, value)| (name, property(value))));
    Ok(())
}

fn weight(value: &Value) -> usize {
    8 + match value {
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Duration(_) => 0,
        Value::Str(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(items) => items.iter().map(weight).sum(),
        Value::Map(entries) => entries.iter().map(|(key, value)| key.len() + weight(value)).sum(),
    }
}

fn parse(bytes: &[u8]) -> Result<BTreeMap<String, Value>, String> {
    check_depth(bytes)?;
    let tree: serde_json::Value = serde_json::from_slice(bytes).map_err(|bad| bad.to_string())?;
    let serde_json::Value::Object(entries) = tree else {
        return Err("expected an object: {\"NAME\": VALUE}".to_owned());
    };
    if entries.len() > MOST {
        return Err(format!("more than {MOST} of them"));
    }
    let entry = |(name, value)| Ok((checked(name)?, convert(value)?));
    entries.into_iter().map(entry).collect()
}

fn checked(name: String) -> Result<String, String> {
    if is_reserved(&name) {
        return Err(format!("`{name}` is who called, and nobody else's to set"));
    }
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if name.is_empty() || name.len() > NAME_BYTES || !name.bytes().all(is_good) {
        let shown: String = name.chars().take(NAME_BYTES).filter(|c| !c.is_control()).collect();
        return Err(format!("`{shown}` is not a name: letters, digits, `_`, `-`, `.`"));
    }
    Ok(name)
}

/// The parser recurses, so what nests too deep must not reach it.
fn check_depth(bytes: &[u8]) -> Result<(), String> {
    let (mut depth, mut is_text, mut is_escaped) = (0usize, false, false);
    for byte in bytes {
        if is_text {
            is_text = is_escaped || *byte != b'"';
            is_escaped = *byte == b'\\' && !is_escaped;
            continue;
        }
        match byte {
            b'"' => is_text = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH {
            return Err(format!("nested deeper than {DEPTH} levels"));
        }
    }
    Ok(())
}

fn convert(value: serde_json::Value) -> Result<Value, String> {
    Ok(match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(fact) => Value::Bool(fact),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(int), _) => Value::Int(int),
            (None, Some(float)) if number.is_f64() => Value::Float(float),
            _ => return Err(format!("the number {number} is too large")),
        },
        serde_json::Value::String(text) => Value::Str(text),
        serde_json::Value::Array(items) => {
            Value::List(items.into_iter().map(convert).collect::<Result<_, _>>()?)
        }
        serde_json::Value::Object(entries) => {
            let entry = |(name, value)| Ok((name, convert(value)?));
            Value::Map(entries.into_iter().map(entry).collect::<Result<_, String>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Result<BTreeMap<String, Value>, String> {
        read(Some(&Left::Written(text.as_bytes().to_vec())))
    }

    #[test]
    fn values_keep_their_types() {
        let values = written(
            r#"{"b": true, "i": -7, "f": 1.5, "s": "ü \" ]", "l": [1, "a"], "m": {"k v": null}}"#,
        )
        .unwrap();
        let expected = [
            ("b", Value::Bool(true)),
            ("i", Value::Int(-7)),
            ("f", Value::Float(1.5)),
            ("s", Value::Str("ü \" ]".to_owned())),
            ("l", Value::List(vec![Value::Int(1), Value::Str("a".to_owned())])),
            ("m", Value::Map([("k v".to_owned(), Value::Null)].into())),
        ];
        assert_eq!(values, expected.map(|(name, value)| (name.to_owned(), value)).into());
    }

    #[test]
    fn what_is_no_object_of_properties_is_refused_with_a_reason() {
        let deep = format!("{{\"a\": {}{}}}", "[".repeat(16), "]".repeat(16));
        let many: Vec<String> = (0..257).map(|n| format!("\"p{n}\": {n}")).collect();
        let many = format!("{{{}}}", many.join(", "));
        for (text, why) in [
            ("", "EOF"),
            ("{\"a\": 1", "EOF"),
            ("[1]", "expected an object"),
            ("{\"a\": 1} x", "trailing"),
            ("{\"user\": \"root\"}", "`user` is who called"),
            ("{\"owner\": \"unix:here:0\"}", "`owner` is who called"),
            ("{\"\": 1}", "not a name"),
            ("{\"a b\": 1}", "not a name"),
            ("{\"a\": 18446744073709551615}", "too large"),
            ("{\"a\": 1e999}", "out of range"),
            (&deep, "nested deeper"),
            (&"[".repeat(100_000), "nested deeper"),
            (&many, "more than 256"),
        ] {
            let refused = written(text).unwrap_err();
            assert!(refused.contains(why), "{text:.40}: {refused}");
        }
        let flat = format!("{{\"a\": {}{}}}", "[".repeat(15), "]".repeat(15));
        assert!(
            written(&flat).is_ok(),
            "the brackets of a text do not count: {:?}",
            written(&flat)
        );
        assert!(written(&format!("{{\"a\": \"{}\"}}", "[".repeat(99))).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_strange_to_be_refused(text in "[\\[\\]{}\",:a1e.\\\\-]{0,40}|.{0,40}") {
            drop(written(&text));
            drop(written(&format!("{{\"a\": {text}}}")));
        }
    }

    #[test]
    fn a_build_has_no_more_than_it_may() {
        let step = Name::parse("a").unwrap();
        let big = |size: usize| [("big".to_owned(), Value::Str("x".repeat(size)))];
        let mut properties = Properties::new();
        merge(&mut properties, &step, big(200_000).into()).unwrap();
        merge(&mut properties, &step, big(250_000).into()).unwrap();
        let before = properties.clone();
        let more = [("more".to_owned(), Value::Str("x".repeat(20_000)))];
        assert!(merge(&mut properties, &step, more.into()).is_err());
        assert_eq!(properties, before, "all or nothing");
    }
}
