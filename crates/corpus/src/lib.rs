//! Tries a fuzz target on its committed corpus, in an ordinary test; for tests alone.
//!
//! Each crate that reads what others write has its targets in `src/fuzz.rs`: functions over bytes
//! that panic where an invariant does not hold. `fuzz/` lets libFuzzer search with them; what it
//! keeps is in `fuzz/corpus`, and is tried here together with small damage to every file of it.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Damaged copies of each file.
const COPIES: u64 = 48;

/// Runs a target on every file of its corpus and on damaged copies of them.
///
/// # Panics
/// When the target does, with what to do about it; and where there is no corpus.
pub fn replay(name: &str, target: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let files = files(&folder);
    assert!(!files.is_empty(), "there is no corpus in {}", folder.display());
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for (path, bytes) in &files {
        attempt(&target, bytes, &path.display().to_string());
        for copy in 0..COPIES {
            let other = &files[dice.below(files.len())].1;
            let damaged = damaged(bytes, other, &mut dice);
            attempt(&target, &damaged, &format!("damaged copy {copy} of {}", path.display()));
        }
    }
}

fn attempt(target: &impl Fn(&[u8]), bytes: &[u8], what: &str) {
    if catch_unwind(AssertUnwindSafe(|| target(bytes))).is_err() {
        let file = std::env::temp_dir().join(format!("fuzz-input.{}", std::process::id()));
        let kept = fs::write(&file, bytes).map(|()| file.display().to_string());
        panic!("{what}: the target panics; add {kept:?} to the corpus with the correction");
    }
}

fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let read = |path: PathBuf| fs::read(&path).map(|bytes| (path, bytes));
    paths.into_iter().map(read).collect::<Result<_, _>>().expect("the corpus is readable")
}

/// Makes one of the changes a fuzzer begins with.
fn damaged(bytes: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len() + 1);
        match dice.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, dice.byte()),
            2 => drop(bytes.splice(at..at, [0xff; 4])),
            3 => drop(bytes.splice(at.., other.iter().copied().skip(dice.below(other.len() + 1)))),
            4 => drop(bytes.drain(at..(at + dice.below(8)).min(bytes.len()))),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= dice.byte();
                }
            }
        }
    }
    bytes
}

/// Pseudo-random numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % limit.max(1)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}
