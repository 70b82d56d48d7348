//! Offline verification of a receipt file under a trust file (`docs/receipts.md` §9).
//!
//! Other programs make the same checks under the same names, so their order and their conditions are part of the
//! format. A check whose ground is gone (say, the rules of a statement that cannot be read) is not made: another one
//! has failed by then.

mod logged;
mod signatures;

use serde::Serialize;

use crate::check::{Check, CheckName, Outcome, Verdict};
use crate::envelope::{Envelope, PAYLOAD_TYPE};
use crate::file::ReceiptFile;
use crate::json::{self, Value};
use crate::statement::{
    Mode, PREDICATE_TYPE, STATEMENT_TYPE, Stage, StatementBody, TECHNIQUE, rules,
};
use crate::text::Hex;
use crate::trust::{Trust, TrustFile};

use signatures::Signatures;

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The one answer.
    pub verdict: Verdict,
    /// SHA-256 of the trust file's bytes: the answer is worth what that file is worth.
    pub trust_fingerprint: Hex<32>,
    /// Every check that was made, in order.
    pub checks: Vec<Check>,
    /// What the statements say, to be shown. Believe it only as far as the verdict goes.
    pub statements: Vec<StatementBody>,
}

impl Report {
    /// The check that decided: the first that failed, else the first whose ground is missing; none when verified.
    #[must_use]
    pub fn deciding(&self) -> Option<&Check> {
        let first = |outcome| self.checks.iter().find(|check| check.outcome == outcome);
        first(Outcome::Failed).or_else(|| first(Outcome::Missing))
    }
}

/// Verifies the bytes of a receipt file under the bytes of a trust file.
#[must_use]
pub fn verify(receipt_file: &[u8], trust_file: &[u8]) -> Report {
    let mut checks = Checks(Vec::new());
    let statements = run(receipt_file, trust_file, &mut checks);
    let checks = checks.0;
    Report {
        verdict: Verdict::of(&checks),
        trust_fingerprint: TrustFile::fingerprint(trust_file),
        checks,
        statements: statements.unwrap_or_default(),
    }
}

/// `None` once a check failed without which the others have no ground.
fn run(receipt_file: &[u8], trust_file: &[u8], checks: &mut Checks) -> Option<Vec<StatementBody>> {
    let parsed = TrustFile::from_json(trust_file).map_err(|error| format!("{error}."));
    let trust = parsed.and_then(|file| Ok((file.sound()?, file.roles())));
    let (trust, roles) = match trust {
        Ok(sound) => sound,
        Err(why) => {
            checks.push(CheckName::TrustFile, None, Err(why));
            return None;
        }
    };
    let domain = format!("The trust file is one for domain {}.", trust.domain);
    checks.push(CheckName::TrustFile, None, Ok(domain));
    checks.push(CheckName::TrustRoles, None, roles);

    let file = match ReceiptFile::from_json(receipt_file) {
        Ok(file) => file,
        Err(error) => {
            checks.push(CheckName::ReceiptFile, None, Err(format!("{error}.")));
            return None;
        }
    };
    let count = format!("The file holds {} receipts.", file.receipts.len());
    checks.push(CheckName::ReceiptFile, None, Ok(count));

    let mut receipts = Vec::new();
    for (index, receipt) in file.receipts.iter().enumerate() {
        receipts.push(statement(&receipt.envelope, index, &trust, checks));
    }
    let receipts: Vec<(Signatures, StatementBody)> = receipts.into_iter().collect::<Option<_>>()?;
    let bodies: Vec<&StatementBody> = receipts.iter().map(|(_, body)| body).collect();
    checks.push(CheckName::Stages, None, stages(&bodies));
    for (index, pair) in bodies.windows(2).enumerate() {
        let before_digest = file.receipts[index].envelope.statement_digest();
        for (name, result) in rules::after(pair[0], &before_digest, pair[1]) {
            checks.push(name, Some(index + 1), result);
        }
    }
    logged::check(&file, &receipts, &trust, checks);
    erasure(&bodies, checks);
    Some(receipts.into_iter().map(|(_, body)| body).collect())
}

/// The checks of one envelope and of its statement alone.
fn statement(
    envelope: &Envelope,
    index: usize,
    trust: &Trust,
    checks: &mut Checks,
) -> Option<(Signatures, StatementBody)> {
    let receipt = Some(index);
    let payload_type = if envelope.payload_type() == PAYLOAD_TYPE {
        Ok("The payload is an in-toto statement by its type.".to_owned())
    } else {
        Err("The payload type is not in-toto's.".to_owned())
    };
    checks.push(CheckName::PayloadType, receipt, payload_type);
    let signatures = signatures::check(envelope, receipt, trust, checks);
    let canonical = canonical(envelope.payload());
    let is_canonical = canonical.is_ok();
    checks.push(CheckName::PayloadCanonical, receipt, canonical);
    if !is_canonical {
        return None;
    }
    let body = match body(envelope.payload()) {
        Ok(body) => body,
        Err(why) => {
            checks.push(CheckName::StatementFormat, receipt, Err(why));
            return None;
        }
    };
    let stage = format!(
        "The payload is a statement of stage {}.",
        body.predicate.stage
    );
    checks.push(CheckName::StatementFormat, receipt, Ok(stage));
    checks.push(CheckName::Domain, receipt, domain(&body, trust));
    for (name, result) in rules::alone(&body) {
        checks.push(name, receipt, result);
    }
    Some((signatures, body))
}

fn canonical(payload: &[u8]) -> Result<String, String> {
    let value = Value::parse(payload).map_err(|error| format!("{error}."))?;
    if value.canonical().as_bytes() != payload {
        return Err("The payload is not its own RFC 8785 form.".to_owned());
    }
    Ok("The payload is its own RFC 8785 form.".to_owned())
}

fn body(payload: &[u8]) -> Result<StatementBody, String> {
    let body: StatementBody = json::from_strict(payload).map_err(|error| format!("{error}."))?;
    let sanitization = &body.predicate.sanitization;
    if body.statement_type != STATEMENT_TYPE
        || body.predicate_type != PREDICATE_TYPE
        || sanitization.technique != TECHNIQUE
    {
        return Err("The statement is not of the type crypto-erase/v1.".to_owned());
    }
    Ok(body)
}

fn domain(body: &StatementBody, trust: &Trust) -> Result<String, String> {
    let named = &body.predicate.domain.name;
    if *named != trust.domain {
        return Err(format!(
            "The statement is of domain {named}, not {}.",
            trust.domain
        ));
    }
    if body.predicate.termination.mode == Mode::Dev && trust.mode == Mode::Production {
        return Err("The statement is of a development deployment.".to_owned());
    }
    Ok(format!("The statement is of domain {named}."))
}

fn stages(bodies: &[&StatementBody]) -> Result<String, String> {
    const ORDER: [Stage; 3] = [Stage::Revoked, Stage::Erased, Stage::Purged];
    let found: Vec<Stage> = bodies.iter().map(|body| body.predicate.stage).collect();
    let shown: Vec<&str> = found.iter().map(|stage| stage.as_str()).collect();
    let shown = shown.join(", ");
    if !ORDER.starts_with(&found) {
        return Err(format!(
            "The stages are {shown}, not revoked, erased, purged from the first."
        ));
    }
    Ok(format!(
        "The stages are {shown}, in order and without a gap."
    ))
}

fn erasure(bodies: &[&StatementBody], checks: &mut Checks) {
    let last = bodies.last().map(|body| body.predicate.stage);
    match last {
        Some(stage) if stage > Stage::Revoked => {
            let sentence = format!("The keys are destroyed; the last stage is {stage}.");
            checks.push(CheckName::Erasure, None, Ok(sentence));
        }
        _ => checks.missing(
            CheckName::Erasure,
            None,
            "The keys are not destroyed yet; the last stage is revoked.".to_owned(),
        ),
    }
}

struct Checks(Vec<Check>);

impl Checks {
    fn push(&mut self, name: CheckName, receipt: Option<usize>, result: Result<String, String>) {
        let (outcome, sentence) = match result {
            Ok(sentence) => (Outcome::Ok, sentence),
            Err(sentence) => (Outcome::Failed, sentence),
        };
        self.add(name, receipt, outcome, sentence);
    }

    fn missing(&mut self, name: CheckName, receipt: Option<usize>, sentence: String) {
        self.add(name, receipt, Outcome::Missing, sentence);
    }

    fn add(&mut self, name: CheckName, receipt: Option<usize>, outcome: Outcome, sentence: String) {
        self.0.push(Check {
            name,
            receipt,
            outcome,
            sentence,
        });
    }
}
