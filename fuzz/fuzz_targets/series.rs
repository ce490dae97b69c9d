//! The rows of series and their records.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| flowdb::fuzzing::run("series", bytes));
