//! CompleteMultipartUpload: under a lease, with a part list that is durable before the only trailer is sealed.

use super::checksums::Part;
use super::plan::{Plan, attempts, invalid_part, is_same_content, plan, too_small};
use super::tail;
use crate::catalog::{CatalogError, CompletedUpload, JobFence, Upload, UploadState};
use crate::ops::conditions::WriteCondition;
use crate::ops::error::{Code, OpError};
use crate::ops::etag::ClientEtag;
use crate::ops::gateway::Gateway;
use crate::ops::put_object::{settle, upstream_condition};
use crate::ops::scope::BucketScope;
use crate::region::{CompletedPart, Missing, PutCondition, RegionError, VersionId, WriteOutcome};
use crate::tenants::{ObjectKey, UploadId};
use lethe_envelope::{Checksum, CustomerKey, Trailer, TrailerError};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// How long a repeated Complete waits for the one that is under way: longer than a lease, so that it takes over from one that
/// has ended.
const WAIT_FOR_OTHER: Duration = Duration::from_secs(30);
const WAIT_STEP: Duration = Duration::from_millis(200);
/// How often the store may hold another attempt of equal content than the one recorded last.
const SUBSTITUTIONS_MAX: u32 = 8;
/// How often the tail is sent again because a late attempt at its number came between it and Complete.
const TAIL_REPEATS_MAX: u32 = 2;

/// A part as Complete names it.
#[derive(Clone, Debug)]
pub struct RequestedPart {
    /// 1 to 10,000.
    pub number: u16,
    /// The ETag that the client was given.
    pub etag: ClientEtag,
    /// The checksum that the client was given.
    pub checksum: Option<Checksum>,
}

/// One Complete.
pub struct CompleteUpload {
    /// The upload's key.
    pub key: ObjectKey,
    /// The upload.
    pub upload: String,
    /// Its parts.
    pub parts: Vec<RequestedPart>,
    /// The whole object's checksum as the client computed it.
    pub checksum: Option<Checksum>,
    /// `x-amz-mp-object-size`.
    pub plaintext_bytes: Option<u64>,
    /// What must hold.
    pub condition: WriteCondition,
    /// The key that the upload was begun with: without it there is no trailer.
    pub customer_key: Option<Arc<CustomerKey>>,
}

/// The answer of a Complete.
pub struct CompleteAnswer {
    /// The object's ETag.
    pub etag: ClientEtag,
    /// Its version.
    pub version: Option<VersionId>,
    /// Its checksum, with the number of parts behind a composite one.
    pub checksum: Option<(Checksum, usize)>,
    /// When lifecycle rules let it go, in the region's words (`x-amz-expiration`); not kept for an answer that is repeated.
    pub expiration: Option<String>,
}

fn repeat(answer: &CompletedUpload, plan: &Plan) -> CompleteAnswer {
    let checksum = plan.checksum.clone();
    CompleteAnswer {
        etag: ClientEtag::from_upstream(&answer.etag),
        version: answer.version.clone().map(VersionId),
        checksum: checksum.map(|checksum| (checksum, plan.parts.len())),
        expiration: None,
    }
}

/// Makes the object of the listed parts.
///
/// # Errors
/// `InvalidPart`, `InvalidPartOrder`, `EntityTooSmall`, `NoSuchUpload`, `PreconditionFailed`, `OperationAborted` while another
/// Complete is under way; `InvalidRequest` for another customer key than the upload was begun with.
pub async fn complete_upload(
    gateway: &Gateway,
    scope: &BucketScope,
    complete: &CompleteUpload,
) -> Result<CompleteAnswer, OpError> {
    if complete.condition.is_conditional() && !scope.region.store.profile().conditional_complete {
        return Err(OpError::not_implemented(
            "This region does not support conditional completion of multipart uploads.",
        ));
    }
    let upload = super::find(scope, &complete.key, &complete.upload).await?;
    super::check_customer_key(scope, &upload, complete.customer_key.as_deref()).await?;
    let plan = plan(gateway, scope, &upload, complete).await?;
    let fence = match begin(gateway, scope, upload.clone(), complete, &plan).await? {
        Begun::Here(fence) => fence,
        Begun::Elsewhere(answer) => return Ok(answer),
    };
    let catalog = &scope.domain.catalog;
    let mut made = Made::Nothing;
    let outcome = tokio::select! {
        outcome = finish(gateway, scope, &upload, complete, plan, fence, &mut made) => outcome,
        never = keep_lease(gateway, scope, &upload.new.id, fence) => match never {},
    };
    if outcome.is_err() {
        let (tenant, id) = (scope.tenant, &upload.new.id);
        let given_back = match made {
            Made::Refused => catalog.reopen_upload(tenant, id, fence).await,
            Made::Nothing | Made::Perhaps => catalog.release_complete(tenant, id, fence).await,
        };
        if let Err(error) = given_back {
            // The lease ends by itself; giving it back only lets a retry begin at once.
            tracing::debug!(%tenant, %error, "the lease on completing an upload runs out by itself");
        }
    }
    outcome
}

/// Renews the lease for as long as the store works: until it has ended, nobody aborts the upload or sends another tail into it.
///
/// Where another has the upload all the same (this gateway did not reach the catalog for a whole lease), the store's answer is
/// waited for nevertheless: it tells what became of the object.
async fn keep_lease(
    gateway: &Gateway,
    scope: &BucketScope,
    id: &UploadId,
    fence: JobFence,
) -> Infallible {
    let (catalog, tenant) = (&scope.domain.catalog, scope.tenant);
    loop {
        tokio::time::sleep(gateway.complete_lease / 3).await;
        let until = gateway.clock().now().plus_ms(lease_ms(gateway));
        match catalog.renew_complete(tenant, id, fence, until).await {
            Err(error @ (CatalogError::Conflict { .. } | CatalogError::NotFound { .. })) => {
                tracing::warn!(op = "complete_upload", %tenant, outcome = "lost", %error, "another request has the upload");
                return std::future::pending().await;
            }
            Err(error) => {
                tracing::debug!(%tenant, %error, "the lease on completing an upload is not renewed")
            }
            Ok(()) => {}
        }
    }
}

fn lease_ms(gateway: &Gateway) -> i64 {
    i64::try_from(gateway.complete_lease.as_millis()).unwrap_or(i64::MAX)
}

/// What a Complete that failed left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    /// It did not get as far as fixing a part list.
    Nothing,
    /// A part list is fixed, by this Complete or an earlier one, of which the store may have made the object or may yet make it.
    Perhaps,
    /// It fixed the part list, and the store refused it: no object is made of that list, so that it binds nobody.
    Refused,
}

/// Who completes the upload.
enum Begun {
    /// This request, under its lease.
    Here(JobFence),
    /// Another did, and this is its answer.
    Elsewhere(CompleteAnswer),
}

/// Takes the lease, or waits for the Complete that holds it: its answer is this one's, if it comes and is of the same list.
async fn begin(
    gateway: &Gateway,
    scope: &BucketScope,
    mut upload: Upload,
    complete: &CompleteUpload,
    plan: &Plan,
) -> Result<Begun, OpError> {
    let deadline = tokio::time::Instant::now() + WAIT_FOR_OTHER;
    loop {
        if let (UploadState::Completed, Some(answer)) = (upload.state, &upload.answer) {
            if upload.part_list.as_deref() != Some(&plan.list_digest) {
                return Err(other_list());
            }
            return Ok(Begun::Elsewhere(repeat(answer, plan)));
        }
        let (id, now) = (&upload.new.id, gateway.clock().now());
        let catalog = &scope.domain.catalog;
        match catalog
            .begin_complete(scope.tenant, id, now, lease_ms(gateway))
            .await
        {
            Ok(fence) => return Ok(Begun::Here(fence)),
            Err(CatalogError::Conflict { .. }) => {}
            Err(other) => return Err(other.into()),
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(OpError::new(
                Code::OperationAborted,
                "Another request is completing this upload. Please retry.",
            ));
        }
        tokio::time::sleep(WAIT_STEP).await;
        upload = super::find(scope, &complete.key, &complete.upload).await?;
    }
}

fn other_list() -> OpError {
    OpError::invalid_request(
        "This upload is already being completed, or was completed, with another list of parts.",
    )
}

async fn finish(
    gateway: &Gateway,
    scope: &BucketScope,
    upload: &Upload,
    complete: &CompleteUpload,
    mut plan: Plan,
    fence: JobFence,
    made: &mut Made,
) -> Result<CompleteAnswer, OpError> {
    let (catalog, tenant, id) = (&scope.domain.catalog, scope.tenant, &upload.new.id);
    let condition = upstream_condition(scope, &complete.key, &complete.condition).await?;
    *made = Made::Perhaps;
    let is_fixed_here = match catalog
        .fix_part_list(tenant, id, fence, &plan.list_digest)
        .await
    {
        Err(CatalogError::Conflict { .. }) => return Err(other_list()),
        outcome => outcome?,
    };
    // Read under the lease, which keeps new attempts from beginning: nothing will ever be stored above this number.
    let above = catalog.part_number_max(tenant, id).await?;
    let mut substitutions = 0;
    let outcome = loop {
        let customer_key = complete.customer_key.as_deref();
        let attempt = attempt_complete(
            gateway,
            scope,
            upload,
            &plan,
            above,
            &condition,
            customer_key,
        );
        match attempt.await? {
            Err(error @ RegionError::InvalidPart { .. }) if substitutions < SUBSTITUTIONS_MAX => {
                substitutions += 1;
                let substituted = substitute(gateway, scope, upload, &mut plan, customer_key).await;
                if is_fixed_here && is_invalid_part(&substituted) {
                    *made = Made::Refused;
                }
                if !substituted? && substitutions > TAIL_REPEATS_MAX {
                    break Err(error);
                }
            }
            outcome => break outcome,
        }
    };
    if let Err(error) = &outcome
        && is_fixed_here
        && is_refusal(error)
    {
        *made = Made::Refused;
    }
    let outcome = settle_complete(scope, upload, outcome).await?;
    let answer = CompletedUpload {
        etag: outcome.etag,
        version: outcome.version.map(|version| version.0),
    };
    let finished = catalog
        .finish_complete(tenant, id, fence, &answer, gateway.clock().now())
        .await;
    match finished {
        Ok(()) => {
            if let Err(error) = super::drop_spooled(&scope.region, id).await {
                tracing::debug!(%error, "spooled parts are left to the sweeping job");
            }
        }
        // The lease had ended, and another has or had the upload. The store made one object of it, and that one stands.
        Err(CatalogError::Conflict { .. } | CatalogError::NotFound { .. }) => {
            tracing::warn!(op = "complete_upload", %tenant, outcome = "ok", "completed without its lease");
        }
        Err(error) => return Err(error.into()),
    }
    Ok(CompleteAnswer {
        expiration: outcome.expiration,
        ..repeat(&answer, &plan)
    })
}

/// Seals the trailer, sends the tail and asks the store to make the object.
async fn attempt_complete(
    gateway: &Gateway,
    scope: &BucketScope,
    upload: &Upload,
    plan: &Plan,
    above: u16,
    condition: &PutCondition,
    customer_key: Option<&CustomerKey>,
) -> Result<Result<WriteOutcome, RegionError>, OpError> {
    let records = plan.parts.iter().map(Part::record).collect();
    let trailer =
        Trailer::new(upload.new.object_id, plan.checksum.clone(), records).map_err(|error| {
            match error {
                TrailerError::PartTooSmall { .. } => too_small(),
                other => OpError::internal(other),
            }
        })?;
    let dek = super::unwrap(scope, upload, customer_key).await?;
    let pad_and_trailer = trailer
        .seal_with_pad(gateway.engine, &dek, scope.tenant)
        .map_err(OpError::internal)?;
    drop(dek);
    let Some((last, others)) = plan.parts.split_last() else {
        return Err(OpError::internal("no parts"));
    };
    let mut parts: Vec<CompletedPart> = others.iter().map(completed).collect();
    if last.attempt.stored.spool_key.is_none() {
        parts.push(completed(last));
    }
    match tail::send_tail(scope, upload, &last.attempt, above, pad_and_trailer).await {
        Ok(tail) => parts.push(tail),
        // The upstream upload may be gone because an earlier Complete of ours was carried out and its answer lost.
        Err(error) if error.code() == Code::NoSuchUpload => {
            return Ok(Err(RegionError::NotFound {
                operation: "complete upload",
                missing: Missing::Upload,
            }));
        }
        Err(error) => return Err(error),
    }
    let at = scope.at(&upload.new.key);
    Ok(scope
        .region
        .store
        .complete_upload(
            scope.tenant,
            &at,
            super::upstream(upload)?,
            &parts,
            condition,
        )
        .await)
}

fn completed(part: &Part) -> CompletedPart {
    CompletedPart {
        number: part.attempt.number,
        etag: part.attempt.stored.upstream_etag.clone(),
    }
}

fn is_invalid_part<T>(outcome: &Result<T, OpError>) -> bool {
    outcome
        .as_ref()
        .is_err_and(|error| error.code() == Code::InvalidPart)
}

/// Where the store holds another attempt of equal length and checksum than the one recorded last, that one is used. False when
/// the store holds every part that the plan names, so that only the tail can be in the way.
async fn substitute(
    gateway: &Gateway,
    scope: &BucketScope,
    upload: &Upload,
    plan: &mut Plan,
    customer_key: Option<&CustomerKey>,
) -> Result<bool, OpError> {
    let at = scope.at(&upload.new.key);
    let held = scope
        .region
        .store
        .list_parts(scope.tenant, &at, super::upstream(upload)?)
        .await?;
    let held: BTreeMap<u16, String> = held
        .into_iter()
        .map(|part| (part.number, part.etag))
        .collect();
    let mut changed = false;
    let upstream_parts = plan
        .parts
        .iter_mut()
        .filter(|part| part.attempt.stored.spool_key.is_none());
    for part in upstream_parts {
        let number = part.attempt.number;
        let etag = held.get(&number).ok_or_else(|| invalid_part(number))?;
        if *etag == part.attempt.stored.upstream_etag {
            continue;
        }
        let attempts = attempts(gateway, scope, upload, customer_key, number).await?;
        let equal = attempts.into_iter().find(|other| {
            other.attempt.stored.upstream_etag == *etag && is_same_content(other, part)
        });
        *part = equal.ok_or_else(|| invalid_part(number))?;
        changed = true;
    }
    Ok(changed)
}

/// Whether the store says that it made no object because of what the request asked for.
fn is_refusal(error: &RegionError) -> bool {
    matches!(
        error,
        RegionError::PreconditionFailed { .. }
            | RegionError::Conflict { .. }
            | RegionError::InvalidPart { .. }
    )
}

/// A lost answer, or an upload that is gone: the object under the key having this upload's header is success.
async fn settle_complete(
    scope: &BucketScope,
    upload: &Upload,
    outcome: Result<WriteOutcome, RegionError>,
) -> Result<WriteOutcome, OpError> {
    let head = super::finished_head(scope, upload)?;
    match outcome {
        Err(RegionError::NotFound {
            missing: Missing::Upload,
            ..
        }) => {
            let lost = RegionError::Unknown {
                operation: "complete upload",
                reason: "the upload is gone".to_owned(),
            };
            settle(scope, &upload.new.key, &head, Err(lost))
                .await
                .map_err(|_| OpError::no_such_upload())
        }
        // Its condition may fail on the very object that an earlier Complete of this upload made, whose answer was lost.
        Err(error @ RegionError::PreconditionFailed { .. }) => {
            let lost = RegionError::Unknown {
                operation: "complete upload",
                reason: "the answer to an earlier one may be lost".to_owned(),
            };
            let settled = settle(scope, &upload.new.key, &head, Err(lost)).await;
            settled.map_err(|_| error.into())
        }
        outcome => settle(scope, &upload.new.key, &head, outcome).await,
    }
}
