//! Lethe, the S3 gateway that can prove it forgot.
//!
//! The modules are layers; arrows point down only (`docs/architecture.md`, checked by `tests/layering.rs`):
//!
//! ```text
//! main, cli → admin → jobs ─┐
//! main      → edge  → ops ──┴→ {tenants, placement, region, catalog, directory} → lethe-keys → lethe-envelope
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod admin;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod directory;
pub mod edge;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod jobs;
pub mod log;
pub mod ops;
pub mod placement;
pub mod region;
pub mod shred;
pub mod signing;
pub mod tenants;
pub(crate) mod timed_io;
pub mod witness;
