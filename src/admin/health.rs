//! `/livez`, `/readyz` and `/metrics`.

use super::error::ApiError;
use super::state::Admin;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
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
pub(super) async fn readyz(
    State(admin): State<Arc<Admin>>,
    Extension(shared): Extension<Arc<Shared<ReadyView>>>,
) -> (StatusCode, Json<ReadyView>) {
    let view = shared.get(|| look(&admin)).await;
    let status = if view.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(view))
}

async fn look(admin: &Admin) -> ReadyView {
    let of_domains = join_all(admin.domains.values().map(|one| of_domain(&one.stores)));
    let directory = async {
        let domain = admin.domains.values().next()?;
        let ok = answers(domain.stores.directory.ping()).await;
        Some(dependency("directory", "directory", ok, false))
    };
    let (of_domains, directory) = tokio::join!(of_domains, directory);
    let mut dependencies: Vec<DependencyView> = of_domains.into_iter().flatten().collect();
    dependencies.extend(directory);
    ReadyView {
        ready: dependencies.iter().all(|one| one.ok || !one.required),
        dependencies,
    }
}

/// An answer that takes a while and is the same for everybody: one looks, and those who ask meanwhile get what was found.
pub(super) struct Shared<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Shared<T> {
    /// What was found at the end of a look that was under way when this was asked, or by a look of its own.
    async fn get<F: Future<Output = T>>(&self, look: impl FnOnce() -> F) -> T {
        let asked = Instant::now();
        let mut newest = self.0.lock().await;
        if let Some((found, answer)) = &*newest
            && *found > asked
        {
            return answer.clone();
        }
        let answer = look().await;
        *newest = Some((Instant::now(), answer.clone()));
        answer
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn answer_is_one_for_all_who_ask_meanwhile_and_new_for_the_next() {
        let (shared, looks) = (Shared::default(), AtomicU32::new(0));
        let ask = || {
            shared.get(|| async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                looks.fetch_add(1, Ordering::SeqCst) + 1
            })
        };
        assert_eq!(join_all((0..50).map(|_| ask())).await, [1; 50]);
        assert_eq!(ask().await, 2);
    }
}
