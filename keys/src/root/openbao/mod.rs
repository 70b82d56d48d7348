//! Root keys in a transit engine of OpenBao: one an epoch, made to be neither exported nor backed up in the clear.
//!
//! What the engine wraps is a fresh seed for each node, and the seed wraps the node here. So a node never leaves this
//! process in the clear, and an answer that is not the right one (another order, another's seed) fails a commitment
//! instead of becoming a key.

mod token;
mod transit;
mod wire;

#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_hostile;

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::{Method, StatusCode};

pub(crate) use transit::Transit;

use super::{NodeToWrap, RootError, RootProvider, WrappedNode};
use crate::secret::{KeyBytes, NodeKey, NodeWrap, WRAPPED_BYTES};
use crate::tree::Epoch;
use crate::types::{Assurance, KeyStoreIdentity, RootKind};
use transit::{Answer, Credential};
use wire::{BatchItem, KeyFacts, Opened, Sealed};

/// Nodes in one request: six strings each, and OpenBao refuses a request with more than a thousand.
const BATCH: usize = 128;
/// The engine's wrap of a 32-byte seed: nonce, ciphertext and tag, without its `vault:v1:` and base64.
const SEED_WRAP_BYTES: usize = 60;
/// The engine's wrap of the seed, then the node under the seed.
const NODE_WRAP_BYTES: usize = SEED_WRAP_BYTES + WRAPPED_BYTES;
/// Keys are never rotated: an epoch is a key.
const CIPHERTEXT_PREFIX: &str = "vault:v1:";

/// Root keys of one key store in a transit engine.
pub(crate) struct OpenBaoRoot {
    transit: Arc<Transit>,
    owner: KeyStoreIdentity,
}

impl OpenBaoRoot {
    pub(crate) fn new(transit: Arc<Transit>, owner: KeyStoreIdentity) -> Self {
        Self { transit, owner }
    }

    /// The identity is in the name, so key stores that share an engine share no key.
    fn key_name(&self, epoch: Epoch) -> String {
        format!("lethe-{}-{epoch}", self.owner)
    }

    async fn facts(
        &self,
        credential: Credential,
        epoch: Epoch,
    ) -> Result<Option<KeyFacts>, RootError> {
        let name = self.key_name(epoch);
        let path = self.transit.path("keys", &name);
        let answer = self
            .transit
            .send(credential, Method::GET, &path, None)
            .await?;
        match answer.status {
            StatusCode::OK => wire::key_facts(&answer.body, &name)
                .map(Some)
                .ok_or_else(|| garbled(&path)),
            // Only the engine's own "no such key": a missing mount and a proxy's page are 404 as well.
            StatusCode::NOT_FOUND if wire::is_plain_not_found(&answer.body) => Ok(None),
            _ => Err(unexpected(&path, &answer)),
        }
    }

    /// The epoch's key must be there and as [`RootProvider::create_epoch`] makes it.
    async fn fit(&self, credential: Credential, epoch: Epoch) -> Result<(), RootError> {
        let facts = self.facts(credential, epoch).await?;
        match facts.ok_or(RootError::EpochMissing(epoch))?.fault() {
            None => Ok(()),
            Some(reason) => Err(RootError::Unfit { epoch, reason }),
        }
    }

    async fn post(
        &self,
        credential: Credential,
        path: &str,
        body: zeroize::Zeroizing<Vec<u8>>,
    ) -> Result<Answer, RootError> {
        self.transit
            .send(credential, Method::POST, path, Some(body))
            .await
    }

    async fn wrap_batch(
        &self,
        epoch: Epoch,
        nodes: &[NodeToWrap<'_>],
    ) -> Result<Vec<NodeWrap>, RootError> {
        let seeds = nodes
            .iter()
            .map(|_| KeyBytes::random())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| RootError::Unavailable(error.to_string()))?;
        let items = nodes
            .iter()
            .zip(&seeds)
            .map(|(node, seed)| BatchItem::plaintext(seed.expose(), &node.context));
        let path = self.transit.path("encrypt", &self.key_name(epoch));
        let answer = self
            .post(Credential::Control, &path, wire::batch(items))
            .await?;
        if answer.status != StatusCode::OK {
            // An engine without upsert says so of a key that is gone.
            self.fit(Credential::Control, epoch).await?;
            return Err(unexpected(&path, &answer));
        }
        let sealed: Vec<Sealed<'_>> =
            wire::results(&answer.body, nodes.len()).ok_or_else(|| garbled(&path))?;
        nodes
            .iter()
            .zip(&seeds)
            .zip(sealed)
            .map(|((node, seed), sealed)| {
                let seed_wrap = raw_ciphertext(sealed.ciphertext).ok_or_else(|| garbled(&path))?;
                let wrapped = seed
                    .wrap(&node.context, node.key.0.expose())
                    .map_err(|error| RootError::Unavailable(error.to_string()))?;
                NodeWrap::new(&[&seed_wrap[..], &wrapped[..]].concat())
                    .ok_or_else(|| garbled(&path))
            })
            .collect()
    }

    async fn unwrap_batch(
        &self,
        epoch: Epoch,
        nodes: &[WrappedNode],
    ) -> Result<Vec<NodeKey>, RootError> {
        // A wrap of another provider is none of this one's.
        if nodes
            .iter()
            .any(|node| node.wrapped.len() != NODE_WRAP_BYTES)
        {
            return Err(RootError::Foreign(epoch));
        }
        let items = nodes.iter().map(|node| {
            let seed_wrap = BASE64_STANDARD.encode(&node.wrapped[..SEED_WRAP_BYTES]);
            BatchItem::ciphertext(format!("{CIPHERTEXT_PREFIX}{seed_wrap}"), &node.context)
        });
        let path = self.transit.path("decrypt", &self.key_name(epoch));
        let answer = self
            .post(Credential::Opening, &path, wire::batch(items))
            .await?;
        if answer.status != StatusCode::OK {
            self.fit(Credential::Opening, epoch).await?;
            return Err(if wire::names_a_failed_item(&answer.body) {
                RootError::Foreign(epoch)
            } else {
                unexpected(&path, &answer)
            });
        }
        let opened: Vec<Opened<'_>> =
            wire::results(&answer.body, nodes.len()).ok_or_else(|| garbled(&path))?;
        nodes
            .iter()
            .zip(opened)
            .map(|(node, opened)| {
                let seed = opened.seed().ok_or_else(|| garbled(&path))?;
                seed.unwrap(&node.context, &node.wrapped[SEED_WRAP_BYTES..])
                    .map(NodeKey)
                    .map_err(|_| RootError::Foreign(epoch))
            })
            .collect()
    }
}

fn raw_ciphertext(text: &str) -> Option<[u8; SEED_WRAP_BYTES]> {
    let encoded = text.strip_prefix(CIPHERTEXT_PREFIX)?;
    BASE64_STANDARD.decode(encoded).ok()?.try_into().ok()
}

fn garbled(path: &str) -> RootError {
    RootError::Unavailable(format!("{path}: the answer is not OpenBao's"))
}

fn unexpected(path: &str, answer: &Answer) -> RootError {
    RootError::Unavailable(format!("{path}: {}", transit::told(answer)))
}

#[async_trait]
impl RootProvider for OpenBaoRoot {
    async fn create_epoch(&self, epoch: Epoch) -> Result<(), RootError> {
        if self.facts(Credential::Control, epoch).await?.is_none() {
            let path = self.transit.path("keys", &self.key_name(epoch));
            let answer = self
                .post(Credential::Control, &path, wire::new_key())
                .await?;
            if !answer.status.is_success() {
                return Err(unexpected(&path, &answer));
            }
        }
        // Whoever was first, the key must be what was asked for.
        self.fit(Credential::Control, epoch).await
    }

    async fn wrap(
        &self,
        epoch: Epoch,
        nodes: &[NodeToWrap<'_>],
    ) -> Result<Vec<NodeWrap>, RootError> {
        // Where the token could create, an encryption under a destroyed key would make a new one.
        self.fit(Credential::Control, epoch).await?;
        let mut wrapped = Vec::with_capacity(nodes.len());
        for batch in nodes.chunks(BATCH) {
            wrapped.extend(self.wrap_batch(epoch, batch).await?);
        }
        Ok(wrapped)
    }

    async fn unwrap(&self, epoch: Epoch, nodes: &[WrappedNode]) -> Result<Vec<NodeKey>, RootError> {
        let mut keys = Vec::with_capacity(nodes.len());
        for batch in nodes.chunks(BATCH) {
            keys.extend(self.unwrap_batch(epoch, batch).await?);
        }
        Ok(keys)
    }

    async fn destroy_epoch(&self, epoch: Epoch) -> Result<(), RootError> {
        let Some(facts) = self.facts(Credential::Control, epoch).await? else {
            return Ok(());
        };
        if let Some(fault) = facts.fault() {
            tracing::warn!(
                op = "destroy_root",
                "root key of epoch {epoch} {fault}; it is destroyed all the same"
            );
        }
        let key = self.transit.path("keys", &self.key_name(epoch));
        let config = format!("{key}/config");
        let allowed = self
            .post(Credential::Control, &config, wire::allow_deletion())
            .await?;
        let deleted = self
            .transit
            .send(Credential::Control, Method::DELETE, &key, None)
            .await?;
        // An answer may have been lost and its request repeated: what counts is that the key is gone.
        if self.facts(Credential::Control, epoch).await?.is_none() {
            return Ok(());
        }
        let told = if allowed.status.is_success() {
            unexpected(&key, &deleted)
        } else {
            unexpected(&config, &allowed)
        };
        Err(told)
    }

    async fn check_control(&self, epoch: Epoch) -> Result<(), RootError> {
        let name = self.key_name(epoch);
        let at = |what: &str| self.transit.mounted(what, &name);
        let config = format!("{}/config", at("keys"));
        let wanted: [(String, &[&str]); 4] = [
            (at("keys"), &["update", "read", "delete"]),
            (config, &["update"]),
            (at("encrypt"), &["update"]),
            (at("decrypt"), &["update"]),
        ];
        let paths: Vec<&str> = wanted.iter().map(|(path, _)| path.as_str()).collect();
        let has = self
            .transit
            .capabilities(Credential::Control, &paths)
            .await?;
        let file = self.transit.token_path(Credential::Control).display();
        for (path, capabilities) in &wanted {
            let missing = capabilities.iter().find(|one| !has.allows(path, one));
            if let Some(missing) = missing {
                return Err(RootError::Denied(format!(
                    "the token in {file} may not {missing} {path}"
                )));
            }
        }
        let encrypt = at("encrypt");
        if self.transit.has_control_token() {
            let opening = self
                .transit
                .capabilities(Credential::Opening, &paths)
                .await?;
            let file = self.transit.token_path(Credential::Opening).display();
            for (path, too_much) in [(&wanted[0].0, "delete"), (&encrypt, "create")] {
                if opening.allows(path, too_much) {
                    return Err(RootError::Denied(format!(
                        "the token in {file} may {too_much} {path}, which only the control token should"
                    )));
                }
            }
        }
        Ok(())
    }

    fn kind(&self) -> RootKind {
        RootKind::OpenBao
    }

    fn assurance(&self) -> Assurance {
        Assurance::Service
    }

    fn destruction(&self, epoch: Epoch) -> String {
        format!(
            "transit key {} of mount {} was deleted (not softly) and then not found; it was made with exportable=false and \
             allow_plaintext_backup=false; snapshots of the server's storage from before hold it until they expire",
            self.key_name(epoch),
            self.transit.mount()
        )
    }
}
