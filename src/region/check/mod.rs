//! `region check`: what an upstream really does, found by trying, before a tenant's first object goes there.
//!
//! It makes up to four buckets of its own, races conditional writes on them, stores odd keys, and deletes everything again,
//! also when something fails on the way.

mod bench;
mod capacity;
mod conditions;
mod keys;
mod lifecycle;
mod locks;
#[cfg(test)]
mod tests;
mod version_pages;

use crate::region::{ConnectError, KeyRules, RegionError, RegionProfile, S3Store, UpstreamConfig};
use bench::Bench;
use std::fmt;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// What the gateway may ask of the store.
    pub profile: RegionProfile,
    /// Why the store can't be a region: one sentence each, empty when it can.
    pub missing: Vec<String>,
    /// What the operator should know and the gateway can live with.
    pub notes: Vec<String>,
}

/// Why a check ended without a report.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The configuration can't be used.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The store did not answer well enough to tell what it can do.
    #[error("the check could not go on: {0}")]
    Region(#[from] RegionError),
    /// No randomness for the names of the check's buckets.
    #[error("no randomness from the operating system")]
    Random,
}

/// What a check is about to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckStep {
    /// Reads, ranges, lists and conditional reads.
    Basics,
    /// Deleting a bucket that holds an object.
    FullBucket,
    /// Raced conditional PUT.
    ConditionalPut,
    /// Raced conditional CompleteMultipartUpload.
    ConditionalComplete,
    /// Raced conditional CopyObject.
    ConditionalCopy,
    /// Raced conditional DeleteObject.
    ConditionalDelete,
    /// Keys that stores like to change.
    Keys,
    /// Sizes and numbers of parts.
    Parts,
    /// Room beside an object's bytes.
    Metadata,
    /// Tags, checksums, versions.
    Features,
    /// Object lock, on a bucket of its own.
    ObjectLock,
    /// Lifecycle rules, as far as a moment can tell.
    Lifecycle,
    /// Deleting what the check made.
    Cleanup,
}

impl fmt::Display for CheckStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basics => "reads and lists",
            Self::FullBucket => "deleting a full bucket",
            Self::ConditionalPut => "conditional PUT, raced",
            Self::ConditionalComplete => "conditional CompleteMultipartUpload, raced",
            Self::ConditionalCopy => "conditional CopyObject, raced",
            Self::ConditionalDelete => "conditional DeleteObject, raced",
            Self::Keys => "object keys",
            Self::Parts => "parts of multipart uploads",
            Self::Metadata => "metadata",
            Self::Features => "tags, checksums and versions",
            Self::ObjectLock => "object lock",
            Self::Lifecycle => "lifecycle rules",
            Self::Cleanup => "cleaning up",
        })
    }
}

/// Sentences as they are found.
#[derive(Default)]
struct Findings {
    missing: Vec<String>,
    notes: Vec<String>,
}

impl Findings {
    fn require(&mut self, holds: bool, sentence: &str) {
        if !holds {
            self.missing.push(sentence.to_owned());
        }
    }

    fn note(&mut self, holds: bool, sentence: &str) {
        if !holds {
            self.notes.push(sentence.to_owned());
        }
    }
}

/// Finds out what an upstream can do. `progress` is called before each step.
///
/// # Errors
/// [`CheckError`] when the store can't be reached or stops answering; what it lacks is in the report instead.
pub async fn check_region(
    config: UpstreamConfig,
    progress: &(dyn Fn(CheckStep) + Send + Sync),
) -> Result<CheckReport, CheckError> {
    let store = S3Store::connect(config, assumed()).await?;
    let mut random = [0; 6];
    getrandom::fill(&mut random).map_err(|_| CheckError::Random)?;
    let plain = Bench::new(store, &hex::encode(random));
    let probed = match plain.open().await {
        Ok(()) => probe(&plain, progress).await,
        Err(error) => Err(error.into()),
    };
    progress(CheckStep::Cleanup);
    let cleaned = plain.clean_up().await;
    let mut report = probed?;
    if let Err(error) = cleaned {
        report.notes.push(format!(
            "the check's buckets {} could not all be deleted ({error}); delete them by hand",
            plain.bucket_names().join(", ")
        ));
    }
    Ok(report)
}

/// Everything, so that nothing is held back while trying.
pub(crate) fn assumed() -> RegionProfile {
    RegionProfile {
        conditional_put: true,
        conditional_complete: true,
        conditional_copy: true,
        conditional_delete: true,
        equal_parts: false,
        versioning: true,
        tagging: true,
        keys: KeyRules::all(),
        put_checksum: false,
        put_checksum_trailer: false,
        object_lock: false,
        object_lock_copy: false,
        lifecycle: std::collections::BTreeSet::new(),
        content_disposition_bytes_max: 0,
        user_metadata_bytes_max: 0,
        version_paging: None,
    }
}

async fn probe(
    bench: &Bench,
    progress: &(dyn Fn(CheckStep) + Send + Sync),
) -> Result<CheckReport, CheckError> {
    let mut findings = Findings::default();
    let mut profile = assumed();
    progress(CheckStep::Basics);
    capacity::basics(bench, &mut findings).await?;
    progress(CheckStep::FullBucket);
    capacity::full_buckets(bench, &mut findings).await?;
    race(bench, &mut profile, &mut findings, progress).await?;
    progress(CheckStep::Keys);
    profile.keys = keys::rules(bench, &mut findings).await?;
    progress(CheckStep::Parts);
    profile.equal_parts = capacity::equal_parts(bench, &mut findings).await?;
    progress(CheckStep::Metadata);
    profile.user_metadata_bytes_max = capacity::user_metadata(bench).await?;
    profile.content_disposition_bytes_max = capacity::content_disposition(bench).await?;
    capacity::judge_metadata(&profile, &mut findings);
    progress(CheckStep::Features);
    profile.tagging = capacity::tagging(bench).await?;
    profile.put_checksum = capacity::put_checksum(bench).await?;
    profile.versioning = capacity::versioning(bench).await?;
    if profile.versioning {
        let paging = version_pages::paging(bench, &mut findings).await?;
        profile.version_paging = Some(paging);
    }
    progress(CheckStep::ObjectLock);
    locks::probe(bench, &mut profile, &mut findings).await?;
    progress(CheckStep::Lifecycle);
    lifecycle::probe(bench, &mut profile, &mut findings).await?;
    findings.note(
        profile.conditional_complete,
        "conditional CompleteMultipartUpload is not atomic; conditional ones are answered with 501",
    );
    findings.note(
        profile.conditional_copy,
        "conditional CopyObject is not atomic; conditional ones are answered with 501",
    );
    findings.note(
        profile.conditional_delete,
        "conditional DeleteObject is not atomic; conditional ones are answered with 501",
    );
    Ok(CheckReport {
        profile,
        missing: findings.missing,
        notes: findings.notes,
    })
}

/// The raced steps, on keys of their own and all at once: most of their time is a store's writers waiting for a lock.
async fn race(
    bench: &Bench,
    profile: &mut RegionProfile,
    findings: &mut Findings,
    progress: &(dyn Fn(CheckStep) + Send + Sync),
) -> Result<(), RegionError> {
    for step in [
        CheckStep::ConditionalPut,
        CheckStep::ConditionalComplete,
        CheckStep::ConditionalCopy,
        CheckStep::ConditionalDelete,
    ] {
        progress(step);
    }
    let mut of_copies = Findings::default();
    // Each to its end, also when another failed: cleaning up must not meet late writers.
    let (put, complete, copy, delete) = futures::join!(
        conditions::put(bench, findings),
        conditions::complete(bench),
        conditions::copy(bench, &mut of_copies),
        conditions::delete(bench),
    );
    profile.conditional_put = put?;
    profile.conditional_complete = complete?;
    profile.conditional_copy = copy?;
    profile.conditional_delete = delete?;
    findings.missing.append(&mut of_copies.missing);
    findings.notes.append(&mut of_copies.notes);
    Ok(())
}

/// Tells a store that answers badly from one that does not answer: only the latter ends a check.
fn answered<T>(outcome: Result<T, RegionError>) -> Result<Option<T>, RegionError> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error @ RegionError::Unavailable { .. }) => Err(error),
        Err(_) => Ok(None),
    }
}
