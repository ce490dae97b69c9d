//! Any bytes as a table, as each kind of its blocks, and as the keys of a filter.

mod blocks;
mod tables;

pub(crate) use blocks::{read_block, read_filter};
pub(crate) use tables::read_table;
