//! FlowDB's engine beside RocksDB, fjall, SurrealKV, LMDB, redb and FlowDB 0.8.3, on the same work.
//!
//! `data` makes keys and values, `stores` has the engines behind one small trait, `work` the workloads, `clock` measures
//! them, `run` runs them in processes, and `table` makes medians and ratios of what they say. See README.md.

pub mod clock;
pub mod data;
pub mod run;
pub mod stores;
pub mod table;
pub mod work;
