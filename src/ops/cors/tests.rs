use super::rules::matches;
use super::*;
use proptest::prelude::*;

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn rule(origins: &[&str], methods: &[&str], headers: &[&str]) -> CorsRule {
    CorsRule {
        allowed_origins: texts(origins),
        allowed_methods: texts(methods),
        allowed_headers: texts(headers),
        ..CorsRule::default()
    }
}

/// The number of the rule that decides, and whether it allows every origin.
fn decided(
    rules: &[CorsRule],
    origin: &str,
    method: &str,
    headers: &[&str],
) -> Option<(usize, bool)> {
    let names: Vec<String> = headers.iter().map(|n| n.to_ascii_lowercase()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let request = CorsRequest {
        origin,
        method,
        headers: &names,
    };
    let read = Rules::of(StoredRules::of(rules).unwrap()).unwrap();
    let verdict = read.decide(&request)?;
    let number = rules.iter().position(|rule| rule == verdict.rule)?;
    Some((number, verdict.any_origin))
}

#[test]
fn first_rule_that_allows_origin_method_and_every_header_decides() {
    let rules = [
        rule(
            &["https://a.test"],
            &["GET", "PUT"],
            &["x-amz-*", "Content-Type"],
        ),
        rule(&["https://*.b.test", "http://c.test:8080"], &["GET"], &[]),
        rule(&["https://a.test"], &["DELETE"], &["*"]),
        rule(&["*"], &["HEAD"], &["*-id"]),
        rule(&["end*"], &["POST"], &["authorization"]),
    ];
    let (a, none) = ("https://a.test", &[][..]);
    for (origin, method, headers, expected) in [
        (a, "GET", none, Some((0, false))),
        (a, "PUT", &["X-AMZ-Date", "content-type"], Some((0, false))),
        (a, "PUT", &["x-amz-"], Some((0, false))),
        (a, "PUT", &["x-am"], None),
        (a, "PUT", &["x-amz-date", "authorization"], None),
        (
            a,
            "DELETE",
            &["authorization", "anything"],
            Some((2, false)),
        ),
        (a, "POST", none, None),
        (a, "get", none, None),
        ("https://A.test", "GET", none, None),
        ("http://a.test", "GET", none, None),
        ("https://a.test.evil", "GET", none, None),
        ("https://x.b.test", "GET", none, Some((1, false))),
        ("https://x.y.b.test", "GET", none, Some((1, false))),
        ("https://.b.test", "GET", none, Some((1, false))),
        ("https://b.test", "GET", none, None),
        ("https://x.b.test.evil", "GET", none, None),
        ("https://x.b.test", "GET", &["accept"], None),
        ("http://c.test:8080", "GET", none, Some((1, false))),
        ("http://c.test", "GET", none, None),
        ("null", "HEAD", none, Some((3, true))),
        ("", "HEAD", none, Some((3, true))),
        (a, "HEAD", &["request-id"], Some((3, true))),
        (a, "HEAD", &["id-request"], None),
        ("end", "POST", &["Authorization"], Some((4, false))),
        ("en", "POST", none, None),
    ] {
        let found = decided(&rules, origin, method, headers);
        assert_eq!(found, expected, "{origin} {method} {headers:?}");
    }
}

#[test]
fn wildcard_does_not_count_its_sides_twice() {
    let rules = [rule(&["ab*ba"], &["GET"], &[])];
    assert_eq!(decided(&rules, "aba", "GET", &[]), None);
    assert_eq!(decided(&rules, "abba", "GET", &[]), Some((0, false)));
}

#[test]
fn wildcard_headers_have_a_bound_over_all_rules() {
    let patterns = |count: usize| (0..count).map(|n| format!("x{n}-*")).collect();
    let of = |counts: [usize; 2]| {
        let rules = counts.map(|count| CorsRule {
            allowed_headers: patterns(count),
            ..rule(&["*"], &["GET"], &[])
        });
        StoredRules::of(&rules).map(drop).map_err(|e| e.code())
    };
    assert_eq!(of([500, 500]), Ok(()));
    assert_eq!(of([500, 501]), Err(Code::InvalidRequest));
    // Names without a wildcard cost nothing.
    let names = (0..2_000).map(|n| format!("x{n}")).collect();
    let plain = CorsRule {
        allowed_headers: names,
        ..rule(&["*"], &["GET"], &[])
    };
    assert!(StoredRules::of(&[plain]).is_ok());
}

#[tokio::test]
async fn rules_are_parsed_once_and_again_when_they_change() {
    use crate::ops::scope::Access;
    use crate::ops::testing::{Testbed, bucket_scope};
    let bed = Testbed::new().await;
    let scope = bucket_scope(&bed.gateway, &bed.acme, "docs", Access::Write).await;
    let scope = scope.unwrap();
    let cache = RulesCache::default();
    let read = async || {
        let rules = cache.rules(&*bed.catalog, scope.tenant, &scope.bucket.name);
        rules.await.unwrap()
    };
    assert!(read().await.is_none());
    set_rules(&scope, vec![rule(&["https://a.test"], &["GET"], &[])])
        .await
        .unwrap();
    let (first, again) = (read().await.unwrap(), read().await.unwrap());
    assert!(Arc::ptr_eq(&first, &again));
    let request = CorsRequest {
        origin: "https://b.test",
        method: "GET",
        headers: &[],
    };
    assert!(first.decide(&request).is_none());
    set_rules(&scope, vec![rule(&["https://b.test"], &["GET"], &[])])
        .await
        .unwrap();
    assert!(read().await.unwrap().decide(&request).is_some());
    delete_rules(&scope).await.unwrap();
    assert!(read().await.is_none());
}

#[test]
fn rules_of_every_kind_are_taken_and_read_back() {
    let rule = CorsRule {
        id: Some("i".repeat(255)),
        expose_headers: texts(&["ETag", "x-amz-meta-a"]),
        max_age_s: Some(3000),
        ..rule(&["*", "https://*"], &METHODS, &["*", "x-*-y"])
    };
    let rules = vec![rule; 100];
    let stored = StoredRules::of(&rules).unwrap();
    assert_eq!(stored.read().unwrap(), rules);
}

#[test]
fn rules_that_s3_refuses_are_refused() {
    let good = || rule(&["*"], &["GET"], &[]);
    let code = |rules: &[CorsRule]| StoredRules::of(rules).map(drop).map_err(|e| e.code());
    assert_eq!(code(&[good()]), Ok(()));
    assert_eq!(code(&[]), Err(Code::MalformedXML));
    assert_eq!(code(&vec![good(); 101]), Err(Code::InvalidRequest));
    let long = CorsRule {
        allowed_origins: vec!["a".repeat(1000); 66],
        ..good()
    };
    assert_eq!(code(&[long]), Err(Code::MaxMessageLengthExceeded));
    let exposing = |name: &str| CorsRule {
        expose_headers: texts(&[name]),
        ..good()
    };
    for bad in [
        rule(&[], &["GET"], &[]),
        rule(&["*"], &[], &[]),
        rule(&["*"], &["get"], &[]),
        rule(&["*"], &["GET", "OPTIONS"], &[]),
        rule(&["https://*.a.*"], &["GET"], &[]),
        rule(&["https://a\r\nx: y"], &["GET"], &[]),
        rule(&[""], &["GET"], &[]),
        rule(&["*"], &["GET"], &["x-*-*"]),
        rule(&["*"], &["GET"], &["a b"]),
        rule(&["*"], &["GET"], &[""]),
        exposing("x-*"),
        exposing("a,b"),
        exposing("a\r\nx: y"),
        CorsRule {
            id: Some("i".repeat(256)),
            ..good()
        },
    ] {
        assert_eq!(
            code(&[good(), bad.clone()]),
            Err(Code::InvalidRequest),
            "{bad:?}"
        );
    }
}

proptest! {
    #[test]
    fn pattern_with_one_wildcard_matches_what_has_both_its_sides(
        before in "[ab.]{0,4}", middle in "[ab.]{0,4}", after in "[ab.]{0,4}", other in "[ab.]{0,8}",
    ) {
        let pattern = format!("{before}*{after}");
        let whole = format!("{before}{middle}{after}");
        prop_assert!(matches(&pattern, &whole));
        // The slow way: some middle makes the text.
        let fits = (0..=other.len()).any(|from| {
            (from..=other.len()).any(|to| other[..from] == before && other[to..] == after)
        });
        prop_assert_eq!(matches(&pattern, &other), fits);
        prop_assert_eq!(matches(&before, &other), before == other);
    }
}
