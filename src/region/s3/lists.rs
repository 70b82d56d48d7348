//! Listings of current objects.
//!
//! Keys come percent-encoded, because XML can't hold every key, and are decoded strictly. Stores differ in where a
//! folded prefix goes and in how they treat one as a starting point, so every entry is folded again here.

use super::S3Store;
use super::errors::{Call, from_sdk};
use super::headers::{unix_ms, unquoted};
use super::retry::until_done;
use crate::region::{ListRequest, ListedObject, Listing, Missing, RegionError, UpstreamBucket};
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::{EncodingType, Object};
use std::cmp::Ordering;
use std::collections::BTreeSet;

pub(super) const KEYS_MAX: usize = 1_000;
/// Sorts behind every key that begins as the text before it.
pub(super) const LAST_CHARACTER: char = '\u{10FFFF}';

/// Decodes a text of a listing with `encoding-type=url`, where a space may be `+`.
pub(super) fn decoded(call: Call, text: &str) -> Result<String, RegionError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    let digit = |byte: Option<u8>| byte.and_then(|b| char::from(b).to_digit(16));
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => match (digit(rest.next()), digit(rest.next())) {
                (Some(high), Some(low)) => {
                    bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
                }
                _ => return Err(call.lying("a key with a broken escape")),
            },
            b'+' => bytes.push(b' '),
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).map_err(|_| call.lying("a key that is not UTF-8"))
}

/// The common prefix that a key folds into.
pub(super) fn folded<'a>(key: &'a str, prefix: &str, delimiter: Option<&str>) -> Option<&'a str> {
    let delimiter = delimiter.filter(|text| !text.is_empty())?;
    let rest = key.strip_prefix(prefix)?;
    let end = rest.find(delimiter)? + delimiter.len() + prefix.len();
    key.get(..end)
}

/// One answer's entries, decoded.
struct Page {
    objects: Vec<ListedObject>,
    prefixes: Vec<String>,
    truncated: bool,
}

impl S3Store {
    pub(super) async fn list_objects(
        &self,
        bucket: &UpstreamBucket,
        request: &ListRequest,
    ) -> Result<Listing, RegionError> {
        let call = Call::read("list", Missing::Bucket);
        let keys_max = request.keys_max.clamp(1, KEYS_MAX);
        let below = self.folded_start(call, bucket, request).await?;
        let Some(below) = below else {
            return self.page(call, bucket, request, keys_max).await;
        };
        let mut listing = Listing {
            common_prefixes: vec![below.clone()],
            next_start_after: Some(below),
            ..Listing::default()
        };
        if keys_max > 1 {
            let rest = ListRequest {
                start_after: listing.next_start_after.take(),
                ..request.clone()
            };
            let rest = self.page(call, bucket, &rest, keys_max - 1).await?;
            listing.objects = rest.objects;
            listing.common_prefixes.extend(rest.common_prefixes);
            listing.next_start_after = rest.next_start_after;
        }
        Ok(listing)
    }

    /// The common prefix that follows directly on the starting point in a store that walks a tree of directories: such
    /// a store, told to begin behind `a`, also skips `a/`.
    async fn folded_start(
        &self,
        call: Call,
        bucket: &UpstreamBucket,
        request: &ListRequest,
    ) -> Result<Option<String>, RegionError> {
        let (Some(start), Some("/")) = (&request.start_after, request.delimiter.as_deref()) else {
            return Ok(None);
        };
        let below = format!("{start}/");
        if self.profile.keys.byte_order
            || start.ends_with('/')
            || folded(&below, &request.prefix, Some("/")) != Some(&below)
        {
            return Ok(None);
        }
        let one = ListRequest {
            prefix: below.clone(),
            keys_max: 1,
            ..ListRequest::default()
        };
        let found = self.page(call, bucket, &one, 1).await?;
        Ok((!found.objects.is_empty()).then_some(below))
    }

    /// One page as the store gives it.
    async fn page(
        &self,
        call: Call,
        bucket: &UpstreamBucket,
        request: &ListRequest,
        keys_max: usize,
    ) -> Result<Listing, RegionError> {
        let delimiter = request.delimiter.as_deref().filter(|text| !text.is_empty());
        let start_after = request
            .start_after
            .as_deref()
            .map(|text| self.starting_point(text, &request.prefix, delimiter));
        let answer = until_done(&self.retries, || async {
            self.sdk
                .list_objects_v2()
                .bucket(bucket.as_str())
                .prefix(&request.prefix)
                .set_delimiter(delimiter.map(str::to_owned))
                .set_start_after(start_after.clone())
                .max_keys(i32::try_from(keys_max).unwrap_or(i32::MAX))
                .encoding_type(EncodingType::Url)
                .send()
                .await
                .map_err(|error| from_sdk(call, error))
        })
        .await?;
        let mut page = read_page(call, answer)?;
        for object in &mut page.objects {
            object.key = self.listed_key(std::mem::take(&mut object.key));
        }
        self.listing(call, page, request, keys_max)
    }

    /// Where the store shall begin: behind a common prefix means behind everything that folds into it. A store that
    /// walks a tree of directories takes a key for one and skips what lies below it, unless it is told to enter.
    fn starting_point(&self, text: &str, prefix: &str, delimiter: Option<&str>) -> String {
        if folded(text, prefix, delimiter) == Some(text) {
            format!("{text}{LAST_CHARACTER}")
        } else if !self.profile.keys.byte_order && delimiter.is_none() && !text.ends_with('/') {
            format!("{text}/")
        } else {
            self.stored_start(text)
        }
    }

    fn listing(
        &self,
        call: Call,
        page: Page,
        request: &ListRequest,
        keys_max: usize,
    ) -> Result<Listing, RegionError> {
        let order: fn(&str, &str) -> Ordering = if self.profile.keys.byte_order {
            byte_order
        } else {
            segment_order
        };
        let last = page
            .objects
            .iter()
            .map(|object| &object.key)
            .chain(&page.prefixes)
            .max_by(|a, b| order(a, b))
            .cloned();
        let mut listing = Listing::default();
        let mut prefixes = BTreeSet::new();
        let delimiter = request.delimiter.as_deref();
        let mut fold = |text: &str| match folded(text, &request.prefix, delimiter) {
            Some(prefix) => {
                // A prefix of the starting point was in an earlier page.
                let seen = request
                    .start_after
                    .as_ref()
                    .is_some_and(|s| s.starts_with(prefix));
                if !seen && prefixes.insert(prefix.to_owned()) {
                    listing.common_prefixes.push(prefix.to_owned());
                }
                true
            }
            None => false,
        };
        for prefix in &page.prefixes {
            if !fold(prefix) {
                return Err(call.lying("a common prefix without the delimiter"));
            }
        }
        for object in page.objects {
            if self.only_stored_name_has(&request.prefix, &object.key) {
                continue;
            }
            if !object.key.starts_with(&request.prefix) {
                return Err(call.lying("a key without the prefix"));
            }
            if !fold(&object.key) {
                listing.objects.push(object);
            }
        }
        if page.truncated {
            let last = last.filter(|last| request.start_after.as_ref() != Some(last));
            listing.next_start_after =
                Some(last.ok_or_else(|| call.lying("a page that does not advance"))?);
        }
        shorten(&mut listing, keys_max, order);
        Ok(listing)
    }
}

/// Keeps the first `keys_max` entries, for stores that count otherwise (SeaweedFS gives `a` and `a/` as one).
fn shorten(listing: &mut Listing, keys_max: usize, order: fn(&str, &str) -> Ordering) {
    if listing.objects.len() + listing.common_prefixes.len() <= keys_max {
        return;
    }
    let mut names: Vec<&String> = listing
        .objects
        .iter()
        .map(|object| &object.key)
        .chain(&listing.common_prefixes)
        .collect();
    names.sort_by(|a, b| order(a, b));
    let Some(last) = names.get(keys_max - 1).map(|name| (*name).clone()) else {
        return;
    };
    let kept = |name: &str| order(name, &last) != Ordering::Greater;
    listing.objects.retain(|object| kept(&object.key));
    listing.common_prefixes.retain(|prefix| kept(prefix));
    listing.next_start_after = Some(last);
}

fn byte_order(a: &str, b: &str) -> Ordering {
    a.as_bytes().cmp(b.as_bytes())
}

/// The order of stores that walk a tree of directories: segment by segment.
fn segment_order(a: &str, b: &str) -> Ordering {
    a.split('/')
        .map(str::as_bytes)
        .cmp(b.split('/').map(str::as_bytes))
}

fn read_page(call: Call, answer: ListObjectsV2Output) -> Result<Page, RegionError> {
    let encoded = answer.encoding_type == Some(EncodingType::Url);
    let text = |text: Option<String>| {
        let text = text.ok_or_else(|| call.lying("an entry without a name"))?;
        if encoded {
            decoded(call, &text)
        } else {
            literal(call, text)
        }
    };
    let objects = answer
        .contents
        .unwrap_or_default()
        .into_iter()
        .map(|object| listed(call, text(object.key.clone())?, &object))
        .collect::<Result<_, _>>()?;
    let prefixes = answer
        .common_prefixes
        .unwrap_or_default()
        .into_iter()
        .map(|prefix| text(prefix.prefix))
        .collect::<Result<_, _>>()?;
    Ok(Page {
        objects,
        prefixes,
        truncated: answer.is_truncated.unwrap_or_default(),
    })
}

/// A key from a store that does not encode. What XML can't hold comes as U+FFFD, and then the real key is unknown.
pub(super) fn literal(call: Call, text: String) -> Result<String, RegionError> {
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err(call.lying("a key that its XML can't hold"));
    }
    Ok(text)
}

fn listed(call: Call, key: String, object: &Object) -> Result<ListedObject, RegionError> {
    let stored_bytes = object.size.and_then(|size| u64::try_from(size).ok());
    let modified = object.last_modified.as_ref();
    Ok(ListedObject {
        key,
        stored_bytes: stored_bytes.ok_or_else(|| call.lying("an object without a size"))?,
        etag: object.e_tag.as_deref().map(unquoted).unwrap_or_default(),
        last_modified: unix_ms(modified.ok_or_else(|| call.lying("an object without a time"))?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Call = Call {
        operation: "list",
        effect: super::super::errors::Effect::Read,
        about: Missing::Bucket,
        named_version: false,
    };

    #[test]
    fn decoded_escapes_and_spaces_exact() {
        assert_eq!(
            decoded(CALL, "a+b%2Bc%25/%C3%A9%01").unwrap(),
            "a b+c%/é\u{1}"
        );
    }

    #[test]
    fn decoded_broken_escapes_refused() {
        for text in ["%", "a%2", "%zz", "%+1", "%FF", "%C3"] {
            assert!(
                matches!(decoded(CALL, text), Err(RegionError::Lying { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn folded_first_delimiter_behind_the_prefix() {
        assert_eq!(folded("a/b/c", "", Some("/")), Some("a/"));
        assert_eq!(folded("a/b/c", "a/", Some("/")), Some("a/b/"));
        assert_eq!(folded("a/b", "a/", Some("/")), None);
        assert_eq!(folded("a/b", "", None), None);
        assert_eq!(folded("éxxyxx", "é", Some("xx")), Some("éxx"));
    }

    #[test]
    fn segment_order_directory_before_longer_names() {
        assert_eq!(segment_order("a/z", "a-b"), Ordering::Less);
        assert_eq!(byte_order("a/z", "a-b"), Ordering::Greater);
        assert_eq!(segment_order("a", "a/"), Ordering::Less);
    }

    #[test]
    fn shorten_mixed_entries_cut_in_byte_order() {
        let object = |key: &str| ListedObject {
            key: key.to_owned(),
            stored_bytes: 0,
            etag: String::new(),
            last_modified: crate::clock::UnixMs(0),
        };
        let mut listing = Listing {
            objects: vec![object("a"), object("z")],
            common_prefixes: vec!["b/".to_owned(), "c/".to_owned()],
            next_start_after: None,
        };
        shorten(&mut listing, 2, byte_order);
        assert_eq!(listing.objects, [object("a")]);
        assert_eq!(listing.common_prefixes, ["b/"]);
        assert_eq!(listing.next_start_after.as_deref(), Some("b/"));
    }
}
