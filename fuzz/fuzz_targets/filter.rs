//! Fuzzes `config::fuzz::filter`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| config::fuzz::filter(input));
