//! `/v1/domains`.

use super::error::{ApiError, ErrorBody};
use super::server::Acting;
use super::state::{Admin, AdminDomain};
use axum::Json;
use axum::extract::{Path, State};
use lethe_receipts::log::LogVerifier;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// A domain.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DomainView {
    /// Its name.
    pub name: String,
    /// Its jurisdiction.
    pub jurisdiction: String,
    /// Where clients reach it.
    pub public_endpoint: String,
    /// Its regions that this gateway serves.
    pub regions: Vec<String>,
    /// The catalog's identity, in hexadecimal.
    pub catalog_identity: String,
    /// The key store's identity, in hexadecimal.
    pub key_store_identity: String,
    /// The key store's root epoch.
    pub epoch: u64,
    /// How long the key lease lasts unless renewed, in milliseconds; absent when it has ended.
    pub lease_remaining_ms: Option<u64>,
    /// The key under which its log's tree heads are to be checked, `<origin>+<id>+<key>`; absent where it has no log.
    pub log_key: Option<String>,
}

async fn view(domain: &AdminDomain) -> Result<DomainView, ApiError> {
    let identities = domain.stores.catalog.identities().await?;
    let lease = domain.stores.keys.lease_state();
    Ok(DomainView {
        name: domain.stores.name.to_string(),
        jurisdiction: domain.jurisdiction.clone(),
        public_endpoint: domain.public_endpoint.clone(),
        regions: domain.regions.keys().map(ToString::to_string).collect(),
        catalog_identity: hex::encode(identities.catalog),
        key_store_identity: hex::encode(identities.key_store),
        epoch: lease.epoch.0,
        lease_remaining_ms: lease
            .remaining
            .map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
        log_key: domain.shred.as_ref().and_then(|shred| {
            let keys = &shred.signing.published_log().keys;
            keys.last().map(LogVerifier::text)
        }),
    })
}

/// Lists the domains that this gateway serves.
#[utoipa::path(get, path = "/v1/domains", tag = "domains",
    responses((status = 200, body = Vec<DomainView>), (status = 503, body = ErrorBody)))]
pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    _acting: Acting,
) -> Result<Json<Vec<DomainView>>, ApiError> {
    let mut views = Vec::new();
    for domain in admin.domains.values() {
        views.push(view(domain).await?);
    }
    Ok(Json(views))
}

/// Shows one domain.
#[utoipa::path(get, path = "/v1/domains/{domain}", tag = "domains",
    params(("domain" = String, Path, description = "name")),
    responses((status = 200, body = DomainView), (status = 404, body = ErrorBody)))]
pub(super) async fn show(
    State(admin): State<Arc<Admin>>,
    _acting: Acting,
    Path(domain): Path<String>,
) -> Result<Json<DomainView>, ApiError> {
    Ok(Json(view(admin.domain(Some(&domain))?).await?))
}
