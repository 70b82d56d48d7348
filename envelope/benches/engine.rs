//! The three engines side by side: `cargo bench -p lethe-envelope`.
//!
//! Rounds alternate between the engines and each keeps its best, so that what else the machine does weighs on all
//! alike; the last column is the ratio to the reference, which says more than bytes a second on a shared machine.

use std::hint::black_box;
use std::time::{Duration, Instant};

use lethe_envelope::{Engine, Opener, Sealer, seal_message};

const KEY: [u8; 32] = [7; 32];
const MESSAGE_BYTES: usize = 8 << 20;
const ROUNDS: usize = 15;

/// One engine's best times.
#[derive(Clone, Copy)]
struct Best {
    segments: Duration,
    seal: Duration,
    open: Duration,
}

fn main() {
    let plaintext = vec![0x5a; MESSAGE_BYTES];
    let sealed = seal_message(Engine::Ring, &KEY, b"bench", &plaintext).expect("randomness");
    let mut best = [Best {
        segments: Duration::MAX,
        seal: Duration::MAX,
        open: Duration::MAX,
    }; 3];
    for _ in 0..ROUNDS {
        for (engine, best) in Engine::ALL.into_iter().zip(&mut best) {
            best.segments = best.segments.min(time_segments(engine));
            best.seal = best.seal.min(time_seal(engine, &plaintext));
            best.open = best.open.min(time_open(engine, &sealed));
        }
    }
    println!(
        "{:<12}{:>26}{:>26}{:>26}",
        "", "bare 16 KiB segments", "message sealed", "message opened"
    );
    let reference = best[0];
    for (engine, best) in Engine::ALL.into_iter().zip(best) {
        println!(
            "{:<12}{:>26}{:>26}{:>26}",
            engine.name(),
            column(best.segments, reference.segments),
            column(best.seal, reference.seal),
            column(best.open, reference.open),
        );
    }
    println!("Engine::fastest() picks {} here", Engine::fastest().name());
}

fn column(time: Duration, reference: Duration) -> String {
    let rate = MESSAGE_BYTES as f64 / time.as_secs_f64() / 1e9;
    format!(
        "{rate:.2} GB/s  {:>5.2} x",
        reference.as_secs_f64() / time.as_secs_f64()
    )
}

fn time_segments(engine: Engine) -> Duration {
    let aead = engine.aead(&KEY);
    let mut segment = vec![0; 16_384];
    let started = Instant::now();
    for _ in 0..MESSAGE_BYTES / segment.len() {
        black_box(aead.seal_in_place(&[0; 12], &mut segment));
    }
    started.elapsed()
}

/// Pieces of 64 KiB and one byte, so that segments straddle them as they do on a network.
const PIECE_BYTES: usize = (64 << 10) + 1;

/// Drains `out` after every piece, as the gateway does; else the machine's page faults are what is measured.
fn time_seal(engine: Engine, plaintext: &[u8]) -> Duration {
    let mut out = Vec::with_capacity(2 * PIECE_BYTES);
    let started = Instant::now();
    let mut sealer = Sealer::new_with_salt(engine, &KEY, b"bench", [1; 24]);
    for piece in plaintext.chunks(PIECE_BYTES) {
        sealer.seal(piece, &mut out);
        black_box(&out);
        out.clear();
    }
    sealer.finish(&mut out);
    started.elapsed()
}

fn time_open(engine: Engine, sealed: &[u8]) -> Duration {
    let (prologue, segments) = sealed.split_first_chunk::<56>().expect("a sealed message");
    let (salt, commitment) = prologue.split_first_chunk().expect("24 of 56 bytes");
    let commitment = commitment.try_into().expect("the other 32");
    let mut out = Vec::with_capacity(2 * PIECE_BYTES);
    let started = Instant::now();
    let mut opener = Opener::new(engine, &KEY, b"bench", salt, commitment)
        .and_then(|opener| opener.at(0, MESSAGE_BYTES as u64))
        .expect("its own pins");
    for piece in segments.chunks(PIECE_BYTES) {
        opener.open(piece, &mut out).expect("untampered");
        black_box(&out);
        out.clear();
    }
    opener.finish(&mut out).expect("whole");
    started.elapsed()
}
