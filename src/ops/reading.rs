//! Plaintext of a range of an object, as a stream that releases authenticated segments only.
//!
//! When the upstream's connection breaks, reading goes on from the last authenticated byte; when a segment does not verify, the
//! stream fails and the client's connection is reset: never a clean end.

use crate::ops::body_end::BodyEnd;
use crate::ops::error::OpError;
use crate::ops::opened::OpenedObject;
use crate::ops::scope::BucketScope;
use crate::region::{BodyError, ByteRange, ByteStream, ObjectRef, StoredObject};
use bytes::{Buf as _, Bytes};
use futures::StreamExt as _;
use lethe_envelope::{Dek, Engine, Opener, PartContext, PartRecord, SegmentSpan, Trailer, layout};
use lethe_keys::Leased;
use std::collections::VecDeque;
use std::sync::Arc;

/// How often one answer goes back to the upstream after a broken connection.
const RESUMES_MAX: u32 = 4;
/// An unread rest of an upstream body up to this size is read away, so that the connection can be used again.
const DRAIN_BYTES_MAX: u64 = 256 << 10;
const PROLOGUE_BYTES: usize = layout::SALT_AND_COMMITMENT_BYTES as usize;

/// What of one part a range needs.
#[derive(Clone)]
struct Leg {
    part: PartRecord,
    span: SegmentSpan,
    /// Whether the part's salt and commitment lie before the span in the stored range.
    prologue: bool,
}

/// The stored bytes that hold a plaintext range, and how to open them.
struct Plan {
    stored_first: u64,
    stored_last: u64,
    legs: VecDeque<Leg>,
}

/// Plans everything from plaintext byte `first` to the end of the stored body: an empty last part, pad and trailer too.
fn plan_to_end(parts: &Trailer, first: u64, stored_bytes: u64) -> Option<Plan> {
    let last = parts.plaintext_bytes.saturating_sub(1);
    let planned = plan_range(parts, first, last);
    let (stored_first, mut legs) = match planned {
        Some(plan) => (plan.stored_first, plan.legs),
        None if parts.plaintext_bytes == 0 => (0, VecDeque::new()),
        None => return None,
    };
    let is_empty = |part: &&PartRecord| part.plaintext_bytes == 0;
    legs.extend(parts.parts.last().filter(is_empty).map(|part| Leg {
        part: part.clone(),
        span: layout::segments_for_range(0, 0).clamped(0),
        prologue: true,
    }));
    Some(Plan {
        stored_first,
        stored_last: stored_bytes.checked_sub(1)?,
        legs,
    })
}

/// Plans plaintext bytes `first..=last`; `None` when there are none.
fn plan_range(parts: &Trailer, first: u64, last: u64) -> Option<Plan> {
    let mut legs = VecDeque::new();
    let mut stored_first = None;
    let mut stored_last = 0;
    for slice in parts.parts_for_range(first, last) {
        // A range that reaches its part's end takes the short last segment too, empty or not: the next part lies behind it.
        let bytes = slice.part.plaintext_bytes;
        let last = if slice.last + 1 == bytes {
            bytes
        } else {
            slice.last
        };
        let span = layout::segments_for_range(slice.first, last).clamped(bytes);
        // From a part's beginning its salt and commitment come along, to be compared with the pinned ones.
        let prologue = span.segment_first == 0;
        let begins = if prologue { 0 } else { span.stored_first };
        stored_first.get_or_insert(slice.stored_offset + begins);
        stored_last = slice.stored_offset + span.stored_last;
        legs.push_back(Leg {
            part: slice.part.clone(),
            span,
            prologue,
        });
    }
    stored_first.map(|stored_first| Plan {
        stored_first,
        stored_last,
        legs,
    })
}

/// The stored range that holds plaintext bytes `first..=last` of a single PUT, whatever its length: the guess for an object that is
/// not known yet.
#[must_use]
pub fn guess_single(first: u64, last: u64) -> ByteRange {
    let span = layout::segments_for_range(first, last);
    // One tag more: where the range ends with the object on a segment's end, the empty last segment comes with it.
    let last = span.stored_last.saturating_add(layout::TAG_BYTES);
    let first = match span.segment_first {
        0 => 0,
        _ => span.stored_first,
    };
    ByteRange::Inclusive {
        first,
        last: last.min(layout::stored_len(layout::PLAINTEXT_BYTES_MAX)),
    }
}

struct OpenLeg {
    opener: Leased<Opener>,
    sealed_left: u64,
    skip: u64,
    take: u64,
}

/// What a reader is to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything, and every stored byte is looked at: the last plaintext is released once pad and trailer are what was stored.
    Whole,
    /// These plaintext bytes, first and last, and no more of the stored ones than it takes.
    Range(u64, u64),
    /// Nothing.
    Nothing,
}

/// Reads plaintext bytes `position..=last` of one object.
pub struct Reader {
    scope: BucketScope,
    engine: Engine,
    at: ObjectRef,
    object: Arc<OpenedObject>,
    parts: Arc<Trailer>,
    dek: Arc<Leased<Dek>>,
    position: u64,
    last: u64,
    legs: VecDeque<Leg>,
    open: Option<OpenLeg>,
    prologue: Vec<u8>,
    source: Option<(ByteStream, u64)>,
    resumes_left: u32,
    /// The end of the stored body, where it is looked at.
    end: Option<BodyEnd>,
    /// Plaintext that waits for it.
    held: Vec<u8>,
    done: bool,
}

impl Reader {
    /// A reader. `body` is an answer that the store already gives, used when it begins where the range does; otherwise the reader
    /// asks for its own.
    ///
    /// # Errors
    /// What the store answers to the first request.
    pub async fn open(
        engine: Engine,
        scope: &BucketScope,
        at: ObjectRef,
        object: Arc<OpenedObject>,
        parts: Arc<Trailer>,
        extent: Extent,
        body: Option<StoredObject>,
    ) -> Result<Self, OpError> {
        let mut reader = Self {
            scope: scope.clone(),
            engine,
            at,
            dek: Arc::clone(&object.dek),
            object,
            parts,
            position: 0,
            last: 0,
            legs: VecDeque::new(),
            open: None,
            prologue: Vec::new(),
            source: None,
            resumes_left: RESUMES_MAX,
            end: None,
            held: Vec::new(),
            done: true,
        };
        match extent {
            Extent::Whole => {
                reader.last = reader.parts.plaintext_bytes.saturating_sub(1);
                reader.end = Some(BodyEnd::of(&reader.parts));
            }
            Extent::Range(first, last) => (reader.position, reader.last) = (first, last),
            Extent::Nothing => return Ok(reader),
        }
        if let Some(plan) = reader.plan() {
            reader.done = false;
            reader.start(plan, body).await?;
        }
        if extent == Extent::Whole && reader.parts.plaintext_bytes == 0 {
            // Nobody would ask for the body of an answer that has none.
            reader.next().await.map_err(|error| match error {
                BodyError::Mismatch { .. } => OpError::not_authentic(error),
                broken => OpError::upstream_body(broken),
            })?;
        }
        Ok(reader)
    }

    /// What is left to read.
    fn plan(&self) -> Option<Plan> {
        match &self.end {
            None => plan_range(&self.parts, self.position, self.last),
            Some(_) => plan_to_end(&self.parts, self.position, self.object.head.stored_bytes),
        }
    }

    async fn start(&mut self, plan: Plan, body: Option<StoredObject>) -> Result<(), OpError> {
        let Plan {
            stored_first,
            stored_last,
            legs,
        } = plan;
        self.legs = legs;
        self.open = None;
        self.prologue.clear();
        let body = match body {
            Some(body)
                if body.first <= stored_first && body.first + body.body_bytes > stored_last =>
            {
                body
            }
            _ => {
                let range = ByteRange::Inclusive {
                    first: stored_first,
                    last: stored_last,
                };
                let store = &self.scope.region.store;
                store
                    .get(self.scope.tenant, &self.at, &self.object.read(range))
                    .await
                    .map_err(OpError::further_read)?
            }
        };
        if body.first > stored_first || body.first + body.body_bytes <= stored_last {
            return Err(OpError::internal(
                "cannot read an object's stored range: the store answered with another range",
            ));
        }
        let skip = stored_first - body.first;
        self.source = Some((skip_stored(body.body, skip), body.body_bytes - skip));
        Ok(())
    }

    /// The plaintext as a stream.
    #[must_use]
    pub fn into_stream(self) -> ByteStream {
        futures::stream::try_unfold(self, |mut reader| async move {
            let chunk = reader.next().await?;
            Ok(chunk.map(|chunk| (chunk, reader)))
        })
        .boxed()
    }

    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        while !self.done {
            let mut plaintext = std::mem::take(&mut self.held);
            let held = plaintext.len() as u64;
            let failed = match self.pull().await {
                Ok(Some(sealed)) => {
                    let behind = self.feed(sealed, &mut plaintext)?;
                    if let Some(end) = &mut self.end {
                        end.take(&behind);
                    }
                    None
                }
                Ok(None) => Some(BodyError::Incomplete),
                Err(error) => Some(error),
            };
            self.position += plaintext.len() as u64 - held;
            if self.has_all_plaintext() {
                self.done = true;
                match self.end.is_some() {
                    true => self.check_end(failed).await?,
                    false => self.drain().await,
                }
            } else {
                // Not released: once the client has every byte, it can't be told any more that something is wrong.
                if self.end.is_some() && self.position > self.last {
                    std::mem::swap(&mut self.held, &mut plaintext);
                }
                if let Some(error) = failed {
                    self.resume(error).await?;
                }
            }
            if !plaintext.is_empty() {
                return Ok(Some(Bytes::from(plaintext)));
            }
        }
        Ok(None)
    }

    fn has_all_plaintext(&self) -> bool {
        match self.end {
            None => self.position > self.last,
            Some(_) => self.legs.is_empty() && self.open.is_none(),
        }
    }

    /// Reads the end of the stored body and checks it.
    async fn check_end(&mut self, mut failed: Option<BodyError>) -> Result<(), BodyError> {
        let Some(mut end) = self.end.take() else {
            return Ok(());
        };
        while !end.is_whole() {
            if failed.is_none() {
                match self.pull().await {
                    Ok(Some(behind)) => end.take(&behind),
                    Ok(None) => failed = Some(BodyError::Incomplete),
                    Err(error) => failed = Some(error),
                }
            }
            if let Some(error) = failed.take().filter(|_| !end.is_whole()) {
                end.begin_again();
                let stored_bytes = self.object.head.stored_bytes;
                let plan = Plan {
                    stored_first: stored_bytes.saturating_sub(end.stored_bytes()),
                    stored_last: stored_bytes.saturating_sub(1),
                    legs: VecDeque::new(),
                };
                self.go_on(plan, error).await?;
            }
        }
        self.drain().await;
        let (tenant, object) = (self.scope.tenant, self.object.header.object_id);
        let problem = self
            .dek
            .with(|dek| end.problem(self.engine, dek, tenant, object, &self.parts))
            .map_err(|_| BodyError::LeaseEnded)?;
        problem.map_or(Ok(()), |problem| Err(not_authentic(problem)))
    }

    async fn pull(&mut self) -> Result<Option<Bytes>, BodyError> {
        let Some((source, left)) = &mut self.source else {
            return Ok(None);
        };
        let chunk = source.next().await.transpose()?;
        *left = left.saturating_sub(chunk.as_ref().map_or(0, |chunk| chunk.len() as u64));
        Ok(chunk)
    }

    /// Opens sealed bytes; what lies behind the last leg is given back. An `Err` is final: what came is not what was stored.
    fn feed(&mut self, mut sealed: Bytes, plaintext: &mut Vec<u8>) -> Result<Bytes, BodyError> {
        while !sealed.is_empty() {
            if self.open.is_none() && !self.next_leg(&mut sealed)? {
                break;
            }
            let Some(leg) = &mut self.open else { continue };
            let taken = usize::try_from(leg.sealed_left)
                .unwrap_or(usize::MAX)
                .min(sealed.len());
            let before = plaintext.len();
            leg.opener
                .with(|opener| opener.open(&sealed[..taken], plaintext))
                .map_err(|_| BodyError::LeaseEnded)?
                .map_err(not_authentic)?;
            sealed.advance(taken);
            leg.sealed_left -= taken as u64;
            trim(plaintext, before, &mut leg.skip, &mut leg.take);
            if leg.sealed_left == 0 {
                self.finish_leg(plaintext)?;
            }
        }
        Ok(sealed)
    }

    fn finish_leg(&mut self, plaintext: &mut Vec<u8>) -> Result<(), BodyError> {
        let Some(mut leg) = self.open.take() else {
            return Ok(());
        };
        let before = plaintext.len();
        let opener = leg.opener.take().map_err(|_| BodyError::LeaseEnded)?;
        opener.finish(plaintext).map_err(not_authentic)?;
        trim(plaintext, before, &mut leg.skip, &mut leg.take);
        Ok(())
    }

    /// Starts the next leg once its prologue is there; false when there is none.
    fn next_leg(&mut self, sealed: &mut Bytes) -> Result<bool, BodyError> {
        let Some(leg) = self.legs.front() else {
            return Ok(false);
        };
        if leg.prologue && self.prologue.len() < PROLOGUE_BYTES {
            let taken = (PROLOGUE_BYTES - self.prologue.len()).min(sealed.len());
            self.prologue.extend_from_slice(&sealed[..taken]);
            sealed.advance(taken);
            if self.prologue.len() < PROLOGUE_BYTES {
                return Ok(true);
            }
            let (salt, commitment) = self.prologue.split_at(leg.part.salt.len());
            if salt != leg.part.salt || commitment != leg.part.commitment {
                return Err(not_authentic("a part is not the completed attempt"));
            }
        }
        self.prologue.clear();
        let Some(leg) = self.legs.pop_front() else {
            return Ok(false);
        };
        let context = PartContext {
            tenant: self.scope.tenant,
            object_id: self.object.header.object_id,
            part_number: u64::from(leg.part.number),
        };
        let opener = self
            .dek
            .with(|dek| {
                Opener::new(
                    self.engine,
                    dek.expose(),
                    &context.to_bytes(),
                    &leg.part.salt,
                    &leg.part.commitment,
                )
                .and_then(|opener| opener.at_span(&leg.span, leg.part.plaintext_bytes))
            })
            .map_err(|_| BodyError::LeaseEnded)?
            .map_err(not_authentic)?;
        self.open = Some(OpenLeg {
            opener: self.scope.domain.keys.hold(self.scope.tenant, opener),
            sealed_left: leg.span.stored_last + 1 - leg.span.stored_first,
            skip: leg.span.skip_bytes,
            take: leg.span.plaintext_bytes,
        });
        Ok(true)
    }

    /// Goes on from the last authenticated byte after the upstream's connection broke.
    async fn resume(&mut self, error: BodyError) -> Result<(), BodyError> {
        if self.position > self.last && self.held.pop().is_some() {
            // Everything is there but the last part's end: its last byte brings that along once more.
            self.position = self.last;
        }
        let Some(plan) = self.plan() else {
            return Err(error);
        };
        self.go_on(plan, error).await
    }

    async fn go_on(&mut self, plan: Plan, error: BodyError) -> Result<(), BodyError> {
        if self.resumes_left == 0 {
            return Err(error);
        }
        self.resumes_left -= 1;
        tracing::debug!(%error, "resuming an upstream read");
        self.start(plan, None).await.map_err(|failed| {
            tracing::warn!(error = %failed, "cannot resume an upstream read");
            error
        })
    }

    async fn drain(&mut self) {
        let Some((mut source, mut left)) = self.source.take() else {
            return;
        };
        if left > DRAIN_BYTES_MAX {
            return;
        }
        // Counted, because a store may send more than it announced.
        while let Some(Ok(chunk)) = source.next().await {
            match left.checked_sub(chunk.len() as u64) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    }
}

/// Keeps of the plaintext appended since `before` only what the range wants.
fn trim(plaintext: &mut Vec<u8>, before: usize, skip: &mut u64, take: &mut u64) {
    let appended = plaintext.len() - before;
    let skipped = usize::try_from(*skip).unwrap_or(usize::MAX).min(appended);
    plaintext.drain(before..before + skipped);
    *skip -= skipped as u64;
    let kept = usize::try_from(*take)
        .unwrap_or(usize::MAX)
        .min(appended - skipped);
    plaintext.truncate(before + kept);
    *take -= kept as u64;
}

fn skip_stored(body: ByteStream, mut skip: u64) -> ByteStream {
    if skip == 0 {
        return body;
    }
    body.map(move |chunk| {
        let mut chunk = chunk?;
        let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
        chunk.advance(skipped);
        skip -= skipped as u64;
        Ok(chunk)
    })
    .boxed()
}

fn not_authentic(error: impl std::fmt::Display) -> BodyError {
    tracing::error!(%error, "stored bytes are not authentic");
    BodyError::Mismatch {
        code: "InternalError",
        message: "the stored object is not authentic".to_owned(),
    }
}
