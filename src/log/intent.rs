//! What the next tree head will add, written down before anything of it is done.
//!
//! Tiles never change, and two sequencers, or one before and after a crash, could want different ones of the same name.
//! The intent is swapped in first: from then on everybody who looks finishes that batch, to the same bytes.

use lethe_receipts::log::{Entry, TreeHead};

const FIRST_LINE: &str = "lethe-log-intent/v1";

/// One batch and the tree that it is added to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Intent {
    pub(super) base: TreeHead,
    pub(super) entries: Vec<Entry>,
}

impl Intent {
    pub(super) fn text(&self) -> String {
        let root = hex::encode(self.base.root);
        let mut text = format!("{FIRST_LINE}\n{} {root}\n", self.base.size);
        for entry in &self.entries {
            text.push_str(&entry.to_string());
            text.push('\n');
        }
        text
    }

    /// Reads an intent in the only way it is written; it has at least one entry.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.strip_suffix('\n')?.split('\n');
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let (size, root) = lines.next()?.split_once(' ')?;
        let base = TreeHead {
            size: size.parse().ok()?,
            root: bytes32(root)?,
        };
        let entries: Vec<Entry> = lines
            .map(|line| bytes32(line).map(Entry))
            .collect::<Option<_>>()?;
        let intent = Self { base, entries };
        (!intent.entries.is_empty() && intent.text() == text).then_some(intent)
    }

    /// The size of the tree with the batch.
    pub(super) fn size_after(&self) -> u64 {
        self.base.size.saturating_add(self.entries.len() as u64)
    }
}

fn bytes32(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intent_is_read_only_as_it_is_written() {
        let intent = Intent {
            base: TreeHead::EMPTY,
            entries: vec![Entry([0xab; 32]), Entry([1; 32])],
        };
        let text = intent.text();
        assert_eq!(Intent::parse(text.as_bytes()), Some(intent.clone()));
        assert_eq!(intent.size_after(), 2);
        for (from, to) in [
            ("v1", "v2"),
            ("\n0 ", "\n00 "),
            ("\n0 ", "\n+0 "),
            ("abab", "ABAB"),
            ("abab", "ab"),
            ("\n", "\r\n"),
        ] {
            let altered = text.replacen(from, to, 1);
            assert_ne!(altered, text);
            assert_eq!(
                Intent::parse(altered.as_bytes()),
                None,
                "{from:?} as {to:?}"
            );
        }
        assert_eq!(Intent::parse(format!("{text}\n").as_bytes()), None);
        assert_eq!(Intent::parse(text.trim_end().as_bytes()), None);
        let none = Intent {
            entries: Vec::new(),
            ..intent
        };
        assert_eq!(Intent::parse(none.text().as_bytes()), None);
    }
}
