#![no_main]
libfuzzer_sys::fuzz_target!(|text: &str| lethe::fuzzing::head(text));
