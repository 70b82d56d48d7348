//! Who is let in, and how much of them.

use super::harness::{REGION, SHREDDED, SUSPENDED, Server, Signer, TERMINATING};
use std::time::Duration;

fn signer(key: &'static str) -> Signer {
    Signer {
        key,
        ..Signer::default()
    }
}

#[tokio::test]
async fn unknown_and_vanished_keys_get_one_answer() {
    let server = Server::start().await;
    let mut answers = Vec::new();
    for key in ["AKIDUNKNOWN", SHREDDED] {
        let reply = server
            .send(&signer(key).sign("GET", "/bucket/key", &[]), b"")
            .await;
        assert_eq!((reply.status, reply.code()), (403, "InvalidAccessKeyId"));
        let constant = reply.body.split("<RequestId>").next().unwrap().to_owned();
        answers.push(constant);
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn suspension_is_told_only_to_who_can_sign() {
    let server = Server::start().await;
    let get = signer(SUSPENDED).sign("GET", "/bucket/key", &[]);
    let reply = server.send(&get, b"").await;
    assert_eq!((reply.status, reply.code()), (403, "AccessDenied"));
    assert!(reply.body.contains("suspended"));
    let stranger = Signer {
        secret: "guess",
        ..signer(SUSPENDED)
    };
    let reply = server
        .send(&stranger.sign("GET", "/bucket/key", &[]), b"")
        .await;
    assert_eq!((reply.status, reply.code()), (403, "SignatureDoesNotMatch"));
    assert!(server.s3.calls().is_empty());
}

#[tokio::test]
async fn terminating_tenant_reads_and_does_not_write() {
    let server = Server::start().await;
    let get = signer(TERMINATING).sign("GET", "/bucket/key", &[]);
    assert_eq!(server.send(&get, b"").await.status, 200);
    let copied = ("x-amz-copy-source", "/bucket/other");
    let upload = "/bucket/key?uploadId=0123456789abcdef0123456789abcdef";
    let part = format!("{upload}&partNumber=1");
    let complete = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>";
    let delete = "<Delete><Object><Key>key</Key></Object></Delete>";
    for (method, target, header, body) in [
        ("PUT", "/bucket/key", None, ""),
        ("PUT", "/bucket/key", Some(copied), ""),
        ("DELETE", "/bucket/key", None, ""),
        ("POST", "/bucket?delete", None, delete),
        ("POST", "/bucket/key?uploads", None, ""),
        ("PUT", part.as_str(), None, "part"),
        ("POST", upload, None, complete),
        ("DELETE", upload, None, ""),
        (
            "PUT",
            "/bucket/key?tagging",
            None,
            "<Tagging><TagSet></TagSet></Tagging>",
        ),
        (
            "PUT",
            "/bucket/key?legal-hold",
            None,
            "<LegalHold><Status>ON</Status></LegalHold>",
        ),
        ("PUT", "/another-bucket", None, ""),
        ("DELETE", "/bucket", None, ""),
        (
            "PUT",
            "/bucket?versioning",
            None,
            "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
        ),
        ("DELETE", "/bucket?lifecycle", None, ""),
        ("DELETE", "/bucket?cors", None, ""),
    ] {
        let length = body.len().to_string();
        let digest = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(body));
        let mut headers = vec![
            ("content-length", length.as_str()),
            ("x-amz-content-sha256", digest.as_str()),
        ];
        headers.extend(header);
        let request = signer(TERMINATING).sign(method, target, &headers);
        let reply = server.send(&request, body.as_bytes()).await;
        let told = (reply.status, reply.code());
        assert_eq!(told, (403, "AccessDenied"), "{method} {target}: {reply:?}");
        assert!(
            reply.body.contains("terminated"),
            "{method} {target}: {reply:?}"
        );
    }
    assert_eq!(server.s3.calls().len(), 1, "{:?}", server.s3.calls());
}

#[tokio::test]
async fn key_of_another_domain_is_told_where_to_go() {
    let server = Server::start().await;
    let get = signer("AKIDELSEWHERE").sign("GET", "/bucket/key", &[]);
    let reply = server.send(&get, b"").await;
    assert_eq!((reply.status, reply.code()), (301, "PermanentRedirect"));
    assert!(
        reply
            .body
            .contains("<Endpoint>https://s3.us.example.com</Endpoint>")
    );
}

#[tokio::test]
async fn unavailable_credentials_are_a_503_that_tells_nothing() {
    let server = Server::start().await;
    let get = signer("AKIDAWAY").sign("GET", "/bucket/key", &[]);
    let reply = server.send(&get, b"").await;
    assert_eq!((reply.status, reply.code()), (503, "ServiceUnavailable"));
    assert!(reply.head.contains("retry-after: 1"), "{reply:?}");
    assert!(!reply.body.contains("postgres"), "{reply:?}");
}

#[tokio::test]
async fn tenant_past_its_bound_is_told_to_slow_down_and_others_are_not() {
    let server = Server::limited(|l| l.requests_per_tenant_max = 1).await;
    let slow = Signer::default().sign("GET", "/bucket/slow", &[]);
    let get = Signer::default().sign("GET", "/bucket/key", &[]);
    let other = signer(TERMINATING).sign("GET", "/bucket/key", &[]);
    let check = async {
        while server.s3.calls().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let reply = server.send(&get, b"").await;
        assert_eq!((reply.status, reply.code()), (503, "SlowDown"), "{reply:?}");
        assert!(reply.head.contains("retry-after: 1"), "{reply:?}");
        assert_eq!(server.send(&other, b"").await.status, 200);
        server.s3.gate.notify_one();
    };
    let (reply, ()) = tokio::join!(server.send(&slow, b""), check);
    assert_eq!(reply.status, 200);
    assert_eq!(server.send(&get, b"").await.status, 200);
}

#[tokio::test]
async fn gateway_past_its_bound_is_slow_for_everyone() {
    let server = Server::limited(|l| l.requests_max = 0).await;
    let reply = server
        .send(&Signer::default().sign("GET", "/bucket/key", &[]), b"")
        .await;
    assert_eq!((reply.status, reply.code()), (503, "SlowDown"));
}

#[tokio::test]
async fn bucket_comes_from_configured_hosts_only() {
    let server = Server::start().await;
    for (host, forwarded, expected) in [
        ("docs.s3.example.com", None, "get docs/bucket/key"),
        ("Docs.S3.example.com.:9443", None, "get docs/bucket/key"),
        ("docs.other.example", None, "get bucket/key"),
        ("[::1]:9443", None, "get bucket/key"),
        ("localhost", Some("docs.s3.example.com"), "get bucket/key"),
    ] {
        let mut get = Signer::default().sign("GET", "/bucket/key", &[("host", host)]);
        if let Some(forwarded) = forwarded {
            get = get.plus("x-forwarded-host", forwarded);
        }
        let reply = server.send(&get, b"").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let call = server.s3.calls().pop().unwrap();
        assert!(
            call.starts_with(&format!("{expected} by")),
            "{host}: {call}"
        );
    }
}

#[tokio::test]
async fn errors_to_head_have_no_body_but_ids() {
    let server = Server::start().await;
    let reply = server
        .send(&Signer::default().sign("HEAD", "/bucket/key", &[]), b"")
        .await;
    assert_eq!((reply.status, reply.body.as_str()), (404, ""));
    for name in ["x-amz-request-id: ", "x-amz-id-2: ", "server: Lethe"] {
        assert!(reply.head.contains(name), "{reply:?}");
    }
    assert_eq!(REGION, "eu-central-1");
}
