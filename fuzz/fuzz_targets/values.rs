//! Values, and damage to their file.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| flowdb::fuzzing::run("values", bytes));
