//! All key material of the process, in one place that the lease's timer can empty.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lethe_envelope::{KekId, TenantId};

use crate::clock::Clock;
use crate::error::{KeysError, Refusal};
use crate::held::End;
use crate::secret::{Kek, NodeKey};
use crate::store::Renewed;
use crate::tree::{Epoch, Place};
use crate::types::{FenceScope, KekInfo, KeyStoreIdentity, LeaseState};

/// The longest that a node stays in memory.
const NODE_LIFE: Duration = Duration::from_secs(600);

/// How often the timer looks; entries are given that much less than their limit, so that none outlives it.
pub(crate) const TICK: Duration = Duration::from_secs(1);

/// KEKs and sealing choices in memory at most; beyond it an arbitrary one makes room and is read again when needed.
const KEKS_MAX: usize = 65_536;

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) generation: u64,
    pub(crate) key: NodeKey,
}

#[derive(Debug)]
pub(crate) struct CachedKek {
    pub(crate) tenant: TenantId,
    pub(crate) info: KekInfo,
    pub(crate) key: Kek,
}

struct Timed<T> {
    value: T,
    until: Duration,
}

struct Held {
    tenant: TenantId,
    slot: Arc<dyn End>,
}

/// When something began to be read, and what was valid then: what was read before a drop does not survive it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticket {
    era: u64,
    sent: Duration,
}

/// What was read belongs to an era that a fence, a move of the root or the lease's end has closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stale;

/// What applying a renewal came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applied {
    /// The lease is extended and nothing is left to acknowledge.
    Extended,
    /// Something was dropped that the store should hear of at once.
    Acknowledge,
}

#[derive(Default)]
struct State {
    closed: bool,
    epoch: Option<Epoch>,
    fence: u64,
    era: u64,
    failure: Option<KeysError>,
    nodes: HashMap<Place, Timed<Arc<Node>>>,
    keks: HashMap<KekId, Timed<Arc<CachedKek>>>,
    sealing: HashMap<TenantId, Timed<KekId>>,
    /// Tenants that were fenced in this process's life. Their uids never come back.
    fenced: HashSet<TenantId>,
    held: HashMap<u64, Held>,
    registrations: u64,
}

pub(crate) struct Vault {
    clock: Arc<dyn Clock>,
    identity: KeyStoreIdentity,
    lease: Duration,
    /// Boot-clock nanoseconds; 0 is no lease. Outside the lock, as every use of a held value looks at it.
    lease_until_ns: AtomicU64,
    state: Mutex<State>,
}

impl Vault {
    pub(crate) fn new(clock: Arc<dyn Clock>, identity: KeyStoreIdentity, lease: Duration) -> Self {
        Self {
            clock,
            identity,
            lease,
            lease_until_ns: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lease_until(&self) -> Duration {
        Duration::from_nanos(self.lease_until_ns.load(Ordering::SeqCst))
    }

    /// Whether keys may be used now.
    pub(crate) fn lease_lasts(&self) -> bool {
        self.clock.boot() < self.lease_until()
    }

    pub(crate) fn lease_state(&self) -> LeaseState {
        let state = self.lock();
        let remaining = self.lease_until().checked_sub(self.clock.boot());
        LeaseState {
            remaining: remaining.filter(|left| !left.is_zero()),
            epoch: state.epoch.unwrap_or(Epoch(0)),
            fence: state.fence,
            failure: state.failure.clone(),
        }
    }

    /// Epoch and fence to acknowledge.
    pub(crate) fn acknowledged(&self) -> (Epoch, u64) {
        let state = self.lock();
        (state.epoch.unwrap_or(Epoch(0)), state.fence)
    }

    /// Whether the tenant's keys may be used now.
    pub(crate) fn check(&self, tenant: TenantId) -> Result<(), KeysError> {
        if !self.lease_lasts() {
            return Err(KeysError::LeaseEnded);
        }
        if self.lock().fenced.contains(&tenant) {
            return Err(KeysError::TenantFenced { tenant });
        }
        Ok(())
    }

    /// Takes note that key material is about to be read.
    pub(crate) fn begin_load(&self) -> Result<Ticket, KeysError> {
        let sent = self.clock.boot();
        if self.lease_lasts() {
            Ok(Ticket {
                era: self.lock().era,
                sent,
            })
        } else {
            Err(KeysError::LeaseEnded)
        }
    }

    pub(crate) fn node(&self, place: Place) -> Option<Arc<Node>> {
        let now = self.clock.boot();
        let state = self.lock();
        state
            .nodes
            .get(&place)
            .filter(|node| now < node.until)
            .map(|node| node.value.clone())
    }

    pub(crate) fn put_node(
        &self,
        ticket: Ticket,
        place: Place,
        node: Node,
    ) -> Result<Arc<Node>, Stale> {
        let mut state = self.lock();
        if ticket.era != state.era {
            return Err(Stale);
        }
        let value = Arc::new(node);
        state.nodes.insert(
            place,
            Timed {
                value: value.clone(),
                until: ticket.sent + NODE_LIFE - TICK,
            },
        );
        Ok(value)
    }

    /// Forgets a node that the store has superseded or that opens nothing.
    pub(crate) fn forget_node(&self, place: Place) {
        self.lock().nodes.remove(&place);
    }

    pub(crate) fn kek(&self, kek_id: KekId) -> Option<Arc<CachedKek>> {
        let now = self.clock.boot();
        let state = self.lock();
        state
            .keks
            .get(&kek_id)
            .filter(|kek| now < kek.until)
            .map(|kek| kek.value.clone())
    }

    pub(crate) fn put_kek(&self, ticket: Ticket, kek: CachedKek) -> Result<Arc<CachedKek>, Stale> {
        let mut state = self.lock();
        if ticket.era != state.era || state.fenced.contains(&kek.tenant) {
            return Err(Stale);
        }
        make_room(&mut state.keks);
        let value = Arc::new(kek);
        let until = ticket.sent + self.lease - TICK;
        state.keks.insert(
            value.info.kek_id,
            Timed {
                value: value.clone(),
                until,
            },
        );
        Ok(value)
    }

    pub(crate) fn sealing(&self, tenant: TenantId) -> Option<KekId> {
        let now = self.clock.boot();
        let state = self.lock();
        state
            .sealing
            .get(&tenant)
            .filter(|kek| now < kek.until)
            .map(|kek| kek.value)
    }

    pub(crate) fn put_sealing(&self, ticket: Ticket, tenant: TenantId, kek_id: KekId) {
        let mut state = self.lock();
        if ticket.era == state.era {
            make_room(&mut state.sealing);
            state.sealing.insert(
                tenant,
                Timed {
                    value: kek_id,
                    until: ticket.sent + self.lease - TICK,
                },
            );
        }
    }

    /// Forgets what a rotation has made outdated.
    pub(crate) fn forget_keks(&self, tenant: TenantId) {
        let mut state = self.lock();
        state.sealing.remove(&tenant);
        state.keks.retain(|_, kek| kek.value.tenant != tenant);
    }

    pub(crate) fn register(&self, tenant: TenantId, slot: Arc<dyn End>) -> u64 {
        let mut state = self.lock();
        state.registrations += 1;
        let registration = state.registrations;
        if state.closed || state.fenced.contains(&tenant) || !self.lease_lasts() {
            drop(state);
            slot.end();
        } else {
            state.held.insert(registration, Held { tenant, slot });
        }
        registration
    }

    pub(crate) fn unregister(&self, registration: u64) {
        let held = self.lock().held.remove(&registration);
        drop(held);
    }

    /// Applies what a renewal sent at `sent` answered: drops first, extends the lease last.
    pub(crate) fn renewed(&self, sent: Duration, renewed: &Renewed) -> Result<Applied, KeysError> {
        if let Err(refusal) = self.check_store(renewed) {
            self.lose(refusal.clone().into());
            return Err(refusal.into());
        }
        let mut dropped = Dropped::default();
        let mut state = self.lock();
        let moved = state.epoch.is_some_and(|seen| renewed.epoch > seen);
        if moved {
            dropped.add(state.drop_cached());
        }
        for fence in &renewed.fences {
            match fence.scope {
                FenceScope::Tenant(tenant) => dropped.add(state.fence_tenant(tenant)),
                FenceScope::Nodes => dropped.add(state.drop_cached()),
            }
            state.fence = state.fence.max(fence.fence);
        }
        // A short answer is a complete one, whatever the last number is.
        if renewed.fences.len() < crate::store::FENCES_PER_RENEWAL {
            state.fence = state.fence.max(renewed.fence);
        }
        let first = state.epoch.replace(renewed.epoch).is_none();
        let behind = state.fence < renewed.fence;
        if !behind && !state.closed {
            let until = self.lease_until().max(sent + self.lease);
            let until_ns = u64::try_from(until.as_nanos()).unwrap_or(0);
            self.lease_until_ns.store(until_ns, Ordering::SeqCst);
            state.failure = None;
        }
        drop(state);
        let acknowledge = behind || moved || first || !renewed.fences.is_empty();
        dropped.end();
        Ok(if acknowledge {
            Applied::Acknowledge
        } else {
            Applied::Extended
        })
    }

    fn check_store(&self, renewed: &Renewed) -> Result<(), Refusal> {
        let state = self.lock();
        if renewed.identity != self.identity {
            return Err(Refusal::IdentityMismatch {
                expected: self.identity,
                found: renewed.identity,
            });
        }
        let seen = state.epoch.unwrap_or(Epoch(0));
        if renewed.epoch < seen {
            return Err(Refusal::EpochRolledBack {
                seen,
                found: renewed.epoch,
            });
        }
        if renewed.fence < state.fence {
            return Err(Refusal::FenceRolledBack {
                seen: state.fence,
                found: renewed.fence,
            });
        }
        Ok(())
    }

    /// Takes note of a renewal that did not come about; the lease runs on to its end.
    pub(crate) fn not_renewed(&self, failure: KeysError) {
        self.lock().failure = Some(failure);
    }

    /// Ends the lease at once.
    pub(crate) fn lose(&self, failure: KeysError) {
        self.drop_all();
        self.lock().failure = Some(failure);
    }

    /// Ends the lease for good.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.drop_all();
    }

    fn drop_all(&self) {
        self.lease_until_ns.store(0, Ordering::SeqCst);
        let mut state = self.lock();
        let mut dropped = state.drop_cached();
        dropped
            .held
            .extend(state.held.drain().map(|(_, held)| held));
        drop(state);
        dropped.end();
    }

    /// Drops nodes and KEKs, which the root's move has superseded; streams keep what they hold.
    pub(crate) fn forget_tree(&self) {
        let dropped = self.lock().drop_cached();
        dropped.end();
    }

    /// When the timer must look again.
    pub(crate) fn next_sweep(&self) -> Duration {
        let (now, until) = (self.clock.boot(), self.lease_until());
        if now < until {
            until.min(now + TICK)
        } else {
            now + TICK
        }
    }

    /// Drops what has reached its limit; everything when the lease has run out.
    pub(crate) fn sweep(&self) {
        let now = self.clock.boot();
        if now >= self.lease_until() {
            self.drop_all();
            return;
        }
        let mut state = self.lock();
        state.nodes.retain(|_, node| now < node.until);
        state.keks.retain(|_, kek| now < kek.until);
        state.sealing.retain(|_, kek| now < kek.until);
    }

    /// Nodes, KEKs and held values that are in memory.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn population(&self) -> (usize, usize, usize) {
        let state = self.lock();
        (state.nodes.len(), state.keks.len(), state.held.len())
    }
}

/// What was taken out of the vault under its lock, to be wiped after unlocking.
#[derive(Default)]
struct Dropped {
    nodes: Vec<Arc<Node>>,
    keks: Vec<Arc<CachedKek>>,
    held: Vec<Held>,
}

impl Dropped {
    fn add(&mut self, other: Self) {
        self.nodes.extend(other.nodes);
        self.keks.extend(other.keks);
        self.held.extend(other.held);
    }

    fn end(self) {
        for held in &self.held {
            held.slot.end();
        }
    }
}

impl State {
    /// Nodes and KEKs; streams keep what they hold.
    fn drop_cached(&mut self) -> Dropped {
        self.era += 1;
        self.sealing.clear();
        Dropped {
            nodes: self.nodes.drain().map(|(_, node)| node.value).collect(),
            keks: self.keks.drain().map(|(_, kek)| kek.value).collect(),
            held: Vec::new(),
        }
    }

    fn fence_tenant(&mut self, tenant: TenantId) -> Dropped {
        self.fenced.insert(tenant);
        self.sealing.remove(&tenant);
        Dropped {
            nodes: Vec::new(),
            keks: self
                .keks
                .extract_if(|_, kek| kek.value.tenant == tenant)
                .map(|(_, kek)| kek.value)
                .collect(),
            held: self
                .held
                .extract_if(|_, held| held.tenant == tenant)
                .map(|(_, held)| held)
                .collect(),
        }
    }
}

fn make_room<K: Copy + Eq + std::hash::Hash, V>(entries: &mut HashMap<K, V>) {
    if entries.len() >= KEKS_MAX
        && let Some(any) = entries.keys().next().copied()
    {
        entries.remove(&any);
    }
}

#[cfg(test)]
mod tests;
