#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| providers::fuzzing::list_page(bytes));
