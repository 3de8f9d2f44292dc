//! Fuzzes `worker::fuzz::worker_toml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| worker::fuzz::worker_toml(input));
