//! Checkpoints against what another implementation signed (Python `cryptography`), and against forgeries.

use super::*;

const LOG_TEXT: &str =
    "lethe/eu/0011223344556677+073359d4+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
const LOG_SECRET: &str =
    "PRIVATE+KEY+lethe/eu/0011223344556677+073359d4+AQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
const WITNESS_TEXT: &str =
    "witness.example/w1+20324abe+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X";
const NOTE: &str = "\
lethe/eu/0011223344556677
20852163
q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=

— lethe/eu/0011223344556677 BzNZ1FpjgZtpXbQ7KqxjNhg+Yf5KAIBcHgdZb793jNKSrrKiU3xiuiBdYGyBTkVBdNE6lS1A4ZzsFDmnf5g/YWuPzA8=
— witness.example/w1 IDJKvgAAAABkGFDLhx2Orndca3QcEZp+FU0hZJw5ECoR2GuCnddnk1726O6pfGbqjLWCmrKeLZQgJXWJKUbOUkdmERs/Q9VXFIuPBQ==
";
const COSIGNED_AT: u64 = 1_679_315_147;

pub(super) fn seed(first: u8) -> [u8; 32] {
    std::array::from_fn(|at| first + at as u8)
}

fn origin() -> Origin {
    Origin::new("lethe/eu/0011223344556677").unwrap()
}

fn log_key() -> LogKey {
    LogKey::from_seed(&origin(), &seed(0))
}

fn witness_key() -> WitnessKey {
    WitnessKey::from_seed(&KeyName::new("witness.example/w1").unwrap(), &seed(32))
}

fn checkpoint() -> Checkpoint {
    let head = TreeHead {
        size: 20_852_163,
        root: [0xab; 32],
    };
    Checkpoint {
        origin: origin(),
        head,
    }
}

fn open(text: &str) -> Result<OpenedCheckpoint, CheckpointError> {
    open_checkpoint(text, &[log_key().verifier()], &[witness_key().verifier()])
}

#[test]
fn checkpoint_signed_by_another_implementation_is_ours_to_the_byte() {
    let (log, witness) = (log_key(), witness_key());
    assert_eq!(log.verifier().text(), LOG_TEXT);
    assert_eq!(&*log.text(), LOG_SECRET);
    assert_eq!(witness.verifier().text(), WITNESS_TEXT);
    let keyid = "56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c";
    assert_eq!(log.verifier().keyid().to_string(), keyid);
    let signed = checkpoint().sign(&log).unwrap();
    let line = checkpoint().cosign(&witness, COSIGNED_AT);
    let cosigned = signed
        .with_cosignatures(&line, &[witness.verifier()])
        .unwrap();
    assert_eq!(cosigned.as_str(), NOTE);
}

#[test]
fn checkpoint_opens_with_its_signer_and_the_time_of_its_cosignature() {
    let log = LogVerifier::from_text(LOG_TEXT).unwrap();
    let witness = WitnessVerifier::from_text(WITNESS_TEXT).unwrap();
    let opened = open_checkpoint(
        NOTE,
        std::slice::from_ref(&log),
        std::slice::from_ref(&witness),
    )
    .unwrap();
    assert_eq!(opened.checkpoint, checkpoint());
    assert_eq!(opened.signers, [log.keyid()]);
    let cosignature = Cosignature {
        witness: witness.keyid(),
        unix_s: COSIGNED_AT,
    };
    assert_eq!(opened.cosignatures, [cosignature]);
    // Without the witness's key its line says nothing.
    let unknown = open_checkpoint(NOTE, &[log], &[]).unwrap();
    assert!(unknown.cosignatures.is_empty());
}

#[test]
fn checkpoint_with_any_altered_character_does_not_open() {
    for at in NOTE.char_indices().map(|(at, _)| at) {
        let old = NOTE[at..].chars().next().unwrap();
        for new in ['A', '\n'] {
            if new == old {
                continue;
            }
            let mut altered = NOTE.to_owned();
            altered.replace_range(at..at + old.len_utf8(), &new.to_string());
            // The one thing an attacker can do is to make the witness's line one of an unknown key.
            if let Ok(opened) = open(&altered) {
                assert_eq!(opened.checkpoint, checkpoint());
                assert!(opened.cosignatures.is_empty(), "{at} as {new:?}");
            }
        }
    }
}

#[test]
fn checkpoint_of_another_log_does_not_open() {
    // The key of one log signs the body of another, by its own name: only `sign` keeps honest code from it.
    let other = Origin::new("lethe/us/8899aabbccddeeff").unwrap();
    let body = Checkpoint {
        origin: other.clone(),
        ..checkpoint()
    }
    .body();
    let text = format!("{body}\n{}", log_key().line(&body));
    assert_eq!(open(&text), Err(CheckpointError::OtherLog));
    assert!(
        Checkpoint {
            origin: other,
            ..checkpoint()
        }
        .sign(&log_key())
        .is_err()
    );
}

#[test]
fn checkpoint_of_an_unknown_key_is_unsigned() {
    let stranger = LogKey::from_seed(&origin(), &seed(9));
    let signed = checkpoint().sign(&stranger).unwrap();
    assert_eq!(open(signed.as_str()), Err(CheckpointError::Unsigned));
    // The witness's key is no log key, even where it signs as one.
    let witness_as_log = LogKey::from_seed(&origin(), &seed(32));
    let signed = checkpoint().sign(&witness_as_log).unwrap();
    assert_eq!(open(signed.as_str()), Err(CheckpointError::Unsigned));
}

#[test]
fn wrong_signature_of_a_known_key_refuses_the_whole() {
    let note = super::super::note::parse(NOTE).unwrap();
    for at in 0..2 {
        for byte in [0, 7, 20, note.signatures[at].bytes.len() - 1] {
            let mut signatures = note.signatures.clone();
            signatures[at].bytes[byte] ^= 1;
            let lines: String = signatures.iter().map(|s| s.line()).collect();
            let text = format!("{}\n{lines}", note.body);
            assert_eq!(
                open(&text),
                Err(CheckpointError::BadSignature),
                "{at} {byte}"
            );
        }
    }
}

#[test]
fn second_line_of_a_known_key_refuses_the_whole() {
    let lines: Vec<&str> = NOTE.split_inclusive('\n').collect();
    for line in [4, 5] {
        let text = format!("{NOTE}{}", lines[line]);
        assert_eq!(open(&text), Err(CheckpointError::Ambiguous), "line {line}");
    }
    // A witness under two names is one witness.
    let twin = WitnessKey::from_seed(&KeyName::new("witness.example/w2").unwrap(), &seed(32));
    let text = format!("{NOTE}{}", checkpoint().cosign(&twin, COSIGNED_AT));
    let witnesses = [witness_key().verifier(), twin.verifier()];
    let opened = open_checkpoint(&text, &[log_key().verifier()], &witnesses);
    assert_eq!(opened, Err(CheckpointError::Ambiguous));
}

#[test]
fn known_key_listed_twice_is_ambiguous() {
    let log = log_key().verifier();
    let opened = open_checkpoint(NOTE, &[log.clone(), log], &[]);
    assert_eq!(opened, Err(CheckpointError::Ambiguous));
}

#[test]
fn cosignature_is_no_log_signature_and_the_reverse() {
    let body = checkpoint().body();
    // The witness's key and name, with a plain signature over the body.
    let plain = LogKey::from_seed(&Origin::new("witness.example/w1").unwrap(), &seed(32));
    let bytes = super::super::note::signatures(&plain.line(&body)).unwrap();
    let id = witness_key().verifier().note_id();
    let name = KeyName::new("witness.example/w1").unwrap();
    let line = super::super::note::line(&name, id, &bytes[0].bytes);
    let text = format!("{body}\n{}{line}", log_key().line(&body));
    assert_eq!(open(&text), Err(CheckpointError::BadSignature));
}

#[test]
fn cosignatures_of_an_answer_are_taken_once_verified() {
    let signed = checkpoint().sign(&log_key()).unwrap();
    let stranger = WitnessKey::from_seed(&KeyName::new("stranger").unwrap(), &seed(70));
    let witnesses = [witness_key().verifier()];
    let answer = checkpoint().cosign(&stranger, 5) + &checkpoint().cosign(&witness_key(), 7);
    let cosigned = signed.with_cosignatures(&answer, &witnesses).unwrap();
    assert!(!cosigned.as_str().contains("stranger"));
    assert_eq!(open(cosigned.as_str()).unwrap().cosignatures[0].unix_s, 7);
    let again = checkpoint().cosign(&witness_key(), 8);
    let cosigned = cosigned.with_cosignatures(&again, &witnesses).unwrap();
    assert_eq!(open(cosigned.as_str()).unwrap().cosignatures[0].unix_s, 8);
    let of_another_tree = Checkpoint {
        head: TreeHead {
            size: 1,
            root: [1; 32],
        },
        ..checkpoint()
    };
    let wrong = of_another_tree.cosign(&witness_key(), 9);
    assert_eq!(
        signed.with_cosignatures(&wrong, &witnesses),
        Err(CheckpointError::BadSignature)
    );
    assert_eq!(
        signed.with_cosignatures("", &witnesses),
        Err(CheckpointError::Malformed)
    );
}

#[test]
fn small_order_and_non_canonical_public_keys_are_refused() {
    let canonical = *log_key().verifier().public_key();
    assert!(LogVerifier::new(&origin(), &canonical).is_ok());
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut minus_one = [0xff; 32];
    (minus_one[0], minus_one[31]) = (0xec, 0x7f);
    // y = p + 1, the identity in another encoding; y = p + 3, a point of full order in another encoding, if it is one.
    let mut beyond = [[0xff; 32], [0xff; 32]];
    (beyond[0][0], beyond[0][31]) = (0xee, 0x7f);
    (beyond[1][0], beyond[1][31]) = (0xf0, 0x7f);
    for bytes in [[0; 32], identity, minus_one, beyond[0], beyond[1]] {
        let refused = LogVerifier::new(&origin(), &bytes);
        assert_eq!(refused, Err(KeyError::PublicKey), "{}", hex::encode(bytes));
    }
}

#[test]
fn key_texts_in_other_forms_are_refused() {
    assert_eq!(LogVerifier::from_text(WITNESS_TEXT), Err(KeyError::Type));
    assert_eq!(WitnessVerifier::from_text(LOG_TEXT), Err(KeyError::Type));
    assert!(LogKey::from_text(LOG_SECRET).is_ok());
    assert!(WitnessKey::from_text(LOG_SECRET).is_err());
    for text in [
        "",
        "+",
        "++",
        "a+b",
        "lethe+073359d4+AQ==",
        LOG_SECRET,
        "lethe/eu/0011223344556677+073359d5+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
        "lethe/eu/0011223344556677+073359D4+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
        "lethe/eu/0011223344556677+73359d4+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
        "lethe/us/0011223344556677+073359d4+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
        "lethe/eu/0011223344556677+073359d4+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4+",
    ] {
        assert!(LogVerifier::from_text(text).is_err(), "{text}");
        assert!(
            LogKey::from_text(text).is_err() || text == LOG_SECRET,
            "{text}"
        );
    }
    let long = "n".repeat(256);
    for name in ["", "a b", "a+b", "a\n", "é", "\u{2014}", long.as_str()] {
        assert_eq!(KeyName::new(name), Err(KeyError::Name), "{name}");
    }
}

#[test]
fn private_keys_print_redacted() {
    let printed = format!("{:?} {:?}", log_key(), witness_key());
    assert!(
        printed.contains("redacted") && !printed.contains("AQAB"),
        "{printed}"
    );
}
