//! Another implementation in another language opens what Lethe sealed, and seals what Lethe opens: `tests/python`,
//! on the Cobblestone-256 of PyPI's `cryptography`.
//!
//! The environment is made once under the target directory. Where none can be made the tests say so and pass,
//! except in CI, where they fail.

mod support;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use lethe_envelope::{Engine, ObjectMetadata, open_message};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::{Place, Stored, Written, metadata, multipart, put};

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python");

/// The interpreter of an environment that satisfies `requirements.txt`, or why there is none.
fn interpreter() -> Result<&'static Path, &'static str> {
    static MADE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let made = MADE.get_or_init(make_environment);
    made.as_deref().map_err(String::as_str)
}

fn make_environment() -> Result<PathBuf, String> {
    let requirements = std::fs::read_to_string(format!("{SOURCES}/requirements.txt"))
        .map_err(|error| error.to_string())?;
    // The requirements are part of the name: another version makes another environment.
    let digest = hex::encode(&Sha256::digest(&requirements)[..6]);
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("python-{digest}"));
    let (interpreter, ready) = (directory.join("bin/python"), directory.join("ready"));
    // Tests run in processes of their own; one makes the environment, the others wait for it.
    let lock = File::create(directory.with_extension("lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    if !ready.exists() {
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&directory))?;
        run(Command::new(&interpreter)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--requirement",
            ])
            .arg(format!("{SOURCES}/requirements.txt")))?;
        File::create(&ready).map_err(|error| error.to_string())?;
    }
    Ok(interpreter)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// Asks `peer.py`; `None` when there is no Python to ask outside CI, a panic in CI.
fn ask(request: &Value) -> Option<Result<Value, String>> {
    #[expect(
        clippy::disallowed_methods,
        reason = "CI decides whether a missing Python is an error"
    )]
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    let interpreter = match interpreter() {
        Ok(interpreter) => interpreter,
        Err(reason) if in_ci => panic!("no Python environment in CI: {reason}"),
        Err(reason) => {
            eprintln!("NOT TESTED: no Python environment: {reason}");
            return None;
        }
    };
    let mut child = Command::new(interpreter)
        .args(["-B", &format!("{SOURCES}/peer.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let request = serde_json::to_vec(request).unwrap();
    child.stdin.take().unwrap().write_all(&request).unwrap();
    let output = child.wait_with_output().unwrap();
    if !output.status.success() {
        return Some(Err(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Some(Ok(serde_json::from_slice(&output.stdout).unwrap()))
}

fn ask_to_read(place: &Place, stored: &Stored) -> Option<Result<Value, String>> {
    // Through a file: a body of some MiB is much as text in a request.
    let mut body = tempfile::NamedTempFile::new().unwrap();
    body.write_all(&stored.body).unwrap();
    ask(&json!({
        "do": "read",
        "place": {
            "kek": hex::encode(place.kek),
            "kek_id": place.kek_id.to_string(),
            "tenant": place.tenant.to_string(),
            "domain": place.domain,
            "bucket": place.bucket,
            "object_key": place.object_key,
            "customer_key": place.customer_key.map(hex::encode).unwrap_or_default(),
        },
        "header": stored.header,
        "metadata": hex::encode(&stored.metadata),
        "body_file": body.path(),
    }))
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 7) as u8).collect()
}

#[test]
fn python_reads_single_objects_that_lethe_wrote() {
    for length in [0, 26, 16_384, 50_000] {
        let plaintext = pattern(length);
        let full = ObjectMetadata {
            content_type: Some("text/plain".to_owned()),
            cache_control: Some("no-store".to_owned()),
            user: [
                ("long".to_owned(), "ü".repeat(200)),
                ("b".to_owned(), String::new()),
            ]
            .into(),
            checksum: Some(support::checksum()),
            ..ObjectMetadata::default()
        };
        let Written { place, stored, .. } = put(&Place::acme(), &plaintext, &full);
        let Some(answer) = ask_to_read(&place, &stored) else {
            return;
        };
        let answer = answer.unwrap();
        assert_eq!(
            answer["plaintext_sha256"],
            hex::encode(Sha256::digest(&plaintext))
        );
        assert_eq!(answer["checksum"], json!([1, 1, "01020304"]));
        assert_eq!(
            answer["metadata"],
            json!({
                "content_type": "text/plain",
                "cache_control": "no-store",
                "user": full.user,
                "checksum": [1, 1, "01020304"],
            })
        );
    }
}

#[test]
fn python_reads_objects_under_a_customer_key_and_refuses_any_other() {
    let place = Place::acme().with_customer_key([0xcc; 32]);
    let (one, two) = (pattern((5 << 20) + 9), pattern(1_000));
    let single = put(&place, &two, &metadata("single"));
    let parts = multipart(&place, &[(1, &one), (2, &two)], &metadata("parts"));
    let both = [one, two.clone()].concat();
    for (Written { stored, .. }, plaintext) in [(single, two), (parts, both)] {
        let Some(answer) = ask_to_read(&place, &stored) else {
            return;
        };
        let digest = hex::encode(Sha256::digest(&plaintext));
        assert_eq!(answer.unwrap()["plaintext_sha256"], digest);
        let other = place.clone().with_customer_key([0xcd; 32]);
        for wrong in [other, Place::acme()] {
            let refused = ask_to_read(&wrong, &stored).unwrap().unwrap_err();
            assert!(refused.contains("customer key"), "{refused}");
        }
    }
}

#[test]
fn python_reads_a_multipart_object_and_refuses_it_tampered() {
    let (one, two) = (pattern((5 << 20) + 9), pattern(1_000));
    let parts: [(u16, &[u8]); 2] = [(3, &one), (8, &two)];
    let Written {
        place, mut stored, ..
    } = multipart(&Place::acme(), &parts, &metadata("parts"));
    let Some(answer) = ask_to_read(&place, &stored) else {
        return;
    };
    let digest = hex::encode(Sha256::digest([one, two].concat()));
    assert_eq!(answer.unwrap()["plaintext_sha256"], digest);

    stored.body[1 << 20] ^= 1;
    let refused = ask_to_read(&place, &stored).unwrap().unwrap_err();
    assert!(refused.contains("InvalidTag"), "{refused}");
}

#[test]
fn lethe_opens_messages_that_python_sealed() {
    let key = [0x6c; 32];
    for length in [0, 5, 16_383, 16_384, 40_000] {
        let request = json!({
            "do": "seal",
            "key": hex::encode(key),
            "context": hex::encode("a context"),
            "plaintext_bytes": length,
        });
        let Some(answer) = ask(&request) else { return };
        let sealed = hex::decode(answer.unwrap()["sealed"].as_str().unwrap()).unwrap();
        for engine in Engine::ALL {
            let opened = open_message(engine, &key, b"a context", &sealed).unwrap();
            assert!(
                *opened == pattern(length),
                "{length} bytes on {}",
                engine.name()
            );
        }
    }
}
