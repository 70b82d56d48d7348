//! When a request was signed. Header signatures live 15 minutes either way; presigned URLs for what they say, at most 7 days
//! (s3s accepts any `u32` of seconds).

use super::authorization::{Placement, Signed};
use crate::clock::UnixMs;
use crate::ops::{Code, OpError};
use http::HeaderMap;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const SKEW_MS_MAX: i64 = 15 * 60 * 1000;
const EXPIRES_S_MAX: i64 = 7 * 24 * 3600;

/// Checks the request's time against `now`.
///
/// # Errors
/// The answer for the client when the date is missing, unreadable, not the scope's day, too far off, or past its expiry.
pub fn check(signed: &Signed, headers: &HeaderMap, now: UnixMs) -> Result<(), OpError> {
    match &signed.placement {
        Placement::Header => {
            let missing = || {
                OpError::access_denied(
                    "AWS authentication requires a valid Date or x-amz-date header",
                )
            };
            let text = headers.get("x-amz-date").and_then(|v| v.to_str().ok());
            let text = text.ok_or_else(missing)?;
            let at = parse(text).ok_or_else(missing)?;
            same_day(signed, text)?;
            if (now.0 - at.0).abs() > SKEW_MS_MAX {
                return Err(too_skewed());
            }
        }
        Placement::Query { date, expires } => {
            let at = parse(date).ok_or_else(|| {
                malformed_query(
                    "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"",
                )
            })?;
            same_day(signed, date)?;
            let expires_s = parse_expires(expires)?;
            if at.0 - now.0 > SKEW_MS_MAX {
                return Err(OpError::access_denied("Request is not yet valid"));
            }
            if now.0 > at.plus_ms(expires_s * 1000).0 {
                return Err(OpError::access_denied("Request has expired"));
            }
        }
    }
    Ok(())
}

/// Reads `YYYYMMDDTHHMMSSZ`.
#[must_use]
pub fn parse(text: &str) -> Option<UnixMs> {
    let bytes = text.as_bytes();
    let is_digit = |i: usize| match i {
        8 => bytes.get(i) == Some(&b'T'),
        15 => bytes.get(i) == Some(&b'Z'),
        _ => bytes.get(i).is_some_and(u8::is_ascii_digit),
    };
    if bytes.len() != 16 || !(0..16).all(is_digit) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i16>().ok();
    let small = |start| i8::try_from(number(start..start + 2)?).ok();
    let civil = DateTime::new(
        number(0..4)?,
        small(4)?,
        small(6)?,
        small(9)?,
        small(11)?,
        small(13)?,
        0,
    );
    let zoned = civil.ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some(UnixMs(zoned.timestamp().as_millisecond()))
}

fn parse_expires(text: &str) -> Result<i64, OpError> {
    let is_number = (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let seconds = is_number.then(|| text.parse::<i64>().ok()).flatten();
    match seconds {
        Some(seconds) if (1..=EXPIRES_S_MAX).contains(&seconds) => Ok(seconds),
        Some(seconds) if seconds > EXPIRES_S_MAX => Err(malformed_query(
            "X-Amz-Expires must be less than a week (in seconds) that is 604800",
        )),
        _ => Err(malformed_query("X-Amz-Expires must be a positive number")),
    }
}

fn same_day(signed: &Signed, date: &str) -> Result<(), OpError> {
    if date.starts_with(&signed.scope_date) {
        return Ok(());
    }
    let message = "Invalid credential date: it must be the date of X-Amz-Date.";
    Err(if signed.is_presigned() {
        malformed_query(message)
    } else {
        OpError::new(Code::AuthorizationHeaderMalformed, message)
    })
}

fn too_skewed() -> OpError {
    OpError::new(
        Code::RequestTimeTooSkewed,
        "The difference between the request time and the current time is too large.",
    )
}

fn malformed_query(message: &'static str) -> OpError {
    OpError::new(Code::AuthorizationQueryParametersError, message)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{header_signed, presigned};
    use super::*;
    use proptest::prelude::*;

    const NOON: &str = "20260726T120000Z";

    fn at(text: &str) -> UnixMs {
        parse(text).unwrap()
    }

    fn header(date: &str, now: UnixMs) -> Result<(), Code> {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-date", date.parse().unwrap());
        check(&header_signed("20260726"), &headers, now).map_err(|e| e.code())
    }

    fn query(expires: &str, now: UnixMs) -> Result<(), Code> {
        let signed = presigned("20260726", NOON, expires);
        check(&signed, &HeaderMap::new(), now).map_err(|e| e.code())
    }

    #[test]
    fn dates_are_read_to_the_second() {
        assert_eq!(parse("19700101T000001Z"), Some(UnixMs(1000)));
        for broken in [
            "20260230T000000Z",
            "20260726T250000Z",
            "20260726T120000",
            "2026-726T120000Z",
            "+0260726T120000Z",
            "２0260726T12000Z",
            "",
        ] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn header_signature_lives_fifteen_minutes_either_way() {
        let now = at(NOON);
        assert_eq!(header(NOON, now.plus_ms(SKEW_MS_MAX)), Ok(()));
        assert_eq!(header(NOON, now.plus_ms(-SKEW_MS_MAX)), Ok(()));
        let skewed = Err(Code::RequestTimeTooSkewed);
        assert_eq!(header(NOON, now.plus_ms(SKEW_MS_MAX + 1)), skewed);
        assert_eq!(header(NOON, now.plus_ms(-SKEW_MS_MAX - 1)), skewed);
        assert_eq!(
            header("20260727T000000Z", now),
            Err(Code::AuthorizationHeaderMalformed)
        );
        let none = check(&header_signed("20260726"), &HeaderMap::new(), now);
        assert_eq!(none.unwrap_err().code(), Code::AccessDenied);
    }

    #[test]
    fn presigned_url_lives_at_most_seven_days() {
        let now = at(NOON);
        assert_eq!(query("604800", now.plus_ms(604_800_000)), Ok(()));
        let malformed = Err(Code::AuthorizationQueryParametersError);
        for expires in ["604801", "4294967295", "0", "-1", "+5", "1e3", ""] {
            assert_eq!(query(expires, now), malformed, "{expires}");
        }
    }

    #[test]
    fn presigned_url_is_refused_outside_its_time() {
        let now = at(NOON);
        assert_eq!(query("60", now.plus_ms(60_000)), Ok(()));
        assert_eq!(query("60", now.plus_ms(60_001)), Err(Code::AccessDenied));
        let early = now.plus_ms(-SKEW_MS_MAX - 1);
        assert_eq!(query("60", early), Err(Code::AccessDenied));
        let other_day = presigned("20260725", NOON, "60");
        let refused = check(&other_day, &HeaderMap::new(), now).unwrap_err();
        assert_eq!(refused.code(), Code::AuthorizationQueryParametersError);
    }

    proptest! {
        #[test]
        fn date_parser_never_panics(text in ".{0,20}") {
            let _ = parse(&text);
            let _ = parse_expires(&text);
        }
    }
}
