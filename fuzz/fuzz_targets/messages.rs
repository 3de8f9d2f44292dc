//! Fuzzes `proto::fuzz::messages`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| proto::fuzz::messages(input));
