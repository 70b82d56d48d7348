//! The signatures of one envelope.

use std::collections::HashSet;

use crate::check::CheckName;
use crate::envelope::{Envelope, EnvelopeSignature, SIGNATURES_MAX};
use crate::keys::KeyId;
use crate::trust::Trust;

use super::Checks;

/// Whose signatures hold.
#[derive(Debug, Default)]
pub(super) struct Signatures {
    pub(super) issuer: Option<KeyId>,
    pub(super) validators: Vec<KeyId>,
}

pub(super) fn check(
    envelope: &Envelope,
    receipt: Option<usize>,
    trust: &Trust,
    checks: &mut Checks,
) -> Signatures {
    let pae = envelope.pae();
    let mut held = Signatures::default();
    let (first, further) = match envelope.signatures() {
        [first, further @ ..] => (Some(first), further),
        [] => (None, &[][..]),
    };
    match issuer(first, &pae, trust) {
        Ok(keyid) => {
            held.issuer = Some(keyid);
            let sentence = format!("Issuer {keyid} signed the statement.");
            checks.push(CheckName::IssuerSignature, receipt, Ok(sentence));
        }
        Err(why) => checks.push(CheckName::IssuerSignature, receipt, Err(why)),
    }
    match validators(first, further, &pae, trust) {
        Ok(validators) => {
            let unknown = further.len() - validators.len();
            let sentence = format!(
                "{} validators signed; {unknown} signatures are of unknown keys.",
                validators.len()
            );
            checks.push(CheckName::ValidatorSignatures, receipt, Ok(sentence));
            held.validators = validators;
        }
        Err(why) => checks.push(CheckName::ValidatorSignatures, receipt, Err(why)),
    }
    held
}

fn issuer(first: Option<&EnvelopeSignature>, pae: &[u8], trust: &Trust) -> Result<KeyId, String> {
    let Some(first) = first else {
        return Err("There is no signature.".to_owned());
    };
    let Some(issuer) = trust.issuer(&first.keyid) else {
        return Err("The first signature is not a trusted issuer's.".to_owned());
    };
    let signed = issuer.public_key.verify(pae, &first.sig);
    signed.map_err(|_| "The issuer's signature does not hold.".to_owned())?;
    Ok(first.keyid)
}

fn validators(
    first: Option<&EnvelopeSignature>,
    further: &[EnvelopeSignature],
    pae: &[u8],
    trust: &Trust,
) -> Result<Vec<KeyId>, String> {
    if further.len() >= SIGNATURES_MAX {
        return Err("There are more than 64 signatures.".to_owned());
    }
    let mut seen: HashSet<KeyId> = first.into_iter().map(|signature| signature.keyid).collect();
    let mut held = Vec::new();
    for signature in further {
        let keyid = signature.keyid;
        if !seen.insert(keyid) {
            return Err(format!("Key {keyid} signed twice."));
        }
        if trust.issuer(&keyid).is_some() {
            return Err(format!("Issuer {keyid} stands in a validator's place."));
        }
        // A stranger's signature says nothing, and does no harm.
        let Some(validator) = trust.validator(&keyid) else {
            continue;
        };
        let signed = validator.public_key.verify(pae, &signature.sig);
        signed.map_err(|_| format!("The signature of validator {keyid} does not hold."))?;
        held.push(keyid);
    }
    Ok(held)
}
