//! Who asks and what they may: the names that requests carry, as types that cannot hold a bad one.

pub mod access;
mod auth;
mod lifecycle;
mod names;

pub use auth::{AuthError, Authenticator};
pub use lethe_envelope::TenantId;
pub use lifecycle::{
    CREDENTIAL_SECRET_LABEL, SPOOL_OWNER, Subject, SubjectError, credential_secret_fields,
};
pub use names::{
    AccessKeyId, BucketName, DomainName, NameError, ObjectKey, RegionName, TenantName, UploadId,
};

use crate::clock::UnixMs;
use access::Grant;
use std::sync::Arc;

/// Where a tenant is in its life (`docs/architecture.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TenantState {
    /// Being created; serves nothing yet; a retry or a job finishes it.
    Creating,
    /// Serves everything.
    Active,
    /// Serves nothing until resumed.
    Suspended,
    /// Read-only until its grace ends.
    Terminating,
    /// Its keys are destroyed.
    Shredded,
}

/// One tenant as the catalog knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Random and never reused.
    pub id: TenantId,
    /// A label; unique in the domain while the tenant lives.
    pub name: TenantName,
    /// The region that holds the tenant's objects.
    pub region: RegionName,
    /// Where the tenant is in its life.
    pub state: TenantState,
    /// When it was created.
    pub created: UnixMs,
}

/// The authenticated tenant and credential behind one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The credential's tenant: the only tenant that this request can name.
    pub tenant: Tenant,
    /// The credential that signed.
    pub access_key_id: AccessKeyId,
    /// What that credential may do within its tenant.
    pub grant: Arc<Grant>,
}
