//! What a credential may do: permissions, where, and until when.

use crate::clock::UnixMs;
use crate::tenants::BucketName;
use std::fmt;
use std::str::FromStr;

/// Most entries of one scope.
pub const SCOPE_ENTRIES_MAX: usize = 100;
/// Most bytes of a scope's key prefix, which is the most that a key has.
const PREFIX_BYTES_MAX: usize = 1024;
/// How a scope of everything is written.
const EVERYTHING: &str = "*";

/// A text that says of no grant what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// No permission is named so.
    #[error("there is no such permission")]
    PermissionUnknown,
    /// A set of permissions without one.
    #[error("no permission is named")]
    NoPermission,
    /// The bucket of a scope's entry is none.
    #[error(
        "a scope is BUCKET or BUCKET:PREFIX, and what stands before the colon is no bucket's name"
    )]
    Bucket,
    /// A colon with nothing behind it: an empty variable of a script must not widen a scope to a whole bucket.
    #[error("nothing follows the colon")]
    EmptyPrefix,
    /// A prefix that no key has.
    #[error("the prefix is longer than 1,024 bytes, and so than every key")]
    PrefixTooLong,
    /// A scope that covers nothing.
    #[error("no bucket is named")]
    NoEntry,
    /// A scope with too many entries.
    #[error("a scope has at most 100 entries")]
    TooManyEntries,
    /// `*` beside buckets.
    #[error("* stands for everything, so nothing stands beside it")]
    EverythingAndMore,
}

macro_rules! permissions {
    ($($(#[$meta:meta])* $name:ident = $text:literal, $bit:literal;)+) => {
        /// What a credential may do with what its scope covers. None of them includes another.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Permission { $($(#[$meta])* $name),+ }

        impl Permission {
            /// Every permission.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Its name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            const fn bit(self) -> u8 {
                match self { $(Self::$name => $bit),+ }
            }
        }
    };
}

permissions! {
    /// Objects' contents, metadata, tags and locks.
    Read = "read", 1;
    /// Objects, overwriting included; uploads and their parts; tags; placing locks.
    Write = "write", 2;
    /// Names: of buckets, of keys, of versions, of open uploads.
    List = "list", 4;
    /// Objects and their versions.
    Delete = "delete", 8;
    /// Buckets and their configuration; lifting locks.
    Admin = "admin", 16;
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Permission {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let known = Self::ALL.iter().find(|known| known.as_str() == text);
        known.copied().ok_or(GrantError::PermissionUnknown)
    }
}

/// A set of permissions that has at least one; written as their names with commas.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Permissions(u8);

impl Permissions {
    /// All of them.
    pub const ALL: Self = Self(31);

    /// These permissions.
    ///
    /// # Errors
    /// [`GrantError::NoPermission`] when there is none.
    pub fn of(permissions: impl IntoIterator<Item = Permission>) -> Result<Self, GrantError> {
        let bits = permissions
            .into_iter()
            .fold(0, |bits, one| bits | one.bit());
        match bits {
            0 => Err(GrantError::NoPermission),
            bits => Ok(Self(bits)),
        }
    }

    /// Whether one is among them.
    #[must_use]
    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        let all = Permission::ALL.iter().copied();
        all.filter(move |one| self.contains(*one))
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Permission::as_str).collect();
        f.write_str(&names.join(","))
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Permissions {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let named: Result<Vec<Permission>, _> = text.split(',').map(str::parse).collect();
        Self::of(named?)
    }
}

/// One bucket, or its keys that begin with a prefix; written `BUCKET` or `BUCKET:PREFIX`.
///
/// A key begins with a prefix when its bytes do, as they are stored: no character is special, nothing is decoded, and no `/` is
/// implied. `docs:a` covers the keys `a`, `ab` and `a/b`; `docs:a/` covers `a/` and `a/b`, and not `a`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScopeEntry {
    bucket: BucketName,
    /// Not empty: a whole bucket has none.
    prefix: Option<String>,
}

impl ScopeEntry {
    fn covers(&self, bucket: &str, key: &str) -> bool {
        let prefix = self.prefix.as_deref().unwrap_or_default();
        self.bucket.as_str() == bucket && key.as_bytes().starts_with(prefix.as_bytes())
    }
}

impl FromStr for ScopeEntry {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let (bucket, prefix) = match text.split_once(':') {
            Some((bucket, prefix)) => (bucket, Some(prefix)),
            None => (text, None),
        };
        let bucket = BucketName::new(bucket).map_err(|_| GrantError::Bucket)?;
        match prefix {
            Some("") => Err(GrantError::EmptyPrefix),
            Some(long) if long.len() > PREFIX_BYTES_MAX => Err(GrantError::PrefixTooLong),
            prefix => Ok(Self {
                bucket,
                prefix: prefix.map(str::to_owned),
            }),
        }
    }
}

impl fmt::Display for ScopeEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.prefix {
            None => write!(f, "{}", self.bucket),
            Some(prefix) => write!(f, "{}:{prefix}", self.bucket),
        }
    }
}

impl fmt::Debug for ScopeEntry {
    /// Without the prefix, which is a tenant's own text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix_bytes = self.prefix.as_ref().map_or(0, String::len);
        write!(f, "{}:({prefix_bytes} bytes)", self.bucket)
    }
}

/// Where a credential's permissions hold; written as a list of entries, or of `*` alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every bucket of the tenant's, those to come included.
    Everything,
    /// These alone: sorted, each once, at least one.
    Only(Vec<ScopeEntry>),
}

impl Scope {
    /// The scope that a list of texts names.
    ///
    /// # Errors
    /// [`GrantError`] when one of them is no entry, or there are none or too many.
    pub fn of(texts: &[impl AsRef<str>]) -> Result<Self, GrantError> {
        let mut texts = texts.iter().map(AsRef::as_ref);
        if texts.clone().any(|text| text == EVERYTHING) {
            return match (texts.next(), texts.next()) {
                (Some(_), None) => Ok(Self::Everything),
                _ => Err(GrantError::EverythingAndMore),
            };
        }
        let entries: Result<Vec<ScopeEntry>, _> = texts.map(str::parse).collect();
        let mut entries = entries?;
        entries.sort();
        entries.dedup();
        match entries.len() {
            0 => Err(GrantError::NoEntry),
            1..=SCOPE_ENTRIES_MAX => Ok(Self::Only(entries)),
            _ => Err(GrantError::TooManyEntries),
        }
    }

    /// The texts that name it.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        match self {
            Self::Everything => vec![EVERYTHING.to_owned()],
            Self::Only(entries) => entries.iter().map(ScopeEntry::to_string).collect(),
        }
    }

    /// Whether anything in a bucket is covered.
    #[must_use]
    pub fn touches(&self, bucket: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Only(entries) => entries.iter().any(|entry| entry.bucket.as_str() == bucket),
        }
    }

    /// Whether a bucket is covered with every key that it can have.
    #[must_use]
    pub fn covers_whole(&self, bucket: &str) -> bool {
        self.covers(bucket, "")
    }

    /// Whether a key is covered, and so every key that begins with it. One rule for keys and for the prefixes of listings.
    #[must_use]
    pub fn covers(&self, bucket: &str, key: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Only(entries) => entries.iter().any(|entry| entry.covers(bucket, key)),
        }
    }
}

/// What a credential may do, where, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What it may do.
    pub permissions: Permissions,
    /// Where.
    pub scope: Scope,
    /// From when on it may do nothing more.
    pub expires: Option<UnixMs>,
}

impl Grant {
    /// Everything, everywhere, for good.
    #[must_use]
    pub fn unrestricted() -> Self {
        Self {
            permissions: Permissions::ALL,
            scope: Scope::Everything,
            expires: None,
        }
    }

    /// When it expired, if it has.
    #[must_use]
    pub fn expired(&self, now: UnixMs) -> Option<UnixMs> {
        self.expires.filter(|expires| now >= *expires)
    }
}

/// A change of a grant: what is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantChange {
    /// What it may do.
    pub permissions: Option<Permissions>,
    /// Where.
    pub scope: Option<Scope>,
    /// Until when; inside, none is for good.
    pub expires: Option<Option<UnixMs>>,
}

impl GrantChange {
    /// Whether everything stays as it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The grant that comes of it.
    #[must_use]
    pub fn on(self, grant: Grant) -> Grant {
        Grant {
            permissions: self.permissions.unwrap_or(grant.permissions),
            scope: self.scope.unwrap_or(grant.scope),
            expires: self.expires.unwrap_or(grant.expires),
        }
    }
}
