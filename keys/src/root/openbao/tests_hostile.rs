//! Against a server that answers wrongly: never a wrong key, never "destroyed" of what is not, never a token for another.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::config::OpenBaoConfig;
use crate::root::suite::{OWNER, keys, wrap};

const DEADLINE: Duration = Duration::from_secs(20);

/// What goes wrong with an answer.
#[derive(Debug, Clone)]
enum Fault {
    /// The engine's JSON, changed.
    Changed(fn(&mut Value)),
    /// These bytes in the answer's place.
    Raw(Vec<u8>),
    /// The answer without its last bytes.
    Truncated,
    /// No answer, the connection left open.
    Hang,
}

/// A transit engine that "wraps" by putting plaintext between zeros, with one key that is there until it is deleted.
#[derive(Default)]
struct Engine {
    /// The request it is about, and how often still.
    fault: Mutex<Option<(&'static str, Fault, usize)>>,
    deleted: Mutex<bool>,
    requests: AtomicUsize,
}

impl Engine {
    fn take(&self, request: &str) -> Option<Fault> {
        let mut fault = self.fault.lock().unwrap();
        let (about, what, times) = fault.as_mut()?;
        if !request.contains(*about) || *times == 0 {
            return None;
        }
        *times -= 1;
        Some(what.clone())
    }

    fn answer(&self, request: &str, body: &Value) -> (u16, Value) {
        let items = body["batch_input"].as_array().cloned().unwrap_or_default();
        let deleted = *self.deleted.lock().unwrap();
        let results = |of: fn(&Value) -> Value| {
            let results: Vec<_> = items.iter().map(of).collect();
            (200, json!({ "data": { "batch_results": results } }))
        };
        let name = request.rsplit('/').next().unwrap_or_default();
        if request.starts_with("DELETE") {
            *self.deleted.lock().unwrap() = true;
            (204, Value::Null)
        } else if deleted {
            (404, json!({ "errors": [] }))
        } else if request.contains("/encrypt/") {
            results(|item| {
                let secret = BASE64_STANDARD.decode(item["plaintext"].as_str().unwrap());
                let wrap = [&[0; 12], &secret.unwrap()[..], &[0; 16]].concat();
                let text = format!("{CIPHERTEXT_PREFIX}{}", BASE64_STANDARD.encode(wrap));
                json!({ "ciphertext": text, "reference": item["reference"] })
            })
        } else if request.contains("/decrypt/") {
            results(|item| {
                let wrap = raw_ciphertext(item["ciphertext"].as_str().unwrap()).unwrap();
                let secret = BASE64_STANDARD.encode(&wrap[12..44]);
                json!({ "plaintext": secret, "reference": item["reference"] })
            })
        } else if request.starts_with("GET") {
            let facts = json!({
                "name": name, "type": "aes256-gcm96", "exportable": false, "allow_plaintext_backup": false,
                "derived": false, "latest_version": 1,
            });
            (200, json!({ "data": facts }))
        } else {
            (204, Value::Null)
        }
    }

    async fn serve(self: Arc<Self>, mut stream: TcpStream) -> Option<()> {
        let mut received = Vec::new();
        loop {
            let (request, body, taken) = loop {
                if let Some(whole) = parse(&received) {
                    break whole;
                }
                let mut chunk = [0; 64 << 10];
                let length = stream.read(&mut chunk).await.ok().filter(|n| *n > 0)?;
                received.extend_from_slice(&chunk[..length]);
            };
            received.drain(..taken);
            self.requests.fetch_add(1, Ordering::SeqCst);
            let fault = self.take(&request);
            if let Some(Fault::Hang) = fault {
                std::future::pending::<()>().await;
            }
            let (status, mut value) = self.answer(&request, &body);
            if let Some(Fault::Changed(change)) = &fault {
                change(&mut value);
            }
            let text = if value.is_null() {
                String::new()
            } else {
                value.to_string()
            };
            let whole = http(status, "", &text);
            match fault {
                Some(Fault::Raw(bytes)) => {
                    stream.write_all(&bytes).await.ok()?;
                    return stream.shutdown().await.ok();
                }
                Some(Fault::Truncated) => {
                    stream.write_all(&whole[..whole.len() - 9]).await.ok()?;
                    return stream.shutdown().await.ok();
                }
                _ => stream.write_all(&whole).await.ok()?,
            }
        }
    }
}

/// The first request's line, body and length, when it is all there.
fn parse(received: &[u8]) -> Option<(String, Value, usize)> {
    let head_end = received.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&received[..head_end]).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let body = received.get(head_end..head_end + length)?;
    let line = head.lines().next()?;
    let request = line.rsplit_once(' ').unwrap().0.to_owned();
    let body = serde_json::from_slice(body).unwrap_or_default();
    Some((request, body, head_end + length))
}

fn http(status: u16, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

struct Hostile {
    engine: Arc<Engine>,
    root: OpenBaoRoot,
    _directory: tempfile::TempDir,
}

async fn listen(engine: Arc<Engine>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(engine.clone().serve(stream));
        }
    });
    format!("http://{address}")
}

impl Hostile {
    async fn new(deadline: Duration) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let token_file = directory.path().join("token");
        std::fs::write(&token_file, "s.secret-token").unwrap();
        let engine = Arc::<Engine>::default();
        let config = OpenBaoConfig {
            address: listen(engine.clone()).await,
            allow_plain_http: true,
            mount: "lethe".to_owned(),
            namespace: Some("eu".to_owned()),
            token_file,
            control_token_file: None,
            ca: None,
        };
        let transit = Arc::new(Transit::new(&config, deadline).unwrap());
        Self {
            engine,
            root: OpenBaoRoot::new(transit, OWNER),
            _directory: directory,
        }
    }

    fn fault(&self, about: &'static str, fault: Fault, times: usize) {
        *self.engine.fault.lock().unwrap() = Some((about, fault, times));
    }
}

fn results(answer: &mut Value) -> &mut Vec<Value> {
    answer["data"]["batch_results"].as_array_mut().unwrap()
}

/// A hostile server keeps the references right.
fn reorder(answer: &mut Value) {
    results(answer).swap(0, 1);
    let references = [json!("0"), json!("1")];
    for (result, reference) in results(answer).iter_mut().zip(references) {
        result["reference"] = reference;
    }
}

fn faults() -> Vec<(&'static str, Fault)> {
    let page = "<html><body>It works!</body></html>";
    vec![
        ("one too few", Fault::Changed(|a| drop(results(a).pop()))),
        (
            "one too many",
            Fault::Changed(|a| {
                let first = results(a)[0].clone();
                results(a).push(first);
            }),
        ),
        ("none", Fault::Changed(|a| results(a).clear())),
        ("other order", Fault::Changed(|a| results(a).reverse())),
        (
            "an item failed",
            Fault::Changed(|a| results(a)[1]["error"] = json!("no")),
        ),
        (
            "other type",
            Fault::Changed(|a| {
                for result in results(a) {
                    *result = json!({ "reference": result["reference"], "plaintext": 7, "ciphertext": 7 });
                }
            }),
        ),
        (
            "other lengths",
            Fault::Changed(|a| {
                for result in results(a) {
                    result["plaintext"] = json!("AAAA");
                    result["ciphertext"] = json!("vault:v1:AAAA");
                }
            }),
        ),
        (
            "another version",
            Fault::Changed(|a| {
                for result in results(a) {
                    let text = result.to_string().replace("vault:v1:", "vault:v2:");
                    *result = serde_json::from_str(&text).unwrap();
                    result["plaintext"] = json!("");
                }
            }),
        ),
        ("not json", Fault::Raw(http(200, "", page))),
        ("html 404", Fault::Raw(http(404, "", page))),
        ("truncated", Fault::Truncated),
        ("nothing", Fault::Raw(Vec::new())),
        ("no http", Fault::Raw(b"\x15\x03\x01\0\x02\x02".to_vec())),
        (
            "500",
            Fault::Raw(http(500, "", "{\"errors\":[\"internal\\u001b[31m\"]}")),
        ),
        (
            "503 sealed",
            Fault::Raw(http(503, "", "{\"errors\":[\"Vault is sealed\"]}")),
        ),
        ("418", Fault::Raw(http(418, "", ""))),
        ("much", Fault::Raw(http(200, "", &" ".repeat(300 << 10)))),
        ("deep", Fault::Raw(http(200, "", &"[".repeat(100_000)))),
    ]
}

#[tokio::test]
async fn hostile_answers_to_wrap_and_unwrap_are_errors() {
    for (name, fault) in faults() {
        let hostile = Hostile::new(DEADLINE).await;
        let root = &hostile.root;
        let keys = keys(2);
        let wrapped = wrap(root, Epoch(1), &keys).await.unwrap();
        hostile.fault("/encrypt/", fault.clone(), usize::MAX);
        let refused = wrap(root, Epoch(1), &keys).await.map(|_| ());
        assert!(
            matches!(refused, Err(RootError::Unavailable(_))),
            "{name}: {refused:?}"
        );
        hostile.fault("/decrypt/", fault, usize::MAX);
        let refused = root.unwrap(Epoch(1), &wrapped).await.map(|_| ());
        assert!(
            matches!(refused, Err(RootError::Unavailable(_))),
            "{name}: {refused:?}"
        );
        let said = refused.unwrap_err().to_string();
        assert!(!said.contains('\x1b') && said.len() < 400, "{said:?}");
        assert!(!said.contains("secret-token"), "{said}");
        hostile.fault("none", Fault::Hang, 0);
        let opened = root.unwrap(Epoch(1), &wrapped).await.unwrap();
        assert!(opened[1].0.same_as(&keys[1].0), "{name}");
    }
}

#[tokio::test]
async fn hostile_order_or_seed_never_becomes_a_key() {
    let hostile = Hostile::new(DEADLINE).await;
    let root = &hostile.root;
    let keys = keys(2);
    let wrapped = wrap(root, Epoch(1), &keys).await.unwrap();
    let of_another: fn(&mut Value) = |answer| {
        let secret = BASE64_STANDARD.encode([9; 32]);
        results(answer)[1]["plaintext"] = json!(secret);
    };
    for lie in [reorder, of_another] {
        hostile.fault("/decrypt/", Fault::Changed(lie), 1);
        let refused = root.unwrap(Epoch(1), &wrapped).await.map(|_| ());
        assert_eq!(refused, Err(RootError::Foreign(Epoch(1))));
    }
    // Wraps in another order do not open again: whoever wraps checks that, before anything depends on it.
    hostile.fault("/encrypt/", Fault::Changed(reorder), 1);
    let swapped = wrap(root, Epoch(1), &keys).await.unwrap();
    let refused = root.unwrap(Epoch(1), &swapped).await.map(|_| ());
    assert_eq!(refused, Err(RootError::Foreign(Epoch(1))));
}

#[tokio::test]
async fn hostile_answers_never_pass_for_a_destroyed_key() {
    let lies = [
        http(404, "", "<html><body>Not Found</body></html>"),
        http(404, "", ""),
        http(404, "", "{}"),
        http(404, "", "{\"errors\":null}"),
        http(404, "", "{\"errors\":[\"no handler for route\"]}"),
        http(200, "", "{\"errors\":[]}"),
        http(204, "", ""),
        http(400, "", "{\"errors\":[]}"),
        http(403, "", "{\"errors\":[]}"),
        http(
            200,
            "",
            "{\"data\":{\"name\":\"another\",\"type\":\"aes256-gcm96\",\"exportable\":false,\
            \"allow_plaintext_backup\":false,\"derived\":false,\"latest_version\":1}}",
        ),
    ];
    for lie in lies {
        let hostile = Hostile::new(DEADLINE).await;
        let said = String::from_utf8_lossy(&lie).into_owned();
        hostile.fault("GET", Fault::Raw(lie), usize::MAX);
        assert!(
            hostile.root.destroy_epoch(Epoch(1)).await.is_err(),
            "{said}"
        );
        assert!(hostile.root.create_epoch(Epoch(1)).await.is_err(), "{said}");
        assert!(!*hostile.engine.deleted.lock().unwrap(), "{said}");
    }
    // It says that it deleted, and did not.
    let keeps = Hostile::new(DEADLINE).await;
    let facts = "{\"data\":{\"name\":\"lethe-01010101010101010101010101010101-1\",\"type\":\"aes256-gcm96\",\
        \"exportable\":false,\"allow_plaintext_backup\":false,\"derived\":false,\"latest_version\":1}}";
    keeps.fault("GET", Fault::Raw(http(200, "", facts)), usize::MAX);
    assert!(matches!(
        keeps.root.destroy_epoch(Epoch(1)).await,
        Err(RootError::Unavailable(_))
    ));
}

#[tokio::test]
async fn lost_answers_are_asked_for_again_a_few_times() {
    for about in ["GET", "POST", "DELETE"] {
        let hostile = Hostile::new(DEADLINE).await;
        hostile.fault(about, Fault::Truncated, 2);
        hostile.root.create_epoch(Epoch(1)).await.unwrap();
        hostile.root.destroy_epoch(Epoch(1)).await.unwrap();
        assert!(*hostile.engine.deleted.lock().unwrap(), "{about}");
    }
    let hostile = Hostile::new(DEADLINE).await;
    hostile.fault("GET", Fault::Raw(http(500, "", "")), usize::MAX);
    assert!(hostile.root.create_epoch(Epoch(1)).await.is_err());
    assert_eq!(hostile.engine.requests.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn hanging_server_is_given_up_and_one_hanging_answer_survived() {
    let hostile = Hostile::new(Duration::from_secs(1)).await;
    hostile.fault("GET", Fault::Hang, usize::MAX);
    let refused = hostile.root.create_epoch(Epoch(1)).await;
    assert!(
        matches!(&refused, Err(RootError::Unavailable(why)) if why.contains("in time")),
        "{refused:?}"
    );
    let hostile = Hostile::new(Duration::from_secs(4)).await;
    hostile.fault("GET", Fault::Hang, 1);
    hostile.root.create_epoch(Epoch(1)).await.unwrap();
}

#[tokio::test]
async fn redirect_is_refused_and_its_target_never_asked() {
    for status in [301, 307, 308] {
        let target = Arc::<Engine>::default();
        let elsewhere = listen(target.clone()).await;
        let hostile = Hostile::new(DEADLINE).await;
        let location = format!("location: {elsewhere}/v1/lethe/keys/x\r\n");
        hostile.fault("GET", Fault::Raw(http(status, &location, "")), usize::MAX);
        let refused = hostile.root.destroy_epoch(Epoch(1)).await;
        assert!(
            matches!(&refused, Err(RootError::Unavailable(why)) if why.contains("redirect")),
            "{refused:?}"
        );
        assert_eq!(hostile.engine.requests.load(Ordering::SeqCst), 1);
        assert_eq!(target.requests.load(Ordering::SeqCst), 0);
    }
}
