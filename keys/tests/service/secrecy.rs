//! Nothing secret in what is printed, logged or stored.

use std::fs;
use std::time::Duration;

use lethe_keys::{KeyService, KeyStoreIdentity, SecretContext, StoreUrl, SystemClock};

use crate::domain::{Domain, Object};

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

#[tokio::test]
async fn debug_output_holds_no_key() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let object = Object::new(&keys).await;
    let dek_hex: String = object
        .dek
        .expose()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let dek_list = format!("{:?}", object.dek.expose());
    let held = keys.hold(object.tenant, object.open(&keys).await.unwrap());
    let printed = format!(
        "{keys:?} {held:?} {:?} {:#?}",
        object.dek,
        keys.lease_state()
    );
    assert!(
        !printed.contains(&dek_hex) && !printed.contains(dek_list.trim_matches(['[', ']'])),
        "{printed}"
    );
    assert!(printed.contains("redacted"));
}

#[tokio::test]
async fn store_url_and_its_errors_hold_no_password() {
    let mut domain = Domain::sqlite();
    domain.config.deadline = Duration::from_secs(2);
    // Port 1: nobody listens there. And one that no driver can parse.
    for url in [
        "postgres://lethe:hunter2@127.0.0.1:1/keys",
        "postgres://lethe:hunter2@[::1/keys",
    ] {
        domain.config.key_store = url.parse::<StoreUrl>().unwrap();
        let identity = KeyStoreIdentity::from_bytes([0; 16]);
        let clock = std::sync::Arc::new(SystemClock);
        let opened = KeyService::open(&domain.config, identity, clock)
            .await
            .unwrap_err();
        let initialised = KeyService::init(&domain.config).await.unwrap_err();
        let printed = format!(
            "{opened} {opened:?} {initialised} {initialised:?} {:?} {}",
            domain.config, domain.config.key_store
        );
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}

#[tokio::test]
async fn key_store_files_hold_no_unwrapped_key() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let object = Object::new(&keys).await;
    let context = SecretContext {
        label: "credential",
        fields: &[b"planted-marker"],
    };
    keys.seal_secret(&context, b"planted-secret").await.unwrap();
    let root = fs::read(domain.directory.path().join("root/epoch-1.key")).unwrap();
    let mut files = 0;
    for entry in fs::read_dir(domain.directory.path().join("keys")).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        files += 1;
        assert!(!holds(&bytes, &root[40..72]), "root key");
        assert!(!holds(&bytes, object.dek.expose()), "dek");
        assert!(!holds(&bytes, &object.wrapped), "wrapped dek");
        assert!(!holds(&bytes, b"planted-"), "secret");
    }
    assert!(files >= 1);
    let everything: Vec<u8> = fs::read_dir(domain.directory.path().join("keys"))
        .unwrap()
        .flat_map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .collect();
    assert!(
        holds(&everything, object.kek_id.as_bytes()),
        "the search does not find what is there"
    );
}

#[tokio::test]
async fn system_clock_lease_is_taken_and_given_back() {
    let domain = Domain::sqlite();
    let identity = KeyService::init(&domain.config).await.unwrap();
    let clock = std::sync::Arc::new(SystemClock);
    let keys = KeyService::open(&domain.config, identity, clock)
        .await
        .unwrap();
    let remaining = keys.lease_state().remaining.unwrap();
    assert!(
        remaining > Duration::from_secs(200) && remaining <= crate::domain::LEASE,
        "{remaining:?}"
    );
    assert!(Object::new(&keys).await.opens(&keys).await);
    keys.close().await.unwrap();
}
