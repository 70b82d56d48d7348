//! `/v1/regions`.

use super::error::{ApiError, ErrorBody};
use super::server::Acting;
use super::state::{Admin, AdminDomain, AdminRegion};
use crate::catalog::{CatalogError, RegionCheck};
use crate::tenants::RegionName;
use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// A region.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RegionView {
    /// Its name.
    pub name: String,
    /// Its domain.
    pub domain: String,
    /// The region that holds its replicas.
    pub pair: Option<String>,
    /// `s3` or `embedded`.
    pub backend: String,
    /// The last `region check`.
    pub check: Option<RegionCheckView>,
}

/// The outcome of a `region check`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RegionCheckView {
    /// When it ran, in milliseconds since 1970.
    pub checked_ms: i64,
    /// Whether Lethe serves from the region.
    pub passed: bool,
    /// What is missing for that.
    pub missing: Vec<String>,
    /// What the store can do.
    #[schema(value_type = Object)]
    pub profile: serde_json::Value,
}

impl RegionCheckView {
    /// A check as operators see it.
    #[must_use]
    pub fn of(check: &RegionCheck) -> Self {
        Self {
            checked_ms: check.checked.0,
            passed: check.missing.is_empty(),
            missing: check.missing.clone(),
            profile: serde_json::to_value(&check.profile).unwrap_or_default(),
        }
    }
}

async fn view(
    domain: &AdminDomain,
    name: &RegionName,
    region: &AdminRegion,
) -> Result<RegionView, ApiError> {
    let check = match domain.stores.catalog.region_check(name).await {
        Ok(check) => Some(RegionCheckView::of(&check)),
        Err(CatalogError::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(RegionView {
        name: name.to_string(),
        domain: domain.stores.name.to_string(),
        pair: region.pair.as_ref().map(ToString::to_string),
        backend: region.backend.as_str().to_owned(),
        check,
    })
}

/// Lists the regions that this gateway serves.
#[utoipa::path(get, path = "/v1/regions", tag = "regions",
    responses((status = 200, body = Vec<RegionView>), (status = 503, body = ErrorBody)))]
pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    _acting: Acting,
) -> Result<Json<Vec<RegionView>>, ApiError> {
    let mut views = Vec::new();
    for domain in admin.domains.values() {
        for (name, region) in &domain.regions {
            views.push(view(domain, name, region).await?);
        }
    }
    Ok(Json(views))
}

/// Probes a region's store and keeps the outcome; takes up to minutes.
#[utoipa::path(post, path = "/v1/regions/{region}/check", tag = "regions",
    params(("region" = String, Path, description = "name")),
    responses((status = 200, body = RegionView), (status = 503, body = ErrorBody)))]
pub(super) async fn check(
    State(admin): State<Arc<Admin>>,
    acting: Acting,
    Path(region): Path<String>,
) -> Result<Json<RegionView>, ApiError> {
    acting.operates()?;
    let name: RegionName = region.parse()?;
    let domain = admin.domain_of_region(&name)?;
    let region = domain
        .regions
        .get(&name)
        .ok_or_else(|| ApiError::internal("a region has gone"))?;
    let outcome = region.probe.check().await?;
    acting.done("region-check", None);
    let mut view = view(domain, &name, region).await?;
    view.check = Some(RegionCheckView::of(&outcome));
    Ok(Json(view))
}
