//! Lethe, the S3 gateway that can prove it forgot.
//!
//! The modules are layers; arrows point down only (`docs/architecture.md`, checked by `tests/it/layering.rs`):
//!
//! ```text
//! cli → admin → jobs → ops? no: {tenants, placement, region, catalog, directory} → lethe-keys → lethe-envelope
//! cli → edge  → ops  ────────┘
//! ```

pub mod admin;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod directory;
pub mod edge;
pub mod jobs;
pub mod ops;
pub mod placement;
pub mod region;
pub mod tenants;
