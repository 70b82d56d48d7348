//! Listings of versions, read from the XML itself: the SDK keeps versions and delete markers apart.

use super::S3Store;
use super::errors::Call;
use super::headers::{unix_ms, unquoted};
use super::lean::Template;
use super::lists::{KEYS_MAX, decoded, folded, literal};
use super::sdk::ANSWER_BYTES_MAX;
use super::version_walk::{Answer, VersionPages, walk as walk_pages};
use super::xml::{Element, walk};
use crate::clock::UnixMs;
use crate::region::{
    ListedObject, ListedVersion, Missing, RegionError, UpstreamBucket, VersionId,
    VersionListRequest, VersionListing, VersionPaging,
};
use async_trait::async_trait;
use aws_smithy_types::date_time::{DateTime, Format};
use http::Method;

/// One `Version` or `DeleteMarker`, as far as it is read.
#[derive(Default)]
struct Entry {
    key: Option<String>,
    version: Option<String>,
    etag: Option<String>,
    stored_bytes: Option<u64>,
    last_modified: Option<UnixMs>,
    is_latest: bool,
}

#[derive(Default)]
struct Page {
    entries: Vec<(Entry, bool)>,
    prefixes: Vec<String>,
    open: Entry,
    encoded: bool,
    truncated: bool,
    next_key: Option<String>,
    next_version: Option<String>,
}

impl Page {
    fn take(&mut self, element: &Element<'_>) {
        let text = element.text;
        let path: Vec<&str> = element.path.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["Version"] => {
                let entry = std::mem::take(&mut self.open);
                self.entries.push((entry, false));
            }
            ["DeleteMarker"] => {
                let entry = std::mem::take(&mut self.open);
                self.entries.push((entry, true));
            }
            ["Version" | "DeleteMarker", field] => self.open.take(field, text),
            ["CommonPrefixes", "Prefix"] => self.prefixes.push(text.to_owned()),
            ["EncodingType"] => self.encoded = text == "url",
            ["IsTruncated"] => self.truncated = text == "true",
            ["NextKeyMarker"] => self.next_key = Some(text.to_owned()),
            ["NextVersionIdMarker"] => self.next_version = Some(text.to_owned()),
            _ => {}
        }
    }
}

impl Entry {
    fn take(&mut self, field: &str, text: &str) {
        match field {
            "Key" => self.key = Some(text.to_owned()),
            "VersionId" => self.version = Some(text.to_owned()),
            "ETag" => self.etag = Some(unquoted(text)),
            "Size" => self.stored_bytes = text.parse().ok(),
            "IsLatest" => self.is_latest = text == "true",
            "LastModified" => {
                let time = DateTime::from_str(text, Format::DateTimeWithOffset);
                self.last_modified = time.ok().as_ref().map(unix_ms);
            }
            _ => {}
        }
    }

    fn listed(
        self,
        call: Call,
        key: String,
        delete_marker: bool,
    ) -> Result<ListedVersion, RegionError> {
        let stored_bytes = match self.stored_bytes {
            _ if delete_marker => 0,
            Some(bytes) => bytes,
            None => return Err(call.lying("a version without a size")),
        };
        let etag = if delete_marker { None } else { self.etag };
        Ok(ListedVersion {
            object: ListedObject {
                key,
                stored_bytes,
                etag: etag.unwrap_or_default(),
                last_modified: self
                    .last_modified
                    .ok_or_else(|| call.lying("a version without a time"))?,
            },
            version: VersionId(
                self.version
                    .ok_or_else(|| call.lying("a version without an id"))?,
            ),
            is_latest: self.is_latest,
            delete_marker,
        })
    }
}

impl S3Store {
    /// A page of versions: as the store gives it, or in the order of bytes where its own pages lose some.
    pub(super) async fn list_object_versions(
        &self,
        bucket: &UpstreamBucket,
        request: &VersionListRequest,
    ) -> Result<VersionListing, RegionError> {
        let pages = self.profile.version_pages();
        let is_first = request.key_marker.as_deref().unwrap_or_default().is_empty();
        match pages {
            VersionPaging::Exact => self.page_of_versions(bucket, request).await,
            VersionPaging::FirstOnly if is_first => self.page_of_versions(bucket, request).await,
            VersionPaging::FirstOnly => Err(RegionError::Unsupported {
                operation: "list_versions",
                what: "listing versions past the first page",
            }),
            VersionPaging::ByPrefix => self.walk_versions(bucket, request, KEYS_MAX).await,
        }
    }

    async fn page_of_versions(
        &self,
        bucket: &UpstreamBucket,
        request: &VersionListRequest,
    ) -> Result<VersionListing, RegionError> {
        let asked = self.as_stored(request);
        let mut listing = self.ask_for_versions(bucket, &asked).await?;
        check_prefix(&listing, &asked)?;
        self.rename(&mut listing, &request.prefix);
        Ok(listing)
    }

    /// A page of versions, made of pages of at most `page_keys` that are asked for by prefixes; folds at slashes only.
    pub(in crate::region) async fn walk_versions(
        &self,
        bucket: &UpstreamBucket,
        request: &VersionListRequest,
        page_keys: usize,
    ) -> Result<VersionListing, RegionError> {
        let asked = self.as_stored(request);
        let pages = StorePages {
            store: self,
            bucket,
            page_keys,
        };
        let mut listing = walk_pages(&pages, &asked).await?;
        self.rename(&mut listing, &request.prefix);
        Ok(listing)
    }

    /// What the store is asked and answers are stored names.
    fn as_stored(&self, request: &VersionListRequest) -> VersionListRequest {
        let key_marker = request.key_marker.as_deref();
        VersionListRequest {
            key_marker: key_marker.map(|key| self.stored_start(key)),
            ..request.clone()
        }
    }

    fn rename(&self, listing: &mut VersionListing, prefix: &str) {
        for version in &mut listing.versions {
            let key = &mut version.object.key;
            *key = self.listed_key(std::mem::take(key));
        }
        listing
            .versions
            .retain(|version| !self.only_stored_name_has(prefix, &version.object.key));
        let next = listing.next_key_marker.take();
        listing.next_key_marker = next.map(|key| self.listed_key(key));
    }

    async fn ask_for_versions(
        &self,
        bucket: &UpstreamBucket,
        request: &VersionListRequest,
    ) -> Result<VersionListing, RegionError> {
        let delimiter = request.delimiter.as_deref().filter(|text| !text.is_empty());
        let keys_max = request.keys_max.clamp(1, KEYS_MAX).to_string();
        let version = request.version_marker.as_ref().map(|id| id.0.as_str());
        let template = Template::new(Method::GET, bucket.as_str(), None)
            .query("versions", "")
            .query("encoding-type", "url")
            .query("max-keys", &keys_max)
            .query("prefix", &request.prefix)
            .maybe_query("delimiter", delimiter)
            .maybe_query("key-marker", request.key_marker.as_deref())
            .maybe_query("version-id-marker", version);
        let body = self.ask_for_text(CALL, &template, ANSWER_BYTES_MAX).await?;
        read_listing(CALL, &body, request)
    }
}

const CALL: Call = Call::read("list_versions", Missing::Bucket);

/// A store's pages of at most so many versions.
struct StorePages<'a> {
    store: &'a S3Store,
    bucket: &'a UpstreamBucket,
    page_keys: usize,
}

#[async_trait]
impl VersionPages for StorePages<'_> {
    async fn ask(
        &self,
        prefix: &str,
        behind: Option<(&str, Option<&VersionId>)>,
        delimiter: Option<&str>,
    ) -> Result<Answer, RegionError> {
        let request = VersionListRequest {
            prefix: prefix.to_owned(),
            delimiter: delimiter.map(str::to_owned),
            key_marker: behind.map(|(key, _)| key.to_owned()),
            version_marker: behind.and_then(|(_, version)| version.cloned()),
            keys_max: self.page_keys,
        };
        let listing = self.store.ask_for_versions(self.bucket, &request).await?;
        Ok(Answer {
            versions: listing.versions,
            is_complete: listing.next_key_marker.is_none(),
        })
    }
}

fn check_prefix(listing: &VersionListing, request: &VersionListRequest) -> Result<(), RegionError> {
    let keys = listing.versions.iter().map(|one| &one.object.key);
    let strays = keys.filter(|key| !key.starts_with(&request.prefix));
    if strays.count() > 0 {
        return Err(CALL.lying("a key without the prefix"));
    }
    Ok(())
}

fn read_listing(
    call: Call,
    body: &[u8],
    request: &VersionListRequest,
) -> Result<VersionListing, RegionError> {
    let mut page = Page::default();
    let root = walk(body, |element| {
        page.take(&element);
        Ok(())
    })
    .map_err(|error| call.lying(error.to_string()))?;
    if root != "ListVersionsResult" {
        return Err(call.lying("no listing of versions"));
    }
    let encoded = page.encoded;
    let name = |text: String| {
        if encoded {
            decoded(call, &text)
        } else {
            literal(call, text)
        }
    };
    let mut listing = VersionListing::default();
    for (mut entry, delete_marker) in page.entries {
        let key = entry.key.take();
        let key = name(key.ok_or_else(|| call.lying("a version without a key"))?)?;
        listing
            .versions
            .push(entry.listed(call, key, delete_marker)?);
    }
    for prefix in page.prefixes {
        let prefix = name(prefix)?;
        if folded(&prefix, &request.prefix, request.delimiter.as_deref()).is_none() {
            return Err(call.lying("a common prefix without the delimiter"));
        }
        listing.common_prefixes.push(prefix);
    }
    if page.truncated {
        let key = page.next_key.map(name).transpose()?;
        let version = page.next_version.filter(|id| !id.is_empty()).map(VersionId);
        if key.is_none() || (key == request.key_marker && version == request.version_marker) {
            return Err(call.lying("a page that does not advance"));
        }
        listing.next_key_marker = key;
        listing.next_version_marker = version;
    }
    Ok(listing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<VersionListing, RegionError> {
        let call = Call::read("list_versions", Missing::Bucket);
        read_listing(call, body.as_bytes(), &VersionListRequest::default())
    }

    const VERSION: &str = "<Version><Key>a+b</Key><VersionId>1</VersionId><IsLatest>false</IsLatest><ETag>&quot;e&quot;</ETag><Size>7</Size><Owner><ID>o</ID></Owner><LastModified>2026-01-02T03:04:05.006Z</LastModified></Version>";
    const MARKER: &str = "<DeleteMarker><Key>a+b</Key><VersionId>2</VersionId><IsLatest>true</IsLatest><LastModified>2026-01-02T03:04:05Z</LastModified></DeleteMarker>";

    #[test]
    fn read_listing_mixed_entries_keep_their_order() {
        let body = format!(
            "<ListVersionsResult><EncodingType>url</EncodingType>{MARKER}{VERSION}</ListVersionsResult>"
        );
        let listing = read(&body).unwrap();
        let ids: Vec<_> = listing
            .versions
            .iter()
            .map(|v| v.version.0.as_str())
            .collect();
        assert_eq!(ids, ["2", "1"]);
        let version = &listing.versions[1];
        assert_eq!(version.object.key, "a b");
        assert_eq!(version.object.etag, "e");
        assert_eq!(version.object.stored_bytes, 7);
        assert_eq!(version.object.last_modified, UnixMs(1_767_323_045_006));
        assert!(listing.versions[0].delete_marker && listing.versions[0].is_latest);
    }

    #[test]
    fn read_listing_without_encoding_key_literal() {
        let listing = read(&format!(
            "<ListVersionsResult>{VERSION}</ListVersionsResult>"
        ))
        .unwrap();
        assert_eq!(listing.versions[0].object.key, "a+b");
    }

    #[test]
    fn read_listing_nonsense_refused() {
        let missing_id = VERSION.replace("<VersionId>1</VersionId>", "");
        for body in [
            "<html></html>".to_owned(),
            "<ListVersionsResult>".to_owned(),
            format!("<ListVersionsResult>{missing_id}</ListVersionsResult>"),
            "<ListVersionsResult><IsTruncated>true</IsTruncated></ListVersionsResult>".to_owned(),
            format!(
                "<ListVersionsResult>{}</ListVersionsResult>",
                VERSION.replace("a+b", "a\u{fffd}")
            ),
        ] {
            assert!(
                matches!(read(&body), Err(RegionError::Lying { .. })),
                "{body}"
            );
        }
    }
}
