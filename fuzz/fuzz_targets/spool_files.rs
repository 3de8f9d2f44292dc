//! Fuzzes `shim::fuzz::spool_files`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| shim::fuzz::spool_files(input));
