//! Fuzzes `config::fuzz::template`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| config::fuzz::template(input));
