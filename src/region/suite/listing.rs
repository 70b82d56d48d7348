//! Listings.

use super::{Ground, pattern};
use crate::region::{ListRequest, Listing, RegionStore};
use futures::StreamExt;
use std::sync::Arc;

async fn fill(ground: &Ground, keys: &[String]) {
    let body = pattern(7, 16);
    futures::stream::iter(keys)
        .for_each_concurrent(32, |key| async {
            ground.put(key, &body).await;
        })
        .await;
}

async fn page(ground: &Ground, request: &ListRequest) -> Listing {
    let page = ground
        .store
        .list(ground.tenant, &ground.bucket, request)
        .await
        .expect("list");
    let entries = page.objects.len() + page.common_prefixes.len();
    assert!(entries <= request.keys_max, "{entries} entries");
    page
}

/// Every page of a listing: keys and common prefixes, each in the order in which they came.
async fn pages(ground: &Ground, mut request: ListRequest) -> (Vec<String>, Vec<String>, usize) {
    let (mut keys, mut prefixes, mut count) = (Vec::new(), Vec::new(), 0);
    loop {
        let page = page(ground, &request).await;
        count += 1;
        assert!(count < 10_000, "the listing ends");
        keys.extend(page.objects.into_iter().map(|object| object.key));
        prefixes.extend(page.common_prefixes);
        match page.next_start_after {
            None => return (keys, prefixes, count),
            next => request.start_after = next,
        }
    }
}

fn ordered(ground: &Ground, mut keys: Vec<String>) -> Vec<String> {
    if !ground.store.profile().keys.byte_order {
        keys.sort();
    }
    keys
}

/// 2,500 keys come in three pages, each key once, in byte order where the store has it.
pub async fn pages_hold_every_key_once(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    let mut keys: Vec<String> = (0..2500)
        .map(|n: u32| format!("{:04x}/{n}", n.wrapping_mul(40_503) % 65_536))
        .collect();
    fill(&ground, &keys).await;
    keys.sort();
    let request = ListRequest {
        keys_max: 1000,
        ..ListRequest::default()
    };
    let (listed, prefixes, count) = pages(&ground, request).await;
    assert_eq!(ordered(&ground, listed), keys);
    assert!(prefixes.is_empty());
    assert_eq!(count, 3);
    let small = ListRequest {
        keys_max: 7,
        prefix: "1".to_owned(),
        ..ListRequest::default()
    };
    keys.retain(|key| key.starts_with('1'));
    let (listed, _, _) = pages(&ground, small).await;
    assert_eq!(ordered(&ground, listed), keys);
}

fn strings(keys: &[&str]) -> Vec<String> {
    keys.iter().map(ToString::to_string).collect()
}

/// A delimiter folds what lies behind it; keys before it stay.
pub async fn prefix_and_delimiter_fold(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    let keys = ["a", "b/1", "b/2", "b/c/1", "b/c/2", "b/d/1", "c-1", "c-2"];
    fill(&ground, &strings(&keys)).await;
    let ask = |prefix: &str, delimiter: &str| ListRequest {
        prefix: prefix.to_owned(),
        delimiter: Some(delimiter.to_owned()),
        start_after: None,
        keys_max: 1000,
    };
    let cases = [
        (ask("", "/"), vec!["a", "c-1", "c-2"], vec!["b/"]),
        (ask("b/", "/"), vec!["b/1", "b/2"], vec!["b/c/", "b/d/"]),
        (ask("b", "/"), vec![], vec!["b/"]),
        (ask("b/c/", "/"), vec!["b/c/1", "b/c/2"], vec![]),
        (ask("nothing", "/"), vec![], vec![]),
    ];
    for (request, keys, prefixes) in cases {
        let (listed, folded, _) = pages(&ground, request.clone()).await;
        assert_eq!(ordered(&ground, listed), strings(&keys), "{request:?}");
        assert_eq!(ordered(&ground, folded), strings(&prefixes), "{request:?}");
    }
}

/// Pages of one entry walk over common prefixes, each once.
pub async fn common_prefixes_page_one_by_one(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    let mut keys = strings(&["d0", "d5-", "z"]);
    for dir in 0..6 {
        keys.extend((0..5).map(|n| format!("d{dir}/{n}")));
    }
    fill(&ground, &keys).await;
    let request = ListRequest {
        delimiter: Some("/".to_owned()),
        keys_max: 1,
        ..ListRequest::default()
    };
    let (listed, folded, count) = pages(&ground, request).await;
    assert_eq!(ordered(&ground, listed), strings(&["d0", "d5-", "z"]));
    let expected: Vec<String> = (0..6).map(|dir| format!("d{dir}/")).collect();
    assert_eq!(ordered(&ground, folded), expected);
    assert_eq!(count, 9);
}

/// `start_after` need not be a key, and is not listed if it is one.
pub async fn start_after_begins_behind_it(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    fill(&ground, &strings(&["a", "b", "c", "d/1", "d/2", "e"])).await;
    let ask = |after: &str| ListRequest {
        start_after: Some(after.to_owned()),
        keys_max: 1000,
        ..ListRequest::default()
    };
    for (after, expected) in [
        ("b", vec!["c", "d/1", "d/2", "e"]),
        ("bb", vec!["c", "d/1", "d/2", "e"]),
        ("d/1", vec!["d/2", "e"]),
        ("e", vec![]),
        ("zzz", vec![]),
    ] {
        let (listed, _, _) = pages(&ground, ask(after)).await;
        assert_eq!(
            ordered(&ground, listed),
            strings(&expected),
            "after {after}"
        );
    }
    let folded = ListRequest {
        delimiter: Some("/".to_owned()),
        ..ask("d/")
    };
    let (listed, prefixes, _) = pages(&ground, folded).await;
    assert_eq!(listed, strings(&["e"]));
    assert!(prefixes.is_empty(), "{prefixes:?}");
}

/// A listing tells the length, ETag and time that a head tells.
pub async fn tells_stored_bytes_and_etag(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    let etag = ground.put("a", &pattern(1, 12_345)).await.etag;
    let request = ListRequest {
        keys_max: 2,
        ..ListRequest::default()
    };
    let page = page(&ground, &request).await;
    let head = ground.head("a").await.expect("head");
    let [object] = page.objects.as_slice() else {
        panic!("one object: {page:?}");
    };
    assert_eq!(object.stored_bytes, 12_345);
    assert_eq!(object.etag, etag);
    assert_eq!(head.etag, etag);
    // Heads may tell whole seconds only (HTTP dates).
    assert_eq!(object.last_modified.0 / 1000, head.last_modified.0 / 1000);
}

/// Folders' own objects are listed, folded and walked over like all others.
pub async fn folder_markers_page_one_by_one(store: Arc<dyn RegionStore>) {
    let rules = &store.profile().keys;
    if !(rules.trailing_slash || rules.folder_markers) {
        return;
    }
    let ground = Ground::new(store).await;
    let keys = strings(&["m/", "m/!", "m/a", "m/b/", "m/b/c", "n/", "o/p/"]);
    fill(&ground, &keys).await;
    for keys_max in [1, 2, 1000] {
        let all = ListRequest {
            keys_max,
            ..ListRequest::default()
        };
        let (listed, _, _) = pages(&ground, all.clone()).await;
        assert_eq!(ordered(&ground, listed), keys, "by {keys_max}");
        let below = ListRequest {
            prefix: "m/".to_owned(),
            delimiter: Some("/".to_owned()),
            ..all.clone()
        };
        let (listed, folded, _) = pages(&ground, below).await;
        assert_eq!(ordered(&ground, listed), strings(&["m/", "m/!", "m/a"]));
        assert_eq!(folded, strings(&["m/b/"]));
        let top = ListRequest {
            delimiter: Some("/".to_owned()),
            ..all.clone()
        };
        let (listed, folded, _) = pages(&ground, top).await;
        assert_eq!(listed, strings(&[]));
        assert_eq!(ordered(&ground, folded), strings(&["m/", "n/", "o/"]));
        let behind = ListRequest {
            start_after: Some("m/".to_owned()),
            ..all.clone()
        };
        let (listed, _, _) = pages(&ground, behind).await;
        assert_eq!(ordered(&ground, listed), keys[1..], "behind m/");
        // No prefix finds a marker under a name that is not its own.
        let spaced = ListRequest {
            prefix: "m/ ".to_owned(),
            ..all
        };
        let (listed, _, _) = pages(&ground, spaced).await;
        assert_eq!(listed, strings(&[]));
    }
}

/// An object, and what lies in a folder of its name, at the end of a page: the listing goes on.
pub async fn folder_of_an_objects_name_pages_one_by_one(store: Arc<dyn RegionStore>) {
    if !store.profile().keys.object_below_object {
        return;
    }
    let ground = Ground::new(store).await;
    let keys = strings(&["0", "a", "a/1", "a/2", "a/2/x"]);
    fill(&ground, &keys).await;
    for keys_max in [1, 2, 3, 4, 5, 1000] {
        let all = ListRequest {
            keys_max,
            ..ListRequest::default()
        };
        let (listed, _, _) = pages(&ground, all.clone()).await;
        assert_eq!(ordered(&ground, listed), keys, "by {keys_max}");
        let below = ListRequest {
            prefix: "a/2".to_owned(),
            ..all.clone()
        };
        let (listed, _, _) = pages(&ground, below).await;
        assert_eq!(ordered(&ground, listed), keys[3..], "by {keys_max}");
        let top = ListRequest {
            delimiter: Some("/".to_owned()),
            ..all
        };
        let (listed, folded, _) = pages(&ground, top).await;
        assert_eq!(ordered(&ground, listed), keys[..2], "by {keys_max}");
        assert_eq!(folded, strings(&["a/"]), "by {keys_max}");
    }
}
