//! Access within a tenant: what a credential was granted, and the one decision whether a request may be carried out.
//!
//! [`decide`] is pure: a caller, what is asked, the time. It alone makes an [`Authorized`], and nothing in `ops` is reached without one.
//! Buckets, keys and prefixes are compared byte for byte as the operation will use them, so that no way of writing a name is another
//! way into it.

mod decide;
mod grant;
mod operation;
#[cfg(test)]
mod tests;

pub use decide::{Ask, Authorized, Denied, Side, decide};
pub use grant::{
    Grant, GrantChange, GrantError, Permission, Permissions, SCOPE_ENTRIES_MAX, Scope, ScopeEntry,
};
pub use operation::{Demand, Operation};
