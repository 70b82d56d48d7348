use super::client::{Client, PART, plain};
use crate::ops::testing::{Testbed, create_bucket};
use crate::tenants::BucketName;
use lethe_envelope::ObjectMetadata;
use lethe_envelope::layout::sealed_len;

/// Neither the moved object's bytes nor a clean end.
async fn assert_not_served(at: &Client<'_>, name: &str, why: &str) {
    assert!(at.get(name).await.is_err(), "{why}");
}

#[tokio::test]
async fn object_moved_to_another_key_bucket_or_tenant_is_not_served() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let other = BucketName::new("other").unwrap();
    create_bucket(&bed.gateway, &bed.acme, other, None)
        .await
        .unwrap();
    let elsewhere = Client::of(&bed, &bed.acme, "other").await;
    let globex = Client::of(&bed, &bed.globex, "docs").await;
    acme.put("single", b"bytes").await.unwrap();
    acme.multipart("parts", &[b"bytes"]).await;
    for name in ["single", "parts"] {
        let (head, stored) = acme.stored(name).await;
        for (place, to) in [(&acme, "moved"), (&elsewhere, name), (&globex, name)] {
            place.forge(to, &head, stored.clone()).await;
            assert_not_served(place, to, name).await;
            assert!(place.head(to).await.is_err());
            let mut copy = place.copying(to, "copied");
            copy.metadata = Some(ObjectMetadata::default());
            assert!(place.copy(&copy).await.is_err(), "{name} was copied");
        }
        acme.forge(name, &head, stored).await;
        assert_eq!(
            acme.get(name).await.unwrap(),
            b"bytes",
            "in its own place it is"
        );
    }
}

#[tokio::test]
async fn body_under_another_objects_head_is_not_served() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    for (name, parts) in [
        ("a", [plain(1, PART), plain(2, 9)]),
        ("b", [plain(3, PART), plain(4, 9)]),
    ] {
        acme.multipart(name, &[&parts[0], &parts[1]]).await;
        acme.put(&format!("single-{name}"), &parts[1])
            .await
            .unwrap();
    }
    for (one, two) in [("a", "b"), ("single-a", "single-b")] {
        let (head, _) = acme.stored(one).await;
        let (_, body) = acme.stored(two).await;
        acme.forge(one, &head, body).await;
        assert_not_served(&acme, one, one).await;
    }
}

#[tokio::test]
async fn parts_swapped_or_dropped_are_not_served() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let parts = [plain(1, PART), plain(2, PART), plain(3, 77)];
    acme.multipart("k", &[&parts[0], &parts[1], &parts[2]])
        .await;
    let (head, stored) = acme.stored("k").await;
    let part = sealed_len(PART as u64) as usize;
    let (one, two, rest) = (
        &stored[..part],
        &stored[part..2 * part],
        &stored[2 * part..],
    );
    for body in [
        [two, one, rest].concat(),
        [one, one, rest].concat(),
        [one, rest].concat(),
        [one, two, &stored].concat(),
        stored[..stored.len() - 1].to_vec(),
    ] {
        acme.forge("k", &head, body).await;
        assert_not_served(&acme, "k", "parts").await;
    }
}

#[tokio::test]
async fn metadata_swapped_between_an_object_and_its_copy_is_not_served() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    acme.put("k", b"bytes").await.unwrap();
    let mut copy = acme.copying("k", "copy");
    copy.metadata = Some(ObjectMetadata {
        content_type: Some("text/html".to_owned()),
        ..ObjectMetadata::default()
    });
    acme.copy(&copy).await.unwrap();
    let (original, stored) = acme.stored("k").await;
    let (copied, _) = acme.stored("copy").await;
    let mut forged = copied.clone();
    let sealed = original.fields.metadata["lethe-m"].clone();
    forged.fields.metadata.insert("lethe-m".to_owned(), sealed);
    acme.forge("copy", &forged, stored.clone()).await;
    assert_not_served(&acme, "copy", "metadata").await;
    acme.forge("copy", &copied, stored).await;
    assert_eq!(acme.get("copy").await.unwrap(), b"bytes");
}
