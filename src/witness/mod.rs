//! A witness: cosigns the tree heads of known logs, on another machine than theirs (C2SP tlog-witness).
//!
//! It remembers, durably and before it answers, the newest tree head that it cosigned of each log, and cosigns only
//! what continues it. So a log can't show it two histories, nor go back.

mod server;
mod state;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_cosigning;

pub use server::{router, serve};
pub use state::{AddError, OpenError, Witness};
