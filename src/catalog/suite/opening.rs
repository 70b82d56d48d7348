//! Making, opening and refusing catalogs.

use super::{cluster, options};
use crate::catalog::database::Statement;
use crate::catalog::{OpenError, SqlCatalog, StoreLocation, StoreUrl};
use std::os::unix::fs::PermissionsExt;

async fn check_life_of(url: &StoreUrl) {
    let refused = SqlCatalog::open(url, &options()).await.err();
    assert!(
        matches!(refused, Some(OpenError::Missing { .. })),
        "{refused:?}"
    );
    let refused = SqlCatalog::migrate(url, &options()).await.err();
    assert!(
        matches!(refused, Some(OpenError::Missing { .. })),
        "{refused:?}"
    );
    let made = SqlCatalog::create(url, &options()).await.unwrap();
    let again = SqlCatalog::create(url, &options()).await.unwrap();
    assert_eq!(made.identity(), again.identity());
    let opened = SqlCatalog::open(url, &options()).await.unwrap();
    assert_eq!(made.identity(), opened.identity());
    assert_eq!(made.location(), opened.location());
    SqlCatalog::migrate(url, &options()).await.unwrap();

    let newer = Statement::new(
        "UPDATE catalog_migrations SET version = 99
             WHERE version = (SELECT MAX(version) FROM catalog_migrations)",
    );
    opened.run(vec![newer]).await;
    let refused = SqlCatalog::open(url, &options()).await.err();
    assert!(
        matches!(refused, Some(OpenError::Schema { found: 99, .. })),
        "{refused:?}"
    );
    let refused = SqlCatalog::migrate(url, &options()).await.err();
    assert!(
        matches!(refused, Some(OpenError::Schema { found: 99, .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn sqlite_catalog_is_made_only_by_create() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("eu/deep/catalog.db");
    let url = StoreUrl::Sqlite(path.clone());
    check_life_of(&url).await;
    let file = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(file & 0o777, 0o600);
    let parent = path.parent().unwrap();
    let parent_mode = std::fs::metadata(parent).unwrap().permissions().mode();
    assert_eq!(parent_mode & 0o777, 0o700);
}

#[tokio::test]
async fn sqlite_catalog_open_makes_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let url = StoreUrl::Sqlite(directory.path().join("catalog.db"));
    assert!(SqlCatalog::open(&url, &options()).await.is_err());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn file_that_is_no_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    std::fs::write(&path, vec![b'x'; 8192]).unwrap();
    let url = StoreUrl::Sqlite(path.clone());
    let refused = SqlCatalog::open(&url, &options()).await.err();
    assert!(
        matches!(refused, Some(OpenError::Unavailable { .. })),
        "{refused:?}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), vec![b'x'; 8192]);
}

#[tokio::test]
async fn location_is_the_directory_behind_links() {
    let directory = tempfile::tempdir().unwrap();
    let real = directory.path().join("real");
    let url = StoreUrl::Sqlite(real.join("catalog.db"));
    SqlCatalog::create(&url, &options()).await.unwrap();
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let through = StoreUrl::Sqlite(link.join("catalog.db"));
    let opened = SqlCatalog::open(&through, &options()).await.unwrap();
    let expected = StoreLocation::Directory(real.canonicalize().unwrap());
    assert_eq!(opened.location(), &expected);
}

#[tokio::test]
async fn postgres_catalog_is_made_only_by_create() {
    let Some(cluster) = cluster() else { return };
    let url = cluster.database("made").parse().unwrap();
    check_life_of(&url).await;
    let one = cluster.database("one").parse().unwrap();
    let two = cluster.database("two").parse().unwrap();
    let one = SqlCatalog::create(&one, &options()).await.unwrap();
    let two = SqlCatalog::create(&two, &options()).await.unwrap();
    assert_ne!(one.identity(), two.identity());
    // Two databases of one server are not apart, and the location says so.
    assert!(matches!(one.location(), StoreLocation::PostgresCluster(_)));
    assert_eq!(one.location(), two.location());
}
