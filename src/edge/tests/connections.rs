//! Connections: deadlines, bounds, and how they end.

use super::harness::{Reply, Server, Signer, read_to_end};
use crate::edge::{DrainOutcome, EdgeLimits};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;

const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn connection_is_kept_for_the_next_request() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    for _ in 0..3 {
        let get = Signer::default().sign("GET", "/bucket/key", &[]);
        stream.write_all(get.head().as_bytes()).await.unwrap();
        assert_eq!(Reply::read(&mut stream).await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn slow_head_is_given_up() {
    let server = Server::limited(|l| l.head_max = SHORT).await;
    let mut stream = server.connect().await;
    let began = Instant::now();
    for byte in b"GET / HTTP/1.1\r\nhost: localhost\r\nx-a: b"
        .iter()
        .cycle()
    {
        if stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        if began.elapsed() > 5 * SHORT {
            break;
        }
    }
    assert!(read_to_end(&mut stream).await.is_empty());
    assert!(began.elapsed() < 20 * SHORT);
}

#[tokio::test]
async fn idle_connection_is_closed() {
    let server = Server::limited(|l| l.idle_max = SHORT).await;
    let mut stream = server.connect().await;
    let get = Signer::default().sign("GET", "/bucket/key", &[]);
    stream.write_all(get.head().as_bytes()).await.unwrap();
    assert_eq!(Reply::read(&mut stream).await.unwrap().status, 200);
    let began = Instant::now();
    assert!(read_to_end(&mut stream).await.is_empty());
    assert!(began.elapsed() < 10 * SHORT);
}

#[tokio::test]
async fn silent_body_is_given_up_with_an_answer() {
    let server = Server::limited(|l| l.body_quiet_max = SHORT).await;
    let put = Signer::default().sign("PUT", "/bucket/key", &[("content-length", "10")]);
    let mut stream = server.connect().await;
    stream.write_all(put.head().as_bytes()).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    let reply = Reply::read(&mut stream).await.unwrap();
    assert_eq!(
        (reply.status, reply.code()),
        (400, "RequestTimeout"),
        "{reply:?}"
    );
    assert!(server.s3.bodies().is_empty());
}

#[tokio::test]
async fn oversized_heads_are_refused() {
    let server = Server::limited(|l| {
        l.head_bytes_max = 8192;
        l.headers_max = 16;
    })
    .await;
    let large = |bytes| format!("x-a: {}\r\n", "a".repeat(bytes));
    let many = |headers| "x-a: b\r\n".repeat(headers);
    for (headers, status, code) in [
        (large(9000), 400, "RequestHeaderSectionTooLarge"),
        (many(20), 400, "RequestHeaderSectionTooLarge"),
        (large(20_000), 431, ""),
        (many(40), 431, ""),
    ] {
        let get = format!("GET / HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
        let reply = server.send_raw(get.as_bytes()).await;
        assert_eq!((reply.status, reply.code()), (status, code), "{reply:?}");
    }
}

#[tokio::test]
async fn early_refusal_of_a_large_upload_reaches_the_client() {
    let server = Server::start().await;
    let put = Signer {
        key: "AKIDUNKNOWN",
        ..Signer::default()
    };
    let size = 900 * 1024;
    let put = put.sign(
        "PUT",
        "/bucket/key",
        &[("content-length", &size.to_string())],
    );
    let mut stream = server.connect().await;
    stream.write_all(put.head().as_bytes()).await.unwrap();
    // The answer is there before the body is; a reset would make these writes fail and lose the answer.
    tokio::time::sleep(Duration::from_millis(100)).await;
    for _ in 0..9 {
        stream.write_all(&vec![7; size / 9]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let reply = Reply::read(&mut stream).await.unwrap();
    assert_eq!((reply.status, reply.code()), (403, "InvalidAccessKeyId"));
    assert!(reply.head.to_lowercase().contains("connection: close"));
    assert!(read_to_end(&mut stream).await.is_empty());
}

#[tokio::test]
async fn client_that_expects_to_continue_is_refused_without_its_body() {
    let server = Server::start().await;
    let put = Signer::default()
        .sign("PUT", "/bucket/key", &[("content-length", "5368709121")])
        .plus("expect", "100-continue");
    let reply = server.send_raw(put.head().as_bytes()).await;
    assert_eq!((reply.status, reply.code()), (400, "EntityTooLarge"));
    let put = Signer::default()
        .sign("PUT", "/bucket/key", &[("content-length", "5")])
        .plus("expect", "100-continue");
    let mut stream = server.connect().await;
    stream.write_all(put.head().as_bytes()).await.unwrap();
    assert_eq!(Reply::read(&mut stream).await.unwrap().status, 100);
    stream.write_all(b"hello").await.unwrap();
    assert_eq!(Reply::read(&mut stream).await.unwrap().status, 200);
}

/// Waits until the S3 behind the edge has been asked for something more.
async fn asked(server: &Server, before: usize) {
    while server.s3.calls().len() == before {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn connection_that_waited_longest_gives_way() {
    for limit in [
        |l: &mut EdgeLimits| l.connections_per_peer_max = 3,
        |l: &mut EdgeLimits| l.connections_max = 3,
    ] {
        let server = Server::limited(limit).await;
        let get = Signer::default().sign("GET", "/bucket/key", &[]);
        let slow = Signer::default().sign("GET", "/bucket/slow", &[]);
        let mut busy = server.connect().await;
        busy.write_all(slow.head().as_bytes()).await.unwrap();
        asked(&server, 0).await;
        let mut silent = server.connect().await;
        let mut idle = server.connect().await;
        idle.write_all(get.head().as_bytes()).await.unwrap();
        assert_eq!(Reply::read(&mut idle).await.unwrap().status, 200);

        let mut newcomer = server.connect().await;
        newcomer.write_all(get.head().as_bytes()).await.unwrap();
        assert_eq!(Reply::read(&mut newcomer).await.unwrap().status, 200);
        assert!(read_to_end(&mut silent).await.is_empty());

        // Next is the idle one, and never the busy one.
        let reply = server.send(&get, b"").await;
        assert_eq!(reply.status, 200);
        assert!(read_to_end(&mut idle).await.is_empty());
        server.s3.gate.notify_one();
        assert_eq!(Reply::read(&mut busy).await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn newcomer_among_busy_connections_gets_an_answer() {
    let server = Server::limited(|l| l.connections_per_peer_max = 1).await;
    let slow = Signer::default().sign("GET", "/bucket/slow", &[]);
    let mut busy = server.connect().await;
    busy.write_all(slow.head().as_bytes()).await.unwrap();
    asked(&server, 0).await;
    let get = Signer::default().sign("GET", "/bucket/key", &[]);
    let reply = server.send(&get, b"").await;
    assert_eq!((reply.status, reply.code()), (503, "SlowDown"), "{reply:?}");
    let head = reply.head.to_lowercase();
    assert!(head.contains("retry-after: 1") && head.contains("connection: close"));
    assert!(head.contains("x-amz-request-id: "), "{reply:?}");
    server.s3.gate.notify_one();
    assert_eq!(Reply::read(&mut busy).await.unwrap().status, 200);
    assert_eq!(server.send(&get, b"").await.status, 200);
}

#[tokio::test]
async fn half_a_head_that_gives_way_gets_an_answer() {
    let server = Server::limited(|l| l.connections_per_peer_max = 1).await;
    let get = Signer::default().sign("GET", "/bucket/key", &[]);
    let mut slow = server.connect().await;
    slow.write_all(b"GET /bucket/key HTTP/1.1\r\nhost:")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(server.send(&get, b"").await.status, 200);
    let reply = Reply::read(&mut slow).await.unwrap();
    assert_eq!((reply.status, reply.code()), (503, "SlowDown"), "{reply:?}");
    assert!(read_to_end(&mut slow).await.is_empty());
}

#[tokio::test]
async fn silent_connections_shut_nobody_out() {
    let server = Server::limited(|l| {
        l.connections_max = 20;
        l.connections_per_peer_max = 10;
    })
    .await;
    let get = Signer::default().sign("GET", "/bucket/key", &[]);
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(server.connect().await);
        assert_eq!(server.send(&get, b"").await.status, 200);
    }
}

#[tokio::test]
async fn stopping_lets_a_running_request_finish() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    let get = Signer::default().sign("GET", "/bucket/slow", &[]);
    stream.write_all(get.head().as_bytes()).await.unwrap();
    while server.s3.calls().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (s3, address) = (server.s3.clone(), server.address);
    let stopping = tokio::spawn(server.stop());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    s3.gate.notify_one();
    assert_eq!(Reply::read(&mut stream).await.unwrap().status, 200);
    drop(stream);
    let outcome = stopping.await.unwrap();
    assert_eq!(
        outcome,
        DrainOutcome {
            connections_aborted: 0
        }
    );
}

#[tokio::test]
async fn stopping_breaks_off_what_takes_too_long() {
    let server = Server::limited(|l| l.drain_deadline = SHORT).await;
    let mut stream = server.connect().await;
    let get = Signer::default().sign("GET", "/bucket/slow", &[]);
    stream.write_all(get.head().as_bytes()).await.unwrap();
    while server.s3.calls().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let began = Instant::now();
    let outcome = server.stop().await;
    assert_eq!(
        outcome,
        DrainOutcome {
            connections_aborted: 1
        }
    );
    assert!(began.elapsed() >= SHORT && began.elapsed() < 10 * SHORT);
    assert!(Reply::read(&mut stream).await.is_none());
}

#[tokio::test]
async fn error_closes_the_connection_when_the_request_has_a_body_and_only_then() {
    let server = Server::start().await;
    let unknown = Signer {
        key: "AKIDUNKNOWN",
        ..Signer::default()
    };
    let get = unknown.sign("GET", "/bucket/key", &[]);
    let mut stream = server.connect().await;
    for _ in 0..2 {
        stream.write_all(get.head().as_bytes()).await.unwrap();
        let reply = Reply::read(&mut stream).await.unwrap();
        assert_eq!(reply.status, 403);
        assert!(!reply.head.to_lowercase().contains("connection: close"));
    }
    let put = unknown.sign("PUT", "/bucket/key", &[("content-length", "5")]);
    let all = format!("{}hello{}", put.head(), get.head());
    stream.write_all(all.as_bytes()).await.unwrap();
    let reply = Reply::read(&mut stream).await.unwrap();
    assert_eq!(reply.status, 403);
    let head = reply.head.to_lowercase();
    assert!(head.contains("connection: close"), "{reply:?}");
    assert!(read_to_end(&mut stream).await.is_empty());
}
