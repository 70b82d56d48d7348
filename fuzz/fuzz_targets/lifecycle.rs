#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| drop(lethe::fuzzing::lifecycle(data)));
