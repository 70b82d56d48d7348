//! The JSON of the transit engine: <https://openbao.org/api-docs/secret/transit/>.

use std::collections::HashMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::secret::KeyBytes;

/// The one type of key that is used: AES-256-GCM with 96-bit nonces that the engine draws.
const KEY_TYPE: &str = "aes256-gcm96";
/// Room for one item of a batch besides its context, in bytes of JSON.
const ITEM_BYTES: usize = 320;

/// One item of a batch to encrypt or decrypt.
#[derive(Serialize)]
pub(super) struct BatchItem {
    #[serde(skip_serializing_if = "Option::is_none")]
    plaintext: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ciphertext: Option<String>,
    associated_data: String,
    /// The engine repeats it in the item's result.
    reference: String,
}

#[derive(Serialize)]
struct Text(#[serde(serialize_with = "exposed")] Zeroizing<String>);

fn exposed<S: serde::Serializer>(text: &Zeroizing<String>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(text)
}

impl BatchItem {
    pub(super) fn plaintext(secret: &[u8; 32], context: &[u8]) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(64));
        BASE64_STANDARD.encode_string(secret, &mut text);
        Self::new(Some(Text(text)), None, context)
    }

    pub(super) fn ciphertext(ciphertext: String, context: &[u8]) -> Self {
        Self::new(None, Some(ciphertext), context)
    }

    fn new(plaintext: Option<Text>, ciphertext: Option<String>, context: &[u8]) -> Self {
        Self {
            plaintext,
            ciphertext,
            associated_data: BASE64_STANDARD.encode(context),
            reference: String::new(),
        }
    }
}

/// A batch as a request's body, its items numbered by `reference`.
pub(super) fn batch(items: impl Iterator<Item = BatchItem>) -> Zeroizing<Vec<u8>> {
    #[derive(Serialize)]
    struct Batch {
        batch_input: Vec<BatchItem>,
    }
    let batch_input: Vec<_> = items
        .enumerate()
        .map(|(number, item)| BatchItem {
            reference: number.to_string(),
            ..item
        })
        .collect();
    let contexts: usize = batch_input.iter().map(|i| i.associated_data.len()).sum();
    let room = batch_input.len() * ITEM_BYTES + contexts + ITEM_BYTES;
    json(&Batch { batch_input }, room)
}

fn json(body: &impl Serialize, room: usize) -> Zeroizing<Vec<u8>> {
    // Room for all of it at once: a growing buffer would leave copies of secrets behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    // Strings and numbers into memory: there is nothing that could fail.
    let written = serde_json::to_writer(&mut *bytes, body);
    debug_assert!(written.is_ok());
    bytes
}

/// What a key is made with.
pub(super) fn new_key() -> Zeroizing<Vec<u8>> {
    #[derive(Serialize)]
    struct NewKey {
        #[serde(rename = "type")]
        kind: &'static str,
        exportable: bool,
        allow_plaintext_backup: bool,
        derived: bool,
    }
    let key = NewKey {
        kind: KEY_TYPE,
        exportable: false,
        allow_plaintext_backup: false,
        derived: false,
    };
    json(&key, ITEM_BYTES)
}

pub(super) fn allow_deletion() -> Zeroizing<Vec<u8>> {
    #[derive(Serialize)]
    struct Allow {
        deletion_allowed: bool,
    }
    let allow = Allow {
        deletion_allowed: true,
    };
    json(&allow, ITEM_BYTES)
}

pub(super) fn paths(paths: &[&str]) -> Zeroizing<Vec<u8>> {
    #[derive(Serialize)]
    struct Paths<'a> {
        paths: &'a [&'a str],
    }
    let room = paths.iter().map(|path| path.len() + 8).sum::<usize>() + ITEM_BYTES;
    json(&Paths { paths }, room)
}

#[derive(Deserialize)]
struct Data<T> {
    data: T,
}

/// What the engine says of a key.
#[derive(Debug, Deserialize)]
pub(super) struct KeyFacts {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    exportable: bool,
    allow_plaintext_backup: bool,
    derived: bool,
    latest_version: u64,
    #[serde(default)]
    imported_key: bool,
    #[serde(default)]
    soft_deleted: bool,
}

impl KeyFacts {
    /// Why it can't be an epoch's key.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let faults = [
            (self.kind != KEY_TYPE, "is not of type aes256-gcm96"),
            (self.exportable, "is exportable: someone may have a copy"),
            (
                self.allow_plaintext_backup,
                "allows plaintext backups: someone may have one",
            ),
            (self.imported_key, "was imported: someone may have a copy"),
            (self.derived, "is a derived key"),
            (self.latest_version != 1, "was rotated"),
            (self.soft_deleted, "was softly deleted: restore it"),
        ];
        faults
            .into_iter()
            .find_map(|(wrong, reason)| wrong.then_some(reason))
    }
}

/// A key's description, if it is that key's.
pub(super) fn key_facts(body: &[u8], name: &str) -> Option<KeyFacts> {
    let answer: Data<KeyFacts> = serde_json::from_slice(body).ok()?;
    Some(answer.data).filter(|facts| facts.name == name)
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<String>,
}

/// Whether an answer with status 404 is the engine's "no such key", which has no words.
pub(super) fn is_plain_not_found(body: &[u8]) -> bool {
    serde_json::from_slice::<Errors>(body).is_ok_and(|answer| answer.errors.is_empty())
}

/// The first error of an answer.
pub(super) fn first_error(body: &[u8]) -> Option<String> {
    let answer: Errors = serde_json::from_slice(body).ok()?;
    answer.errors.into_iter().next()
}

/// One result of a batch.
pub(super) trait BatchResult {
    fn reference(&self) -> &str;
    fn failed(&self) -> bool;
}

/// A seed that was wrapped.
#[derive(Deserialize)]
pub(super) struct Sealed<'a> {
    pub(super) ciphertext: &'a str,
    reference: &'a str,
    #[serde(default)]
    error: &'a str,
}

impl BatchResult for Sealed<'_> {
    fn reference(&self) -> &str {
        self.reference
    }

    fn failed(&self) -> bool {
        !self.error.is_empty()
    }
}

/// A seed that was unwrapped.
#[derive(Deserialize)]
pub(super) struct Opened<'a> {
    plaintext: &'a str,
    reference: &'a str,
    #[serde(default)]
    error: &'a str,
}

impl BatchResult for Opened<'_> {
    fn reference(&self) -> &str {
        self.reference
    }

    fn failed(&self) -> bool {
        !self.error.is_empty()
    }
}

impl Opened<'_> {
    pub(super) fn seed(&self) -> Option<KeyBytes> {
        // Decoding wants room for padding, too.
        let mut bytes = Zeroizing::new([0; 36]);
        let length = BASE64_STANDARD
            .decode_slice(self.plaintext, bytes.as_mut_slice())
            .ok()?;
        KeyBytes::from_slice(bytes.get(..length)?)
    }
}

#[derive(Deserialize)]
struct Results<T> {
    batch_results: Vec<T>,
}

/// A batch's results: all there, none failed, in the order of the batch.
pub(super) fn results<'a, T: Deserialize<'a> + BatchResult>(
    body: &'a [u8],
    count: usize,
) -> Option<Vec<T>> {
    let answer: Data<Results<T>> = serde_json::from_slice(body).ok()?;
    let results = answer.data.batch_results;
    let in_order = results.len() == count
        && results.iter().enumerate().all(|(number, result)| {
            !result.failed() && result.reference() == number.to_string().as_str()
        });
    in_order.then_some(results)
}

/// Whether an answer to a batch says that an item was no good.
pub(super) fn names_a_failed_item(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Item {
        #[serde(default)]
        error: String,
    }
    serde_json::from_slice::<Data<Results<Item>>>(body).is_ok_and(|answer| {
        answer
            .data
            .batch_results
            .iter()
            .any(|i| !i.error.is_empty())
    })
}

/// What a token may do, by path.
pub(super) struct Capabilities(HashMap<String, Vec<String>>);

impl Capabilities {
    pub(super) fn allows(&self, path: &str, capability: &str) -> bool {
        self.0
            .get(path)
            .is_some_and(|list| list.iter().any(|one| one == capability || one == "root"))
    }
}

pub(super) fn capabilities(body: &[u8]) -> Option<Capabilities> {
    let answer: Data<HashMap<String, serde_json::Value>> = serde_json::from_slice(body).ok()?;
    let lists = answer.data.into_iter().filter_map(|(path, list)| {
        let list = serde_json::from_value(list).ok()?;
        Some((path, list))
    });
    Some(Capabilities(lists.collect()))
}
