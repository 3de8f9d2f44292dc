//! What two configurations differ in, as people read it.

use std::path::PathBuf;

use config::{Node, SourceFile, What, differences, is_same};
use proptest::prelude::*;

fn tree(texts: &[&str]) -> Node {
    let file = |text: &&str| SourceFile {
        path: PathBuf::from("m.toml"),
        folder: PathBuf::new(),
        text: (*text).to_owned(),
    };
    let files: Vec<SourceFile> = texts.iter().map(file).collect();
    let (tree, problems) = config::parse(&files);
    assert_eq!(problems, []);
    tree
}

/// Returns the differences in lines.
fn told(old: &str, new: &str) -> Vec<String> {
    let line = |difference: &config::Difference| match &difference.what {
        What::Added { new } => format!("+ {} {new}", difference.path),
        What::Removed { old } => format!("- {} {old}", difference.path),
        What::Changed { old, new } => format!("~ {} {old} → {new}", difference.path),
    };
    differences(&tree(&[old]), &tree(&[new])).iter().map(line).collect()
}

#[test]
fn comments_order_spelling_and_files_make_no_difference() {
    let old = tree(&["a = 0x10\n[builder.x]\nb = 1\nc = \"é\" # why\n[builder.y]\nd = [1, 2]\n"]);
    let new =
        ["builder.y.d = [ 1,\n 2 ]\n", "[builder]\nx = { c = \"\\u00e9\", b = 1 }\n", "a = 16\n"];
    assert!(is_same(&old, &tree(&new)));
    assert!(is_same(&tree(&["app = {}"]), &tree(&[""])), "a section without things is none");
}

#[test]
fn things_come_and_go_as_a_whole_and_change_key_by_key() {
    let old = "[builder.ci]\nworkers = [\"a\"]\nn = 1\n[builder.gone]\nworkers = [\"a\"]\n";
    let new = "[builder.ci]\nworkers = [\"a\", \"b\"]\nm = true\n[app.x]\nbuilder = \"ci\"\n";
    assert_eq!(
        told(old, new),
        [
            "+ app.x { builder = \"ci\" }",
            "+ builder.ci.m true",
            "- builder.ci.n 1",
            "~ builder.ci.workers [\"a\"] → [\"a\", \"b\"]",
            "- builder.gone { workers = [\"a\"] }",
        ]
    );
}

#[test]
fn steps_are_told_by_their_names_and_else_by_their_places() {
    let steps = |steps: &str| format!("builder.ci.steps = [{steps}]");
    let told = |old: &str, new: &str| told(&steps(old), &steps(new));
    let (make, test) = ("{ name = \"make\", t = 1 }", "{ name = \"test\", t = 1 }");
    assert_eq!(
        told(&format!("{make}, {test}"), &format!("{make}, {}", test.replace('1', "2"))),
        ["~ builder.ci.steps[test].t 1 → 2"]
    );
    assert_eq!(
        told(&format!("{make}, {test}"), test),
        ["- builder.ci.steps[make] { name = \"make\", t = 1 }"]
    );
    let changed = format!("{{ name = \"lint\" }}, {}", test.replace('1', "2"));
    assert_eq!(
        told(test, &changed),
        ["+ builder.ci.steps[lint] { name = \"lint\" }", "~ builder.ci.steps[test].t 1 → 2"]
    );
    assert_eq!(
        told("{ c = 1 }, { c = 2 }", "{ c = 1 }, { c = 3 }"),
        ["~ builder.ci.steps[2].c 2 → 3"]
    );
    assert_eq!(told("{ c = 1 }", "{ c = 1 }, { c = 3 }"), ["+ builder.ci.steps[2] { c = 3 }"]);
    assert_eq!(
        told(&format!("{make}, {test}"), &format!("{test}, {make}")).len(),
        2,
        "order counts"
    );
}

#[test]
fn strange_names_and_secret_words_are_shown_with_care() {
    assert_eq!(told("", "a.\"b c\" = \"x\\ny\""), ["+ a { \"b c\" = \"x\\ny\" }"]);
    assert_eq!(
        told("a.u = \"https://u:old@x\"", "a.u = \"https://u:new@x\""),
        ["~ a.u \"https://u:***@x\" → \"https://u:***@x\""]
    );
}

fn value(depth: u32) -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        (0..3i64).prop_map(|n| n.to_string()),
        Just("true".to_owned()),
        "[ab]{0,2}".prop_map(|text| format!("\"{text}\"")),
        Just("1.5".to_owned()),
    ];
    leaf.prop_recursive(depth, 24, 4, |inner| {
        let list = proptest::collection::vec(inner.clone(), 0..4);
        let table = proptest::collection::btree_map("[abc]|name", inner, 0..4);
        prop_oneof![
            list.prop_map(|items| format!("[{}]", items.join(", "))),
            table.prop_map(|entries| {
                let entries: Vec<String> =
                    entries.iter().map(|(key, value)| format!("{key} = {value}")).collect();
                format!("{{ {} }}", entries.join(", "))
            }),
        ]
    })
    .boxed()
}

proptest! {
    #[test]
    fn only_what_is_the_same_has_no_differences(one in value(4), other in value(4)) {
        let (one, other) = (tree(&[&format!("x.y = {one}")]), tree(&[&format!("x.y = {other}")]));
        prop_assert!(is_same(&one, &one));
        let (there, back) = (differences(&one, &other), differences(&other, &one));
        prop_assert_eq!(there.len(), back.len());
        let shown = |tree: &Node| config::settings(tree).iter().map(|s| (s.path.to_string(), config::show(s.value))).collect::<Vec<_>>();
        prop_assert_eq!(there.is_empty(), shown(&one) == shown(&other));
    }
}
