//! Bodies of the fuzz targets in `fuzz/`, each panicking when its property is broken. An ordinary test runs them too.

use crate::check::Verdict;
use crate::json::Value;
use crate::log::{AddCheckpoint, SignedCheckpoint, TilePath, decode_entries, encode_entries};
use crate::verify::verify;
use crate::{Envelope, ReceiptFile, TrustFile};

const TRUST: &[u8] = include_bytes!("../tests/fixtures/trust.json");
const RECEIPT: &[u8] = include_bytes!("../tests/fixtures/erased.receipt.json");

/// Whatever is read as strict JSON is what a lenient reader sees too, and its canonical form reads back as the same.
pub fn strict_json(data: &[u8]) {
    let Ok(value) = Value::parse(data) else {
        return;
    };
    let canonical = value.canonical();
    let lenient: serde_json::Value =
        serde_json::from_slice(data).expect("strict JSON is lenient JSON");
    let again: serde_json::Value =
        serde_json::from_str(&canonical).expect("canonical JSON is lenient JSON");
    assert_eq!(lenient, again, "two readers see two documents");
    let reread = Value::parse(canonical.as_bytes()).expect("canonical JSON is strict JSON");
    assert_eq!(
        reread.canonical(),
        canonical,
        "the canonical form has another"
    );
}

/// No bytes make verification panic, in any of its arguments.
pub fn verification(data: &[u8]) {
    let _ = verify(data, TRUST);
    let _ = verify(RECEIPT, data);
}

/// A good receipt file with some bytes changed is not verified, unless it still says the very same.
pub fn altered_receipt(data: &[u8]) {
    let mut altered = RECEIPT.to_vec();
    for edit in data.chunks_exact(4) {
        let place = u32::from_be_bytes([0, edit[0], edit[1], edit[2]]);
        let place = usize::try_from(place).unwrap_or(0) % altered.len();
        altered[place] = edit[3];
    }
    if verify(&altered, TRUST).verdict == Verdict::Verified {
        let value = Value::parse(&altered).expect("what is verified is strict JSON");
        let original = Value::parse(RECEIPT).expect("the fixture is strict JSON");
        assert_eq!(
            value.canonical(),
            original.canonical(),
            "a forgery is verified"
        );
    }
}

/// What the log's readers take they write back as the very same: checkpoints, requests to witnesses, tiles' paths and bundles of entries.
///
/// # Panics
/// When one of them has two spellings.
pub fn log(data: &[u8]) {
    if let Some(entries) = decode_entries(data) {
        assert_eq!(encode_entries(&entries), data, "two bundles");
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Some(path) = TilePath::parse(text) {
        assert_eq!(path.to_string(), text, "two paths of one tile");
    }
    if let Ok(checkpoint) = SignedCheckpoint::parse(text) {
        let claimed = checkpoint.claimed().expect("what was parsed is readable");
        assert!(text.starts_with(&claimed.body()), "another body");
        assert_eq!(checkpoint.as_str(), text);
    }
    if let Ok(request) = AddCheckpoint::parse(text) {
        assert_eq!(request.text(), text, "two requests");
    }
}

/// A trust file, a receipt file or an envelope that is read says the same when it is written and read again.
///
/// # Panics
/// When it does not.
pub fn files(data: &[u8]) {
    if let Ok(trust) = TrustFile::from_json(data) {
        let written = trust.to_json().expect("what was read can be written");
        let again = TrustFile::from_json(written.as_bytes()).expect("and read");
        assert_eq!(again.to_json().ok().as_ref(), Some(&written));
    }
    if let Ok(file) = ReceiptFile::from_json(data) {
        let written = file.to_json().expect("what was read can be written");
        let again = ReceiptFile::from_json(written.as_bytes()).expect("and read");
        assert_eq!(again.to_json().ok().as_ref(), Some(&written));
    }
    if let Ok(envelope) = Envelope::from_json(data) {
        let written = envelope.to_json().expect("what was read can be written");
        let again = Envelope::from_json(written.as_bytes()).expect("and read");
        assert_eq!(again.pae(), envelope.pae());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn strict_json_is_read_alike_by_all(text in "[\\[\\]{}\",:\\\\0-9a-fu.eE+\\- tn\u{20ac}]{0,40}") {
            strict_json(text.as_bytes());
        }

        #[test]
        fn bytes_never_make_verification_panic(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            verification(&data);
        }
    }

    #[test]
    fn trust_and_receipt_of_the_fixtures_hold_with_every_byte_changed() {
        for file in [TRUST, RECEIPT] {
            files(file);
            for at in (0..file.len()).step_by(97) {
                let mut changed = file.to_vec();
                changed[at] ^= 1;
                files(&changed);
            }
        }
        assert!(TrustFile::from_json(TRUST).is_ok() && ReceiptFile::from_json(RECEIPT).is_ok());
    }

    proptest! {
        #[test]
        fn log_texts_have_one_spelling(
            path in "tile/(entries|[0-9]{1,2})(/x?[0-9]{1,4}){1,3}(\\.p/[0-9]{1,3})?",
            size in "[+0]?[0-9]{1,20}",
            root in "[A-Za-z0-9+/]{43}=",
            more in "(old [0-9]{1,3}\n)?",
            data in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            log(path.as_bytes());
            log(&data);
            let signature = format!("\u{2014} log.example/a {root}\n");
            let note = format!("log.example/a\n{size}\n{root}\n\n{signature}");
            log(note.as_bytes());
            log(format!("{more}{root}\n\n{note}").as_bytes());
            let bundle: Vec<u8> = data.chunks_exact(32).flat_map(|entry| [&[0, 32], entry].concat()).collect();
            log(&bundle);
            files(&data);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn receipt_with_altered_bytes_is_not_verified(
            data in proptest::collection::vec(any::<u8>(), 4..16),
            place in 0..RECEIPT.len(),
            printable in b' '..b'\x7f',
        ) {
            altered_receipt(&data);
            let place = (place as u32).to_be_bytes();
            altered_receipt(&[place[1], place[2], place[3], printable]);
        }
    }
}
