//! `/v1/tenants/{tenant}/terminate`, `approve`, `cancel`; `/v1/terminations`; `/v1/shreds`.

use super::error::{ApiError, ErrorBody};
use super::receipts::marker;
use super::server::{Acting, JsonBody};
use super::state::{Admin, AdminDomain};
use super::tenants::{InDomain, PAGE_ROWS_MAX};
use crate::catalog::{Shred, ShredState, Termination};
use crate::clock::UnixMs;
use crate::shred::{ShredDomain, ShredError, TerminationView};
use axum::Json;
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Shreds of each domain that one answer lists.
pub const SHREDS_LISTED_MAX: u32 = 100;

/// One page of terminations.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TerminationPage {
    /// The domain; all of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Only those behind this one: its `grace_end_ms`, a hyphen, its `id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// At most so many of each domain, 1 to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Asks for a termination.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TerminateTenant {
    /// Days until the shred may run; at least the domain's, which is taken when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_days: Option<u32>,
}

/// A termination as operators see it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TerminationBody {
    /// Its id.
    pub id: String,
    /// The tenant's id.
    pub tenant: String,
    /// The tenant's name.
    pub name: String,
    /// The domain.
    pub domain: String,
    /// `requested`, `approved`, `cancelled`, `shredding`, `erased` or `purged`.
    pub state: String,
    /// `in-grace`, `waiting`, `due`, `overdue` or `settled`.
    pub due: String,
    /// Who asked.
    pub requested_by: String,
    /// When, in milliseconds since 1970.
    pub requested_ms: i64,
    /// When the grace ends, in milliseconds since 1970.
    pub grace_end_ms: i64,
    /// When the shred runs at the earliest, in milliseconds since 1970.
    pub run_at_ms: i64,
    /// Who approved.
    pub approvals: Vec<String>,
    /// How many approvals it takes.
    pub approvals_needed: u32,
    /// Who called it off.
    pub cancelled_by: Option<String>,
    /// The shred that it is part of.
    pub shred: Option<String>,
    /// Why its shred does not begin although it is approved.
    #[serde(default)]
    pub waits: Option<String>,
    /// The key of the inventory, for the tenant: in the answer of the request only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory_key: Option<String>,
}

impl TerminationBody {
    pub(super) fn of(domain: &str, name: &str, view: &TerminationView) -> Self {
        let row = &view.termination;
        Self {
            id: row.id.to_string(),
            tenant: row.tenant.to_string(),
            name: name.to_owned(),
            domain: domain.to_owned(),
            state: row.state.as_str().to_owned(),
            due: view.due.as_str().to_owned(),
            requested_by: row.requested_by.clone(),
            requested_ms: row.requested.0,
            grace_end_ms: row.grace_end.0,
            run_at_ms: view.run_at.0,
            approvals: row
                .approvals
                .iter()
                .map(|one| one.principal.clone())
                .collect(),
            approvals_needed: row.mode.approvals_needed(),
            cancelled_by: row.cancelled.as_ref().map(|by| by.principal.clone()),
            shred: row.shred.map(|shred| shred.to_string()),
            waits: view.waits.clone(),
            inventory_key: None,
        }
    }
}

/// A shred as operators see it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ShredBody {
    /// Its id.
    pub id: String,
    /// The domain.
    pub domain: String,
    /// What is done: `requested`, `fenced`, `inventoried`, `rekeyed`, `refenced`, `backed-up`, `destroyed`, `receipted`, `purged`.
    pub state: String,
    /// How many of the eight steps are done.
    pub steps_done: usize,
    /// The epoch that it leaves.
    pub epoch_from: u64,
    /// The tenants' ids.
    pub tenants: Vec<String>,
    /// When it was begun, in milliseconds since 1970.
    pub started_ms: i64,
    /// When its state last changed, in milliseconds since 1970.
    pub changed_ms: i64,
    /// Whether somebody works on it now.
    pub running: bool,
    /// Why the last try failed.
    pub last_error: Option<String>,
}

impl ShredBody {
    fn of(domain: &str, shred: &Shred, members: &[Termination], now: UnixMs) -> Self {
        let steps_done = ShredState::ALL
            .iter()
            .position(|state| *state == shred.state);
        Self {
            id: shred.id.to_string(),
            domain: domain.to_owned(),
            state: shred.state.as_str().to_owned(),
            steps_done: steps_done.unwrap_or(0),
            epoch_from: shred.epoch_from,
            tenants: members.iter().map(|one| one.tenant.to_string()).collect(),
            started_ms: shred.started.0,
            changed_ms: shred.changed.0,
            running: shred.owner.is_some() && shred.lease_until > now,
            last_error: shred.last_error.clone(),
        }
    }
}

/// Whose shred is to run now.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunShred {
    /// A tenant that must be among them; refused with the reason when it may not be shredded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

impl AdminDomain {
    /// What shreds here, or why nothing does.
    pub(super) fn shreds(&self) -> Result<&Arc<ShredDomain>, ApiError> {
        self.shred.as_ref().ok_or_else(|| {
            let domain = &self.stores.name;
            ApiError::conflict(
                format!("domain {domain} has no key_backup, log or signing: nothing is shredded without them"),
                format!("add them to [domains.{domain}] and restart, on a gateway with the role control"),
            )
        })
    }
}

/// Asks for a tenant's termination: it is read-only from here on, and its shred runs after the grace when two others approve.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/terminate", tag = "shredding", request_body = TerminateTenant,
    params(("tenant" = String, Path, description = "id or name"), InDomain),
    responses((status = 200, body = TerminationBody), (status = 409, body = ErrorBody)))]
pub(super) async fn terminate(
    State(admin): State<Arc<Admin>>,
    acting: Acting,
    Path(tenant): Path<String>,
    Query(within): Query<InDomain>,
    JsonBody(body): JsonBody<TerminateTenant>,
) -> Result<Json<TerminationBody>, ApiError> {
    acting.operates()?;
    let (domain, tenant) = admin.tenant(&tenant, within.domain.as_deref()).await?;
    let shreds = domain.shreds()?;
    let requested = shreds
        .request_termination(&tenant, acting.name(), body.grace_days)
        .await?;
    acting.done("tenant-terminate", Some(tenant.id));
    domain.effective_now(admin.limits.request_deadline).await?;
    let view = shreds.view(requested.termination);
    let mut answer = TerminationBody::of(shreds.stores.name.as_str(), tenant.name.as_str(), &view);
    answer.inventory_key = Some(requested.inventory_key.as_str().to_owned());
    Ok(Json(answer))
}

/// Approves a tenant's termination.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/approve", tag = "shredding",
    params(("tenant" = String, Path, description = "id or name"), InDomain),
    responses((status = 200, body = TerminationBody), (status = 403, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn approve(
    State(admin): State<Arc<Admin>>,
    acting: Acting,
    Path(tenant): Path<String>,
    Query(within): Query<InDomain>,
) -> Result<Json<TerminationBody>, ApiError> {
    // Before anything is looked up: who may not approve learns nothing.
    acting.approves(admin.domains.values().all(AdminDomain::is_dev))?;
    let (domain, tenant) = admin.tenant(&tenant, within.domain.as_deref()).await?;
    let shreds = domain.shreds()?;
    let row = shreds.approve_termination(&tenant, acting.name()).await?;
    acting.done("tenant-approve", Some(tenant.id));
    let view = shreds.view(row);
    let name = shreds.stores.name.as_str();
    Ok(Json(TerminationBody::of(name, tenant.name.as_str(), &view)))
}

/// Calls a tenant's termination off, as long as its shred has not begun.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/cancel", tag = "shredding",
    params(("tenant" = String, Path, description = "id or name"), InDomain),
    responses((status = 200, body = TerminationBody), (status = 409, body = ErrorBody)))]
pub(super) async fn cancel(
    State(admin): State<Arc<Admin>>,
    acting: Acting,
    Path(tenant): Path<String>,
    Query(within): Query<InDomain>,
) -> Result<Json<TerminationBody>, ApiError> {
    acting.operates()?;
    let (domain, tenant) = admin.tenant(&tenant, within.domain.as_deref()).await?;
    let shreds = domain.shreds()?;
    let row = shreds.cancel_termination(&tenant, acting.name()).await?;
    acting.done("tenant-cancel", Some(tenant.id));
    domain.effective_now(admin.limits.request_deadline).await?;
    let view = shreds.view(row);
    let name = shreds.stores.name.as_str();
    Ok(Json(TerminationBody::of(name, tenant.name.as_str(), &view)))
}

fn of_domains<'a>(
    admin: &'a Admin,
    within: &InDomain,
) -> Result<Vec<&'a Arc<ShredDomain>>, ApiError> {
    match &within.domain {
        Some(name) => Ok(vec![admin.domain(Some(name))?.shreds()?]),
        None => Ok(admin
            .domains
            .values()
            .filter_map(|domain| domain.shred.as_ref())
            .collect()),
    }
}

/// Lists terminations that are not over by the end of their grace, with how they stand to their due date.
#[utoipa::path(get, path = "/v1/terminations", tag = "shredding", params(TerminationPage),
    responses((status = 200, body = Vec<TerminationBody>), (status = 503, body = ErrorBody)))]
pub(super) async fn terminations(
    State(admin): State<Arc<Admin>>,
    _acting: Acting,
    Query(page): Query<TerminationPage>,
) -> Result<Json<Vec<TerminationBody>>, ApiError> {
    let after = page.after.as_deref().map(marker).transpose()?;
    let rows_max = page.limit.unwrap_or(PAGE_ROWS_MAX).clamp(1, PAGE_ROWS_MAX);
    let within = InDomain {
        domain: page.domain,
    };
    let mut listed = Vec::new();
    for shreds in of_domains(&admin, &within)? {
        for view in shreds.open_terminations(after, rows_max).await? {
            let tenant = shreds
                .stores
                .catalog
                .tenant(view.termination.tenant)
                .await?;
            let domain = shreds.stores.name.as_str();
            listed.push(TerminationBody::of(domain, tenant.name.as_str(), &view));
        }
    }
    Ok(Json(listed))
}

/// Lists shreds: those that are not over first, then the newest; at most 100 of each domain.
#[utoipa::path(get, path = "/v1/shreds", tag = "shredding", params(InDomain),
    responses((status = 200, body = Vec<ShredBody>), (status = 503, body = ErrorBody)))]
pub(super) async fn shreds(
    State(admin): State<Arc<Admin>>,
    _acting: Acting,
    Query(within): Query<InDomain>,
) -> Result<Json<Vec<ShredBody>>, ApiError> {
    Ok(Json(status(&admin, &within).await?))
}

async fn status(admin: &Admin, within: &InDomain) -> Result<Vec<ShredBody>, ApiError> {
    let mut listed = Vec::new();
    for shreds in of_domains(admin, within)? {
        let catalog = &shreds.stores.catalog;
        let now = shreds.stores.clock.now();
        for shred in catalog.shreds(SHREDS_LISTED_MAX).await? {
            let members = catalog.shred_terminations(shred.id).await?;
            let domain = shreds.stores.name.as_str();
            listed.push(ShredBody::of(domain, &shred, &members, now));
        }
    }
    Ok(listed)
}

/// Begins a shred of everything that is due now, without waiting for the window; the gateways' runners carry it out.
#[utoipa::path(post, path = "/v1/shreds/run", tag = "shredding", request_body = RunShred, params(InDomain),
    responses((status = 200, body = Vec<ShredBody>), (status = 409, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub(super) async fn run(
    State(admin): State<Arc<Admin>>,
    acting: Acting,
    Query(within): Query<InDomain>,
    JsonBody(body): JsonBody<RunShred>,
) -> Result<Json<Vec<ShredBody>>, ApiError> {
    acting.operates()?;
    let domains = match &body.tenant {
        Some(reference) => {
            let (domain, tenant) = admin.tenant(reference, within.domain.as_deref()).await?;
            let shreds = domain.shreds()?;
            shreds.may_shred(&tenant).await?;
            vec![shreds]
        }
        None => of_domains(&admin, &within)?,
    };
    for shreds in &domains {
        shreds.begin(shreds.stores.clock.now()).await?;
        shreds.stores.catalog.hurry_shreds().await?;
    }
    acting.done("shred-run", None);
    Ok(Json(status(&admin, &within).await?))
}

/// Lets shreds go on at once: those that wait after a failure, and those of an owner who does not answer. One that is worked on is
/// begun anew at its state, which does no harm.
#[utoipa::path(post, path = "/v1/shreds/resume", tag = "shredding", params(InDomain),
    responses((status = 200, body = Vec<ShredBody>), (status = 503, body = ErrorBody)))]
pub(super) async fn resume(
    State(admin): State<Arc<Admin>>,
    acting: Acting,
    Query(within): Query<InDomain>,
) -> Result<Json<Vec<ShredBody>>, ApiError> {
    acting.operates()?;
    for shreds in of_domains(&admin, &within)? {
        shreds.stores.catalog.take_shreds_back().await?;
    }
    acting.done("shred-resume", None);
    Ok(Json(status(&admin, &within).await?))
}

impl From<ShredError> for ApiError {
    fn from(error: ShredError) -> Self {
        let message = error.to_string();
        match error {
            ShredError::Forbidden(_) => Self::conflict(
                message,
                "`lethe tenant show` and `lethe tenant list --due` show how it stands",
            ),
            ShredError::NotConfigured { .. } => {
                Self::conflict(message, "add it to the domain's section and restart")
            }
            ShredError::Catalog(error) => error.into(),
            ShredError::Keys(error) => error.into(),
            ShredError::Finish(error) => error.into(),
            ShredError::Log(_) | ShredError::NoRandomness | ShredError::ClockAhead { .. } => {
                Self::unavailable(message)
            }
            ShredError::EvidenceMissing(_) | ShredError::NoReceiptYet => {
                Self::not_found(message, "`lethe shred status` shows how far it is")
            }
            ShredError::TakenOver => {
                Self::conflict(message, "`lethe shred status` shows how far it is")
            }
            ShredError::Signing(_) | ShredError::Statement(_) | ShredError::Unreadable { .. } => {
                Self::internal(message)
            }
        }
    }
}
