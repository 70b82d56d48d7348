//! Copies and Completes that take longer than a client waits.

use super::harness::{Server, Signed, Signer, read_to_end, sha256_hex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const COMPLETE: &str = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>";

/// One of each, with what its answer's document is called.
fn requests(outcome: &str) -> Vec<(Signed, &'static str, &'static str)> {
    let outcome = ("x-amz-meta-outcome", outcome);
    let copy = [("x-amz-copy-source", "/bucket/other"), outcome];
    let (length, hash) = (COMPLETE.len().to_string(), sha256_hex(COMPLETE.as_bytes()));
    let complete = [
        ("content-length", length.as_str()),
        ("x-amz-content-sha256", hash.as_str()),
        outcome,
    ];
    let sign = |method, target, headers: &[(&str, &str)]| {
        Signer::default()
            .sign(method, target, headers)
            .plus("connection", "close")
    };
    vec![
        (sign("PUT", "/bucket/key", &copy), "", "CopyObjectResult"),
        (
            sign("PUT", "/bucket/key?partNumber=1&uploadId=u", &copy),
            "",
            "CopyPartResult",
        ),
        (
            sign("POST", "/bucket/key?uploadId=u", &complete),
            COMPLETE,
            "CompleteMultipartUploadResult",
        ),
    ]
}

async fn begin(server: &Server, request: &Signed, body: &str) -> TcpStream {
    let calls = server.s3.calls().len();
    let mut stream = server.connect().await;
    let bytes = format!("{}{body}", request.head());
    stream.write_all(bytes.as_bytes()).await.unwrap();
    while server.s3.calls().len() == calls {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stream
}

async fn answer(mut stream: TcpStream) -> String {
    String::from_utf8_lossy(&read_to_end(&mut stream).await).into_owned()
}

#[tokio::test]
async fn outcome_in_time_has_its_own_status() {
    let server = Server::start().await;
    for (outcome, status) in [("succeeds", "HTTP/1.1 200"), ("fails", "HTTP/1.1 412")] {
        for (request, body, _) in requests(outcome) {
            let stream = begin(&server, &request, body).await;
            server.s3.gate.notify_one();
            let answer = answer(stream).await;
            assert!(answer.starts_with(status), "{answer}");
        }
    }
}

#[tokio::test]
async fn outcome_that_comes_late_is_in_the_body_behind_white_space() {
    let server = Server::limited(|l| {
        l.long_answers.status_within = Duration::from_millis(20);
        l.long_answers.white_space_every = Duration::from_millis(20);
    })
    .await;
    for outcome in ["succeeds", "fails"] {
        for (request, body, document) in requests(outcome) {
            let stream = begin(&server, &request, body).await;
            // The answer begins before the operation ends.
            let mut first = [0; 15];
            let peeked = tokio::time::timeout(Duration::from_secs(10), stream.peek(&mut first));
            assert!(peeked.await.unwrap().unwrap() > 0);
            tokio::time::sleep(Duration::from_millis(100)).await;
            server.s3.gate.notify_one();
            let answer = answer(stream).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert!(answer.contains("x-amz-request-id: "), "{answer}");
            assert!(answer.contains("content-type: application/xml"), "{answer}");
            assert!(answer.contains("1\r\n \r\n"), "no white space: {answer}");
            assert_eq!(answer.matches("<?xml").count(), 1, "{answer}");
            let expected = match outcome {
                "succeeds" => document,
                _ => "Error><Code>PreconditionFailed</Code",
            };
            assert!(answer.contains(&format!("<{expected}")), "{answer}");
        }
    }
}

#[tokio::test]
async fn operation_goes_on_when_its_client_has_gone() {
    let server = Server::limited(|l| {
        l.long_answers.status_within = Duration::from_millis(5);
        l.long_answers.white_space_every = Duration::from_millis(5);
    })
    .await;
    for (request, body, _) in requests("succeeds") {
        let mut stream = begin(&server, &request, body).await;
        let mut first = [0; 15];
        stream.read_exact(&mut first).await.unwrap();
        drop(stream);
        // White space finds that nobody is there; the answer is given up.
        let before = server.s3.calls().len();
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.s3.gate.notify_one();
        for _ in 0..500 {
            if server.s3.calls().len() > before {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(server.s3.calls().pop().unwrap(), "done");
    }
}
