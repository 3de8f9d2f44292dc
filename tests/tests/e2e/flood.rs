//! Output in bulk: head, gap and tail beyond its cap.

use e2e::Yard;

/// One app that runs a script, with a cap.
fn yard(script: &str, max_output: &str) -> Yard {
    Yard::new(&format!(
        "app.flood = {{ builder = \"flood\" }}\n[builder.flood]\nworkers = [\"local\"]\n\
         steps = [{{ name = \"out\", max_output = \"{max_output}\", script = '''\n{script}\n''' }}]\n"
    ))
}

fn numbers(last: u64) -> Vec<u8> {
    (1..=last).flat_map(|number| format!("{number}\n").into_bytes()).collect()
}

#[test]
fn beyond_its_cap_an_output_is_its_head_an_exact_gap_and_its_tail() {
    let mut yard = yard("seq 1 200000", "256KiB");
    let _master = yard.start_master();
    let _worker = yard.start_worker("");
    let client = yard.changeport(&["run", "flood"]);
    assert_eq!(client.code(), 0, "{}", client.err());
    let whole = numbers(200_000);
    let (head, tail) = client.stdout.split_at(128 * 1024);
    assert!(whole.starts_with(head) && whole.ends_with(tail));
    let gap = whole.len() - client.stdout.len();
    assert!(gap > 0 && tail.len() > 120 * 1024 && tail.len() <= 128 * 1024);
    let told = format!("flood: {gap} bytes of output were left out here\n");
    assert!(client.err().contains(&told), "{}", client.err());
    assert!(client.err().contains("output beyond 131072 bytes"), "{}", client.err());
    let log = yard.log_of("flood#1");
    let line = format!("[{gap} bytes were left out here]\n").into_bytes();
    let at = log.windows(line.len()).position(|part| part == line).expect("the log tells the gap");
    assert!(log[..at].starts_with(head) && log[at + line.len()..].starts_with(tail));
}

#[test]
fn a_worker_decides_where_a_step_does_not_and_grants_no_more_than_its_most() {
    let text = |name: &str, key: &str| {
        format!(
            "[app.{name}]\nbuilder = \"{name}\"\n[builder.{name}]\nworkers = [\"local\"]\n\
             steps = [{{ name = \"out\", {key} command = [\"seq\", \"1\", \"100000\"] }}]\n"
        )
    };
    let apps = text("silent", "") + &text("greedy", "max_output = \"1GiB\",");
    let mut yard = Yard::new(&apps);
    let _master = yard.start_master();
    let _worker = yard.start_worker("output = { default = \"64KiB\", most = \"128KiB\" }\n");
    for (app, cap) in [("silent", 64 * 1024), ("greedy", 128 * 1024)] {
        let client = yard.changeport(&["run", app]);
        let kept = client.stdout.len();
        assert!(kept <= cap && kept > cap / 16 * 15, "{app}: {kept} bytes kept");
    }
}

#[test]
fn a_cap_is_a_size_with_its_unit_and_not_next_to_nothing() {
    for (size, code) in [("5MB", "E0305"), ("1KiB", "E0303")] {
        let checked = yard("true", size).master(&["check"]);
        let told = checked.out() + &checked.err();
        assert!(told.contains(code), "{size}: {told}");
    }
}
