//! Object lock: whether it holds what it should on every way in which Lethe writes. What the probe locks it can unlock again.

use super::bench::{Bench, NOBODY};
use super::{Findings, answered};
use crate::clock::{Clock as _, SystemClock, UnixMs};
use crate::region::{
    Body, CopyRequest, DefaultRetention, DeleteRequest, HeadFields, LockConfiguration, LockMode,
    ObjectLock, ObjectRef, PutCondition, PutRequest, RegionError, RegionProfile, RegionStore as _,
    Retention, RetentionPeriod, S3Store, SourceCondition, UploadPartRequest, VersionId, Versioning,
    WriteOutcome,
};
use bytes::Bytes;
use futures::{StreamExt as _, stream};

const HOUR_MS: i64 = 60 * 60 * 1000;

/// What the probe found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Found {
    holds: bool,
    copies: bool,
}

/// Fills in what the profile says of object lock. The bucket for it is made here and cleaned up with the others.
pub(super) async fn probe(
    bench: &Bench,
    profile: &mut RegionProfile,
    findings: &mut Findings,
) -> Result<(), RegionError> {
    profile.put_checksum_trailer = profile.put_checksum && trailer(bench).await?;
    // As the gateway will write there: with checksums where the store takes them.
    let mut with_checksums = super::assumed();
    with_checksums.put_checksum = profile.put_checksum;
    with_checksums.put_checksum_trailer = profile.put_checksum_trailer;
    let store = bench.store.with_profile(with_checksums);
    let found = match answered(store.create_lock_bucket(NOBODY, &bench.locked).await)? {
        Some(()) => answered(try_locks(bench, &store).await)?.unwrap_or_default(),
        None => Found::default(),
    };
    profile.object_lock = profile.versioning && found.holds;
    profile.object_lock_copy = found.copies;
    findings.note(
        profile.object_lock,
        "object lock does not hold what it should for everything that Lethe writes; it is answered with 501",
    );
    findings.note(
        !profile.object_lock || profile.object_lock_copy,
        "CopyObject does not give copies the lock that is asked for; copies in buckets with object lock are made by multipart uploads",
    );
    if profile.object_lock && demands_checksum(bench).await? {
        findings.note(
            false,
            "a PUT with a retention and without a checksum is refused; Lethe sends one",
        );
    }
    Ok(())
}

/// Whether a right checksum behind a stream is taken and a wrong one is refused.
async fn trailer(bench: &Bench) -> Result<bool, RegionError> {
    let mut profile = super::assumed();
    profile.put_checksum_trailer = true;
    let store = bench.store.with_profile(profile);
    let at = bench.at("trailer")?;
    let right = store
        .put(NOBODY, &at, streamed(b"checked", HeadFields::default()))
        .await;
    let reads = answered(right)?.is_some() && bench.holds(&at, "checked").await?;
    let wrong = bench.store.put_with_wrong_trailer(&at, b"checked").await;
    Ok(reads && answered(wrong)?.is_none())
}

/// A body of two pieces that can't be sent again; the lock's presence asks for its checksum.
fn streamed(bytes: &'static [u8], mut head: HeadFields) -> PutRequest {
    head.lock = head.lock.or(Some(ObjectLock::default()));
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    let pieces = [first, rest].map(|piece| Ok(Bytes::from_static(piece)));
    PutRequest {
        head,
        stored_bytes: bytes.len() as u64,
        body: Body::Once(stream::iter(pieces).boxed()),
        condition: PutCondition::Always,
    }
}

fn with_lock(lock: ObjectLock) -> HeadFields {
    HeadFields {
        lock: Some(lock),
        ..HeadFields::default()
    }
}

async fn try_locks(bench: &Bench, store: &S3Store) -> Result<Found, RegionError> {
    // Whole seconds are what every store keeps.
    let now = SystemClock.now().0.div_euclid(1000) * 1000;
    let asked = ObjectLock {
        retention: Some(Retention {
            mode: LockMode::Governance,
            until: UnixMs(now + HOUR_MS),
        }),
        legal_hold: Some(true),
    };
    let probe = Probe { store, asked };
    let at = bench.at_locked("locks/whole")?;
    let whole = PutRequest {
        head: with_lock(asked),
        stored_bytes: 1,
        body: Body::Replayable(Bytes::from_static(b"x")),
        condition: PutCondition::Always,
    };
    let whole = store.put(NOBODY, &at, whole).await?;
    let holds = store.versioning(NOBODY, &bench.locked).await? == Versioning::Enabled
        && probe.is_locked(&at, &whole).await?
        && probe
            .is_locked_after(
                &bench.at_locked("locks/stream")?,
                streamed(b"streamed", with_lock(asked)),
            )
            .await?
        && probe.upload(&bench.at_locked("locks/parts")?).await?
        && probe.is_kept(&at, &whole).await?
        && probe.by_default(bench).await?;
    let copies = holds && probe.copy(&bench.at_locked("locks/copy")?, at).await?;
    Ok(Found { holds, copies })
}

/// One lock, asked for in every way.
struct Probe<'a> {
    store: &'a S3Store,
    asked: ObjectLock,
}

impl Probe<'_> {
    async fn is_locked(&self, at: &ObjectRef, made: &WriteOutcome) -> Result<bool, RegionError> {
        let Some(version) = &made.version else {
            return Ok(false);
        };
        let (store, asked) = (self.store, self.asked);
        let head = store.head(NOBODY, at, Some(version)).await?;
        Ok(head.fields.lock == Some(asked)
            && store.object_lock(NOBODY, at, Some(version)).await? == asked)
    }

    async fn is_locked_after(&self, at: &ObjectRef, put: PutRequest) -> Result<bool, RegionError> {
        let made = self.store.put(NOBODY, at, put).await?;
        self.is_locked(at, &made).await
    }

    async fn upload(&self, at: &ObjectRef) -> Result<bool, RegionError> {
        let head = with_lock(self.asked);
        let upload = self.store.create_upload(NOBODY, at, &head).await?;
        let part = UploadPartRequest {
            upload: upload.clone(),
            number: 1,
            stored_bytes: 8,
            body: streamed(b"streamed", HeadFields::default()).body,
            in_lock_bucket: true,
        };
        let etag = self.store.upload_part(NOBODY, at, part).await?;
        let parts = [crate::region::CompletedPart { number: 1, etag }];
        let condition = PutCondition::Always;
        let made = self
            .store
            .complete_upload(NOBODY, at, &upload, &parts, &condition)
            .await?;
        self.is_locked(at, &made).await
    }

    /// Whether the version can be deleted only when it should.
    async fn is_kept(&self, at: &ObjectRef, made: &WriteOutcome) -> Result<bool, RegionError> {
        let Some(version) = &made.version else {
            return Ok(false);
        };
        let held = self.delete(at, version, true).await?;
        self.store
            .set_legal_hold(NOBODY, at, Some(version), false)
            .await?;
        let retained = self.delete(at, version, false).await?;
        let bypassed = self.delete(at, version, true).await?;
        Ok(!held && !retained && bypassed)
    }

    async fn delete(
        &self,
        at: &ObjectRef,
        version: &VersionId,
        bypass_governance: bool,
    ) -> Result<bool, RegionError> {
        let request = DeleteRequest {
            version: Some(version.clone()),
            bypass_governance,
            ..DeleteRequest::default()
        };
        let deleted = self.store.delete(NOBODY, at, &request).await;
        Ok(answered(deleted)?.is_some())
    }

    /// Whether a bucket's default reaches what asks for nothing.
    async fn by_default(&self, bench: &Bench) -> Result<bool, RegionError> {
        let configuration = |default| LockConfiguration { default };
        let wanted = configuration(Some(DefaultRetention {
            mode: LockMode::Governance,
            period: RetentionPeriod::Days(1),
        }));
        let (store, bucket) = (self.store, &bench.locked);
        store
            .set_lock_configuration(NOBODY, bucket, &wanted)
            .await?;
        let found = store.lock_configuration(NOBODY, bucket).await?;
        let at = bench.at_locked("locks/default")?;
        let put = streamed(b"streamed", with_lock(ObjectLock::default()));
        let made = store.put(NOBODY, &at, put).await?;
        let lock = store
            .object_lock(NOBODY, &at, made.version.as_ref())
            .await?;
        store
            .set_lock_configuration(NOBODY, bucket, &configuration(None))
            .await?;
        let mode = lock.retention.map(|retention| retention.mode);
        Ok(found == Some(wanted) && mode == Some(LockMode::Governance))
    }

    /// Whether a copy has a lock of its own that its source has not.
    async fn copy(&self, at: &ObjectRef, source: ObjectRef) -> Result<bool, RegionError> {
        let plain = streamed(b"streamed", with_lock(ObjectLock::default()));
        let from = self.store.put(NOBODY, &source, plain).await?;
        let request = CopyRequest {
            from: source,
            from_version: from.version,
            source: SourceCondition { etag: from.etag },
            head: with_lock(self.asked),
            copy_tags: false,
            condition: PutCondition::Always,
        };
        match answered(self.store.copy(NOBODY, at, &request).await)? {
            Some(made) => self.is_locked(at, &made).await,
            None => Ok(false),
        }
    }
}

/// Whether a PUT that asks for a retention needs a checksum. Only to be told.
async fn demands_checksum(bench: &Bench) -> Result<bool, RegionError> {
    let until = UnixMs(SystemClock.now().0 + HOUR_MS);
    let mode = LockMode::Governance;
    let put = streamed(
        b"streamed",
        with_lock(ObjectLock {
            retention: Some(Retention { mode, until }),
            legal_hold: None,
        }),
    );
    // The bench's own store knows of no checksums.
    let put = bench
        .store
        .put(NOBODY, &bench.at_locked("locks/unchecked")?, put)
        .await;
    Ok(answered(put)?.is_none())
}
