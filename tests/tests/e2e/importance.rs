//! Which changes lead to builds: filters on what they say, and important files.

use e2e::{Yard, wait_until};

fn send(yard: &Yard, arguments: &[&str]) {
    let sent = yard.changeport(&[&["send"], arguments].concat());
    assert_eq!(sent.code(), 0, "{}", sent.err());
}

#[test]
fn a_change_that_touches_nothing_important_is_not_built() {
    let yard = Yard::new(
        r#"
scheduler.code = { type = "any_branch", change_source = "launch", builders = ["code"], important_files = ["src/**"] }
scheduler.docs = { type = "any_branch", change_source = "launch", builders = ["docs"], filter = { files = { glob = "docs/**" }, property.draft = { not = "yes" } } }
[builder.code]
workers = ["local"]
steps = [{ command = ["echo", "${size(change.files)}", "${change.files.filter(f, f.startsWith('src/'))}"] }]
[builder.docs]
workers = ["local"]
steps = [{ command = ["echo", "docs of ${change.branch}"], when = "change.branch != null" }]
"#,
    );
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    send(&yard, &["--branch", "a", "--file", "docs/a.md"]);
    send(&yard, &["--branch", "b", "--file", "src/a.rs", "--file", "x"]);
    send(&yard, &["--branch", "c", "--file", "docs/b.md", "--property", "draft=yes"]);
    send(&yard, &["--file", "docs/c.md", "--file", "src/deep/er.rs"]);
    assert_eq!(yard.results("code", 2), ["SUCCESS", "SUCCESS"]);
    assert_eq!(yard.log_of("code#1"), b"2 src/a.rs\n");
    assert_eq!(yard.log_of("code#2"), b"2 src/deep/er.rs\n");
    assert_eq!(yard.results("docs", 2), ["SUCCESS", "SUCCESS"]);
    assert_eq!(yard.log_of("docs#1"), b"docs of a\n");
    let build = yard.ask(&["builds", "docs"]).remove(0);
    assert_eq!(build["steps"][0]["result"], "SKIPPED", "it has no branch: {build}");
}

#[test]
fn the_files_of_commits_decide_as_well() {
    let yard = Yard::new("");
    let repository = yard.repository("repo");
    repository.commit("words.md", "one");
    repository.push();
    yard.configure(&format!(
        r#"
scheduler.push = {{ type = "any_branch", change_source = "repo", builders = ["ci"], important_files = ["*.rs"] }}
[change_source.repo]
type = "git_poll"
repository = "{}"
allow_local = true
poll_interval = "100ms"
[builder.ci]
workers = ["local"]
steps = [{{ command = ["echo", "${{revision.id}}", "${{change.files}}"] }}]
"#,
        repository.url()
    ));
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    wait_until("the first poll", || {
        let status = yard.ask(&["status"]).remove(0);
        let detail = status["sources"][1]["detail"].as_str().unwrap_or_default();
        (detail.contains("branch")).then_some(())
    });
    repository.commit("words.md", "two");
    let code = repository.commit("code.rs", "fn code() {}");
    repository.commit("words.md", "three");
    repository.push();
    assert_eq!(yard.results("ci", 1), ["SUCCESS"]);
    let log = String::from_utf8(yard.log_of("ci#1")).expect("it is text");
    assert_eq!(log, format!("{code} code.rs\n"));
}
