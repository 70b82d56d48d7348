//! Names as types: each is checked once, where it enters.

use std::fmt;
use std::str::FromStr;

/// Why a text is not a name of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} name {problem}")]
pub struct NameError {
    kind: &'static str,
    problem: &'static str,
}

macro_rules! name_type {
    ($(#[$meta:meta])* $name:ident, $kind:literal, $check:path) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Checks and keeps a text.
            ///
            /// # Errors
            /// [`NameError`] when the text is not a name of this kind.
            pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
                let text = text.into();
                match $check(&text) {
                    Ok(()) => Ok(Self(text)),
                    Err(problem) => Err(NameError { kind: $kind, problem }),
                }
            }

            /// The name's text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name_type!(
    /// A tenant's label: 1 to 63 lower-case letters, digits and dashes.
    TenantName, "tenant", check_label
);
name_type!(
    /// A region's name, such as `eu-central-1`.
    RegionName, "region", check_label
);
name_type!(
    /// A domain's name, such as `eu`: one jurisdiction.
    DomainName, "domain", check_label
);
name_type!(
    /// A bucket name by S3's rules (3 to 63 of lower-case letters, digits, dots and dashes).
    BucketName, "bucket", check_bucket
);
name_type!(
    /// An access-key id: 3 to 128 visible ASCII characters without `/`, `,`, `=` and `;`.
    AccessKeyId, "access-key id", check_access_key_id
);
name_type!(
    /// An upload id as the client sees it: 16 random bytes in lower-case hexadecimal.
    UploadId, "upload id", check_upload_id
);

/// An object's key: 1 to 1,024 bytes of UTF-8. It is the tenant's own text, so it is never logged.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// Checks and keeps a key.
    ///
    /// # Errors
    /// [`NameError`] when it is empty or longer than 1,024 bytes.
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        let problem = if text.is_empty() {
            "is empty"
        } else if text.len() > 1024 {
            "is longer than 1,024 bytes"
        } else {
            return Ok(Self(text));
        };
        Err(NameError {
            kind: "object",
            problem,
        })
    }

    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectKey({} bytes)", self.0.len())
    }
}

fn check_label(text: &str) -> Result<(), &'static str> {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let edge = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    if bytes.is_empty() || bytes.len() > 63 {
        return Err("must have 1 to 63 characters");
    }
    if !bytes.iter().all(|b| inner(*b)) {
        return Err("may hold only lower-case letters, digits and dashes");
    }
    if !(bytes.first().is_some_and(edge) && bytes.last().is_some_and(edge)) {
        return Err("must begin and end with a letter or digit");
    }
    Ok(())
}

fn check_bucket(text: &str) -> Result<(), &'static str> {
    let bytes = text.as_bytes();
    if !(3..=63).contains(&bytes.len()) {
        return Err("must have 3 to 63 characters");
    }
    let allowed = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    if !bytes.iter().all(allowed) {
        return Err("may hold only lower-case letters, digits, dots and dashes");
    }
    let edge = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if !text.split('.').all(|label| {
        let label = label.as_bytes();
        label.first().is_some_and(edge) && label.last().is_some_and(edge)
    }) {
        return Err(
            "must begin and end with a letter or digit, and so must every part between dots",
        );
    }
    if text.parse::<std::net::Ipv4Addr>().is_ok() {
        return Err("must not be an IP address");
    }
    Ok(())
}

fn check_access_key_id(text: &str) -> Result<(), &'static str> {
    if !(3..=128).contains(&text.len()) {
        return Err("must have 3 to 128 characters");
    }
    let allowed = |b: u8| b.is_ascii_graphic() && !matches!(b, b'/' | b',' | b'=' | b';');
    if !text.bytes().all(allowed) {
        return Err("may hold only visible ASCII without '/', ',', '=' and ';'");
    }
    Ok(())
}

fn check_upload_id(text: &str) -> Result<(), &'static str> {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if text.len() == 32 && text.bytes().all(hex) {
        Ok(())
    } else {
        Err("must be 32 lower-case hexadecimal digits")
    }
}
