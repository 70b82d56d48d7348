use super::World;
use super::fixtures::{
    NOW, assert_refused, bucket, finished, new_upload, tenant, tenant_with_upload, upload_id,
};
use crate::catalog::{AttemptId, NewAttempt, UploadState};
use crate::tenants::ObjectKey;
use futures::future::join_all;

pub(super) async fn upload_is_opened_once(world: &World) {
    let catalog = &world.catalog;
    let acme = tenant(catalog, "acme").await;
    bucket(catalog, acme, "docs").await;
    let new = new_upload(1, "docs", "a\0key/\u{10ffff}");
    catalog.begin_upload(acme, &new).await.unwrap();
    catalog.begin_upload(acme, &new).await.unwrap();
    let mut other = new.clone();
    other.header = "another".to_owned();
    assert_refused!(catalog.begin_upload(acme, &other).await, Exists);
    let found = catalog.upload(acme, &new.id).await.unwrap();
    assert_eq!((&found.new, found.state), (&new, UploadState::Creating));
    let early = catalog.begin_attempt(acme, &new.id, 1, NOW).await;
    assert_refused!(early, Conflict);

    catalog.open_upload(acme, &new.id, "first").await.unwrap();
    catalog.open_upload(acme, &new.id, "first").await.unwrap();
    let second = catalog.open_upload(acme, &new.id, "second").await;
    assert_refused!(second, Conflict);
    let found = catalog.upload(acme, &new.id).await.unwrap();
    assert_eq!(found.upstream.unwrap().0, "first");
    assert_eq!(found.state, UploadState::Open);
    let missing = catalog.open_upload(acme, &upload_id(9), "x").await;
    assert_refused!(missing, NotFound);
}

pub(super) async fn last_finished_attempt_is_current(world: &World) {
    let catalog = &world.catalog;
    let (acme, id) = tenant_with_upload(catalog).await;
    let first = catalog.begin_attempt(acme, &id, 1, NOW).await.unwrap();
    let second = catalog.begin_attempt(acme, &id, 1, NOW).await.unwrap();
    let unfinished = catalog.begin_attempt(acme, &id, 2, NOW).await.unwrap();
    assert!(first != second && second != unfinished);
    let finish = |attempt, mark| {
        let catalog = catalog.clone();
        let id = id.clone();
        async move {
            let now = NOW.plus_ms(i64::from(mark));
            let done = finished(mark);
            catalog.finish_attempt(acme, &id, attempt, &done, now).await
        }
    };
    // The one that began first ends last.
    finish(second, 2).await.unwrap();
    finish(first, 1).await.unwrap();
    // A repetition succeeds, and does not make it the last again.
    finish(second, 2).await.unwrap();
    let parts = catalog.parts(acme, &id, 0, 10).await.unwrap();
    assert_eq!(parts.len(), 1);
    assert_eq!((parts[0].id, parts[0].number), (first, 1));
    assert_eq!(parts[0].stored, finished(1));
    assert_eq!(parts[0].finished, NOW.plus_ms(1));
    let all = catalog.attempts(acme, &id, 1).await.unwrap();
    let ids: Vec<_> = all.iter().map(|attempt| attempt.id).collect();
    assert_eq!(ids, [first, second]);
    assert!(catalog.attempts(acme, &id, 2).await.unwrap().is_empty());

    assert_refused!(finish(first, 3).await, Conflict);
    assert_refused!(finish(AttemptId(999), 3).await, NotFound);
}

pub(super) async fn attempts_finished_in_a_race_leave_one_current(world: &World) {
    let (acme, id) = tenant_with_upload(&world.catalog).await;
    let racing = (0..12u8).map(|mark| {
        let catalog = if mark % 2 == 0 {
            world.catalog.clone()
        } else {
            world.other.clone()
        };
        let id = id.clone();
        async move {
            let attempt = catalog.begin_attempt(acme, &id, 7, NOW).await.unwrap();
            let done = finished(mark);
            catalog
                .finish_attempt(acme, &id, attempt, &done, NOW)
                .await
                .unwrap();
            attempt
        }
    });
    let mut ids = join_all(racing).await;
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 12);
    let parts = world.catalog.parts(acme, &id, 0, 10).await.unwrap();
    assert_eq!(parts.len(), 1);
    let all = world.catalog.attempts(acme, &id, 7).await.unwrap();
    assert_eq!(all.len(), 12);
    assert_eq!(all[0], parts[0]);
}

pub(super) async fn highest_part_number_counts_unfinished_attempts(world: &World) {
    let catalog = &world.catalog;
    let (acme, id) = tenant_with_upload(catalog).await;
    assert_eq!(catalog.part_number_max(acme, &id).await.unwrap(), 0);
    let first = catalog.begin_attempt(acme, &id, 7, NOW).await.unwrap();
    catalog.begin_attempt(acme, &id, 9, NOW).await.unwrap();
    catalog
        .finish_attempt(acme, &id, first, &finished(1), NOW)
        .await
        .unwrap();
    assert_eq!(catalog.part_number_max(acme, &id).await.unwrap(), 9);
    let globex = tenant(catalog, "globex").await;
    assert_eq!(catalog.part_number_max(globex, &id).await.unwrap(), 0);
}

pub(super) async fn attempt_after_the_upload_left_open_is_refused(world: &World) {
    let catalog = &world.catalog;
    let (acme, id) = tenant_with_upload(catalog).await;
    let attempt = catalog.begin_attempt(acme, &id, 1, NOW).await.unwrap();
    let fence = catalog.begin_complete(acme, &id, NOW, 1000).await.unwrap();
    let done = finished(1);
    let late = catalog.finish_attempt(acme, &id, attempt, &done, NOW).await;
    assert_refused!(late, Conflict);
    let begun = catalog.begin_attempt(acme, &id, 1, NOW).await;
    assert_refused!(begun, Conflict);
    catalog.release_complete(acme, &id, fence).await.unwrap();
    catalog
        .finish_attempt(acme, &id, attempt, &done, NOW)
        .await
        .unwrap();
    catalog.begin_abort(acme, &id, NOW).await.unwrap();
    let begun = catalog.begin_attempt(acme, &id, 1, NOW).await;
    assert_refused!(begun, Conflict);
}

pub(super) async fn superseded_attempts_are_bounded(world: &World) {
    let catalog = &world.catalog;
    let (acme, id) = tenant_with_upload(catalog).await;
    let mut last = AttemptId(0);
    for mark in 0..40u8 {
        last = catalog.begin_attempt(acme, &id, 1, NOW).await.unwrap();
        catalog
            .finish_attempt(acme, &id, last, &finished(mark), NOW)
            .await
            .unwrap();
    }
    let kept = catalog.attempts(acme, &id, 1).await.unwrap();
    assert_eq!(kept.len(), 33, "the current one and 32 before it");
    assert_eq!((kept[0].id, &kept[0].stored), (last, &finished(39)));
    assert_eq!(kept[32].stored, finished(7));
}

pub(super) async fn spooled_attempts_are_known_until_the_upload_is_forgotten(world: &World) {
    let catalog = &world.catalog;
    let (acme, id) = tenant_with_upload(catalog).await;
    let mut keys = Vec::new();
    for mark in 0..2u8 {
        let key = ObjectKey::new(format!("spool/{mark}")).unwrap();
        let done = NewAttempt {
            spool_key: Some(key.clone()),
            plaintext_bytes: 1,
            ..finished(mark)
        };
        let attempt = catalog.begin_attempt(acme, &id, 1, NOW).await.unwrap();
        catalog
            .finish_attempt(acme, &id, attempt, &done, NOW)
            .await
            .unwrap();
        keys.push((attempt, key));
    }
    let spooled = catalog.spooled(acme, &id).await.unwrap();
    let found: Vec<_> = spooled.into_iter().map(|s| (s.attempt, s.key)).collect();
    assert_eq!(found, keys);
    assert_refused!(catalog.forget_upload(acme, &id).await, Conflict);
    let aborted = catalog.begin_abort(acme, &id, NOW).await.unwrap();
    assert_eq!(aborted.state, UploadState::Aborting);
    assert_eq!(catalog.spooled(acme, &id).await.unwrap().len(), 2);
    assert!(catalog.has_upload(&id).await.unwrap());
    catalog.forget_upload(acme, &id).await.unwrap();
    catalog.forget_upload(acme, &id).await.unwrap();
    assert!(!catalog.has_upload(&id).await.unwrap());
    assert!(catalog.spooled(acme, &id).await.unwrap().is_empty());
    assert_refused!(catalog.upload(acme, &id).await, NotFound);
}
