//! What the database consists of at one moment: its tables by level, and how that is kept on disk.
#![forbid(unsafe_code)]

pub(crate) mod edit;
pub(crate) mod file_name;
pub(crate) mod manifest;
