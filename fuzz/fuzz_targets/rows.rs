//! The rows of documents, indexes and the catalog.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| flowdb::fuzzing::run("rows", bytes));
