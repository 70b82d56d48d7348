//! `/livez`, `/readyz` and `/metrics`.

use super::error::ApiError;
use super::state::Admin;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// How long one dependency may take to answer.
const PING_DEADLINE: Duration = Duration::from_secs(3);

/// Whether this gateway should get requests, and how its dependencies are.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReadyView {
    /// Whether it should.
    pub ready: bool,
    /// Everything that it depends on.
    pub dependencies: Vec<DependencyView>,
}

/// One dependency.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DependencyView {
    /// `catalog`, `key-store`, `key-lease`, `region` or `directory`.
    pub kind: String,
    /// The domain or region.
    pub name: String,
    /// Whether it answers.
    pub ok: bool,
    /// Whether this gateway is not ready without it: another gateway would do no better without the rest.
    pub required: bool,
}

/// Says that the process answers.
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, body = String)))]
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// Lists every dependency; fails only for what is wrong with this gateway itself, or an expired key lease.
#[utoipa::path(get, path = "/readyz", tag = "health",
    responses((status = 200, body = ReadyView), (status = 503, body = ReadyView)))]
pub(super) async fn readyz(State(admin): State<Arc<Admin>>) -> (StatusCode, Json<ReadyView>) {
    let mut domains = Vec::new();
    for domain in admin.domains.values() {
        domains.push(of_domain(&domain.stores));
    }
    let mut dependencies: Vec<DependencyView> =
        join_all(domains).await.into_iter().flatten().collect();
    if let Some(domain) = admin.domains.values().next() {
        let ok = answers(domain.stores.directory.ping()).await;
        dependencies.push(dependency("directory", "directory", ok, false));
    }
    let ready = dependencies.iter().all(|one| one.ok || !one.required);
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(ReadyView {
            ready,
            dependencies,
        }),
    )
}

async fn of_domain(stores: &crate::jobs::JobDomain) -> Vec<DependencyView> {
    let name = stores.name.as_str();
    let regions = stores.regions.iter().map(|(region, opened)| async move {
        let ok = answers(opened.store.ping()).await;
        dependency("region", region.as_str(), ok, false)
    });
    let (catalog, key_store, regions) = tokio::join!(
        answers(stores.catalog.ping()),
        answers(stores.keys.ping()),
        join_all(regions),
    );
    let leased = stores.keys.lease_state().remaining.is_some();
    let mut all = vec![
        dependency("catalog", name, catalog, false),
        dependency("key-store", name, key_store, false),
        dependency("key-lease", name, leased, true),
    ];
    all.extend(regions);
    all
}

async fn answers<T, E>(ping: impl Future<Output = Result<T, E>>) -> bool {
    matches!(tokio::time::timeout(PING_DEADLINE, ping).await, Ok(Ok(_)))
}

fn dependency(kind: &str, name: &str, ok: bool, required: bool) -> DependencyView {
    DependencyView {
        kind: kind.to_owned(),
        name: name.to_owned(),
        ok,
        required,
    }
}

/// Metrics in Prometheus's text form; no label holds a tenant, bucket or key.
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200, body = String)))]
pub(super) async fn metrics(State(admin): State<Arc<Admin>>) -> Result<Response, ApiError> {
    let handle = admin.metrics.as_ref().ok_or_else(|| {
        ApiError::not_found(
            "this process collects no metrics",
            "start it with `lethe serve` or `lethe dev`",
        )
    })?;
    let text = handle.render();
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}
