//! Signed notes (C2SP signed-note) in our profile: a body of ASCII lines, an empty line, signature lines.

use super::key::KeyName;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Several times what a checkpoint with a hundred signatures needs.
pub(super) const NOTE_BYTES_MAX: usize = 64 << 10;
pub(super) const SIGNATURES_MAX: usize = 100;

/// A note taken apart; nothing in it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note<'a> {
    /// The signed text with its last line end.
    pub(super) body: &'a str,
    pub(super) signatures: Vec<NoteSignature>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NoteSignature {
    pub(super) name: KeyName,
    pub(super) id: u32,
    pub(super) bytes: Vec<u8>,
}

/// Takes `text` apart, or `None` where it is not a note of our profile.
pub(super) fn parse(text: &str) -> Option<Note<'_>> {
    if text.len() > NOTE_BYTES_MAX {
        return None;
    }
    let end = text.find("\n\n")?;
    let (body, rest) = text.split_at(end + 1);
    let plain = |b: u8| b == b' ' || b == b'\n' || b.is_ascii_graphic();
    if !body.bytes().all(plain) {
        return None;
    }
    let signatures = signatures(rest.strip_prefix('\n')?)?;
    Some(Note { body, signatures })
}

/// Reads one to [`SIGNATURES_MAX`] signature lines, each with its line end.
pub(super) fn signatures(lines: &str) -> Option<Vec<NoteSignature>> {
    let lines: Vec<&str> = lines
        .strip_suffix('\n')?
        .split('\n')
        .take(SIGNATURES_MAX + 1)
        .collect();
    if lines.len() > SIGNATURES_MAX {
        return None;
    }
    lines.into_iter().map(signature).collect()
}

fn signature(line: &str) -> Option<NoteSignature> {
    // The library checks the shape and the base64; the name is held to our own, narrower rule.
    let parsed = signed_note::Signature::from_bytes(line.as_bytes()).ok()?;
    Some(NoteSignature {
        name: KeyName::new(parsed.name()).ok()?,
        id: parsed.id(),
        bytes: parsed.signature().to_vec(),
    })
}

/// One signature line with its line end.
pub(super) fn line(name: &KeyName, id: u32, signature: &[u8]) -> String {
    let mut material = id.to_be_bytes().to_vec();
    material.extend_from_slice(signature);
    format!("— {name} {}\n", STANDARD.encode(material))
}

impl NoteSignature {
    pub(super) fn line(&self) -> String {
        line(&self.name, self.id, &self.bytes)
    }
}
