//! Background work with owners: rows in the catalog with owner, lease and fence, and the steps that finish what spans stores.

mod domain;
mod finish;
mod keys;
mod orphans;
mod runner;
mod sweep;

pub use domain::{JobDomain, JobRegion};
pub use finish::FinishError;
pub use keys::TenantKeys;
pub use runner::{Runner, RunnerSettings};

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
