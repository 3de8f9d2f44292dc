//! Failpoints are for tests: whoever builds the programs as they are gets none.

use std::fs;

use e2e::{Binary, binary};
use failpoint::{Act, FOLDER};

#[test]
fn no_program_knows_a_failpoint() {
    for which in Binary::ALL {
        let path = binary(which);
        let program = fs::read(&path).expect("read a program");
        let program = String::from_utf8_lossy(&program);
        for name in Act::ALL.iter().map(|act| act.name()).chain([FOLDER]) {
            assert!(!program.contains(name), "{} holds `{name}`", path.display());
        }
    }
}
