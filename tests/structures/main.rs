//! Structures as a user of the crate has them.

mod commands;
mod crash;
mod expiry;
mod golden;
mod limits;
mod model;
mod random_work;
mod ranks;
mod support;
mod transactions;
mod watching;
