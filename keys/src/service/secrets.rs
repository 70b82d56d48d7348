//! The catalog's secrets, sealed under the service node.

use zeroize::Zeroizing;

use super::init::no_randomness;
use super::{Core, KeyService};
use crate::error::{KeysError, Refusal};
use crate::fields;
use crate::tree::Place;
use crate::types::SecretContext;

/// The longest secret, in plaintext bytes.
pub const SECRET_BYTES_MAX: usize = 65_536;

/// A sealed secret is this byte, the service node's generation (u64-BE), and a Cobblestone-256 message.
const FORMAT: u8 = 1;
const MESSAGE_AT: usize = 9;

impl KeyService {
    /// Seals one of the catalog's secrets under the service node and its context.
    ///
    /// # Errors
    /// [`KeysError::Refused`] over [`SECRET_BYTES_MAX`]; [`KeysError::LeaseEnded`], [`KeysError::Unavailable`],
    /// [`KeysError::Corrupt`].
    pub async fn seal_secret(
        &self,
        context: &SecretContext<'_>,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, KeysError> {
        if plaintext.len() > SECRET_BYTES_MAX {
            return Err(Refusal::SecretTooLong {
                secret_bytes: plaintext.len(),
            }
            .into());
        }
        let core = &self.core;
        core.check_lease()?;
        let node = core.node(Place::SERVICE).await?;
        let context = core.secret_context(context, node.generation)?;
        let message = node
            .key
            .0
            .seal(&context, plaintext)
            .map_err(|_| no_randomness())?;
        let mut sealed = Vec::with_capacity(MESSAGE_AT + message.len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(&node.generation.to_be_bytes());
        sealed.extend_from_slice(&message);
        core.check_lease()?;
        Ok(sealed)
    }

    /// Opens what [`KeyService::seal_secret`] sealed under the same context.
    ///
    /// # Errors
    /// [`KeysError::NotAuthentic`] when it was not; [`KeysError::LeaseEnded`], [`KeysError::Unavailable`],
    /// [`KeysError::Corrupt`].
    pub async fn open_secret(
        &self,
        context: &SecretContext<'_>,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, KeysError> {
        let core = &self.core;
        core.check_lease()?;
        let (format, rest) = sealed.split_first().ok_or(KeysError::NotAuthentic)?;
        let (generation, message) = rest.split_first_chunk().ok_or(KeysError::NotAuthentic)?;
        let generation = u64::from_be_bytes(*generation);
        if *format != FORMAT {
            return Err(KeysError::NotAuthentic);
        }
        let mut node = core.node(Place::SERVICE).await?;
        if node.generation < generation {
            // Sealed by another gateway after the tree moved; this one has not noticed yet.
            core.vault.forget_node(Place::SERVICE);
            node = core.node(Place::SERVICE).await?;
        }
        if node.generation != generation {
            return Err(KeysError::NotAuthentic);
        }
        let context = core.secret_context(context, generation)?;
        let opened = node
            .key
            .0
            .open(&context, message)
            .map_err(|_| KeysError::NotAuthentic)?;
        core.check_lease()?;
        Ok(opened)
    }
}

impl Core {
    fn check_lease(&self) -> Result<(), KeysError> {
        if self.vault.lease_lasts() {
            Ok(())
        } else {
            Err(KeysError::LeaseEnded)
        }
    }

    fn secret_context(
        &self,
        context: &SecretContext<'_>,
        generation: u64,
    ) -> Result<Vec<u8>, KeysError> {
        let generation = generation.to_be_bytes();
        let mut all: Vec<&[u8]> = vec![
            self.domain.as_str().as_bytes(),
            &generation,
            context.label.as_bytes(),
        ];
        all.extend_from_slice(context.fields);
        fields::encode("lethe/v1/secret", &all).ok_or_else(|| Refusal::ContextMismatch.into())
    }
}
