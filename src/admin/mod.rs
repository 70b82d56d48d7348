//! The admin API: one HTTP API over tenants, credentials, regions and keys, which the command line uses too.

mod create;
mod credentials;
mod domains;
mod effect;
mod error;
mod grants;
mod health;
mod keys;
mod logs;
mod objects;
mod openapi;
mod principal;
mod receipts;
mod regions;
mod server;
mod shredding;
mod state;
mod tenants;

pub use create::{NewSecret, create_tenant, import_credential, issue_credential};
pub use credentials::{CredentialView, IssuedCredential};
pub use domains::DomainView;
pub use effect::{EffectView, Effected};
pub use error::{ApiError, ErrorBody, ErrorDetail};
pub use health::{DependencyView, ReadyView};
pub use keys::KekView;
pub use objects::ObjectView;
pub use openapi::document;
pub use principal::{Principal, Role, authenticate};
pub use receipts::{AuditPage, AuditRow, BackUpKeys, IssuerBody, KeyBackupBody, Period};
pub use regions::{RegionCheckView, RegionView};
pub use server::{router, serve};
pub use shredding::{RunShred, SHREDS_LISTED_MAX, ShredBody, TerminateTenant, TerminationBody};
pub use state::{Admin, AdminDomain, AdminLimits, AdminRegion, BackendKind, RegionProbe};
pub use tenants::{PAGE_ROWS_MAX, TenantView};

#[cfg(test)]
mod tests;
