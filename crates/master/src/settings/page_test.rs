//! The page of the configuration describes every key that is read, and no other.

use config::{Context, DecodedKeys, SourceFile};

/// Uses every table there is, each kind of thing under the name that its heading has.
const SAMPLE: &str = r#"
version = 1
master = { name = "sample" }
worker_port = { listen = "127.0.0.1:0", token_file = "tokens" }
worker = { NAME = { names = ["w"] } }
lock = { NAME = { max = 1 } }
change_source = { git_poll = { type = "git_poll", repository = "https://x/y.git" }, changeport = { type = "changeport" } }
scheduler = { any_branch = { type = "any_branch", change_source = "git_poll", builders = ["NAME"] }, single_branch = { type = "single_branch", change_source = "git_poll", builders = ["NAME"] } }
builder = { NAME = { workers = ["NAME"], locks = [{ name = "NAME" }], steps = [{ git = "git_poll" }, { command = ["x"], env = { X = "${secret.NAME}" } }, { script = "x" }] } }
secret = { NAME = { credential = "x" } }
app = { NAME = { builder = "NAME" } }
"#;

#[test]
fn the_page_describes_every_key_and_no_other() {
    let page = include_str!("../../../../docs/CONFIGURATION.md");
    let page = page.split("\n## worker.toml").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokens"), "").unwrap();
    let folder = folder.path().to_owned();
    let files = [SourceFile { path: "sample.toml".into(), folder, text: SAMPLE.to_owned() }];
    let (tree, problems) = config::parse(&files);
    let mut cx = Context::new(&files, problems);
    super::decode::top(&tree, &mut cx);
    let mut keys = DecodedKeys::default();
    keys.add(&tree, &cx);
    assert_eq!(cx.finish(), [], "the sample is good");
    assert_eq!(keys.compare(&page.replace("### `master.toml`", "### ``")), [""; 0]);
}
