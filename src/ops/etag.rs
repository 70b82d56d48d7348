//! ETags as clients see them: the upstream's, never in the shape of an MD5.
//!
//! An upstream ETag without a dash, or one that ends in `-1`, gets `-1` appended; mapping back strips exactly one. The map is
//! injective, so two stored states never share a client ETag.

use std::fmt;

const SUFFIX: &str = "-1";

/// An ETag in the form that clients get, without quotes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientEtag(String);

impl ClientEtag {
    /// The client's form of an upstream ETag (without quotes).
    #[must_use]
    pub fn from_upstream(upstream: &str) -> Self {
        if !upstream.contains('-') || upstream.ends_with(SUFFIX) {
            Self(format!("{upstream}{SUFFIX}"))
        } else {
            Self(upstream.to_owned())
        }
    }

    /// Takes an ETag as a client sent it (without quotes); it need not be one that was ever given out.
    #[must_use]
    pub fn from_client(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The upstream ETag behind this one; `None` when no upstream ETag maps to it, so that it can match nothing.
    #[must_use]
    pub fn to_upstream(&self) -> Option<&str> {
        let upstream = match self.0.strip_suffix(SUFFIX) {
            Some(stripped) => stripped,
            None => self.0.as_str(),
        };
        (Self::from_upstream(upstream).0 == self.0).then_some(upstream)
    }

    /// The text without quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text with quotes, as in the `ETag` header.
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

impl fmt::Display for ClientEtag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn etag_that_looks_like_an_md5_gets_a_dash() {
        let cases = [
            (
                "d41d8cd98f00b204e9800998ecf8427e",
                "d41d8cd98f00b204e9800998ecf8427e-1",
            ),
            ("abc-1", "abc-1-1"),
            ("abc-1-1", "abc-1-1-1"),
            ("abc-7", "abc-7"),
            ("abc-11", "abc-11"),
            ("-", "-"),
        ];
        for (upstream, client) in cases {
            let etag = ClientEtag::from_upstream(upstream);
            assert_eq!(etag.as_str(), client);
            assert_eq!(etag.to_upstream(), Some(upstream));
        }
    }

    #[test]
    fn etag_that_was_never_given_out_maps_to_nothing() {
        for foreign in ["d41d8cd98f00b204e9800998ecf8427e", "", "abc-5-1"] {
            assert_eq!(ClientEtag::from_client(foreign).to_upstream(), None);
        }
    }

    proptest! {
        #[test]
        fn etag_round_trips_and_always_has_a_dash(upstream in "[-0-9a-f\"é]{0,12}(-1){0,3}") {
            let etag = ClientEtag::from_upstream(&upstream);
            prop_assert!(etag.as_str().contains('-'));
            prop_assert_eq!(etag.to_upstream(), Some(upstream.as_str()));
        }

        #[test]
        fn etags_of_different_states_differ(a in "[-01]{0,6}", b in "[-01]{0,6}") {
            prop_assert_eq!(ClientEtag::from_upstream(&a) == ClientEtag::from_upstream(&b), a == b);
        }

        #[test]
        fn etag_from_a_client_maps_back_only_to_itself(text in "[-01a]{0,8}") {
            let etag = ClientEtag::from_client(text);
            if let Some(upstream) = etag.to_upstream() {
                prop_assert_eq!(ClientEtag::from_upstream(upstream), etag);
            }
        }
    }
}
