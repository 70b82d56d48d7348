//! `/v1/tenants/{tenant}/keys`.

use super::error::{ApiError, ErrorBody};
use super::server::Acting;
use super::state::Admin;
use super::tenants::InDomain;
use axum::Json;
use axum::extract::{Path, Query, State};
use lethe_keys::{KekInfo, KekState};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// What may be known of a KEK.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct KekView {
    /// Its id, as object headers carry it.
    pub kek_id: String,
    /// 1 for a tenant's first.
    pub version: u32,
    /// Its commitment, in hexadecimal.
    pub commitment: String,
    /// `pending`, `active` or `decrypt-only`.
    pub state: String,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: i64,
}

impl KekView {
    fn of(info: &KekInfo) -> Self {
        let state = match info.state {
            KekState::Pending => "pending",
            KekState::Active => "active",
            KekState::DecryptOnly => "decrypt-only",
        };
        Self {
            kek_id: info.kek_id.to_string(),
            version: info.version,
            commitment: hex::encode(info.commitment),
            state: state.to_owned(),
            created_ms: info.created_ms,
        }
    }
}

/// Lists a tenant's KEKs.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/keys", tag = "keys",
    params(("tenant" = String, Path, description = "id or name"), InDomain),
    responses((status = 200, body = Vec<KekView>), (status = 404, body = ErrorBody)))]
pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    _acting: Acting,
    Path(tenant): Path<String>,
    Query(within): Query<InDomain>,
) -> Result<Json<Vec<KekView>>, ApiError> {
    let (domain, tenant) = admin.tenant(&tenant, within.domain.as_deref()).await?;
    let keks = domain.stores.keys.list(tenant.id).await?;
    Ok(Json(keks.iter().map(KekView::of).collect()))
}

/// Makes a new KEK version; older ones open what they sealed, and seal nothing more.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/keys/rotate", tag = "keys",
    params(("tenant" = String, Path, description = "id or name"), InDomain),
    responses((status = 200, body = KekView), (status = 503, body = ErrorBody)))]
pub(super) async fn rotate(
    State(admin): State<Arc<Admin>>,
    acting: Acting,
    Path(tenant): Path<String>,
    Query(within): Query<InDomain>,
) -> Result<Json<KekView>, ApiError> {
    acting.operates()?;
    let (domain, tenant) = admin.tenant(&tenant, within.domain.as_deref()).await?;
    let info = domain.stores.keys.rotate(tenant.id).await?;
    acting.done("key-rotate", Some(tenant.id));
    Ok(Json(KekView::of(&info)))
}
