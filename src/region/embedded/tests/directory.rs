//! Creating, opening, refusing.

use super::super::{EmbeddedError, EmbeddedOptions, EmbeddedStore};
use super::{create, ground_with, reopen};
use crate::region::suite::pattern;

#[test]
fn open_where_nothing_was_created_is_absent_and_creates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().to_owned(), dir.path().join("below")] {
        let opened = EmbeddedStore::open(&path);
        assert!(
            matches!(opened, Err(EmbeddedError::Absent(_))),
            "{opened:?}"
        );
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn create_where_something_is_is_refused() {
    let (store, dir) = create();
    drop(store);
    let again = EmbeddedStore::create(dir.path());
    assert!(
        matches!(again, Err(EmbeddedError::Occupied(_))),
        "{again:?}"
    );
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("notes.txt"), "mine").unwrap();
    let beside = EmbeddedStore::create(other.path());
    assert!(
        matches!(beside, Err(EmbeddedError::Occupied(_))),
        "{beside:?}"
    );
    assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 1);
}

#[test]
fn open_while_open_is_in_use() {
    let (store, dir) = create();
    let second = EmbeddedStore::open(dir.path());
    assert!(matches!(second, Err(EmbeddedError::InUse(_))), "{second:?}");
    drop(store);
    EmbeddedStore::open(dir.path()).unwrap();
}

#[test]
fn create_cut_short_before_its_identity_is_done_anew() {
    let (store, dir) = create();
    let first = store.identity();
    drop(store);
    std::fs::remove_file(dir.path().join("identity")).unwrap();
    let opened = EmbeddedStore::open(dir.path());
    assert!(
        matches!(opened, Err(EmbeddedError::Absent(_))),
        "{opened:?}"
    );
    let store = EmbeddedStore::create(dir.path()).unwrap();
    assert_ne!(store.identity(), first);
}

#[test]
fn open_with_the_index_of_another_store_is_a_mismatch() {
    let (first, dir) = create();
    let (second, other) = create();
    drop((first, second));
    let index = |dir: &tempfile::TempDir| dir.path().join("index.redb");
    std::fs::copy(index(&other), index(&dir)).unwrap();
    let opened = EmbeddedStore::open(dir.path());
    assert!(
        matches!(opened, Err(EmbeddedError::Mismatch { .. })),
        "{opened:?}"
    );
    std::fs::remove_file(index(&dir)).unwrap();
    let opened = EmbeddedStore::open(dir.path());
    assert!(
        matches!(opened, Err(EmbeddedError::Mismatch { .. })),
        "{opened:?}"
    );
}

#[tokio::test]
async fn opened_again_has_identity_and_objects() {
    let (ground, store, dir) = ground_with(EmbeddedOptions::default()).await;
    let identity = store.identity();
    let etag = ground.put("a", &pattern(1, 300_000)).await.etag;
    let (ground, store) = reopen(ground, store, dir.path());
    assert_eq!(store.identity(), identity);
    let (head, bytes) = ground.get("a").await;
    assert_eq!((head.etag, bytes), (etag, pattern(1, 300_000)));
}

/// Object keys are in the index in clear: the directory's mode is not all that protects them.
#[tokio::test]
async fn files_of_a_store_are_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let (ground, _store, dir) = super::ground_with(super::super::EmbeddedOptions::default()).await;
    ground
        .put("a", &crate::region::suite::pattern(1, 1000))
        .await;
    let (mut places, mut files) = (vec![dir.path().to_owned()], 0);
    while let Some(place) = places.pop() {
        let metadata = std::fs::metadata(&place).unwrap();
        let mode = metadata.permissions().mode() & 0o777;
        if metadata.is_dir() {
            let entries = std::fs::read_dir(&place).unwrap();
            places.extend(entries.map(|entry| entry.unwrap().path()));
        } else {
            files += 1;
            assert_eq!(mode, 0o600, "{}", place.display());
        }
    }
    assert!(files >= 4, "only {files} files");
}
