//! See `tests/fuzz/src/patch.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| windlass_fuzz::run("patch", data));
