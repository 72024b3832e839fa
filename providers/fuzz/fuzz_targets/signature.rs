#![no_main]

libfuzzer_sys::fuzz_target!(|input: (&str, &str, &[u8])| providers::fuzzing::signature(input.0, input.1, input.2));
