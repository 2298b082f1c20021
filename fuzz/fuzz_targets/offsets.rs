//! See `tests/fuzz/src/offsets.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| windlass_fuzz::run("offsets", data));
