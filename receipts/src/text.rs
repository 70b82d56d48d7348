//! The strict text forms that fields of receipts have (`docs/receipts.md` §1). Each has exactly one spelling of each
//! value, so that what is equal is equal byte for byte.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// A text that is not the one spelling of a value of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("read a field: not {wanted}")]
pub struct TextError {
    wanted: &'static str,
}

const fn not(wanted: &'static str) -> TextError {
    TextError { wanted }
}

/// `N` bytes as lower-case hexadecimal: ids and digests that people compare.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hex<const N: usize>(pub [u8; N]);

impl<const N: usize> TryFrom<String> for Hex<N> {
    type Error = TextError;

    fn try_from(text: String) -> Result<Self, TextError> {
        text.parse()
    }
}

impl<const N: usize> std::str::FromStr for Hex<N> {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let mut bytes = [0; N];
        if text.bytes().any(|byte| byte.is_ascii_uppercase())
            || hex::decode_to_slice(text, &mut bytes).is_err()
        {
            return Err(not("lower-case hexadecimal of the right length"));
        }
        Ok(Self(bytes))
    }
}

impl<const N: usize> From<Hex<N>> for String {
    fn from(value: Hex<N>) -> Self {
        hex::encode(value.0)
    }
}

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl<const N: usize> fmt::Debug for Hex<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// `N` bytes as padded standard base64: public keys, signatures, hashes of proofs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Base64<const N: usize>(pub [u8; N]);

impl<const N: usize> TryFrom<String> for Base64<N> {
    type Error = TextError;

    fn try_from(text: String) -> Result<Self, TextError> {
        let bytes = Base64Bytes::try_from(text)?.0;
        let bytes = bytes.try_into();
        bytes
            .map(Self)
            .map_err(|_| not("base64 of the right length"))
    }
}

impl<const N: usize> From<Base64<N>> for String {
    fn from(value: Base64<N>) -> Self {
        STANDARD.encode(value.0)
    }
}

/// Any number of bytes as padded standard base64: the payload of an envelope.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Base64Bytes(pub Vec<u8>);

impl TryFrom<String> for Base64Bytes {
    type Error = TextError;

    fn try_from(text: String) -> Result<Self, TextError> {
        // This engine wants the padding and refuses stray bits before it.
        let bytes = STANDARD.decode(&text);
        bytes.map(Self).map_err(|_| not("padded standard base64"))
    }
}

impl From<Base64Bytes> for String {
    fn from(value: Base64Bytes) -> Self {
        STANDARD.encode(value.0)
    }
}

impl fmt::Debug for Base64Bytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Base64Bytes({} bytes)", self.0.len())
    }
}

/// Longest [`Text`], in bytes of UTF-8.
pub const TEXT_BYTES_MAX: usize = 1024;

/// One line for people: 1 to 1,024 bytes, without the characters that could make a terminal or a page show
/// something else than what was signed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text(String);

impl Text {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A text of our own writing or from another source, with every character that [`Text`] refuses replaced and
    /// what is too long cut off.
    #[must_use]
    pub fn lossy(source: &str) -> Self {
        let mut text = String::new();
        for character in source.chars() {
            let shown = if is_hidden(character) {
                '\u{fffd}'
            } else {
                character
            };
            if text.len() + shown.len_utf8() > TEXT_BYTES_MAX {
                break;
            }
            text.push(shown);
        }
        if text.is_empty() {
            text.push('-');
        }
        Self(text)
    }
}

/// Controls, line separators and what changes the direction of text.
fn is_hidden(character: char) -> bool {
    matches!(character,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl TryFrom<String> for Text {
    type Error = TextError;

    fn try_from(text: String) -> Result<Self, TextError> {
        if text.is_empty() || text.len() > TEXT_BYTES_MAX || text.chars().any(is_hidden) {
            return Err(not("1 to 1024 bytes of text without control characters"));
        }
        Ok(Self(text))
    }
}

impl TryFrom<&str> for Text {
    type Error = TextError;

    fn try_from(text: &str) -> Result<Self, TextError> {
        text.to_owned().try_into()
    }
}

impl From<Text> for String {
    fn from(value: Text) -> Self {
        value.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A second of UTC, written `YYYY-MM-DDTHH:MM:SSZ`, from 1970 to 9999.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UtcTime {
    unix_s: u64,
}

const DAY_S: u64 = 86_400;
/// 9999-12-31T23:59:59Z.
const LAST_UNIX_S: u64 = 253_402_300_799;

impl UtcTime {
    /// The time so many seconds after 1970 began.
    ///
    /// # Errors
    /// [`TextError`] for a time after the year 9999.
    pub fn from_unix_s(unix_s: u64) -> Result<Self, TextError> {
        if unix_s > LAST_UNIX_S {
            return Err(not("a time before the year 10000"));
        }
        Ok(Self { unix_s })
    }

    /// Seconds since 1970 began.
    #[must_use]
    pub fn unix_s(self) -> u64 {
        self.unix_s
    }

    /// Whether `self` is not after `other`, give or take what clocks of two machines may differ by.
    #[must_use]
    pub(crate) fn is_by(self, other: Self, tolerance_s: u64) -> bool {
        self.unix_s <= other.unix_s.saturating_add(tolerance_s)
    }
}

impl std::str::FromStr for UtcTime {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let wanted = not("a time like 2026-01-31T23:59:59Z");
        let number = |range: std::ops::Range<usize>| -> Result<u64, TextError> {
            let digits = text.get(range).ok_or(wanted)?;
            digits.parse().map_err(|_| wanted)
        };
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
        if year < 1970 || month == 0 || month > 12 || day == 0 {
            return Err(wanted);
        }
        let days = days_before_year(year) + days_before_month(year, month) + day - 1;
        let time = Self {
            unix_s: days * DAY_S + hour * 3600 + minute * 60 + second,
        };
        // The one spelling of the time that these numbers add up to: this refuses 30 February, 24:00, signs, lower case.
        if time.to_string() != text {
            return Err(wanted);
        }
        Ok(time)
    }
}

impl TryFrom<String> for UtcTime {
    type Error = TextError;

    fn try_from(text: String) -> Result<Self, TextError> {
        text.parse()
    }
}

impl From<UtcTime> for String {
    fn from(value: UtcTime) -> Self {
        value.to_string()
    }
}

impl fmt::Display for UtcTime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.unix_s / DAY_S, self.unix_s % DAY_S);
        // A few years too many at most: leap days are all that 365 leaves out.
        let mut year = 1970 + days / 365;
        while days_before_year(year) > days {
            year -= 1;
        }
        let day_of_year = days - days_before_year(year);
        let mut month = 12;
        while days_before_month(year, month) > day_of_year {
            month -= 1;
        }
        let day = day_of_year - days_before_month(year, month) + 1;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            formatter,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

impl fmt::Debug for UtcTime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// Days from the beginning of 1970 to that of a later year.
fn days_before_year(year: u64) -> u64 {
    let leap_days_before = |year: u64| (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400;
    (year - 1970) * 365 + leap_days_before(year) - leap_days_before(1970)
}

/// Days of a year before a month from 1 to 12.
fn days_before_month(year: u64, month: u64) -> u64 {
    const BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let index = usize::try_from(month - 1).unwrap_or(0).min(11);
    BEFORE[index] + u64::from(month > 2 && is_leap(year))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_has_one_spelling() {
        for (text, unix_s) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:00:01Z", 951_825_601),
            ("2026-12-31T23:59:59Z", 1_798_761_599),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
            ("9999-12-31T23:59:59Z", LAST_UNIX_S),
        ] {
            let time: UtcTime = text.parse().unwrap();
            assert_eq!((time.unix_s(), time.to_string().as_str()), (unix_s, text));
        }
        for text in [
            "2026-01-01T00:00:00z",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00+00:00",
            "2026-01-01T00:00:00.0Z",
            "2026-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T23:59:60Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "+026-01-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "10000-01-01T00:00:00Z",
            "",
        ] {
            assert!(text.parse::<UtcTime>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_day_until_2400_is_read_as_written() {
        let mut last = String::new();
        for day in 0..157_000 {
            let time = UtcTime::from_unix_s(day * DAY_S + day % DAY_S).unwrap();
            let text = time.to_string();
            assert_eq!(text.parse(), Ok(time));
            assert!(text > last, "{text} after {last}");
            last = text;
        }
    }

    #[test]
    fn base64_has_one_spelling() {
        assert_eq!(Base64::<2>::try_from("AAE=".to_owned()), Ok(Base64([0, 1])));
        for text in ["AAE", "AAF=", "AA E=", "AAE=\n", "-_8=", "AAEC", ""] {
            assert!(Base64::<2>::try_from(text.to_owned()).is_err(), "{text}");
        }
        assert!(Hex::<1>::try_from("AB".to_owned()).is_err());
        assert_eq!(Hex::<1>::try_from("ab".to_owned()), Ok(Hex([0xab])));
    }

    #[test]
    fn text_that_would_show_as_another_is_refused() {
        for text in [
            "",
            "a\nb",
            "a\u{1b}[2Kb",
            "a\u{202e}b",
            "\u{9b}2K",
            &"x".repeat(1025),
        ] {
            assert!(Text::try_from(text).is_err(), "{text:?}");
            assert!(Text::try_from(Text::lossy(text).as_str()).is_ok());
        }
        assert!(Text::try_from("Düsseldorf, 7 º").is_ok());
    }
}
