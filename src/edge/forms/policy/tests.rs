use super::*;
use proptest::prelude::*;

const NOW: UnixMs = UnixMs(1_767_225_600_000);
const LATER: &str = "2026-01-01T00:00:01Z";

fn fields(pairs: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in pairs {
        fields.add(name, (*value).to_owned()).unwrap();
    }
    fields.bind("docs", "f.txt").unwrap();
    fields
}

fn policy(conditions: &str) -> Vec<u8> {
    format!("{{\"expiration\": \"{LATER}\", \"conditions\": {conditions}}}").into_bytes()
}

fn outcome(conditions: &str, pairs: &[(&str, &str)]) -> Result<FileBytes, Code> {
    let parsed = Policy::parse(&policy(conditions)).map_err(|e| e.code())?;
    parsed.check(&fields(pairs), NOW).map_err(|e| e.code())
}

#[test]
fn conditions_hold_or_not() {
    let denied = Err(Code::AccessDenied);
    let any = Ok(FileBytes::ANY);
    let key = ("key", "user/a");
    for (conditions, pairs, expected) in [
        (
            r#"[{"bucket": "docs"}, {"key": "user/a"}]"#,
            &[key][..],
            any,
        ),
        (
            r#"[{"bUcKeT": "docs"}, ["EQ", "$KeY", "user/a"]]"#,
            &[("kEy", "user/a")],
            any,
        ),
        (r#"[{"bucket": "docs", "key": "user/a"}]"#, &[key], any),
        (
            r#"[{"bucket": "docs"}, ["starts-with", "$key", "user/"]]"#,
            &[key],
            any,
        ),
        (
            r#"[{"bucket": "docs"}, ["starts-with", "$key", ""]]"#,
            &[key],
            any,
        ),
        (
            r#"[{"bucket": "docs"}, ["starts-with", "$key", "User"]]"#,
            &[key],
            denied,
        ),
        (
            r#"[{"bucket": "docs"}, ["eq", "$key", "user"]]"#,
            &[key],
            denied,
        ),
        (
            r#"[{"bucket": "other"}, ["starts-with", "$key", ""]]"#,
            &[key],
            denied,
        ),
        // Nothing says that this bucket is meant.
        (r#"[["starts-with", "$key", ""]]"#, &[key], denied),
        (r#"[{"bucket": "docs"}]"#, &[key], denied),
        // The name of the file counts, not the text that stands for it.
        (
            r#"[{"bucket": "docs"}, {"key": "a/f.txt"}]"#,
            &[("key", "a/${filename}")],
            any,
        ),
        (
            r#"[{"bucket": "docs"}, {"key": "a/${filename}"}]"#,
            &[("key", "a/${filename}")],
            denied,
        ),
        (
            r#"[{"bucket": "docs"}, {"key": "user/a"}, {"acl": "private"}]"#,
            &[key, ("ACL", "private")],
            any,
        ),
        (
            r#"[{"bucket": "docs"}, {"key": "user/a"}, {"acl": "private"}]"#,
            &[key, ("acl", "Private")],
            denied,
        ),
        (
            r#"[{"bucket": "docs"}, {"key": "user/a"}, {"acl": "private"}]"#,
            &[key],
            denied,
        ),
        (
            r#"[{"bucket": "docs"}, {"key": "user/a"}, ["starts-with", "$acl", ""]]"#,
            &[key],
            any,
        ),
        (
            r#"[{"bucket": "docs"}, {"key": "user/a"}, {"x-amz-meta-a": ""}]"#,
            &[key, ("x-amz-meta-a", "b")],
            denied,
        ),
        // Every condition counts, also two on one field.
        (
            r#"[{"bucket": "docs"}, ["starts-with", "$key", ""], {"key": "b"}]"#,
            &[key],
            denied,
        ),
        (
            r#"[{"bucket": "docs"}, {"key": "user/a"}]"#,
            &[
                key,
                ("x-ignore-a", "b"),
                ("policy", "p"),
                ("x-amz-signature", "s"),
            ],
            any,
        ),
        (
            r#"[{"bucket": "docs"}, {"key": "user/a"}]"#,
            &[key, ("submit", "Upload")],
            denied,
        ),
        (
            r#"[{"bucket": "docs"}, {"key": "user/a"}]"#,
            &[key, ("x-amz-date", "d")],
            denied,
        ),
        (
            r#"[{"bucket": "docs"}, {"key": "user/a"}, ["starts-with", "$Content-Type", "image/"]]"#,
            &[key, ("Content-Type", "image/png, image/gif")],
            any,
        ),
        (
            r#"[{"bucket": "docs"}, {"key": "user/a"}, ["starts-with", "$Content-Type", "image/"]]"#,
            &[key, ("Content-Type", "image/png,text/html")],
            denied,
        ),
        (
            r#"[{"bucket": "docs"}, {"key": "\\$a"}]"#,
            &[("key", "\\$a")],
            any,
        ),
    ] {
        assert_eq!(
            outcome(conditions, pairs),
            expected,
            "{conditions} {pairs:?}"
        );
    }
}

#[test]
fn bucket_field_that_names_another_bucket_is_refused() {
    let mut other = Fields::default();
    other.add("bucket", "other".to_owned()).unwrap();
    other.add("key", "a".to_owned()).unwrap();
    let refused = other.bind("docs", "").unwrap_err();
    assert_eq!(refused.code(), Code::AccessDenied);
}

#[test]
fn length_ranges_are_all_in_force() {
    let range = |conditions: &str| outcome(conditions, &[("key", "a")]);
    let with = |ranges: &str| format!(r#"[{{"bucket": "docs"}}, {{"key": "a"}}, {ranges}]"#);
    let bytes = |min, max| Ok(FileBytes { min, max });
    assert_eq!(
        range(&with(r#"["content-length-range", 1, 5]"#)),
        bytes(1, 5)
    );
    assert_eq!(
        range(&with(r#"["Content-Length-Range", "0", "7"]"#)),
        bytes(0, 7)
    );
    let two = r#"["content-length-range", 1, 5], ["content-length-range", 3, 9]"#;
    assert_eq!(range(&with(two)), bytes(3, 5));
}

#[test]
fn policy_lives_until_its_expiration() {
    let at = |expiration: &str, now: i64| {
        let json = format!(
            r#"{{"expiration": "{expiration}", "conditions": [["starts-with", "$key", ""], {{"bucket": "docs"}}]}}"#
        );
        let parsed = Policy::parse(json.as_bytes()).map_err(|e| e.code())?;
        let checked = parsed.check(&fields(&[("key", "a")]), UnixMs(now));
        checked.map(drop).map_err(|e| e.code())
    };
    let denied = Err(Code::AccessDenied);
    assert_eq!(at(LATER, NOW.0), Ok(()));
    assert_eq!(at(LATER, NOW.0 + 999), Ok(()));
    assert_eq!(at(LATER, NOW.0 + 1000), denied);
    assert_eq!(at("2026-01-01T00:00:00.500Z", NOW.0 + 499), Ok(()));
    assert_eq!(at("2026-01-01T00:00:00.500Z", NOW.0 + 500), denied);
    // However far off it is.
    assert_eq!(at("9999-12-31T23:59:59Z", NOW.0), Ok(()));
    for bad in [
        "",
        "2026-01-01",
        "2026-01-01 00:00:00Z",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00+00:00",
        "2026-13-01T00:00:00Z",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00.1234567890Z",
        "20260101T000000Z",
        "2026-01-01T00:00:00z",
    ] {
        assert_eq!(at(bad, NOW.0), Err(Code::InvalidPolicyDocument), "{bad}");
    }
}

#[test]
fn documents_that_are_no_policy_are_invalid() {
    for bad in [
        "",
        "[]",
        "{",
        r#"{"conditions": []}"#,
        r#"{"expiration": "2026-01-01T00:00:01Z"}"#,
        r#"{"expiration": "2026-01-01T00:00:01Z", "CONDITIONS": []}"#,
        r#"{"EXPIRATION": "2026-01-01T00:00:01Z", "conditions": []}"#,
        r#"{"expiration": 1, "conditions": []}"#,
        r#"{"expiration": "2026-01-01T00:00:01Z", "conditions": {}}"#,
    ] {
        let refused = Policy::parse(bad.as_bytes()).unwrap_err();
        assert_eq!(refused.code(), Code::InvalidPolicyDocument, "{bad}");
    }
    for bad in [
        r#"[{}]"#,
        r#"["a"]"#,
        r#"[[]]"#,
        r#"[{"a": 1}]"#,
        r#"[["eq", "$a"]]"#,
        r#"[["eq", "a", "b"]]"#,
        r#"[["eq", "$a", 1]]"#,
        r#"[["ends-with", "$a", "b"]]"#,
        r#"[["eq", "$a", "b", "c"]]"#,
        r#"[["content-length-range", 0]]"#,
        r#"[["content-length-range", -1, 0]]"#,
        r#"[["content-length-range", 0.5, 1]]"#,
        r#"[["content-length-range", "", 1]]"#,
        r#"[[1, "$a", "b"]]"#,
    ] {
        assert_eq!(
            outcome(bad, &[("key", "a")]),
            Err(Code::InvalidPolicyDocument),
            "{bad}"
        );
    }
}

proptest! {
    #[test]
    fn field_without_a_condition_never_passes(name in "[a-z-]{1,12}", value in ".{0,8}") {
        prop_assume!(!["file", "policy", "key", "bucket"].contains(&name.as_str()) && !name.starts_with("x-ignore-"));
        let conditions = r#"[{"bucket": "docs"}, ["starts-with", "$key", ""]]"#;
        let found = outcome(conditions, &[("key", "a"), (&name, &value)]);
        prop_assert_eq!(found, Err(Code::AccessDenied));
    }

    #[test]
    fn policies_of_anything_are_read_without_panics(text in ".{0,80}", conditions in "[\\[\\]{}\",:$a-z0-9 -]{0,60}") {
        let _ = Policy::parse(text.as_bytes());
        let _ = Policy::parse(&policy(&conditions));
    }
}
