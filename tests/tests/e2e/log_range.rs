//! Pieces of logs, while they grow and afterwards.

use e2e::{Yard, wait_until};

const LAST: usize = 300_000;

fn lines(yard: &Yard, arguments: &[&str]) -> Vec<String> {
    let finished = yard.master(&[&["logs", "count#1/out"], arguments].concat());
    assert!(finished.status.success(), "{arguments:?}: {}", finished.err());
    finished.out().lines().map(str::to_owned).collect()
}

/// Asks for lines of the middle, the last ones, more than a reply holds, and none.
fn assert_ranges(yard: &Yard) {
    assert_eq!(lines(yard, &["--lines", "1000-1002"]), ["1000", "1001", "1002"]);
    assert_eq!(lines(yard, &["--lines", "7"]), ["7"]);
    assert_eq!(lines(yard, &["--tail", "2"]), ["299999", "300000"]);
    assert_eq!(lines(yard, &["--lines", "299999-"]), ["299999", "300000"]);
    let all: Vec<String> = (1..=LAST).map(|number| number.to_string()).collect();
    assert!(lines(yard, &["--lines", "1-"]) == all);
    assert!(lines(yard, &["--tail", "250000"]) == all[50_000..]);
    assert_eq!(lines(yard, &["--lines", "300001-"]), [""; 0]);
}

#[test]
fn lines_of_a_log_are_found_while_it_grows_and_once_it_is_sealed() {
    let yard = Yard::new("");
    let go = yard.path("go");
    yard.configure(&format!(
        "app.count = {{ builder = \"count\" }}\n[builder.count]\nworkers = [\"local\"]\n\
         steps = [{{ name = \"out\", script = '''\nseq 1 {LAST}\n\
         until [ -e {go} ]; do sleep 0.02; done\n''' }},\n\
         {{ name = \"more\", command = [\"true\"] }}]\n",
        go = go.display()
    ));
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let client = yard.start_changeport(&["run", "--detach", "count"]);
    assert_eq!(client.finish().code(), 0);
    wait_until("the last line", || {
        let asked = yard.master(&["logs", "count#1/out", "--tail", "1"]);
        (asked.out() == format!("{LAST}\n")).then_some(())
    });
    assert_ranges(&yard);
    yard.write("go", "");
    assert_eq!(yard.results("count", 1), ["SUCCESS"]);
    let logs = yard.path("master/logs");
    wait_until("the sealed log", || {
        let mut files = std::fs::read_dir(&logs).ok()?.flatten();
        let is_living = |name: &std::ffi::OsStr| name.as_encoded_bytes().ends_with(b".log");
        (!files.any(|file| is_living(&file.file_name()))).then_some(())
    });
    assert_ranges(&yard);
    let several = yard.master(&["logs", "count#1", "--tail", "1"]);
    assert!(several.err().contains("its steps: out, more"), "{}", several.err());
    assert_eq!(yard.master(&["logs", "count#1/out", "--lines", "5-3"]).code(), 64);
}
