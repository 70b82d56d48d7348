//! A region store that fails as it is told to, around a real one.

mod calls;
mod streams;
#[cfg(test)]
mod tests;

use super::{ObjectLock, RegionError, RegionProfile, RegionStore};
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A call of [`RegionStore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the method of its name")]
pub enum Op {
    CreateBucket,
    DeleteBucket,
    BucketExists,
    Versioning,
    SetVersioning,
    Put,
    Get,
    Head,
    Delete,
    Copy,
    List,
    ListVersions,
    CreateUpload,
    UploadPart,
    UploadPartCopy,
    CompleteUpload,
    AbortUpload,
    ListParts,
    UploadsAt,
    Tags,
    SetTags,
    LockConfiguration,
    SetLockConfiguration,
    ObjectLock,
    SetRetention,
    SetLegalHold,
    Lifecycle,
    SetLifecycle,
    Ping,
}

impl Op {
    fn name(self) -> &'static str {
        match self {
            Self::CreateBucket => "create_bucket",
            Self::DeleteBucket => "delete_bucket",
            Self::BucketExists => "bucket_exists",
            Self::Versioning => "versioning",
            Self::SetVersioning => "set_versioning",
            Self::Put => "put",
            Self::Get => "get",
            Self::Head => "head",
            Self::Delete => "delete",
            Self::Copy => "copy",
            Self::List => "list",
            Self::ListVersions => "list_versions",
            Self::CreateUpload => "create_upload",
            Self::UploadPart => "upload_part",
            Self::UploadPartCopy => "upload_part_copy",
            Self::CompleteUpload => "complete_upload",
            Self::AbortUpload => "abort_upload",
            Self::ListParts => "list_parts",
            Self::UploadsAt => "uploads_at",
            Self::Tags => "tags",
            Self::SetTags => "set_tags",
            Self::LockConfiguration => "lock_configuration",
            Self::SetLockConfiguration => "set_lock_configuration",
            Self::ObjectLock => "object_lock",
            Self::SetRetention => "set_retention",
            Self::SetLegalHold => "set_legal_hold",
            Self::Lifecycle => "lifecycle",
            Self::SetLifecycle => "set_lifecycle",
            Self::Ping => "ping",
        }
    }
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// [`RegionError::Unavailable`]; the store was not asked.
    Failed,
    /// [`RegionError::Refused`]; the store was not asked.
    Refused,
    /// [`RegionError::Unknown`]; the store was not asked.
    Lost,
    /// The store does it, and the answer is [`RegionError::Unknown`].
    FailedButPersisted,
    /// No answer, ever; the store was not asked.
    Hangs,
    /// The store does it, and no answer comes, ever.
    HangsButPersisted,
    /// The connection breaks after this many bytes of the body. A read's stream ends with an error; of a write nothing
    /// is stored and the outcome is [`RegionError::Unknown`]. Other calls are [`Fault::Lost`].
    ClosesMidBody {
        /// Bytes let through.
        after_bytes: u64,
    },
    /// A read's stream has this many bytes more (zeros) or less than announced, and ends cleanly; heads and listings
    /// tell lengths that are wrong by as much. Other calls are done as they should be.
    WrongLength {
        /// How many.
        by_bytes: i64,
    },
    /// Bit 0 of one byte of the body is flipped, on its way out of a read or into a write. Other calls are done as
    /// they should be.
    FlippedByte {
        /// Which byte, from the first of this body; nothing is flipped past its end.
        at: u64,
    },
}

#[derive(Clone, Copy, Debug)]
struct Rule {
    op: Op,
    /// The first call that fails, from 1.
    from: u64,
    calls: u64,
    fault: Fault,
}

type Hook = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

#[derive(Default)]
struct Plan {
    rules: Vec<Rule>,
    hooks: Vec<(Op, u64, Hook)>,
    calls: HashMap<Op, u64>,
    lock: Option<ObjectLock>,
    cut: Option<Cut>,
}

/// Where everything ends: how many calls go before, whether the one there is carried out, and what else ends then.
struct Cut {
    calls: u64,
    persisted: bool,
    ends: Option<Box<dyn FnOnce() + Send>>,
}

impl Cut {
    fn next(&mut self) -> Option<Fault> {
        match self.calls.checked_sub(1) {
            Some(left) => {
                self.calls = left;
                None
            }
            None => {
                if let Some(ends) = self.ends.take() {
                    ends();
                }
                let persisted = std::mem::take(&mut self.persisted);
                Some(if persisted {
                    Fault::FailedButPersisted
                } else {
                    Fault::Lost
                })
            }
        }
    }
}

/// A region store with faults by operation and count. Clones share faults and counts.
#[derive(Clone)]
pub struct FaultyStore {
    inner: Arc<dyn RegionStore>,
    plan: Arc<Mutex<Plan>>,
    /// What the store says that it can do, where that is not the truth.
    profile: Option<Arc<RegionProfile>>,
}

impl FaultyStore {
    /// Wraps a store, at first without faults.
    #[must_use]
    pub fn new(inner: Arc<dyn RegionStore>) -> Self {
        Self {
            inner,
            plan: Arc::default(),
            profile: None,
        }
    }

    /// Claims to be another kind of store.
    #[must_use]
    pub fn claiming(mut self, change: impl FnOnce(&mut RegionProfile)) -> Self {
        let mut profile = self.profile().clone();
        change(&mut profile);
        self.profile = Some(Arc::new(profile));
        self
    }

    /// The next call of `op` fails.
    pub fn fail_next(&self, op: Op, fault: Fault) {
        self.fail(op, 1, 1, fault);
    }

    /// `calls` calls of `op` fail, the first of them being the `nth` (from 1) after this.
    pub fn fail(&self, op: Op, nth: u64, calls: u64, fault: Fault) {
        let mut plan = self.plan();
        let from = plan.calls.get(&op).copied().unwrap_or(0) + nth;
        plan.rules.push(Rule {
            op,
            from,
            calls,
            fault,
        });
    }

    /// Every call of `op` fails until [`Self::heal`].
    pub fn fail_always(&self, op: Op, fault: Fault) {
        self.fail(op, 1, u64::MAX, fault);
    }

    /// Runs `hook` before the `nth` call (from 1) of `op` after this reaches the store.
    pub fn before<F>(&self, op: Op, nth: u64, hook: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut plan = self.plan();
        let at = plan.calls.get(&op).copied().unwrap_or(0) + nth;
        let hook: Hook = Box::new(move || Box::pin(hook()));
        plan.hooks.push((op, at, hook));
    }

    /// Every version has this lock from now on, whatever the store says; any retention that is set takes the place of this one's.
    pub fn tell_lock(&self, lock: ObjectLock) {
        self.plan().lock = Some(lock);
    }

    /// After so many more calls of any operation, every call is lost, the first of them carried out or not: as for a process that is
    /// killed there. `ends` is run then, and must not call the store.
    pub fn cut_after(&self, calls: u64, persisted: bool, ends: impl FnOnce() + Send + 'static) {
        self.plan().cut = Some(Cut {
            calls,
            persisted,
            ends: Some(Box::new(ends)),
        });
    }

    /// Removes all faults.
    pub fn heal(&self) {
        let mut plan = self.plan();
        plan.rules.clear();
        plan.cut = None;
    }

    /// How often `op` was called.
    #[must_use]
    pub fn calls(&self, op: Op) -> u64 {
        self.plan().calls.get(&op).copied().unwrap_or(0)
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call and runs what waits for it; the fault that it meets.
    async fn meet(&self, op: Op) -> Option<Fault> {
        let (fault, hook) = self.count(op);
        if let Some(hook) = hook {
            hook().await;
        }
        fault
    }

    fn count(&self, op: Op) -> (Option<Fault>, Option<Hook>) {
        let mut plan = self.plan();
        let count = plan.calls.entry(op).or_default();
        *count += 1;
        let count = *count;
        let fault = plan
            .rules
            .iter()
            .find(|rule| rule.op == op && count >= rule.from && count - rule.from < rule.calls)
            .map(|rule| rule.fault);
        let cut = plan.cut.as_mut().and_then(Cut::next);
        let fault = cut.or(fault);
        let due = plan
            .hooks
            .iter()
            .position(|(wanted, at, _)| *wanted == op && *at == count);
        let hook = due.map(|index| plan.hooks.swap_remove(index).2);
        (fault, hook)
    }

    /// Makes a call without a body, with the fault that it meets.
    async fn call<T>(
        &self,
        op: Op,
        call: impl Future<Output = Result<T, RegionError>> + Send,
    ) -> Result<T, RegionError> {
        let fault = self.meet(op).await;
        with_fault(op, fault, call).await
    }
}

async fn with_fault<T>(
    op: Op,
    fault: Option<Fault>,
    call: impl Future<Output = Result<T, RegionError>> + Send,
) -> Result<T, RegionError> {
    match fault {
        None | Some(Fault::WrongLength { .. } | Fault::FlippedByte { .. }) => call.await,
        Some(Fault::Failed) => Err(RegionError::Unavailable {
            operation: op.name(),
            reason: "injected".to_owned(),
        }),
        Some(Fault::Refused) => Err(RegionError::Refused {
            operation: op.name(),
            status: 403,
            code: "AccessDenied".to_owned(),
        }),
        Some(Fault::Lost | Fault::ClosesMidBody { .. }) => Err(unknown(op)),
        Some(Fault::FailedButPersisted) => {
            call.await?;
            Err(unknown(op))
        }
        Some(Fault::Hangs) => std::future::pending().await,
        Some(Fault::HangsButPersisted) => {
            call.await?;
            std::future::pending().await
        }
    }
}

fn unknown(op: Op) -> RegionError {
    RegionError::Unknown {
        operation: op.name(),
        reason: "injected".to_owned(),
    }
}

fn shift(bytes: u64, fault: Option<Fault>) -> u64 {
    match fault {
        Some(Fault::WrongLength { by_bytes }) => bytes.saturating_add_signed(by_bytes),
        _ => bytes,
    }
}
