//! Shreds that operators ask for by tenant.

use super::*;
use crate::catalog::{ShredId, ShredState, ShredStore as _};
use crate::shred::testing::World;
use crate::tenants::TenantId;

fn router_of(world: &World) -> axum::Router {
    let domain = AdminDomain {
        stores: world.bench.domain.clone(),
        jurisdiction: "EU".to_owned(),
        public_endpoint: "https://s3.eu.example.com".to_owned(),
        regions: BTreeMap::from([(eu(), embedded_region())]),
        effective: Arc::new(Waited::default()),
        shred: Some(world.domain.clone()),
        trust: crate::signing::TrustSettings::default(),
        log: None,
    };
    let alice = Principal {
        name: "alice".to_owned(),
        role: Role::Operator,
        token_sha256: Sha256::digest("token-of-alice").into(),
    };
    router(Arc::new(Admin {
        domains: BTreeMap::from([(world.bench.domain.name.clone(), domain)]),
        principals: ArcSwap::from_pointee(vec![alice]),
        clock: world.bench.clock.clone(),
        limits: AdminLimits::default(),
        metrics: None,
    }))
}

async fn doom(world: &World, id: TenantId) {
    let tenant = world.bench.catalog.tenant(id).await.unwrap();
    let domain = &world.domain;
    let asked = domain.request_termination(&tenant, "alice", None).await;
    asked.map(drop).unwrap();
    for approver in ["bob", "carol"] {
        domain.approve_termination(&tenant, approver).await.unwrap();
    }
    world.bench.clock.advance_ms(5_000);
}

#[tokio::test]
async fn shred_of_a_tenant_behind_an_open_one_is_refused_and_begun_later() {
    let world = World::open(2).await;
    let router = router_of(&world);
    let ask = async |method: Method, path: &str, body: Value| {
        call(&router, "alice", method, path, body).await
    };
    let run = async |id: TenantId| {
        let body = json!({ "tenant": id.to_string() });
        ask(Method::POST, "/v1/shreds/run", body).await
    };
    let get = async |query: String| {
        let path = format!("/v1/shreds?{query}");
        ask(Method::GET, &path, json!(null)).await
    };
    let (first, second) = (world.victims[0], world.victims[1]);
    doom(&world, first).await;
    let (status, begun) = run(first).await;
    assert_eq!(status, StatusCode::OK, "{begun}");
    assert_eq!(begun[0]["tenants"], json!([first.to_string()]));
    let open = begun[0]["id"].as_str().unwrap().to_owned();

    doom(&world, second).await;
    let (status, refused) = run(second).await;
    assert_eq!(status, StatusCode::CONFLICT, "{refused}");
    assert_eq!(refused["error"]["code"], SHRED_OPEN);
    let told = refused["error"]["message"].as_str().unwrap();
    assert!(told.contains(&open) && told.contains("requested"), "{told}");
    assert_eq!(get(format!("tenant={second}")).await.1, json!([]));
    assert_eq!(get(format!("tenant={first}")).await.1, begun);
    assert_eq!(get(format!("ids={open}")).await.1, begun);
    let unknown = ShredId::random().unwrap();
    assert_eq!(get(format!("ids={unknown},{open}")).await.1, begun);
    assert_eq!(get("ids=x".to_owned()).await.0, StatusCode::BAD_REQUEST);

    let id: ShredId = open.parse().unwrap();
    while world.bench.catalog.shred(id).await.unwrap().state < ShredState::Receipted {
        world.runner("one").run_due().await.unwrap();
        world.bench.clock.advance_ms(60_000);
    }
    let (status, begun) = run(second).await;
    assert_eq!(status, StatusCode::OK, "{begun}");
    assert_eq!(begun[0]["tenants"], json!([second.to_string()]));
}

#[tokio::test]
async fn termination_asked_for_again_with_another_grace_is_refused_and_says_when_it_ends() {
    let world = World::open(1).await;
    let router = router_of(&world);
    let path = format!("/v1/tenants/{}/terminate", world.victims[0]);
    let ask = async |body| call(&router, "alice", Method::POST, &path, body).await;
    let (_, first) = ask(json!({ "grace_days": 60 })).await;
    for same in [json!({}), json!({ "grace_days": 60 })] {
        let (status, again) = ask(same).await;
        assert_eq!(status, StatusCode::OK, "{again}");
        assert_eq!(again["grace_end_ms"], first["grace_end_ms"]);
    }
    for days in [61, 0, 99_999] {
        let (status, refused) = ask(json!({ "grace_days": days })).await;
        assert_eq!(status, StatusCode::CONFLICT, "{refused}");
        let told = refused["error"]["message"].as_str().unwrap();
        assert!(told.contains("ends at 20"), "{told}");
        let hint = refused["error"]["hint"].as_str().unwrap();
        assert!(hint.contains("tenant cancel"), "{hint}");
    }
}
