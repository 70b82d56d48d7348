//! Bodies of the fuzz targets in `fuzz/`, each panicking when its property is broken. An ordinary test runs them too.

use crate::check::Verdict;
use crate::json::Value;
use crate::verify::verify;

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
