//! See `tests/fuzz/src/lever.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| windlass_fuzz::run("lever", data));
