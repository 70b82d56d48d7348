use super::{AccessKeyHash, Directory, DirectoryError, SqlDirectory};
use crate::catalog::{OpenError, StoreOptions, StoreUrl};
use crate::tenants::{AccessKeyId, DomainName};

async fn check_directory(url: &StoreUrl) {
    let options = StoreOptions::default();
    let refused = SqlDirectory::open(url, &options).await.err();
    assert!(
        matches!(refused, Some(OpenError::Missing { .. })),
        "{refused:?}"
    );
    SqlDirectory::create(url, &options).await.unwrap();
    SqlDirectory::migrate(url, &options).await.unwrap();
    let directory = SqlDirectory::open(url, &options).await.unwrap();
    let other = SqlDirectory::open(url, &options).await.unwrap();
    let key = AccessKeyId::new("AKIAEXAMPLE").unwrap();
    let (eu, us) = (
        DomainName::new("eu").unwrap(),
        DomainName::new("us").unwrap(),
    );
    directory.ping().await.unwrap();
    assert_eq!(directory.domain_of(&key).await.unwrap(), None);

    let (one, two) = tokio::join!(directory.register(&key, &eu), other.register(&key, &us));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    let (owner, loser) = if one.is_ok() { (eu, us) } else { (us, eu) };
    directory.register(&key, &owner).await.unwrap();
    let taken = directory.register(&key, &loser).await;
    assert!(matches!(taken, Err(DirectoryError::Taken { .. })));
    assert_eq!(other.domain_of(&key).await.unwrap(), Some(owner.clone()));

    // A domain forgets only what it registered.
    directory.forget(&key, &loser).await.unwrap();
    assert_eq!(other.domain_of(&key).await.unwrap(), Some(owner.clone()));
    directory.forget(&key, &owner).await.unwrap();
    directory.forget(&key, &owner).await.unwrap();
    assert_eq!(other.domain_of(&key).await.unwrap(), None);
    other.register(&key, &loser).await.unwrap();
}

#[tokio::test]
async fn directory_on_sqlite_gives_a_key_to_one_domain() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("directory.db");
    check_directory(&StoreUrl::Sqlite(path.clone())).await;
    let mut raw = std::fs::read(&path).unwrap();
    raw.extend(std::fs::read(path.with_extension("db-wal")).unwrap_or_default());
    let planted = b"AKIAEXAMPLE";
    let found = raw.windows(planted.len()).any(|window| window == planted);
    assert!(!found, "the directory knows an access-key id");
}

#[tokio::test]
async fn directory_on_postgres_gives_a_key_to_one_domain() {
    let Some(mut cluster) = crate::catalog::suite::cluster() else {
        return;
    };
    let url = cluster.database("directory").parse().unwrap();
    check_directory(&url).await;
    let directory = SqlDirectory::open(&url, &StoreOptions::default())
        .await
        .unwrap();
    cluster.stop();
    let away = directory.ping().await;
    assert!(matches!(away, Err(DirectoryError::Unavailable { .. })));
    cluster.resume();
    directory.ping().await.unwrap();
}

#[test]
fn access_key_hash_is_labelled_sha256() {
    let hash = AccessKeyHash::of(&AccessKeyId::new("AKIAEXAMPLE").unwrap());
    // printf %s 'lethe/v1/directoryAKIAEXAMPLE' | sha256sum
    let expected = "1c9de8ef6b19d62732ce2484d93243dc9db82c2cd2a94368d7db08b2b81fa3f6";
    assert_eq!(hex::encode(hash.0), expected);
}
