use super::*;
use proptest::prelude::*;

const TYPE: &str = "multipart/form-data; boundary=XyZ";

/// What a form says, pieces of content joined; in pieces of a length.
fn read(body: &[u8], piece: usize) -> Result<Vec<Event>, Malformed> {
    let mut reader = FormReader::new(TYPE)?;
    let mut events = Vec::new();
    for data in body.chunks(piece.max(1)) {
        reader.push(data);
        while let Some(event) = reader.next()? {
            match (event, events.last_mut()) {
                (Event::Data(data), Some(Event::Data(before))) => {
                    *before = [&before[..], &data[..]].concat().into();
                }
                (event, _) => events.push(event),
            }
        }
    }
    Ok(events)
}

fn head(name: &str, filename: Option<&str>) -> Event {
    Event::Head(PartHead {
        name: name.to_owned(),
        filename: filename.map(str::to_owned),
    })
}

fn data(bytes: &[u8]) -> Event {
    Event::Data(Bytes::copy_from_slice(bytes))
}

fn part(disposition: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("--XyZ\r\nContent-Disposition: {disposition}\r\n\r\n");
    [head.as_bytes(), content, b"\r\n"].concat()
}

fn form(parts: &[Vec<u8>]) -> Vec<u8> {
    [&parts.concat()[..], b"--XyZ--\r\n"].concat()
}

#[test]
fn form_is_read_alike_in_pieces_of_any_length() {
    let tricky = b"\r\n--Xy\r\n--XyY\r\r\n--X-- XyZ--\r\n-";
    let body = form(&[
        part("form-data; name=\"key\"", b"a"),
        part("form-data; name=empty", b""),
        part("form-data; name=\"file\"; filename=\"f\"", tricky),
    ]);
    let expected = [
        head("key", None),
        data(b"a"),
        Event::EndOfPart,
        head("empty", None),
        Event::EndOfPart,
        head("file", Some("f")),
        data(tricky),
        Event::EndOfPart,
        Event::End,
    ];
    for piece in 1..=body.len() {
        assert_eq!(read(&body, piece).unwrap(), expected, "{piece}");
    }
}

#[test]
fn what_follows_the_end_is_nobodys_and_a_form_without_it_has_not_ended() {
    let whole = form(&[part("form-data; name=a", b"x")]);
    let mut reader = FormReader::new(TYPE).unwrap();
    for (at, byte) in [&whole[..], b"--XyZ\r\nepilogue"]
        .concat()
        .iter()
        .enumerate()
    {
        reader.push(&[*byte]);
        while reader.next().unwrap().is_some() {}
        // Its new line need not follow.
        assert_eq!(reader.has_ended(), at >= whole.len() - 3, "{at}");
    }
}

#[test]
fn names_are_read_in_every_spelling_that_clients_use() {
    for (disposition, name, filename) in [
        ("form-data; name=\"a\"", "a", None),
        ("FORM-DATA;NAME=a", "a", None),
        (
            "form-data; name=\"a;b=c\"; filename=\"\"",
            "a;b=c",
            Some(""),
        ),
        (
            "form-data; name=\"ü\"; filename=\"日 本.txt\"",
            "ü",
            Some("日 本.txt"),
        ),
        (
            "form-data; filename=\"C:\\dir\\f\"; name=\"a\"",
            "a",
            Some("C:\\dir\\f"),
        ),
        (
            "form-data; name=\"a\\\"b\" ; filename = x ",
            "a\"b",
            Some("x"),
        ),
        ("form-data; name=\"a\"; filename*=UTF-8''x", "a", None),
        ("form-data; name=\"%22\"", "%22", None),
    ] {
        let events = read(&form(&[part(disposition, b"")]), 1000).unwrap();
        assert_eq!(events[0], head(name, filename), "{disposition}");
    }
    let odd = b"--XyZ \t\r\nX: y\r\ncontent-disposition:form-data;name=a\r\n\
                Content-Transfer-Encoding: Binary\r\n\r\nx\r\n--XyZ  --";
    assert_eq!(read(odd, 3).unwrap()[0], head("a", None));
}

#[test]
fn forms_that_could_be_read_in_two_ways_are_malformed() {
    let of = |head: &str| format!("--XyZ\r\n{head}\r\n\r\nx\r\n--XyZ--\r\n").into_bytes();
    let named = "Content-Disposition: form-data; name=a";
    let long = format!("{named}\r\nx: {}", "y".repeat(PART_HEAD_BYTES_MAX));
    for (body, why) in [
        (b"preamble\r\n--XyZ\r\n".to_vec(), "preamble"),
        (b"\r\n--XyZ--".to_vec(), "an empty line first"),
        (b"--XyZX\r\n".to_vec(), "another boundary"),
        (
            b"--XyZ-".iter().chain(b"x").copied().collect(),
            "half an end",
        ),
        (of(""), "no head"),
        (of("X: y"), "no disposition"),
        (of(&format!("{named}\r\n{named}")), "two dispositions"),
        (of("Content-Disposition: attachment; name=a"), "no field"),
        (of("Content-Disposition: form-data"), "no name"),
        (of(&format!("{named}; name=b")), "two names"),
        (
            of(&format!("{named}; filename=x; filename=y")),
            "two file names",
        ),
        (
            of("Content-Disposition: form-data; name=\"a"),
            "no end of quotes",
        ),
        (
            of("Content-Disposition: form-data; name=\"a\"b"),
            "behind quotes",
        ),
        (of("Content-Disposition: form-data; name"), "no value"),
        (of(&format!("{named}\r\nfolded")), "no name of a line"),
        (of(&format!("{named}\nx: y")), "a bare line feed"),
        (
            of(&format!("{named}\r\nContent-Transfer-Encoding: base64")),
            "an encoding",
        ),
        (of(&long), "a long head"),
    ] {
        for piece in [1, 7, 100_000] {
            assert!(read(&body, piece).is_err(), "{why}");
        }
    }
    let mut bytes = of(named);
    bytes[20] = 0xFF;
    assert!(read(&bytes, 100).is_err(), "no UTF-8");
}

#[test]
fn boundary_is_found_where_a_content_type_names_one() {
    let long = format!("multipart/form-data; boundary={}", "b".repeat(71));
    for (content_type, expected) in [
        ("multipart/form-data; boundary=a", Some("a")),
        (
            "Multipart/Form-Data;charset=utf-8;BOUNDARY=\"a b:c\"",
            Some("a b:c"),
        ),
        ("multipart/form-data", None),
        ("multipart/form-data; boundary=", None),
        ("multipart/form-data; boundary=a; boundary=b", None),
        ("multipart/form-data; boundary=\"a \"", None),
        ("multipart/form-data; boundary=a\u{7f}", None),
        ("multipart/form-data-x; boundary=a", None),
        ("multipart/mixed; boundary=a", None),
        (&long, None),
    ] {
        assert_eq!(
            boundary(content_type).ok().as_deref(),
            expected,
            "{content_type}"
        );
    }
}

proptest! {
    #[test]
    fn any_content_that_lacks_the_delimiter_comes_through(
        contents in proptest::collection::vec(proptest::collection::vec(
            prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b'X'), Just(b'y'), any::<u8>()], 0..40), 0..4),
        piece in 1..50_usize,
    ) {
        let parts: Vec<_> = contents.iter().map(|content| part("form-data; name=a", content)).collect();
        let mut expected = Vec::new();
        for content in &contents {
            expected.push(head("a", None));
            if !content.is_empty() {
                expected.push(data(content));
            }
            expected.push(Event::EndOfPart);
        }
        expected.push(Event::End);
        // `Z` is not among the letters that come often, and a delimiter of chance would be another form.
        prop_assume!(contents.iter().all(|content| memmem::find(content, b"--XyZ").is_none()));
        prop_assert_eq!(read(&form(&parts), piece).unwrap(), expected);
    }

    #[test]
    fn anything_is_read_alike_in_pieces_of_any_length(
        body in "(\r\n|--|XyZ|--XyZ\r\n|Content-Disposition: form-data; name=a\r\n\r\n|[ -~]|\r|\n){0,30}",
        piece in 1..30_usize,
    ) {
        let body = format!("--XyZ{body}").into_bytes();
        let whole = read(&body, usize::MAX);
        let pieces = read(&body, piece);
        prop_assert_eq!(whole.is_err(), pieces.is_err());
        if let (Ok(whole), Ok(pieces)) = (whole, pieces) {
            prop_assert_eq!(whole, pieces);
        }
    }
}
