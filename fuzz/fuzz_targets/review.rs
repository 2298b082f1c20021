//! See `tests/fuzz/src/review.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| windlass_fuzz::run("review", data));
