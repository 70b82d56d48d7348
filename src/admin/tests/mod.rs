use super::*;
use crate::catalog::{
    CatalogError, CredentialState, CredentialStore as _, DomainStore as _, Effect, Effective,
    GatewayEffect, Revision, TenantStore as _,
};
use crate::jobs::testing::{Bench, Cut, eu};
use crate::log::testing::{Queue, dir_log, sequencer};
use crate::log::{LogStore, ReceiptId};
use crate::tenants::access::{GrantChange, Permissions, Scope};
use crate::tenants::{AccessKeyId, Tenant, TenantName, TenantState};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use lethe_keys::GatewayId;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tower::ServiceExt as _;
use zeroize::Zeroizing;

mod interrupted;
mod requests;
mod roles;
mod shredding;
mod slow_clients;

fn acme() -> TenantName {
    "acme".parse().unwrap()
}

fn key_id() -> AccessKeyId {
    "AKIAEXISTING".parse().unwrap()
}

fn secret() -> Zeroizing<String> {
    Zeroizing::new("an-existing-secret".to_owned())
}

/// Knows the newest revision that it was asked to wait for.
#[derive(Default)]
struct Waited(AtomicI64);

#[async_trait]
impl Effective for Waited {
    async fn effective(&self, revision: Revision, _: Duration) -> Result<Effect, CatalogError> {
        self.0.store(revision.0, Ordering::SeqCst);
        let gateway = |number| GatewayId::from_bytes([number; 16]);
        Ok(Effect {
            revision,
            gateways: vec![
                (gateway(1), GatewayEffect::Acknowledged),
                (gateway(2), GatewayEffect::Expired),
                (gateway(3), GatewayEffect::Acknowledged),
            ],
        })
    }
}

struct Api {
    bench: Bench,
    admin: Arc<Admin>,
    router: axum::Router,
    waited: Arc<Waited>,
    log: (tempfile::TempDir, Arc<dyn LogStore>),
}

async fn api() -> Api {
    api_with(AdminLimits::default(), None).await
}

/// With bounds, and with something else than [`Waited`] to wait for.
async fn api_with(limits: AdminLimits, effective: Option<Arc<dyn Effective>>) -> Api {
    let bench = Bench::open().await;
    let waited = Arc::new(Waited::default());
    let log = dir_log();
    let principal = |name: &str, role| Principal {
        name: name.to_owned(),
        role,
        token_sha256: Sha256::digest(format!("token-of-{name}")).into(),
    };
    let domain = AdminDomain {
        stores: bench.domain.clone(),
        jurisdiction: "EU".to_owned(),
        public_endpoint: "https://s3.eu.example.com".to_owned(),
        regions: BTreeMap::from([(eu(), embedded_region())]),
        effective: effective.unwrap_or_else(|| waited.clone()),
        shred: None,
        trust: crate::signing::TrustSettings::default(),
        log: Some(log.1.clone()),
    };
    let admin = Arc::new(Admin {
        domains: BTreeMap::from([(bench.domain.name.clone(), domain)]),
        principals: ArcSwap::from_pointee(vec![
            principal("alice", Role::Operator),
            principal("bob", Role::Auditor),
            principal("carol", Role::Approver),
        ]),
        clock: bench.clock.clone(),
        limits,
        metrics: None,
    });
    Api {
        bench,
        router: router(Arc::clone(&admin)),
        admin,
        waited,
        log,
    }
}

struct NoProbe;

#[async_trait]
impl RegionProbe for NoProbe {
    async fn check(&self) -> Result<crate::catalog::RegionCheck, ApiError> {
        Err(ApiError::unavailable("nothing to probe"))
    }
}

fn embedded_region() -> AdminRegion {
    AdminRegion {
        pair: None,
        backend: BackendKind::Embedded,
        probe: Arc::new(NoProbe),
    }
}

impl Api {
    async fn call(
        &self,
        who: &str,
        method: Method,
        path: &str,
        body: Value,
    ) -> (StatusCode, Value) {
        call(&self.router, who, method, path, body).await
    }

    async fn acme(&self) {
        let body = json!({ "name": "acme", "region": "eu-central-1" });
        let (status, tenant) = self.call("alice", Method::POST, "/v1/tenants", body).await;
        assert_eq!(
            (status, tenant["state"].as_str()),
            (StatusCode::OK, Some("active"))
        );
    }
}

async fn call(
    router: &axum::Router,
    who: &str,
    method: Method,
    path: &str,
    body: Value,
) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer token-of-{who}"))
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    let status = answer.status();
    let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}
