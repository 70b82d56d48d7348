//! The frozen vectors of suites 0x01 and 0x02, written by the second implementation in `tests/python`, never by this one.

mod support;

use lethe_envelope::{
    AttemptContext, Checksum, ChecksumAlgorithm, ChecksumType, CustomerKey, CustomerSecret, Dek,
    DekContext, Engine, Header, KekContext, KekId, Kind, MetadataContext, NodeContext, ObjectId,
    ObjectMetadata, PartContext, PartRecord, Sealer, Suite, TenantId, Trailer, TrailerContext,
    kek_commitment, layout, open_message, part_list_digest, upload,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use support::{Place, Stored, read};
use zeroize::Zeroizing;

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors/suite-01.json")).unwrap()
}

/// Those of suite 0x02: what differs where a customer key is folded in.
fn customer_vectors() -> Value {
    serde_json::from_str(include_str!("vectors/suite-02.json")).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn bytes<const N: usize>(value: &Value) -> [u8; N] {
    hex::decode(text(value)).unwrap().try_into().unwrap()
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn plaintext(length: u64) -> Vec<u8> {
    (0..length)
        .map(|index| (index * 7 + index / 256) as u8)
        .collect()
}

fn place(vectors: &Value) -> Place {
    let place = &vectors["place"];
    Place {
        kek: bytes(&place["kek"]),
        kek_id: KekId::from_bytes(bytes(&place["kek_id"])),
        tenant: TenantId::from_bytes(bytes(&place["tenant"])),
        domain: text(&place["domain"]).to_owned(),
        bucket: text(&place["bucket"]).to_owned(),
        object_key: text(&place["object_key"]).to_owned(),
        customer_key: place.get("customer_key").map(bytes),
    }
}

fn object_id(vectors: &Value) -> ObjectId {
    ObjectId::from_bytes(bytes(&vectors["object_id"]))
}

fn dek(vectors: &Value) -> Dek {
    Dek::from_bytes(Zeroizing::new(bytes(&vectors["dek"])))
}

fn checksum(value: &Value) -> Checksum {
    Checksum::new(
        ChecksumAlgorithm::from_code(value[0].as_u64().unwrap() as u8).unwrap(),
        ChecksumType::from_code(value[1].as_u64().unwrap() as u8).unwrap(),
        hex::decode(text(&value[2])).unwrap(),
    )
    .unwrap()
}

fn metadata(vectors: &Value) -> ObjectMetadata {
    let given = &vectors["metadata"];
    let field = |name: &str| given.get(name).map(|value| text(value).to_owned());
    ObjectMetadata {
        user: serde_json::from_value(given["user"].clone()).unwrap(),
        content_type: field("content_type"),
        content_disposition: field("content_disposition"),
        content_encoding: field("content_encoding"),
        content_language: field("content_language"),
        cache_control: field("cache_control"),
        expires: field("expires"),
        checksum: Some(checksum(&given["checksum"])),
    }
}

#[test]
fn vectors_are_the_ones_that_were_frozen() {
    let found = sha256_hex(include_bytes!("vectors/suite-01.json"));
    let frozen = "a146aa1bfb41c49548f5fbae4e953ecbefa7b04fce0cc29c635a7cd79cf4985e";
    assert_eq!(
        found, frozen,
        "frozen vectors changed: stored objects depend on them"
    );
    let found = sha256_hex(include_bytes!("vectors/suite-02.json"));
    let frozen = "be6002a917a601f35ef3070ecbf165ee07be674286f92dbdd9a6b18571765c46";
    assert_eq!(
        found, frozen,
        "frozen vectors changed: stored objects depend on them"
    );
}

#[test]
fn vectors_of_uploads_open_and_give_the_same_digests() {
    let raw = include_str!("vectors/uploads.json");
    let frozen = "84280276e3ba8f5e2ff6286fa1799ad0abb0f7e047d21be0ebb002039633004e";
    assert_eq!(
        sha256_hex(raw.as_bytes()),
        frozen,
        "frozen vectors changed: open uploads depend on them"
    );
    let vectors: Value = serde_json::from_str(raw).unwrap();
    let tenant = TenantId::from_bytes(bytes(&vectors["tenant"]));
    let (dek, object_id) = (dek(&vectors), object_id(&vectors));
    let checksums = vectors["checksums"].as_array().unwrap();
    assert_eq!(checksums.len(), 4);
    for vector in checksums {
        let context = AttemptContext {
            tenant,
            object_id,
            part_number: vector["part_number"].as_u64().unwrap(),
            commitment: bytes(&vector["commitment"]),
        };
        assert_eq!(hex::encode(context.to_bytes()), text(&vector["context"]));
        let sealed = hex::decode(text(&vector["sealed"])).unwrap();
        assert_eq!(sealed.len(), upload::SEALED_CHECKSUM_BYTES);
        let opened = Checksum::open(Engine::fastest(), &dek, &context, &sealed);
        assert_eq!(opened.unwrap(), checksum(&vector["checksum"]));
    }
    for vector in vectors["part_lists"].as_array().unwrap() {
        let parts = vector["parts"].as_array().unwrap().iter().map(|part| {
            let value = hex::decode(text(&part[2])).unwrap();
            let algorithm = ChecksumAlgorithm::ALL
                .into_iter()
                .find(|algorithm| algorithm.value_bytes() == value.len());
            PartRecord {
                number: part[0].as_u64().unwrap().try_into().unwrap(),
                checksum: algorithm.map(|algorithm| {
                    Checksum::new(algorithm, ChecksumType::FullObject, value).unwrap()
                }),
                plaintext_bytes: part[1].as_u64().unwrap(),
                salt: [0; 24],
                commitment: [0; 32],
            }
        });
        let parts: Vec<_> = parts.collect();
        let digest = part_list_digest(&dek, tenant, object_id, &parts);
        assert_eq!(hex::encode(digest), text(&vector["digest"]));
    }
}

#[test]
fn vectors_customer_keys_give_the_same_wrapping_key_check_and_context() {
    let vectors = customer_vectors();
    let (place, object_id) = (place(&vectors), object_id(&vectors));
    let customer_key = CustomerKey::from_bytes(&place.customer_key.unwrap());
    let secret = CustomerSecret::new(&place.kek, place.tenant, place.kek_id, &customer_key);
    assert_eq!(
        hex::encode(**secret.wrapping_key()),
        text(&vectors["wrapping_key"])
    );
    assert_eq!(
        hex::encode(secret.check(object_id).as_bytes()),
        text(&vectors["customer_check"])
    );
    let context = DekContext {
        suite: Suite::Cobblestone256CustomerKey,
        tenant: place.tenant,
        domain: &place.domain,
        bucket: &place.bucket,
        object_key: &place.object_key,
        object_id,
        kek_id: place.kek_id,
        subject: None,
        kind: Kind::Single,
        plaintext_bytes: Some(26),
        bindings_sha256: bytes(&vectors["bindings_field"]),
    };
    let expected = text(&vectors["contexts"]["dek_single"]);
    assert_eq!(hex::encode(context.to_bytes()), expected);
}

#[test]
fn vectors_contexts_are_the_same_bytes() {
    let vectors = vectors();
    let Place {
        tenant,
        kek_id,
        domain,
        bucket,
        object_key,
        ..
    } = &place(&vectors);
    let (tenant, kek_id, object_id) = (*tenant, *kek_id, object_id(&vectors));
    let dek = |kind, plaintext_bytes| DekContext {
        suite: Suite::Cobblestone256,
        tenant,
        domain,
        bucket,
        object_key,
        object_id,
        kek_id,
        subject: None,
        kind,
        plaintext_bytes,
        bindings_sha256: bytes(&vectors["bindings_field"]),
    };
    let contexts = [
        (
            "part",
            PartContext {
                tenant,
                object_id,
                part_number: 10_000,
            }
            .to_bytes(),
        ),
        (
            "trailer",
            TrailerContext {
                tenant,
                object_id,
                plaintext_bytes: 5 << 40,
            }
            .to_bytes(),
        ),
        ("metadata", MetadataContext { tenant, object_id }.to_bytes()),
        ("dek_single", dek(Kind::Single, Some(26)).to_bytes()),
        ("dek_multipart", dek(Kind::Multipart, None).to_bytes()),
        (
            "kek",
            KekContext {
                domain,
                node: 1_023,
                tenant,
                kek_id,
                generation: 7,
            }
            .to_bytes(),
        ),
        (
            "node",
            NodeContext {
                domain,
                node: 1_024,
                generation: 7,
            }
            .to_bytes(),
        ),
    ];
    assert_eq!(
        vectors["contexts"].as_object().unwrap().len(),
        contexts.len()
    );
    for (name, context) in contexts {
        assert_eq!(
            hex::encode(context),
            text(&vectors["contexts"][name]),
            "{name}"
        );
    }
    let commitment = kek_commitment(&place(&vectors).kek, tenant, kek_id);
    assert_eq!(hex::encode(commitment), text(&vectors["kek_commitment"]));
}

#[test]
fn vectors_messages_seal_to_the_same_bytes_on_every_engine() {
    let vectors = vectors();
    let list = vectors["messages"].as_array().unwrap();
    assert_eq!(list.len(), 9);
    for (vector, engine) in list
        .iter()
        .flat_map(|vector| Engine::ALL.map(|engine| (vector, engine)))
    {
        let context = hex::decode(text(&vector["context"])).unwrap();
        let plaintext = plaintext(vector["plaintext_bytes"].as_u64().unwrap());
        let salt = bytes(&vector["salt"]);
        let mut sealer = Sealer::new_with_salt(engine, dek(&vectors).expose(), &context, salt);
        let mut sealed = Vec::new();
        sealer.seal(&plaintext, &mut sealed);
        sealer.finish(&mut sealed);
        assert_eq!(sha256_hex(&sealed), text(&vector["sealed_sha256"]));
        if let Some(whole) = vector.get("sealed") {
            assert_eq!(hex::encode(&sealed), text(whole));
        }
        let opened = open_message(engine, dek(&vectors).expose(), &context, &sealed).unwrap();
        assert!(*opened == plaintext);
    }
}

#[test]
fn vectors_layouts_have_the_same_lengths() {
    let vectors = vectors();
    let list = vectors["layouts"].as_array().unwrap();
    assert_eq!(list.len(), 12);
    for vector in list {
        let field = |name: &str| vector[name].as_u64().unwrap();
        let p = field("plaintext_bytes");
        assert_eq!(layout::parts_max(p), field("parts_max"), "P = {p}");
        assert_eq!(
            layout::parts_area_len(p),
            field("parts_area_bytes"),
            "P = {p}"
        );
        assert_eq!(layout::trailer_len(p), field("trailer_bytes"), "P = {p}");
        assert_eq!(layout::stored_len(p), field("stored_bytes"), "P = {p}");
    }
}

/// The stored object of a vector: parts from their salts, pad, and the trailer as it is in the file.
fn stored(vectors: &Value, object: &Value) -> (Stored, Vec<u8>) {
    let lengths: Vec<u64> = serde_json::from_value(object["part_plaintext_bytes"].clone()).unwrap();
    let numbers: Vec<u64> = serde_json::from_value(object["part_numbers"].clone()).unwrap();
    let p = lengths.iter().sum();
    let plaintext = plaintext(p);
    let (mut body, mut rest) = (Vec::new(), plaintext.as_slice());
    for (index, &length) in lengths.iter().enumerate() {
        let (part, behind) = rest.split_at(length as usize);
        rest = behind;
        let context = PartContext {
            tenant: place(vectors).tenant,
            object_id: object_id(vectors),
            part_number: numbers[index],
        };
        let salt = bytes(&object["part_salts"][index]);
        let mut sealer = Sealer::new_with_salt(
            Engine::AwsLc,
            dek(vectors).expose(),
            &context.to_bytes(),
            salt,
        );
        sealer.seal(part, &mut body);
        sealer.finish(&mut body);
    }
    body.resize(layout::parts_area_len(p) as usize, 0);
    body.extend(hex::decode(text(&object["sealed_trailer"])).unwrap());
    let stored = Stored {
        header: text(&object["header"]).to_owned(),
        metadata: hex::decode(text(&object["sealed_metadata"])).unwrap(),
        body,
    };
    (stored, plaintext)
}

#[test]
fn vectors_objects_read_to_what_was_written() {
    objects_read_to_what_was_written(&vectors());
    objects_read_to_what_was_written(&customer_vectors());
}

fn objects_read_to_what_was_written(vectors: &Value) {
    for object in vectors["objects"].as_array().unwrap() {
        let (stored, plaintext) = stored(vectors, object);
        assert_eq!(
            stored.body.len() as u64,
            object["body_bytes"].as_u64().unwrap()
        );
        assert_eq!(sha256_hex(&stored.body), text(&object["body_sha256"]));
        let read = read(&place(vectors), &stored).expect("a frozen object no longer opens");
        assert!(read.plaintext == plaintext);
        assert_eq!(read.metadata, metadata(vectors));
        assert_eq!(read.checksum, Some(checksum(&object["checksum"])));
    }
}

#[test]
fn vectors_objects_written_again_differ_in_salts_alone() {
    objects_written_again_differ_in_salts_alone(&vectors());
    objects_written_again_differ_in_salts_alone(&customer_vectors());
}

fn objects_written_again_differ_in_salts_alone(vectors: &Value) {
    let (dek, object_id, place) = (dek(vectors), object_id(vectors), place(vectors));
    let tenant = place.tenant;
    for object in vectors["objects"].as_array().unwrap() {
        let (stored, plaintext) = stored(vectors, object);
        let header = Header::decode(&stored.header).unwrap();
        assert_eq!(header.encode(), stored.header);
        let bindings = hex::encode(header.bindings_sha256(&stored.metadata));
        assert_eq!(bindings, text(&object["bindings_sha256"]));

        let open = |context: &[u8], sealed: &[u8]| {
            open_message(Engine::AesGcm, dek.expose(), context, sealed)
                .unwrap()
                .to_vec()
        };
        let context = MetadataContext { tenant, object_id };
        let again = metadata(vectors)
            .seal(Engine::AesGcm, &dek, &context)
            .unwrap();
        let context = context.to_bytes();
        assert_eq!(open(&context, &again), open(&context, &stored.metadata));

        let p = plaintext.len() as u64;
        let sealed = &stored.body[layout::parts_area_len(p) as usize..];
        let trailer = Trailer::open(Engine::Ring, &dek, tenant, object_id, p, sealed).unwrap();
        let again = trailer.seal_with_pad(Engine::Ring, &dek, tenant).unwrap();
        let context = TrailerContext {
            tenant,
            object_id,
            plaintext_bytes: p,
        }
        .to_bytes();
        let (pad, again) = again.split_at(trailer.pad_len() as usize);
        assert!(pad.iter().all(|&byte| byte == 0));
        assert_eq!(open(&context, again), open(&context, sealed));
    }
}
