//! Damage to the files of a small database, which is then opened and repaired.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| flowdb::fuzzing::run("damage", bytes));
