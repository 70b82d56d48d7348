//! The root of an RFC 6962 Merkle tree over entries that come one by one; it keeps one hash a level.

use sha2::{Digest, Sha256};

/// A growing tree.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Roots of complete subtrees, the largest first.
    complete: Vec<[u8; 32]>,
    entries: u64,
}

impl Tree {
    pub(super) fn push(&mut self, entry: &[u8; 32]) {
        let mut hash: [u8; 32] = Sha256::new()
            .chain_update([0])
            .chain_update(entry)
            .finalize()
            .into();
        let mut entries = self.entries;
        while entries & 1 == 1
            && let Some(left) = self.complete.pop()
        {
            hash = parent(&left, &hash);
            entries >>= 1;
        }
        self.complete.push(hash);
        self.entries += 1;
    }

    pub(super) fn root(mut self) -> [u8; 32] {
        let Some(mut root) = self.complete.pop() else {
            return Sha256::digest([]).into();
        };
        while let Some(left) = self.complete.pop() {
            root = parent(&left, &root);
        }
        root
    }
}

fn parent(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    Sha256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6962 §2.1 as it is written: split at the largest power of two below the size.
    fn by_definition(entries: &[[u8; 32]]) -> [u8; 32] {
        match entries {
            [] => Sha256::digest([]).into(),
            [one] => Sha256::digest([&[0][..], one].concat()).into(),
            many => {
                let mut split = 1;
                while split * 2 < many.len() {
                    split *= 2;
                }
                parent(
                    &by_definition(&many[..split]),
                    &by_definition(&many[split..]),
                )
            }
        }
    }

    #[test]
    fn root_is_that_of_the_definition() {
        for size in 0..70_u8 {
            let entries: Vec<[u8; 32]> = (0..size).map(|number| [number; 32]).collect();
            let mut tree = Tree::default();
            entries.iter().for_each(|entry| tree.push(entry));
            assert!(tree.complete.len() <= 7);
            assert_eq!(tree.root(), by_definition(&entries), "{size}");
        }
    }
}
