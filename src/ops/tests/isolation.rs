//! Globex with its own credentials: whatever is acme's answers as what does not exist.

use super::client::{Client, key};
use crate::ops::buckets::delete_bucket;
use crate::ops::conditions::{CopySourceConditions, WriteCondition};
use crate::ops::delete_object::{DeleteObject, delete_object, delete_objects};
use crate::ops::error::OpError;
use crate::ops::list_objects::list_objects;
use crate::ops::multipart::{self, RequestedPart, UploadPartCopy};
use crate::ops::read_object::ReadRequest;
use crate::ops::scope::Access;
use crate::ops::tagging;
use crate::ops::testing::{Testbed, bucket_scope, create_bucket, deletion_scope};
use crate::region::{ListRequest, VersionId};
use crate::tenants::BucketName;

/// What a client sees of an error.
fn seen<T>(outcome: Result<T, OpError>) -> String {
    let Err(error) = outcome else {
        panic!("it exists for globex");
    };
    format!(
        "{:?} {} {:?}",
        error.code(),
        error.message(),
        error.details()
    )
}

/// Acme's bucket `secret` with an object and an open upload; its upload id.
async fn furnish(bed: &Testbed) -> (String, RequestedPart) {
    let name = BucketName::new("secret").unwrap();
    create_bucket(&bed.gateway, &bed.acme, name, None)
        .await
        .unwrap();
    for bucket in ["secret", "docs"] {
        let acme = Client::of(bed, &bed.acme, bucket).await;
        acme.put("theirs", b"acme's").await.unwrap();
    }
    let acme = Client::acme(bed).await;
    let upload = acme.create("theirs").await;
    let part = acme.part("theirs", &upload, 1, b"x").await.unwrap();
    (upload, part)
}

#[tokio::test]
async fn bucket_of_another_tenant_answers_as_one_that_does_not_exist() {
    let bed = Testbed::new().await;
    furnish(&bed).await;
    for access in [Access::Read, Access::Write] {
        let ask = async |name| bucket_scope(&bed.gateway, &bed.globex, name, access).await;
        assert_eq!(seen(ask("secret").await), seen(ask("nothing").await));
    }
    let delete = async |name| {
        let scope = deletion_scope(&bed.gateway, &bed.globex, name);
        let name = BucketName::new(name).unwrap();
        delete_bucket(&bed.gateway, &scope, &name).await
    };
    assert_eq!(seen(delete("secret").await), seen(delete("nothing").await));
    // The name is free for globex, and acme's bucket is another.
    let name = BucketName::new("secret").unwrap();
    create_bucket(&bed.gateway, &bed.globex, name, None)
        .await
        .unwrap();
    let globex = Client::of(&bed, &bed.globex, "secret").await;
    assert_eq!(globex.found("theirs").await, None);
    globex.put("theirs", b"globex's").await.unwrap();
    let acme = Client::of(&bed, &bed.acme, "secret").await;
    assert_eq!(acme.get("theirs").await.unwrap(), b"acme's");
    assert_ne!(
        acme.head("theirs").await.unwrap().object.client_etag(),
        globex.head("theirs").await.unwrap().object.client_etag()
    );
}

#[tokio::test]
async fn object_of_another_tenant_answers_as_one_that_does_not_exist() {
    let bed = Testbed::new().await;
    furnish(&bed).await;
    let globex = Client::of(&bed, &bed.globex, "docs").await;
    let scope = &globex.scope;
    let mut seen_of = Vec::new();
    for name in ["theirs", "nothing"] {
        let at = key(name);
        let mut all = Vec::new();
        for with_body in [true, false] {
            for version in [
                None,
                Some(VersionId("null".to_owned())),
                Some(VersionId("v1".to_owned())),
            ] {
                for part_number in [None, Some(1)] {
                    let request = ReadRequest {
                        version: version.clone(),
                        part_number,
                        with_body,
                        ..ReadRequest::default()
                    };
                    all.push(seen(globex.read(name, &request).await));
                }
            }
        }
        all.push(seen(globex.copy(&globex.copying(name, "copy")).await));
        all.push(seen(tagging::get_tags(scope, &at, None).await));
        all.push(seen(tagging::set_tags(scope, &at, None, &[]).await));
        let delete = |condition| DeleteObject {
            key: key(name),
            version: None,
            condition,
            bypass_governance: false,
        };
        all.push(seen(
            delete_object(scope, &delete(WriteCondition::Present)).await,
        ));
        // Deleting what is not there succeeds, and deletes nothing of acme's.
        delete_object(scope, &delete(WriteCondition::Always))
            .await
            .unwrap();
        let listed = delete_objects(scope, vec![delete(WriteCondition::Always)]).await;
        assert!(listed[0].1.is_ok());
        all.push(seen(
            globex.put_if(name, b"x", WriteCondition::Present).await,
        ));
        seen_of.push(all);
    }
    assert_eq!(seen_of[0], seen_of[1]);
    let list = ListRequest {
        keys_max: 1000,
        ..ListRequest::default()
    };
    assert!(list_objects(scope, &list).await.unwrap().objects.is_empty());
    let acme = Client::acme(&bed).await;
    assert_eq!(acme.get("theirs").await.unwrap(), b"acme's");
}

#[tokio::test]
async fn upload_of_another_tenant_answers_as_one_that_does_not_exist() {
    let bed = Testbed::new().await;
    let (theirs, part) = furnish(&bed).await;
    let globex = Client::of(&bed, &bed.globex, "docs").await;
    globex.put("source", b"x").await.unwrap();
    let scope = &globex.scope;
    let nothing = "0".repeat(theirs.len());
    let mut seen_of = Vec::new();
    for upload in [theirs.as_str(), &nothing, "no id at all", ""] {
        let at = key("theirs");
        let copy = UploadPartCopy {
            key: at.clone(),
            upload: upload.to_owned(),
            number: 1,
            source: scope.clone(),
            source_key: key("source"),
            source_version: None,
            source_conditions: CopySourceConditions::default(),
            range: None,
            source_customer_key: None,
            customer_key: None,
        };
        let list = std::slice::from_ref(&part);
        seen_of.push([
            seen(globex.part("theirs", upload, 2, b"y").await),
            seen(multipart::upload_part_copy(&bed.gateway, scope, copy).await),
            seen(globex.complete("theirs", upload, list).await),
            seen(multipart::list_parts(&bed.gateway, scope, &at, upload, 0, 10, None).await),
            seen(globex.abort("theirs", upload).await),
        ]);
    }
    for other in &seen_of[1..] {
        assert_eq!(seen_of[0], *other);
    }
    let open = multipart::list_uploads(scope, "", None, 10).await.unwrap();
    assert!(open.uploads.is_empty());
    let acme = Client::acme(&bed).await;
    acme.complete("theirs", &theirs, &[part]).await.unwrap();
    assert_eq!(acme.get("theirs").await.unwrap(), b"x");
}
