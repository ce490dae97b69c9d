//! The rows that name keyspaces.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| flowdb::fuzzing::run("keyspace", bytes));
