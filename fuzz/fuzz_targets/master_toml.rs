//! Fuzzes `master::fuzz::master_toml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| master::fuzz::master_toml(input));
