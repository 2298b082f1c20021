//! See `tests/fuzz/src/paths.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| windlass_fuzz::run("paths", data));
