//! The bulk AEAD behind the format: AES-256-GCM by one of three libraries, picked by measurement.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};

use crate::layout::SEGMENT_BYTES;

/// A segment's tag did not verify; nothing of the buffer may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("segment tag did not verify")]
pub struct TagMismatch;

/// AES-256-GCM on one segment, in place, with empty associated data.
pub trait SegmentAead: Send + Sync {
    /// Encrypts `buf` and returns the tag; `nonce` must never repeat under one key.
    fn seal_in_place(&self, nonce: &[u8; 12], buf: &mut [u8]) -> [u8; 16];

    /// Decrypts `buf` when `tag` verifies.
    ///
    /// # Errors
    /// [`TagMismatch`], after which the contents of `buf` are unspecified.
    fn open_in_place(
        &self,
        nonce: &[u8; 12],
        buf: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), TagMismatch>;
}

/// Which library does AES-256-GCM; all three give the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// `aes-gcm`, the reference; used for small wraps.
    AesGcm,
    /// `aws-lc-rs`.
    AwsLc,
    /// `ring`.
    Ring,
}

impl Engine {
    /// Every engine, the reference first.
    pub const ALL: [Self; 3] = [Self::AesGcm, Self::AwsLc, Self::Ring];

    /// The engine that is fastest on this machine, timed at the first call (some milliseconds) and then remembered.
    #[must_use]
    pub fn fastest() -> Self {
        static FASTEST: OnceLock<Engine> = OnceLock::new();
        *FASTEST.get_or_init(measure)
    }

    /// The library's name, for logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AesGcm => "aes-gcm",
            Self::AwsLc => "aws-lc-rs",
            Self::Ring => "ring",
        }
    }

    /// Expands `key` for this engine.
    #[must_use]
    pub fn aead(self, key: &[u8; 32]) -> Box<dyn SegmentAead> {
        match self {
            Self::AesGcm => Box::new(AesGcmSegments(Aes256Gcm::new(key.into()))),
            Self::AwsLc => Box::new(AwsLcSegments(aws_lc_rs::aead::LessSafeKey::new(
                aws_lc_rs::aead::UnboundKey::new(&aws_lc_rs::aead::AES_256_GCM, key)
                    .expect("AES-256 takes a key of 32 bytes"),
            ))),
            Self::Ring => Box::new(RingSegments(ring::aead::LessSafeKey::new(
                ring::aead::UnboundKey::new(&ring::aead::AES_256_GCM, key)
                    .expect("AES-256 takes a key of 32 bytes"),
            ))),
        }
    }
}

/// Seals segments with each engine in turn and keeps each one's best round, so that a passing interruption does
/// not decide. A round is long enough to leave warm-up behind, and bounded for an engine built without optimisation.
fn measure() -> Engine {
    const ROUNDS: usize = 8;
    const SEGMENTS_PER_ROUND_MAX: u32 = 64;
    const ROUND_MAX: Duration = Duration::from_micros(500);
    let mut segment = vec![0_u8; SEGMENT_BYTES as usize];
    let keyed = Engine::ALL.map(|engine| engine.aead(&[0x5a; 32]));
    let mut best = [Duration::MAX; Engine::ALL.len()];
    for _ in 0..ROUNDS {
        for (aead, best) in keyed.iter().zip(&mut best) {
            let started = Instant::now();
            let mut elapsed = Duration::ZERO;
            let mut segments = 0;
            while segments < SEGMENTS_PER_ROUND_MAX && elapsed < ROUND_MAX {
                std::hint::black_box(aead.seal_in_place(&[0; 12], &mut segment));
                segments += 1;
                elapsed = started.elapsed();
            }
            *best = (*best).min(elapsed / segments);
        }
    }
    let [reference, others @ ..] = Engine::ALL;
    let [reference_best, others_best @ ..] = best;
    others
        .into_iter()
        .zip(others_best)
        .fold((reference, reference_best), |fastest, candidate| {
            if candidate.1 < fastest.1 {
                candidate
            } else {
                fastest
            }
        })
        .0
}

const WITHIN_GCM_LIMIT: &str = "a segment of 16 KiB is far below GCM's 64 GiB limit";

struct AesGcmSegments(Aes256Gcm);

impl SegmentAead for AesGcmSegments {
    fn seal_in_place(&self, nonce: &[u8; 12], buf: &mut [u8]) -> [u8; 16] {
        self.0
            .encrypt_inout_detached(nonce.into(), &[], buf.into())
            .expect(WITHIN_GCM_LIMIT)
            .into()
    }

    fn open_in_place(
        &self,
        nonce: &[u8; 12],
        buf: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), TagMismatch> {
        self.0
            .decrypt_inout_detached(nonce.into(), &[], buf.into(), tag.into())
            .map_err(|_| TagMismatch)
    }
}

struct AwsLcSegments(aws_lc_rs::aead::LessSafeKey);

impl SegmentAead for AwsLcSegments {
    fn seal_in_place(&self, nonce: &[u8; 12], buf: &mut [u8]) -> [u8; 16] {
        use aws_lc_rs::aead::{Aad, Nonce};
        let tag = self
            .0
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(*nonce), Aad::empty(), buf)
            .expect(WITHIN_GCM_LIMIT);
        tag.as_ref().try_into().expect("a GCM tag is 16 bytes")
    }

    fn open_in_place(
        &self,
        nonce: &[u8; 12],
        buf: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), TagMismatch> {
        use aws_lc_rs::aead::{Aad, Nonce};
        self.0
            .open_in_place_separate_tag(
                Nonce::assume_unique_for_key(*nonce),
                Aad::empty(),
                tag,
                buf,
            )
            .map(|_| ())
            .map_err(|_| TagMismatch)
    }
}

struct RingSegments(ring::aead::LessSafeKey);

impl SegmentAead for RingSegments {
    fn seal_in_place(&self, nonce: &[u8; 12], buf: &mut [u8]) -> [u8; 16] {
        use ring::aead::{Aad, Nonce};
        let tag = self
            .0
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(*nonce), Aad::empty(), buf)
            .expect(WITHIN_GCM_LIMIT);
        tag.as_ref().try_into().expect("a GCM tag is 16 bytes")
    }

    fn open_in_place(
        &self,
        nonce: &[u8; 12],
        buf: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), TagMismatch> {
        use ring::aead::{Aad, Nonce};
        self.0
            .open_in_place_separate_tag(
                Nonce::assume_unique_for_key(*nonce),
                Aad::empty(),
                (*tag).into(),
                buf,
                0..,
            )
            .map(|_| ())
            .map_err(|_| TagMismatch)
    }
}
