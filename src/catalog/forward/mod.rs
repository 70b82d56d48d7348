//! The catalog's traits on something that holds another catalog, method by method, each by a macro of the caller's that is given the
//! operation's name and the call.

/// All that the traits' signatures name; which of it is used depends on which traits are forwarded.
#[allow(unused_imports, reason = "some traits are forwarded in tests only")]
pub(super) mod names {
    pub(in crate::catalog) use crate::catalog::{
        Approval, Evidence, NewTermination, ReceiptId, ReceiptProof, ReceiptRow, ReceiptStore,
        Shred, ShredFence, ShredId, ShredState, ShredStore, Termination, TerminationId,
        WitnessMark,
    };
    pub(in crate::catalog) use crate::catalog::{
        Attempt, AttemptId, Bucket, BucketSetting, BucketState, BucketStore, BucketVersioning,
        CatalogError, Change, CompletedUpload, CredentialRow, CredentialStore, DomainStore,
        GatewayRenewal, GatewayRow, GatewayStore, Job, JobFence, JobId, JobKind, JobStore,
        NewAttempt, NewBucket, NewCredential, NewTenant, NewUpload, RegionCheck, Revision, Spooled,
        StaleBefore, StoreIdentities, TenantStore, Upload, UploadPage, UploadStore, UpstreamOwner,
    };
    pub(in crate::catalog) use crate::clock::UnixMs;
    pub(in crate::catalog) use crate::region::{UpstreamBucket, UpstreamUploadId};
    pub(in crate::catalog) use crate::tenants::access::GrantChange;
    pub(in crate::catalog) use crate::tenants::{
        AccessKeyId, BucketName, ObjectKey, RegionName, Tenant, TenantId, TenantName, TenantState,
        UploadId,
    };
    pub(in crate::catalog) use lethe_keys::GatewayId;
    pub(in crate::catalog) use std::sync::Arc;
}

#[cfg(any(test, feature = "testing"))]
mod buckets;
#[cfg(any(test, feature = "testing"))]
mod credentials;
mod domain;
mod gateways;
mod jobs;
mod receipts;
mod shreds;
#[cfg(any(test, feature = "testing"))]
mod tenants;
mod uploads;

#[cfg(any(test, feature = "testing"))]
pub(super) use buckets::forward_bucket_store;
#[cfg(any(test, feature = "testing"))]
pub(super) use credentials::forward_credential_store;
pub(super) use domain::forward_domain_store;
pub(super) use gateways::forward_gateway_store;
pub(super) use jobs::forward_job_store;
pub(super) use receipts::forward_receipt_store;
pub(super) use shreds::forward_shred_store;
#[cfg(any(test, feature = "testing"))]
pub(super) use tenants::forward_tenant_store;
pub(super) use uploads::forward_upload_store;
