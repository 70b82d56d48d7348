//! Bodies that are not what was declared never reach an operation as whole.

use super::harness::{Reply, Server, Signed, Signer, sha256_hex};
use tokio::io::AsyncWriteExt;

const SIGNED_CHUNKS: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const UNSIGNED_CHUNKS: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

fn put(headers: &[(&str, &str)]) -> Signed {
    Signer::default().sign("PUT", "/bucket/key", headers)
}

fn unsigned_chunks(decoded: &str, length: usize) -> Signed {
    put(&[
        ("x-amz-content-sha256", UNSIGNED_CHUNKS),
        ("x-amz-decoded-content-length", decoded),
        ("x-amz-trailer", "x-amz-checksum-crc32"),
        ("content-length", &length.to_string()),
    ])
}

async fn send_unsigned(server: &Server, decoded: &str, body: &str) -> Reply {
    let request = unsigned_chunks(decoded, body.len());
    server.send(&request, body.as_bytes()).await
}

/// Sends two signed chunks and the empty last one, without the last `cut` bytes.
async fn send_signed(server: &Server, decoded: &str, cut: usize) -> Reply {
    let signer = Signer::default();
    let chunks: &[&[u8]] = &[b"hello ", b"world"];
    // The length of the encoding does not depend on the signatures in it.
    let bare = put(&[("x-amz-content-sha256", SIGNED_CHUNKS)]);
    let length = signer.chunks(&bare, chunks).len() - cut;
    let request = put(&[
        ("x-amz-content-sha256", SIGNED_CHUNKS),
        ("x-amz-decoded-content-length", decoded),
        ("content-length", &length.to_string()),
    ]);
    let mut body = signer.chunks(&request, chunks);
    body.truncate(length);
    server.send(&request, &body).await
}

#[tokio::test]
async fn whole_bodies_pass_in_every_form() {
    let server = Server::start().await;
    let hash = sha256_hex(b"hello");
    let plain = put(&[("content-length", "5"), ("x-amz-content-sha256", &hash)]);
    assert_eq!(server.send(&plain, b"hello").await.status, 200);
    let reply = send_signed(&server, "11", 0).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let body = "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n";
    let reply = send_unsigned(&server, "5", body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let request = put(&[
        ("x-amz-content-sha256", UNSIGNED_CHUNKS),
        ("x-amz-decoded-content-length", "5"),
        ("x-amz-trailer", "x-amz-checksum-crc32"),
        ("transfer-encoding", "chunked"),
    ]);
    let framed = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let reply = server.send(&request, framed.as_bytes()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(
        server.s3.bodies(),
        ["hello", "hello world", "hello", "hello"]
    );
}

#[tokio::test]
async fn body_with_another_hash_is_refused() {
    let server = Server::start().await;
    let hash = sha256_hex(b"hello");
    let request = put(&[("content-length", "5"), ("x-amz-content-sha256", &hash)]);
    let reply = server.send(&request, b"jello").await;
    assert_eq!(
        (reply.status, reply.code()),
        (400, "XAmzContentSHA256Mismatch"),
        "{reply:?}"
    );
    assert!(server.s3.bodies().is_empty());
}

#[tokio::test]
async fn document_with_another_hash_is_refused_and_not_an_internal_error() {
    let server = Server::start().await;
    let delete = "<Delete><Object><Key>a</Key></Object></Delete>";
    let length = delete.len().to_string();
    let hash = sha256_hex(delete.as_bytes());
    let request = Signer::default().sign(
        "POST",
        "/bucket?delete",
        &[("content-length", &length), ("x-amz-content-sha256", &hash)],
    );
    let reply = server.send(&request, delete.as_bytes()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let tampered = delete.replace("<Key>a", "<Key>b");
    let reply = server.send(&request, tampered.as_bytes()).await;
    assert_eq!(
        (reply.status, reply.code()),
        (400, "XAmzContentSHA256Mismatch"),
        "{reply:?}"
    );
    assert_eq!(server.s3.calls(), ["delete 1 objects"]);
}

#[tokio::test]
async fn signed_body_that_ends_between_chunks_is_refused() {
    let server = Server::start().await;
    // Without the last, empty chunk: s3s takes that for a whole body.
    let last = format!("0;chunk-signature={}\r\n\r\n", "0".repeat(64)).len();
    let reply = send_signed(&server, "11", last).await;
    assert_eq!(
        (reply.status, reply.code()),
        (400, "IncompleteBody"),
        "{reply:?}"
    );
    assert!(server.s3.bodies().is_empty());
}

#[tokio::test]
async fn decoded_length_that_does_not_match_is_refused() {
    let server = Server::start().await;
    for decoded in ["10", "12", "0"] {
        let reply = send_signed(&server, decoded, 0).await;
        assert_eq!(
            (reply.status, reply.code()),
            (400, "IncompleteBody"),
            "{reply:?}"
        );
    }
    let body = "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n";
    let reply = send_unsigned(&server, "6", body).await;
    assert_eq!(
        (reply.status, reply.code()),
        (400, "IncompleteBody"),
        "{reply:?}"
    );
    assert!(server.s3.bodies().is_empty());
}

#[tokio::test]
async fn chunk_with_another_signature_is_refused() {
    let server = Server::start().await;
    let bare = put(&[("x-amz-content-sha256", SIGNED_CHUNKS)]);
    let body = Signer::default().chunks(&bare, &[b"hello"]);
    let request = put(&[
        ("x-amz-content-sha256", SIGNED_CHUNKS),
        ("x-amz-decoded-content-length", "5"),
        ("content-length", &body.len().to_string()),
    ]);
    let mut body = Signer::default().chunks(&request, &[b"hello"]);
    let at = body.windows(5).position(|w| w == b"hello").unwrap();
    body[at] = b'j';
    let reply = server.send(&request, &body).await;
    assert_eq!(
        (reply.status, reply.code()),
        (403, "SignatureDoesNotMatch"),
        "{reply:?}"
    );
    assert!(server.s3.bodies().is_empty());
}

#[tokio::test]
async fn oversized_signed_chunk_is_refused_at_its_line() {
    let server = Server::limited(|l| l.body.signed_chunk_bytes_max = 1000).await;
    let request = put(&[
        ("x-amz-content-sha256", SIGNED_CHUNKS),
        ("x-amz-decoded-content-length", "4294967295"),
        ("content-length", "4294967500"),
    ]);
    let line = format!("ffffffff;chunk-signature={}\r\n", "0".repeat(64));
    let reply = server.send(&request, line.as_bytes()).await;
    assert_eq!(
        (reply.status, reply.code()),
        (400, "InvalidRequest"),
        "{reply:?}"
    );
}

#[tokio::test]
async fn stripped_or_foreign_trailer_is_refused() {
    let server = Server::start().await;
    for tail in [
        "",
        "x-amz-checksum-crc32c:NhCmhg==\r\n",
        "x-amz-checksum-crc32:NhCmhg==\r\nx-amz-meta-a:1\r\n",
    ] {
        let body = format!("5\r\nhello\r\n0\r\n{tail}\r\n");
        let reply = send_unsigned(&server, "5", &body).await;
        assert_eq!(
            (reply.status, reply.code()),
            (400, "InvalidRequest"),
            "{reply:?}"
        );
    }
    assert!(server.s3.bodies().is_empty());
}

#[tokio::test]
async fn connection_that_breaks_within_a_body_stores_nothing() {
    let server = Server::start().await;
    let request = put(&[("content-length", "10")]);
    let mut stream = server.connect().await;
    stream.write_all(request.head().as_bytes()).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    stream.shutdown().await.unwrap();
    let reply = Reply::read(&mut stream).await.unwrap();
    assert_eq!(
        (reply.status, reply.code()),
        (400, "IncompleteBody"),
        "{reply:?}"
    );
    assert_eq!(server.s3.calls(), ["put bucket/key"]);
    assert!(server.s3.bodies().is_empty());
}

#[tokio::test]
async fn documents_past_their_bound_in_all_are_told_to_slow_down() {
    let server = Server::limited(|l| l.documents_bytes_max = 16 * 1024).await;
    let list = "<Delete><Object><Key>a</Key></Object></Delete>";
    let hash = sha256_hex(list.as_bytes());
    let sign = |length: usize| {
        let headers = [
            ("content-length", &*length.to_string()),
            ("x-amz-content-sha256", hash.as_str()),
        ];
        Signer::default().sign("POST", "/bucket?delete", &headers)
    };
    let mut stalled = server.connect().await;
    let head = sign(4000).head();
    stalled.write_all(head.as_bytes()).await.unwrap();
    let refused = async {
        loop {
            let reply = server.send(&sign(list.len()), list.as_bytes()).await;
            if reply.status != 200 {
                break reply;
            }
        }
    };
    let reply = tokio::time::timeout(std::time::Duration::from_secs(10), refused);
    let reply = reply.await.unwrap();
    assert_eq!((reply.status, reply.code()), (503, "SlowDown"), "{reply:?}");
    drop(stalled);
    let taken =
        async { while server.send(&sign(list.len()), list.as_bytes()).await.status != 200 {} };
    let taken = tokio::time::timeout(std::time::Duration::from_secs(10), taken);
    assert!(taken.await.is_ok(), "the room is given back");
}
