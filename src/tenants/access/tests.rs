use super::*;
use crate::clock::UnixMs;
use crate::tenants::{AccessKeyId, Caller, Tenant, TenantId, TenantState};
use proptest::prelude::*;
use std::sync::Arc;

const NOW: UnixMs = UnixMs(1_760_000_000_000);

fn caller(grant: Grant) -> Caller {
    Caller {
        tenant: Tenant {
            id: TenantId::from_bytes([7; 16]),
            name: "acme".parse().unwrap(),
            region: "eu-central-1".parse().unwrap(),
            state: TenantState::Active,
            created: UnixMs(0),
        },
        access_key_id: AccessKeyId::new("AKIDACME").unwrap(),
        grant: Arc::new(grant),
    }
}

fn grant(permissions: &str, scope: &[&str]) -> Grant {
    Grant {
        permissions: permissions.parse().unwrap(),
        scope: Scope::of(scope).unwrap(),
        expires: None,
    }
}

fn decided(grant: &Grant, ask: &Ask<'_>) -> Result<Authorized, Denied> {
    decide(&caller(grant.clone()), ask, NOW)
}

/// What a case is asked on: the bucket `docs`, its key `a/k`, its prefix `a/`, and as a source the key `a/s` of `from`.
#[derive(Clone, Copy, PartialEq)]
enum On {
    Tenant,
    AnythingInBucket,
    Bucket,
    Prefix,
    Key,
    Keys,
    KeyFromSource,
}

/// What S3's operations need, written out: the table that the decision is held against.
const TABLE: &[(&str, &str, On)] = &[
    ("ListBuckets", "list", On::Tenant),
    ("HeadBucket", "", On::AnythingInBucket),
    ("GetBucketLocation", "", On::AnythingInBucket),
    ("GetBucketVersioning", "", On::AnythingInBucket),
    ("GetBucketAcl", "", On::AnythingInBucket),
    ("GetObjectLockConfiguration", "", On::AnythingInBucket),
    ("CreateBucket", "admin", On::Bucket),
    ("DeleteBucket", "admin", On::Bucket),
    ("PutBucketAcl", "admin", On::Bucket),
    ("PutBucketVersioning", "admin", On::Bucket),
    ("PutObjectLockConfiguration", "admin", On::Bucket),
    ("GetBucketCors", "admin", On::Bucket),
    ("PutBucketCors", "admin", On::Bucket),
    ("DeleteBucketCors", "admin", On::Bucket),
    ("GetBucketLifecycleConfiguration", "admin", On::Bucket),
    ("PutBucketLifecycleConfiguration", "admin", On::Bucket),
    ("DeleteBucketLifecycle", "admin", On::Bucket),
    ("GetBucketTagging", "admin", On::Bucket),
    ("PutBucketTagging", "admin", On::Bucket),
    ("DeleteBucketTagging", "admin", On::Bucket),
    ("GetBucketEncryption", "admin", On::Bucket),
    ("PutBucketEncryption", "admin", On::Bucket),
    ("DeleteBucketEncryption", "admin", On::Bucket),
    ("GetBucketOwnershipControls", "admin", On::Bucket),
    ("PutBucketOwnershipControls", "admin", On::Bucket),
    ("DeleteBucketOwnershipControls", "admin", On::Bucket),
    ("GetPublicAccessBlock", "admin", On::Bucket),
    ("PutPublicAccessBlock", "admin", On::Bucket),
    ("DeletePublicAccessBlock", "admin", On::Bucket),
    ("GetBucketPolicy", "admin", On::Bucket),
    ("GetBucketPolicyStatus", "admin", On::Bucket),
    ("PutBucketPolicy", "admin", On::Bucket),
    ("DeleteBucketPolicy", "admin", On::Bucket),
    ("GetBucketWebsite", "admin", On::Bucket),
    ("DeleteBucketWebsite", "admin", On::Bucket),
    ("GetBucketReplication", "admin", On::Bucket),
    ("DeleteBucketReplication", "admin", On::Bucket),
    ("GetBucketAccelerateConfiguration", "admin", On::Bucket),
    ("GetBucketLogging", "admin", On::Bucket),
    ("PutBucketLogging", "admin", On::Bucket),
    ("GetBucketNotificationConfiguration", "admin", On::Bucket),
    ("PutBucketNotificationConfiguration", "admin", On::Bucket),
    ("GetBucketRequestPayment", "admin", On::Bucket),
    ("PutBucketRequestPayment", "admin", On::Bucket),
    ("ListObjects", "list", On::Prefix),
    ("ListObjectsV2", "list", On::Prefix),
    ("ListObjectVersions", "list", On::Prefix),
    ("ListMultipartUploads", "list", On::Prefix),
    ("GetObject", "read", On::Key),
    ("HeadObject", "read", On::Key),
    ("GetObjectAttributes", "read", On::Key),
    ("GetObjectTagging", "read", On::Key),
    ("GetObjectAcl", "read", On::Key),
    ("GetObjectRetention", "read", On::Key),
    ("GetObjectLegalHold", "read", On::Key),
    ("PutObject", "write", On::Key),
    ("PostObject", "write", On::Key),
    ("PutObjectTagging", "write", On::Key),
    ("DeleteObjectTagging", "write", On::Key),
    ("PutObjectAcl", "write", On::Key),
    ("PutObjectRetention", "write", On::Key),
    ("PutObjectLegalHold", "write", On::Key),
    ("CreateMultipartUpload", "write", On::Key),
    ("UploadPart", "write", On::Key),
    ("CompleteMultipartUpload", "write", On::Key),
    ("AbortMultipartUpload", "write", On::Key),
    ("ListParts", "write", On::Key),
    ("CopyObject", "read,write", On::KeyFromSource),
    ("UploadPartCopy", "read,write", On::KeyFromSource),
    ("DeleteObject", "delete", On::Key),
    ("DeleteObjects", "delete", On::Keys),
];

/// Each scope, and whether it covers a case.
const SCOPES: &[(&[&str], &[On])] = &[
    (
        &["*"],
        &[
            On::Tenant,
            On::AnythingInBucket,
            On::Bucket,
            On::Prefix,
            On::Key,
            On::Keys,
            On::KeyFromSource,
        ],
    ),
    (
        &["docs", "from"],
        &[
            On::Tenant,
            On::AnythingInBucket,
            On::Bucket,
            On::Prefix,
            On::Key,
            On::Keys,
            On::KeyFromSource,
        ],
    ),
    (
        &["docs:a/", "from:a/s"],
        &[
            On::Tenant,
            On::AnythingInBucket,
            On::Prefix,
            On::Key,
            On::Keys,
            On::KeyFromSource,
        ],
    ),
    (
        &["docs"],
        &[
            On::Tenant,
            On::AnythingInBucket,
            On::Bucket,
            On::Prefix,
            On::Key,
            On::Keys,
        ],
    ),
    (
        &["docs:a/k"],
        &[On::Tenant, On::AnythingInBucket, On::Key, On::Keys],
    ),
    // Another part of the same bucket: of a list of keys each is decided for itself.
    (
        &["docs:b/", "docs:a/k2"],
        &[On::Tenant, On::AnythingInBucket, On::Keys],
    ),
    (&["from"], &[On::Tenant]),
    (&["doc"], &[On::Tenant]),
    (&["docs2:a/"], &[On::Tenant]),
];

fn ask(operation: Operation, on: On) -> Ask<'static> {
    let ask = Ask::to(operation);
    match on {
        On::Tenant => ask,
        On::AnythingInBucket | On::Bucket | On::Keys => ask.in_bucket("docs"),
        On::Prefix => ask.in_bucket("docs").at("a/"),
        On::Key => ask.in_bucket("docs").at("a/k"),
        On::KeyFromSource => ask.in_bucket("docs").at("a/k").copying_from("from", "a/s"),
    }
}

fn every_set() -> impl Iterator<Item = Permissions> {
    (1_u8..32).map(|bits| {
        let all = Permission::ALL.iter().copied().enumerate();
        let named = all.filter(|(n, _)| bits & (1 << n) != 0);
        Permissions::of(named.map(|(_, one)| one)).unwrap()
    })
}

fn operation(name: &str) -> Operation {
    let mut all = Operation::ALL.iter();
    *all.find(|one| one.name() == name).unwrap()
}

#[test]
fn table_names_every_operation_once() {
    let mut named: Vec<&str> = TABLE.iter().map(|(name, ..)| *name).collect();
    let mut all: Vec<&str> = Operation::ALL.iter().map(|one| one.name()).collect();
    named.sort_unstable();
    all.sort_unstable();
    assert_eq!(named, all);
}

#[test]
fn every_operation_with_every_set_of_permissions_in_every_scope_is_as_the_table_says() {
    for &(name, needs, on) in TABLE {
        let operation = operation(name);
        let needs: Vec<Permission> = needs
            .split(',')
            .filter(|text| !text.is_empty())
            .map(|text| text.parse().unwrap())
            .collect();
        for permissions in every_set() {
            for &(scope, covered) in SCOPES {
                let grant = Grant {
                    permissions,
                    scope: Scope::of(scope).unwrap(),
                    expires: None,
                };
                let has = needs.iter().all(|one| permissions.contains(*one));
                let outcome = decided(&grant, &ask(operation, on));
                let case = format!("{name} with {permissions} in {scope:?}: {outcome:?}");
                match outcome {
                    Ok(_) => assert!(has && covered.contains(&on), "{case}"),
                    Err(Denied::Lacks { permission, .. }) => {
                        assert!(needs.contains(&permission), "{case}");
                        assert!(!permissions.contains(permission), "{case}");
                    }
                    Err(Denied::OutOfScope { .. }) => {
                        assert!(has && !covered.contains(&on), "{case}");
                    }
                    Err(other) => panic!("{case}: {other}"),
                }
            }
        }
    }
}

#[test]
fn what_is_not_named_is_not_decided_on() {
    let grant = Grant::unrestricted();
    for &(name, _, on) in TABLE.iter().filter(|(_, _, on)| *on != On::Tenant) {
        let operation = operation(name);
        let nameless = Denied::Nameless(operation);
        assert_eq!(decided(&grant, &Ask::to(operation)).unwrap_err(), nameless);
        let in_bucket = Ask::to(operation).in_bucket("docs");
        if matches!(on, On::Prefix | On::Key | On::KeyFromSource) {
            assert_eq!(decided(&grant, &in_bucket).unwrap_err(), nameless, "{name}");
        }
        if on == On::KeyFromSource {
            let ask = in_bucket.at("a/k");
            assert_eq!(decided(&grant, &ask).unwrap_err(), nameless, "{name}");
        }
    }
}

#[test]
fn copy_is_decided_on_both_sides() {
    let outcome = |grant: &Grant| {
        decided(grant, &ask(Operation::CopyObject, On::KeyFromSource)).map(|authorized| {
            let source = authorized.source().unwrap();
            assert!(source.is_in("from") && source.is_for("a/s") && !source.is_for("a/k"));
            assert!(authorized.is_in("docs") && authorized.is_for("a/k"));
            assert!(!authorized.is_for("a/s"));
        })
    };
    assert_eq!(
        outcome(&grant("read,write", &["docs:a/", "from:a/"])),
        Ok(())
    );
    let lacks = |permission, side| Err(Denied::Lacks { permission, side });
    let missing = grant("write", &["*"]);
    assert_eq!(outcome(&missing), lacks(Permission::Read, Side::Source));
    let missing = grant("read", &["*"]);
    assert_eq!(outcome(&missing), lacks(Permission::Write, Side::Target));
    let out = |side| {
        let demand = Demand::Copy;
        Err(Denied::OutOfScope { side, demand })
    };
    assert_eq!(
        outcome(&grant("read,write", &["docs:a/"])),
        out(Side::Source)
    );
    assert_eq!(
        outcome(&grant("read,write", &["from:a/"])),
        out(Side::Target)
    );
}

#[test]
fn lifting_a_lock_needs_admin_too() {
    for (name, permission) in [
        ("DeleteObject", "delete"),
        ("DeleteObjects", "delete"),
        ("PutObjectRetention", "write"),
        ("PutObjectLegalHold", "write"),
    ] {
        let ask = Ask::to(operation(name)).in_bucket("docs").at("a/k");
        let without = grant(permission, &["docs"]);
        assert!(decided(&without, &ask).is_ok(), "{name}");
        let lifting = ask.lifting_lock(true);
        let refused = decided(&without, &lifting).unwrap_err();
        let permission_of = |denied| match denied {
            Denied::Lacks { permission, .. } => Some(permission),
            _ => None,
        };
        assert_eq!(permission_of(refused), Some(Permission::Admin), "{name}");
        let with = grant(&format!("admin,{permission}"), &["docs"]);
        assert!(decided(&with, &lifting).is_ok(), "{name}");
        // Admin alone is no substitute for what the operation itself needs.
        assert!(
            decided(&grant("admin", &["docs"]), &lifting).is_err(),
            "{name}"
        );
    }
}

#[test]
fn credential_may_nothing_from_its_expiry_on() {
    for (expires, is_expired) in [
        (None, false),
        (Some(UnixMs(NOW.0 + 1)), false),
        (Some(NOW), true),
        (Some(UnixMs(0)), true),
    ] {
        let grant = Grant {
            expires,
            ..Grant::unrestricted()
        };
        for &(name, _, on) in TABLE {
            let outcome = decided(&grant, &ask(operation(name), on));
            let expired = expires
                .filter(|_| is_expired)
                .map(|at| Denied::Expired { at });
            assert_eq!(outcome.err(), expired, "{name}");
        }
    }
}

#[test]
fn list_of_keys_is_decided_key_by_key() {
    let grant = grant("delete", &["docs:a/", "docs:b", "other"]);
    let ask = Ask::to(Operation::DeleteObjects).in_bucket("docs");
    let authorized = decided(&grant, &ask).unwrap();
    for (key, may) in [
        ("a/", true),
        ("a/x", true),
        ("b", true),
        ("bx", true),
        ("a", false),
        ("c", false),
        ("", false),
    ] {
        assert_eq!(authorized.is_for(key), may, "{key}");
    }
    assert!(authorized.is_in("docs") && !authorized.is_in("other"));
}

#[test]
fn authorization_is_for_nothing_but_what_was_decided_on() {
    let all = Grant::unrestricted();
    let of = |operation, on| decided(&all, &ask(operation, on)).unwrap();
    let key = of(Operation::GetObject, On::Key);
    assert!(key.is_in("docs") && !key.is_in("from") && !key.is_in("doc"));
    assert!(key.is_for("a/k") && !key.is_for("a/k2") && !key.is_for("a/"));
    assert!(key.source().is_none() && !key.may_name("docs"));
    let listing = of(Operation::ListObjects, On::Prefix);
    assert!(listing.is_in("docs") && !listing.is_for("a/") && !listing.is_for("a/k"));
    let bucket = of(Operation::DeleteBucket, On::Bucket);
    assert!(bucket.is_in("docs") && !bucket.is_for("a/k"));
    let buckets = of(Operation::ListBuckets, On::Tenant);
    assert!(!buckets.is_in("docs") && !buckets.is_for("a/k") && buckets.may_name("docs"));
}

#[test]
fn listing_of_buckets_names_those_that_the_scope_touches() {
    let grant = grant("list", &["docs:a/", "more"]);
    let buckets = decided(&grant, &Ask::to(Operation::ListBuckets)).unwrap();
    let names = ["docs", "more", "secret", "doc", "docs2"];
    let named: Vec<&str> = names
        .into_iter()
        .filter(|one| buckets.may_name(one))
        .collect();
    assert_eq!(named, ["docs", "more"]);
}

#[test]
fn reader_without_list_is_not_told_what_is_missing() {
    let told = |permissions, name, on| {
        let grant = grant(permissions, &["*"]);
        let authorized = decided(&grant, &ask(operation(name), on)).unwrap();
        authorized.tells_what_is_missing()
    };
    for name in ["GetObject", "HeadObject", "GetObjectTagging"] {
        assert!(!told("read", name, On::Key), "{name}");
        assert!(told("read,list", name, On::Key), "{name}");
    }
    assert!(!told("read,write", "CopyObject", On::KeyFromSource));
    assert!(told("read,write,list", "CopyObject", On::KeyFromSource));
    for name in [
        "PutObjectTagging",
        "DeleteObjectTagging",
        "PutObjectAcl",
        "PutObjectRetention",
        "PutObjectLegalHold",
    ] {
        assert!(!told("write", name, On::Key), "{name}");
        assert!(told("write,list", name, On::Key), "{name}");
    }
    assert!(told("write", "UploadPart", On::Key));
}

#[test]
fn prefix_is_compared_byte_for_byte() {
    let reader = grant("read,list", &["docs:a/"]);
    let may = |key: &str| {
        let read = Ask::to(Operation::GetObject).in_bucket("docs").at(key);
        let list = Ask::to(Operation::ListObjectsV2).in_bucket("docs").at(key);
        let (read, list) = (decided(&reader, &read), decided(&reader, &list));
        assert_eq!(read.is_ok(), list.is_ok(), "{key:?}");
        read.is_ok()
    };
    // What the bytes say is all that counts: whoever sends `a/../b` means the key of these six characters.
    for key in ["a/", "a/b", "a//", "a/../b", "a/\u{0}", "a/%2e%2e/b", "a/é"] {
        assert!(may(key), "{key:?}");
    }
    for key in [
        "",
        "a",
        "ab",
        "A/b",
        "/a/b",
        "./a/b",
        "a\\b",
        "a%2Fb",
        "%61/b",
        "a\u{0}/b",
        "a /b",
        " a/b",
        "b/a/",
        "á/b",
        "a\u{301}/b",
    ] {
        assert!(!may(key), "{key:?}");
    }
}

#[test]
fn grant_texts_read_back() {
    for permissions in every_set() {
        assert_eq!(permissions.to_string().parse(), Ok(permissions));
    }
    for texts in [
        vec!["*"],
        vec!["docs"],
        vec!["docs:\u{0}", "docs:a:b", "more.docs:é\n"],
    ] {
        let scope = Scope::of(&texts).unwrap();
        assert_eq!(scope.texts(), texts);
        assert_eq!(Scope::of(&scope.texts()), Ok(scope));
    }
    for bad in ["", "Docs", "do", "docs:", ":a", "docs/a", "**", "*:a"] {
        assert!(Scope::of(&[bad]).is_err(), "{bad}");
    }
    for bad in ["", "Read", "read,", "read list", "all"] {
        assert!(bad.parse::<Permissions>().is_err(), "{bad}");
    }
}

#[test]
fn prefix_is_not_printed() {
    let scope = Scope::of(&["docs:patients/jane"]).unwrap();
    assert!(!format!("{scope:?}").contains("jane"));
    let authorized = decided(&Grant::unrestricted(), &ask(Operation::GetObject, On::Key));
    assert!(!format!("{:?}", authorized.unwrap()).contains("a/k"));
}

fn any_key() -> impl Strategy<Value = String> {
    prop_oneof!["[ab/.]{0,4}", "[ab/%.\\x00é]{0,6}"]
}

fn any_scope() -> impl Strategy<Value = Scope> {
    let entry = ("(docs|from|more)", proptest::option::of("[ab/.]{1,3}"));
    let entry = entry.prop_map(|(bucket, prefix)| match prefix {
        Some(prefix) => format!("{bucket}:{prefix}"),
        None => bucket,
    });
    let entries = proptest::collection::vec(entry, 1..4);
    prop_oneof![
        1 => Just(Scope::Everything),
        6 => entries.prop_map(|texts| Scope::of(&texts).unwrap()),
    ]
}

fn any_grant() -> impl Strategy<Value = Grant> {
    let set = proptest::sample::select(every_set().collect::<Vec<_>>());
    let expires = proptest::option::of((-2_i64..3).prop_map(|ms| NOW.plus_ms(ms)));
    (set, any_scope(), expires).prop_map(|(permissions, scope, expires)| Grant {
        permissions,
        scope,
        expires,
    })
}

/// A grant that allows all that another does, and perhaps more.
fn widened(grant: &Grant, more: &Grant) -> Grant {
    let both = grant.permissions.iter().chain(more.permissions.iter());
    let scope = match (&grant.scope, &more.scope) {
        (Scope::Only(one), Scope::Only(other)) => {
            let texts = one.iter().chain(other).map(ToString::to_string);
            Scope::of(&texts.collect::<Vec<_>>()).unwrap()
        }
        _ => Scope::Everything,
    };
    Grant {
        permissions: Permissions::of(both).unwrap(),
        scope,
        expires: grant.expires.zip(more.expires).map(|(a, b)| a.max(b)),
    }
}

proptest! {
    #[test]
    fn widening_a_grant_never_denies(
        grant in any_grant(), more in any_grant(), operation in proptest::sample::select(Operation::ALL),
        key in any_key(), other in any_key(), from in any_key(), lifts in any::<bool>(),
    ) {
        let ask = Ask::to(operation).in_bucket("docs").at(&key).copying_from("from", &from).lifting_lock(lifts);
        let wide = widened(&grant, &more);
        if let Ok(narrow) = decided(&grant, &ask) {
            let wide = decided(&wide, &ask);
            prop_assert!(wide.is_ok(), "{wide:?}");
            let wide = wide.unwrap();
            prop_assert!(!narrow.is_for(&other) || wide.is_for(&other));
            prop_assert!(!narrow.may_name("more") || wide.may_name("more"));
            prop_assert!(!narrow.tells_what_is_missing() || wide.tells_what_is_missing());
        }
    }

    #[test]
    fn key_is_covered_if_and_only_if_its_bytes_begin_with_the_prefix(prefix in "[ab/.é]{1,4}", key in any_key()) {
        let reader = grant("read", &[&format!("docs:{prefix}")]);
        let may = |bucket| decided(&reader, &Ask::to(Operation::GetObject).in_bucket(bucket).at(&key)).is_ok();
        let begins = key.len() >= prefix.len() && key.bytes().zip(prefix.bytes()).all(|(a, b)| a == b);
        prop_assert_eq!(may("docs"), begins);
        prop_assert!(!may("from"));
    }

    #[test]
    fn listing_names_no_key_that_could_not_be_read(grant in any_grant(), prefix in any_key(), rest in any_key()) {
        let list = Ask::to(Operation::ListObjectsV2).in_bucket("docs").at(&prefix);
        if decided(&grant, &list).is_ok() {
            let key = format!("{prefix}{rest}");
            let reader = Grant { permissions: Permissions::ALL, ..grant };
            prop_assert!(decided(&reader, &Ask::to(Operation::GetObject).in_bucket("docs").at(&key)).is_ok());
        }
    }
}
