//! Walks over a model of SeaweedFS's listing of versions, with its order, its starting points and its losses.

use super::*;
use crate::clock::UnixMs;
use crate::region::ListedObject;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};

/// Keys with their versions, the newest first.
#[derive(Default)]
struct Tree {
    keys: BTreeMap<String, Vec<String>>,
    page: usize,
    asked: AtomicU32,
}

struct Collected<'a> {
    prefix: &'a str,
    marker: Option<(&'a str, Option<&'a VersionId>)>,
    delimiter: Option<&'a str>,
    folded: BTreeSet<String>,
    max: usize,
    found: Vec<(String, String)>,
}

impl Collected<'_> {
    fn is_full(&self) -> bool {
        self.found.len() + self.folded.len() >= self.max
    }
}

fn listed((key, version): (String, String)) -> ListedVersion {
    ListedVersion {
        object: ListedObject {
            key,
            stored_bytes: 1,
            etag: String::new(),
            last_modified: UnixMs(0),
        },
        version: VersionId(version),
        is_latest: false,
        delete_marker: false,
    }
}

impl Tree {
    fn of(keys: &[&str], page: usize) -> Self {
        let mut tree = Self {
            page,
            ..Self::default()
        };
        for key in keys {
            tree.keys.insert((*key).to_owned(), vec!["1".to_owned()]);
        }
        tree
    }

    /// A directory's entries in the order of their names: those of versions, plain objects, directories.
    fn entries(&self, directory: &str) -> BTreeMap<String, Option<&str>> {
        let mut entries = BTreeMap::new();
        for (key, versions) in &self.keys {
            let Some(rest) = key.strip_prefix(directory) else {
                continue;
            };
            if let Some((below, _)) = rest.split_once('/') {
                entries.insert(below.to_owned(), None);
                continue;
            }
            if versions.iter().any(|version| version == NULL_VERSION) {
                entries.insert(rest.to_owned(), Some(key.as_str()));
            }
            if versions.iter().any(|version| version != NULL_VERSION) {
                entries.insert(format!("{rest}{VERSIONS_SUFFIX}"), Some(key.as_str()));
            }
        }
        entries
    }

    fn collect(&self, directory: &str, into: &mut Collected<'_>) {
        let marker = into.marker.map(|(key, _)| key);
        let below = marker.and_then(|key| key.strip_prefix(directory));
        let from = below.map(|rest| rest.split('/').next().unwrap_or(rest));
        for (name, key) in self.entries(directory) {
            if into.is_full() {
                return;
            }
            if from.is_some_and(|from| name.as_str() < from) {
                continue;
            }
            let path = format!("{directory}{name}");
            let is_directory = key.is_none() || name.ends_with(VERSIONS_SUFFIX);
            let matches = path.starts_with(into.prefix)
                || is_directory && format!("{path}/").starts_with(into.prefix)
                || is_directory && into.prefix.starts_with(&path);
            if !matches {
                continue;
            }
            match key {
                Some(key) => self.collect_versions(key, name.ends_with(VERSIONS_SUFFIX), into),
                None => {
                    let inside = format!("{path}/");
                    if folded(&inside, into.prefix, into.delimiter) == Some(&inside) {
                        into.folded.insert(inside);
                        continue;
                    }
                    let passed = |key: &str| !key.starts_with(&inside) && inside.as_str() < key;
                    if !marker.is_some_and(passed) {
                        self.collect(&inside, into);
                    }
                }
            }
        }
    }

    fn collect_versions(&self, key: &str, named: bool, into: &mut Collected<'_>) {
        for version in &self.keys[key] {
            let seen = match into.marker {
                // A marker before the prefix is taken for the prefix.
                Some(_) if key < into.prefix => true,
                Some((marker, _)) if key < marker => true,
                Some((marker, None)) if key == marker => true,
                Some((marker, Some(last))) if key == marker => version <= &last.0,
                _ => false,
            };
            if !seen && (version != NULL_VERSION) == named && !into.is_full() {
                into.found.push((key.to_owned(), version.clone()));
            }
        }
    }

    /// What a listing should give: versions and common prefixes, in the order of bytes.
    fn expected(&self, prefix: &str, delimiter: Option<&str>) -> Vec<String> {
        let mut all = Vec::new();
        for (key, versions) in self.keys.iter().filter(|(key, _)| key.starts_with(prefix)) {
            match folded(key, prefix, delimiter) {
                Some(folded) if all.last().is_some_and(|last| last == folded) => {}
                Some(folded) => all.push(folded.to_owned()),
                None => all.extend(versions.iter().map(|version| format!("{key}:{version}"))),
            }
        }
        all
    }
}

#[async_trait]
impl VersionPages for Tree {
    async fn ask(
        &self,
        prefix: &str,
        behind: Option<(&str, Option<&VersionId>)>,
        delimiter: Option<&str>,
    ) -> Result<Answer, RegionError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut into = Collected {
            prefix,
            marker: behind,
            delimiter,
            folded: BTreeSet::new(),
            max: self.page + 1,
            found: Vec::new(),
        };
        self.collect("", &mut into);
        // Folded entries are sorted in among the others, and take their places.
        let folded = into
            .folded
            .into_iter()
            .map(|prefix| (prefix, String::new()));
        into.found.extend(folded);
        into.found.sort();
        let is_complete = into.found.len() <= self.page;
        into.found.truncate(self.page);
        into.found.retain(|(_, version)| !version.is_empty());
        Ok(Answer {
            versions: into.found.into_iter().map(listed).collect(),
            is_complete,
        })
    }
}

async fn all_pages(
    tree: &Tree,
    prefix: &str,
    delimiter: Option<&str>,
    keys_max: usize,
) -> Vec<String> {
    let mut request = VersionListRequest {
        prefix: prefix.to_owned(),
        delimiter: delimiter.map(str::to_owned),
        keys_max,
        ..VersionListRequest::default()
    };
    let mut all = Vec::new();
    for _ in 0..2_000 {
        let page = walk(tree, &request).await.unwrap();
        let versions = page.versions.into_iter();
        let mut found: Vec<_> = versions
            .map(|one| {
                let key = one.object.key;
                (key.clone(), format!("{key}:{}", one.version.0))
            })
            .chain(
                page.common_prefixes
                    .into_iter()
                    .map(|one| (one.clone(), one)),
            )
            .collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        assert!(found.len() <= keys_max);
        all.extend(found.into_iter().map(|(_, text)| text));
        if page.next_key_marker.is_none() {
            return all;
        }
        request.key_marker = page.next_key_marker;
        request.version_marker = page.next_version_marker;
    }
    panic!("a listing without an end");
}

/// Pages by the store's own markers, as a client of the store would go through them.
async fn marker_pages(tree: &Tree) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut last: Option<(String, VersionId)> = None;
    loop {
        let behind = last
            .as_ref()
            .map(|(key, version)| (key.as_str(), Some(version)));
        let page = tree.ask("", behind, None).await.unwrap();
        for one in &page.versions {
            all.insert(format!("{}:{}", one.object.key, one.version.0));
        }
        match page.versions.last() {
            Some(one) if !page.is_complete => {
                last = Some((one.object.key.clone(), one.version.clone()));
            }
            _ => return all,
        }
    }
}

#[tokio::test]
async fn model_loses_what_the_store_loses_and_the_walk_does_not() {
    let tree = Tree::of(&["a!1", "a/1", "a 1/x"], 1);
    let expected = tree.expected("", None);
    assert!(marker_pages(&tree).await.len() < expected.len());
    assert_eq!(all_pages(&tree, "", None, 1).await, expected);
}

#[tokio::test]
async fn walk_of_any_keys_gives_each_version_once_at_any_page_size() {
    let mut state = 7_u64;
    let mut draw = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let letters = [
        "a", "b", "!", "-", ".", " ", "/", "/", "0", "é", ".v", "\u{e000}",
    ];
    for case in 0..250 {
        let mut tree = Tree {
            page: 4 + draw(6) as usize,
            ..Tree::default()
        };
        for _ in 0..2 + draw(24) {
            let length = 1 + draw(6);
            let key: String = (0..length)
                .map(|_| letters[draw(letters.len() as u64) as usize])
                .collect();
            let bad = |part: &str| part.is_empty() || part.ends_with(VERSIONS_SUFFIX);
            if key.split('/').any(bad) {
                continue;
            }
            let count = 1 + draw(4) as usize;
            let mut versions: Vec<String> = (1..=count).map(|n| n.to_string()).collect();
            // A plain object can't share its name with a directory.
            let inside = format!("{key}/");
            if draw(4) == 0 && !tree.keys.keys().any(|other| other.starts_with(&inside)) {
                versions.push(NULL_VERSION.to_owned());
            }
            let above = key.match_indices('/').map(|(at, _)| &key[..at]);
            let blocked = above.into_iter().any(|above| {
                let versions = tree.keys.get(above);
                versions.is_some_and(|versions| versions.iter().any(|one| one == NULL_VERSION))
            });
            if !blocked {
                tree.keys.insert(key, versions);
            }
        }
        for prefix in ["", "a", "a/", "a.v", "-", "b/a"] {
            for delimiter in [None, Some("/")] {
                let expected = tree.expected(prefix, delimiter);
                for keys_max in [1, 3, 1000] {
                    let found = all_pages(&tree, prefix, delimiter, keys_max).await;
                    let at = (case, prefix, delimiter, keys_max, tree.page, &tree.keys);
                    assert_eq!(found, expected, "{at:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn walk_of_a_small_bucket_takes_one_question_and_of_a_large_one_few_a_page() {
    let keys: Vec<String> = (0..500)
        .map(|n| format!("logs/2026/{:02}/{n:04}", n % 7))
        .collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let small = Tree::of(&keys, 1000);
    all_pages(&small, "", None, 1000).await;
    assert_eq!(small.asked.load(Ordering::Relaxed), 1);
    let large = Tree::of(&keys, 100);
    let found = all_pages(&large, "", None, 100).await;
    assert_eq!(found.len(), 500);
    let asked = large.asked.load(Ordering::Relaxed);
    assert!(asked < 500, "{asked} questions for five pages");
}

/// Keys that differ only at their ends cost a step for each character before: the walk must not cost a frame of the stack for each.
#[test]
fn walk_of_keys_that_begin_alike_for_long_needs_no_deep_stack() {
    for common in ["a".repeat(500), "a/".repeat(250)] {
        let keys: Vec<String> = (0..6).map(|n| format!("{common}{n}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let tree = Tree::of(&keys, 5);
        let walking = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let expected = tree.expected("", None);
            let found = runtime.unwrap().block_on(all_pages(&tree, "", None, 1000));
            assert_eq!(found, expected);
        };
        let thread = std::thread::Builder::new().stack_size(512 << 10);
        thread.spawn(walking).unwrap().join().unwrap();
    }
}
