//! A disk that is full delays; it loses nothing.

use std::fs;

use e2e::{Volume, Yard, wait_until};

use crate::installed::note_skip;

/// Says where it is, waits for a gate, and writes more than pipes and buffers hold.
fn flood(yard: &Yard) -> String {
    let folder = yard.path("").display().to_string();
    format!(
        r#"
app.flood = {{ builder = "flood" }}
[builder.flood]
workers = ["local"]
steps = [{{ name = "flood", silence_timeout = "3s", script = '''
echo $$ > {folder}/pid
echo up >&2
until test -e {folder}/gate; do sleep 0.02; done
for i in {{1..100000}}; do echo out $i; done
''' }}]
"#
    )
}

#[test]
fn a_command_waits_for_room_on_the_disk_of_its_spool() {
    let yard = Yard::new("");
    let volume = match Volume::new(&yard.path("worker"), 32) {
        Ok(volume) => volume,
        Err(reason) => return note_skip(&format!("SKIPPED: full disk: {reason}")),
    };
    yard.configure(&flood(&yard));
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let client = yard.start_changeport(&["run", "flood"]);
    wait_until("the command to run", || {
        yard.master(&["logs", "flood#1"]).err().contains("up").then_some(())
    });
    volume.fill();
    fs::write(yard.path("gate"), "").expect("the yard is ours");
    let pid = fs::read_to_string(yard.path("pid")).expect("the command wrote it");
    wait_until("a command that waits for its output to be taken", || {
        let place = fs::read_to_string(format!("/proc/{}/wchan", pid.trim()));
        place.expect("the command waits").contains("pipe_write").then_some(())
    });
    volume.free();
    let finished = client.finish();
    assert_eq!(finished.code(), 0, "{}", finished.err());
    let expected: String = (1..=100_000).map(|i| format!("out {i}\n")).collect();
    assert_eq!(finished.out(), expected);
}
