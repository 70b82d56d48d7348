//! Moving the root (design §3, step 3): everything that lives goes under a new epoch, the victims stay behind.

use std::collections::{HashMap, HashSet};

use lethe_envelope::{KekContext, TenantId, kek_commitment};
use sha2::{Digest, Sha256};

use super::backup::Opening;
use super::init::{no_randomness, node_context};
use super::{Core, KeyService};
use crate::calls::{RootCalls, StoreCalls};
use crate::config::DomainName;
use crate::error::{KeysError, Refusal};
use crate::fields;
use crate::root::{NodeToWrap, WrappedNode};
use crate::secret::{KeyBytes, NodeKey, NodeWrap, Wrapped};
use crate::store::{
    Canary, KekRow, MoveOutcome, MovePlan, MoveRow, MoveState, NodeRow, Phase, Rewrap,
};
use crate::tree::{Epoch, PLACES, Place};
use crate::types::RekeyEvidence;

/// Tenants that one move leaves behind at most.
const VICTIMS_MAX: usize = 50_000;

/// Nodes of one call of the root provider.
const NODES_PER_CALL: usize = 256;

impl KeyService {
    /// Moves the root from epoch `from` to the next one, and leaves the victims behind: their KEKs are deleted, the
    /// nodes that wrapped them are replaced, and everybody else's keys go on unchanged. One transaction; idempotent by
    /// `from` and victims. No KEK is made from here until [`KeyService::destroy_epoch`].
    ///
    /// # Errors
    /// [`Refusal::VictimNotFenced`], [`Refusal::NoVictims`], [`Refusal::EpochNotCurrent`], [`Refusal::MoveUnfinished`],
    /// [`Refusal::MoveOfOthers`]; [`Refusal::KekUnopened`] when any survivor's KEK does not open: nothing was changed;
    /// [`KeysError::Unavailable`]: call again.
    pub async fn rekey(
        &self,
        victims: &[TenantId],
        from: Epoch,
    ) -> Result<RekeyEvidence, KeysError> {
        let core = &self.core;
        let mover = Mover {
            domain: &core.domain,
            store: &core.store,
            root: &core.root,
            now_ms: core.clock.unix_ms(),
        };
        let to = Epoch(from.0.saturating_add(1));
        if victims.is_empty() {
            return Err(Refusal::NoVictims.into());
        }
        core.check_ready().await?;
        let row = mover.move_root(victims, from, to, true).await?;
        self.core.after_move().await;
        Ok(row.evidence())
    }

    /// Opens every node, and every KEK but the victims', without changing anything: whether [`KeyService::rekey`] and the
    /// backup after it would go through. Costs as much as the test of a backup.
    ///
    /// # Errors
    /// [`Refusal::KekUnopened`]; [`KeysError::Corrupt`] for nodes; [`KeysError::Unavailable`].
    pub async fn check_opens(&self, victims: &[TenantId]) -> Result<(), KeysError> {
        let core = &self.core;
        let mover = Mover {
            domain: &core.domain,
            store: &core.store,
            root: &core.root,
            now_ms: core.clock.unix_ms(),
        };
        let head = core
            .store
            .call("reading the key store", core.store.store.head())
            .await?;
        let leaving = victims.iter().copied().collect();
        mover
            .open_all(Opening::Live, head.epoch, &leaving)
            .await
            .map(drop)
    }

    /// Moves of the root whose old epoch is not destroyed yet, oldest first: normally one at most.
    ///
    /// # Errors
    /// [`KeysError::Unavailable`], [`KeysError::Corrupt`].
    pub async fn unfinished_moves(&self) -> Result<Vec<RekeyEvidence>, KeysError> {
        let store = &self.core.store;
        let moves = store
            .call("reading moves of the root", store.store.moves())
            .await?;
        Ok(moves
            .iter()
            .filter(|row| row.state != MoveState::Destroyed)
            .map(MoveRow::evidence)
            .collect())
    }

    /// The move of the root away from an epoch, if there was one: what [`KeyService::rekey`] answered.
    ///
    /// # Errors
    /// [`KeysError::Unavailable`], [`KeysError::Corrupt`].
    pub async fn rekeyed(&self, from: Epoch) -> Result<Option<RekeyEvidence>, KeysError> {
        let store = &self.core.store;
        let row = store
            .call("reading a move of the root", store.store.movement(from))
            .await?;
        Ok(row.map(|row| row.evidence()))
    }
}

impl Core {
    /// Refuses a store that is being restored under a running gateway: it has not forgotten yet whom it must.
    pub(super) async fn check_ready(&self) -> Result<(), KeysError> {
        let reading = self.store.store.head();
        let head = self.store.call("reading the key store", reading).await?;
        match head.phase {
            Phase::Ready => Ok(()),
            Phase::Initializing => Err(Refusal::StoreUnfinished.into()),
            Phase::Restoring => Err(Refusal::RestoreUnfinished.into()),
        }
    }

    /// This process's own nodes are superseded; the others learn it from their renewals.
    pub(super) async fn after_move(&self) {
        self.vault.forget_tree();
        self.renew_now.notify_one();
        let scrubbed = self
            .store
            .call("scrubbing the key store", self.store.store.scrub())
            .await;
        if let Err(error) = scrubbed {
            // What is left is wrapped under the epoch that will be destroyed; that step tries again.
            tracing::warn!(op = "rekey", outcome = "unscrubbed", %error, "old pages of the key store remain");
        }
    }
}

impl MoveRow {
    pub(super) fn evidence(&self) -> RekeyEvidence {
        RekeyEvidence {
            from: self.from,
            to: self.to,
            victims: self.victims.len() as u64,
            nodes: self.nodes,
            keks_rewrapped: self.keks_rewrapped,
            keks_deleted: self.keks_deleted,
            bytes: self.bytes,
            rekeyed_ms: self.rekeyed_ms,
        }
    }
}

/// What a move needs, also of a store that is not open yet.
pub(super) struct Mover<'a> {
    pub(super) domain: &'a DomainName,
    pub(super) store: &'a StoreCalls,
    pub(super) root: &'a RootCalls,
    pub(super) now_ms: i64,
}

impl Mover<'_> {
    pub(super) async fn move_root(
        &self,
        victims: &[TenantId],
        from: Epoch,
        to: Epoch,
        fenced: bool,
    ) -> Result<MoveRow, KeysError> {
        let mut victims = victims.to_vec();
        victims.sort_unstable_by_key(|victim| *victim.as_bytes());
        victims.dedup();
        if victims.len() > VICTIMS_MAX {
            return Err(Refusal::TooManyVictims {
                victims: victims.len(),
            }
            .into());
        }
        if let Some(row) = self.made(&victims, from).await? {
            return Ok(row);
        }
        let head = self
            .store
            .call("reading the key store", self.store.store.head())
            .await?;
        if head.epoch != from {
            let current = head.epoch;
            return Err(Refusal::EpochNotCurrent {
                epoch: from,
                current,
            }
            .into());
        }
        if head.held && fenced {
            return Err(Refusal::MoveUnfinished { current: from }.into());
        }
        if fenced {
            // What does not open now would be found by the backup's test, when nobody can go back and no KEK is made.
            let leaving: HashSet<TenantId> = victims.iter().copied().collect();
            self.open_all(Opening::Live, from, &leaving).await?;
        }
        self.root
            .call("creating a root epoch", self.root.root.create_epoch(to))
            .await?;
        let (plan, rewrap) = self.plan(victims, from, to, fenced).await?;
        let moving = self.store.store.move_root(&plan, &rewrap);
        match self.store.bulk("moving the root", moving).await {
            Ok(MoveOutcome::Moved(row)) => Ok(*row),
            Ok(MoveOutcome::NotFenced(tenant)) => Err(Refusal::VictimNotFenced { tenant }.into()),
            Ok(MoveOutcome::Unopened(kek_id)) => Err(KeysError::Corrupt {
                what: format!("kek {kek_id}"),
            }),
            // Another runner was first; its move counts if it is this one.
            Ok(MoveOutcome::NotCurrent) => self
                .made(&plan.victims, from)
                .await?
                .ok_or(Refusal::MoveUnfinished { current: from }.into()),
            // It may have been made all the same.
            Err(error) => match self.made(&plan.victims, from).await {
                Ok(Some(row)) => Ok(row),
                _ => Err(error),
            },
        }
    }

    async fn made(&self, victims: &[TenantId], from: Epoch) -> Result<Option<MoveRow>, KeysError> {
        let movement = self.store.store.movement(from);
        let made = self
            .store
            .call("reading a move of the root", movement)
            .await?;
        match made {
            Some(row) if row.victims != victims => {
                Err(Refusal::MoveOfOthers { epoch: from }.into())
            }
            made => Ok(made),
        }
    }

    async fn plan(
        &self,
        victims: Vec<TenantId>,
        from: Epoch,
        to: Epoch,
        fenced: bool,
    ) -> Result<(MovePlan, NodeRewrap), KeysError> {
        let rows = self
            .store
            .call("reading the nodes", self.store.store.nodes())
            .await?;
        if rows.len() != usize::from(PLACES) || rows.iter().any(|row| row.epoch != from) {
            return Err(KeysError::Corrupt {
                what: "set of nodes".to_owned(),
            });
        }
        let old = self.open_nodes(from, &rows).await?;
        // A node that a provider opened wrongly would be wrapped anew as it is: all its tenants' keys would be lost.
        let again = self.open_nodes(from, &rows).await?;
        if !old
            .iter()
            .zip(&again)
            .all(|(one, two)| one.0.same_as(&two.0))
        {
            return Err(wrong_answer());
        }
        drop(again);
        let mut pairs = HashMap::new();
        let mut nodes = Vec::with_capacity(rows.len());
        let mut kept = Vec::with_capacity(rows.len());
        for (row, key) in rows.iter().zip(old) {
            if victims
                .iter()
                .any(|victim| Place::of_tenant(*victim) == row.place)
            {
                let new = NodeKey(KeyBytes::random().map_err(|_| no_randomness())?);
                let copy = KeyBytes::from_slice(new.0.expose()).ok_or_else(no_randomness)?;
                pairs.insert(row.place, (row.generation, key, NodeKey(copy)));
                nodes.push((row.place, row.generation.saturating_add(1)));
                kept.push(new);
            } else {
                nodes.push((row.place, row.generation));
                kept.push(key);
            }
        }
        let wrapped = self.wrap_nodes(to, &nodes, &kept).await?;
        let nodes = nodes
            .into_iter()
            .zip(wrapped)
            .map(|((place, generation), wrapped)| NodeRow {
                place,
                generation,
                epoch: to,
                wrapped,
            })
            .collect();
        let plan = MovePlan {
            from,
            to,
            victims,
            nodes,
            canary_from: self.canary(from).await?,
            canary_to: self.canary(to).await?,
            now_ms: self.now_ms,
            fenced,
        };
        let rewrap = NodeRewrap {
            domain: self.domain.clone(),
            pairs,
        };
        Ok((plan, rewrap))
    }

    /// Opens nodes under an epoch; one that does not open is the store's fault.
    pub(super) async fn open_nodes(
        &self,
        epoch: Epoch,
        rows: &[NodeRow],
    ) -> Result<Vec<NodeKey>, KeysError> {
        let mut keys = Vec::with_capacity(rows.len());
        for chunk in rows.chunks(NODES_PER_CALL) {
            let wrapped: Vec<_> = chunk
                .iter()
                .map(|row| WrappedNode {
                    context: node_context(self.domain.as_str(), row.place, row.generation),
                    wrapped: row.wrapped,
                })
                .collect();
            let opened = match self
                .root
                .call("opening nodes", self.root.root.unwrap(epoch, &wrapped))
                .await
            {
                Err(KeysError::Refused {
                    reason: Refusal::RootForeign { .. },
                }) => {
                    return Err(KeysError::Corrupt {
                        what: format!("node of places {:?}", places(chunk)),
                    });
                }
                outcome => outcome?,
            };
            if opened.len() != chunk.len() {
                return Err(wrong_answer());
            }
            keys.extend(opened);
        }
        Ok(keys)
    }

    /// Wraps nodes and opens them again: a provider that answers wrongly is found out before anything depends on it.
    async fn wrap_nodes(
        &self,
        epoch: Epoch,
        nodes: &[(Place, u64)],
        keys: &[NodeKey],
    ) -> Result<Vec<NodeWrap>, KeysError> {
        let mut all = Vec::with_capacity(nodes.len());
        for (nodes, keys) in nodes
            .chunks(NODES_PER_CALL)
            .zip(keys.chunks(NODES_PER_CALL))
        {
            let context = |(place, generation): &(Place, u64)| {
                node_context(self.domain.as_str(), *place, *generation)
            };
            let to_wrap: Vec<_> = nodes
                .iter()
                .zip(keys)
                .map(|(node, key)| NodeToWrap {
                    context: context(node),
                    key,
                })
                .collect();
            let wrapped = self
                .root
                .call("wrapping nodes", self.root.root.wrap(epoch, &to_wrap))
                .await?;
            let to_open: Vec<_> = nodes
                .iter()
                .zip(&wrapped)
                .map(|(node, wrapped)| WrappedNode {
                    context: context(node),
                    wrapped: *wrapped,
                })
                .collect();
            let opened = self
                .root
                .call(
                    "checking wrapped nodes",
                    self.root.root.unwrap(epoch, &to_open),
                )
                .await;
            let same = opened.is_ok_and(|opened| {
                wrapped.len() == keys.len()
                    && opened.len() == keys.len()
                    && keys
                        .iter()
                        .zip(&opened)
                        .all(|(key, opened)| key.0.same_as(&opened.0))
            });
            if !same {
                return Err(wrong_answer());
            }
            all.extend(wrapped);
        }
        Ok(all)
    }

    /// Wraps a random value under an epoch and sees it open.
    async fn canary(&self, epoch: Epoch) -> Result<Canary, KeysError> {
        let key = NodeKey(KeyBytes::random().map_err(|_| no_randomness())?);
        let context = canary_context(self.domain, epoch);
        let to_wrap = [NodeToWrap { context, key: &key }];
        let wrapped = self
            .root
            .call("wrapping a canary", self.root.root.wrap(epoch, &to_wrap))
            .await?;
        let [wrapped] = wrapped.as_slice() else {
            return Err(wrong_answer());
        };
        let canary = Canary {
            wrapped: *wrapped,
            sum: Sha256::digest(key.0.expose()).into(),
        };
        if self.opens(epoch, &canary).await? {
            Ok(canary)
        } else {
            Err(wrong_answer())
        }
    }

    /// Whether the provider opens a canary as what it was.
    pub(super) async fn opens(&self, epoch: Epoch, canary: &Canary) -> Result<bool, KeysError> {
        let wrapped = [WrappedNode {
            context: canary_context(self.domain, epoch),
            wrapped: canary.wrapped,
        }];
        let opened = self
            .root
            .call("opening a canary", self.root.root.unwrap(epoch, &wrapped))
            .await?;
        Ok(matches!(opened.as_slice(), [key] if Sha256::digest(key.0.expose())[..] == canary.sum))
    }
}

/// No node has this label, so that a canary can stand for none.
fn canary_context(domain: &DomainName, epoch: Epoch) -> Vec<u8> {
    // A domain's name is at most 63 bytes: it always has a length.
    fields::encode(
        "lethe/v1/canary",
        &[domain.as_str().as_bytes(), &epoch.0.to_be_bytes()],
    )
    .unwrap_or_default()
}

fn places(rows: &[NodeRow]) -> std::ops::RangeInclusive<u16> {
    let number = |row: Option<&NodeRow>| row.map_or(0, |row| row.place.number());
    number(rows.first())..=number(rows.last())
}

fn wrong_answer() -> KeysError {
    KeysError::Unavailable {
        operation: "wrapping nodes",
        cause: "the root provider does not open what it wrapped".to_owned(),
    }
}

/// Survivors' KEKs, from the old node of their place to the new one.
struct NodeRewrap {
    domain: DomainName,
    /// The old generation, the old node and the new one.
    pairs: HashMap<Place, (u64, NodeKey, NodeKey)>,
}

impl Rewrap for NodeRewrap {
    fn rewrap(&self, row: &KekRow) -> Option<Wrapped> {
        let (generation, old, new) = self.pairs.get(&row.place)?;
        if *generation != row.generation {
            return None;
        }
        let kek = open_kek(&self.domain, row, old)?;
        let context = kek_context(&self.domain, row, generation.checked_add(1)?);
        new.0.wrap(&context, kek.expose()).ok()
    }
}

/// A KEK under its node, compared with its commitment.
pub(super) fn open_kek(domain: &DomainName, row: &KekRow, node: &NodeKey) -> Option<KeyBytes> {
    let context = kek_context(domain, row, row.generation);
    let kek = node.0.unwrap(&context, &row.wrapped).ok()?;
    (kek_commitment(kek.expose(), row.tenant, row.info.kek_id) == row.info.commitment)
        .then_some(kek)
}

fn kek_context(domain: &DomainName, row: &KekRow, generation: u64) -> Vec<u8> {
    KekContext {
        domain: domain.as_str(),
        node: row.place.number(),
        tenant: row.tenant,
        kek_id: row.info.kek_id,
        generation,
    }
    .to_bytes()
}
