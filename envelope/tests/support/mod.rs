//! A whole object as a store holds it, and a reader that follows `docs/format.md` §11 to the letter.
#![allow(dead_code, reason = "each test file uses its share")]

use lethe_envelope::{
    Checksum, ChecksumAlgorithm, ChecksumType, CustomerKey, CustomerSecret, Dek, DekContext,
    Engine, Header, HeaderDraft, KekId, Kind, MetadataContext, ObjectId, ObjectMetadata, Opener,
    PartContext, PartRecord, SealedPart, Sealer, SingleSealer, TenantId, Trailer, kek_commitment,
    layout, open_message, seal_message,
};
use zeroize::Zeroizing;

pub const ENGINE: Engine = Engine::Ring;

/// Where a reader believes an object to be.
#[derive(Clone)]
pub struct Place {
    pub kek: [u8; 32],
    pub kek_id: KekId,
    pub tenant: TenantId,
    pub domain: String,
    pub bucket: String,
    pub object_key: String,
    /// What the reader brings beside the KEK.
    pub customer_key: Option<[u8; 32]>,
}

impl Place {
    pub fn acme() -> Self {
        Self {
            kek: [0x4b; 32],
            kek_id: KekId::from_bytes([0x1d; 16]),
            tenant: TenantId::from_bytes([0xac; 16]),
            domain: "eu".to_owned(),
            bucket: "docs".to_owned(),
            object_key: "reports/2025.pdf".to_owned(),
            customer_key: None,
        }
    }

    pub fn with_customer_key(self, customer_key: [u8; 32]) -> Self {
        Self {
            customer_key: Some(customer_key),
            ..self
        }
    }

    fn customer_secret(&self) -> Option<CustomerSecret> {
        let key = CustomerKey::from_bytes(&self.customer_key?);
        Some(CustomerSecret::new(
            &self.kek,
            self.tenant,
            self.kek_id,
            &key,
        ))
    }

    fn wrapping_key(&self) -> [u8; 32] {
        match self.customer_secret() {
            None => self.kek,
            Some(secret) => **secret.wrapping_key(),
        }
    }

    fn dek_context(&self, draft: &HeaderDraft, sealed_metadata: &[u8]) -> Vec<u8> {
        DekContext {
            suite: draft.suite(),
            tenant: self.tenant,
            domain: &self.domain,
            bucket: &self.bucket,
            object_key: &self.object_key,
            object_id: draft.object_id,
            kek_id: self.kek_id,
            subject: None,
            kind: draft.kind(),
            plaintext_bytes: draft.single.map(|single| single.plaintext_bytes),
            bindings_sha256: draft.bindings_sha256(sealed_metadata),
        }
        .to_bytes()
    }

    pub fn wrap(&self, dek: &Dek, draft: HeaderDraft, sealed_metadata: &[u8]) -> Header {
        let context = self.dek_context(&draft, sealed_metadata);
        let key = self.wrapping_key();
        let wrapped = seal_message(Engine::AesGcm, &key, &context, dek.expose()).unwrap();
        draft.with_wrapped_dek(wrapped.try_into().unwrap())
    }

    pub fn unwrap(&self, header: &Header, sealed_metadata: &[u8]) -> Option<Dek> {
        if header.kek_id != self.kek_id
            || header.kek_commitment != kek_commitment(&self.kek, self.tenant, self.kek_id)
        {
            return None;
        }
        let check = self
            .customer_secret()
            .map(|secret| secret.check(header.object_id));
        if header.customer_check != check {
            return None;
        }
        let context = self.dek_context(&header.draft(), sealed_metadata);
        let key = self.wrapping_key();
        let dek = open_message(Engine::AesGcm, &key, &context, &header.wrapped_dek).ok()?;
        Some(Dek::from_bytes(Zeroizing::new(
            dek.as_slice().try_into().ok()?,
        )))
    }

    pub fn draft(&self, object_id: ObjectId) -> HeaderDraft {
        HeaderDraft {
            kek_id: self.kek_id,
            kek_commitment: kek_commitment(&self.kek, self.tenant, self.kek_id),
            object_id,
            single: None,
            customer_check: self.customer_secret().map(|secret| secret.check(object_id)),
        }
    }
}

/// What the store holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    pub header: String,
    pub metadata: Vec<u8>,
    pub body: Vec<u8>,
}

/// What a reader gets.
#[derive(Debug, PartialEq, Eq)]
pub struct Read {
    pub metadata: ObjectMetadata,
    pub checksum: Option<Checksum>,
    pub plaintext: Vec<u8>,
}

pub fn metadata(title: &str) -> ObjectMetadata {
    ObjectMetadata {
        content_type: Some("application/pdf".to_owned()),
        user: [("title".to_owned(), title.to_owned())].into(),
        ..ObjectMetadata::default()
    }
}

pub fn checksum() -> Checksum {
    Checksum::new(
        ChecksumAlgorithm::Crc32,
        ChecksumType::FullObject,
        vec![1, 2, 3, 4],
    )
    .unwrap()
}

/// An object with everything its writer still knows.
pub struct Written {
    pub place: Place,
    pub dek: Dek,
    pub object_id: ObjectId,
    pub stored: Stored,
    pub trailer: Option<Trailer>,
}

/// Writes `plaintext` as one PUT.
pub fn put(place: &Place, plaintext: &[u8], metadata: &ObjectMetadata) -> Written {
    let (dek, object_id) = (Dek::generate().unwrap(), ObjectId::random().unwrap());
    let length = plaintext.len() as u64;
    let mut sealer = SingleSealer::new(ENGINE, &dek, place.tenant, object_id, length).unwrap();
    let draft = HeaderDraft {
        single: Some(sealer.single_part()),
        ..place.draft(object_id)
    };
    let mut body = Vec::new();
    for piece in plaintext.chunks(10_007) {
        sealer.seal(piece, &mut body).unwrap();
    }
    sealer.finish(Some(checksum()), &mut body).unwrap();
    let stored = finish(place, &dek, draft, metadata, body);
    Written {
        place: place.clone(),
        dek,
        object_id,
        stored,
        trailer: None,
    }
}

fn finish(
    place: &Place,
    dek: &Dek,
    draft: HeaderDraft,
    metadata: &ObjectMetadata,
    body: Vec<u8>,
) -> Stored {
    let context = MetadataContext {
        tenant: place.tenant,
        object_id: draft.object_id,
    };
    let metadata = metadata.seal(Engine::AesGcm, dek, &context).unwrap();
    let header = place.wrap(dek, draft, &metadata).encode();
    Stored {
        header,
        metadata,
        body,
    }
}

/// Seals one attempt at a part.
pub fn seal_part(
    place: &Place,
    dek: &Dek,
    object_id: ObjectId,
    number: u16,
    plaintext: &[u8],
) -> (PartRecord, Vec<u8>) {
    let context = PartContext {
        tenant: place.tenant,
        object_id,
        part_number: number.into(),
    };
    let mut sealer = Sealer::new(ENGINE, dek.expose(), &context.to_bytes()).unwrap();
    let mut sealed = Vec::new();
    sealer.seal(plaintext, &mut sealed);
    let SealedPart {
        salt,
        commitment,
        plaintext_bytes,
    } = sealer.finish(&mut sealed);
    (
        PartRecord {
            number,
            checksum: None,
            plaintext_bytes,
            salt,
            commitment,
        },
        sealed,
    )
}

/// Writes a multipart object of the given parts.
pub fn multipart(place: &Place, parts: &[(u16, &[u8])], metadata: &ObjectMetadata) -> Written {
    let (dek, object_id) = (Dek::generate().unwrap(), ObjectId::random().unwrap());
    let mut body = Vec::new();
    let mut records = Vec::new();
    for &(number, plaintext) in parts {
        let (record, sealed) = seal_part(place, &dek, object_id, number, plaintext);
        records.push(record);
        body.extend(sealed);
    }
    let trailer = Trailer::new(object_id, Some(checksum()), records).unwrap();
    body.extend(trailer.seal_with_pad(ENGINE, &dek, place.tenant).unwrap());
    let stored = finish(place, &dek, place.draft(object_id), metadata, body);
    Written {
        place: place.clone(),
        dek,
        object_id,
        stored,
        trailer: Some(trailer),
    }
}

/// Copies within a tenant: the same body, one wrap more, and perhaps other metadata.
pub fn copy(written: &Written, to: &Place, metadata: &ObjectMetadata) -> Stored {
    let draft = Header::decode(&written.stored.header).unwrap().draft();
    let draft = HeaderDraft {
        single: draft.single,
        ..to.draft(draft.object_id)
    };
    finish(
        to,
        &written.dek,
        draft,
        metadata,
        written.stored.body.clone(),
    )
}

/// Reads the whole object, checking everything that a reader of the whole object can check.
pub fn read(place: &Place, stored: &Stored) -> Option<Read> {
    let header = Header::decode(&stored.header).ok()?;
    let dek = place.unwrap(&header, &stored.metadata)?;
    let (tenant, object_id) = (place.tenant, header.object_id);
    let metadata = ObjectMetadata::open(
        ENGINE,
        &dek,
        &MetadataContext { tenant, object_id },
        &stored.metadata,
    )
    .ok()?;

    let p = layout::plaintext_len_of_stored(stored.body.len() as u64)?;
    let at = usize::try_from(layout::parts_area_len(p)).unwrap();
    let trailer = Trailer::open(ENGINE, &dek, tenant, object_id, p, &stored.body[at..]).ok()?;
    match (header.kind, header.single, trailer.parts.as_slice()) {
        (Kind::Single, Some(single), [part])
            if single.plaintext_bytes == p && single.prologue() == part.prologue() => {}
        (Kind::Multipart, None, _) => {}
        _ => return None,
    }

    let mut plaintext = Vec::new();
    for slice in trailer.parts_for_range(0, u64::MAX) {
        let context = PartContext {
            tenant,
            object_id,
            part_number: slice.part.number.into(),
        }
        .to_bytes();
        let start = usize::try_from(slice.stored_offset).unwrap();
        let length = usize::try_from(layout::sealed_len(slice.part.plaintext_bytes)).unwrap();
        let (prologue, segments) = stored.body[start..start + length].split_at(56);
        if prologue != slice.part.prologue() {
            return None;
        }
        let SealedPart {
            salt,
            commitment,
            plaintext_bytes,
        } = SealedPart {
            salt: slice.part.salt,
            commitment: slice.part.commitment,
            plaintext_bytes: slice.part.plaintext_bytes,
        };
        let mut opener = Opener::new(ENGINE, dek.expose(), &context, &salt, &commitment)
            .and_then(|opener| opener.at(0, plaintext_bytes))
            .ok()?;
        opener.open(segments, &mut plaintext).ok()?;
        opener.finish(&mut plaintext).ok()?;
    }
    Some(Read {
        metadata,
        checksum: trailer.checksum,
        plaintext,
    })
}
