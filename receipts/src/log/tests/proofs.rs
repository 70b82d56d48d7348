//! Our proofs against `ct-merkle`, an implementation of its own.

use super::*;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Digest as _;
use sha2::Sha256;
use std::sync::OnceLock;

const SIZES: u64 = 300;

type Oracle = MemoryBackedTree<Sha256, [u8; 32]>;

fn oracles() -> Vec<Oracle> {
    let mut tree = Oracle::new();
    let mut trees = vec![tree.clone()];
    for index in 0..SIZES {
        tree.push(entry(index).0);
        trees.push(tree.clone());
    }
    trees
}

fn grown() -> &'static Grown {
    static GROWN: OnceLock<Grown> = OnceLock::new();
    GROWN.get_or_init(|| Grown::to(SIZES))
}

fn hashes(proof: &[u8]) -> Vec<Hash> {
    proof.as_chunks::<32>().0.to_vec()
}

#[test]
fn roots_of_every_size_are_the_oracles() {
    for (size, oracle) in oracles().iter().enumerate() {
        let head = grown().heads[size];
        assert_eq!(head.size, size as u64);
        if size > 0 {
            assert_eq!(head.root[..], oracle.root().as_bytes()[..]);
        }
    }
    assert_eq!(TreeHead::EMPTY.root[..], Sha256::digest(b"")[..]);
}

#[test]
fn inclusion_of_every_entry_in_every_size_agrees_with_the_oracle() {
    let oracles = oracles();
    for size in 1..=SIZES {
        let head = grown().heads[size as usize];
        for index in 0..size {
            let theirs = hashes(
                oracles[size as usize]
                    .prove_inclusion(index as usize)
                    .as_bytes(),
            );
            verify_inclusion(&head, index, &entry(index), &theirs).unwrap();
            if (size + index) % 3 == 0 {
                let ours = grown().prove(|set| prove_inclusion(&head, index, set));
                assert_eq!(ours.unwrap(), theirs, "{index} of {size}");
            }
        }
    }
}

#[test]
fn consistency_of_every_pair_of_sizes_agrees_with_the_oracle() {
    let oracles = oracles();
    for new in 1..=SIZES {
        let new_head = grown().heads[new as usize];
        for old in 1..=new {
            let old_head = grown().heads[old as usize];
            let theirs = if old == new {
                Vec::new()
            } else {
                hashes(
                    oracles[new as usize]
                        .prove_consistency((new - old) as usize)
                        .as_bytes(),
                )
            };
            verify_consistency(&old_head, &new_head, &theirs).unwrap();
            if (new + old) % 3 == 0 || old == new {
                let ours = grown().prove(|set| prove_consistency(old, &new_head, set));
                assert_eq!(ours.unwrap(), theirs, "{old} to {new}");
            }
        }
        verify_consistency(&TreeHead::EMPTY, &new_head, &[]).unwrap();
    }
}

#[test]
fn proofs_of_an_entry_or_size_beyond_the_tree_are_out_of_range() {
    let head = grown().heads[7];
    let set = TileSet::default();
    assert_eq!(prove_inclusion(&head, 7, &set), Err(TilesError::OutOfRange));
    assert_eq!(
        prove_consistency(8, &head, &set),
        Err(TilesError::OutOfRange)
    );
    assert_eq!(
        verify_inclusion(&head, 7, &entry(7), &[]),
        Err(ProofError::OutOfRange)
    );
    let larger = grown().heads[8];
    assert_eq!(
        verify_consistency(&larger, &head, &[]),
        Err(ProofError::OutOfRange)
    );
    let absurd = TreeHead {
        size: SIZE_MAX + 1,
        root: head.root,
    };
    assert_eq!(
        verify_inclusion(&absurd, 0, &entry(0), &[]),
        Err(ProofError::OutOfRange)
    );
    assert_eq!(
        verify_consistency(&head, &absurd, &[]),
        Err(ProofError::OutOfRange)
    );
}

#[test]
fn consistency_from_the_empty_tree_takes_only_the_empty_tree_and_proof() {
    let head = grown().heads[5];
    let false_empty = TreeHead {
        size: 0,
        root: [7; 32],
    };
    assert!(verify_consistency(&false_empty, &head, &[]).is_err());
    assert!(verify_consistency(&TreeHead::EMPTY, &head, &[[0; 32]]).is_err());
    assert!(verify_consistency(&TreeHead::EMPTY, &TreeHead::EMPTY, &[]).is_ok());
}

#[test]
fn proofs_from_altered_tiles_are_refused() {
    let head = grown().heads[290];
    let TilesError::Missing(paths) = prove_inclusion(&head, 3, &TileSet::default()).unwrap_err()
    else {
        panic!("an empty set has everything missing");
    };
    for altered in &paths {
        let mut set = TileSet::default();
        for path in &paths {
            let mut bytes = grown().tiles[path].clone();
            if path == altered {
                bytes[9] ^= 1;
            }
            set.insert(*path, bytes);
        }
        assert_eq!(
            prove_inclusion(&head, 3, &set),
            Err(TilesError::Inconsistent),
            "{altered}"
        );
    }
}

#[test]
fn full_tile_stands_in_for_a_partial_one() {
    let head = grown().heads[20];
    let mut set = TileSet::default();
    let full = TilePath::new(TileKind::Hashes { level: 0 }, 0, 256).unwrap();
    set.insert(full, grown().tiles[&full].clone());
    let proof = prove_inclusion(&head, 11, &set).unwrap();
    verify_inclusion(&head, 11, &entry(11), &proof).unwrap();
}

#[test]
fn tile_of_a_wrong_length_stays_missing() {
    let head = grown().heads[20];
    let mut set = TileSet::default();
    let path = TilePath::new(TileKind::Hashes { level: 0 }, 0, 20).unwrap();
    set.insert(path, vec![0; 20 * 32 - 1]);
    assert_eq!(
        prove_inclusion(&head, 11, &set),
        Err(TilesError::Missing(vec![path]))
    );
}

/// A tree with three levels of tiles, made in one go.
fn large() -> &'static Grown {
    static LARGE: OnceLock<Grown> = OnceLock::new();
    LARGE.get_or_init(|| {
        let mut grown = Grown::default();
        let entries: Vec<Entry> = (0..66_000).map(entry).collect();
        grown.append(&entries);
        grown.heads.push(grown.frontier.head());
        grown
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn inclusion_in_a_large_tree_holds_for_its_entry_only(index in 0u64..66_000, other in 0u64..66_000, flip in 0usize..512) {
        let head = large().heads[0];
        let mut proof = large().prove(|set| prove_inclusion(&head, index, set)).unwrap();
        prop_assert!(verify_inclusion(&head, index, &entry(index), &proof).is_ok());
        if other != index {
            prop_assert!(verify_inclusion(&head, other, &entry(index), &proof).is_err());
            prop_assert!(verify_inclusion(&head, index, &entry(other), &proof).is_err());
        }
        let at = flip % proof.len();
        proof[at][flip / 16] ^= 1;
        prop_assert!(verify_inclusion(&head, index, &entry(index), &proof).is_err());
    }

    #[test]
    fn consistency_with_a_large_tree_holds_for_its_beginnings_only(old in 1u64..66_000, flip in 0usize..512) {
        let head = large().heads[0];
        let mut beginning = Frontier::default();
        beginning.append(&(0..old).map(entry).collect::<Vec<_>>()).unwrap();
        let old_head = beginning.head();
        let mut proof = large().prove(|set| prove_consistency(old, &head, set)).unwrap();
        prop_assert!(verify_consistency(&old_head, &head, &proof).is_ok());
        let forked = TreeHead { root: leaf_hash(&entry(old)), ..old_head };
        prop_assert!(verify_consistency(&forked, &head, &proof).is_err());
        if !proof.is_empty() {
            let at = flip % proof.len();
            proof[at][flip / 16] ^= 1;
            prop_assert!(verify_consistency(&old_head, &head, &proof).is_err());
        }
    }

    #[test]
    fn proofs_of_any_input_never_panic(
        size in any::<u64>(), old in any::<u64>(), index in any::<u64>(),
        proof in proptest::collection::vec(any::<[u8; 32]>(), 0..70),
    ) {
        for size in [size, size & SIZE_MAX, size % 1000] {
            let head = TreeHead { size, root: [1; 32] };
            for old in [old, old & SIZE_MAX, old % 1000] {
                let old = TreeHead { size: old, root: [2; 32] };
                prop_assert!(verify_consistency(&old, &head, &proof).is_err());
                let _any = prove_consistency(old.size, &head, &TileSet::default());
            }
            for index in [index, index & SIZE_MAX, index % 1000] {
                prop_assert!(verify_inclusion(&head, index, &Entry([3; 32]), &proof).is_err());
                let _any = prove_inclusion(&head, index, &TileSet::default());
            }
        }
    }
}
