//! A server with a trivial S3 behind it, a signer, and a client that sends what it is told.

use super::trivial_s3::TrivialS3;
use crate::clock::{Clock, SystemClock, UnixMs};
use crate::edge::{DrainOutcome, EdgeConfig, EdgeError, EdgeLimits, HostRules, Transport, serve};
use crate::tenants::{
    AccessKeyId, AuthError, Authenticator, Caller, RegionName, Tenant, TenantId, TenantName,
    TenantState,
};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

pub const KEY: &str = "AKIDACTIVE";
pub const SUSPENDED: &str = "AKIDSUSPENDED";
pub const TERMINATING: &str = "AKIDTERMINATING";
pub const SHREDDED: &str = "AKIDSHREDDED";
pub const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
pub const REGION: &str = "eu-central-1";

/// Knows one secret and a few keys.
pub struct FewKeys;

#[async_trait::async_trait]
impl Authenticator for FewKeys {
    async fn secret(&self, id: &AccessKeyId) -> Result<(Zeroizing<String>, Caller), AuthError> {
        let state = match id.as_str() {
            KEY => TenantState::Active,
            SUSPENDED => TenantState::Suspended,
            TERMINATING => TenantState::Terminating,
            SHREDDED => TenantState::Shredded,
            "AKIDELSEWHERE" => {
                return Err(AuthError::Elsewhere {
                    public_endpoint: "https://s3.us.example.com".into(),
                });
            }
            "AKIDAWAY" => {
                return Err(AuthError::Unavailable {
                    reason: "postgres://secret@host".into(),
                });
            }
            _ => return Err(AuthError::Unknown),
        };
        let tenant = Tenant {
            id: TenantId::from_bytes([state as u8; 16]),
            name: TenantName::new("acme").unwrap(),
            region: RegionName::new(REGION).unwrap(),
            state,
            created: UnixMs(0),
        };
        let caller = Caller {
            tenant,
            access_key_id: id.clone(),
            grant: Arc::new(crate::tenants::access::Grant::unrestricted()),
        };
        Ok((Zeroizing::new(SECRET.into()), caller))
    }
}

/// A running edge.
pub struct Server {
    pub address: SocketAddr,
    pub s3: TrivialS3,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<DrainOutcome, EdgeError>>,
}

impl Server {
    pub async fn start() -> Self {
        Self::with(EdgeLimits::default(), Transport::PlainHttpOnLoopback).await
    }

    pub async fn limited(change: impl FnOnce(&mut EdgeLimits)) -> Self {
        let mut limits = EdgeLimits::default();
        change(&mut limits);
        Self::with(limits, Transport::PlainHttpOnLoopback).await
    }

    pub async fn with(limits: EdgeLimits, transport: Transport) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let s3 = TrivialS3::default();
        let config = EdgeConfig {
            transport,
            hosts: HostRules::new(&["s3.example.com"]).unwrap(),
            limits,
        };
        let serving = serve(
            config,
            listener,
            s3.clone(),
            Arc::new(FewKeys),
            Arc::new(SystemClock),
            async {
                let _ = stopped.await;
            },
        );
        Self {
            address,
            s3,
            stop,
            running: tokio::spawn(serving),
        }
    }

    /// Says to stop, and waits until it has.
    pub async fn stop(self) -> DrainOutcome {
        let _ = self.stop.send(());
        self.running.await.unwrap().unwrap()
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends one request on a connection of its own.
    pub async fn send(&self, request: &Signed, body: &[u8]) -> Reply {
        self.send_raw(&[request.head().as_bytes(), body].concat())
            .await
    }

    pub async fn send_raw(&self, bytes: &[u8]) -> Reply {
        let mut stream = self.connect().await;
        // The server may answer and close before it has read everything.
        let _ = stream.write_all(bytes).await;
        Reply::read(&mut stream).await.expect("an answer")
    }
}

/// One answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub async fn read<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Option<Self> {
        let mut bytes = Vec::new();
        let head_end = loop {
            if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            let mut buffer = [0; 4096];
            match stream.read(&mut buffer).await {
                Ok(read) if read > 0 => bytes.extend_from_slice(&buffer[..read]),
                _ => return None,
            }
        };
        let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        let lower = head.to_lowercase();
        let length = lower
            .split("content-length: ")
            .nth(1)
            .map_or(0, |l| l.split("\r\n").next().unwrap().parse().unwrap());
        let mut body = bytes[head_end..].to_vec();
        while body.len() < length {
            let mut buffer = [0; 4096];
            match stream.read(&mut buffer).await {
                Ok(read) if read > 0 => body.extend_from_slice(&buffer[..read]),
                _ => break,
            }
        }
        Some(Self {
            status,
            head,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }

    /// The S3 code of an error.
    pub fn code(&self) -> &str {
        let code = self.body.split("<Code>").nth(1);
        code.and_then(|c| c.split("</Code>").next())
            .unwrap_or_default()
    }
}

/// How to sign a request.
#[derive(Clone)]
pub struct Signer {
    pub key: &'static str,
    pub secret: &'static str,
    pub region: &'static str,
    pub service: &'static str,
    pub age: Duration,
    pub expires: Option<Duration>,
}

impl Default for Signer {
    fn default() -> Self {
        Self {
            key: KEY,
            secret: SECRET,
            region: REGION,
            service: "s3",
            age: Duration::ZERO,
            expires: None,
        }
    }
}

/// A signed request without its body.
#[derive(Clone, Debug)]
pub struct Signed {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub time: SystemTime,
}

impl Signed {
    pub fn head(&self) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head + "\r\n"
    }

    /// Adds a header that the signature does not cover.
    pub fn plus(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, v)| v.as_str()).unwrap_or_default()
    }
}

impl Signer {
    /// Signs; the payload is `UNSIGNED-PAYLOAD` unless `headers` or the query say another `x-amz-content-sha256`.
    pub fn sign(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Signed {
        let now = UNIX_EPOCH + Duration::from_millis(SystemClock.now().0.try_into().unwrap());
        let time = now - self.age;
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.expires_in = self.expires;
        settings.signature_location = match self.expires {
            Some(_) => SignatureLocation::QueryParams,
            None => SignatureLocation::Headers,
        };
        let mut headers: Vec<(String, String)> = headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        if !headers.iter().any(|(n, _)| n == "host") {
            headers.push(("host".into(), "localhost".into()));
        }
        let given = headers.iter().find(|(n, _)| n == "x-amz-content-sha256");
        let hoisted = target.split("X-Amz-Content-Sha256=").nth(1);
        let payload = given
            .map(|(_, v)| v.clone())
            .or(hoisted.map(|hash| hash.to_owned()));
        if self.expires.is_none() {
            headers.retain(|(n, _)| n != "x-amz-content-sha256");
        }
        settings.payload_checksum_kind = match self.expires {
            Some(_) => PayloadChecksumKind::NoHeader,
            None => PayloadChecksumKind::XAmzSha256,
        };
        let body = match payload {
            None => SignableBody::UnsignedPayload,
            Some(text) => SignableBody::Precomputed(text),
        };
        let identity = Credentials::new(self.key, self.secret, None, None, "test").into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(time)
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let pairs = headers.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        let uri = format!("http://localhost{target}");
        let request = SignableRequest::new(method, uri, pairs, body).unwrap();
        let (instructions, _) = sign(request, &parameters).unwrap().into_parts();
        let (added, query) = instructions.into_parts();
        let mut target = target.to_owned();
        for (name, value) in query {
            let separator = if target.contains('?') { '&' } else { '?' };
            let value = value.replace('/', "%2F").replace(';', "%3B");
            target += &format!("{separator}{name}={value}");
        }
        headers.extend(
            added
                .iter()
                .map(|h| (h.name().to_owned(), h.value().to_owned())),
        );
        Signed {
            method: method.into(),
            target,
            headers,
            time,
        }
    }

    /// Encodes signed chunks that follow a request, the empty last one included.
    pub fn chunks(&self, request: &Signed, chunks: &[&[u8]]) -> Vec<u8> {
        let key = v4::generate_signing_key(self.secret, request.time, self.region, self.service);
        let date = request.header("x-amz-date");
        let scope = format!(
            "{}/{}/{}/aws4_request",
            &date[..8],
            self.region,
            self.service
        );
        let seed = request.header("authorization").rsplit('=').next().unwrap();
        let mut previous = seed.to_owned();
        let mut encoded = Vec::new();
        for chunk in chunks.iter().copied().chain([&[][..]]) {
            let text = format!(
                "AWS4-HMAC-SHA256-PAYLOAD\n{date}\n{scope}\n{previous}\n{}\n{}",
                hex::encode(Sha256::digest(b"")),
                hex::encode(Sha256::digest(chunk)),
            );
            previous = v4::calculate_signature(&key, text.as_bytes());
            let line = format!("{:x};chunk-signature={previous}\r\n", chunk.len());
            encoded.extend_from_slice(line.as_bytes());
            encoded.extend_from_slice(chunk);
            encoded.extend_from_slice(b"\r\n");
        }
        encoded
    }
}

pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Everything that is still coming on a connection until it ends, or is reset.
pub async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest));
    let _ = read.await.expect("the connection ends");
    rest
}
