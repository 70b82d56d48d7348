use super::World;
use super::fixtures::{
    NOW, bucket, bucket_name, finished, new_upload, tenant, tenant_with_upload, upload, upload_id,
};
use crate::catalog::database::Statement;
use crate::catalog::{CompletedUpload, StaleBefore, UploadPage, UpstreamOwner};
use crate::clock::UnixMs;
use crate::region::UpstreamUploadId;
use crate::tenants::ObjectKey;
use std::collections::BTreeSet;

fn keys_and_ids(page: &UploadPage) -> Vec<(String, String)> {
    let row = |upload: &crate::catalog::Upload| {
        (
            upload.new.key.as_str().to_owned(),
            upload.new.id.as_str().to_owned(),
        )
    };
    page.uploads.iter().map(row).collect()
}

pub(super) async fn uploads_are_paged_by_key_and_id(world: &World) {
    let catalog = &world.catalog;
    let acme = tenant(catalog, "acme").await;
    bucket(catalog, acme, "docs").await;
    let docs = bucket_name("docs");
    // Bytes decide: upper case before lower case, `-` before letters, two bytes after one.
    let keys = ["b", "B", "a-c", "ab", "a", "a", "a", "ä", "a\0", "z"];
    let mut expected = BTreeSet::new();
    for (number, key) in keys.iter().enumerate() {
        // Ids run against the keys' order.
        let number = u8::try_from(100 - number).unwrap();
        upload(catalog, acme, number, key).await;
        expected.insert(((*key).to_owned(), upload_id(number).to_string()));
    }
    let mut listed = Vec::new();
    loop {
        let after = listed.last().map(|(key, id): &(String, String)| {
            (
                key.clone(),
                crate::tenants::UploadId::new(id.clone()).unwrap(),
            )
        });
        let after = after.as_ref().map(|(key, id)| (key.as_str(), Some(id)));
        let page = catalog.uploads(acme, &docs, "", after, 3).await.unwrap();
        assert!(page.uploads.len() <= 3);
        listed.extend(keys_and_ids(&page));
        if !page.truncated {
            break;
        }
        assert_eq!(page.uploads.len(), 3);
    }
    assert_eq!(listed, expected.iter().cloned().collect::<Vec<_>>());

    // A marker without an id is after all of its key.
    let page = catalog
        .uploads(acme, &docs, "", Some(("a", None)), 100)
        .await
        .unwrap();
    let rest = page.uploads.iter().map(|upload| upload.new.key.as_str());
    let rest: Vec<_> = rest.collect();
    assert_eq!(rest, ["a\0", "a-c", "ab", "b", "z", "ä"]);
    assert!(!page.truncated);
}

pub(super) async fn uploads_with_odd_prefixes_match_exactly(world: &World) {
    let catalog = &world.catalog;
    let acme = tenant(catalog, "acme").await;
    bucket(catalog, acme, "docs").await;
    let docs = bucket_name("docs");
    let keys = [
        "100%/a",
        "100x/a",
        "a_b",
        "axb",
        "a%",
        "a\\b",
        "a\0b",
        "\u{10ffff}",
        "\u{10ffff}x",
        "é",
        "è",
        "'; --",
    ];
    for (number, key) in keys.iter().enumerate() {
        upload(catalog, acme, u8::try_from(number).unwrap(), key).await;
    }
    for prefix in [
        "",
        "100%",
        "a_",
        "a%",
        "%",
        "_",
        "a\\",
        "a\0",
        "a",
        "\u{10ffff}",
        "é",
        "'",
        "absent",
    ] {
        let mut expected: Vec<_> = keys
            .iter()
            .filter(|key| key.starts_with(prefix))
            .map(|key| (*key).to_owned())
            .collect();
        expected.sort();
        let page = catalog
            .uploads(acme, &docs, prefix, None, 100)
            .await
            .unwrap();
        let found: Vec<_> = keys_and_ids(&page)
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        assert_eq!(found, expected, "prefix {prefix:?}");
    }
}

pub(super) async fn ten_thousand_parts_are_listed(world: &World) {
    let catalog = &world.catalog;
    let (acme, id) = tenant_with_upload(catalog).await;
    let attempt = catalog.begin_attempt(acme, &id, 1, NOW).await.unwrap();
    catalog
        .finish_attempt(acme, &id, attempt, &finished(1), NOW)
        .await
        .unwrap();
    // The other 9,999 as copies of that row: one call each would take minutes on SQLite.
    let copies = Statement::new(
        "WITH RECURSIVE numbers (n) AS (SELECT CAST(2 AS BIGINT) UNION ALL SELECT n + 1 FROM numbers WHERE n < 10000)
         INSERT INTO attempts (tenant, upload, id, number, begun, finished, finish_order, is_current, upstream_etag,
             salt, commitment, plaintext_bytes)
         SELECT tenant, upload, n, n, begun, finished, n, 1, upstream_etag, salt, commitment, plaintext_bytes
         FROM numbers, attempts WHERE tenant = $1 AND upload = $2 AND id = 1",
    );
    let copies = copies.bind(acme).bind(id.as_str());
    world.sql.run(vec![copies]).await;
    let mut numbers = Vec::new();
    loop {
        let after = numbers.last().copied().unwrap_or(0);
        let page = catalog.parts(acme, &id, after, 1_000).await.unwrap();
        assert!(page.len() <= 1_000);
        if page.is_empty() {
            break;
        }
        numbers.extend(page.iter().map(|part| part.number));
    }
    assert_eq!(numbers, (1..=10_000).collect::<Vec<u16>>());
    let all = catalog.parts(acme, &id, 0, 20_000).await.unwrap();
    assert_eq!(all.len(), 10_000);
    catalog.begin_abort(acme, &id, NOW).await.unwrap();
    catalog.forget_upload(acme, &id).await.unwrap();
    assert!(catalog.parts(acme, &id, 0, 10).await.unwrap().is_empty());
}

pub(super) async fn stale_uploads_are_those_past_their_times(world: &World) {
    let catalog = &world.catalog;
    let acme = tenant(catalog, "acme").await;
    bucket(catalog, acme, "docs").await;
    let at = |ms| NOW.plus_ms(ms);
    // 1 is open and idle, 2 open and busy, 3 creating, 4 aborting, 5 completed, 6 given up while completing, 7 completing now.
    let idle = upload(catalog, acme, 1, "k").await;
    let busy = upload(catalog, acme, 2, "k").await;
    catalog
        .begin_attempt(acme, &busy, 1, at(1000))
        .await
        .unwrap();
    let creating = new_upload(3, "docs", "k");
    catalog.begin_upload(acme, &creating).await.unwrap();
    let aborting = upload(catalog, acme, 4, "k").await;
    catalog.begin_abort(acme, &aborting, NOW).await.unwrap();
    let completed = upload(catalog, acme, 5, "k").await;
    let fence = catalog
        .begin_complete(acme, &completed, NOW, 10)
        .await
        .unwrap();
    let answer = CompletedUpload {
        etag: "e".to_owned(),
        version: None,
    };
    catalog
        .finish_complete(acme, &completed, fence, &answer, NOW)
        .await
        .unwrap();
    let given_up = upload(catalog, acme, 6, "k").await;
    catalog
        .begin_complete(acme, &given_up, NOW, 10)
        .await
        .unwrap();
    let completing = upload(catalog, acme, 7, "k").await;
    catalog
        .begin_complete(acme, &completing, NOW, 10_000)
        .await
        .unwrap();

    let stale = async |idle: i64, creating: i64, aborting: i64, completed: i64| {
        let before = StaleBefore {
            idle: at(idle),
            creating: at(creating),
            aborting: at(aborting),
            completed: at(completed),
        };
        let found = catalog.stale_uploads(&before, None, 100).await.unwrap();
        assert!(found.iter().all(|(tenant, _)| *tenant == acme));
        let ids: BTreeSet<_> = found.into_iter().map(|(_, upload)| upload.new.id).collect();
        ids
    };
    assert!(stale(0, 0, 0, 0).await.is_empty());
    assert_eq!(
        stale(500, 0, 0, 0).await,
        BTreeSet::from([idle.clone(), given_up.clone()])
    );
    assert_eq!(
        stale(0, 1, 0, 0).await,
        BTreeSet::from([creating.id.clone()])
    );
    assert_eq!(stale(0, 0, 1, 0).await, BTreeSet::from([aborting.clone()]));
    assert_eq!(stale(0, 0, 0, 1).await, BTreeSet::from([completed.clone()]));
    assert_eq!(stale(5_000, 5_000, 5_000, 5_000).await.len(), 6);
}

pub(super) async fn stale_uploads_are_paged_past_those_that_stay(world: &World) {
    let catalog = &world.catalog;
    let acme = tenant(catalog, "acme").await;
    bucket(catalog, acme, "docs").await;
    let globex = tenant(catalog, "globex").await;
    bucket(catalog, globex, "docs").await;
    let mut expected = BTreeSet::new();
    for number in 1..=5 {
        for owner in [acme, globex] {
            expected.insert((owner, upload(catalog, owner, number, "k").await));
        }
    }
    let later = UnixMs(i64::MAX);
    let before = StaleBefore {
        idle: later,
        creating: later,
        aborting: later,
        completed: later,
    };
    let (mut found, mut last) = (BTreeSet::new(), None);
    for pages in 1.. {
        let page = catalog.stale_uploads(&before, last.as_ref(), 3).await;
        let page = page.unwrap();
        let Some(end) = page.last() else {
            assert_eq!(pages, 5);
            break;
        };
        assert_eq!(end.1.region, super::fixtures::region());
        last = Some(end.clone());
        let ids = page.into_iter();
        found.extend(ids.map(|(owner, upload)| (owner, upload.new.id)));
    }
    assert_eq!(found, expected);
}

pub(super) async fn upstream_uploads_have_the_owner_that_a_row_names(world: &World) {
    let catalog = &world.catalog;
    let acme = tenant(catalog, "acme").await;
    let docs = bucket(catalog, acme, "docs").await.name;
    let globex = tenant(catalog, "globex").await;
    bucket(catalog, globex, "docs").await;
    let owner = async |tenant, key: &str, upstream: &str, begun_before| {
        let key = ObjectKey::new(key).unwrap();
        let upstream = UpstreamUploadId(upstream.to_owned());
        catalog
            .upstream_owner(tenant, &docs, &key, &upstream, begun_before)
            .await
            .unwrap()
    };
    let later = NOW.plus_ms(1);
    assert_eq!(owner(acme, "k", "x", NOW).await, UpstreamOwner::Nobody);
    upload(catalog, acme, 1, "k").await;
    let recorded = owner(acme, "k", "upstream-id", later).await;
    assert_eq!(recorded, UpstreamOwner::Recorded);
    assert_eq!(owner(acme, "k", "x", NOW).await, UpstreamOwner::Nobody);
    // One that was begun may be the one, until it is old.
    let begun = new_upload(2, "docs", "k");
    catalog.begin_upload(acme, &begun).await.unwrap();
    assert_eq!(owner(acme, "k", "x", NOW).await, UpstreamOwner::Undecided);
    assert_eq!(owner(acme, "k", "x", later).await, UpstreamOwner::Nobody);
    catalog.begin_abort(acme, &begun.id, NOW).await.unwrap();
    assert_eq!(owner(acme, "k", "x", NOW).await, UpstreamOwner::Undecided);
    let recorded = owner(acme, "k", "upstream-id", NOW).await;
    assert_eq!(recorded, UpstreamOwner::Recorded);
    // Another key's, another tenant's.
    for (tenant, key) in [(acme, "k2"), (globex, "k")] {
        let nobody = owner(tenant, key, "upstream-id", NOW).await;
        assert_eq!(nobody, UpstreamOwner::Nobody);
    }
}
