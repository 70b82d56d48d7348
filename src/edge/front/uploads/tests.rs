use super::*;
use crate::catalog::{NewUpload, Upload, UploadState};
use crate::clock::UnixMs;
use crate::tenants::{BucketName, ObjectKey, RegionName};
use lethe_envelope::{KekId, ObjectId};
use std::cell::Cell;

fn upload(key: &str, number: usize) -> Upload {
    Upload {
        new: NewUpload {
            id: UploadId::new(format!("{number:032x}")).unwrap(),
            bucket: BucketName::new("docs").unwrap(),
            key: ObjectKey::new(key).unwrap(),
            object_id: ObjectId::from_bytes([1; 16]),
            kek_id: KekId::from_bytes([7; 16]),
            header: String::new(),
            sealed_metadata: Vec::new(),
            checksum: None,
            created: UnixMs(0),
        },
        state: UploadState::Open,
        upstream: None,
        part_list: None,
        answer: None,
        active: UnixMs(0),
        region: RegionName::new("eu-central-1").unwrap(),
    }
}

/// A catalog of uploads in order, that counts how often it is asked.
struct Rows {
    uploads: Vec<Upload>,
    page_max: usize,
    asked: Cell<usize>,
}

impl Rows {
    fn new(uploads: Vec<Upload>, page_max: usize) -> Self {
        Self {
            uploads,
            page_max,
            asked: Cell::new(0),
        }
    }

    fn page(&self, after: Option<&Place>) -> UploadPage {
        self.asked.set(self.asked.get() + 1);
        let is_behind = |one: &&Upload| match after {
            None => true,
            Some((key, None)) => one.new.key.as_str() > key.as_str(),
            Some((key, Some(id))) => {
                (one.new.key.as_str(), one.new.id.to_string()) > (key.as_str(), id.to_string())
            }
        };
        let mut uploads: Vec<Upload> = self.uploads.iter().filter(is_behind).cloned().collect();
        let truncated = uploads.len() > self.page_max;
        uploads.truncate(self.page_max);
        UploadPage { uploads, truncated }
    }
}

/// Every page, as keys and as prefixes, with how many they were.
async fn all(rows: &Rows, page: &Page<'_>) -> (Vec<String>, Vec<String>, usize) {
    let (mut keys, mut prefixes, mut after) = (Vec::new(), Vec::new(), None);
    for pages in 1..1000 {
        let asked = rows.asked.get();
        let listed = page.collect(after, |after| async move { Ok(rows.page(after.as_ref())) });
        let listed = listed.await.unwrap();
        assert!(rows.asked.get() - asked <= CATALOG_PAGES_MAX);
        assert!(listed.uploads.len() + listed.common_prefixes.len() <= page.rows_max);
        let named = listed.uploads.iter();
        keys.extend(named.map(|one| one.new.key.as_str().to_owned()));
        prefixes.extend(listed.common_prefixes);
        after = listed.next;
        if after.is_none() {
            return (keys, prefixes, pages);
        }
    }
    panic!("a listing without an end");
}

#[tokio::test]
async fn prefix_that_folds_very_many_uploads_goes_on_in_the_next_page() {
    let folded = (0..105).map(|n| upload(&format!("a/{n:04}"), n));
    let uploads = folded.chain([upload("b", 200), upload("c/1", 201)]);
    let rows = Rows::new(uploads.collect(), 2);
    let page = Page {
        prefix: "",
        delimiter: Some("/"),
        rows_max: 1000,
    };
    let (keys, prefixes, pages) = all(&rows, &page).await;
    assert_eq!(
        (keys, prefixes),
        (vec!["b".into()], vec!["a/".into(), "c/".into()])
    );
    // 54 pages of the catalog, 20 at a time.
    assert_eq!(pages, 3);
}

#[tokio::test]
async fn pages_of_any_size_hold_every_upload_and_prefix_once() {
    let names = ["a", "a/1", "a/2", "a/2", "b", "b", "b/x/1", "c/1"];
    let uploads = names.iter().enumerate().map(|(n, key)| upload(key, n));
    let rows = Rows::new(uploads.collect(), 3);
    for rows_max in 1..10 {
        let mut page = Page {
            prefix: "",
            delimiter: None,
            rows_max,
        };
        let (keys, prefixes, _) = all(&rows, &page).await;
        assert_eq!(keys, names, "by {rows_max}");
        assert!(prefixes.is_empty());
        page.delimiter = Some("/");
        let (keys, prefixes, _) = all(&rows, &page).await;
        assert_eq!(keys, ["a", "b", "b"], "by {rows_max}");
        assert_eq!(prefixes, ["a/", "b/", "c/"], "by {rows_max}");
    }
}
