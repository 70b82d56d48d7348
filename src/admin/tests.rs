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

fn acme() -> TenantName {
    "acme".parse().unwrap()
}

fn key_id() -> AccessKeyId {
    "AKIAEXISTING".parse().unwrap()
}

fn secret() -> Zeroizing<String> {
    Zeroizing::new("an-existing-secret".to_owned())
}

/// Cuts `work` off at every call of every store, before and after the call took effect, and lets `check` look at each.
async fn cut_off_everywhere<W, C>(work: W, check: C)
where
    W: AsyncFn(&Bench) -> bool,
    C: AsyncFn(&Bench, String),
{
    let mut cuts = 0;
    for cut in Cut::ALL {
        for persisted in [false, true] {
            for calls in 0.. {
                let bench = Bench::open().await;
                bench.kill_at(cut, calls, persisted);
                let succeeded = work(&bench).await;
                bench.heal();
                if succeeded {
                    break;
                }
                cuts += 1;
                check(
                    &bench,
                    format!("{cut:?} call {calls}, persisted {persisted}"),
                )
                .await;
            }
        }
    }
    assert!(cuts >= 8, "only {cuts} cuts");
}

async fn assert_one_tenant(bench: &Bench, at: &str) {
    let tenants = bench.catalog.tenants(None, 10).await.unwrap();
    assert_eq!(tenants.len(), 1, "{at}");
    assert_eq!(tenants[0].state, TenantState::Active, "{at}");
    let keks = bench.keys.keks.lock().unwrap().clone();
    assert_eq!(keks, BTreeMap::from([(tenants[0].id, 1)]), "{at}");
}

#[tokio::test]
async fn tenant_creation_cut_off_at_every_step_is_finished_by_a_retry() {
    let create = async |bench: &Bench| {
        create_tenant(&bench.domain, &acme(), &eu(), None)
            .await
            .is_ok()
    };
    cut_off_everywhere(create, async |bench, at| {
        create_tenant(&bench.domain, &acme(), &eu(), None)
            .await
            .expect(&at);
        assert_one_tenant(bench, &at).await;
        bench.jobs_later().await;
        assert_one_tenant(bench, &at).await;
    })
    .await;
}

#[tokio::test]
async fn tenant_creation_cut_off_at_every_step_is_finished_by_the_job() {
    let create = async |bench: &Bench| {
        create_tenant(&bench.domain, &acme(), &eu(), None)
            .await
            .is_ok()
    };
    cut_off_everywhere(create, async |bench, at| {
        bench.jobs_later().await;
        // Where not even the row was written there is nothing to finish, and nothing else either.
        if bench.catalog.tenants(None, 10).await.unwrap().is_empty() {
            assert!(bench.keys.keks.lock().unwrap().is_empty(), "{at}");
        } else {
            assert_one_tenant(bench, &at).await;
        }
        for _ in 0..8 {
            bench.clock.advance_ms(3_600_000);
            bench.jobs_later().await;
        }
        assert_eq!(bench.jobs_left().await, Vec::<String>::new(), "{at}");
    })
    .await;
}

#[tokio::test]
async fn tenant_id_chosen_by_the_caller_is_refused() {
    let bench = Bench::open().await;
    for id in [[0; 16], [7; 16]] {
        let chosen = Some(lethe_envelope::TenantId::from_bytes(id));
        let refused = create_tenant(&bench.domain, &acme(), &eu(), chosen).await;
        assert_eq!(refused.unwrap_err().code(), "not_found");
    }
    let none = bench.domain.catalog.tenants(None, 10).await.unwrap();
    assert!(none.is_empty());
}

#[tokio::test]
async fn tenant_create_of_a_taken_name_is_a_conflict() {
    let bench = Bench::open().await;
    let first = create_tenant(&bench.domain, &acme(), &eu(), None)
        .await
        .unwrap();
    let again = create_tenant(&bench.domain, &acme(), &eu(), None)
        .await
        .unwrap();
    assert_eq!(first.id, again.id);
    let other_id = Some(lethe_envelope::TenantId::from_bytes([9; 16]));
    let refused = create_tenant(&bench.domain, &acme(), &eu(), other_id)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "conflict");
    let other_name: TenantName = "globex".parse().unwrap();
    let refused = create_tenant(&bench.domain, &other_name, &eu(), Some(first.id))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "conflict");
    let elsewhere = "us-east-1".parse().unwrap();
    let refused = create_tenant(&bench.domain, &other_name, &elsewhere, None)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "not_found");
}

async fn tenant(bench: &Bench) -> Option<Tenant> {
    create_tenant(&bench.domain, &acme(), &eu(), None)
        .await
        .ok()
}

async fn assert_imported(bench: &Bench, at: &str) {
    let (row, tenant) = bench.catalog.credential(&key_id()).await.unwrap();
    assert_eq!(
        (row.state, tenant.name.as_str()),
        (CredentialState::Active, "acme"),
        "{at}"
    );
    let owner = bench.domain.directory.domain_of(&key_id()).await.unwrap();
    assert_eq!(owner.as_ref(), Some(&bench.domain.name), "{at}");
}

#[tokio::test]
async fn credential_import_cut_off_at_every_step_is_finished_by_retry_and_by_job() {
    let import = async |bench: &Bench| match tenant(bench).await {
        None => false,
        Some(tenant) => import_credential(
            &bench.domain,
            &tenant,
            &key_id(),
            &secret(),
            GrantChange::default(),
        )
        .await
        .is_ok(),
    };
    cut_off_everywhere(import, async |bench, at| {
        bench.jobs_later().await;
        match bench.catalog.credential(&key_id()).await {
            Ok(_) => assert_imported(bench, &at).await,
            Err(CatalogError::NotFound { .. }) => {
                let owner = bench.domain.directory.domain_of(&key_id()).await.unwrap();
                assert_eq!(owner, None, "{at}");
            }
            Err(error) => panic!("{at}: {error}"),
        }
        let tenant = tenant(bench).await.expect(&at);
        import_credential(
            &bench.domain,
            &tenant,
            &key_id(),
            &secret(),
            GrantChange::default(),
        )
        .await
        .expect(&at);
        assert_imported(bench, &at).await;
    })
    .await;
}

#[tokio::test]
async fn credential_issue_cut_off_is_finished_by_the_same_request_with_its_id() {
    let issue = async |bench: &Bench| match tenant(bench).await {
        None => false,
        Some(tenant) => issue_credential(
            &bench.domain,
            &tenant,
            Some(key_id()),
            GrantChange::default(),
        )
        .await
        .is_ok(),
    };
    cut_off_everywhere(issue, async |bench, at| {
        let tenant = tenant(bench).await.expect(&at);
        match issue_credential(
            &bench.domain,
            &tenant,
            Some(key_id()),
            GrantChange::default(),
        )
        .await
        {
            Ok(issued) => {
                let (row, _) = bench.catalog.credential(&key_id()).await.unwrap();
                let keys = &bench.domain.keys;
                let opened = keys
                    .open_credential(&tenant.id, &row.id, &row.sealed_secret)
                    .await;
                assert_eq!(opened.unwrap().as_slice(), issued.secret.as_bytes(), "{at}");
            }
            // Only the answer was lost: the secret of an active credential is never shown a second time.
            Err(refused) => assert_eq!(refused.code(), "conflict", "{at}"),
        }
        assert_imported(bench, &at).await;
    })
    .await;
}

#[tokio::test]
async fn credential_of_another_domain_another_tenant_or_secret_is_refused() {
    let bench = Bench::open().await;
    let acme = create_tenant(&bench.domain, &acme(), &eu(), None)
        .await
        .unwrap();
    let globex = create_tenant(&bench.domain, &"globex".parse().unwrap(), &eu(), None)
        .await
        .unwrap();
    let elsewhere: AccessKeyId = "AKIAELSEWHERE".parse().unwrap();
    let us = "us".parse().unwrap();
    bench
        .domain
        .directory
        .register(&elsewhere, &us)
        .await
        .unwrap();
    let refused = |outcome: Result<(), ApiError>| outcome.unwrap_err().code();
    assert_eq!(
        refused(
            import_credential(
                &bench.domain,
                &acme,
                &elsewhere,
                &secret(),
                GrantChange::default()
            )
            .await
        ),
        "conflict"
    );
    let nothing = bench.catalog.credential(&elsewhere).await;
    assert!(matches!(nothing, Err(CatalogError::NotFound { .. })));
    import_credential(
        &bench.domain,
        &acme,
        &key_id(),
        &secret(),
        GrantChange::default(),
    )
    .await
    .unwrap();
    assert_eq!(
        refused(
            import_credential(
                &bench.domain,
                &globex,
                &key_id(),
                &secret(),
                GrantChange::default()
            )
            .await
        ),
        "conflict"
    );
    let other = Zeroizing::new("another-secret".to_owned());
    assert_eq!(
        refused(
            import_credential(
                &bench.domain,
                &acme,
                &key_id(),
                &other,
                GrantChange::default()
            )
            .await
        ),
        "conflict"
    );
    bench
        .catalog
        .revoke_credential(acme.id, &key_id())
        .await
        .unwrap();
    assert_eq!(
        refused(
            import_credential(
                &bench.domain,
                &acme,
                &key_id(),
                &secret(),
                GrantChange::default()
            )
            .await
        ),
        "conflict"
    );
    let short = Zeroizing::new("short".to_owned());
    assert_eq!(
        refused(
            import_credential(
                &bench.domain,
                &acme,
                &key_id(),
                &short,
                GrantChange::default()
            )
            .await
        ),
        "invalid_request"
    );
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
    router: axum::Router,
    waited: Arc<Waited>,
    log: (tempfile::TempDir, Arc<dyn LogStore>),
}

async fn api() -> Api {
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
        effective: waited.clone(),
        shred: None,
        trust: crate::signing::TrustSettings::default(),
        log: Some(log.1.clone()),
    };
    let admin = Admin {
        domains: BTreeMap::from([(bench.domain.name.clone(), domain)]),
        principals: ArcSwap::from_pointee(vec![
            principal("alice", Role::Operator),
            principal("bob", Role::Auditor),
            principal("carol", Role::Approver),
        ]),
        clock: bench.clock.clone(),
        limits: AdminLimits::default(),
        metrics: None,
    };
    Api {
        bench,
        router: router(Arc::new(admin)),
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
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer token-of-{who}"))
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
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

#[tokio::test]
async fn log_is_served_read_only_to_an_auditor() {
    let api = api().await;
    let queue = Queue::of(0..300);
    let done = sequencer(&api.log.1)
        .sequence_pending(&queue)
        .await
        .unwrap();
    let statement = ReceiptId([7; 16]);
    api.log
        .1
        .put_statement(statement, "{}".into())
        .await
        .unwrap();
    let get = async |who: &str, path: &str| {
        let request = Request::get(format!("/v1/log/eu/{path}"))
            .header("authorization", format!("Bearer token-of-{who}"))
            .body(Body::empty())
            .unwrap();
        let answer = api.router.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        (status, to_bytes(answer.into_body(), 1 << 20).await.unwrap())
    };
    let (status, checkpoint) = get("bob", "checkpoint").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(checkpoint, done.checkpoint.as_str());
    let (status, tile) = get("bob", "tile/entries/001.p/44").await;
    assert_eq!((status, tile.len()), (StatusCode::OK, 44 * 34));
    let (_, listed) = get("bob", "statements?limit=5").await;
    assert_eq!(listed, format!("[\"{statement}\"]"));
    assert_eq!(
        get("bob", &format!("statements/{statement}.json")).await.1,
        "{}"
    );
    assert_eq!(
        get("mallory", "checkpoint").await.0,
        StatusCode::UNAUTHORIZED
    );
    for path in [
        "intent",
        "lock",
        "tile/0/999",
        "../checkpoint",
        "tile/0/..%2f..%2fcheckpoint",
        "cosigned",
    ] {
        assert_eq!(get("bob", path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(
        get("bob", "statements?after=x").await.0,
        StatusCode::BAD_REQUEST
    );
}

/// Every path that changes something.
const CHANGES: [(&str, &str); 15] = [
    ("/v1/tenants", r#"{"name":"x","region":"eu-central-1"}"#),
    ("/v1/tenants/acme/suspend", "{}"),
    ("/v1/tenants/acme/resume", "{}"),
    ("/v1/tenants/acme/credentials", "{}"),
    (
        "/v1/tenants/acme/credentials/import",
        r#"{"access_key_id":"AKIA1","secret_access_key":"12345678"}"#,
    ),
    ("/v1/tenants/acme/credentials/AKIA1/revoke", "{}"),
    (
        "/v1/tenants/acme/credentials/AKIA1/grant",
        r#"{"allow":["read"]}"#,
    ),
    ("/v1/tenants/acme/keys/rotate", "{}"),
    ("/v1/regions/eu-central-1/check", "{}"),
    ("/v1/tenants/acme/terminate", "{}"),
    ("/v1/tenants/acme/cancel", "{}"),
    ("/v1/shreds/run", "{}"),
    ("/v1/shreds/resume", "{}"),
    ("/v1/domains/eu/trust/rotate", "{}"),
    ("/v1/domains/eu/key-store/backup", "{}"),
];

#[tokio::test]
async fn change_by_a_stranger_auditor_or_approver_is_refused() {
    let api = api().await;
    api.acme().await;
    let revision = api.bench.catalog.revision().await.unwrap();
    for (path, body) in CHANGES {
        let body: Value = serde_json::from_str(body).unwrap();
        for (who, expected) in [
            ("mallory", StatusCode::UNAUTHORIZED),
            ("bob", StatusCode::FORBIDDEN),
            ("carol", StatusCode::FORBIDDEN),
        ] {
            let (status, answer) = api.call(who, Method::POST, path, body.clone()).await;
            assert_eq!(status, expected, "{who} {path}");
            assert!(
                answer["error"]["hint"]
                    .as_str()
                    .is_some_and(|hint| !hint.is_empty())
            );
        }
    }
    assert_eq!(
        api.bench.catalog.revision().await.unwrap(),
        revision,
        "something changed"
    );
    assert_eq!(api.bench.keys.keks.lock().unwrap().values().sum::<u32>(), 1);
}

/// The list above is complete: whatever the API's description calls a change is in it.
#[tokio::test]
async fn changes_in_the_description_are_all_tested() {
    let description = serde_json::to_value(document()).unwrap();
    let mut changes: Vec<String> = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        // An approval is the approver's, and has a test of its own.
        let reads_only = path == "/v1/objects/inspect" || path == "/v1/tenants/{tenant}/approve";
        if methods.get("post").is_some() && !reads_only {
            changes.push(
                path.replace("{tenant}", "acme")
                    .replace("{id}", "AKIA1")
                    .replace("{region}", "eu-central-1")
                    .replace("{domain}", "eu"),
            );
        }
    }
    let mut tested: Vec<String> = CHANGES.iter().map(|(path, _)| (*path).to_owned()).collect();
    changes.sort();
    tested.sort();
    assert_eq!(changes, tested);
}

#[tokio::test]
async fn auditor_reads_everything_but_secrets() {
    let api = api().await;
    api.acme().await;
    let (_, issued) = api
        .call(
            "alice",
            Method::POST,
            "/v1/tenants/acme/credentials",
            json!({}),
        )
        .await;
    let secret = issued["secret_access_key"].as_str().unwrap();
    for path in [
        "/v1/tenants",
        "/v1/tenants/acme",
        "/v1/tenants/acme/credentials",
        "/v1/tenants/acme/keys",
        "/v1/regions",
    ] {
        let (status, answer) = api.call("bob", Method::GET, path, json!(null)).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        assert!(
            !answer.to_string().contains(secret),
            "{path} shows a secret"
        );
    }
}

#[tokio::test]
async fn suspend_and_revoke_wait_until_they_are_effective() {
    let api = api().await;
    api.acme().await;
    let (_, issued) = api
        .call(
            "alice",
            Method::POST,
            "/v1/tenants/acme/credentials",
            json!({}),
        )
        .await;
    let id = issued["access_key_id"].as_str().unwrap();
    let revoke = format!("/v1/tenants/acme/credentials/{id}/revoke");
    for (path, state) in [
        ("/v1/tenants/acme/suspend", "suspended"),
        ("/v1/tenants/acme/resume", "active"),
        (revoke.as_str(), "revoked"),
    ] {
        api.waited.0.store(0, Ordering::SeqCst);
        let (status, answer) = api.call("alice", Method::POST, path, json!({})).await;
        assert_eq!(
            (status, answer["state"].as_str()),
            (StatusCode::OK, Some(state)),
            "{path}"
        );
        let revision = api.bench.catalog.revision().await.unwrap();
        assert_eq!(
            api.waited.0.load(Ordering::SeqCst),
            revision.0,
            "{path} did not wait"
        );
        let gateways = json!({ "acknowledged": 2, "expired": 1 });
        assert_eq!(answer["gateways"], gateways, "{path}");
    }
    let id: AccessKeyId = id.parse().unwrap();
    assert_eq!(
        api.bench.domain.directory.domain_of(&id).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn bad_requests_get_the_apis_own_error() {
    let api = api().await;
    for (path, body, status, code) in [
        (
            "/v1/tenants",
            json!({ "name": "Acme", "region": "eu-central-1" }),
            400,
            "invalid_request",
        ),
        (
            "/v1/tenants",
            json!({ "name": "acme", "region": "eu-central-1", "x": 1 }),
            400,
            "invalid_request",
        ),
        (
            "/v1/tenants",
            json!({ "name": "acme", "region": "mars-1" }),
            404,
            "not_found",
        ),
        ("/v1/tenants/nobody/suspend", json!({}), 404, "not_found"),
        ("/v1/nothing", json!({}), 404, "not_found"),
        (
            "/v1/tenants",
            json!({ "name": "a".repeat(70_000), "region": "eu-central-1" }),
            400,
            "invalid_request",
        ),
    ] {
        let (got, answer) = api.call("alice", Method::POST, path, body).await;
        assert_eq!(
            (got.as_u16(), answer["error"]["code"].as_str()),
            (status, Some(code)),
            "{path}: {answer}"
        );
    }
}

#[tokio::test]
async fn readyz_with_everything_away_lists_it_and_stays_ready() {
    let api = api().await;
    let (status, answer) = api.call("", Method::GET, "/readyz", json!(null)).await;
    assert_eq!((status, &answer["ready"]), (StatusCode::OK, &json!(true)));
    api.bench.catalog.go_away();
    let (status, answer) = api.call("", Method::GET, "/readyz", json!(null)).await;
    assert_eq!(status, StatusCode::OK);
    let catalog = answer["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["kind"] == "catalog");
    assert_eq!(catalog.unwrap()["ok"], json!(false));
}

#[tokio::test]
async fn approval_is_an_approvers_and_needs_a_domain_that_shreds() {
    let api = api().await;
    api.acme().await;
    for (who, expected) in [
        ("mallory", StatusCode::UNAUTHORIZED),
        ("alice", StatusCode::FORBIDDEN),
        ("bob", StatusCode::FORBIDDEN),
        ("carol", StatusCode::CONFLICT),
    ] {
        let path = "/v1/tenants/acme/approve";
        let (status, answer) = api.call(who, Method::POST, path, json!({})).await;
        assert_eq!(status, expected, "{who}: {answer}");
    }
    let path = "/v1/tenants/acme/terminate";
    let (status, answer) = api.call("alice", Method::POST, path, json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("key_backup"), "{message}");
    let (_, tenant) = api
        .call("bob", Method::GET, "/v1/tenants/acme", json!(null))
        .await;
    assert_eq!(tenant["state"], "active");
}

#[tokio::test]
async fn name_of_a_shredded_tenant_makes_another_tenant() {
    let bench = Bench::open().await;
    let first = create_tenant(&bench.domain, &acme(), &eu(), None)
        .await
        .unwrap();
    let active = [TenantState::Active];
    bench
        .catalog
        .move_tenant(first.id, &active, TenantState::Shredded)
        .await
        .unwrap();
    let second = create_tenant(&bench.domain, &acme(), &eu(), None)
        .await
        .unwrap();
    assert_ne!(first.id, second.id);
    assert_eq!(second.state, TenantState::Active);
    let old = create_tenant(&bench.domain, &acme(), &eu(), Some(first.id)).await;
    assert_eq!(old.unwrap().state, TenantState::Shredded);
}

#[tokio::test]
async fn grant_is_shown_changed_in_part_and_waited_for() {
    let api = api().await;
    api.acme().await;
    let path = "/v1/tenants/acme/credentials";
    let asked = json!({
        "allow": ["list", "read"], "scope": ["docs:reports/", "open"], "expires": "2100-01-01T00:00:00Z",
    });
    let (status, issued) = api.call("alice", Method::POST, path, asked).await;
    assert_eq!(status, StatusCode::OK, "{issued}");
    let id = issued["access_key_id"].as_str().unwrap();
    let (_, listed) = api.call("bob", Method::GET, path, json!(null)).await;
    assert_eq!(listed[0]["allow"], json!(["read", "list"]));
    assert_eq!(listed[0]["scope"], json!(["docs:reports/", "open"]));
    assert_eq!(listed[0]["expires"], "2100-01-01T00:00:00Z");
    let change = format!("{path}/{id}/grant");
    let narrower = json!({ "scope": ["docs:reports/2026/"] });
    let (status, changed) = api.call("alice", Method::POST, &change, narrower).await;
    assert_eq!(status, StatusCode::OK, "{changed}");
    assert_eq!(changed["allow"], json!(["read", "list"]));
    assert_eq!(changed["scope"], json!(["docs:reports/2026/"]));
    assert_eq!(changed["expires"], "2100-01-01T00:00:00Z");
    assert_eq!(changed["gateways"]["acknowledged"], 2);
    let revision = api.bench.catalog.revision().await.unwrap();
    assert_eq!(api.waited.0.load(Ordering::SeqCst), revision.0);
    let widest = json!({ "scope": ["*"], "allow": ["admin"], "expires": "never" });
    let (_, changed) = api.call("alice", Method::POST, &change, widest).await;
    assert_eq!(changed["scope"], json!(["*"]));
    assert_eq!(
        (&changed["allow"], &changed["expires"]),
        (&json!(["admin"]), &json!(null))
    );
    for (body, says) in [
        (json!({}), "nothing"),
        (json!({ "allow": ["everything"] }), "everything"),
        (json!({ "scope": ["docs:"] }), "docs:"),
        (json!({ "expires": "2001-01-01T00:00:00Z" }), "future"),
        (json!({ "permissions": ["read"] }), "permissions"),
    ] {
        let (status, answer) = api.call("alice", Method::POST, &change, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(says), "{message}");
    }
    let revoke = format!("{path}/{id}/revoke");
    api.call("alice", Method::POST, &revoke, json!({})).await;
    let again = json!({ "allow": ["read"] });
    let (status, _) = api.call("alice", Method::POST, &change, again).await;
    assert_eq!(status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn credential_imported_again_keeps_its_grant_or_is_refused() {
    let bench = Bench::open().await;
    let acme = create_tenant(&bench.domain, &acme(), &eu(), None)
        .await
        .unwrap();
    let import = async |asked| {
        let outcome = import_credential(&bench.domain, &acme, &key_id(), &secret(), asked).await;
        outcome.map_err(|refused| refused.code())
    };
    let reads = GrantChange {
        permissions: Some("read".parse::<Permissions>().unwrap()),
        ..GrantChange::default()
    };
    let everywhere = GrantChange {
        scope: Some(Scope::Everything),
        ..reads.clone()
    };
    let all = GrantChange {
        permissions: Some(Permissions::ALL),
        ..GrantChange::default()
    };
    assert_eq!(import(reads.clone()).await, Ok(()));
    assert_eq!(import(reads).await, Ok(()));
    assert_eq!(import(everywhere).await, Ok(()));
    assert_eq!(import(GrantChange::default()).await, Ok(()));
    assert_eq!(import(all).await, Err("conflict"));
    let (row, _) = bench.catalog.credential(&key_id()).await.unwrap();
    assert_eq!(row.grant.permissions.to_string(), "read");
}
