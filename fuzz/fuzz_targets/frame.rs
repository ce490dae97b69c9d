//! What is packed, and what is unpacked.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| flowdb::fuzzing::run("frame", bytes));
