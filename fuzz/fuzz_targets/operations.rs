//! Packed operations, as JavaScript sends them to the addon.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| flowdb::fuzzing::run("operations", bytes));
