//! A query string as s3s reads it: decoded names and values, in order.

use crate::ops::{Code, OpError};
use http::Uri;
use percent_encoding::percent_decode_str;

/// Most parameters of one query; S3 defines a few dozen.
const PARAMETERS_MAX: usize = 200;

/// A decoded query string.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes a raw query (`application/x-www-form-urlencoded`, as s3s does).
    ///
    /// # Errors
    /// `InvalidURI` when it is not UTF-8 or has too many parameters.
    pub fn parse(raw: &str) -> Result<Self, OpError> {
        let mut pairs = Vec::new();
        for parameter in raw.split('&').filter(|p| !p.is_empty()) {
            if pairs.len() == PARAMETERS_MAX {
                return Err(invalid("The query has too many parameters."));
            }
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            pairs.push((decode(name)?, decode(value)?));
        }
        Ok(Self(pairs))
    }

    /// Whether a parameter is there, in exactly this case.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n == name)
    }

    /// Whether a parameter is there in any case.
    #[must_use]
    pub fn has_in_any_case(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n.eq_ignore_ascii_case(name))
    }

    /// A parameter's value; `None` when it is missing or there twice.
    #[must_use]
    pub fn unique(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(n, _)| n == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }

    /// Whether a parameter is there without a value.
    #[must_use]
    pub fn is_empty_value(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|(n, value)| n == name && value.is_empty())
    }

    /// The parameters, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The parameters' names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

/// A raw query without the parameters whose decoded names are not wanted; the others stay as they came.
#[must_use]
pub fn without(raw: &str, unwanted: impl Fn(&str) -> bool) -> String {
    let is_kept = |parameter: &&str| {
        let name = parameter.split('=').next().unwrap_or_default();
        !decode(name).is_ok_and(|name| unwanted(&name))
    };
    let kept: Vec<&str> = raw.split('&').filter(is_kept).collect();
    kept.join("&")
}

/// A URI with another raw query; none when it is empty. `None` when that is no URI.
#[must_use]
pub fn replace(uri: &Uri, query: &str) -> Option<Uri> {
    let path_and_query = match query.is_empty() {
        true => uri.path().to_owned(),
        false => format!("{}?{query}", uri.path()),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path_and_query.parse().ok()?);
    Uri::from_parts(parts).ok()
}

fn decode(raw: &str) -> Result<String, OpError> {
    let spaced = raw.replace('+', " ");
    match percent_decode_str(&spaced).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(invalid("The query is not valid UTF-8.")),
    }
}

fn invalid(message: &'static str) -> OpError {
    OpError::new(Code::InvalidURI, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn query_is_decoded_like_a_form() {
        let query = Query::parse("uploads&prefix=a%2Fb+c&x=1&x=2&=z").unwrap();
        assert_eq!(query.unique("uploads"), Some(""));
        assert_eq!(query.unique("prefix"), Some("a/b c"));
        assert_eq!(query.unique("x"), None);
        assert!(query.has("x") && !query.has("X") && query.has_in_any_case("X"));
    }

    #[test]
    fn query_that_is_not_utf8_is_refused() {
        assert_eq!(Query::parse("a=%FF").unwrap_err().code(), Code::InvalidURI);
        let many = "a&".repeat(PARAMETERS_MAX + 1);
        assert_eq!(Query::parse(&many).unwrap_err().code(), Code::InvalidURI);
    }

    proptest! {
        #[test]
        fn query_parser_never_panics(raw in ".*") {
            let _ = Query::parse(&raw);
        }
    }
}
