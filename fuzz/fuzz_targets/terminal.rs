//! Fuzzes `master::fuzz::terminal`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| master::fuzz::terminal(input));
