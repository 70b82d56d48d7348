//! The shared suite on the embedded store, and what only this store promises.

mod crash;
mod directory;
mod faults;
mod kill;
mod lifecycle;
mod limits;
mod model;
mod power;
mod readers;

use super::super::RegionStore;
use super::super::suite::Ground;
use super::{EmbeddedOptions, EmbeddedStore};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

fn create_with(options: EmbeddedOptions) -> (EmbeddedStore, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::create_with(dir.path(), options).unwrap();
    (store, dir)
}

fn create() -> (EmbeddedStore, TempDir) {
    create_with(EmbeddedOptions::default())
}

/// A ground on a new store, and the store itself.
async fn ground_with(options: EmbeddedOptions) -> (Ground, Arc<EmbeddedStore>, TempDir) {
    let (store, dir) = create_with(options);
    let store = Arc::new(store);
    let ground = Ground::new(Arc::clone(&store) as Arc<dyn RegionStore>).await;
    (ground, store, dir)
}

/// The ground again after its store was closed and opened.
fn reopen(ground: Ground, store: Arc<EmbeddedStore>, dir: &Path) -> (Ground, Arc<EmbeddedStore>) {
    let (tenant, bucket) = (ground.tenant, ground.bucket.clone());
    drop(ground);
    drop(Arc::into_inner(store).expect("nobody else has the store"));
    let store = Arc::new(EmbeddedStore::open(dir).unwrap());
    let ground = Ground {
        store: Arc::clone(&store) as Arc<dyn RegionStore>,
        tenant,
        bucket,
    };
    (ground, store)
}

/// How many body files there are, those aside included.
fn files_in(dir: &Path) -> usize {
    let shards = std::fs::read_dir(dir.join("bodies")).unwrap();
    let count = |path: &Path| std::fs::read_dir(path).unwrap().count();
    let bodies: usize = shards.map(|shard| count(&shard.unwrap().path())).sum();
    bodies + count(&dir.join("aside"))
}

mod suite {
    use super::*;

    async fn make() -> (Arc<dyn RegionStore>, TempDir) {
        let (store, dir) = create();
        (Arc::new(store), dir)
    }

    crate::region_suite!(make());
}
