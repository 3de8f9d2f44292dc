//! Fuzzes `proto::fuzz::frames`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| proto::fuzz::frames(input));
