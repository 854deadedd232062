#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    logchute::testing::recover_ring(input);
});
