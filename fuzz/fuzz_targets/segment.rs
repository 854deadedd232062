#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| logchute::testing::check_spool(input));
