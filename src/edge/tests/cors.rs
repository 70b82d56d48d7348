//! What browsers are told, with and without rules, for requests that succeed and that do not.

use super::harness::{KEY, REGION, Reply, SUSPENDED, Server, Signer};
use super::trivial_s3::RULED;
use std::collections::BTreeMap;
use std::time::Duration;

const APP: &str = "https://a.app.test";

/// The answer's headers that are about origins, and `Vary`.
fn told(reply: &Reply) -> BTreeMap<String, String> {
    let lines = reply.head.lines().filter_map(|line| line.split_once(": "));
    lines
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .filter(|(name, _)| name.starts_with("access-control-") || name == "vary")
        .collect()
}

fn table(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let vary = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let named = pairs.iter().map(owned);
    named.chain([owned(&("vary", vary))]).collect()
}

async fn preflight(server: &Server, host: &str, target: &str, headers: &[(&str, &str)]) -> Reply {
    let mut head = format!("OPTIONS {target} HTTP/1.1\r\nhost: {host}\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    server.send_raw(format!("{head}\r\n").as_bytes()).await
}

fn credential(key: &str) -> String {
    format!("X-Amz-Credential={key}%2F20260101%2F{REGION}%2Fs3%2Faws4_request")
}

fn asking<'a>(origin: &'a str, method: &'a str) -> [(&'a str, &'a str); 2] {
    [
        ("origin", origin),
        ("access-control-request-method", method),
    ]
}

#[tokio::test]
async fn preflight_without_a_credential_is_alike_for_every_name() {
    let server = Server::start().await;
    let mut headers = asking(APP, "PUT").to_vec();
    headers.push((
        "access-control-request-headers",
        "Authorization, x-amz-date",
    ));
    let expected = table(&[
        ("access-control-allow-origin", "*"),
        (
            "access-control-allow-methods",
            "GET, PUT, POST, DELETE, HEAD",
        ),
        ("access-control-allow-headers", "authorization, x-amz-date"),
        ("access-control-max-age", "600"),
    ]);
    for target in [
        "/ruled/key",
        "/bucket/key",
        "/",
        "/missing",
        "/%ff",
        "/away/k?a=b",
    ] {
        let reply = preflight(&server, "localhost", target, &headers).await;
        assert_eq!(
            (reply.status, told(&reply)),
            (200, expected.clone()),
            "{target}"
        );
        assert_eq!(reply.body, "");
    }
    assert!(server.s3.rules_asked().is_empty());
}

#[tokio::test]
async fn preflight_with_a_credential_is_decided_by_that_tenants_rules() {
    let server = Server::start().await;
    let target = format!("/{RULED}/key?{}", credential(KEY));
    let mut headers = asking(APP, "PUT").to_vec();
    headers.push(("access-control-request-headers", "X-Amz-Date,x-amz-acl"));
    let allowed = preflight(&server, "localhost", &target, &headers).await;
    let expected = table(&[
        ("access-control-allow-origin", APP),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "GET, PUT"),
        ("access-control-allow-headers", "x-amz-date, x-amz-acl"),
        ("access-control-expose-headers", "ETag, x-amz-request-id"),
        ("access-control-max-age", "77"),
    ]);
    assert_eq!((allowed.status, told(&allowed)), (200, expected.clone()));
    let target = format!("/key?{}", credential(KEY));
    let host = format!("{RULED}.s3.example.com");
    let by_host = preflight(&server, &host, &target, &headers).await;
    assert_eq!((by_host.status, told(&by_host)), (200, expected));
    let any = preflight(&server, &host, &target, &asking("null", "HEAD")).await;
    let expected = table(&[
        ("access-control-allow-origin", "*"),
        ("access-control-allow-methods", "HEAD"),
    ]);
    assert_eq!((any.status, told(&any)), (200, expected));
}

#[tokio::test]
async fn preflight_that_no_rule_allows_is_refused_alike_whatever_is_missing() {
    let server = Server::start().await;
    let mut refusals = Vec::new();
    for (bucket, query) in [
        // No rule of the bucket's, no rules, rules that nobody can look up, no tenant, another's, no bucket, no key.
        (RULED, credential(KEY)),
        ("bucket", credential(KEY)),
        ("away", credential(KEY)),
        (RULED, credential("AKIDUNKNOWN")),
        (RULED, credential("AKIDSHREDDED")),
        (RULED, credential("AKIDELSEWHERE")),
        (RULED, credential("AKIDAWAY")),
        ("", credential(KEY)),
        (RULED, credential("")),
        (RULED, format!("{0}&{0}", credential(KEY))),
    ] {
        let target = format!("/{bucket}?{query}");
        let asked = asking("https://other.test", "GET");
        let reply = preflight(&server, "localhost", &target, &asked).await;
        assert_eq!(
            (reply.status, reply.code()),
            (403, "AccessForbidden"),
            "{target}"
        );
        assert_eq!(told(&reply), BTreeMap::new(), "{target}");
        let document = reply.body.split("<RequestId>").next().unwrap().to_owned();
        refusals.push(document);
    }
    refusals.dedup();
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    let target = format!("/{RULED}?{}", credential(KEY));
    for headers in [
        &asking(APP, "DELETE")[..],
        &[
            asking(APP, "GET")[0],
            asking(APP, "GET")[1],
            ("access-control-request-headers", "authorization"),
        ],
        &[
            asking(APP, "GET")[0],
            asking(APP, "GET")[1],
            ("access-control-request-headers", "x-amz-a b"),
        ],
    ] {
        let reply = preflight(&server, "localhost", &target, headers).await;
        assert_eq!(reply.code(), "AccessForbidden", "{headers:?}");
    }
}

#[tokio::test]
async fn preflight_that_does_not_say_what_it_asks_for_is_a_bad_request() {
    let server = Server::start().await;
    for target in [
        "/ruled/key".to_owned(),
        format!("/{RULED}?{}", credential(KEY)),
    ] {
        for headers in [
            &[][..],
            &asking(APP, "GET")[..1],
            &asking(APP, "GET")[1..],
            &asking(APP, "PATCH"),
            &asking(APP, "get"),
        ] {
            let reply = preflight(&server, "localhost", &target, headers).await;
            assert_eq!(
                (reply.status, reply.code()),
                (400, "BadRequest"),
                "{headers:?}"
            );
        }
    }
}

#[tokio::test]
async fn answer_carries_what_the_rules_say_also_when_it_is_an_error() {
    let server = Server::start().await;
    let expected = table(&[
        ("access-control-allow-origin", APP),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "GET, PUT"),
        ("access-control-expose-headers", "ETag, x-amz-request-id"),
        ("access-control-max-age", "77"),
    ]);
    let of = |key| Signer {
        key,
        ..Signer::default()
    };
    for (status, request) in [
        (200, of(KEY).sign("GET", "/ruled/key", &[])),
        // Verified, and refused then.
        (501, of(KEY).sign("GET", "/ruled/key?torrent", &[])),
        (403, of(SUSPENDED).sign("GET", "/ruled/key", &[])),
    ] {
        let reply = server.send(&request.plus("origin", APP), b"").await;
        assert_eq!((reply.status, told(&reply)), (status, expected.clone()));
    }
    let missing = of(KEY).sign("HEAD", "/ruled/key", &[]).plus("origin", APP);
    let any = table(&[
        ("access-control-allow-origin", "*"),
        ("access-control-allow-methods", "HEAD"),
    ]);
    let reply = server.send(&missing, b"").await;
    assert_eq!((reply.status, told(&reply)), (404, any));
}

#[tokio::test]
async fn answer_to_who_only_names_a_key_says_nothing_of_rules_and_looks_none_up() {
    let server = Server::start().await;
    let other = Signer {
        secret: "wrong",
        ..Signer::default()
    };
    let late = Signer {
        expires: Some(Duration::from_secs(60)),
        age: Duration::from_secs(120),
        ..Signer::default()
    };
    for (status, request) in [
        (403, other.sign("GET", "/ruled/key", &[])),
        (403, late.sign("GET", "/ruled/key", &[])),
    ] {
        let reply = server.send(&request.plus("origin", APP), b"").await;
        assert_eq!((reply.status, told(&reply)), (status, BTreeMap::new()));
    }
    let named = format!(
        "GET /ruled/key?{} HTTP/1.1\r\nhost: localhost\r\norigin: {APP}\r\n\r\n",
        credential(KEY)
    );
    let reply = server.send_raw(named.as_bytes()).await;
    assert_eq!(told(&reply), BTreeMap::new());
    assert_eq!(server.s3.rules_asked(), Vec::<String>::new());
}

#[tokio::test]
async fn preflight_asks_for_each_header_once_and_for_so_many() {
    let server = Server::start().await;
    let target = format!("/{RULED}/key?{}", credential(KEY));
    let names = |count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("x-amz-{n}")).collect();
        names.join(",")
    };
    let ask = async |target: &str, names: &str| {
        let mut headers = asking(APP, "PUT").to_vec();
        headers.push(("access-control-request-headers", names));
        preflight(&server, "localhost", target, &headers).await
    };
    let thrice = ask(&target, "x-amz-a, X-Amz-B,x-amz-A,x-amz-b,,x-amz-a").await;
    let allowed = &told(&thrice)["access-control-allow-headers"];
    assert_eq!(allowed, "x-amz-a, x-amz-b");
    assert_eq!(ask(&target, &names(100)).await.status, 200);
    let repeated = [names(100), names(100)].join(",");
    assert_eq!(ask(&target, &repeated).await.status, 200);
    for target in [target.as_str(), "/ruled/key"] {
        let refused = ask(target, &names(101)).await;
        assert_eq!((refused.status, refused.code()), (403, "AccessForbidden"));
    }
}

#[tokio::test]
async fn answer_that_no_rule_allows_varies_by_origin_and_says_no_more() {
    let server = Server::start().await;
    let signer = Signer::default();
    let get = || signer.sign("GET", "/ruled/key", &[]);
    // A cache must not give what one origin got to another, nor what none got.
    for request in [get(), get().plus("origin", "https://other.test")] {
        let reply = server.send(&request, b"").await;
        assert_eq!((reply.status, told(&reply)), (200, table(&[])));
    }
    for bucket in ["bucket", "away"] {
        let request = signer.sign("GET", &format!("/{bucket}/key"), &[]);
        let reply = server.send(&request.plus("origin", APP), b"").await;
        assert_eq!(
            (reply.status, told(&reply)),
            (200, BTreeMap::new()),
            "{bucket}"
        );
    }
}

#[tokio::test]
async fn answer_to_a_stranger_says_nothing_of_rules() {
    let server = Server::start().await;
    let stranger = Signer {
        key: "AKIDUNKNOWN",
        ..Signer::default()
    };
    let request = stranger.sign("GET", "/ruled/key", &[]).plus("origin", APP);
    let reply = server.send(&request, b"").await;
    assert_eq!((reply.status, told(&reply)), (403, BTreeMap::new()));
    let bare = format!("GET /ruled/key HTTP/1.1\r\nhost: localhost\r\norigin: {APP}\r\n\r\n");
    let reply = server.send_raw(bare.as_bytes()).await;
    assert_eq!((reply.status, told(&reply)), (403, BTreeMap::new()));
    assert!(server.s3.rules_asked().is_empty());
}
