//! Fuzzes `master::fuzz::git_output`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| master::fuzz::git_output(input));
