//! Conditional writes, raced: of many writers that all may write only if they are first, one may win.

use super::bench::{Bench, NOBODY};
use super::{Findings, answered};
use crate::region::{
    CompletedPart, CopyRequest, DeleteRequest, HeadFields, ObjectRef, PutCondition, RegionError,
    RegionStore, SourceCondition, UpstreamUploadId,
};
use bytes::Bytes;
use futures::future::join_all;

const WRITERS: usize = 16;
const ROUNDS: usize = 6;
/// Bounds the connections and bytes that a check has open.
const ROUNDS_AT_ONCE: usize = 6;
/// SeaweedFS 4.48 lets two of sixteen win in some rounds only.
const COMPLETE_ROUNDS: usize = 16;
/// Moving some bytes takes a store a while, which is when another writer can come between.
const PUT_BYTES: usize = 128 << 10;
const COPY_BYTES: usize = 1 << 20;

/// How a race ended.
#[derive(Default)]
struct Tally {
    won: usize,
    lost: usize,
    /// Neither done nor refused: a store that is busy or does not know the condition.
    other: usize,
}

/// What a race says about the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Race {
    /// One writer won.
    Held,
    /// More than one did.
    Violated,
    /// Some writers can't tell, so that nobody can.
    Unclear,
}

/// Whether a race holds in all of `needed` rounds, with as many again to spare for unclear ones.
///
/// Rounds have keys of their own and run at the same time: stores that lock a key let its writers wait for seconds, and the
/// more that goes on, the more often writers come between one another.
async fn holds_always(
    needed: usize,
    race: impl AsyncFn(usize) -> Result<Race, RegionError>,
) -> Result<bool, RegionError> {
    let (mut held, mut next) = (0, 0);
    while held < needed && next < 2 * needed {
        let batch = (needed - held).min(ROUNDS_AT_ONCE).min(2 * needed - next);
        let rounds = join_all((next..next + batch).map(|round| race(round))).await;
        next += batch;
        for round in rounds {
            match round? {
                Race::Held => held += 1,
                Race::Violated => return Ok(false),
                Race::Unclear => {}
            }
        }
    }
    Ok(held >= needed)
}

impl Tally {
    fn of<T>(outcomes: &[Result<T, RegionError>]) -> Result<Self, RegionError> {
        let mut tally = Self::default();
        for outcome in outcomes {
            match outcome {
                Ok(_) => tally.won += 1,
                Err(
                    RegionError::PreconditionFailed { .. }
                    | RegionError::Conflict { .. }
                    | RegionError::NotFound { .. },
                ) => tally.lost += 1,
                Err(RegionError::Unavailable { operation, reason }) => {
                    return Err(RegionError::Unavailable {
                        operation,
                        reason: reason.clone(),
                    });
                }
                Err(_) => tally.other += 1,
            }
        }
        Ok(tally)
    }

    fn verdict(&self) -> Race {
        match (self.won, self.other) {
            (1, 0) if self.lost > 0 => Race::Held,
            (0 | 1, _) => Race::Unclear,
            _ => Race::Violated,
        }
    }
}

fn refused<T>(outcome: &Result<T, RegionError>) -> bool {
    matches!(
        outcome,
        Err(RegionError::PreconditionFailed { .. }
            | RegionError::Conflict { .. }
            | RegionError::NotFound { .. })
    )
}

/// Conditional PUT: first its meaning, one call after the other, then its atomicity.
pub(super) async fn put(bench: &Bench, findings: &mut Findings) -> Result<bool, RegionError> {
    let at = bench.at("conditions/put")?;
    let written = bench.put(&at, "first", PutCondition::Absent).await?;
    let again = bench.put(&at, "second", PutCondition::Absent).await;
    let absent = refused(&again) && bench.holds(&at, "first").await?;
    findings.require(
        absent,
        "PUT ignores If-None-Match: *, so two writers can both believe that they made an object",
    );
    let matching = PutCondition::Matches(written.etag);
    let right = answered(bench.put(&at, "third", matching.clone()).await)?.is_some();
    let wrong = bench.put(&at, "fourth", matching).await;
    let nowhere = bench.at("conditions/nowhere")?;
    let missing = bench.put(&nowhere, "x", PutCondition::Present).await;
    let matches = right && refused(&wrong) && refused(&missing);
    findings.require(
        matches,
        "PUT ignores If-Match or refuses the right ETag, so a writer can undo another's write unseen",
    );
    if !(absent && matches) {
        return Ok(false);
    }
    let absent = holds_always(ROUNDS, async |round| {
        let at = bench.at(&format!("conditions/put-{round}"))?;
        put_race(bench, &at, &PutCondition::Absent).await
    });
    let matches = holds_always(ROUNDS, async |round| {
        let at = bench.at(&format!("conditions/match-{round}"))?;
        // None of the writers' bytes, or two of them could rightly win.
        let etag = bench.put(&at, "old", PutCondition::Always).await?.etag;
        put_race(bench, &at, &PutCondition::Matches(etag)).await
    });
    let (absent, matches) = futures::join!(absent, matches);
    let (absent, matches) = (absent?, matches?);
    findings.require(
        absent,
        "PUT with If-None-Match: * does not let exactly one of several writers win",
    );
    findings.require(
        matches,
        "PUT with If-Match does not let exactly one of several writers win",
    );
    Ok(absent && matches)
}

fn long_text(writer: usize, bytes: usize) -> String {
    format!("{writer:>8}").repeat(bytes / 8)
}

/// Lets many writers write at once, and looks whether what is stored afterwards is what the winner wrote.
async fn put_race(
    bench: &Bench,
    at: &ObjectRef,
    condition: &PutCondition,
) -> Result<Race, RegionError> {
    let bodies: Vec<String> = (0..WRITERS)
        .map(|writer| long_text(writer, PUT_BYTES))
        .collect();
    let writes = bodies
        .iter()
        .map(|body| bench.put(at, body, condition.clone()));
    let outcomes = join_all(writes).await;
    let verdict = Tally::of(&outcomes)?.verdict();
    let winner = outcomes.iter().position(Result::is_ok);
    match winner.and_then(|winner| bodies.get(winner)) {
        Some(body) if verdict == Race::Held && !bench.holds(at, body).await? => Ok(Race::Violated),
        _ => Ok(verdict),
    }
}

/// Conditional Complete: many finished uploads of one key, one may become the object.
pub(super) async fn complete(bench: &Bench) -> Result<bool, RegionError> {
    holds_always(COMPLETE_ROUNDS, async |round| {
        // A directory of its own: stores that walk a tree are slowest, and most often wrong, with a new one.
        let at = bench.at(&format!("conditions/complete-{round}/object"))?;
        let writers =
            join_all((0..WRITERS).map(|writer| finished_upload(bench, &at, writer))).await;
        let Some(uploads) = answered(writers.into_iter().collect::<Result<Vec<_>, _>>())? else {
            return Ok(Race::Unclear);
        };
        let completions = uploads.iter().map(|(upload, part)| {
            let condition = &PutCondition::Absent;
            bench
                .store
                .complete_upload(NOBODY, &at, upload, std::slice::from_ref(part), condition)
        });
        Ok(Tally::of(&join_all(completions).await)?.verdict())
    })
    .await
}

async fn finished_upload(
    bench: &Bench,
    at: &ObjectRef,
    writer: usize,
) -> Result<(UpstreamUploadId, CompletedPart), RegionError> {
    let upload = bench.upload(at).await?;
    let bytes = Bytes::from(long_text(writer, 8));
    let part = bench.part(at, &upload, 1, bytes).await?;
    Ok((upload, part))
}

/// Conditional copies to one destination, and the condition on the source, which is not optional.
pub(super) async fn copy(bench: &Bench, findings: &mut Findings) -> Result<bool, RegionError> {
    let from = bench.at("conditions/source")?;
    let source = bench.put(&from, "source", PutCondition::Always).await?;
    let request = |etag: &str| CopyRequest {
        from: from.clone(),
        from_version: None,
        source: SourceCondition {
            etag: etag.to_owned(),
        },
        head: HeadFields {
            metadata: [("lethe".to_owned(), "bmV3".to_owned())].into(),
            ..HeadFields::default()
        },
        copy_tags: false,
        condition: PutCondition::Always,
    };
    let to = bench.at("conditions/copied")?;
    let plain = request(&source.etag);
    let copied = answered(bench.store.copy(NOBODY, &to, &plain).await)?.is_some();
    let replaced = match answered(bench.store.head(NOBODY, &to, None).await)? {
        Some(head) => head.fields.metadata == plain.head.metadata,
        None => false,
    };
    findings.require(
        copied && replaced,
        "CopyObject does not give the copy metadata of its own, so a key can't be wrapped again",
    );
    let stale = request("00000000000000000000000000000000");
    let outcome = bench.store.copy(NOBODY, &to, &stale).await;
    findings.require(
        refused(&outcome),
        "CopyObject ignores x-amz-copy-source-if-match, so a copy can take another object's bytes",
    );
    let mut sources = Vec::with_capacity(WRITERS);
    for writer in 0..WRITERS {
        // Different bytes, so that a winner's ETag is nobody else's.
        let from = bench.at(&format!("conditions/source-{writer}"))?;
        let written = bench
            .put(&from, &long_text(writer, COPY_BYTES), PutCondition::Always)
            .await?;
        sources.push((from, written.etag));
    }
    let absent = holds_always(ROUNDS, async |round| {
        let to = bench.at(&format!("conditions/copy-{round}"))?;
        copy_race(bench, &sources, &to, &PutCondition::Absent).await
    });
    let matches = holds_always(ROUNDS, async |round| {
        let to = bench.at(&format!("conditions/copy-match-{round}"))?;
        let etag = bench.put(&to, "old", PutCondition::Always).await?.etag;
        copy_race(bench, &sources, &to, &PutCondition::Matches(etag)).await
    });
    let (absent, matches) = futures::join!(absent, matches);
    Ok(absent? && matches?)
}

async fn copy_race(
    bench: &Bench,
    sources: &[(ObjectRef, String)],
    to: &ObjectRef,
    condition: &PutCondition,
) -> Result<Race, RegionError> {
    let requests: Vec<CopyRequest> = sources
        .iter()
        .map(|(from, etag)| CopyRequest {
            from: from.clone(),
            from_version: None,
            source: SourceCondition { etag: etag.clone() },
            head: HeadFields::default(),
            copy_tags: false,
            condition: condition.clone(),
        })
        .collect();
    let copies = requests
        .iter()
        .map(|request| bench.store.copy(NOBODY, to, request));
    Ok(Tally::of(&join_all(copies).await)?.verdict())
}

/// Conditional deletes against a conditional overwrite: whoever comes second must lose.
pub(super) async fn delete(bench: &Bench) -> Result<bool, RegionError> {
    let at = bench.at("conditions/delete")?;
    bench.put(&at, "kept", PutCondition::Always).await?;
    let request = |etag: &str| DeleteRequest {
        version: None,
        condition: PutCondition::Matches(etag.to_owned()),
        bypass_governance: false,
    };
    let wrong = request("00000000000000000000000000000000");
    let outcome = bench.store.delete(NOBODY, &at, &wrong).await;
    if !refused(&outcome) || !bench.holds(&at, "kept").await? {
        return Ok(false);
    }
    for round in 0..ROUNDS {
        let at = bench.at(&format!("conditions/delete-{round}"))?;
        let etag = bench.put(&at, "old", PutCondition::Always).await?.etag;
        let doomed = request(&etag);
        // The writer starts somewhere among the deleters, elsewhere in every round.
        let early = round * WRITERS / ROUNDS;
        let deletes =
            |count: usize| join_all((0..count).map(|_| bench.store.delete(NOBODY, &at, &doomed)));
        let (before, write, after) = futures::join!(
            deletes(early),
            bench.put(&at, "new", PutCondition::Matches(etag.clone())),
            deletes(WRITERS - early),
        );
        let deleted = Tally::of(&before)?.won + Tally::of(&after)?.won;
        let kept = bench.holds(&at, "new").await?;
        let overwritten = answered(write)?.is_some();
        if overwritten != kept || overwritten == (deleted > 0) {
            return Ok(false);
        }
    }
    Ok(true)
}
