//! See `tests/fuzz/src/lines.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| windlass_fuzz::run("lines", data));
