//! The edge as strangers meet it: a running server, signed requests, and raw bytes where a client library would not send them.

mod attacks;
mod bodies;
mod connections;
mod cors;
mod forms;
pub(super) mod harness;
mod long;
mod tenants;
mod transport;
mod trivial_s3;
mod verification;
