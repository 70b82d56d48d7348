use super::*;

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
async fn tenant_that_is_terminated_is_neither_suspended_nor_resumed() {
    let api = api().await;
    api.acme().await;
    let acme = api.bench.catalog.tenant_named(&acme()).await.unwrap().id;
    for (from, to, state) in [
        (TenantState::Active, TenantState::Terminating, "terminating"),
        (TenantState::Terminating, TenantState::Shredded, "shredded"),
    ] {
        api.bench
            .catalog
            .move_tenant(acme, &[from], to)
            .await
            .unwrap();
        for verb in ["suspend", "resume"] {
            let path = format!("/v1/tenants/{acme}/{verb}");
            let (status, answer) = api.call("alice", Method::POST, &path, json!({})).await;
            assert_eq!(status, StatusCode::CONFLICT, "{state} {verb}");
            let told = answer["error"]["message"].as_str().unwrap();
            assert!(told.contains(&format!("is {state}, not ")), "{told}");
            assert_eq!(api.bench.catalog.tenant(acme).await.unwrap().state, to);
        }
    }
}

#[tokio::test]
async fn principal_without_the_role_is_told_which_one_it_takes() {
    let api = api().await;
    for (who, path, role) in [
        ("bob", "/v1/tenants/acme/suspend", "operator"),
        ("alice", "/v1/tenants/acme/approve", "approver"),
    ] {
        let (status, answer) = api.call(who, Method::POST, path, json!({})).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
        let hint = format!("ask a principal with the role {role}");
        assert_eq!(answer["error"]["hint"], hint, "{path}");
    }
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
