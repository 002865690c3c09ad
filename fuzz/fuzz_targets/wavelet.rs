#![no_main]

#[allow(dead_code, reason = "one target of them all")]
#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::wavelet(data));
