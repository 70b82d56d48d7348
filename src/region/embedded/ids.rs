//! Random identities of what the store keeps.

use super::super::RegionError;

/// Sixteen random bytes; never used twice.
pub(super) type Id = [u8; 16];

/// Draws an id.
pub(super) fn draw(operation: &'static str) -> Result<Id, RegionError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| RegionError::Unavailable {
        operation,
        reason: format!("no randomness: {error}"),
    })?;
    Ok(id)
}
