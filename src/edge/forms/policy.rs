//! What a form's policy allows: read from its JSON, then held against the form
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html>). Whoever signed it decides; so what it does
//! not speak of may not be in the form.

use super::fields::Fields;
use crate::clock::UnixMs;
use crate::ops::{Code, OpError};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;
use std::collections::BTreeSet;

/// Fields that no condition needs to cover.
const EXEMPT: [&str; 3] = ["file", "policy", "x-amz-signature"];

/// One condition. Names of fields are in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Equals { field: String, value: String },
    StartsWith { field: String, prefix: String },
    Length(FileBytes),
}

/// How many bytes the file may have, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileBytes {
    /// The fewest.
    pub min: u64,
    /// The most.
    pub max: u64,
}

impl FileBytes {
    /// Any number.
    pub const ANY: Self = Self {
        min: 0,
        max: u64::MAX,
    };

    fn and(self, other: Self) -> Self {
        Self {
            min: self.min.max(other.min),
            max: self.max.min(other.max),
        }
    }
}

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    expires: UnixMs,
    conditions: Vec<Condition>,
}

fn invalid(why: &str) -> OpError {
    OpError::new(
        Code::InvalidPolicyDocument,
        format!("Invalid Policy: {why}."),
    )
}

fn denied(why: String) -> OpError {
    OpError::access_denied(format!("Invalid according to Policy: {why}"))
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// `InvalidPolicyDocument`.
    pub fn parse(json: &[u8]) -> Result<Self, OpError> {
        let document: Value =
            serde_json::from_slice(json).map_err(|_| invalid("it is not valid JSON"))?;
        let expiration = document.get("expiration").and_then(Value::as_str);
        let expiration = expiration.ok_or_else(|| invalid("it has no expiration"))?;
        let expires = parse_time(expiration)
            .ok_or_else(|| invalid("its expiration is not of the form 2026-01-31T12:00:00Z"))?;
        let listed = document.get("conditions").and_then(Value::as_array);
        let listed = listed.ok_or_else(|| invalid("it has no list of conditions"))?;
        let mut conditions = Vec::with_capacity(listed.len());
        for one in listed {
            read_condition(one, &mut conditions)?;
        }
        Ok(Self {
            expires,
            conditions,
        })
    }

    /// Holds the policy against a form: its time, every condition, and that every field has one. Returns how many bytes the file
    /// may have.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub fn check(&self, fields: &Fields, now: UnixMs) -> Result<FileBytes, OpError> {
        if self.expires.0 <= now.0 {
            return Err(denied("Policy expired.".to_owned()));
        }
        let mut bytes = FileBytes::ANY;
        let mut covered = BTreeSet::new();
        for condition in &self.conditions {
            let (field, holds) = match condition {
                Condition::Length(allowed) => {
                    bytes = bytes.and(*allowed);
                    continue;
                }
                Condition::Equals { field, value } => {
                    (field, fields.get(field).unwrap_or_default() == value)
                }
                Condition::StartsWith { field, prefix } => {
                    let value = fields.get(field).unwrap_or_default();
                    (field, starts_with(field, value, prefix))
                }
            };
            if !holds {
                return Err(denied(format!("Policy Condition failed: {condition}")));
            }
            covered.insert(field.as_str());
        }
        let is_exempt = |name: &str| EXEMPT.contains(&name) || name.starts_with("x-ignore-");
        let extra: Vec<&str> = fields
            .names()
            .filter(|name| !is_exempt(name) && !covered.contains(name))
            .collect();
        match extra.is_empty() {
            true => Ok(bytes),
            false => Err(denied(format!("Extra input fields: {}", extra.join(", ")))),
        }
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Equals { field, value } => write!(f, "[\"eq\", \"${field}\", \"{value}\"]"),
            Self::StartsWith { field, prefix } => {
                write!(f, "[\"starts-with\", \"${field}\", \"{prefix}\"]")
            }
            Self::Length(FileBytes { min, max }) => {
                write!(f, "[\"content-length-range\", {min}, {max}]")
            }
        }
    }
}

/// A content type may be a list, and then each of it counts.
fn starts_with(field: &str, value: &str, prefix: &str) -> bool {
    match field {
        "content-type" => value.split(',').all(|one| one.trim().starts_with(prefix)),
        _ => value.starts_with(prefix),
    }
}

/// `2026-01-31T12:00:00Z`, with or without a fraction.
fn parse_time(text: &str) -> Option<UnixMs> {
    let shape: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    let rest = shape
        .strip_prefix("0000-00-00T00:00:00")?
        .strip_suffix('Z')?;
    let is_fraction =
        |digits: &str| (1..=9).contains(&digits.len()) && !digits.contains(|c| c != '0');
    if !rest.is_empty() && !rest.strip_prefix('.').is_some_and(is_fraction) {
        return None;
    }
    let civil: DateTime = text.strip_suffix('Z')?.parse().ok()?;
    // The last day of 9999, which stands for never, is a date but no timestamp.
    let at = civil.to_zoned(TimeZone::UTC);
    Some(UnixMs(
        at.map_or(i64::MAX, |at| at.timestamp().as_millisecond()),
    ))
}

fn read_condition(one: &Value, conditions: &mut Vec<Condition>) -> Result<(), OpError> {
    match one {
        Value::Object(pairs) if !pairs.is_empty() => {
            for (field, value) in pairs {
                let value = value.as_str();
                conditions.push(Condition::Equals {
                    field: field.to_ascii_lowercase(),
                    value: value
                        .ok_or_else(|| invalid("a condition's value is no text"))?
                        .to_owned(),
                });
            }
            Ok(())
        }
        Value::Array(three) => {
            let [operator, first, second] = &three[..] else {
                return Err(invalid("a condition has not three elements"));
            };
            conditions.push(read_list(operator, first, second)?);
            Ok(())
        }
        _ => Err(invalid("a condition is neither a pair nor a list")),
    }
}

fn read_list(operator: &Value, first: &Value, second: &Value) -> Result<Condition, OpError> {
    let operator = operator.as_str().unwrap_or_default().to_ascii_lowercase();
    if operator == "content-length-range" {
        let (min, max) = (count(first)?, count(second)?);
        return Ok(Condition::Length(FileBytes { min, max }));
    }
    let field = first.as_str().and_then(|text| text.strip_prefix('$'));
    let field = field
        .ok_or_else(|| invalid("a condition names no $field"))?
        .to_ascii_lowercase();
    let value = second.as_str();
    let value = value
        .ok_or_else(|| invalid("a condition's value is no text"))?
        .to_owned();
    match operator.as_str() {
        "eq" => Ok(Condition::Equals { field, value }),
        "starts-with" => Ok(Condition::StartsWith {
            field,
            prefix: value,
        }),
        _ => Err(invalid("a condition has an unknown operator")),
    }
}

/// A number, or digits.
fn count(value: &Value) -> Result<u64, OpError> {
    let number = match value {
        Value::String(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok(),
        other => other.as_u64(),
    };
    number.ok_or_else(|| invalid("content-length-range takes two numbers"))
}

#[cfg(test)]
#[path = "policy/tests.rs"]
mod tests;
