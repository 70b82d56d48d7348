use super::World;
use super::fixtures::{
    assert_refused, bucket, bucket_name, new_bucket, new_upload, tenant, upload,
};
use crate::catalog::{
    BucketSetting, BucketState, BucketVersioning, CatalogError, JobKind, UploadState,
};
use crate::tenants::TenantId;
use futures::future::join_all;

pub(super) async fn bucket_begun_twice_is_the_first(world: &World) {
    let catalog = &world.catalog;
    let acme = tenant(catalog, "acme").await;
    let first = new_bucket("docs");
    let made = catalog.begin_bucket(acme, &first, 1).await.unwrap();
    assert_eq!((made.state, made.format), (BucketState::Creating, 1));
    // The quota is used up, but this is no new bucket.
    let again = catalog
        .begin_bucket(acme, &new_bucket("docs"), 1)
        .await
        .unwrap();
    assert_eq!(again, made);
    assert_eq!(again.upstream, first.upstream);
    assert!(catalog.buckets(acme).await.unwrap().is_empty());

    let name = bucket_name("docs");
    let from = [BucketState::Creating];
    catalog
        .move_bucket(acme, &name, &first.upstream, &from, BucketState::Active)
        .await
        .unwrap();
    catalog
        .move_bucket(acme, &name, &first.upstream, &from, BucketState::Active)
        .await
        .unwrap();
    catalog
        .set_bucket_versioning(acme, &name, BucketVersioning::Enabled)
        .await
        .unwrap();
    assert!(!catalog.bucket(acme, &name).await.unwrap().object_lock);
    catalog.set_bucket_object_lock(acme, &name).await.unwrap();
    let found = catalog.buckets(acme).await.unwrap();
    assert_eq!(found.len(), 1);
    assert!(found[0].object_lock);
    assert_eq!(found[0].versioning, BucketVersioning::Enabled);
    assert_eq!(catalog.bucket(acme, &name).await.unwrap(), found[0]);

    let stranger = TenantId::random().unwrap();
    let refused = catalog.begin_bucket(stranger, &new_bucket("docs"), 1).await;
    assert_refused!(refused, NotFound);
    let globex = tenant(catalog, "globex").await;
    let mut same_upstream = new_bucket("docs");
    same_upstream.upstream = first.upstream;
    let refused = catalog.begin_bucket(globex, &same_upstream, 1).await;
    assert_refused!(refused, Exists);
}

pub(super) async fn bucket_quota_holds_in_a_race(world: &World) {
    let acme = tenant(&world.catalog, "acme").await;
    let attempts = (0..20).map(|number| {
        let catalog = if number % 2 == 0 {
            world.catalog.clone()
        } else {
            world.other.clone()
        };
        async move {
            let new = new_bucket(&format!("bucket-{number}"));
            catalog.begin_bucket(acme, &new, 5).await
        }
    });
    let outcomes = join_all(attempts).await;
    let made = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let refused = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Err(CatalogError::Quota { max: 5, .. })))
        .count();
    assert_eq!((made, refused), (5, 15), "{outcomes:?}");
}

pub(super) async fn bucket_forgotten_gives_its_place_back(world: &World) {
    let catalog = &world.catalog;
    let acme = tenant(catalog, "acme").await;
    let name = bucket_name("docs");
    let old = bucket(catalog, acme, "docs").await;
    let forget = async |upstream| catalog.forget_bucket(acme, &name, upstream).await;
    let unknown = new_bucket("docs").upstream;
    forget(&unknown).await.unwrap();
    assert_refused!(forget(&old.upstream).await, Conflict);
    let active = [BucketState::Active];
    catalog
        .move_bucket(acme, &name, &old.upstream, &active, BucketState::Deleting)
        .await
        .unwrap();
    let refused = catalog.begin_bucket(acme, &new_bucket("more"), 1).await;
    assert_refused!(refused, Quota);
    forget(&old.upstream).await.unwrap();
    forget(&old.upstream).await.unwrap();
    assert_refused!(catalog.bucket(acme, &name).await, NotFound);
    let new = catalog
        .begin_bucket(acme, &new_bucket("docs"), 1)
        .await
        .unwrap();
    assert_ne!(new.upstream, old.upstream);
}

pub(super) async fn bucket_of_a_name_used_again_is_another(world: &World) {
    let catalog = &world.catalog;
    let acme = tenant(catalog, "acme").await;
    let name = bucket_name("docs");
    let old = bucket(catalog, acme, "docs").await;
    let (active, deleting) = ([BucketState::Active], BucketState::Deleting);
    let delete = async |upstream| {
        catalog
            .move_bucket(acme, &name, upstream, &active, deleting)
            .await
    };
    delete(&old.upstream).await.unwrap();
    let forgotten = catalog.forget_bucket(acme, &name, &old.upstream);
    forgotten.await.unwrap();
    let new = bucket(catalog, acme, "docs").await;
    // Whoever still goes by the old one, as a late request or another gateway's cache does, moves and forgets nothing.
    assert_refused!(delete(&old.upstream).await, Conflict);
    assert_eq!(catalog.bucket(acme, &name).await.unwrap(), new);
    delete(&new.upstream).await.unwrap();
    let late = catalog.forget_bucket(acme, &name, &old.upstream);
    late.await.unwrap();
    let kept = catalog.bucket(acme, &name).await.unwrap();
    assert_eq!((kept.upstream, kept.state), (new.upstream, deleting));
}

pub(super) async fn bucket_forgotten_aborts_its_uploads(world: &World) {
    let catalog = &world.catalog;
    let acme = tenant(catalog, "acme").await;
    let name = bucket_name("docs");
    let docs = bucket(catalog, acme, "docs").await;
    let open = upload(catalog, acme, 1, "key").await;
    assert!(catalog.bucket_has_uploads(acme, &name).await.unwrap());
    catalog
        .move_bucket(
            acme,
            &name,
            &docs.upstream,
            &[BucketState::Active],
            BucketState::Deleting,
        )
        .await
        .unwrap();
    let forgotten = catalog.forget_bucket(acme, &name, &docs.upstream);
    forgotten.await.unwrap();
    bucket(catalog, acme, "docs").await;
    assert!(!catalog.bucket_has_uploads(acme, &name).await.unwrap());
    let page = catalog.uploads(acme, &name, "", None, 10).await.unwrap();
    assert!(page.uploads.is_empty());
    let left = catalog.upload(acme, &open).await.unwrap();
    assert_eq!(left.state, UploadState::Aborting);
}

pub(super) async fn bucket_being_deleted_takes_no_upload(world: &World) {
    let catalog = &world.catalog;
    let acme = tenant(catalog, "acme").await;
    let name = bucket_name("docs");
    let new = new_upload(1, "docs", "key");
    assert_refused!(catalog.begin_upload(acme, &new).await, NotFound);
    let docs = bucket(catalog, acme, "docs").await;
    catalog
        .move_bucket(
            acme,
            &name,
            &docs.upstream,
            &[BucketState::Active],
            BucketState::Deleting,
        )
        .await
        .unwrap();
    assert_refused!(catalog.begin_upload(acme, &new).await, Conflict);
    let versioning = BucketVersioning::Enabled;
    let refused = catalog.set_bucket_versioning(acme, &name, versioning).await;
    assert_refused!(refused, Conflict);
}

pub(super) async fn bucket_begun_brings_the_job_that_finishes_it(world: &World) {
    let catalog = &world.catalog;
    let acme = tenant(catalog, "acme").await;
    let subjects = async || {
        let jobs = catalog.jobs(10).await.unwrap();
        let jobs = jobs.into_iter().map(|job| (job.kind, job.subject));
        jobs.collect::<Vec<_>>()
    };
    catalog
        .begin_bucket(acme, &new_bucket("docs"), 1)
        .await
        .unwrap();
    let job = (JobKind::FinishBucket, format!("bucket/{acme}/docs"));
    assert_eq!(subjects().await, std::slice::from_ref(&job));
    // Neither a repetition nor one past the quota brings another.
    catalog
        .begin_bucket(acme, &new_bucket("docs"), 1)
        .await
        .unwrap();
    let refused = catalog.begin_bucket(acme, &new_bucket("more"), 1).await;
    assert_refused!(refused, Quota);
    assert_eq!(subjects().await, [job]);
}

pub(super) async fn bucket_settings_are_each_their_own_and_go_with_the_bucket(world: &World) {
    let catalog = &world.catalog;
    let acme = tenant(catalog, "acme").await;
    let globex = tenant(catalog, "globex").await;
    let name = bucket_name("docs");
    let (tagging, cors) = (BucketSetting::Tagging, BucketSetting::Cors);
    let set = async |setting, value| {
        catalog
            .set_bucket_setting(acme, &name, setting, value)
            .await
    };
    let get = async |tenant, setting| {
        let found = catalog.bucket_setting(tenant, &name, setting).await;
        found.unwrap().map(|value| value.to_string())
    };
    assert_eq!(get(acme, cors).await, None);
    assert_refused!(set(cors, Some("a")).await, NotFound);
    let docs = bucket(catalog, acme, "docs").await;
    bucket(catalog, globex, "docs").await;
    let before = catalog.revision().await.unwrap();
    set(cors, Some("rules")).await.unwrap();
    assert_ne!(catalog.revision().await.unwrap(), before);
    assert_eq!(get(acme, cors).await.as_deref(), Some("rules"));
    assert_eq!(get(acme, tagging).await, None);
    assert_eq!(get(globex, cors).await, None);
    set(tagging, Some("tags")).await.unwrap();
    set(cors, Some("others")).await.unwrap();
    assert_eq!(get(acme, tagging).await.as_deref(), Some("tags"));
    assert_eq!(get(acme, cors).await.as_deref(), Some("others"));
    set(tagging, None).await.unwrap();
    set(tagging, None).await.unwrap();
    assert_eq!(get(acme, tagging).await, None);

    catalog
        .move_bucket(
            acme,
            &name,
            &docs.upstream,
            &[BucketState::Active],
            BucketState::Deleting,
        )
        .await
        .unwrap();
    assert_refused!(set(cors, Some("late")).await, Conflict);
    let forgotten = catalog.forget_bucket(acme, &name, &docs.upstream);
    forgotten.await.unwrap();
    bucket(catalog, acme, "docs").await;
    assert_eq!(get(acme, cors).await, None);
}
