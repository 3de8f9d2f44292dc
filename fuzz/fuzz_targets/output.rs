//! Fuzzes `shim::fuzz::output`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| shim::fuzz::output(input));
