//! Labels and length-prefixed fields: this crate's own contexts, encoded as the object format's (`docs/format.md` §3).

/// `label`, then every field as u32-BE length and raw bytes; `None` when a field is too long to have one.
pub(crate) fn encode(label: &str, fields: &[&[u8]]) -> Option<Vec<u8>> {
    let mut encoded = label.as_bytes().to_vec();
    for field in fields {
        encoded.extend_from_slice(&u32::try_from(field.len()).ok()?.to_be_bytes());
        encoded.extend_from_slice(field);
    }
    Some(encoded)
}
