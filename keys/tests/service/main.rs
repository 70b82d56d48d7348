//! The key service as its callers see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/domain.rs"]
mod domain;
#[path = "../support/postgres.rs"]
mod postgres;

mod backups;
mod customer;
mod data;
mod faults;
mod lease;
mod log;
mod moves;
mod refusals;
mod secrecy;
