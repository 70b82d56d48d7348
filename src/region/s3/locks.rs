//! Object lock: of buckets, and of versions.

use super::S3Store;
use super::errors::{Call, from_sdk};
use super::headers::unix_ms;
use super::retry::until_done;
use crate::clock::UnixMs;
use crate::region::{
    DefaultRetention, LockConfiguration, LockMode, Missing, ObjectLock, ObjectRef, RegionError,
    Retention, RetentionPeriod, UpstreamBucket, VersionId,
};
use aws_sdk_s3::types::{
    DefaultRetention as SdkDefault, ObjectLockConfiguration, ObjectLockEnabled,
    ObjectLockLegalHold, ObjectLockLegalHoldStatus, ObjectLockRetention, ObjectLockRetentionMode,
    ObjectLockRule,
};
use aws_smithy_types::date_time::{DateTime, Format};

/// A time as the SDK wants it.
pub(super) fn sdk_time(time: UnixMs) -> DateTime {
    DateTime::from_millis(time.0)
}

/// A time as headers have it (RFC 3339).
pub(super) fn header_time(call: Call, time: UnixMs) -> Result<String, RegionError> {
    let text = sdk_time(time).fmt(Format::DateTime);
    text.map_err(|_| call.refused(400, "InvalidArgument"))
}

/// What headers of an answer say of a version's lock; `None` when they say nothing that can be read.
pub(super) fn of_answer<'a>(text: impl Fn(&'static str) -> Option<&'a str>) -> Option<ObjectLock> {
    let mode = text("x-amz-object-lock-mode").and_then(LockMode::parse);
    let until = text("x-amz-object-lock-retain-until-date")
        .and_then(|date| DateTime::from_str(date, Format::DateTimeWithOffset).ok());
    let lock = ObjectLock {
        retention: mode.zip(until).map(|(mode, until)| Retention {
            mode,
            until: unix_ms(&until),
        }),
        legal_hold: text("x-amz-object-lock-legal-hold").map(|status| status == "ON"),
    };
    (lock != ObjectLock::default()).then_some(lock)
}

fn number(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn sdk_configuration(configuration: &LockConfiguration) -> ObjectLockConfiguration {
    let rule = configuration.default.map(|default| {
        let retention = SdkDefault::builder().mode(default.mode.as_str().into());
        let retention = match default.period {
            RetentionPeriod::Days(days) => retention.days(number(days)),
            RetentionPeriod::Years(years) => retention.years(number(years)),
        };
        ObjectLockRule::builder()
            .default_retention(retention.build())
            .build()
    });
    ObjectLockConfiguration::builder()
        .object_lock_enabled(ObjectLockEnabled::Enabled)
        .set_rule(rule)
        .build()
}

fn default_retention(call: Call, found: &SdkDefault) -> Result<DefaultRetention, RegionError> {
    let mode = found
        .mode
        .as_ref()
        .and_then(|mode| LockMode::parse(mode.as_str()));
    let count = |count: Option<i32>| {
        count
            .filter(|count| *count > 0)
            .map(|count| count.unsigned_abs())
    };
    let period = match (count(found.days), count(found.years)) {
        (Some(days), None) => Some(RetentionPeriod::Days(days)),
        (None, Some(years)) => Some(RetentionPeriod::Years(years)),
        _ => None,
    };
    match mode.zip(period) {
        Some((mode, period)) => Ok(DefaultRetention { mode, period }),
        None => Err(call.lying("an unreadable default retention")),
    }
}

/// `None` where the store says that there is no lock of this kind.
fn or_none<T>(outcome: Result<T, RegionError>) -> Result<Option<T>, RegionError> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(RegionError::NotFound {
            missing: Missing::ObjectLock,
            ..
        }) => Ok(None),
        Err(error) => Err(error),
    }
}

impl S3Store {
    /// Makes the bucket and looks whether it has the lock: a store that ignores the header must not be believed.
    pub(super) async fn make_lock_bucket(
        &self,
        bucket: &UpstreamBucket,
    ) -> Result<(), RegionError> {
        self.make_bucket(bucket, true).await?;
        match self.bucket_lock(bucket).await? {
            Some(_) => Ok(()),
            None => Err(Call::write("create_lock_bucket", Missing::Bucket)
                .lying("a bucket without the object lock that was asked for")),
        }
    }

    pub(super) async fn bucket_lock(
        &self,
        bucket: &UpstreamBucket,
    ) -> Result<Option<LockConfiguration>, RegionError> {
        let call = Call::read("lock_configuration", Missing::Bucket);
        let found = until_done(&self.retries, || async {
            self.sdk
                .get_object_lock_configuration()
                .bucket(bucket.as_str())
                .send()
                .await
                .map_err(|error| from_sdk(call, error))
        })
        .await;
        let found = or_none(found)?.and_then(|found| found.object_lock_configuration);
        let Some(found) =
            found.filter(|found| found.object_lock_enabled == Some(ObjectLockEnabled::Enabled))
        else {
            return Ok(None);
        };
        let default = found.rule.and_then(|rule| rule.default_retention);
        let default = default.map(|default| default_retention(call, &default));
        Ok(Some(LockConfiguration {
            default: default.transpose()?,
        }))
    }

    pub(super) async fn set_bucket_lock(
        &self,
        bucket: &UpstreamBucket,
        configuration: &LockConfiguration,
    ) -> Result<(), RegionError> {
        let call = Call::write("set_lock_configuration", Missing::Bucket);
        let wanted = sdk_configuration(configuration);
        until_done(&self.retries, || async {
            self.sdk
                .put_object_lock_configuration()
                .bucket(bucket.as_str())
                .object_lock_configuration(wanted.clone())
                .send()
                .await
                .map_err(|error| from_sdk(call, error))
        })
        .await?;
        Ok(())
    }

    /// Asked for each of the two: what a HEAD leaves out may only be what its credentials may not see.
    pub(super) async fn version_lock(
        &self,
        at: &ObjectRef,
        version: Option<&VersionId>,
    ) -> Result<ObjectLock, RegionError> {
        let (retention, legal_hold) =
            futures::join!(self.retention(at, version), self.legal_hold(at, version));
        Ok(ObjectLock {
            retention: retention?,
            legal_hold: legal_hold?,
        })
    }

    async fn retention(
        &self,
        at: &ObjectRef,
        version: Option<&VersionId>,
    ) -> Result<Option<Retention>, RegionError> {
        let call = Call::read("object_lock", Missing::Object).of_version(version);
        let found = until_done(&self.retries, || async {
            self.sdk
                .get_object_retention()
                .bucket(at.bucket.as_str())
                .key(at.key.as_str())
                .set_version_id(version.map(|id| id.0.clone()))
                .send()
                .await
                .map_err(|error| from_sdk(call, error))
        })
        .await;
        let Some(found) = or_none(found)?.and_then(|found| found.retention) else {
            return Ok(None);
        };
        let mode = found.mode.map(|mode| LockMode::parse(mode.as_str()));
        match (mode, found.retain_until_date) {
            (Some(Some(mode)), Some(until)) => Ok(Some(Retention {
                mode,
                until: unix_ms(&until),
            })),
            (None, None) => Ok(None),
            _ => Err(call.lying("an unreadable retention")),
        }
    }

    async fn legal_hold(
        &self,
        at: &ObjectRef,
        version: Option<&VersionId>,
    ) -> Result<Option<bool>, RegionError> {
        let call = Call::read("object_lock", Missing::Object).of_version(version);
        let found = until_done(&self.retries, || async {
            self.sdk
                .get_object_legal_hold()
                .bucket(at.bucket.as_str())
                .key(at.key.as_str())
                .set_version_id(version.map(|id| id.0.clone()))
                .send()
                .await
                .map_err(|error| from_sdk(call, error))
        })
        .await;
        let status = or_none(found)?
            .and_then(|found| found.legal_hold)
            .and_then(|hold| hold.status);
        Ok(status.map(|status| status == ObjectLockLegalHoldStatus::On))
    }

    pub(super) async fn set_version_retention(
        &self,
        at: &ObjectRef,
        version: Option<&VersionId>,
        wanted: Option<Retention>,
        bypass: bool,
    ) -> Result<(), RegionError> {
        let call = Call::write("set_retention", Missing::Object).of_version(version);
        let mode = wanted.map(|wanted| ObjectLockRetentionMode::from(wanted.mode.as_str()));
        let retention = ObjectLockRetention::builder()
            .set_mode(mode)
            .set_retain_until_date(wanted.map(|wanted| sdk_time(wanted.until)))
            .build();
        until_done(&self.retries, || async {
            self.sdk
                .put_object_retention()
                .bucket(at.bucket.as_str())
                .key(at.key.as_str())
                .set_version_id(version.map(|id| id.0.clone()))
                .retention(retention.clone())
                .set_bypass_governance_retention(bypass.then_some(true))
                .send()
                .await
                .map_err(|error| from_sdk(call, error))
        })
        .await?;
        Ok(())
    }

    pub(super) async fn set_version_legal_hold(
        &self,
        at: &ObjectRef,
        version: Option<&VersionId>,
        on: bool,
    ) -> Result<(), RegionError> {
        let call = Call::write("set_legal_hold", Missing::Object).of_version(version);
        let hold = ObjectLockLegalHold::builder()
            .status(hold_status(on))
            .build();
        until_done(&self.retries, || async {
            self.sdk
                .put_object_legal_hold()
                .bucket(at.bucket.as_str())
                .key(at.key.as_str())
                .set_version_id(version.map(|id| id.0.clone()))
                .legal_hold(hold.clone())
                .send()
                .await
                .map_err(|error| from_sdk(call, error))
        })
        .await?;
        Ok(())
    }
}

/// S3's word for a legal hold's state.
pub(super) fn hold_status(on: bool) -> ObjectLockLegalHoldStatus {
    match on {
        true => ObjectLockLegalHoldStatus::On,
        false => ObjectLockLegalHoldStatus::Off,
    }
}
