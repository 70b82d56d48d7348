//! Hostile notes: whatever is not written exactly as we write it is refused, and nothing panics.

use super::checkpoints::seed;
use super::*;
use proptest::prelude::*;

fn signed() -> String {
    let origin = Origin::of_domain("eu", [7; 8]).unwrap();
    let head = TreeHead {
        size: 12,
        root: [3; 32],
    };
    let key = LogKey::from_seed(&origin, &seed(1));
    Checkpoint { origin, head }
        .sign(&key)
        .unwrap()
        .as_str()
        .to_owned()
}

#[test]
fn note_in_another_form_is_malformed() {
    let text = signed();
    let alterations: &[(&str, &str)] = &[
        ("\n12\n", "\n012\n"),
        ("\n12\n", "\n+12\n"),
        ("\n12\n", "\n12 \n"),
        ("\n12\n", "\n-12\n"),
        ("\n12\n", "\n\n"),
        ("\n12\n", "\n18446744073709551616\n"),
        ("\n12\n", "\n9007199254740992\n"),
        ("\n12\n", "\n0\n"),
        ("AwM=\n", "AwM\n"),
        ("AwM=\n", "AwN=\n"),
        ("AwM=\n", "AwM==\n"),
        ("AwM=\n", "AwM= \n"),
        ("AwM=\n", "AwM=\nx\n"),
        ("AwM=\n\n", "AwM=\n"),
        ("AwM=\n\n", "AwM=\n\n\n"),
        ("\n", "\r\n"),
        ("— ", "- "),
        ("— ", "—"),
        ("— ", "—  "),
        ("— lethe", "— let+he"),
        ("— lethe", "— l\u{e9}the"),
        ("lethe/eu", "l\u{e9}the/eu"),
        ("lethe/eu/0707070707070707\n", "\n"),
        ("lethe/eu", "\tlethe/eu"),
        ("lethe/eu", "le the/eu"),
        ("lethe/eu", "le\u{0}the/eu"),
        ("lethe/eu", "\u{feff}lethe/eu"),
    ];
    for (from, to) in alterations {
        let altered = text.replacen(from, to, 1);
        assert_ne!(altered, text, "{from:?} is not in the text");
        let parsed = SignedCheckpoint::parse(altered.clone());
        assert_eq!(
            parsed,
            Err(CheckpointError::Malformed),
            "{from:?} as {to:?}"
        );
        assert!(open_checkpoint(&altered, &[], &[]).is_err());
    }
    let ends = [
        text.trim_end().to_owned(),
        format!("{text}\n"),
        format!("{text}x"),
        format!("\n{text}"),
        format!("{text}— a AAAA\n"),
        format!("{text}— a  \n"),
        String::new(),
        "\n\n".to_owned(),
        "\n\n\n".to_owned(),
    ];
    for altered in ends {
        assert_eq!(
            SignedCheckpoint::parse(altered),
            Err(CheckpointError::Malformed)
        );
    }
}

#[test]
fn note_of_a_hundred_signatures_is_read_and_one_more_refused() {
    let text = signed();
    let (body, _) = text.split_once("\n\n").unwrap();
    let with = |count: usize| {
        let lines: String = (0..count).map(|n| format!("— k{n} AAAAAAA=\n")).collect();
        SignedCheckpoint::parse(format!("{body}\n\n{lines}"))
    };
    assert!(with(100).is_ok());
    assert_eq!(with(101), Err(CheckpointError::Malformed));
    assert_eq!(with(0), Err(CheckpointError::Malformed));
    let long = format!("{body}\n\n— k {}\n", "A".repeat(70_000));
    assert_eq!(
        SignedCheckpoint::parse(long),
        Err(CheckpointError::Malformed)
    );
}

#[test]
fn empty_tree_has_one_checkpoint() {
    let origin = Origin::of_domain("eu", [7; 8]).unwrap();
    let empty = Checkpoint {
        origin: origin.clone(),
        head: TreeHead::EMPTY,
    };
    assert_eq!(Checkpoint::from_body(&empty.body()), Ok(empty));
    let head = TreeHead {
        size: 0,
        root: [0; 32],
    };
    let false_empty = Checkpoint { origin, head };
    assert!(Checkpoint::from_body(&false_empty.body()).is_err());
}

proptest! {
    #[test]
    fn note_of_any_text_never_panics(text in "\\PC*") {
        prop_assert!(open_checkpoint(&text, &[], &[]).is_err());
    }

    #[test]
    fn note_with_any_part_replaced_is_refused_or_means_the_same(at in 0usize..170, len in 0usize..9, with in "[A-Za-z0-9+/= \n—]{0,6}") {
        let text = signed();
        let mut chars: Vec<char> = text.chars().collect();
        let at = at.min(chars.len());
        let end = (at + len).min(chars.len());
        chars.splice(at..end, with.chars());
        let altered: String = chars.into_iter().collect();
        let log = LogKey::from_seed(&Origin::of_domain("eu", [7; 8]).unwrap(), &seed(1)).verifier();
        if let Ok(opened) = open_checkpoint(&altered, &[log], &[]) {
            prop_assert_eq!(opened.checkpoint.head, TreeHead { size: 12, root: [3; 32] });
        }
    }
}
