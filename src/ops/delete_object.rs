//! DeleteObject and DeleteObjects.

use crate::ops::conditions::WriteCondition;
use crate::ops::error::OpError;
use crate::ops::object_lock;
use crate::ops::put_object::upstream_condition;
use crate::ops::scope::BucketScope;
use crate::region::{DeleteOutcome, DeleteRequest, PutCondition, RegionError, VersionId};
use crate::tenants::ObjectKey;
use futures::StreamExt as _;

/// How many deletes of one list are under way upstream at once.
const DELETES_AT_ONCE: usize = 16;

/// One delete.
pub struct DeleteObject {
    /// The object's key.
    pub key: ObjectKey,
    /// One version for good.
    pub version: Option<VersionId>,
    /// What must hold.
    pub condition: WriteCondition,
    /// Delete the version although it is retained in governance mode.
    pub bypass_governance: bool,
}

/// Deletes an object or one version of it.
///
/// # Errors
/// `PreconditionFailed`, `AccessDenied` for a version that object lock keeps, `NotImplemented` for a condition that the upstream would not enforce.
pub async fn delete_object(
    scope: &BucketScope,
    delete: &DeleteObject,
) -> Result<DeleteOutcome, OpError> {
    if delete.condition.is_conditional() && !scope.region.store.profile().conditional_delete {
        return Err(OpError::not_implemented(
            "This region does not support conditional deletes.",
        ));
    }
    let condition: PutCondition = upstream_condition(scope, &delete.key, &delete.condition).await?;
    let request = DeleteRequest {
        version: delete.version.clone(),
        condition,
        bypass_governance: delete.bypass_governance,
    };
    let at = scope.at(&delete.key);
    let store = &scope.region.store;
    let outcome = match store.delete(scope.tenant, &at, &request).await {
        // A delete of one version is idempotent; one without may make a second marker, which is what a client's retry does too.
        Err(RegionError::Unknown { .. }) if request.condition == PutCondition::Always => {
            store.delete(scope.tenant, &at, &request).await
        }
        outcome => outcome,
    };
    match (outcome, &request.version) {
        (Err(refusal @ RegionError::Refused { status: 403, .. }), Some(version))
            if scope.bucket.object_lock =>
        {
            Err(object_lock::undeleted(scope, &at, version, refusal).await)
        }
        (outcome, _) => Ok(outcome?),
    }
}

/// Deletes a list of objects; each has an answer of its own, in the list's order.
pub async fn delete_objects(
    scope: &BucketScope,
    deletes: Vec<DeleteObject>,
) -> Vec<(DeleteObject, Result<DeleteOutcome, OpError>)> {
    futures::stream::iter(deletes)
        .map(|delete| async move {
            let outcome = delete_object(scope, &delete).await;
            (delete, outcome)
        })
        .buffered(DELETES_AT_ONCE)
        .collect()
        .await
}
