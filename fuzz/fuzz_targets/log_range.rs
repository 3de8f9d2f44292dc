//! Fuzzes `master::fuzz::log_range`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| master::fuzz::log_range(input));
