//! Fuzzes `changeport_cli::fuzz::answers`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| changeport_cli::fuzz::answers(input));
