//! `/v1/tenants`.

use super::create::create_tenant;
use super::effect::{EffectView, Effected};
use super::error::{ApiError, ErrorBody};
use super::server::{Acting, JsonBody};
use super::state::Admin;
use crate::tenants::{RegionName, Tenant, TenantName, TenantState};
use axum::Json;
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// A tenant.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TenantView {
    /// Its random id, never reused.
    pub id: String,
    /// Its label.
    pub name: String,
    /// Its domain.
    pub domain: String,
    /// Its region.
    pub region: String,
    /// `creating`, `active`, `suspended`, `terminating` or `shredded`.
    pub state: String,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: i64,
}

impl TenantView {
    pub(super) fn of(domain: &str, tenant: &Tenant) -> Self {
        let state = match tenant.state {
            TenantState::Creating => "creating",
            TenantState::Active => "active",
            TenantState::Suspended => "suspended",
            TenantState::Terminating => "terminating",
            TenantState::Shredded => "shredded",
        };
        Self {
            id: tenant.id.to_string(),
            name: tenant.name.to_string(),
            domain: domain.to_owned(),
            region: tenant.region.to_string(),
            state: state.to_owned(),
            created_ms: tenant.created.0,
        }
    }
}

/// A tenant to create.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTenant {
    /// Its label.
    pub name: String,
    /// Its region; its domain is the region's.
    pub region: String,
    /// An id from an earlier try, to repeat exactly that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// Where a tenant is looked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct InDomain {
    /// The domain; needed where several have a tenant of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
}

/// Rows of each domain that one page has at most, when it does not ask for fewer.
pub const PAGE_ROWS_MAX: u32 = 1000;

/// One page of tenants.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TenantPage {
    /// The domain; all of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Only names after this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// At most so many of each domain, 1 to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Creates a tenant, or finishes creating it.
#[utoipa::path(post, path = "/v1/tenants", tag = "tenants", request_body = CreateTenant,
    responses((status = 200, body = TenantView), (status = 409, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub(super) async fn create(
    State(admin): State<Arc<Admin>>,
    acting: Acting,
    JsonBody(body): JsonBody<CreateTenant>,
) -> Result<Json<TenantView>, ApiError> {
    acting.operates()?;
    let name: TenantName = body.name.parse()?;
    let region: RegionName = body.region.parse()?;
    let id = body.id.map(|id| id.parse()).transpose().map_err(|_| {
        ApiError::invalid("the id is not 32 hexadecimal digits", "leave the id out")
    })?;
    let domain = admin.domain_of_region(&region)?;
    let tenant = create_tenant(&domain.stores, &name, &region, id).await?;
    acting.done("tenant-create", Some(tenant.id));
    Ok(Json(TenantView::of(domain.stores.name.as_str(), &tenant)))
}

/// Lists tenants by domain and name.
#[utoipa::path(get, path = "/v1/tenants", tag = "tenants", params(TenantPage),
    responses((status = 200, body = Vec<TenantView>), (status = 503, body = ErrorBody)))]
pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    _acting: Acting,
    Query(page): Query<TenantPage>,
) -> Result<Json<Vec<TenantView>>, ApiError> {
    let after: Option<TenantName> = page.after.map(|after| after.parse()).transpose()?;
    let rows_max = page.limit.unwrap_or(PAGE_ROWS_MAX).clamp(1, PAGE_ROWS_MAX);
    let domains = match &page.domain {
        Some(name) => vec![admin.domain(Some(name))?],
        None => admin.domains.values().collect(),
    };
    let mut views = Vec::new();
    for domain in domains {
        let tenants = domain
            .stores
            .catalog
            .tenants(after.as_ref(), rows_max)
            .await?;
        let name = domain.stores.name.as_str();
        views.extend(tenants.iter().map(|tenant| TenantView::of(name, tenant)));
    }
    Ok(Json(views))
}

/// Shows one tenant.
#[utoipa::path(get, path = "/v1/tenants/{tenant}", tag = "tenants",
    params(("tenant" = String, Path, description = "id or name"), InDomain),
    responses((status = 200, body = TenantView), (status = 404, body = ErrorBody)))]
pub(super) async fn show(
    State(admin): State<Arc<Admin>>,
    _acting: Acting,
    Path(tenant): Path<String>,
    Query(within): Query<InDomain>,
) -> Result<Json<TenantView>, ApiError> {
    let (domain, tenant) = admin.tenant(&tenant, within.domain.as_deref()).await?;
    Ok(Json(TenantView::of(domain.stores.name.as_str(), &tenant)))
}

/// Suspends a tenant; returns when no gateway serves it any more: all have acknowledged, or their lease on the catalog ended.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/suspend", tag = "tenants",
    params(("tenant" = String, Path, description = "id or name"), InDomain),
    responses((status = 200, body = Effected<TenantView>), (status = 409, body = ErrorBody)))]
pub(super) async fn suspend(
    State(admin): State<Arc<Admin>>,
    acting: Acting,
    Path(tenant): Path<String>,
    Query(within): Query<InDomain>,
) -> Result<Json<Effected<TenantView>>, ApiError> {
    let way = (TenantState::Active, TenantState::Suspended);
    move_tenant(&admin, &acting, &tenant, &within, way, "tenant-suspend").await
}

/// Resumes a suspended tenant; returns when every gateway that serves anything serves it again.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/resume", tag = "tenants",
    params(("tenant" = String, Path, description = "id or name"), InDomain),
    responses((status = 200, body = Effected<TenantView>), (status = 409, body = ErrorBody)))]
pub(super) async fn resume(
    State(admin): State<Arc<Admin>>,
    acting: Acting,
    Path(tenant): Path<String>,
    Query(within): Query<InDomain>,
) -> Result<Json<Effected<TenantView>>, ApiError> {
    let way = (TenantState::Suspended, TenantState::Active);
    move_tenant(&admin, &acting, &tenant, &within, way, "tenant-resume").await
}

async fn move_tenant(
    admin: &Admin,
    acting: &Acting,
    reference: &str,
    within: &InDomain,
    (from, to): (TenantState, TenantState),
    op: &'static str,
) -> Result<Json<Effected<TenantView>>, ApiError> {
    acting.operates()?;
    let (domain, tenant) = admin.tenant(reference, within.domain.as_deref()).await?;
    let catalog = &domain.stores.catalog;
    catalog.move_tenant(tenant.id, &[from], to).await?;
    acting.done(op, Some(tenant.id));
    let effect = domain.effective_now(admin.limits.effect_deadline).await?;
    let tenant = catalog.tenant(tenant.id).await?;
    Ok(Json(Effected {
        now: TenantView::of(domain.stores.name.as_str(), &tenant),
        gateways: EffectView::of(&effect),
    }))
}
