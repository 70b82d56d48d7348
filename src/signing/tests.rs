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
    assert_eq!(
        made.issuer().unwrap().key_id(),
        again.issuer().unwrap().key_id()
    );
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
    let first = signing.issuer().unwrap().key_id();
    let rotated = signing.rotate_issuer(NOW.plus_ms(1_000_000)).unwrap();
    assert_eq!(signing.issuer().unwrap().key_id(), rotated.key_id());
    let opened = Signing::open(dir.path(), &eu()).unwrap();
    assert_eq!(opened.issuer().unwrap().key_id(), rotated.key_id());
    let trust = opened.trust(&TrustSettings::default()).unwrap();
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

#[test]
fn issuer_rotated_by_another_process_signs_here_from_then_on() {
    let dir = tempfile::tempdir().unwrap();
    let here = Signing::create(dir.path(), &eu(), NOW).unwrap();
    let there = Signing::open(dir.path(), &eu()).unwrap();
    let first = here.issuer().unwrap().key_id();
    let second = there
        .rotate_issuer(NOW.plus_ms(1_000_000))
        .unwrap()
        .key_id();
    assert_ne!(first, second);
    assert_eq!(here.issuer().unwrap().key_id(), second);
    // A rotation here goes on from the other's, and loses none.
    let third = here.rotate_issuer(NOW.plus_ms(2_000_000)).unwrap().key_id();
    let trust = there.trust(&TrustSettings::default()).unwrap();
    let keyids: Vec<_> = trust.issuers.iter().map(|issuer| issuer.keyid).collect();
    assert_eq!(keyids, [first, second, third]);
    assert_eq!(there.issuer().unwrap().key_id(), third);
    std::fs::remove_file(dir.path().join(LIST)).unwrap();
    assert!(
        here.issuer().is_err(),
        "nothing is signed by what may be rotated"
    );
}

#[test]
fn rotation_while_another_process_rotates_waits_and_then_fails() {
    let dir = tempfile::tempdir().unwrap();
    let signing = Signing::create(dir.path(), &eu(), NOW).unwrap();
    let held = files::lock(dir.path()).unwrap();
    let refused = signing.rotate_issuer(NOW).unwrap_err();
    assert!(refused.to_string().contains("another process"), "{refused}");
    drop(held);
    signing.rotate_issuer(NOW).unwrap();
}

#[test]
fn published_log_is_read_without_a_secret_and_has_every_key() {
    let dir = tempfile::tempdir().unwrap();
    let made = Signing::create(dir.path(), &eu(), NOW).unwrap();
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(dir.path().join(LIST), copy.path().join(LIST)).unwrap();
    let published = PublishedLog::read(copy.path(), &eu()).unwrap();
    assert_eq!(&published, made.published_log());
    assert_eq!(published.keys, [made.log_key().unwrap().verifier()]);
    assert!(
        Signing::open(copy.path(), &eu()).is_err(),
        "it signs nothing"
    );
    // A key before it: its tree heads are still taken, the last one signs.
    let earlier = LogKey::from_seed(made.origin(), &[3; 32]);
    let mut list = read_list(dir.path(), &eu()).unwrap();
    let since = list.log[0].not_before;
    list.log
        .insert(0, listed(*earlier.verifier().public_key(), since));
    files::write_list(dir.path(), LIST, &list).unwrap();
    let both = Signing::open(dir.path(), &eu()).unwrap();
    let keys = [earlier.verifier(), made.log_key().unwrap().verifier()];
    assert_eq!(both.published_log().keys, keys);
    assert_eq!(both.log_key().unwrap().verifier(), keys[1]);
    list.log.clear();
    files::write_list(dir.path(), LIST, &list).unwrap();
    assert!(PublishedLog::read(dir.path(), &eu()).is_err());
}

#[test]
fn rotated_key_has_no_end_while_its_receipts_wait() {
    let dir = tempfile::tempdir().unwrap();
    let signing = Signing::create(dir.path(), &eu(), NOW).unwrap();
    let other = Signing::open(dir.path(), &eu()).unwrap();
    let first = signing.issuer().unwrap().key_id();
    let ends = || {
        let trust = other.trust(&TrustSettings::default()).unwrap();
        let ends = trust.issuers.iter().map(|issuer| issuer.not_after);
        ends.collect::<Vec<_>>()
    };
    signing.keep_trusted(|_| false, NOW).unwrap();
    assert_eq!(ends(), [None], "the key that signs has no end");
    signing.rotate_issuer(NOW).unwrap();
    signing.keep_trusted(|keyid| *keyid == first, NOW).unwrap();
    assert_eq!(ends(), [None, None]);
    let later = NOW.plus_ms(30 * 24 * 3_600_000);
    signing.keep_trusted(|_| false, later).unwrap();
    let end = ends()[0].unwrap();
    let later_s = u64::try_from(later.0 / 1000).unwrap();
    assert!(end.unix_s() > later_s);
    signing
        .keep_trusted(|_| false, later.plus_ms(86_400_000))
        .unwrap();
    assert_eq!(ends(), [Some(end), None], "an end stays");
}

#[test]
fn key_of_two_roles_makes_no_trust_file_and_both_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let signing = Signing::create(dir.path(), &eu(), NOW).unwrap();
    let issuer = signing.issuer().unwrap().public_key().to_bytes();
    let log = *signing.log_key().unwrap().verifier().public_key();
    let stranger = IssuerKey::from_random([9; 32]).public_key().to_bytes();
    let validator = |name: &str, bytes: [u8; 32]| TrustedValidator {
        name: Text::lossy(name),
        keyid: PublicKey::from_bytes(&bytes).unwrap().key_id(),
        public_key: Base64(bytes),
        not_before: from_now(dir.path(), NOW).unwrap(),
        not_after: None,
    };
    let witness = |name: &str, bytes: [u8; 32]| TrustedWitness {
        name: name.to_owned(),
        keyid: PublicKey::from_bytes(&bytes).unwrap().key_id(),
        public_key: Base64(bytes),
    };
    for (validators, witnesses, roles) in [
        (
            vec![validator("Ada", issuer)],
            vec![],
            ["the issuer", "validator Ada"],
        ),
        (
            vec![validator("Ada", log)],
            vec![],
            ["the log", "validator Ada"],
        ),
        (
            vec![],
            vec![witness("w.example", issuer)],
            ["the issuer", "witness w.example"],
        ),
        (
            vec![],
            vec![witness("w.example", log)],
            ["the log", "witness w.example"],
        ),
        (
            vec![validator("Ada", stranger)],
            vec![witness("w.example", stranger)],
            ["validator Ada", "witness w.example"],
        ),
        (
            vec![validator("Ada", stranger), validator("Bob", stranger)],
            vec![],
            ["validator Ada", "validator Bob"],
        ),
    ] {
        let settings = TrustSettings {
            validators,
            witnesses,
            ..TrustSettings::default()
        };
        for refused in [
            signing.trust(&settings).map(drop),
            check_roles(dir.path(), &eu(), &settings),
        ] {
            let refused = refused.unwrap_err().to_string();
            assert!(roles.iter().all(|role| refused.contains(role)), "{refused}");
        }
    }
    let sound = TrustSettings {
        validators: vec![validator("Ada", stranger)],
        ..TrustSettings::default()
    };
    check_roles(dir.path(), &eu(), &sound).unwrap();
}
