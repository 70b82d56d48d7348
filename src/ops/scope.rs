//! What one request may touch: the caller's own tenant, and of that tenant one bucket. Each is had for an [`Authorized`] alone, and holds
//! it, so that nothing beside what was decided on is reached by way of it.

use crate::catalog::{Bucket, BucketState, CatalogError};
use crate::ops::error::{Code, OpError};
use crate::ops::gateway::{Domain, Gateway, Region};
use crate::region::{ObjectRef, VersionId};
use crate::tenants::access::{Authorized, Demand, Denied, Side};
use crate::tenants::{BucketName, ObjectKey, TenantId, TenantState};
use std::sync::Arc;

/// Whether an operation changes anything: a terminating tenant is read-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads.
    Read,
    /// Writes.
    Write,
}

/// The caller's tenant with its domain and home region.
#[derive(Clone)]
pub struct TenantScope {
    /// The caller's tenant.
    pub tenant: TenantId,
    /// Its domain.
    pub domain: Arc<Domain>,
    /// Its region.
    pub region: Arc<Region>,
    authorized: Authorized,
}

/// One bucket of the caller's tenant.
#[derive(Clone)]
pub struct BucketScope {
    /// The caller's tenant.
    pub tenant: TenantId,
    /// The bucket's domain.
    pub domain: Arc<Domain>,
    /// The bucket's region.
    pub region: Arc<Region>,
    /// The bucket.
    pub bucket: Bucket,
    authorized: Authorized,
}

/// The caller's tenant, when its state allows the access.
///
/// # Errors
/// `AccessDenied` when the tenant is suspended, terminating (for writes) or gone.
pub fn tenant_scope(
    gateway: &Gateway,
    authorized: &Authorized,
    access: Access,
) -> Result<TenantScope, OpError> {
    let tenant = &authorized.caller().tenant;
    match (tenant.state, access) {
        (TenantState::Active, _) | (TenantState::Terminating, Access::Read) => {}
        (TenantState::Terminating, Access::Write) => {
            return Err(OpError::new(
                Code::AccessDenied,
                "This tenant is being terminated and is read-only.",
            ));
        }
        _ => {
            return Err(OpError::new(
                Code::AccessDenied,
                "This tenant is not active.",
            ));
        }
    }
    let region = gateway.region(&tenant.region)?;
    Ok(TenantScope {
        tenant: tenant.id,
        domain: Arc::clone(&region.domain),
        region: Arc::clone(region),
        authorized: authorized.clone(),
    })
}

/// An active bucket of the caller's tenant: the one that was decided on.
///
/// # Errors
/// `NoSuchBucket` when the tenant has none of that name, whoever else may; `AccessDenied` for any other bucket; `ServiceUnavailable` while
/// it is being deleted.
pub async fn bucket_scope(
    gateway: &Gateway,
    authorized: &Authorized,
    bucket: &str,
    access: Access,
) -> Result<BucketScope, OpError> {
    let scope = tenant_scope(gateway, authorized, access)?;
    scope.check_bucket(bucket)?;
    let name = BucketName::new(bucket).map_err(|_| no_such_bucket())?;
    let bucket = match scope.domain.catalog.bucket(scope.tenant, &name).await {
        Ok(bucket) if bucket.state == BucketState::Active => bucket,
        // It may turn out not to be empty, and be there again.
        Ok(bucket) if bucket.state == BucketState::Deleting => return Err(being_deleted()),
        Ok(_) | Err(CatalogError::NotFound { .. }) => return Err(no_such_bucket()),
        Err(other) => return Err(other.into()),
    };
    let region = gateway.region(&bucket.region)?;
    Ok(BucketScope {
        tenant: scope.tenant,
        domain: scope.domain,
        region: Arc::clone(region),
        bucket,
        authorized: scope.authorized,
    })
}

impl TenantScope {
    /// That a bucket is the one that was decided on.
    ///
    /// # Errors
    /// `AccessDenied` when it is not.
    pub fn check_bucket(&self, bucket: &str) -> Result<(), OpError> {
        match self.authorized.is_in(bucket) {
            true => Ok(()),
            false => Err(out_of_scope()),
        }
    }
}

fn out_of_scope() -> OpError {
    let (side, demand) = (Side::Target, Demand::Touch);
    Denied::OutOfScope { side, demand }.into()
}

/// The answer for a bucket of which it is not known yet whether it will be there.
#[must_use]
pub fn being_deleted() -> OpError {
    OpError::new(
        Code::ServiceUnavailable,
        "The bucket is being deleted. Please retry.",
    )
}

/// S3's answer for a bucket that the tenant does not have.
#[must_use]
pub fn no_such_bucket() -> OpError {
    OpError::new(Code::NoSuchBucket, "The specified bucket does not exist")
}

impl BucketScope {
    /// The object's place upstream.
    #[must_use]
    pub fn at(&self, key: &ObjectKey) -> ObjectRef {
        ObjectRef {
            bucket: self.bucket.upstream.clone(),
            key: key.clone(),
        }
    }

    /// A key that was decided on, and that this region keeps as it is.
    ///
    /// # Errors
    /// `AccessDenied` for any other key; `KeyTooLongError` or `InvalidArgument` for a key that the region would change or refuse: it is never stored under another
    /// name.
    pub fn key(&self, key: &str) -> Result<ObjectKey, OpError> {
        if !self.authorized.is_for(key) {
            return Err(out_of_scope());
        }
        if key.len() > 1024 {
            return Err(OpError::new(Code::KeyTooLongError, "Your key is too long"));
        }
        let key = ObjectKey::new(key)
            .map_err(|_| OpError::new(Code::InvalidArgument, "The key must not be empty."))?;
        match crate::region::key_problem(&self.region.store.profile().keys, key.as_str()) {
            None => Ok(key),
            Some(problem) => Err(OpError::new(
                Code::InvalidArgument,
                format!(
                    "This region's store would not keep this key as it is: {problem}. Use another key."
                ),
            )),
        }
    }
}

/// A version id from a query; the empty one is refused as S3 does.
///
/// # Errors
/// `InvalidArgument` when it is empty or too long.
pub fn version(text: Option<&str>) -> Result<Option<VersionId>, OpError> {
    match text {
        None => Ok(None),
        Some("") => Err(OpError::new(
            Code::InvalidArgument,
            "Version id cannot be the empty string",
        )),
        Some(text) if text.len() > 1024 => Err(OpError::new(
            Code::InvalidArgument,
            "Invalid version id specified",
        )),
        Some(text) => Ok(Some(VersionId(text.to_owned()))),
    }
}
