//! What every root provider must do.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use super::faulty::FaultyRoot;
use super::*;
use crate::secret::KeyBytes;
use crate::testing::{Call, Fault, Faults};
use crate::types::KeyStoreIdentity;

pub(super) const OWNER: KeyStoreIdentity = KeyStoreIdentity::from_bytes([1; 16]);
const STRANGER: KeyStoreIdentity = KeyStoreIdentity::from_bytes([2; 16]);

pub(super) fn keys(count: usize) -> Vec<NodeKey> {
    (0..count)
        .map(|_| NodeKey(KeyBytes::random().unwrap()))
        .collect()
}

fn context(number: usize) -> Vec<u8> {
    format!("place {number}").into_bytes()
}

pub(super) async fn wrap(
    root: &dyn RootProvider,
    epoch: Epoch,
    keys: &[NodeKey],
) -> Result<Vec<WrappedNode>, RootError> {
    let nodes: Vec<_> = keys
        .iter()
        .enumerate()
        .map(|(number, key)| NodeToWrap {
            context: context(number),
            key,
        })
        .collect();
    let wrapped = root.wrap(epoch, &nodes).await?;
    assert_eq!(wrapped.len(), keys.len());
    Ok(wrapped
        .into_iter()
        .enumerate()
        .map(|(number, wrapped)| WrappedNode {
            context: context(number),
            wrapped,
        })
        .collect())
}

async fn batch_comes_back_in_order(root: &dyn RootProvider) {
    root.create_epoch(Epoch(1)).await.unwrap();
    let keys = keys(5);
    let wrapped = wrap(root, Epoch(1), &keys).await.unwrap();
    let opened = root.unwrap(Epoch(1), &wrapped).await.unwrap();
    assert_eq!(opened.len(), keys.len());
    assert!(
        keys.iter()
            .zip(&opened)
            .all(|(key, opened)| key.0.same_as(&opened.0))
    );
    assert!(!keys[0].0.same_as(&opened[1].0));
}

async fn creating_an_epoch_again_keeps_its_key(root: &dyn RootProvider) {
    root.create_epoch(Epoch(2)).await.unwrap();
    let wrapped = wrap(root, Epoch(2), &keys(1)).await.unwrap();
    root.create_epoch(Epoch(2)).await.unwrap();
    assert!(root.unwrap(Epoch(2), &wrapped).await.is_ok());
}

async fn wrap_of_another_epoch_or_context_is_foreign(root: &dyn RootProvider) {
    root.create_epoch(Epoch(3)).await.unwrap();
    root.create_epoch(Epoch(4)).await.unwrap();
    let wrapped = wrap(root, Epoch(3), &keys(2)).await.unwrap();
    assert!(matches!(
        root.unwrap(Epoch(4), &wrapped).await,
        Err(RootError::Foreign(Epoch(4)))
    ));
    let swapped = [WrappedNode {
        context: context(1),
        wrapped: wrapped[0].wrapped,
    }];
    assert!(matches!(
        root.unwrap(Epoch(3), &swapped).await,
        Err(RootError::Foreign(_))
    ));
    // Every bit of a short wrap; of a long one, which a server opens, one in every byte.
    let bits = wrapped[0].wrapped.len() * 8;
    for bit in (0..bits).step_by(if bits > 1000 { 9 } else { 1 }) {
        let mut flipped = wrapped[0].wrapped;
        flipped[bit / 8] ^= 1 << (bit % 8);
        let flipped = [WrappedNode {
            context: context(0),
            wrapped: flipped,
        }];
        assert!(
            matches!(
                root.unwrap(Epoch(3), &flipped).await,
                Err(RootError::Foreign(_))
            ),
            "bit {bit}"
        );
    }
}

async fn destroyed_epoch_opens_nothing(root: &dyn RootProvider) {
    root.create_epoch(Epoch(5)).await.unwrap();
    let wrapped = wrap(root, Epoch(5), &keys(1)).await.unwrap();
    root.destroy_epoch(Epoch(5)).await.unwrap();
    assert!(matches!(
        root.unwrap(Epoch(5), &wrapped).await,
        Err(RootError::EpochMissing(Epoch(5)))
    ));
    root.destroy_epoch(Epoch(5)).await.unwrap();
    assert!(matches!(
        wrap(root, Epoch(5), &keys(1)).await,
        Err(RootError::EpochMissing(_))
    ));
}

async fn faults_are_retryable(real: Arc<dyn RootProvider>) {
    let faults = Arc::new(Faults::default());
    let root = FaultyRoot::new(real.clone(), faults.clone());
    faults.inject(Call::RootCreateEpoch, Fault::Failed, 1);
    assert!(root.create_epoch(Epoch(6)).await.is_err());
    assert!(matches!(
        wrap(&*real, Epoch(6), &keys(1)).await,
        Err(RootError::EpochMissing(_))
    ));
    faults.inject(Call::RootCreateEpoch, Fault::FailedButPersisted, 1);
    assert!(root.create_epoch(Epoch(6)).await.is_err());
    let keys = keys(1);
    let wrapped = wrap(&*real, Epoch(6), &keys).await.unwrap();
    root.create_epoch(Epoch(6)).await.unwrap();
    faults.inject(Call::RootUnwrap, Fault::Lying, 1);
    let lied = root.unwrap(Epoch(6), &wrapped).await.unwrap();
    assert!(!lied[0].0.same_as(&keys[0].0));
    let told = root.unwrap(Epoch(6), &wrapped).await.unwrap();
    assert!(told[0].0.same_as(&keys[0].0));
    faults.inject(Call::RootDestroyEpoch, Fault::FailedButPersisted, 1);
    assert!(root.destroy_epoch(Epoch(6)).await.is_err());
    root.destroy_epoch(Epoch(6)).await.unwrap();
    assert!(matches!(
        root.unwrap(Epoch(6), &wrapped).await,
        Err(RootError::EpochMissing(_))
    ));
}

async fn whole_tree_is_one_call(root: &dyn RootProvider) {
    root.create_epoch(Epoch(7)).await.unwrap();
    let keys = keys(1025);
    let mut wrapped = wrap(root, Epoch(7), &keys).await.unwrap();
    let opened = root.unwrap(Epoch(7), &wrapped).await.unwrap();
    assert_eq!(opened.len(), keys.len());
    assert!(
        keys.iter()
            .zip(&opened)
            .all(|(key, opened)| key.0.same_as(&opened.0))
    );
    // One bad node anywhere, and the call answers none.
    wrapped.swap(300, 700);
    wrapped[300].context = context(300);
    wrapped[700].context = context(700);
    assert!(matches!(
        root.unwrap(Epoch(7), &wrapped).await,
        Err(RootError::Foreign(_))
    ));
    assert!(wrap(root, Epoch(7), &[]).await.unwrap().is_empty());
    assert!(root.unwrap(Epoch(7), &[]).await.unwrap().is_empty());
}

async fn another_key_stores_root_is_foreign(own: &dyn RootProvider, stranger: &dyn RootProvider) {
    own.create_epoch(Epoch(8)).await.unwrap();
    let wrapped = wrap(own, Epoch(8), &keys(1)).await.unwrap();
    // Two key stores in one place either have keys of their own or know whose a key is.
    let shared = match stranger.create_epoch(Epoch(8)).await {
        Ok(()) => false,
        Err(RootError::Foreign(Epoch(8))) => true,
        Err(error) => panic!("{error}"),
    };
    assert!(matches!(
        stranger.unwrap(Epoch(8), &wrapped).await,
        Err(RootError::Foreign(Epoch(8)))
    ));
    assert_eq!(stranger.destroy_epoch(Epoch(8)).await.is_err(), shared);
    assert!(own.unwrap(Epoch(8), &wrapped).await.is_ok());
}

async fn destroyed_epoch_stays_destroyed_after_a_restart(make: Make<'_>) {
    let root = make(OWNER);
    root.create_epoch(Epoch(9)).await.unwrap();
    root.create_epoch(Epoch(10)).await.unwrap();
    let gone = wrap(&*root, Epoch(9), &keys(1)).await.unwrap();
    let kept = wrap(&*root, Epoch(10), &keys(1)).await.unwrap();
    root.destroy_epoch(Epoch(9)).await.unwrap();
    drop(root);
    let root = make(OWNER);
    assert!(matches!(
        root.unwrap(Epoch(9), &gone).await,
        Err(RootError::EpochMissing(Epoch(9)))
    ));
    assert!(root.unwrap(Epoch(10), &kept).await.is_ok());
    // A new key of the same number is another key.
    root.create_epoch(Epoch(9)).await.unwrap();
    assert!(matches!(
        root.unwrap(Epoch(9), &gone).await,
        Err(RootError::Foreign(Epoch(9)))
    ));
}

async fn control_is_permitted_and_evidence_is_stable(root: &dyn RootProvider) {
    root.create_epoch(Epoch(11)).await.unwrap();
    root.check_control(Epoch(11)).await.unwrap();
    let before = root.destruction(Epoch(11));
    root.destroy_epoch(Epoch(11)).await.unwrap();
    assert_eq!(root.destruction(Epoch(11)), before);
    assert_ne!(root.destruction(Epoch(12)), before);
}

/// Makes the provider of one key store; every one that it makes has the same place.
type Make<'a> = &'a dyn Fn(KeyStoreIdentity) -> Arc<dyn RootProvider>;

pub(super) async fn whole_suite(make: Make<'_>) {
    let root = make(OWNER);
    batch_comes_back_in_order(&*root).await;
    creating_an_epoch_again_keeps_its_key(&*root).await;
    wrap_of_another_epoch_or_context_is_foreign(&*root).await;
    destroyed_epoch_opens_nothing(&*root).await;
    whole_tree_is_one_call(&*root).await;
    another_key_stores_root_is_foreign(&*root, &*make(STRANGER)).await;
    destroyed_epoch_stays_destroyed_after_a_restart(make).await;
    control_is_permitted_and_evidence_is_stable(&*root).await;
    faults_are_retryable(root).await;
}

fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    chmod(directory.path(), 0o700);
    directory
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn file_root_passes_the_suite() {
    let directory = directory();
    whole_suite(&|owner| Arc::new(FileRoot::new(directory.path(), owner))).await;
}

#[tokio::test]
async fn faultless_faulty_root_passes_the_suite() {
    let directory = directory();
    whole_suite(&|owner| {
        let real = Arc::new(FileRoot::new(directory.path(), owner));
        Arc::new(FaultyRoot::new(real, Arc::default()))
    })
    .await;
}

#[tokio::test]
async fn file_root_of_another_key_store_is_foreign() {
    let directory = directory();
    FileRoot::new(directory.path(), OWNER)
        .create_epoch(Epoch(1))
        .await
        .unwrap();
    let stranger = FileRoot::new(directory.path(), STRANGER);
    assert_eq!(
        stranger.create_epoch(Epoch(1)).await,
        Err(RootError::Foreign(Epoch(1)))
    );
    assert_eq!(
        stranger.destroy_epoch(Epoch(1)).await,
        Err(RootError::Foreign(Epoch(1)))
    );
    assert!(
        FileRoot::new(directory.path(), OWNER)
            .create_epoch(Epoch(1))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn file_root_open_to_others_is_refused() {
    let directory = directory();
    let root = FileRoot::new(directory.path(), OWNER);
    root.create_epoch(Epoch(1)).await.unwrap();
    let path = directory.path().join("epoch-1.key");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    for mode in [0o640, 0o604, 0o620, 0o660] {
        chmod(&path, mode);
        let refused = root.wrap(Epoch(1), &[]).await;
        assert_eq!(
            refused,
            Err(RootError::Exposed {
                path: path.clone(),
                mode
            })
        );
    }
    chmod(&path, 0o400);
    assert!(root.wrap(Epoch(1), &[]).await.is_ok());
    chmod(directory.path(), 0o770);
    assert!(matches!(
        root.wrap(Epoch(1), &[]).await,
        Err(RootError::Exposed { mode: 0o770, .. })
    ));
}

#[tokio::test]
async fn file_root_with_any_byte_changed_is_not_used() {
    let directory = directory();
    let root = FileRoot::new(directory.path(), OWNER);
    root.create_epoch(Epoch(1)).await.unwrap();
    let path = directory.path().join("epoch-1.key");
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, &bad).unwrap();
        assert_eq!(
            root.wrap(Epoch(1), &[]).await,
            Err(RootError::Corrupt(Epoch(1))),
            "byte {at}"
        );
    }
    for length in [0, good.len() - 1] {
        fs::write(&path, &good[..length]).unwrap();
        assert_eq!(
            root.create_epoch(Epoch(1)).await,
            Err(RootError::Corrupt(Epoch(1)))
        );
    }
    // One epoch's file under another's name.
    fs::write(&path, &good).unwrap();
    fs::copy(&path, directory.path().join("epoch-2.key")).unwrap();
    assert_eq!(
        root.create_epoch(Epoch(2)).await,
        Err(RootError::Corrupt(Epoch(2)))
    );
}

#[tokio::test]
async fn file_root_destroyed_is_overwritten_before_it_is_removed() {
    let directory = directory();
    let root = FileRoot::new(directory.path(), OWNER);
    root.create_epoch(Epoch(1)).await.unwrap();
    let path = directory.path().join("epoch-1.key");
    let before = fs::read(&path).unwrap();
    // A second name for the same bytes shows what becomes of them; a copy would not, and is the provider's limit.
    let (link, copy) = (directory.path().join("link"), directory.path().join("copy"));
    fs::hard_link(&path, &link).unwrap();
    fs::copy(&path, &copy).unwrap();
    root.destroy_epoch(Epoch(1)).await.unwrap();
    assert!(!path.exists());
    let after = fs::read(&link).unwrap();
    assert_eq!(after.len(), before.len());
    assert!(
        after
            .windows(8)
            .all(|piece| !before.windows(8).any(|was| was == piece))
    );
    assert_eq!(fs::read(&copy).unwrap(), before);
}

#[tokio::test]
async fn file_root_destruction_that_was_interrupted_is_finished() {
    let directory = directory();
    let root = FileRoot::new(directory.path(), OWNER);
    root.create_epoch(Epoch(1)).await.unwrap();
    let (path, link) = (
        directory.path().join("epoch-1.key"),
        directory.path().join("link"),
    );
    let before = fs::read(&path).unwrap();
    fs::hard_link(&path, &link).unwrap();
    fs::rename(&path, directory.path().join(".epoch-1.condemned")).unwrap();
    root.destroy_epoch(Epoch(1)).await.unwrap();
    assert_ne!(fs::read(&link).unwrap(), before);
    fs::remove_file(&link).unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn file_root_read_while_it_is_destroyed_is_whole_or_missing() {
    let directory = directory();
    let root = FileRoot::new(directory.path(), OWNER);
    for epoch in (1..64).map(Epoch) {
        root.create_epoch(epoch).await.unwrap();
        let reader = root.clone();
        let reads = tokio::spawn(async move {
            loop {
                match wrap(&reader, epoch, &keys(1)).await {
                    Ok(_) => {}
                    Err(error) => return error,
                }
            }
        });
        let (one, two) = tokio::join!(root.destroy_epoch(epoch), root.destroy_epoch(epoch));
        assert_eq!((one, two), (Ok(()), Ok(())));
        assert_eq!(reads.await.unwrap(), RootError::EpochMissing(epoch));
    }
}

#[tokio::test]
async fn file_root_created_at_once_has_one_key_and_no_leftovers() {
    let directory = directory();
    let root = FileRoot::new(directory.path(), OWNER);
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let root = root.clone();
            tokio::spawn(async move {
                root.create_epoch(Epoch(1)).await.unwrap();
                let keys = keys(1);
                let wrapped = wrap(&root, Epoch(1), &keys).await.unwrap();
                (keys, wrapped)
            })
        })
        .collect();
    for task in tasks {
        let (keys, wrapped) = task.await.unwrap();
        assert!(
            root.unwrap(Epoch(1), &wrapped).await.unwrap()[0]
                .0
                .same_as(&keys[0].0)
        );
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}
