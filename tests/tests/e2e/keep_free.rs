//! Working directories go where the disk needs room, and only those that no build needs.

use std::fs;

use e2e::{Volume, Yard, wait_until};

use crate::installed::note_skip;

const BUILDERS: &str = r#"
app.large = { builder = "large" }
app.other = { builder = "other" }
[builder.large]
workers = ["local"]
steps = [{ name = "fill", command = ["dd", "if=/dev/zero", "of=blob", "bs=1M", "count=24"] }]
[builder.other]
workers = ["local"]
steps = [
  { name = "first", command = ["dd", "if=/dev/zero", "of=blob", "bs=1M", "count=24"] },
  { name = "gate", script = "until test -e $GATE; do sleep 0.02; done", env = { GATE = "@gate" } },
  { name = "second", command = ["stat", "--format=%s", "blob"] },
]
"#;

#[test]
fn the_longest_unused_directory_goes_and_that_of_a_build_stays() {
    let yard = Yard::new("");
    let _volume = match Volume::new(&yard.path("worker/work"), 64) {
        Ok(volume) => volume,
        Err(reason) => return note_skip(&format!("SKIPPED: keep_free: {reason}")),
    };
    let gate = yard.path("gate");
    yard.configure(&BUILDERS.replace("@gate", &gate.display().to_string()));
    let _master = yard.start_master();
    let mut worker = yard.start_worker("disk = { keep_free = \"40MiB\" }");
    assert_eq!(yard.changeport(&["run", "large"]).code(), 0);
    let large = yard.path("worker/work/large/0");
    assert!(large.join("build/blob").exists(), "it is kept although little is free");
    worker.wait_for("no working directory may go");
    let client = yard.start_changeport(&["run", "other"]);
    wait_until("an end of the directory that nobody needs", || (!large.exists()).then_some(()));
    fs::write(&gate, "").expect("the yard is ours");
    let finished = client.finish();
    assert_eq!(finished.code(), 0, "{}", finished.err());
    assert_eq!(finished.out(), "25165824\n", "the build's own directory stays between its steps");
}
