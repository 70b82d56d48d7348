//! Crypto-shredding (design §3): terminations, the durable states of a shred, inventory and purge, receipts.
//!
//! A shred is a row of the catalog. Each of its states names what is done; the step to the next one may be cut off at any
//! instruction and be done again by whoever holds the row's lease. Receipts are one a tenant and stage.

mod clocks;
mod domain;
mod error;
mod evidence;
pub mod inventory;
mod keys;
mod leftovers;
mod locks;
mod log;
mod merkle;
mod progress;
mod purge;
mod receipts;
pub mod rules;
mod runner;
mod statements;
mod steps;
mod terminate;
mod times;

pub use clocks::{CatalogClock, ClockBehind, GatewayClocks, OtherClocks, WitnessClocks};
pub use domain::{
    Certificate, LoggedCreation, RootBackups, ShredDomain, ShredKeys, ShredLog, Witnessed,
};
pub use error::{LogAway, ShredError};
pub use evidence::{
    BackedUp, Destroyed, FenceOutcome, FenceRecord, Fenced, FencedGateway, HeldVersion, Inventory,
    PurgeCounts, Rekeyed,
};
pub use inventory::InventoryKey;
pub use keys::{DomainKeys, Unopened};
pub use log::{DomainLog, KeyLeaves, LoggedKeys};
pub use receipts::{proof_is_witnessed, proven_head};
pub use runner::{ShredRunner, ShredRunnerSettings};
pub use terminate::{Requested, TerminationView};

#[cfg(test)]
mod bench;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_calling_off;
#[cfg(test)]
mod tests_proofs;
#[cfg(test)]
mod tests_purge;
