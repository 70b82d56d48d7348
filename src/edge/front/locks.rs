//! Object lock: buckets' configuration, versions' retention and legal hold, and the headers that carry them.

use super::objects::existing_key;
use super::{Call, convert};
use crate::clock::UnixMs;
use crate::ops::error::{Code, OpError};
use crate::ops::object_lock;
use crate::ops::scope::{self, Access};
use crate::region::{
    DefaultRetention, LockConfiguration, LockMode, ObjectLock, Retention, RetentionPeriod,
};
use aws_smithy_types::date_time::{DateTime, Format};
use http::HeaderMap;
use s3s::dto;
use s3s::{S3Request, S3Response};

const DAYS_MAX: u32 = 36_500;
const YEARS_MAX: u32 = 100;

type Answer<O> = Result<S3Response<O>, OpError>;

fn malformed(sentence: &'static str) -> OpError {
    OpError::new(
        Code::MalformedXML,
        format!(
            "The XML you provided was not well-formed or did not validate against our published schema: {sentence}."
        ),
    )
}

/// A time of a request; `None` outside of the years that can be.
pub(super) fn unix_ms(time: &dto::Timestamp) -> Option<UnixMs> {
    let mut text = Vec::new();
    // Its other formats of a time forget the offset from UTC that the client named.
    time.format(dto::TimestampFormat::EpochSeconds, &mut text)
        .ok()?;
    let text = String::from_utf8(text).ok()?;
    let time = DateTime::from_str(&text, Format::EpochSeconds).ok()?;
    time.to_millis().ok().map(UnixMs)
}

/// The lock that a write asks for whose message s3s did not read.
pub(super) fn asked_in(headers: &HeaderMap) -> Result<ObjectLock, OpError> {
    let text = |name: &str| {
        let value = headers
            .get(name)
            .map(|value| value.to_str().map(str::to_owned));
        let unreadable = || OpError::invalid_argument(format!("{name} can't be read."));
        value.transpose().map_err(|_| unreadable())
    };
    let until = text("x-amz-object-lock-retain-until-date")?;
    let until = until.map(|until| dto::Timestamp::parse(dto::TimestampFormat::DateTime, &until));
    let until = until.transpose().map_err(|_| {
        OpError::invalid_argument("The retain until date must be provided in ISO 8601 format")
    })?;
    let mode = text("x-amz-object-lock-mode")?.map(dto::ObjectLockMode::from);
    let hold = text("x-amz-object-lock-legal-hold")?.map(dto::ObjectLockLegalHoldStatus::from);
    asked(mode.as_ref(), until.as_ref(), hold.as_ref())
}

/// The lock that a write's headers ask for.
pub(super) fn asked(
    mode: Option<&dto::ObjectLockMode>,
    until: Option<&dto::Timestamp>,
    legal_hold: Option<&dto::ObjectLockLegalHoldStatus>,
) -> Result<ObjectLock, OpError> {
    let retention = match (mode, until) {
        (None, None) => None,
        (Some(mode), Some(until)) => {
            let mode = LockMode::parse(mode.as_str())
                .ok_or_else(|| OpError::invalid_argument("Unknown wormMode directive."))?;
            let until = unix_ms(until).ok_or_else(|| {
                OpError::invalid_argument("The retain until date is out of range.")
            })?;
            Some(Retention { mode, until })
        }
        _ => {
            return Err(OpError::invalid_argument(
                "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied",
            ));
        }
    };
    let legal_hold = legal_hold.map(|status| {
        on(status.as_str())
            .ok_or_else(|| OpError::invalid_argument("Legal Hold must be either of 'ON' or 'OFF'"))
    });
    Ok(ObjectLock {
        retention,
        legal_hold: legal_hold.transpose()?,
    })
}

fn on(status: &str) -> Option<bool> {
    match status {
        dto::ObjectLockLegalHoldStatus::ON => Some(true),
        dto::ObjectLockLegalHoldStatus::OFF => Some(false),
        _ => None,
    }
}

fn status(on: bool) -> dto::ObjectLockLegalHoldStatus {
    dto::ObjectLockLegalHoldStatus::from_static(match on {
        true => dto::ObjectLockLegalHoldStatus::ON,
        false => dto::ObjectLockLegalHoldStatus::OFF,
    })
}

/// A version's lock in the three fields that answers have for it.
#[derive(Default)]
pub(super) struct LockFields {
    pub(super) mode: Option<dto::ObjectLockMode>,
    pub(super) until: Option<dto::Timestamp>,
    pub(super) legal_hold: Option<dto::ObjectLockLegalHoldStatus>,
}

impl LockFields {
    pub(super) fn of(lock: Option<ObjectLock>) -> Self {
        let lock = lock.unwrap_or_default();
        Self {
            mode: lock
                .retention
                .map(|retention| dto::ObjectLockMode::from_static(retention.mode.as_str())),
            until: lock
                .retention
                .map(|retention| convert::timestamp(retention.until)),
            legal_hold: lock.legal_hold.map(status),
        }
    }
}

pub(super) async fn get_configuration(
    call: Call,
    request: S3Request<dto::GetObjectLockConfigurationInput>,
) -> Answer<dto::GetObjectLockConfigurationOutput> {
    let scope = call.bucket(&request.input.bucket, Access::Read).await?;
    let found = object_lock::configuration(&scope).await?;
    let rule = found.default.map(|default| {
        let (days, years) = match default.period {
            RetentionPeriod::Days(days) => (i32::try_from(days).ok(), None),
            RetentionPeriod::Years(years) => (None, i32::try_from(years).ok()),
        };
        dto::ObjectLockRule {
            default_retention: Some(dto::DefaultRetention {
                days,
                mode: Some(dto::ObjectLockRetentionMode::from_static(
                    default.mode.as_str(),
                )),
                years,
            }),
        }
    });
    Ok(S3Response::new(dto::GetObjectLockConfigurationOutput {
        object_lock_configuration: Some(dto::ObjectLockConfiguration {
            object_lock_enabled: Some(dto::ObjectLockEnabled::from_static(
                dto::ObjectLockEnabled::ENABLED,
            )),
            rule,
        }),
    }))
}

fn lock_configuration(sent: &dto::ObjectLockConfiguration) -> Result<LockConfiguration, OpError> {
    let enabled = sent.object_lock_enabled.as_ref();
    if enabled.is_none_or(|enabled| enabled.as_str() != dto::ObjectLockEnabled::ENABLED) {
        return Err(malformed("ObjectLockEnabled must be Enabled"));
    }
    let Some(rule) = &sent.rule else {
        return Ok(LockConfiguration::default());
    };
    let default = rule
        .default_retention
        .as_ref()
        .ok_or_else(|| malformed("a rule has a DefaultRetention"))?;
    let mode = default
        .mode
        .as_ref()
        .and_then(|mode| LockMode::parse(mode.as_str()))
        .ok_or_else(|| malformed("Mode is GOVERNANCE or COMPLIANCE"))?;
    let count = |count: i32, max: u32| {
        u32::try_from(count)
            .ok()
            .filter(|count| (1..=max).contains(count))
            .ok_or_else(|| {
                OpError::new(
                    Code::InvalidRetentionPeriod,
                    format!("Default retention period must be a positive integer value of at most {max}."),
                )
            })
    };
    let period = match (default.days, default.years) {
        (Some(days), None) => RetentionPeriod::Days(count(days, DAYS_MAX)?),
        (None, Some(years)) => RetentionPeriod::Years(count(years, YEARS_MAX)?),
        _ => return Err(malformed("name either Days or Years")),
    };
    Ok(LockConfiguration {
        default: Some(DefaultRetention { mode, period }),
    })
}

pub(super) async fn put_configuration(
    call: Call,
    request: S3Request<dto::PutObjectLockConfigurationInput>,
) -> Answer<dto::PutObjectLockConfigurationOutput> {
    let input = &request.input;
    let scope = call.bucket(&input.bucket, Access::Write).await?;
    object_lock::check_region(&scope)?;
    let sent = input
        .object_lock_configuration
        .as_ref()
        .ok_or_else(|| malformed("there is no ObjectLockConfiguration"))?;
    object_lock::set_configuration(&scope, &lock_configuration(sent)?).await?;
    Ok(S3Response::new(
        dto::PutObjectLockConfigurationOutput::default(),
    ))
}

pub(super) async fn get_retention(
    call: Call,
    request: S3Request<dto::GetObjectRetentionInput>,
) -> Answer<dto::GetObjectRetentionOutput> {
    let input = &request.input;
    let scope = call.bucket(&input.bucket, Access::Read).await?;
    let key = existing_key(&scope, &input.key)?;
    let version = scope::version(input.version_id.as_deref())?;
    let lock = object_lock::of_version(&scope, &key, version.as_ref()).await?;
    let retention = lock.retention.ok_or_else(object_lock::not_locked)?;
    Ok(S3Response::new(dto::GetObjectRetentionOutput {
        retention: Some(dto::ObjectLockRetention {
            mode: Some(dto::ObjectLockRetentionMode::from_static(
                retention.mode.as_str(),
            )),
            retain_until_date: Some(convert::timestamp(retention.until)),
        }),
    }))
}

/// The retention of a document; an empty one lifts it.
fn retention(sent: &dto::ObjectLockRetention) -> Result<Option<Retention>, OpError> {
    match (&sent.mode, &sent.retain_until_date) {
        (None, None) => Ok(None),
        (Some(mode), Some(until)) => {
            let mode = LockMode::parse(mode.as_str());
            let mode = mode.ok_or_else(|| malformed("Mode is GOVERNANCE or COMPLIANCE"))?;
            let until = unix_ms(until);
            let until = until.ok_or_else(|| malformed("RetainUntilDate is out of range"))?;
            Ok(Some(Retention { mode, until }))
        }
        _ => Err(malformed("a retention has a Mode and a RetainUntilDate")),
    }
}

pub(super) async fn put_retention(
    call: Call,
    request: S3Request<dto::PutObjectRetentionInput>,
) -> Answer<dto::PutObjectRetentionOutput> {
    let input = &request.input;
    let scope = call.bucket(&input.bucket, Access::Write).await?;
    object_lock::check_region(&scope)?;
    let key = existing_key(&scope, &input.key)?;
    let version = scope::version(input.version_id.as_deref())?;
    let sent = input.retention.as_ref();
    let wanted = retention(sent.ok_or_else(|| malformed("there is no Retention"))?)?;
    let bypass = input.bypass_governance_retention.unwrap_or(false);
    object_lock::set_retention(&call.gateway, &scope, &key, version, wanted, bypass).await?;
    Ok(S3Response::new(dto::PutObjectRetentionOutput::default()))
}

pub(super) async fn get_legal_hold(
    call: Call,
    request: S3Request<dto::GetObjectLegalHoldInput>,
) -> Answer<dto::GetObjectLegalHoldOutput> {
    let input = &request.input;
    let scope = call.bucket(&input.bucket, Access::Read).await?;
    let key = existing_key(&scope, &input.key)?;
    let version = scope::version(input.version_id.as_deref())?;
    let lock = object_lock::of_version(&scope, &key, version.as_ref()).await?;
    let legal_hold = lock.legal_hold.ok_or_else(object_lock::not_locked)?;
    Ok(S3Response::new(dto::GetObjectLegalHoldOutput {
        legal_hold: Some(dto::ObjectLockLegalHold {
            status: Some(status(legal_hold)),
        }),
    }))
}

pub(super) async fn put_legal_hold(
    call: Call,
    request: S3Request<dto::PutObjectLegalHoldInput>,
) -> Answer<dto::PutObjectLegalHoldOutput> {
    let input = &request.input;
    let scope = call.bucket(&input.bucket, Access::Write).await?;
    object_lock::check_region(&scope)?;
    let key = existing_key(&scope, &input.key)?;
    let version = scope::version(input.version_id.as_deref())?;
    let sent = input.legal_hold.as_ref();
    let on = sent
        .and_then(|sent| on(sent.status.as_ref()?.as_str()))
        .ok_or_else(|| malformed("Status is ON or OFF"))?;
    object_lock::set_legal_hold(&scope, &key, version.as_ref(), on).await?;
    Ok(S3Response::new(dto::PutObjectLegalHoldOutput::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(
        mode: &str,
        days: Option<i32>,
        years: Option<i32>,
    ) -> Result<LockConfiguration, Code> {
        let sent = dto::ObjectLockConfiguration {
            object_lock_enabled: Some(dto::ObjectLockEnabled::from("Enabled".to_owned())),
            rule: Some(dto::ObjectLockRule {
                default_retention: Some(dto::DefaultRetention {
                    days,
                    mode: Some(dto::ObjectLockRetentionMode::from(mode.to_owned())),
                    years,
                }),
            }),
        };
        lock_configuration(&sent).map_err(|error| error.code())
    }

    #[test]
    fn default_retention_has_a_mode_and_one_positive_period() {
        let default = |mode, period| {
            Ok(LockConfiguration {
                default: Some(DefaultRetention { mode, period }),
            })
        };
        for (mode, days, years, expected) in [
            (
                "GOVERNANCE",
                Some(1),
                None,
                default(LockMode::Governance, RetentionPeriod::Days(1)),
            ),
            (
                "COMPLIANCE",
                None,
                Some(100),
                default(LockMode::Compliance, RetentionPeriod::Years(100)),
            ),
            ("GOVERNANCE", Some(1), Some(1), Err(Code::MalformedXML)),
            ("GOVERNANCE", None, None, Err(Code::MalformedXML)),
            ("governance", Some(1), None, Err(Code::MalformedXML)),
            (
                "GOVERNANCE",
                Some(0),
                None,
                Err(Code::InvalidRetentionPeriod),
            ),
            (
                "GOVERNANCE",
                None,
                Some(-1),
                Err(Code::InvalidRetentionPeriod),
            ),
            (
                "GOVERNANCE",
                Some(36_501),
                None,
                Err(Code::InvalidRetentionPeriod),
            ),
            (
                "GOVERNANCE",
                None,
                Some(101),
                Err(Code::InvalidRetentionPeriod),
            ),
        ] {
            assert_eq!(
                configuration(mode, days, years),
                expected,
                "{mode} {days:?} {years:?}"
            );
        }
    }

    #[test]
    fn configuration_that_does_not_enable_is_malformed() {
        for enabled in [None, Some("Disabled"), Some("enabled")] {
            let sent = dto::ObjectLockConfiguration {
                object_lock_enabled: enabled
                    .map(|text| dto::ObjectLockEnabled::from(text.to_owned())),
                rule: None,
            };
            let refused = lock_configuration(&sent).unwrap_err();
            assert_eq!(refused.code(), Code::MalformedXML, "{enabled:?}");
        }
    }

    #[test]
    fn headers_ask_for_mode_and_date_together() {
        let mode = dto::ObjectLockMode::from("COMPLIANCE".to_owned());
        let until = convert::timestamp(UnixMs(5_000));
        let asked_of = |mode, until| asked(mode, until, None).map(|lock| lock.retention);
        assert_eq!(
            asked_of(Some(&mode), Some(&until)).unwrap(),
            Some(Retention {
                mode: LockMode::Compliance,
                until: UnixMs(5_000)
            })
        );
        assert_eq!(asked_of(None, None).unwrap(), None);
        assert!(asked_of(Some(&mode), None).is_err());
        assert!(asked_of(None, Some(&until)).is_err());
        let small = dto::ObjectLockMode::from("compliance".to_owned());
        assert!(asked_of(Some(&small), Some(&until)).is_err());
        let hold = dto::ObjectLockLegalHoldStatus::from("on".to_owned());
        assert!(asked(None, None, Some(&hold)).is_err());
    }

    #[test]
    fn date_with_an_offset_is_the_time_that_it_means() {
        for (text, ms) in [
            ("2030-01-01T01:00:00+01:00", 1_893_456_000_000),
            ("2030-01-01T00:00:00.123Z", 1_893_456_000_123),
            ("2140-01-01T00:00:00Z", 5_364_662_400_000),
        ] {
            let time = dto::Timestamp::parse(dto::TimestampFormat::DateTime, text).unwrap();
            assert_eq!(unix_ms(&time), Some(UnixMs(ms)), "{text}");
        }
    }

    #[test]
    fn retention_of_half_a_document_is_malformed_and_of_none_lifts() {
        let until = convert::timestamp(UnixMs(5_000));
        let sent = |mode: Option<&str>, until| dto::ObjectLockRetention {
            mode: mode.map(|mode| dto::ObjectLockRetentionMode::from(mode.to_owned())),
            retain_until_date: until,
        };
        assert_eq!(retention(&sent(None, None)).unwrap(), None);
        for half in [
            sent(Some("GOVERNANCE"), None),
            sent(None, Some(until.clone())),
            sent(Some("abc"), Some(until)),
        ] {
            assert_eq!(retention(&half).unwrap_err().code(), Code::MalformedXML);
        }
    }
}
