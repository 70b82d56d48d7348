//! Project Wycheproof's vectors for Cobblestone-256, on every engine.

use lethe_envelope::{Engine, OpenError, Opener, layout, open_message};
use sha2::{Digest, Sha512};
use wycheproof::TestResult;
use wycheproof::chunked_encryption::{Test, TestFlag, TestName, TestSet};

fn tests() -> Vec<Test> {
    let set = TestSet::load(TestName::Cobblestone256).unwrap();
    set.test_groups
        .into_iter()
        .flat_map(|group| group.tests)
        .collect()
}

fn sealed(test: &Test) -> Vec<u8> {
    miniz_oxide::inflate::decompress_to_vec_zlib(&test.ct).unwrap()
}

/// Opens in chunks of `chunk` bytes, giving what was released and how it ended.
fn stream(
    engine: Engine,
    key: &[u8; 32],
    test: &Test,
    chunk: usize,
) -> (Vec<u8>, Result<(), OpenError>) {
    let sealed = sealed(test);
    let mut released = Vec::new();
    let Some((prologue, segments)) = sealed.split_first_chunk::<56>() else {
        return (released, Err(OpenError::Truncated));
    };
    let salt = prologue[..24].try_into().unwrap();
    let commitment = prologue[24..].try_into().unwrap();
    let outcome = Opener::new(engine, key, &test.ctx, &salt, &commitment).and_then(|mut opener| {
        for piece in segments.chunks(chunk) {
            opener.open(piece, &mut released)?;
        }
        opener.finish(&mut released)
    });
    (released, outcome)
}

#[test]
fn wycheproof_every_vector_is_judged_as_it_says() {
    let mut judged = 0;
    for test in tests() {
        let Ok(key) = <[u8; 32]>::try_from(&test.key[..]) else {
            // The type of the key makes a wrong size impossible to pass.
            assert_eq!(
                test.flags,
                [TestFlag::InvalidKeySize, TestFlag::HeaderFailure]
            );
            continue;
        };
        let valid = test.result == TestResult::Valid;
        for engine in Engine::ALL {
            let name = format!("{} {}: {}", engine.name(), test.tc_id, test.comment);
            let whole = open_message(engine, &key, &test.ctx, &sealed(&test));
            assert_eq!(whole.is_ok(), valid, "{name}");
            // The reference engine is slow without optimisation, and chunking is not the engine's business.
            let chunks: &[usize] = match engine {
                Engine::AesGcm => &[16_400],
                Engine::AwsLc | Engine::Ring => &[1 << 20, 16_400, 4_099],
            };
            for &chunk in chunks {
                let (released, outcome) = stream(engine, &key, &test, chunk);
                assert_eq!(outcome.is_ok(), valid, "{name}: {outcome:?}");
                assert_eq!(released.len(), test.msg_length.unwrap_or(0), "{name}");
                if let Some(wanted) = &test.msg_sha512 {
                    assert_eq!(&Sha512::digest(&released)[..], &wanted[..], "{name}");
                }
                if test.flags.contains(&TestFlag::HeaderFailure) && test.ct.len() > 60 {
                    assert!(
                        matches!(outcome, Err(OpenError::Commitment | OpenError::Truncated)),
                        "{name}"
                    );
                }
            }
        }
        judged += 1;
    }
    assert_eq!(judged, 33, "vectors are missing");
}

#[test]
fn wycheproof_last_segment_alone_opens_only_where_the_vector_allows() {
    for test in tests() {
        let Ok(key) = <[u8; 32]>::try_from(&test.key[..]) else {
            continue;
        };
        let sealed = sealed(&test);
        let Some(length) = layout::plaintext_len_of_sealed(sealed.len() as u64) else {
            assert_eq!(test.result, TestResult::Invalid);
            continue;
        };
        let (salt, commitment) = (
            sealed[..24].try_into().unwrap(),
            sealed[24..56].try_into().unwrap(),
        );
        let last = length / layout::SEGMENT_BYTES;
        let start =
            (layout::SALT_AND_COMMITMENT_BYTES + last * layout::SEALED_SEGMENT_BYTES) as usize;
        let mut tail = Vec::new();
        let outcome = Opener::new(Engine::AesGcm, &key, &test.ctx, &salt, &commitment)
            .and_then(|opener| opener.at(last, length))
            .and_then(|mut opener| {
                opener.open(&sealed[start..], &mut tail)?;
                opener.finish(&mut tail)
            });
        let allowed =
            test.result == TestResult::Valid || test.flags.contains(&TestFlag::ValidFinalChunk);
        assert_eq!(outcome.is_ok(), allowed, "{}: {}", test.tc_id, test.comment);
    }
}
