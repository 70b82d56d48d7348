//! How header and sealed metadata lie in an upstream object's head (`docs/format.md` §8).
//!
//! The header is user metadata `lethe-h`, the sealed metadata `lethe-m`; what user metadata has no room for continues in
//! Content-Disposition behind `lethe;`.

use crate::ops::error::{Code, OpError};
use crate::region::{HeadFields, RegionProfile};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lethe_envelope::Header;

const HEADER_NAME: &str = "lethe-h";
const METADATA_NAME: &str = "lethe-m";
const SPILL_PREFIX: &str = "lethe;";

/// Puts header and sealed metadata where this region has room.
///
/// # Errors
/// `MetadataTooLarge` when the region has too little.
pub fn pack(
    header: &Header,
    sealed_metadata: &[u8],
    tags: Vec<(String, String)>,
    profile: &RegionProfile,
) -> Result<HeadFields, OpError> {
    let header = header.encode();
    let mut sealed = STANDARD.encode(sealed_metadata);
    let used = HEADER_NAME.len() + header.len() + METADATA_NAME.len();
    let room = profile.user_metadata_bytes_max.saturating_sub(used);
    let spill = sealed.split_off(room.min(sealed.len()));
    let spill_room = profile
        .content_disposition_bytes_max
        .saturating_sub(SPILL_PREFIX.len());
    if spill.len() > spill_room {
        return Err(OpError::new(
            Code::MetadataTooLarge,
            "Your metadata headers exceed the maximum allowed metadata size of this region.",
        ));
    }
    Ok(HeadFields {
        metadata: [
            (HEADER_NAME.to_owned(), header),
            (METADATA_NAME.to_owned(), sealed),
        ]
        .into(),
        content_disposition: (!spill.is_empty()).then(|| format!("{SPILL_PREFIX}{spill}")),
        tags,
        lock: None,
    })
}

/// Header and sealed metadata of an object that Lethe wrote; `None` for any other object.
///
/// # Errors
/// A corrupt-object error when there is a header that can't be read.
pub fn unpack(fields: &HeadFields) -> Result<Option<(Header, Vec<u8>)>, OpError> {
    let Some(header) = fields.metadata.get(HEADER_NAME) else {
        return Ok(None);
    };
    let header = Header::decode(header).map_err(OpError::not_authentic)?;
    let mut sealed = fields
        .metadata
        .get(METADATA_NAME)
        .cloned()
        .unwrap_or_default();
    if let Some(spill) = fields
        .content_disposition
        .as_deref()
        .and_then(|text| text.strip_prefix(SPILL_PREFIX))
    {
        sealed.push_str(spill);
    }
    let sealed = STANDARD.decode(sealed).map_err(OpError::not_authentic)?;
    Ok(Some((header, sealed)))
}

/// Whether both heads have the same header; every write's is its own, as a wrapped DEK has a fresh salt.
#[must_use]
pub fn same_header(a: &HeadFields, b: &HeadFields) -> bool {
    let header = a.metadata.get(HEADER_NAME);
    header.is_some() && header == b.metadata.get(HEADER_NAME)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lethe_envelope::{Header, KekId, Kind, ObjectId};

    fn header() -> Header {
        Header {
            kind: Kind::Multipart,
            kek_id: KekId::from_bytes([1; 16]),
            kek_commitment: [2; 32],
            object_id: ObjectId::from_bytes([3; 16]),
            wrapped_dek: [4; 104],
            single: None,
            customer_check: None,
        }
    }

    fn profile(user_metadata: usize, content_disposition: usize) -> RegionProfile {
        RegionProfile {
            user_metadata_bytes_max: user_metadata,
            version_paging: None,
            content_disposition_bytes_max: content_disposition,
            ..crate::ops::testing::profile()
        }
    }

    #[test]
    fn head_of_any_metadata_size_round_trips_or_is_refused() {
        for bytes in (0..2600).step_by(17) {
            let sealed = vec![7; bytes];
            match pack(&header(), &sealed, Vec::new(), &profile(2048, 2000)) {
                Ok(fields) => {
                    let names: usize = fields
                        .metadata
                        .iter()
                        .map(|(name, value)| name.len() + value.len())
                        .sum();
                    assert!(names <= 2048, "{bytes}");
                    assert!(
                        fields
                            .content_disposition
                            .as_ref()
                            .is_none_or(|text| text.len() <= 2000),
                        "{bytes}"
                    );
                    assert_eq!(unpack(&fields).unwrap(), Some((header(), sealed)));
                }
                Err(_) => assert!(bytes > 2475, "{bytes}"),
            }
        }
    }

    #[test]
    fn head_without_spill_room_is_refused_past_user_metadata() {
        assert!(pack(&header(), &[7; 1500], Vec::new(), &profile(2048, 0)).is_err());
    }

    #[test]
    fn foreign_object_is_not_ours() {
        assert_eq!(unpack(&HeadFields::default()).unwrap(), None);
    }

    #[test]
    fn unreadable_header_is_an_error_and_not_a_foreign_object() {
        let fields = HeadFields {
            metadata: [("lethe-h".to_owned(), "AAAA".to_owned())].into(),
            ..HeadFields::default()
        };
        assert!(unpack(&fields).is_err());
    }
}
