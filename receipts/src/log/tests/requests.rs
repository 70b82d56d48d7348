use super::*;
use proptest::prelude::*;

fn request() -> AddCheckpoint {
    let origin = Origin::of_domain("eu", [1; 8]).unwrap();
    let key = LogKey::from_seed(&origin, &[1; 32]);
    let head = TreeHead {
        size: 9,
        root: [9; 32],
    };
    AddCheckpoint {
        old_size: 5,
        proof: vec![[1; 32], [2; 32]],
        checkpoint: Checkpoint { origin, head }.sign(&key).unwrap(),
    }
}

#[test]
fn request_is_read_as_it_is_written() {
    let request = request();
    assert_eq!(AddCheckpoint::parse(&request.text()), Ok(request));
}

#[test]
fn request_written_in_another_way_is_refused() {
    let text = request().text();
    for (from, to) in [
        ("old 5", "old 05"),
        ("old 5", "old +5"),
        ("old 5", "old  5"),
        ("old 5", "Old 5"),
        ("old 5", "old -5"),
        ("old 5", "old 9007199254740992"),
        ("old 5\n", "old 5\r\n"),
        ("old 5\n", "old 5\n\n"),
        ("AQE=\n", "AQE\n"),
        ("AQE=\n", "AQE= \n"),
        ("AQE=\n", "AQF=\n"),
        ("\n\n", "\n"),
    ] {
        let altered = text.replacen(from, to, 1);
        assert_ne!(altered, text, "{from} is not in the text");
        assert!(AddCheckpoint::parse(&altered).is_err(), "{from} as {to}");
    }
    let mut long = request();
    long.proof = vec![[0; 32]; 64];
    assert!(AddCheckpoint::parse(&long.text()).is_err());
    long.proof.pop();
    assert!(AddCheckpoint::parse(&long.text()).is_ok());
}

proptest! {
    #[test]
    fn request_of_any_text_never_panics(text in "(old [0-9]{1,20}\n)?[A-Za-z0-9+/=\n— ]{0,200}") {
        if let Ok(request) = AddCheckpoint::parse(&text) {
            prop_assert_eq!(request.text(), text);
        }
    }
}
