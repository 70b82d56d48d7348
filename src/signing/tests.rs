use super::*;
use std::os::unix::fs::PermissionsExt as _;

const NOW: UnixMs = UnixMs(1_800_000_000_000);

fn eu() -> DomainName {
    "eu".parse().unwrap()
}

#[test]
fn keys_are_made_once_and_closed_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("eu");
    let missing = Signing::open(&at, &eu()).unwrap_err();
    assert!(matches!(missing, SigningError::Missing { .. }), "{missing}");
    let made = Signing::create(&at, &eu(), NOW).unwrap();
    let again = Signing::create(&at, &eu(), NOW.plus_ms(5_000)).unwrap();
    assert_eq!(made.issuer().key_id(), again.issuer().key_id());
    assert_eq!(made.origin().as_str(), again.origin().as_str());
    assert!(made.origin().as_str().starts_with("lethe/eu/"));
    let entries: Vec<_> = std::fs::read_dir(&at)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(entries.len(), 3);
    for entry in &entries {
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", entry.path());
    }
    assert!(Signing::open(&at, &"us".parse().unwrap()).is_err());
    std::fs::set_permissions(entries[0].path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let exposed = Signing::open(&at, &eu()).unwrap_err();
    assert!(exposed.to_string().contains("0600"), "{exposed}");
}

#[test]
fn rotated_issuer_stays_in_the_trust_file_with_its_window() {
    let dir = tempfile::tempdir().unwrap();
    let signing = Signing::create(dir.path(), &eu(), NOW).unwrap();
    let first = signing.issuer().key_id();
    let rotated = signing.rotate_issuer(NOW.plus_ms(1_000_000)).unwrap();
    assert_eq!(signing.issuer().key_id(), rotated.key_id());
    let opened = Signing::open(dir.path(), &eu()).unwrap();
    assert_eq!(opened.issuer().key_id(), rotated.key_id());
    let trust = opened.trust(&TrustSettings::default());
    let [old, new] = trust.issuers.as_slice() else {
        panic!("{:?}", trust.issuers)
    };
    assert_eq!((old.keyid, new.keyid), (first, rotated.key_id()));
    assert!(old.not_after.unwrap() > new.not_before && new.not_after.is_none());
    let secrets = std::fs::read_dir(dir.path()).unwrap();
    let issuers = secrets.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("issuer-")
    });
    assert_eq!(issuers.count(), 1, "the old secret is gone");
}
