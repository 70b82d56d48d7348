use super::World;
use super::fixtures::{
    NOW, assert_refused, bucket, bucket_name, finished, key_id, new_credential, tenant, upload,
};
use crate::catalog::{
    AttemptId, BucketSetting, BucketState, BucketVersioning, CompletedUpload, CredentialState,
    JobFence, UploadState,
};

/// Every call that names a row of `acme`'s, made as `globex`, and what `acme` has is as it was.
pub(super) async fn another_tenant_finds_nothing(world: &World) {
    let catalog = &world.catalog;
    let acme = tenant(catalog, "acme").await;
    let globex = tenant(catalog, "globex").await;
    let docs = bucket_name("docs");
    let theirs = bucket(catalog, acme, "docs").await;
    let id = upload(catalog, acme, 1, "key").await;
    let attempt = catalog.begin_attempt(acme, &id, 1, NOW).await.unwrap();
    let done = finished(1);
    catalog
        .finish_attempt(acme, &id, attempt, &done, NOW)
        .await
        .unwrap();
    let key = key_id("AKIAACME");
    catalog
        .begin_credential(&new_credential(acme, "AKIAACME"))
        .await
        .unwrap();
    let before = catalog.upload(acme, &id).await.unwrap();

    assert_refused!(catalog.activate_credential(globex, &key).await, NotFound);
    assert_refused!(catalog.revoke_credential(globex, &key).await, NotFound);
    assert!(catalog.credentials(globex).await.unwrap().is_empty());

    assert_refused!(catalog.bucket(globex, &docs).await, NotFound);
    assert!(catalog.buckets(globex).await.unwrap().is_empty());
    assert!(!catalog.bucket_has_uploads(globex, &docs).await.unwrap());
    let from = [BucketState::Active];
    let moved = catalog
        .move_bucket(
            globex,
            &docs,
            &theirs.upstream,
            &from,
            BucketState::Deleting,
        )
        .await;
    assert_refused!(moved, NotFound);
    let versioning = BucketVersioning::Enabled;
    let set = catalog
        .set_bucket_versioning(globex, &docs, versioning)
        .await;
    assert_refused!(set, NotFound);
    for setting in BucketSetting::ALL {
        let set = catalog.set_bucket_setting(globex, &docs, setting, Some("x"));
        assert_refused!(set.await, NotFound);
        let found = catalog.bucket_setting(globex, &docs, setting).await;
        assert_eq!(found.unwrap(), None);
    }
    let forgotten = catalog.forget_bucket(globex, &docs, &theirs.upstream);
    forgotten.await.unwrap();
    // A bucket of the same name is another bucket.
    let ours = bucket(catalog, globex, "docs").await;
    assert_ne!(ours.upstream, theirs.upstream);

    assert_refused!(catalog.upload(globex, &id).await, NotFound);
    assert_refused!(catalog.open_upload(globex, &id, "x").await, NotFound);
    let page = catalog.uploads(globex, &docs, "", None, 10).await.unwrap();
    assert!(page.uploads.is_empty());
    let begun = catalog.begin_attempt(globex, &id, 1, NOW).await;
    assert_refused!(begun, NotFound);
    let ended = catalog
        .finish_attempt(globex, &id, attempt, &done, NOW)
        .await;
    assert_refused!(ended, NotFound);
    assert!(catalog.parts(globex, &id, 0, 10).await.unwrap().is_empty());
    assert!(catalog.attempts(globex, &id, 1).await.unwrap().is_empty());
    assert!(catalog.spooled(globex, &id).await.unwrap().is_empty());
    assert_refused!(
        catalog.begin_complete(globex, &id, NOW, 1000).await,
        NotFound
    );
    let fence = JobFence(0);
    let fixed = catalog.fix_part_list(globex, &id, fence, b"list").await;
    assert_refused!(fixed, NotFound);
    let released = catalog.release_complete(globex, &id, fence).await;
    assert_refused!(released, NotFound);
    let answer = CompletedUpload {
        etag: "etag".to_owned(),
        version: None,
    };
    let finished = catalog
        .finish_complete(globex, &id, fence, &answer, NOW)
        .await;
    assert_refused!(finished, NotFound);
    assert_refused!(catalog.begin_abort(globex, &id, NOW).await, NotFound);
    catalog.forget_upload(globex, &id).await.unwrap();

    assert_eq!(catalog.upload(acme, &id).await.unwrap(), before);
    assert_eq!(before.state, UploadState::Open);
    assert_eq!(catalog.bucket(acme, &docs).await.unwrap(), theirs);
    let parts = catalog.parts(acme, &id, 0, 10).await.unwrap();
    assert_eq!(parts.len(), 1);
    assert_eq!(parts[0].id, AttemptId(attempt.0));
    let (credential, owner) = catalog.credential(&key).await.unwrap();
    assert_eq!(credential.state, CredentialState::Creating);
    assert_eq!(owner.id, acme);
}
