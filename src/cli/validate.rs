//! `lethe receipt validate`: a second party signs what it has verified. No gateway and no network.

use super::error::CommandError;
use super::receipts::read;
use lethe_receipts::{
    CheckName, Outcome, ReceiptFile, Report, TrustFile, ValidatorKey, Verdict, verify,
};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Signs every statement of a verified file as one of its trust file's validators. `incomplete` signs also what lacks more than
/// validators' signatures.
pub(super) fn validate(
    file: &Path,
    trust: &Path,
    key: &Path,
    incomplete: bool,
) -> Result<(), CommandError> {
    let bytes = read(file)?;
    let trust_bytes = read(trust)?;
    worth_signing(&verify(&bytes, &trust_bytes), incomplete)?;
    let pem = Zeroizing::new(read(key)?);
    let usage = |path: &Path, error: &dyn std::fmt::Display| {
        CommandError::Usage(format!("{}: {error}", path.display()))
    };
    let text = std::str::from_utf8(&pem).map_err(|_| usage(key, &"it is not PEM"))?;
    let validator = ValidatorKey::from_pem(text).map_err(|error| usage(key, &error))?;
    let trusted = TrustFile::from_json(&trust_bytes).map_err(|error| usage(trust, &error))?;
    known(&trusted, &validator)?;
    let mut receipts = ReceiptFile::from_json(&bytes).map_err(|error| usage(file, &error))?;
    for receipt in &mut receipts.receipts {
        let signed = receipt.envelope.validate(&validator);
        signed.map_err(|error| CommandError::Failed(error.to_string()))?;
    }
    let signed = receipts.to_json();
    let signed = signed.map_err(|error| CommandError::Failed(error.to_string()))?;
    // The window of the validator's key, which only a signature brings into the verdict.
    let report = verify(signed.as_bytes(), &trust_bytes);
    if report.verdict == Verdict::Invalid {
        return Err(refused(
            3,
            "with this signature it would be invalid",
            &report,
        ));
    }
    replace(file, signed.as_bytes())
        .map_err(|error| CommandError::file(file, "replacing", &error))?;
    eprintln!(
        "signed as {}; it is {} now",
        validator.key_id(),
        report.verdict
    );
    Ok(())
}

fn refused(code: u8, why: &str, report: &Report) -> CommandError {
    let sentence = report
        .deciding()
        .map_or("", |check| check.sentence.as_str());
    CommandError::Verdict {
        code,
        message: format!("{why}: {sentence} Nothing is signed"),
    }
}

fn worth_signing(report: &Report, incomplete: bool) -> Result<(), CommandError> {
    if report.verdict == Verdict::Invalid {
        return Err(refused(3, "the receipt is invalid", report));
    }
    let lacking = report.checks.iter().find(|check| {
        check.outcome == Outcome::Missing && check.name != CheckName::ValidatorThreshold
    });
    match lacking {
        Some(check) if !incomplete => Err(CommandError::Verdict {
            code: 4,
            message: format!(
                "the receipt is incomplete: {} Nothing is signed; --incomplete signs it as it is",
                check.sentence
            ),
        }),
        _ => Ok(()),
    }
}

/// Whether the trust file names the key as a validator's.
fn known(trusted: &TrustFile, validator: &ValidatorKey) -> Result<(), CommandError> {
    let keyid = validator.key_id();
    if trusted.validators.iter().any(|one| one.keyid == keyid) {
        return Ok(());
    }
    let others = [
        (
            "issues receipts",
            trusted.issuers.iter().any(|one| one.keyid == keyid),
        ),
        (
            "signs the log",
            trusted.log.iter().any(|one| one.keyid == keyid),
        ),
        (
            "is a witness's",
            trusted.witnesses.iter().any(|one| one.keyid == keyid),
        ),
    ];
    let other = others.iter().find(|(_, found)| *found);
    Err(CommandError::Failed(match other {
        Some((role, _)) => format!("key {keyid} {role}: who validates is somebody else"),
        None => format!(
            "the trust file names no validator with key {keyid}: nobody would count its signature"
        ),
    }))
}

/// Writes aside, syncs and renames: the file is the old or the new one, whatever happens.
fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    // A link stays a link.
    let file = std::fs::canonicalize(file)?;
    let mut aside = file.clone().into_os_string();
    aside.push(format!(".aside-{}", std::process::id()));
    let aside = PathBuf::from(aside);
    let written = (|| {
        let mut out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&aside)?;
        out.set_permissions(std::fs::metadata(&file)?.permissions())?;
        out.write_all(bytes)?;
        out.sync_all()?;
        std::fs::rename(&aside, &file)?;
        match file.parent() {
            Some(dir) => File::open(dir)?.sync_all(),
            None => Ok(()),
        }
    })();
    if written.is_err() {
        // It may not even be there; what matters is the error above.
        let _gone = std::fs::remove_file(&aside);
    }
    written
}

#[cfg(test)]
mod tests;
