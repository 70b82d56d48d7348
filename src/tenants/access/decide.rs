//! The decision.

use super::{Demand, Grant, Operation, Permission};
use crate::clock::UnixMs;
use crate::tenants::Caller;
use std::fmt;
use std::sync::Arc;

/// What a request asks for: bucket, key, prefix and source as the operation will use them, decoded.
#[derive(Clone, Copy)]
#[must_use]
pub struct Ask<'a> {
    operation: Operation,
    bucket: Option<&'a str>,
    /// The key, or a listing's prefix.
    key: Option<&'a str>,
    source: Option<(&'a str, &'a str)>,
    lifts_lock: bool,
}

impl<'a> Ask<'a> {
    /// One operation.
    pub const fn to(operation: Operation) -> Self {
        Self {
            operation,
            bucket: None,
            key: None,
            source: None,
            lifts_lock: false,
        }
    }

    /// In a bucket.
    pub const fn in_bucket(mut self, bucket: &'a str) -> Self {
        self.bucket = Some(bucket);
        self
    }

    /// On a key, or on all that begin with a listing's prefix.
    pub const fn at(mut self, key: &'a str) -> Self {
        self.key = Some(key);
        self
    }

    /// Copying from a bucket's key.
    pub const fn copying_from(mut self, bucket: &'a str, key: &'a str) -> Self {
        self.source = Some((bucket, key));
        self
    }

    /// Whether it bypasses governance retention or ends a legal hold, which needs `admin` too.
    pub const fn lifting_lock(mut self, lifts_lock: bool) -> Self {
        self.lifts_lock = lifts_lock;
        self
    }
}

/// Which of a request's names is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What the request is addressed to.
    Target,
    /// A copy's source.
    Source,
}

/// Why a request is not carried out. Tells nothing of what lies outside of the scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The credential has expired.
    #[error("the credential has expired")]
    Expired {
        /// When.
        at: UnixMs,
    },
    /// The credential lacks a permission, wherever it might be used.
    #[error("the credential lacks the permission {permission}")]
    Lacks {
        /// Which.
        permission: Permission,
        /// For what.
        side: Side,
    },
    /// The credential's scope does not cover what is asked for.
    #[error("the credential's scope does not cover what is asked for")]
    OutOfScope {
        /// What it does not cover.
        side: Side,
        /// What is asked of it.
        demand: Demand,
    },
    /// The request does not name what the operation works on.
    #[error("{} names nothing to decide on", .0.name())]
    Nameless(Operation),
}

/// Which keys of its bucket an authorization is for.
enum Keys {
    /// None: the bucket itself, or a listing.
    None,
    /// This one.
    One(String),
    /// Those that the scope covers.
    Covered,
}

struct Inner {
    operation: Operation,
    caller: Caller,
    bucket: Option<String>,
    keys: Keys,
    source: Option<Authorized>,
}

/// Proof that a request may be carried out, by whom, and on what: only [`decide`] makes one.
#[derive(Clone)]
pub struct Authorized(Arc<Inner>);

impl fmt::Debug for Authorized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorized")
            .field("operation", &self.0.operation)
            .field("caller", &self.0.caller.access_key_id)
            .finish_non_exhaustive()
    }
}

impl Authorized {
    /// Who may.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.0.caller
    }

    /// Whether a bucket is the one that was decided on.
    #[must_use]
    pub fn is_in(&self, bucket: &str) -> bool {
        self.0.bucket.as_deref() == Some(bucket)
    }

    /// Whether a key of the bucket is one that was decided on.
    #[must_use]
    pub fn is_for(&self, key: &str) -> bool {
        match (&self.0.keys, self.0.bucket.as_deref()) {
            (Keys::One(decided), _) => decided == key,
            (Keys::Covered, Some(bucket)) => self.0.caller.grant.scope.covers(bucket, key),
            (Keys::Covered | Keys::None, _) => false,
        }
    }

    /// Whether a listing of buckets may name a bucket.
    #[must_use]
    pub fn may_name(&self, bucket: &str) -> bool {
        matches!(self.0.operation.demand(), Demand::Buckets(_))
            && self.0.caller.grant.scope.touches(bucket)
    }

    /// What was decided for a copy's source.
    #[must_use]
    pub fn source(&self) -> Option<&Self> {
        self.0.source.as_ref()
    }

    /// Whether the answer may be that there is no such object. As in S3, whoever reads and may not list is not told; nor is who changes
    /// what is told of an object that must be there.
    #[must_use]
    pub fn tells_what_is_missing(&self) -> bool {
        let needs_object = self.0.operation.changes_what_is_there()
            || matches!(
                self.0.operation.demand(),
                Demand::Key(Permission::Read) | Demand::Copy
            );
        !needs_object || self.0.caller.grant.permissions.contains(Permission::List)
    }
}

/// What a grant is asked.
struct Judge<'a> {
    grant: &'a Grant,
    demand: Demand,
}

impl Judge<'_> {
    fn has(&self, permission: Permission, side: Side) -> Result<(), Denied> {
        match self.grant.permissions.contains(permission) {
            true => Ok(()),
            false => Err(Denied::Lacks { permission, side }),
        }
    }

    fn in_scope(&self, is_covered: bool, side: Side) -> Result<(), Denied> {
        let demand = self.demand;
        match is_covered {
            true => Ok(()),
            false => Err(Denied::OutOfScope { side, demand }),
        }
    }

    fn covers(&self, (bucket, key): (&str, &str), side: Side) -> Result<(), Denied> {
        self.in_scope(self.grant.scope.covers(bucket, key), side)
    }
}

/// Decides whether a caller may have a request carried out now. The tenant is the caller's own, whatever is asked.
///
/// # Errors
/// [`Denied`], with the first reason of: expired, without permission, out of scope.
pub fn decide(caller: &Caller, ask: &Ask<'_>, now: UnixMs) -> Result<Authorized, Denied> {
    let grant = &*caller.grant;
    if let Some(at) = grant.expired(now) {
        return Err(Denied::Expired { at });
    }
    let (operation, demand) = (ask.operation, ask.operation.demand());
    let judge = Judge { grant, demand };
    let target = Side::Target;
    if ask.lifts_lock {
        judge.has(Permission::Admin, target)?;
    }
    let authorized = |bucket: Option<&str>, keys, source| {
        Authorized(Arc::new(Inner {
            operation,
            caller: caller.clone(),
            bucket: bucket.map(str::to_owned),
            keys,
            source,
        }))
    };
    let bucket = ask.bucket.ok_or(Denied::Nameless(operation));
    let place = ask.bucket.zip(ask.key).ok_or(Denied::Nameless(operation));
    match demand {
        Demand::Buckets(permission) => {
            judge.has(permission, target)?;
            Ok(authorized(None, Keys::None, None))
        }
        Demand::Touch => {
            judge.in_scope(grant.scope.touches(bucket?), target)?;
            Ok(authorized(ask.bucket, Keys::None, None))
        }
        Demand::WholeBucket(permission) => {
            judge.has(permission, target)?;
            judge.in_scope(grant.scope.covers_whole(bucket?), target)?;
            Ok(authorized(ask.bucket, Keys::None, None))
        }
        Demand::Listing(permission) => {
            judge.has(permission, target)?;
            judge.covers(place?, target)?;
            Ok(authorized(ask.bucket, Keys::None, None))
        }
        Demand::Key(permission) => {
            judge.has(permission, target)?;
            judge.covers(place?, target)?;
            let key = Keys::One(place?.1.to_owned());
            Ok(authorized(ask.bucket, key, None))
        }
        Demand::Keys(permission) => {
            judge.has(permission, target)?;
            judge.in_scope(grant.scope.touches(bucket?), target)?;
            Ok(authorized(ask.bucket, Keys::Covered, None))
        }
        Demand::Copy => {
            let from = ask.source.ok_or(Denied::Nameless(operation))?;
            judge.has(Permission::Write, target)?;
            judge.has(Permission::Read, Side::Source)?;
            judge.covers(place?, target)?;
            judge.covers(from, Side::Source)?;
            let source = authorized(Some(from.0), Keys::One(from.1.to_owned()), None);
            let key = Keys::One(place?.1.to_owned());
            Ok(authorized(ask.bucket, key, Some(source)))
        }
    }
}
