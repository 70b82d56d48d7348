use super::*;
use lethe_receipts::keys::IssuerKey;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// A receipt and a trust file of the frozen fixtures, and a key, in a directory of their own.
struct Files {
    dir: TempDir,
}

fn fixture(name: &str) -> Vec<u8> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("receipts/tests/fixtures");
    std::fs::read(fixtures.join(name)).unwrap()
}

impl Files {
    fn of(receipt: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("receipt.json"), fixture(receipt)).unwrap();
        std::fs::write(dir.path().join("trust.json"), fixture("trust.json")).unwrap();
        Self { dir }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// With the key that fixtures make of this name.
    fn validate(&self, signer: &str, incomplete: bool) -> Result<(), CommandError> {
        let seed: [u8; 32] = Sha256::digest(signer).into();
        let pem = IssuerKey::from_random(seed).to_pem().unwrap();
        std::fs::write(self.at("key.pem"), pem.as_bytes()).unwrap();
        let [file, trust, key] =
            ["receipt.json", "trust.json", "key.pem"].map(|name| self.at(name));
        validate(&file, &trust, &key, incomplete)
    }

    fn receipt(&self) -> Vec<u8> {
        std::fs::read(self.at("receipt.json")).unwrap()
    }

    fn verdict(&self) -> Verdict {
        verify(&self.receipt(), &fixture("trust.json")).verdict
    }
}

/// What the refusal says; the file is as it was, and nothing lies beside it.
fn refusal(files: &Files, signer: &str, incomplete: bool) -> String {
    let before = files.receipt();
    let refused = files.validate(signer, incomplete).unwrap_err();
    assert_eq!(files.receipt(), before);
    assert_eq!(std::fs::read_dir(files.dir.path()).unwrap().count(), 3);
    refused.to_string()
}

#[test]
fn receipt_that_lacks_its_validator_is_verified_once_they_have_signed() {
    let files = Files::of("without-validator.receipt.json");
    assert_eq!(files.verdict(), Verdict::Incomplete);
    files.validate("validator", false).unwrap();
    assert_eq!(files.verdict(), Verdict::Verified);
    assert_eq!(std::fs::read_dir(files.dir.path()).unwrap().count(), 3);
    let twice = refusal(&files, "validator", false);
    assert!(twice.contains("signed"), "{twice}");
}

#[test]
fn key_that_is_no_validators_of_the_trust_file_is_refused() {
    let files = Files::of("without-validator.receipt.json");
    for (signer, why) in [
        ("issuer", "issues receipts"),
        ("log", "signs the log"),
        ("witness-1.example", "is a witness's"),
        ("a stranger", "names no validator"),
        ("old validator", "would be invalid"),
    ] {
        let refused = refusal(&files, signer, false);
        assert!(refused.contains(why), "{signer}: {refused}");
    }
}

#[test]
fn receipt_that_is_tampered_with_is_refused_even_as_incomplete() {
    let files = Files::of("altered-field.receipt.json");
    for incomplete in [false, true] {
        let refused = refusal(&files, "validator", incomplete);
        assert!(refused.contains("is invalid"), "{refused}");
    }
}

#[test]
fn receipt_without_log_witnesses_or_erasure_is_signed_only_as_incomplete() {
    let unsigned = |name: &str| {
        let files = Files::of(name);
        let mut file = ReceiptFile::from_json(&files.receipt()).unwrap();
        for receipt in &mut file.receipts {
            let envelope = receipt.envelope.to_json().unwrap();
            let mut value: serde_json::Value = serde_json::from_str(&envelope).unwrap();
            value["signatures"].as_array_mut().unwrap().truncate(1);
            receipt.envelope = serde_json::from_value(value).unwrap();
        }
        std::fs::write(files.at("receipt.json"), file.to_json().unwrap()).unwrap();
        files
    };
    for name in ["not-logged", "too-few-cosignatures", "revoked"] {
        let files = unsigned(&format!("{name}.receipt.json"));
        let refused = refusal(&files, "validator", false);
        assert!(refused.contains("--incomplete"), "{name}: {refused}");
        files.validate("validator", true).unwrap();
        assert_eq!(files.verdict(), Verdict::Incomplete, "{name}");
    }
}
