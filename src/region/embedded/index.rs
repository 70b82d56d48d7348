//! The index's database: reads from any thread, writes by one thread that commits what has queued up together.

use super::super::RegionError;
use super::bodies::{BodyFiles, PendingFile};
use super::ids::Id;
use super::rows::TxError;
use super::steps::{IndexFile, Steps};
use super::tables::{ReadTables, WriteTables};
use redb::{CommitError, Database, DatabaseError, ReadableDatabase};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Writes that wait for the writer at most; more wait for room, within their deadline.
const QUEUE_LEN: usize = 1024;
/// How often the index is tried to be opened again at once after an I/O error.
const REOPEN_TRIES: u32 = 10;
const REOPEN_PAUSE: Duration = Duration::from_millis(20);
/// Writes in one commit at most.
const BATCH_LEN: usize = 256;

/// How to open the database.
#[derive(Debug)]
pub(super) struct IndexSettings {
    pub(super) path: PathBuf,
    pub(super) cache_bytes: usize,
    pub(super) steps: Steps,
}

impl IndexSettings {
    /// Opens the database; `new` makes it, and otherwise it must be there.
    pub(super) fn database(&self, new: bool) -> Result<Database, DatabaseError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(new)
            // It holds object keys in clear.
            .mode(0o600)
            .open(&self.path)?;
        redb::Builder::new()
            .set_cache_size(self.cache_bytes)
            .create_with_backend(IndexFile::new(file, self.steps.clone())?)
    }
}

/// The database while it works; after an I/O error it is away until it could be opened again.
pub(super) struct Opened(RwLock<Option<Arc<Database>>>);

impl Opened {
    pub(super) fn new(database: Database) -> Self {
        Self(RwLock::new(Some(Arc::new(database))))
    }

    fn database(&self) -> Option<Arc<Database>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, database: Option<Database>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = database.map(Arc::new);
    }

    pub(super) fn is_away(&self) -> bool {
        self.database().is_none()
    }

    /// The index as it is now. Blocks on the disk.
    pub(super) fn read(&self) -> Result<ReadTables, TxError> {
        let database = self.database().ok_or_else(away)?;
        ReadTables::open(&database.begin_read()?)
    }

    /// Closes the database, as far as no reader is at it.
    pub(super) fn close(&self) {
        self.set(None);
    }
}

fn away() -> TxError {
    TxError::Index("the index is closed after an I/O error: look at its disk".to_owned())
}

/// What became of a batch.
enum Fate {
    /// It is durable; these body files are let go of.
    Committed(Vec<Id>),
    /// Nothing of it is there.
    Aborted(String),
    /// It may be there when the index is opened again.
    Unknown(String),
}

trait Job: Send {
    /// Makes the change in the transaction. An error spoils the whole transaction.
    fn apply(&mut self, tables: &mut WriteTables<'_>) -> Result<(), String>;
    /// Whether the change was refused, so that this job left the transaction as it was.
    fn refused(&self) -> bool;
    /// Answers the caller.
    fn finish(self: Box<Self>, fate: &Fate);
}

type Answer<T> = Result<T, RegionError>;

struct Change<T, F> {
    operation: &'static str,
    work: Option<F>,
    result: Option<Answer<T>>,
    file: Option<PendingFile>,
    answer: oneshot::Sender<Answer<T>>,
}

impl<T, F> Job for Change<T, F>
where
    T: Send,
    F: FnOnce(&mut WriteTables<'_>) -> Result<T, TxError> + Send,
{
    fn apply(&mut self, tables: &mut WriteTables<'_>) -> Result<(), String> {
        let Some(work) = self.work.take() else {
            return Ok(());
        };
        self.result = Some(match work(tables) {
            Ok(done) => Ok(done),
            Err(TxError::Refused(error)) => Err(error),
            Err(TxError::Index(reason)) => return Err(reason),
        });
        Ok(())
    }

    fn refused(&self) -> bool {
        matches!(self.result, Some(Err(_)))
    }

    fn finish(self: Box<Self>, fate: &Fate) {
        let Self {
            operation,
            result,
            file,
            answer,
            ..
        } = *self;
        let refused = matches!(result, Some(Err(_)));
        let unavailable = |reason: &String| RegionError::Unavailable {
            operation,
            reason: reason.clone(),
        };
        let (result, stays) = match (fate, result) {
            (Fate::Committed(_), Some(result)) => {
                let stays = result.is_ok();
                (result, stays)
            }
            (Fate::Committed(_), None) => (
                Err(unavailable(&"the write was not tried".to_owned())),
                false,
            ),
            (Fate::Aborted(reason), _) => (Err(unavailable(reason)), false),
            // What refused it may be undone now, so the refusal is no answer; but this job did nothing.
            (Fate::Unknown(reason), _) if refused => (Err(unavailable(reason)), false),
            (Fate::Unknown(reason), _) => {
                let reason = reason.clone();
                (Err(RegionError::Unknown { operation, reason }), true)
            }
        };
        match file {
            Some(file) if stays => file.stay(),
            other => drop(other),
        }
        let _ = answer.send(result);
    }
}

/// The way to the writer's thread.
#[derive(Clone)]
pub(super) struct IndexQueue {
    queue: mpsc::Sender<Box<dyn Job>>,
    deadline: Duration,
}

impl IndexQueue {
    /// Makes a change together with what else is waiting, and returns when it is durable.
    ///
    /// `file` is the body file that the change puts into the index: it stays if the change does.
    pub(super) async fn change<T: Send + 'static>(
        &self,
        operation: &'static str,
        file: Option<PendingFile>,
        work: impl FnOnce(&mut WriteTables<'_>) -> Result<T, TxError> + Send + 'static,
    ) -> Result<T, RegionError> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(Change {
            operation,
            work: Some(work),
            result: None,
            file,
            answer,
        });
        let unavailable = |reason: &str| RegionError::Unavailable {
            operation,
            reason: reason.to_owned(),
        };
        tokio::time::timeout(self.deadline, self.queue.send(job))
            .await
            .map_err(|_| unavailable("too many writes wait for the index"))?
            .map_err(|_| unavailable("the index's writer has ended"))?;
        tokio::time::timeout(self.deadline, answered)
            .await
            .map_err(|_| RegionError::Unknown {
                operation,
                reason: "the index took too long".to_owned(),
            })?
            .map_err(|_| RegionError::Unknown {
                operation,
                reason: "the index's writer has ended".to_owned(),
            })?
    }
}

impl IndexQueue {
    /// [`Self::change`] without a body file, from a thread of the store's own, which may wait.
    pub(super) fn change_blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut WriteTables<'_>) -> Result<T, TxError> + Send + 'static,
    ) -> Result<T, RegionError> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(Change {
            operation,
            work: Some(work),
            result: None,
            file: None,
            answer,
        });
        let unavailable = |_| RegionError::Unavailable {
            operation,
            reason: "the index's writer has ended".to_owned(),
        };
        self.queue.blocking_send(job).map_err(unavailable)?;
        answered.blocking_recv().map_err(|_| RegionError::Unknown {
            operation,
            reason: "the index's writer has ended".to_owned(),
        })?
    }
}

/// The thread that writes.
pub(super) struct Writer {
    queue: mpsc::Receiver<Box<dyn Job>>,
    opened: Arc<Opened>,
    settings: IndexSettings,
    bodies: Arc<BodyFiles>,
}

impl Writer {
    pub(super) fn new(
        opened: Arc<Opened>,
        settings: IndexSettings,
        bodies: Arc<BodyFiles>,
        deadline: Duration,
    ) -> (Self, IndexQueue) {
        let (sender, queue) = mpsc::channel(QUEUE_LEN);
        let writer = Self {
            queue,
            opened,
            settings,
            bodies,
        };
        let queue = IndexQueue {
            queue: sender,
            deadline,
        };
        (writer, queue)
    }

    /// Works until nobody can ask any more.
    pub(super) fn run(mut self) {
        while let Some(first) = self.queue.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH_LEN {
                match self.queue.try_recv() {
                    Ok(job) => batch.push(job),
                    Err(_) => break,
                }
            }
            let fate = self.commit(&mut batch);
            if !matches!(fate, Fate::Committed(_)) {
                // Before any file of the batch leaves the writes in flight: see `Reaper::remove_unnamed`.
                self.opened.close();
                self.reopen();
            }
            for job in batch {
                job.finish(&fate);
            }
            if let Fate::Committed(dead) = fate {
                self.bodies.reap(dead);
            }
        }
    }

    /// Opens the database at once after an I/O error: reads must not wait for a write that may come much later, or fail again, as on a
    /// full disk. Where it can't be opened now, the next write tries again.
    ///
    /// After a sync that failed, Linux may count pages as written that the disk never got; they can be read all the same. Nothing that is
    /// told from then on rests on them. A commit syncs its pages before the header names them (`commit_batch`): if that sync fails, they
    /// belong to nothing. Only the header itself may be such a page, and opening the database writes and syncs it, or fails.
    /// `tests/power.rs` has a disk like that.
    fn reopen(&self) {
        for _ in 0..REOPEN_TRIES {
            match self.database() {
                Ok(_) => return,
                // A reader may still be at the closed one.
                Err(_) => std::thread::sleep(REOPEN_PAUSE),
            }
        }
        tracing::warn!(
            op = "index",
            outcome = "closed",
            "the index can't be opened again; the next write tries"
        );
    }

    /// The database, opened again if an I/O error closed it.
    fn database(&self) -> Result<Arc<Database>, String> {
        if self.opened.is_away() {
            let database = self.settings.database(false).map_err(|error| {
                format!("the index can't be opened again, look at its disk: {error}")
            })?;
            tracing::warn!(op = "index", outcome = "opened again after an I/O error");
            self.opened.set(Some(database));
        }
        self.opened
            .database()
            .ok_or_else(|| "the index is closed".to_owned())
    }

    fn commit(&self, batch: &mut [Box<dyn Job>]) -> Fate {
        match self.database() {
            Ok(database) => commit_batch(&database, batch),
            Err(reason) => Fate::Aborted(reason),
        }
    }
}

fn commit_batch(database: &Database, batch: &mut [Box<dyn Job>]) -> Fate {
    let mut transaction = match database.begin_write() {
        Ok(transaction) => transaction,
        Err(error) => return Fate::Aborted(format!("the index failed: {error}")),
    };
    // Which also syncs twice, the second time with the header alone: `Writer::reopen` relies on it.
    transaction.set_quick_repair(true);
    let applied = WriteTables::open(&transaction)
        .map_err(|error| error.into_region("index").to_string())
        .and_then(|mut tables| {
            for job in batch.iter_mut() {
                job.apply(&mut tables)?;
            }
            Ok(tables.into_dead())
        });
    match applied {
        Err(reason) => {
            let _ = transaction.abort();
            Fate::Aborted(reason)
        }
        Ok(_) if batch.iter().all(|job| job.refused()) => match transaction.abort() {
            Ok(()) => Fate::Committed(Vec::new()),
            Err(error) => Fate::Aborted(format!("the index failed: {error}")),
        },
        Ok(dead) => match transaction.commit() {
            Ok(()) => Fate::Committed(dead),
            Err(CommitError::TransactionPoisoned) => {
                Fate::Aborted("the index failed before the commit".to_owned())
            }
            Err(error) => Fate::Unknown(format!("the index's commit failed: {error}")),
        },
    }
}
