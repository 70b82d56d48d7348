//! What s3s 0.14.1 leaves open, tried on a running server: each attack is answered by the guard, and the S3 behind it is never
//! asked.

use super::harness::{KEY, Reply, Server, Signer, read_to_end, sha256_hex};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn presigner(expires: Duration) -> Signer {
    Signer {
        expires: Some(expires),
        ..Signer::default()
    }
}

async fn refused(server: &Server, bytes: &[u8], status: u16, code: &str) -> Reply {
    let reply = server.send_raw(bytes).await;
    assert_eq!((reply.status, reply.code()), (status, code), "{reply:?}");
    assert!(reply.head.contains("x-amz-request-id: "), "{reply:?}");
    assert!(reply.body.contains("<RequestId>"), "{reply:?}");
    assert!(server.s3.calls().is_empty(), "{:?}", server.s3.calls());
    reply
}

#[tokio::test]
async fn signed_requests_pass_in_header_and_query() {
    let server = Server::start().await;
    let get = Signer::default().sign("GET", "/bucket/a%20b/%C3%BC+c?x-id=GetObject", &[]);
    let reply = server.send(&get, b"").await;
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (200, "hello"),
        "{reply:?}"
    );
    let presigned = presigner(7 * DAY).sign("GET", "/bucket/key", &[]);
    assert_eq!(server.send(&presigned, b"").await.status, 200);
    let calls = server.s3.calls();
    assert_eq!(calls[0], format!("get bucket/a b/ü+c by {KEY}"));
    assert_eq!(calls[1], format!("get bucket/key by {KEY}"));
}

#[tokio::test]
async fn presigned_put_with_an_unsigned_copy_source_is_no_copy() {
    let server = Server::start().await;
    let put = presigner(DAY).sign("PUT", "/bucket/key", &[]);
    let attack = put
        .plus("x-amz-copy-source", "/bucket/other")
        .plus("content-length", "0");
    let reply = refused(&server, attack.head().as_bytes(), 403, "AccessDenied").await;
    assert!(
        reply
            .body
            .contains("<HeadersNotSigned>x-amz-copy-source</HeadersNotSigned>")
    );
}

#[tokio::test]
async fn header_signature_must_cover_every_amz_header() {
    let server = Server::start().await;
    let put = Signer::default().sign("PUT", "/bucket/key", &[("content-length", "0")]);
    for (name, value) in [
        ("x-amz-acl", "public-read"),
        ("x-amz-copy-source", "/bucket/other"),
        ("x-amz-meta-a", "b"),
    ] {
        let attack = put.clone().plus(name, value);
        refused(&server, attack.head().as_bytes(), 403, "AccessDenied").await;
    }
}

#[tokio::test]
async fn signature_version_2_is_refused() {
    let server = Server::start().await;
    let header = "GET /bucket/key HTTP/1.1\r\nhost: localhost\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                  authorization: AWS AKIDACTIVE:c2lnbmF0dXJl\r\n\r\n";
    refused(&server, header.as_bytes(), 400, "InvalidRequest").await;
    let query = "GET /bucket/key?AWSAccessKeyId=AKIDACTIVE&Expires=9999999999&Signature=c2ln HTTP/1.1\r\n\
                 host: localhost\r\n\r\n";
    refused(&server, query.as_bytes(), 400, "InvalidRequest").await;
}

#[tokio::test]
async fn anonymous_requests_are_refused() {
    let server = Server::start().await;
    let bare = b"GET /bucket/key HTTP/1.1\r\nhost: localhost\r\n\r\n";
    refused(&server, bare, 403, "AccessDenied").await;
    let options =
        b"OPTIONS /bucket/key HTTP/1.1\r\nhost: localhost\r\norigin: https://a.example\r\n\r\n";
    refused(&server, options, 400, "BadRequest").await;
}

#[tokio::test]
async fn doubly_signed_requests_are_refused() {
    let server = Server::start().await;
    let header = Signer::default().sign("GET", "/bucket/key", &[]);
    let authorization = header.header("authorization").to_owned();
    let twice = header.plus("authorization", &authorization);
    refused(&server, twice.head().as_bytes(), 400, "InvalidArgument").await;
    let both = presigner(DAY)
        .sign("GET", "/bucket/key", &[])
        .plus("authorization", &authorization);
    refused(&server, both.head().as_bytes(), 400, "InvalidArgument").await;
}

#[tokio::test]
async fn presigned_urls_live_at_most_seven_days() {
    let server = Server::start().await;
    let code = "AuthorizationQueryParametersError";
    let long = presigner(7 * DAY + Duration::from_secs(1)).sign("GET", "/bucket/key", &[]);
    refused(&server, long.head().as_bytes(), 400, code).await;
    let endless = long.head().replace("&X-Amz-Expires=604801", "");
    refused(&server, endless.as_bytes(), 400, code).await;
    let mut expired = presigner(Duration::from_secs(60));
    expired.age = Duration::from_secs(62);
    let expired = expired.sign("GET", "/bucket/key", &[]);
    refused(&server, expired.head().as_bytes(), 403, "AccessDenied").await;
}

#[tokio::test]
async fn old_and_future_signatures_are_refused() {
    let server = Server::start().await;
    let old = Signer {
        age: Duration::from_secs(16 * 60),
        ..Signer::default()
    };
    let old = old.sign("GET", "/bucket/key", &[]);
    refused(&server, old.head().as_bytes(), 403, "RequestTimeTooSkewed").await;
}

#[tokio::test]
async fn session_token_and_metadata_without_a_name_are_refused() {
    let server = Server::start().await;
    for (name, code) in [
        ("x-amz-security-token", "InvalidToken"),
        ("x-amz-meta-", "InvalidArgument"),
    ] {
        let headers = [("content-length", "0"), (name, "abc")];
        let put = Signer::default().sign("PUT", "/bucket/key", &headers);
        refused(&server, put.head().as_bytes(), 400, code).await;
        let put = presigner(DAY).sign("PUT", &format!("/bucket/key?{name}=abc"), &[]);
        let put = put.plus("content-length", "0");
        refused(&server, put.head().as_bytes(), 400, code).await;
    }
}

#[tokio::test]
async fn scope_must_be_of_s3_and_the_tenants_region() {
    let server = Server::start().await;
    let sign = |region, service| {
        let signer = Signer {
            region,
            service,
            ..Signer::default()
        };
        signer.sign("GET", "/bucket/key", &[]).head()
    };
    let code = "AuthorizationHeaderMalformed";
    let reply = refused(&server, sign("eu-west-3", "s3").as_bytes(), 400, code).await;
    assert!(reply.body.contains("<Region>eu-central-1</Region>"));
    refused(&server, sign("eu-central-1", "sts").as_bytes(), 400, code).await;
    let anywhere = server.send_raw(sign("us-east-1", "s3").as_bytes()).await;
    assert_eq!(anywhere.status, 200);
}

#[tokio::test]
async fn unsigned_form_is_refused_before_its_file_is_read() {
    let server = Server::start().await;
    let form = b"POST /bucket HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5000000000\r\n\
                 content-type: multipart/form-data; boundary=x\r\n\r\n--x\r\n\
                 content-disposition: form-data; name=\"file\"\r\n\r\nthe beginning";
    refused(&server, form, 403, "AccessDenied").await;
}

#[tokio::test]
async fn subresource_without_a_route_is_not_the_plain_operation() {
    let server = Server::start().await;
    let delete = Signer::default().sign("DELETE", "/bucket?versioning", &[]);
    refused(&server, delete.head().as_bytes(), 405, "MethodNotAllowed").await;
    let rename = Signer::default().sign(
        "PUT",
        "/bucket/key?renameObject",
        &[("content-length", "0")],
    );
    refused(&server, rename.head().as_bytes(), 501, "NotImplemented").await;
}

#[tokio::test]
async fn subresource_of_another_level_destroys_nothing() {
    let server = Server::start().await;
    for (method, target) in [
        ("PUT", "/bucket/key?policy"),
        ("PUT", "/bucket/key?versioning"),
        ("PUT", "/bucket%2Fkey?policy"),
        ("DELETE", "/bucket/key?lifecycle"),
        ("DELETE", "/bucket?uploadId=x"),
        ("DELETE", "/bucket?versionId=x"),
        ("DELETE", "/bucket?partNumber=1"),
        ("DELETE", "/bucket/key?of-tomorrow"),
    ] {
        let attack = Signer::default().sign(method, target, &[("content-length", "0")]);
        let reply = server.send(&attack, b"").await;
        assert!(
            [400, 405, 501].contains(&reply.status),
            "{target}: {reply:?}"
        );
        assert!(server.s3.calls().is_empty(), "{target}");
    }
}

#[tokio::test]
async fn delete_list_with_a_wrong_digest_deletes_nothing() {
    let server = Server::start().await;
    let list = "<Delete><Object><Key>a</Key></Object></Delete>";
    let length = list.len().to_string();
    for (name, value, code) in [
        ("content-md5", "MDAwMDAwMDAwMDAwMDAwMA==", "BadDigest"),
        ("content-md5", "xx", "InvalidDigest"),
        ("x-amz-checksum-crc32", "AAAAAA==", "BadDigest"),
        ("x-amz-meta-a", "no digest", "InvalidRequest"),
    ] {
        let headers = [("content-length", length.as_str()), (name, value)];
        let post = Signer::default().sign("POST", "/bucket?delete", &headers);
        let attack = [post.head().as_bytes(), list.as_bytes()].concat();
        refused(&server, &attack, 400, code).await;
    }
}

#[tokio::test]
async fn delete_list_with_cdata_deletes_nothing() {
    let server = Server::start().await;
    let list = "<Delete><Object><Key>a<![CDATA[b]]></Key></Object></Delete>";
    let (length, hash) = (list.len().to_string(), sha256_hex(list.as_bytes()));
    let headers = [
        ("content-length", length.as_str()),
        ("x-amz-content-sha256", hash.as_str()),
    ];
    let post = Signer::default().sign("POST", "/bucket?delete", &headers);
    let attack = [post.head().as_bytes(), list.as_bytes()].concat();
    refused(&server, &attack, 400, "MalformedXML").await;
}

#[tokio::test]
async fn document_over_its_cap_is_refused_before_it_is_read() {
    let server = Server::start().await;
    let post = Signer::default().sign("POST", "/bucket?delete", &[("content-length", "9000000")]);
    let code = "MaxMessageLengthExceeded";
    refused(&server, post.head().as_bytes(), 400, code).await;
}

#[tokio::test]
async fn amz_parameters_of_a_presigned_url_count_as_headers() {
    let server = Server::start().await;
    let put = |target: &str| {
        presigner(DAY)
            .sign("PUT", target, &[])
            .plus("content-length", "0")
    };
    let copy = put("/bucket/key?x-amz-copy-source=%2Fbucket%2Fother");
    assert_eq!(server.send(&copy, b"").await.status, 200);
    assert_eq!(server.s3.calls(), ["copy to key"]);
    let colored = put("/bucket/key?x-amz-meta-color=red");
    assert_eq!(server.send(&colored, b"").await.status, 200);
    assert_eq!(server.s3.calls()[1], "put bucket/key color=red");
    let wrong = put("/bucket/key?x-amz-checksum-crc32=nonsense");
    assert_eq!(server.send(&wrong, b"").await.code(), "InvalidRequest");
    let twice = put("/bucket/key?x-amz-acl=private&X-Amz-Acl=public-read");
    assert_eq!(server.send(&twice, b"").await.code(), "InvalidArgument");
    assert_eq!(server.s3.calls().len(), 2);
}

#[tokio::test]
async fn put_without_a_length_is_refused() {
    let server = Server::start().await;
    let put = Signer::default().sign("PUT", "/bucket/key", &[]);
    refused(&server, put.head().as_bytes(), 411, "MissingContentLength").await;
    let empty = Signer::default().sign("PUT", "/bucket/key", &[("content-length", "0")]);
    assert_eq!(server.send(&empty, b"").await.status, 200);
    assert_eq!(server.s3.bodies(), [""]);
}

#[tokio::test]
async fn body_above_the_cap_is_refused_before_it_is_read() {
    let server = Server::start().await;
    let put = Signer::default().sign("PUT", "/bucket/key", &[("content-length", "5368709121")]);
    refused(&server, put.head().as_bytes(), 400, "EntityTooLarge").await;
}

#[tokio::test]
async fn length_beside_chunked_encoding_smuggles_nothing() {
    let server = Server::start().await;
    let smuggled = Signer::default()
        .sign("GET", "/bucket/smuggled", &[])
        .head();
    for order in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
    ] {
        let put = Signer::default().sign("PUT", "/bucket/key", &[]).head();
        let head = put.replace("\r\n\r\n", &format!("\r\n{order}\r\n"));
        let mut stream = server.connect().await;
        let attack = format!("{head}0\r\n\r\n{smuggled}");
        let _ = stream.write_all(attack.as_bytes()).await;
        let all = String::from_utf8_lossy(&read_to_end(&mut stream).await).into_owned();
        assert_eq!(all.matches("HTTP/1.1 ").count(), 1, "{all}");
        assert!(all.contains("411"), "{all}");
        assert!(server.s3.calls().is_empty());
    }
}

#[tokio::test]
async fn second_host_and_conflicting_lengths_are_refused() {
    let server = Server::start().await;
    let get = Signer::default().sign("GET", "/bucket/key", &[]);
    let two = get.clone().plus("host", "localhost");
    refused(&server, two.head().as_bytes(), 400, "BadRequest").await;
    let elsewhere = get.head().replace("GET /", "GET http://other.example/");
    refused(&server, elsewhere.as_bytes(), 400, "BadRequest").await;
    let lengths = get.plus("content-length", "1").plus("content-length", "2");
    let reply = server.send_raw(lengths.head().as_bytes()).await;
    assert_eq!(reply.status, 400);
    assert!(server.s3.calls().is_empty());
}

#[tokio::test]
async fn unknown_checksums_and_trailers_are_refused() {
    let server = Server::start().await;
    let put =
        |headers: &[(&str, &str)]| Signer::default().sign("PUT", "/bucket/key", headers).head();
    for (name, value) in [
        ("x-amz-checksum-md4", "AAAA"),
        ("x-amz-checksum-crc32", "not base64"),
        ("x-amz-sdk-checksum-algorithm", "ROT13"),
        ("x-amz-sdk-checksum-algorithm", "CRC32"),
        ("x-amz-trailer", "x-amz-checksum-crc32"),
    ] {
        let attack = put(&[("content-length", "0"), (name, value)]);
        refused(&server, attack.as_bytes(), 400, "InvalidRequest").await;
    }
    let trailer = put(&[
        ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ("x-amz-decoded-content-length", "0"),
        ("x-amz-trailer", "x-amz-meta-a"),
    ]);
    refused(&server, trailer.as_bytes(), 400, "InvalidRequest").await;
}

#[tokio::test]
async fn content_sha256_must_be_there_and_known() {
    let server = Server::start().await;
    let get = |value| {
        Signer::default()
            .sign("GET", "/bucket/key", &[("x-amz-content-sha256", value)])
            .head()
    };
    let reply = refused(&server, get("unsigned").as_bytes(), 400, "InvalidArgument").await;
    assert!(reply.body.contains("UNSIGNED-PAYLOAD"));
    let upper = sha256_hex(b"").to_uppercase();
    refused(&server, get(&upper).as_bytes(), 400, "InvalidArgument").await;
}

#[tokio::test]
async fn tampered_requests_do_not_match_their_signature() {
    let server = Server::start().await;
    let get = Signer::default().sign("GET", "/bucket/key", &[("x-amz-meta-a", "1")]);
    for tampered in [
        get.head().replace("/bucket/key", "/bucket/other"),
        get.head().replace("x-amz-meta-a: 1", "x-amz-meta-a: 2"),
        get.head().replace("GET", "DELETE"),
    ] {
        refused(&server, tampered.as_bytes(), 403, "SignatureDoesNotMatch").await;
    }
}
