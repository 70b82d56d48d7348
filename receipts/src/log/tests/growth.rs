//! The tree's edge: reading it back, growing it in any batches, refusing what is not it.

use super::*;
use proptest::prelude::*;

fn opened(grown: &Grown, head: &TreeHead) -> Result<Frontier, Unsound> {
    Frontier::open(head, |path| {
        grown.tiles.get(path).map_or(&[], Vec::as_slice)
    })
}

#[test]
fn frontier_of_every_size_is_read_back_from_its_tiles() {
    let grown = Grown::to(600);
    for head in &grown.heads {
        assert_eq!(opened(&grown, head).unwrap().head(), *head);
    }
}

#[test]
fn frontier_from_altered_tiles_is_refused() {
    let grown = Grown::to(600);
    let head = *grown.heads.last().unwrap();
    for path in tiles_of(600) {
        for at in [0, 1, 2, 33] {
            let mut altered = Grown {
                tiles: grown.tiles.clone(),
                ..Grown::default()
            };
            altered.tiles.get_mut(&path).unwrap()[at] ^= 1;
            assert!(opened(&altered, &head).is_err(), "{path} at {at}");
            altered.tiles.get_mut(&path).unwrap().pop();
            assert_eq!(opened(&altered, &head), Err(Unsound::Tile(path)));
        }
    }
    assert!(
        opened(
            &grown,
            &TreeHead {
                size: SIZE_MAX + 1,
                root: head.root
            }
        )
        .is_err()
    );
}

#[test]
fn append_beyond_the_greatest_size_adds_nothing() {
    // A tree whose edge is one hash a level, as if it were nearly full.
    let size = SIZE_MAX;
    let tiles: BTreeMap<TilePath, Vec<u8>> = tiles_of(size)
        .into_iter()
        .map(|path| match path.kind() {
            TileKind::Entries => (path, encode_entries(&vec![entry(0); path.width().into()])),
            TileKind::Hashes { level: 0 } => (
                path,
                [leaf_hash(&entry(0))].repeat(path.width().into()).concat(),
            ),
            TileKind::Hashes { .. } => (path, vec![5; path.bytes_len()]),
        })
        .collect();
    let mut grown = Grown {
        tiles,
        ..Grown::default()
    };
    let wrong = TreeHead {
        size,
        root: [0; 32],
    };
    assert_eq!(opened(&grown, &wrong), Err(Unsound::Root));
    let mut frontier = Frontier::default();
    grown.frontier = frontier.clone();
    assert_eq!(tiles_of(size).len(), 8);
    frontier.append(&[entry(1)]).unwrap();
    assert_eq!(frontier.head().size, 1);
}

#[test]
fn tree_of_70000_entries_has_the_tiles_that_the_specification_lists() {
    let mut grown = Grown::default();
    grown.append(&(0..70_000).map(entry).collect::<Vec<_>>());
    let count = |level, width| {
        let kind = TileKind::Hashes { level };
        let of = |path: &&TilePath| path.kind() == kind && path.width() == width;
        grown.tiles.keys().filter(of).count()
    };
    assert_eq!((count(0, 256), count(0, 112)), (273, 1));
    assert_eq!((count(1, 256), count(1, 17)), (1, 1));
    assert_eq!(count(2, 1), 1);
    let bundles = grown
        .tiles
        .keys()
        .filter(|path| path.kind() == TileKind::Entries);
    assert_eq!(bundles.count(), 274);
    assert_eq!(grown.tiles.len(), 273 + 1 + 1 + 1 + 1 + 274);
}

#[test]
fn bundles_of_other_shapes_are_refused() {
    let bundle = encode_entries(&[entry(1), entry(2)]);
    assert_eq!(decode_entries(&bundle).unwrap(), [entry(1), entry(2)]);
    assert!(decode_entries(&bundle[..67]).is_none());
    for (at, value) in [(0, 1), (1, 33), (34, 1), (35, 31)] {
        let mut altered = bundle.clone();
        altered[at] = value;
        assert!(decode_entries(&altered).is_none(), "byte {at}");
    }
    assert!(decode_entries(&encode_entries(&vec![entry(0); 257])).is_none());
}

#[test]
fn tile_paths_written_in_another_way_are_refused() {
    for path in [
        "tile/0/000",
        "tile/0/000.p/1",
        "tile/0/x001/000.p/255",
        "tile/entries/x001/x234/067",
        "tile/6/000.p/31",
        "tile/5/031",
    ] {
        assert_eq!(TilePath::parse(path).unwrap().to_string(), path);
    }
    for path in [
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/x000",
        "tile/0/x000/000",
        "tile/0/001/000",
        "tile/0/x001/x000",
        "tile/00/000",
        "tile/+0/000",
        "tile/-1/000",
        "tile/7/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/000.p/1/",
        "/tile/0/000",
        "tile/0/../000",
        "tile/entries/000/..",
        "tile/data/000",
        "tile/0/1000",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        "tile/0/xx001/000",
        "tile/0/000.p/1.p/1",
        "tile//000",
        "tile/Entries/000",
    ] {
        assert!(TilePath::parse(path).is_none(), "{path}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn growth_in_any_batches_is_the_same_log(batches in proptest::collection::vec(0u64..700, 1..6)) {
        let mut batched = Grown::default();
        let mut size = 0;
        for batch in batches {
            // Each batch starts from what was stored, as after a restart.
            batched.frontier = opened(&batched, &batched.frontier.head()).unwrap();
            batched.append(&(size..size + batch).map(entry).collect::<Vec<_>>());
            size += batch;
        }
        let mut whole = Grown::default();
        whole.append(&(0..size).map(entry).collect::<Vec<_>>());
        prop_assert_eq!(batched.frontier.head(), whole.frontier.head());
        for (path, bytes) in &whole.tiles {
            prop_assert_eq!(&batched.tiles[path], bytes, "{}", path);
        }
    }

    #[test]
    fn tile_paths_are_read_as_they_are_written(level in 0u8..=6, index in 0u64..=SIZE_MAX, width in 1u16..=256) {
        for kind in [TileKind::Hashes { level }, TileKind::Entries] {
            if let Some(path) = TilePath::new(kind, index >> (8 * (u32::from(level) + 1)), width) {
                prop_assert_eq!(TilePath::parse(&path.to_string()), Some(path));
            }
        }
    }

    #[test]
    fn tile_paths_of_any_text_never_panic(text in "(tile/)?[0-9a-zx./]{0,40}") {
        if let Some(path) = TilePath::parse(&text) {
            prop_assert_eq!(path.to_string(), text);
        }
    }
}
