//! Fuzzes `config::fuzz::toml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| config::fuzz::toml(input));
