//! What fits: basics, parts, metadata, tags, checksums, versions.

use super::bench::{Bench, NOBODY};
use super::{Findings, answered};
use crate::region::{
    ByteRange, DeleteRequest, GetRequest, HeadFields, PutCondition, RegionError, RegionProfile,
    RegionStore, VersionListRequest, Versioning,
};
use bytes::Bytes;

pub(super) const VERSIONED_KEY: &str = "versions/a";
pub(super) const FULL_KEY: &str = "full/a";
const PART_BYTES_MIN: usize = 5 << 20;
/// No store is asked for more room than this beside an object.
const METADATA_BYTES_ASKED: usize = 8_192;
/// An object header with its name (`docs/format.md`).
const HEADER_BYTES: usize = 720;
/// A header and S3's 2 KB of user metadata, sealed, padded and in base64.
const ALL_METADATA_BYTES: usize = 4_000;

/// What nothing works without.
pub(super) async fn basics(bench: &Bench, findings: &mut Findings) -> Result<(), RegionError> {
    let at = bench.at("basics")?;
    let old = bench
        .put(&at, "an older text", PutCondition::Always)
        .await?;
    bench.put(&at, "0123456789", PutCondition::Always).await?;
    findings.require(
        bench.holds(&at, "0123456789").await?,
        "a GET after a PUT does not return what was written",
    );
    for (range, expected) in [
        (ByteRange::Inclusive { first: 2, last: 4 }, &b"234"[..]),
        (ByteRange::Suffix { bytes: 3 }, b"789"),
    ] {
        let request = GetRequest {
            range: Some(range),
            ..GetRequest::default()
        };
        let read = answered(bench.read(&at, &request).await)?;
        findings.require(
            read.is_some_and(|read| read == expected),
            "a ranged GET does not return just the bytes asked for",
        );
    }
    let stale = GetRequest {
        if_match: Some(old.etag),
        ..GetRequest::default()
    };
    findings.require(
        matches!(
            bench.read(&at, &stale).await,
            Err(RegionError::PreconditionFailed { .. })
        ),
        "GET ignores If-Match, so a read in several requests could mix two objects",
    );
    bench
        .store
        .delete(NOBODY, &at, &DeleteRequest::default())
        .await?;
    findings.require(
        matches!(
            bench.store.head(NOBODY, &at, None).await,
            Err(RegionError::NotFound { .. })
        ),
        "an object is still there after its deletion",
    );
    Ok(())
}

/// A bucket that holds an object stays. Lethe looks before it deletes one, but what another client writes between the look and the
/// deletion is the store's to keep.
pub(super) async fn full_buckets(
    bench: &Bench,
    findings: &mut Findings,
) -> Result<(), RegionError> {
    let at = bench.at_full(FULL_KEY)?;
    bench.store.create_bucket(NOBODY, &bench.full).await?;
    bench.put(&at, "kept", PutCondition::Always).await?;
    // Whatever it answers: what it did is what counts.
    answered(bench.store.drop_bucket_unseen(&bench.full).await)?;
    findings.require(
        bench.holds(&at, "kept").await?,
        "DeleteBucket deletes buckets that hold objects, and with them what is written at that moment \
         (SeaweedFS keeps them with -s3.allowDeleteBucketNotEmpty=false)",
    );
    Ok(())
}

/// Whether the store wants parts of one size; that parts of 5 MiB and part 10,000 work at all is required.
pub(super) async fn equal_parts(
    bench: &Bench,
    findings: &mut Findings,
) -> Result<bool, RegionError> {
    let unequal = [PART_BYTES_MIN + 1, PART_BYTES_MIN, 1];
    if completes(bench, "parts/unequal", unequal).await? {
        return Ok(false);
    }
    let equal = [PART_BYTES_MIN, PART_BYTES_MIN, 1];
    findings.require(
        completes(bench, "parts/equal", equal).await?,
        "a multipart upload of parts of 5 MiB can't be completed",
    );
    Ok(true)
}

async fn completes(bench: &Bench, key: &str, sizes: [usize; 3]) -> Result<bool, RegionError> {
    let at = bench.at(key)?;
    let Some(upload) = answered(bench.upload(&at).await)? else {
        return Ok(false);
    };
    let mut parts = Vec::with_capacity(sizes.len());
    for (number, bytes) in [1, 2, 10_000].into_iter().zip(sizes) {
        let bytes = Bytes::from(vec![b'p'; bytes]);
        match answered(bench.part(&at, &upload, number, bytes).await)? {
            Some(part) => parts.push(part),
            None => return Ok(false),
        }
    }
    let condition = PutCondition::Always;
    let completed = bench
        .store
        .complete_upload(NOBODY, &at, &upload, &parts, &condition)
        .await;
    if answered(completed)?.is_none() {
        return Ok(false);
    }
    let head = answered(bench.store.head(NOBODY, &at, None).await)?;
    let total: usize = sizes.iter().sum();
    Ok(head.is_some_and(|head| head.stored_bytes == total as u64))
}

/// Bytes of user metadata, names included, that come back.
pub(super) async fn user_metadata(bench: &Bench) -> Result<usize, RegionError> {
    let name = "lethe";
    let head = |bytes: usize| HeadFields {
        metadata: [(
            name.to_owned(),
            "m".repeat(bytes.saturating_sub(name.len())),
        )]
        .into(),
        ..HeadFields::default()
    };
    most(bench, name.len() + 1, head).await
}

/// Bytes of Content-Disposition that come back.
pub(super) async fn content_disposition(bench: &Bench) -> Result<usize, RegionError> {
    let head = |bytes: usize| HeadFields {
        content_disposition: Some("d".repeat(bytes)),
        ..HeadFields::default()
    };
    most(bench, 1, head).await
}

/// The most bytes, from `least` on, that survive, by halving; 0 when not even those do.
async fn most(
    bench: &Bench,
    least: usize,
    head: impl Fn(usize) -> HeadFields,
) -> Result<usize, RegionError> {
    let at = bench.at("metadata")?;
    let (mut good, mut bad) = (least - 1, METADATA_BYTES_ASKED + 1);
    let mut bytes = METADATA_BYTES_ASKED;
    while bad - good > 1 {
        let fields = head(bytes);
        let put = bench
            .put_with(&at, "x", fields.clone(), PutCondition::Always)
            .await;
        let found = match answered(put)? {
            Some(_) => answered(bench.store.head(NOBODY, &at, None).await)?,
            None => None,
        };
        if found.is_some_and(|found| found.fields == fields) {
            good = bytes;
        } else {
            bad = bytes;
        }
        bytes = good + (bad - good) / 2;
    }
    Ok(if good < least { 0 } else { good })
}

pub(super) fn judge_metadata(profile: &RegionProfile, findings: &mut Findings) {
    findings.require(
        profile.user_metadata_bytes_max >= HEADER_BYTES,
        "user metadata leaves no room for the header of an object",
    );
    let room = profile.user_metadata_bytes_max + profile.content_disposition_bytes_max;
    findings.note(
        room >= ALL_METADATA_BYTES,
        "less than 2 KB of user metadata fit; objects with more are refused with MetadataTooLarge",
    );
}

pub(super) async fn tagging(bench: &Bench) -> Result<bool, RegionError> {
    let at = bench.at("tags")?;
    let tags = |value: &str| vec![("a b".to_owned(), value.to_owned())];
    let head = HeadFields {
        tags: tags("c&=d"),
        ..HeadFields::default()
    };
    let put = bench.put_with(&at, "x", head, PutCondition::Always).await;
    if answered(put)?.is_none()
        || answered(bench.store.tags(NOBODY, &at, None).await)? != Some(tags("c&=d"))
    {
        return Ok(false);
    }
    let set = bench.store.set_tags(NOBODY, &at, None, &tags("e")).await;
    Ok(answered(set)?.is_some()
        && answered(bench.store.tags(NOBODY, &at, None).await)? == Some(tags("e")))
}

/// Whether a right checksum over stored bytes is taken and a wrong one is refused.
pub(super) async fn put_checksum(bench: &Bench) -> Result<bool, RegionError> {
    let at = bench.at("checksum")?;
    let body = Bytes::from_static(b"checked");
    let crc = crate::region::s3::crc64nvme(&body);
    let put = |crc| bench.store.put_claiming_crc64nvme(&at, body.clone(), crc);
    let right = put(crc).await;
    let wrong = put(!crc).await;
    Ok(answered(right)?.is_some() && answered(wrong)?.is_none())
}

pub(super) async fn versioning(bench: &Bench) -> Result<bool, RegionError> {
    Ok(answered(try_versioning(bench).await)?.unwrap_or_default())
}

async fn try_versioning(bench: &Bench) -> Result<bool, RegionError> {
    let bucket = &bench.versioned;
    let at = bench.at_versioned(VERSIONED_KEY)?;
    bench
        .store
        .set_versioning(NOBODY, bucket, Versioning::Enabled)
        .await?;
    let state = bench.store.versioning(NOBODY, bucket).await?;
    let first = bench.put(&at, "first", PutCondition::Always).await?;
    let second = bench.put(&at, "second", PutCondition::Always).await?;
    let deleted = bench
        .store
        .delete(NOBODY, &at, &DeleteRequest::default())
        .await?;
    let (Some(first), Some(second)) = (first.version, second.version) else {
        return Ok(false);
    };
    let old = GetRequest {
        version: Some(first.clone()),
        ..GetRequest::default()
    };
    let request = VersionListRequest {
        keys_max: 1_000,
        ..VersionListRequest::default()
    };
    let listed = bench
        .store
        .list_versions(NOBODY, bucket, &request)
        .await?
        .versions;
    Ok(state == Versioning::Enabled
        && first != second
        && deleted.delete_marker
        && bench.read(&at, &old).await? == b"first"
        && listed.len() == 3
        && listed
            .iter()
            .filter(|version| version.delete_marker)
            .count()
            == 1)
}
