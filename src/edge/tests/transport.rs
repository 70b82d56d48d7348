//! TLS as it is spoken, and plain HTTP where it is not.

use super::harness::{FewKeys, Reply, Server, Signer};
use super::trivial_s3::TrivialS3;
use crate::clock::SystemClock;
use crate::edge::{
    CertificateFiles, EdgeConfig, EdgeError, EdgeLimits, HostRules, Transport, serve,
};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

fn write_pair(dir: &Path) -> (CertificateFiles, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let files = CertificateFiles {
        cert: dir.join("cert.pem"),
        key: dir.join("key.pem"),
    };
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    std::fs::write(&files.cert, made.cert.pem()).unwrap();
    (files, made.cert.der().clone())
}

async fn connect(
    server: &Server,
    root: &CertificateDer<'static>,
    version: &'static SupportedProtocolVersion,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, server.connect().await)
        .await
}

async fn get(stream: &mut TlsStream<TcpStream>) -> u16 {
    let get = Signer::default().sign("GET", "/bucket/key", &[]);
    stream.write_all(get.head().as_bytes()).await.unwrap();
    Reply::read(stream).await.unwrap().status
}

#[tokio::test]
async fn customer_key_is_taken_over_tls_alone_and_is_in_no_header_after_that() {
    use base64::Engine as _;
    use md5::Digest as _;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let (key, md5) = (encode(&[0x5a; 32]), encode(&md5::Md5::digest([0x5a; 32])));
    let names = ["algorithm", "key", "key-md5"]
        .map(|name| format!("x-amz-server-side-encryption-customer-{name}"));
    let headers = [
        (names[0].as_str(), "AES256"),
        (names[1].as_str(), key.as_str()),
        (names[2].as_str(), md5.as_str()),
        ("content-length", "0"),
    ];
    let put = Signer::default().sign("PUT", "/bucket/key", &headers);
    let server = Server::start().await;
    let refused = server.send(&put, b"").await;
    assert_eq!((refused.status, refused.code()), (400, "InvalidRequest"));
    assert!(!refused.body.contains(&key) && server.s3.calls().is_empty());

    let dir = tempfile::tempdir().unwrap();
    let (files, root) = write_pair(dir.path());
    let server = Server::with(EdgeLimits::default(), Transport::Tls(files)).await;
    let mut stream = connect(&server, &root, &rustls::version::TLS13)
        .await
        .unwrap();
    stream.write_all(put.head().as_bytes()).await.unwrap();
    let taken = Reply::read(&mut stream).await.unwrap();
    assert_eq!(taken.status, 200, "{}", taken.body);
    assert_eq!(server.s3.calls(), ["put bucket/key"]);
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken() {
    let dir = tempfile::tempdir().unwrap();
    let (files, root) = write_pair(dir.path());
    let server = Server::with(EdgeLimits::default(), Transport::Tls(files)).await;
    for (version, expected) in [
        (&rustls::version::TLS12, ProtocolVersion::TLSv1_2),
        (&rustls::version::TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let mut stream = connect(&server, &root, version).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(expected));
        assert_eq!(get(&mut stream).await, 200);
    }
}

/// A ClientHello of TLS 1.1 with two of its cipher suites.
fn tls_1_1_hello() -> Vec<u8> {
    let mut body = vec![0x03, 0x02];
    body.extend([7; 32]);
    body.push(0);
    body.extend([0, 4, 0xc0, 0x13, 0x00, 0x2f]);
    body.extend([1, 0]);
    let mut handshake = vec![1, 0, 0, u8::try_from(body.len()).unwrap()];
    handshake.extend(body);
    let mut record = vec![22, 3, 1, 0, u8::try_from(handshake.len()).unwrap()];
    record.extend(handshake);
    record
}

#[tokio::test]
async fn tls_1_1_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (files, _) = write_pair(dir.path());
    let server = Server::with(EdgeLimits::default(), Transport::Tls(files)).await;
    let mut stream = server.connect().await;
    stream.write_all(&tls_1_1_hello()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    // A fatal alert: protocol_version (70) or handshake_failure (40), and nothing else.
    assert_eq!(answer.first(), Some(&21), "{answer:?}");
    assert_eq!(answer.get(5), Some(&2), "{answer:?}");
    assert!(matches!(answer.get(6), Some(40 | 70)), "{answer:?}");
    assert_eq!(answer.len(), 7);
}

#[tokio::test]
async fn slow_handshake_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let (files, _) = write_pair(dir.path());
    let limits = EdgeLimits {
        handshake_max: Duration::from_millis(100),
        ..EdgeLimits::default()
    };
    let server = Server::with(limits, Transport::Tls(files)).await;
    let mut stream = server.connect().await;
    stream.write_all(&tls_1_1_hello()[..9]).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut [0; 1])).await;
    assert!(matches!(ended, Ok(Ok(0) | Err(_))), "{ended:?}");
}

#[tokio::test]
async fn certificate_is_replaced_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (files, old) = write_pair(dir.path());
    let limits = EdgeLimits {
        certificate_poll: Duration::from_millis(20),
        ..EdgeLimits::default()
    };
    let server = Server::with(limits, Transport::Tls(files.clone())).await;
    let mut kept = connect(&server, &old, &rustls::version::TLS13)
        .await
        .unwrap();
    assert_eq!(get(&mut kept).await, 200);

    std::fs::write(&files.key, "broken").unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(
        connect(&server, &old, &rustls::version::TLS13)
            .await
            .is_ok()
    );

    let (_, new) = write_pair(dir.path());
    let mut replaced = false;
    for _ in 0..100 {
        if let Ok(mut stream) = connect(&server, &new, &rustls::version::TLS13).await {
            assert_eq!(get(&mut stream).await, 200);
            replaced = true;
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(replaced);
    assert!(
        connect(&server, &old, &rustls::version::TLS13)
            .await
            .is_err()
    );
    assert_eq!(get(&mut kept).await, 200, "old connections go on");
}

async fn start(address: &str, transport: Transport) -> Result<(), EdgeError> {
    let listener = TcpListener::bind(address).await.unwrap();
    let config = EdgeConfig {
        transport,
        hosts: HostRules::default(),
        limits: EdgeLimits::default(),
    };
    let (s3, clock) = (TrivialS3::default(), Arc::new(SystemClock));
    let stop = std::future::ready(());
    serve(config, listener, s3, Arc::new(FewKeys), clock, stop)
        .await
        .map(|_| ())
}

#[tokio::test]
async fn plain_http_off_loopback_is_refused_at_the_start() {
    let refused = start("0.0.0.0:0", Transport::PlainHttpOnLoopback)
        .await
        .unwrap_err();
    assert!(matches!(refused, EdgeError::PlainHttpOffLoopback { .. }));
    assert!(refused.to_string().contains("[s3] tls"), "{refused}");
    assert!(
        start("127.0.0.1:0", Transport::PlainHttpOnLoopback)
            .await
            .is_ok()
    );
    let missing = CertificateFiles {
        cert: "/nonexistent/cert.pem".into(),
        key: "/nonexistent/key.pem".into(),
    };
    let refused = start("127.0.0.1:0", Transport::Tls(missing))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("/nonexistent/cert.pem"));
}
