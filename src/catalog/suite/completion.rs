use super::World;
use super::fixtures::{NOW, assert_refused, is_conflict, tenant_with_upload, upload, upload_id};
use crate::catalog::{CompletedUpload, UploadState};

const LEASE_MS: i64 = 1_000;

fn answer(etag: &str) -> CompletedUpload {
    CompletedUpload {
        etag: etag.to_owned(),
        version: Some("v1".to_owned()),
    }
}

pub(super) async fn completion_is_taken_by_one_of_two(world: &World) {
    let (acme, id) = tenant_with_upload(&world.catalog).await;
    let (one, two) = tokio::join!(
        world.catalog.begin_complete(acme, &id, NOW, LEASE_MS),
        world.other.begin_complete(acme, &id, NOW, LEASE_MS),
    );
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    assert!(is_conflict(&one) || is_conflict(&two));
    let found = world.catalog.upload(acme, &id).await.unwrap();
    assert_eq!(found.state, UploadState::Completing);
    let absent = upload_id(9);
    let missing = world.catalog.begin_complete(acme, &absent, NOW, 1).await;
    assert_refused!(missing, NotFound);
}

pub(super) async fn completion_taken_over_refuses_the_old_fence(world: &World) {
    let (catalog, other) = (&world.catalog, &world.other);
    let (acme, id) = tenant_with_upload(catalog).await;
    let old = catalog
        .begin_complete(acme, &id, NOW, LEASE_MS)
        .await
        .unwrap();
    let early = NOW.plus_ms(LEASE_MS - 1);
    let refused = other.begin_complete(acme, &id, early, LEASE_MS).await;
    assert_refused!(refused, Conflict);
    catalog
        .fix_part_list(acme, &id, old, b"list")
        .await
        .unwrap();
    let late = NOW.plus_ms(LEASE_MS);
    let new = other
        .begin_complete(acme, &id, late, LEASE_MS)
        .await
        .unwrap();
    assert!(new > old);

    let fixed = catalog.fix_part_list(acme, &id, old, b"list").await;
    assert_refused!(fixed, Conflict);
    assert_refused!(catalog.release_complete(acme, &id, old).await, Conflict);
    let done = catalog
        .finish_complete(acme, &id, old, &answer("old"), late)
        .await;
    assert_refused!(done, Conflict);
    // The list that the first owner fixed binds the second.
    let another = other.fix_part_list(acme, &id, new, b"another").await;
    assert_refused!(another, Conflict);
    other.fix_part_list(acme, &id, new, b"list").await.unwrap();
    other
        .finish_complete(acme, &id, new, &answer("new"), late)
        .await
        .unwrap();
    let done = catalog
        .finish_complete(acme, &id, old, &answer("new"), late)
        .await;
    assert_refused!(done, Conflict);
}

pub(super) async fn completion_renewed_is_kept_and_one_taken_over_is_not_renewed(world: &World) {
    let (catalog, other) = (&world.catalog, &world.other);
    let (acme, id) = tenant_with_upload(catalog).await;
    let fence = catalog
        .begin_complete(acme, &id, NOW, LEASE_MS)
        .await
        .unwrap();
    let until = NOW.plus_ms(2 * LEASE_MS);
    catalog
        .renew_complete(acme, &id, fence, until)
        .await
        .unwrap();
    let within = NOW.plus_ms(2 * LEASE_MS - 1);
    let refused = other.begin_complete(acme, &id, within, LEASE_MS).await;
    assert_refused!(refused, Conflict);
    assert_refused!(other.begin_abort(acme, &id, within).await, Conflict);
    let new = other
        .begin_complete(acme, &id, until, LEASE_MS)
        .await
        .unwrap();
    let late = catalog
        .renew_complete(acme, &id, fence, until.plus_ms(9 * LEASE_MS))
        .await;
    assert_refused!(late, Conflict);
    other.release_complete(acme, &id, new).await.unwrap();
    let open = other.renew_complete(acme, &id, new, until).await;
    assert_refused!(open, Conflict);
    let absent = catalog
        .renew_complete(acme, &upload_id(9), fence, until)
        .await;
    assert_refused!(absent, NotFound);
}

pub(super) async fn different_part_list_is_refused(world: &World) {
    let catalog = &world.catalog;
    let (acme, id) = tenant_with_upload(catalog).await;
    let fence = catalog
        .begin_complete(acme, &id, NOW, LEASE_MS)
        .await
        .unwrap();
    let (one, two) = tokio::join!(
        catalog.fix_part_list(acme, &id, fence, b"1,2"),
        world.other.fix_part_list(acme, &id, fence, b"1,2,3"),
    );
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    let fixed: &[u8] = if one.is_ok() { b"1,2" } else { b"1,2,3" };
    catalog
        .fix_part_list(acme, &id, fence, fixed)
        .await
        .unwrap();
    let other = catalog.fix_part_list(acme, &id, fence, b"").await;
    assert_refused!(other, Conflict);
    let found = catalog.upload(acme, &id).await.unwrap();
    assert_eq!(found.part_list.as_deref(), Some(fixed));
}

pub(super) async fn completion_given_back_can_be_taken_at_once(world: &World) {
    let catalog = &world.catalog;
    let (acme, id) = tenant_with_upload(catalog).await;
    let first = catalog
        .begin_complete(acme, &id, NOW, LEASE_MS)
        .await
        .unwrap();
    catalog.release_complete(acme, &id, first).await.unwrap();
    catalog.release_complete(acme, &id, first).await.unwrap();
    let found = catalog.upload(acme, &id).await.unwrap();
    assert_eq!(found.state, UploadState::Open);

    let second = catalog
        .begin_complete(acme, &id, NOW, LEASE_MS)
        .await
        .unwrap();
    catalog
        .fix_part_list(acme, &id, second, b"list")
        .await
        .unwrap();
    catalog.release_complete(acme, &id, second).await.unwrap();
    let found = catalog.upload(acme, &id).await.unwrap();
    assert_eq!(found.state, UploadState::Completing);
    assert!(found.part_list.is_some());
    catalog
        .begin_complete(acme, &id, NOW, LEASE_MS)
        .await
        .unwrap();
}

pub(super) async fn completed_upload_repeats_its_answer(world: &World) {
    let catalog = &world.catalog;
    let (acme, id) = tenant_with_upload(catalog).await;
    let fence = catalog
        .begin_complete(acme, &id, NOW, LEASE_MS)
        .await
        .unwrap();
    let mine = answer("etag-1");
    for _ in 0..2 {
        catalog
            .finish_complete(acme, &id, fence, &mine, NOW)
            .await
            .unwrap();
    }
    let other = answer("etag-2");
    let refused = catalog.finish_complete(acme, &id, fence, &other, NOW).await;
    assert_refused!(refused, Conflict);
    let found = catalog.upload(acme, &id).await.unwrap();
    assert_eq!(found.state, UploadState::Completed);
    assert_eq!(found.answer, Some(mine));
    let late = NOW.plus_ms(10 * LEASE_MS);
    let again = catalog.begin_complete(acme, &id, late, LEASE_MS).await;
    assert_refused!(again, Conflict);
    assert_refused!(catalog.begin_abort(acme, &id, NOW).await, Conflict);
    catalog.forget_upload(acme, &id).await.unwrap();
    assert_refused!(catalog.upload(acme, &id).await, NotFound);
}

pub(super) async fn upload_reopened_takes_parts_and_another_list(world: &World) {
    let catalog = &world.catalog;
    let (acme, id) = tenant_with_upload(catalog).await;
    let old = catalog.begin_complete(acme, &id, NOW, 1).await.unwrap();
    let fence = world
        .other
        .begin_complete(acme, &id, NOW.plus_ms(1), LEASE_MS)
        .await
        .unwrap();
    assert!(catalog.fix_part_list(acme, &id, fence, b"1").await.unwrap());
    let again = catalog.fix_part_list(acme, &id, fence, b"1").await;
    assert!(!again.unwrap(), "it was fixed by the first");
    assert_refused!(catalog.reopen_upload(acme, &id, old).await, Conflict);
    for _ in 0..2 {
        catalog.reopen_upload(acme, &id, fence).await.unwrap();
    }
    let open = catalog.upload(acme, &id).await.unwrap();
    assert_eq!((open.state, open.part_list), (UploadState::Open, None));
    catalog.begin_attempt(acme, &id, 1, NOW).await.unwrap();
    let next = catalog.begin_complete(acme, &id, NOW, LEASE_MS).await;
    let next = next.unwrap();
    assert!(catalog.fix_part_list(acme, &id, next, b"2").await.unwrap());
    assert_refused!(catalog.reopen_upload(acme, &id, fence).await, Conflict);
}

pub(super) async fn abort_waits_for_nobody_and_yields_to_completion(world: &World) {
    let catalog = &world.catalog;
    let (acme, id) = tenant_with_upload(catalog).await;
    let fence = catalog
        .begin_complete(acme, &id, NOW, LEASE_MS)
        .await
        .unwrap();
    assert_refused!(catalog.begin_abort(acme, &id, NOW).await, Conflict);
    catalog
        .fix_part_list(acme, &id, fence, b"list")
        .await
        .unwrap();
    assert_refused!(catalog.begin_abort(acme, &id, NOW).await, Conflict);
    catalog.release_complete(acme, &id, fence).await.unwrap();
    for _ in 0..2 {
        let aborted = catalog.begin_abort(acme, &id, NOW).await.unwrap();
        assert_eq!(aborted.state, UploadState::Aborting);
        assert_eq!(aborted.upstream.unwrap().0, "upstream-id");
    }
    let late = NOW.plus_ms(10 * LEASE_MS);
    let begun = catalog.begin_complete(acme, &id, late, LEASE_MS).await;
    assert_refused!(begun, Conflict);

    // A gateway that was killed while it completed an upload does not keep it from being aborted.
    let killed = upload(catalog, acme, 3, "key").await;
    let fence = catalog.begin_complete(acme, &killed, NOW, LEASE_MS).await;
    catalog
        .fix_part_list(acme, &killed, fence.unwrap(), b"list")
        .await
        .unwrap();
    let almost = NOW.plus_ms(LEASE_MS - 1);
    assert_refused!(catalog.begin_abort(acme, &killed, almost).await, Conflict);
    let ended = NOW.plus_ms(LEASE_MS);
    let aborted = catalog.begin_abort(acme, &killed, ended).await.unwrap();
    assert_eq!(aborted.state, UploadState::Aborting);

    let raced = upload(catalog, acme, 2, "key").await;
    let (complete, abort) = tokio::join!(
        catalog.begin_complete(acme, &raced, NOW, LEASE_MS),
        world.other.begin_abort(acme, &raced, NOW),
    );
    assert!(complete.is_ok() != abort.is_ok());
}
