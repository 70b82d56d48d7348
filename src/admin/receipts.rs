//! `/v1/receipts`, `/v1/tenants/{tenant}/receipt`, `/v1/domains/{domain}/trust`, `/v1/domains/{domain}/key-store/…`.

use super::error::{ApiError, ErrorBody};
use super::exceptions::{Facts, has_receipts};
use super::server::{Acting, JsonBody};
use super::shredding::TerminationBody;
use super::state::Admin;
use super::tenants::{InDomain, PAGE_ROWS_MAX};
use crate::catalog::{ReceiptStage, TerminationId};
use crate::clock::UnixMs;
use crate::shred::ShredError;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use lethe_receipts::TrustFile;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// A period of terminations.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Period {
    /// The domain; needed where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Requested at this time or later, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<i64>,
    /// Requested before this time, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_ms: Option<i64>,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// One termination of a period with its receipts: what an auditor samples from.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditRow {
    /// The termination.
    #[serde(flatten)]
    pub termination: TerminationBody,
    /// When its keys were destroyed, as the receipt says, in milliseconds since 1970.
    pub shredded_ms: Option<i64>,
    /// The receipt of the stage revoked.
    pub revoked_receipt: Option<String>,
    /// The receipt of the stage erased.
    pub erased_receipt: Option<String>,
    /// The receipt of the stage purged.
    pub purged_receipt: Option<String>,
    /// What is not as it should be, in sentences: overdue or late, cancelled, a receipt that is not logged, has too few
    /// cosignatures or can't be read, one approver, assurance logical, a partial inventory, held versions, fences not answered.
    pub exceptions: Vec<String>,
}

/// One page of a period.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditPage {
    /// By the time of their request.
    pub rows: Vec<AuditRow>,
    /// The next page's `after`; absent on the last.
    pub next: Option<String>,
}

pub(super) fn marker(text: &str) -> Result<(UnixMs, TerminationId), ApiError> {
    let parsed = text.split_once('-').and_then(|(at, id)| {
        let at = at.parse::<i64>().ok()?;
        Some((UnixMs(at), id.parse::<TerminationId>().ok()?))
    });
    parsed.ok_or_else(|| ApiError::invalid("after is not a page's next", "leave it out"))
}

/// Lists a period's terminations with due date, shred date, receipts and exceptions.
#[utoipa::path(get, path = "/v1/receipts", tag = "receipts", params(Period),
    responses((status = 200, body = AuditPage), (status = 503, body = ErrorBody)))]
pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    _acting: Acting,
    Query(period): Query<Period>,
) -> Result<Json<AuditPage>, ApiError> {
    let domain = admin.domain(period.domain.as_deref())?;
    let shreds = domain.shreds()?;
    let catalog = &shreds.stores.catalog;
    let after = period.after.as_deref().map(marker).transpose()?;
    let from = UnixMs(period.from_ms.unwrap_or(0));
    let to = UnixMs(period.to_ms.unwrap_or(i64::MAX));
    if from >= to {
        return Err(ApiError::invalid(
            "the period ends before it has begun",
            "from is the first moment in it, to the first one after it",
        ));
    }
    let found = catalog
        .terminations_between(from, to, after, PAGE_ROWS_MAX)
        .await?;
    let full = u32::try_from(found.len()).unwrap_or(u32::MAX) >= PAGE_ROWS_MAX;
    let last = found.last().filter(|_| full);
    let next = last.map(|last| format!("{}-{}", last.requested.0, last.id));
    let mut rows = Vec::with_capacity(found.len());
    for termination in found {
        let tenant = catalog.tenant(termination.tenant).await?;
        let receipts = if has_receipts(&termination) {
            catalog.receipts(termination.tenant).await?
        } else {
            Vec::new()
        };
        let facts = Facts::of(&receipts);
        let view = shreds.view(termination);
        let body = TerminationBody::of(shreds.stores.name.as_str(), tenant.name.as_str(), &view);
        let of = |stage| receipts.iter().find(|one| one.stage == stage);
        let id = |stage| of(stage).map(|one| one.id.to_string());
        rows.push(AuditRow {
            termination: body,
            shredded_ms: facts.destroyed.map(|at| at.0),
            revoked_receipt: id(ReceiptStage::Revoked),
            erased_receipt: id(ReceiptStage::Erased),
            purged_receipt: id(ReceiptStage::Purged),
            exceptions: facts.exceptions(&view),
        });
    }
    Ok(Json(AuditPage { rows, next }))
}

fn json(text: String) -> Response {
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}

/// A tenant's receipt file, byte for byte as verifiers want it.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/receipt", tag = "receipts",
    params(("tenant" = String, Path, description = "id or name"), InDomain),
    responses((status = 200, content_type = "application/json", body = String), (status = 404, body = ErrorBody)))]
pub(super) async fn file(
    State(admin): State<Arc<Admin>>,
    _acting: Acting,
    Path(tenant): Path<String>,
    Query(within): Query<InDomain>,
) -> Result<Response, ApiError> {
    let (domain, tenant) = admin.tenant(&tenant, within.domain.as_deref()).await?;
    let file = domain.shreds()?.receipt_file(tenant.id, None).await?;
    Ok(json(file))
}

/// A domain's trust file, byte for byte.
#[utoipa::path(get, path = "/v1/domains/{domain}/trust", tag = "receipts",
    params(("domain" = String, Path, description = "name")),
    responses((status = 200, content_type = "application/json", body = String), (status = 404, body = ErrorBody)))]
pub(super) async fn trust(
    State(admin): State<Arc<Admin>>,
    _acting: Acting,
    Path(domain): Path<String>,
) -> Result<Response, ApiError> {
    let domain = admin.domain(Some(&domain))?;
    let trust = domain.shreds()?.signing.trust(&domain.trust);
    let written = trust.map_err(ShredError::from)?.to_json();
    let written = written.map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(json(written))
}

/// An issuer key that was made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct IssuerBody {
    /// The domain.
    pub domain: String,
    /// The key's id.
    pub keyid: String,
    /// SHA-256 of the trust file that names it.
    pub trust_fingerprint: String,
}

/// Makes a new issuer key; the one before stays in the trust file with the end of its window.
#[utoipa::path(post, path = "/v1/domains/{domain}/trust/rotate", tag = "receipts",
    params(("domain" = String, Path, description = "name")),
    responses((status = 200, body = IssuerBody), (status = 404, body = ErrorBody)))]
pub(super) async fn rotate(
    State(admin): State<Arc<Admin>>,
    acting: Acting,
    Path(domain): Path<String>,
) -> Result<Json<IssuerBody>, ApiError> {
    acting.operates()?;
    let domain = admin.domain(Some(&domain))?;
    let shreds = domain.shreds()?;
    let signing = &shreds.signing;
    let rotated = signing.rotate_issuer(admin.clock.now());
    let key = rotated.map_err(ShredError::from)?;
    acting.done("issuer-rotate", None);
    // The trust file that is answered is to outlast what still waits for witnesses.
    shreds.keep_issuers_trusted().await?;
    let trust = signing.trust(&domain.trust).map_err(ShredError::from)?;
    let written = trust.to_json();
    let written = written.map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(Json(IssuerBody {
        domain: domain.stores.name.to_string(),
        keyid: key.key_id().to_string(),
        trust_fingerprint: TrustFile::fingerprint(written.as_bytes()).to_string(),
    }))
}

/// A backup of the key store.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct KeyBackupBody {
    /// Its name in the place of the backups.
    pub file: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// Nodes in it.
    pub nodes: u64,
    /// KEKs in it, each opened and compared with its commitment.
    pub keks: u64,
}

/// Nothing to say.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackUpKeys {}

/// Backs the key store up and tries the backup out.
#[utoipa::path(post, path = "/v1/domains/{domain}/key-store/backup", tag = "keys", request_body = BackUpKeys,
    params(("domain" = String, Path, description = "name")),
    responses((status = 200, body = KeyBackupBody), (status = 503, body = ErrorBody)))]
pub(super) async fn back_up(
    State(admin): State<Arc<Admin>>,
    acting: Acting,
    Path(domain): Path<String>,
    JsonBody(_body): JsonBody<BackUpKeys>,
) -> Result<Json<KeyBackupBody>, ApiError> {
    acting.operates()?;
    let shreds = admin.domain(Some(&domain))?.shreds()?;
    let epoch = shreds.keys.epoch().await?;
    let made = shreds.keys.back_up(epoch).await?;
    acting.done("key-store-backup", None);
    Ok(Json(KeyBackupBody {
        file: made.file,
        sha256: made.sha256,
        created_ms: made.at_ms,
        nodes: made.nodes,
        keks: made.keks,
    }))
}
