//! Keys that stores like to change.

use super::{Ground, pattern};
use crate::region::{KeyRules, ListRequest, RegionStore};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Keys that the rules say are kept.
fn kept_keys(rules: &KeyRules) -> Vec<String> {
    let plain = [
        "a",
        "A",
        "ä",
        "日本語",
        "🦀",
        "a b",
        "a+b",
        "a%20b",
        "a%2Fb",
        "%",
        "?",
        "#",
        "a=b&c=d",
        "<a>\"'",
        "a\\b",
        "a~b",
        "*",
        "-",
        "_",
        "!",
        "a:b",
        "a;b",
        "a,b",
        "$a",
        "@",
        "(x)",
        "[x]",
        "e\u{301}",
        "\u{e9}",
        "dir/file",
        "dir2/sub/file",
        ".hidden",
        "..dots",
        "a..b",
        "...",
        "\u{feff}bom",
        "\u{200d}zwj",
        "\u{10ffff}",
    ];
    let mut keys: Vec<String> = plain.iter().map(ToString::to_string).collect();
    let mut also = |kept: bool, more: &[&str]| {
        if kept {
            keys.extend(more.iter().map(ToString::to_string));
        }
    };
    also(rules.empty_segments, &["x//y", "x/y", "x///y"]);
    also(
        rules.dot_segments,
        &["x/./z", "x/../z", "x/z", "..", ".", "../up", "x/.."],
    );
    also(rules.leading_slash, &["/lead", "lead"]);
    let markers = rules.trailing_slash || rules.folder_markers;
    also(
        markers,
        &["trail/", "trail2", "tr/ail/", "tr/ail/below", "tr/"],
    );
    also(rules.trailing_slash, &["trail/ "]);
    also(
        rules.leading_slash && rules.empty_segments,
        &["/", "//", "//lead"],
    );
    also(
        rules.control_characters,
        &[
            "nul\u{0}nul",
            "nul",
            "tab\tx",
            "nl\nx",
            "cr\rx",
            "del\u{7f}",
            "\u{1}",
        ],
    );
    also(
        rules.control_characters && rules.object_below_object,
        &["\u{0}", "\u{0}\u{0}"],
    );
    keys.push("k".repeat(rules.bytes_max));
    keys.push(format!("{}é", "k".repeat(rules.bytes_max - 2)));
    keys
}

/// Every key that the profile says is kept names one object, is listed exactly so, and is deleted alone.
pub async fn every_kept_key_is_its_own(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    let keys = kept_keys(&ground.store.profile().keys);
    let expected: BTreeSet<String> = keys.iter().cloned().collect();
    assert_eq!(expected.len(), keys.len(), "the keys differ");
    for (seed, key) in (0..).zip(&keys) {
        ground.put(key, &pattern(seed, 64)).await;
    }
    for (seed, key) in (0..).zip(&keys) {
        assert_eq!(ground.get(key).await.1, pattern(seed, 64), "{key:?}");
    }
    let request = ListRequest {
        keys_max: 1000,
        ..ListRequest::default()
    };
    let page = ground
        .store
        .list(ground.tenant, &ground.bucket, &request)
        .await
        .expect("list");
    let listed: Vec<String> = page.objects.into_iter().map(|o| o.key).collect();
    if ground.store.profile().keys.byte_order {
        assert!(listed.is_sorted(), "{listed:?}");
    }
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), expected);
    for (gone, key) in keys.iter().enumerate() {
        ground.delete(key).await;
        ground.assert_absent(key).await;
        if let Some(next) = keys.get(gone + 1) {
            ground
                .head(next)
                .await
                .expect("the next key is still there");
        }
    }
}

/// `a`, `a/` and `a/b` are three objects.
pub async fn object_below_an_object_is_its_own(store: Arc<dyn RegionStore>) {
    let rules = store.profile().keys.clone();
    if !rules.object_below_object || !(rules.trailing_slash || rules.folder_markers) {
        return;
    }
    let ground = Ground::new(store).await;
    for (seed, key) in (0..).zip(["a", "a/b", "a/", "a/b/c"]) {
        ground.put(key, &pattern(seed, 64)).await;
    }
    ground.delete("a/").await;
    ground.delete("a/b").await;
    assert_eq!(ground.get("a").await.1, pattern(0, 64));
    assert_eq!(ground.get("a/b/c").await.1, pattern(3, 64));
    ground.assert_absent("a/b").await;
}
