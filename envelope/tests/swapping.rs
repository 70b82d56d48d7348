//! A store that serves authentic bytes in the wrong place: other parts, attempts, versions, keys, buckets, tenants.

mod support;

use lethe_envelope::{Dek, Header, HeaderDraft, KekId, Kind, ObjectId, TenantId, Trailer, layout};
use support::*;

const MIB: usize = 1 << 20;

struct Upload {
    written: Written,
    parts: Vec<Vec<u8>>,
    tail: Vec<u8>,
}

/// Three parts, the first two of one length so that swapping them keeps every offset.
fn upload() -> Upload {
    let contents = [vec![1; 5 * MIB], vec![2; 5 * MIB], vec![3; 100]];
    let list: Vec<(u16, &[u8])> = [1, 2, 5]
        .into_iter()
        .zip(contents.iter().map(Vec::as_slice))
        .collect();
    let written = multipart(&Place::acme(), &list, &metadata("upload"));
    assert!(read(&written.place, &written.stored).unwrap().plaintext == contents.concat());
    let mut rest = written.stored.body.clone();
    let mut parts = Vec::new();
    for content in &contents {
        let tail = rest.split_off(layout::sealed_len(content.len() as u64) as usize);
        parts.push(std::mem::replace(&mut rest, tail));
    }
    Upload {
        written,
        parts,
        tail: rest,
    }
}

impl Upload {
    fn refuses(&self, body: Vec<u8>, why: &str) {
        let stored = Stored {
            body,
            ..self.written.stored.clone()
        };
        assert_eq!(read(&self.written.place, &stored), None, "{why}");
    }
}

#[test]
fn parts_swapped_dropped_or_repeated_are_refused() {
    let upload = upload();
    let [one, two, three] = [0, 1, 2].map(|index| upload.parts[index].as_slice());
    let body = |parts: &[&[u8]]| [&parts.concat(), upload.tail.as_slice()].concat();
    assert_eq!(body(&[one, two, three]), upload.written.stored.body);
    upload.refuses(body(&[two, one, three]), "swapped");
    upload.refuses(body(&[one, one, three]), "repeated");
    upload.refuses(body(&[one, three]), "dropped");
    upload.refuses(body(&[one, two, three, three]), "one too many");
    // Dropped, with the pad made longer so that the stored length stays.
    let filler = vec![0; three.len()];
    upload.refuses(body(&[one, two, &filler]), "dropped and padded");
}

#[test]
fn part_of_a_superseded_attempt_is_refused_though_its_bytes_are_the_same() {
    let upload = upload();
    let written = &upload.written;
    // The same plaintext, number, object and key: only the salt tells the attempts apart.
    let (_, attempt) = seal_part(
        &written.place,
        &written.dek,
        written.object_id,
        1,
        &vec![1; 5 * MIB],
    );
    assert_eq!(attempt.len(), upload.parts[0].len());
    let body = [&attempt, &upload.parts[1], &upload.parts[2], &upload.tail]
        .map(Vec::as_slice)
        .concat();
    upload.refuses(body, "superseded attempt");
    // Nor do its segments pass behind the completed attempt's prologue.
    let mixed = [&upload.parts[0][..56], &attempt[56..]].concat();
    let body = [&mixed, &upload.parts[1], &upload.parts[2], &upload.tail]
        .map(Vec::as_slice)
        .concat();
    upload.refuses(body, "superseded attempt behind the right prologue");
}

#[test]
fn parts_renumbered_are_refused_even_in_an_authentic_trailer() {
    let upload = upload();
    let written = &upload.written;
    let mut parts = written.trailer.as_ref().unwrap().parts.clone();
    parts[2].number = 3;
    // The strongest forger of this kind: someone who holds the DEK and seals a trailer with other numbers.
    let forged = Trailer::new(written.object_id, Some(checksum()), parts).unwrap();
    let tail = forged
        .seal_with_pad(ENGINE, &written.dek, written.place.tenant)
        .unwrap();
    assert_eq!(tail.len(), upload.tail.len());
    let body = [upload.parts.concat(), tail].concat();
    upload.refuses(body, "renumbered");
}

#[test]
fn trailer_of_another_version_object_key_or_tenant_is_refused() {
    let place = Place::acme();
    let written = put(&place, b"version 1", &metadata("one"));
    let at = layout::parts_area_len(9) as usize;
    let other_tenant = Place {
        tenant: TenantId::from_bytes([0xdd; 16]),
        ..place.clone()
    };
    let others = [
        put(&place, b"version 2", &metadata("one")),
        put(
            &Place {
                object_key: "other".to_owned(),
                ..place.clone()
            },
            b"version 1",
            &metadata("one"),
        ),
        put(&other_tenant, b"version 1", &metadata("one")),
    ];
    for other in &others {
        let mut stored = written.stored.clone();
        stored.body.truncate(at);
        stored.body.extend(&other.stored.body[at..]);
        assert_eq!(stored.body.len(), written.stored.body.len());
        assert_eq!(read(&place, &stored), None);
        let mut stored = written.stored.clone();
        stored.body.clone_from(&other.stored.body);
        assert_eq!(read(&place, &stored), None, "a whole body moved");
    }
}

#[test]
fn trailer_under_another_dek_object_tenant_or_length_is_refused() {
    let upload = upload();
    let (written, tail) = (&upload.written, &upload.tail);
    let trailer = written.trailer.as_ref().unwrap();
    let sealed = &tail[trailer.pad_len() as usize..];
    let (tenant, id, p) = (
        written.place.tenant,
        written.object_id,
        trailer.plaintext_bytes,
    );
    let open = |dek: &Dek, tenant, id, p| Trailer::open(ENGINE, dek, tenant, id, p, sealed);
    assert_eq!(open(&written.dek, tenant, id, p).as_ref(), Ok(trailer));
    assert!(open(&Dek::generate().unwrap(), tenant, id, p).is_err());
    assert!(open(&written.dek, TenantId::from_bytes([0; 16]), id, p).is_err());
    assert!(open(&written.dek, tenant, ObjectId::from_bytes([0; 16]), p).is_err());
    assert!(open(&written.dek, tenant, id, p + 1).is_err());
}

#[test]
fn metadata_and_header_swapped_between_an_object_and_its_copy_are_refused() {
    let place = Place::acme();
    let written = put(&place, b"contents", &metadata("source"));
    let target = Place {
        object_key: "copy".to_owned(),
        ..place.clone()
    };
    let copied = copy(&written, &target, &metadata("copy"));
    assert_eq!(read(&target, &copied).unwrap().metadata, metadata("copy"));
    assert_eq!(read(&target, &copied).unwrap().plaintext, b"contents");

    let source = &written.stored;
    let swapped = Stored {
        metadata: source.metadata.clone(),
        ..copied.clone()
    };
    assert_eq!(
        read(&target, &swapped),
        None,
        "the source's metadata on the copy"
    );
    let swapped = Stored {
        metadata: copied.metadata.clone(),
        ..source.clone()
    };
    assert_eq!(
        read(&place, &swapped),
        None,
        "the copy's metadata on the source"
    );
    let swapped = Stored {
        header: source.header.clone(),
        ..copied.clone()
    };
    assert_eq!(
        read(&target, &swapped),
        None,
        "the source's header on the copy"
    );
    let swapped = Stored {
        header: source.header.clone(),
        metadata: source.metadata.clone(),
        ..copied
    };
    assert_eq!(
        read(&target, &swapped),
        None,
        "header and metadata of the source on the copy"
    );
}

#[test]
fn metadata_replaced_on_the_same_key_old_and_new_do_not_mix() {
    let place = Place::acme();
    let written = put(&place, b"contents", &metadata("old"));
    let new = copy(&written, &place, &metadata("new"));
    assert_eq!(read(&place, &new).unwrap().metadata, metadata("new"));
    let mixed = Stored {
        metadata: written.stored.metadata.clone(),
        ..new
    };
    assert_eq!(read(&place, &mixed), None);
}

#[test]
fn object_moved_to_another_key_bucket_domain_tenant_or_kek_is_refused() {
    let place = Place::acme();
    let single = put(&place, b"contents", &metadata("x"));
    let parts = multipart(&place, &[(1, b"contents")], &metadata("x"));
    let elsewhere = [
        Place {
            object_key: "reports/2024.pdf".to_owned(),
            ..place.clone()
        },
        Place {
            bucket: "docs2".to_owned(),
            ..place.clone()
        },
        Place {
            domain: "us".to_owned(),
            ..place.clone()
        },
        Place {
            tenant: TenantId::from_bytes([0xdd; 16]),
            ..place.clone()
        },
        Place {
            kek_id: KekId::from_bytes([0xdd; 16]),
            ..place.clone()
        },
        Place {
            kek: [0xdd; 32],
            ..place.clone()
        },
    ];
    for written in [single, parts] {
        assert!(read(&place, &written.stored).is_some());
        for wrong in &elsewhere {
            assert_eq!(read(wrong, &written.stored), None);
            // A store may also rewrite the header's clear fields to match.
            let mut header = Header::decode(&written.stored.header).unwrap();
            header.kek_id = wrong.kek_id;
            header.kek_commitment = wrong.draft(written.object_id).kek_commitment;
            let stored = Stored {
                header: header.encode(),
                ..written.stored.clone()
            };
            assert_eq!(read(wrong, &stored), None);
        }
    }
}

#[test]
fn header_kind_or_length_rewritten_is_refused() {
    let place = Place::acme();
    let written = put(&place, b"contents", &metadata("x"));
    let header = Header::decode(&written.stored.header).unwrap();
    let rewritten = [
        HeaderDraft {
            single: None,
            ..header.draft()
        },
        HeaderDraft {
            single: header.single.map(|single| lethe_envelope::SinglePart {
                plaintext_bytes: single.plaintext_bytes - 1,
                ..single
            }),
            ..header.draft()
        },
    ];
    for draft in rewritten {
        let header = draft.with_wrapped_dek(header.wrapped_dek).encode();
        assert_eq!(
            read(
                &place,
                &Stored {
                    header,
                    ..written.stored.clone()
                }
            ),
            None
        );
    }
    assert_eq!(header.kind, Kind::Single);
}

#[test]
fn object_names_that_concatenate_alike_do_not_share_a_wrap() {
    let at = |bucket: &str, object_key: &str| Place {
        bucket: bucket.to_owned(),
        object_key: object_key.to_owned(),
        ..Place::acme()
    };
    let long = "k".repeat(1_024);
    let names = [
        ("a", "bc"),
        ("ab", "c"),
        ("abc", ""),
        ("", "abc"),
        ("a", "b\0c"),
        ("a\0b", "c"),
        ("a", ".."),
        ("a", "../a"),
        ("a", "a/../a"),
        ("a", "\0"),
        ("a", "\0\0\0\u{1}"),
        ("a", &long),
        ("a", &long[1..]),
    ];
    for (bucket, object_key) in names {
        let written = put(&at(bucket, object_key), b"contents", &metadata("x"));
        for (other_bucket, other_key) in names {
            let same = (bucket, object_key) == (other_bucket, other_key);
            let outcome = read(&at(other_bucket, other_key), &written.stored);
            assert_eq!(
                outcome.is_some(),
                same,
                "{bucket}|{object_key} as {other_bucket}|{other_key}"
            );
        }
    }
}
