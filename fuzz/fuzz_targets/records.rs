//! Fuzzes `proto::fuzz::records`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| proto::fuzz::records(input));
