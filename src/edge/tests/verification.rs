//! Nothing gets past the signature: what is parsed and done is what was verified, for this very request. And what S3 keeps or
//! ignores, though s3s would refuse it, gets to the operation.

use super::harness::{
    KEY, Reply, SECRET, SUSPENDED, Server, Signer, TERMINATING, read_to_end, sha256_hex,
};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

const DAY: Duration = Duration::from_secs(24 * 3600);
const RANGE: (&str, &str) = ("range", "bytes=0-1");

fn presigner() -> Signer {
    Signer {
        expires: Some(7 * DAY),
        ..Signer::default()
    }
}

fn outcome(reply: &Reply) -> (u16, &str) {
    (reply.status, reply.code())
}

#[tokio::test]
async fn read_with_a_range_is_verified_for_its_own_method_path_query_and_headers() {
    let server = Server::start().await;
    let get = Signer::default().sign("GET", "/bucket/key?versionId=1", &[RANGE]);
    assert_eq!(server.send(&get, b"").await.status, 200);
    assert_eq!(server.s3.calls().len(), 1);
    let head = get.head();
    for (from, to) in [
        ("GET ", "HEAD "),
        ("GET ", "DELETE "),
        ("/bucket/key", "/bucket/other"),
        ("/bucket/key", "/other/key"),
        ("/bucket/key", "/bucket%2Fkey2"),
        ("versionId=1", "versionId=2"),
        ("?versionId=1", ""),
        ("?versionId=1", "?versionId=1&acl"),
        ("?versionId=1", "?acl&versionId=1"),
        ("range: bytes=0-1", "range: bytes=0-2"),
        ("host: localhost", "host: bucket.s3.example.com"),
    ] {
        let tampered = head.replace(from, to);
        assert_ne!(tampered, head, "{from}");
        let reply = server.send_raw(tampered.as_bytes()).await;
        let is_head = tampered.starts_with("HEAD");
        assert_eq!(reply.status, 403, "{from} {to}: {reply:?}");
        assert!(
            is_head || reply.code() == "SignatureDoesNotMatch",
            "{reply:?}"
        );
    }
    assert_eq!(server.s3.calls().len(), 1, "{:?}", server.s3.calls());
}

#[tokio::test]
async fn unsigned_or_wrongly_signed_requests_with_a_range_reach_nothing() {
    let server = Server::start().await;
    for method in ["GET", "HEAD", "PUT", "POST", "DELETE"] {
        for path in [
            "/",
            "/bucket",
            "/bucket/key",
            "/bucket/key?acl",
            "/bucket?delete",
        ] {
            let stranger = Signer {
                secret: "guess",
                ..Signer::default()
            };
            let headers = [RANGE, ("if-match", "*"), ("content-length", "0")];
            let guessed = stranger.sign(method, path, &headers);
            let unsigned = format!(
                "{method} {path} HTTP/1.1\r\nhost: localhost\r\nrange: bytes=0-1\r\ncontent-length: 0\r\n\r\n"
            );
            for attack in [guessed.head(), unsigned] {
                let reply = server.send_raw(attack.as_bytes()).await;
                assert!((400..500).contains(&reply.status), "{attack} {reply:?}");
            }
        }
    }
    assert!(server.s3.calls().is_empty(), "{:?}", server.s3.calls());
}

#[tokio::test]
async fn second_signature_in_an_encoded_parameter_is_still_one() {
    let server = Server::start().await;
    let get = presigner().sign("GET", "/bucket/key", &[]);
    let encoded = get.head().replace("X-Amz-Signature", "X%2DAmz%2DSignature");
    assert_eq!(server.send_raw(encoded.as_bytes()).await.status, 200);
    let calls = server.s3.calls().len();
    let header = Signer::default().sign("GET", "/bucket/key", &[RANGE]);
    let both = header.head().replace(
        "/bucket/key",
        "/bucket/key?X%2DAmz%2DSignature=0000000000000000000000000000000000000000000000000000000000000000",
    );
    let reply = server.send_raw(both.as_bytes()).await;
    assert_eq!(outcome(&reply), (400, "InvalidArgument"), "{reply:?}");
    assert_eq!(server.s3.calls().len(), calls);
}

#[tokio::test]
async fn pipelined_request_does_not_inherit_a_verification() {
    let server = Server::start().await;
    let stranger = Signer {
        secret: "guess",
        ..Signer::default()
    };
    let signed = |signer: &Signer, path, connection| {
        let request = signer.sign("GET", path, &[RANGE]);
        request.plus("connection", connection).head()
    };
    let own = |connection| signed(&Signer::default(), "/bucket/key", connection);
    let guessed = |connection| signed(&stranger, "/bucket/secret", connection);
    for (first, second) in [
        (own("keep-alive"), guessed("close")),
        (guessed("keep-alive"), own("close")),
    ] {
        let before = server.s3.calls().len();
        let mut stream = server.connect().await;
        let both = format!("{first}{second}");
        stream.write_all(both.as_bytes()).await.unwrap();
        let answers = String::from_utf8_lossy(&read_to_end(&mut stream).await).into_owned();
        assert_eq!(answers.matches("HTTP/1.1 200").count(), 1, "{answers}");
        assert_eq!(answers.matches("HTTP/1.1 403").count(), 1, "{answers}");
        let calls = server.s3.calls();
        assert_eq!(calls.len(), before + 1);
        assert_eq!(calls[before], format!("get bucket/key by {KEY}"));
    }
}

#[tokio::test]
async fn request_within_a_body_is_no_request() {
    let server = Server::start().await;
    let smuggled = "GET /bucket/secret HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let framed = format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len());
    let length = smuggled.len().to_string();
    for (name, value, body) in [
        ("content-length", length.as_str(), smuggled),
        ("transfer-encoding", "chunked", framed.as_str()),
    ] {
        let get = Signer::default().sign("GET", "/bucket/key", &[RANGE, (name, value)]);
        let mut stream = server.connect().await;
        let all = format!("{}{body}", get.plus("connection", "close").head());
        stream.write_all(all.as_bytes()).await.unwrap();
        let answers = String::from_utf8_lossy(&read_to_end(&mut stream).await).into_owned();
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
    }
    let calls = server.s3.calls();
    assert!(calls.iter().all(|c| c.contains("bucket/key")), "{calls:?}");
}

#[tokio::test]
async fn delete_list_with_a_range_is_checked_like_one_without() {
    let server = Server::start().await;
    let list = "<Delete><Object><Key>a</Key></Object></Delete>";
    let (length, hash) = (list.len().to_string(), sha256_hex(list.as_bytes()));
    let headers = [
        RANGE,
        ("content-length", length.as_str()),
        ("x-amz-content-sha256", hash.as_str()),
    ];
    let post = Signer::default().sign("POST", "/bucket?delete", &headers);
    let other = list.replace("<Key>a", "<Key>b");
    let reply = server.send(&post, other.as_bytes()).await;
    assert_eq!(
        outcome(&reply),
        (400, "XAmzContentSHA256Mismatch"),
        "{reply:?}"
    );
    assert!(server.s3.calls().is_empty());
    assert_eq!(server.send(&post, list.as_bytes()).await.status, 200);
}

#[tokio::test]
async fn tenants_state_holds_for_reads_with_a_range() {
    let server = Server::start().await;
    let signed = |key, method, target| {
        let signer = Signer {
            key,
            ..Signer::default()
        };
        signer.sign(method, target, &[RANGE, ("content-length", "0")])
    };
    let suspended = signed(SUSPENDED, "GET", "/bucket/key");
    assert_eq!(
        outcome(&server.send(&suspended, b"").await),
        (403, "AccessDenied")
    );
    let put = signed(TERMINATING, "PUT", "/bucket/key");
    assert_eq!(
        outcome(&server.send(&put, b"").await),
        (403, "AccessDenied")
    );
    assert!(server.s3.calls().is_empty());
    let read = signed(TERMINATING, "GET", "/bucket/key");
    assert_eq!(server.send(&read, b"").await.status, 200);
}

#[tokio::test]
async fn presigned_url_that_names_its_bodys_hash_takes_that_body_only() {
    let server = Server::start().await;
    let hash = sha256_hex(b"hello");
    let in_header = [("x-amz-content-sha256", hash.as_str())];
    let in_query = format!("/bucket/key?X-Amz-Content-Sha256={hash}");
    let old = Signer {
        age: 6 * DAY,
        ..presigner()
    };
    for put in [
        presigner().sign("PUT", "/bucket/key", &in_header),
        presigner().sign("PUT", &in_query, &[]),
        old.sign("PUT", "/bucket/key", &in_header),
    ] {
        let put = put.plus("content-length", "5");
        let reply = server.send(&put, b"hello").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(server.s3.bodies().pop().unwrap(), "hello");
        let reply = server.send(&put, b"jello").await;
        assert_eq!(
            outcome(&reply),
            (400, "XAmzContentSHA256Mismatch"),
            "{reply:?}"
        );
        assert_eq!(server.s3.bodies().pop().unwrap(), "hello");
        let other = put.head().replace(&hash, &sha256_hex(b"jello"));
        let reply = server.send_raw(format!("{other}jello").as_bytes()).await;
        assert_eq!(outcome(&reply), (403, "SignatureDoesNotMatch"), "{reply:?}");
    }
    let expired = Signer {
        age: 8 * DAY,
        ..presigner()
    };
    let expired = expired.sign("PUT", "/bucket/key", &in_header);
    let reply = server
        .send(&expired.plus("content-length", "5"), b"hello")
        .await;
    assert_eq!(outcome(&reply), (403, "AccessDenied"), "{reply:?}");
    assert_eq!(server.s3.bodies().len(), 3);
}

#[tokio::test]
async fn headers_that_s3_keeps_reach_the_operation_as_they_came() {
    let server = Server::start().await;
    let disposition = "attachment; filename=\"\u{e9}.txt\"";
    let put = Signer::default().sign(
        "PUT",
        "/bucket/key",
        &[
            ("content-length", "0"),
            ("content-disposition", disposition),
            ("expires", "junk"),
            ("x-amz-meta-a", "1"),
            ("x-amz-meta-a", "2"),
        ],
    );
    let reply = server.send(&put, b"").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let disposition = format!("content-disposition: {disposition}");
    assert_eq!(
        server.s3.calls(),
        [
            "put bucket/key a=1,2",
            disposition.as_str(),
            "expires: junk"
        ]
    );
    let get = Signer::default().sign("GET", "/bucket/key?response-expires=x", &[]);
    assert_eq!(server.send(&get, b"").await.status, 200);
}

#[tokio::test]
async fn many_headers_are_taken_and_too_many_get_an_s3_error() {
    let server = Server::start().await;
    let with = |count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("x-amz-meta-{n}")).collect();
        let mut headers: Vec<(&str, &str)> = names.iter().map(|n| (n.as_str(), "v")).collect();
        headers.push(("content-length", "0"));
        Signer::default().sign("PUT", "/bucket/key", &headers)
    };
    assert_eq!(server.send(&with(300), b"").await.status, 200);
    let reply = server.send(&with(600), b"").await;
    assert_eq!(
        outcome(&reply),
        (400, "RequestHeaderSectionTooLarge"),
        "{reply:?}"
    );
    assert_eq!(server.s3.calls().len(), 1);
}

#[tokio::test]
async fn every_error_has_a_sentence() {
    let server = Server::start().await;
    let stranger = Signer {
        secret: "guess",
        ..Signer::default()
    };
    assert_ne!(stranger.secret, SECRET);
    let empty = ("content-length", "0");
    let hash = sha256_hex(b"");
    let hashed = ("x-amz-content-sha256", hash.as_str());
    for (request, code) in [
        (
            stranger.sign("GET", "/bucket/key", &[]),
            "SignatureDoesNotMatch",
        ),
        (
            Signer::default().sign("GET", "/b", &[]),
            "InvalidBucketName",
        ),
        (
            Signer::default().sign("GET", &format!("/bucket/{}", "k".repeat(1025)), &[]),
            "KeyTooLongError",
        ),
        (
            Signer::default().sign("POST", "/bucket?delete", &[empty, hashed]),
            "MissingRequestBodyError",
        ),
        (
            Signer::default().sign("GET", "/bucket?policy", &[]),
            "NotImplemented",
        ),
    ] {
        let reply = server.send(&request, b"").await;
        assert_eq!(reply.code(), code, "{reply:?}");
        let message = reply.body.split("<Message>").nth(1);
        let message = message.and_then(|m| m.split("</Message>").next());
        assert!(message.is_some_and(|m| m.len() > 10), "{reply:?}");
    }
}
