use super::*;

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
