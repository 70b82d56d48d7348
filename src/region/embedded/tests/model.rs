//! Random calls on the store and on a map in memory: the same answers, and no file too many or too few.

use super::super::{EmbeddedOptions, EmbeddedStore};
use super::{files_in, ground_with, reopen};
use crate::region::suite::{Ground, pattern, put_request};
use crate::region::{
    Body, ByteRange, CompletedPart, CopyRequest, DeleteRequest, HeadFields, ListRequest,
    PutCondition, PutRequest, RegionError, SourceCondition, UploadPartRequest,
};
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A condition, before it is known which ETag is there.
#[derive(Clone, Copy, Debug)]
enum Cond {
    Always,
    Absent,
    Present,
    Current,
    Other,
}

#[derive(Clone, Debug)]
enum Call {
    Put(String, u64, usize, Cond),
    Range(String, ByteRange),
    Delete(String, Cond),
    Copy {
        from: String,
        to: String,
        stale: bool,
        copy_tags: bool,
        cond: Cond,
    },
    Tag(String, u8),
    Multipart(String, Vec<(u16, u64, usize)>, Cond),
    List(ListRequest),
    Sweep,
    Reopen,
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    NotFound,
    Precondition,
    Range,
}

impl Outcome {
    fn of<T: std::fmt::Debug>(result: &Result<T, RegionError>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(RegionError::NotFound { .. }) => Self::NotFound,
            Err(RegionError::PreconditionFailed { .. }) => Self::Precondition,
            Err(RegionError::RangeNotSatisfiable { .. }) => Self::Range,
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[derive(Clone, Debug)]
struct Object {
    bytes: Bytes,
    etag: String,
    tags: Vec<(String, String)>,
}

type Objects = BTreeMap<String, Object>;

const OTHER: &str = "not-an-etag";

fn condition(cond: Cond, objects: &Objects, key: &str) -> PutCondition {
    match cond {
        Cond::Always => PutCondition::Always,
        Cond::Absent => PutCondition::Absent,
        Cond::Present => PutCondition::Present,
        Cond::Other => PutCondition::Matches(OTHER.to_owned()),
        Cond::Current => PutCondition::Matches(
            objects
                .get(key)
                .map_or_else(|| OTHER.to_owned(), |object| object.etag.clone()),
        ),
    }
}

fn expected(cond: Cond, there: bool) -> Outcome {
    match (cond, there) {
        (Cond::Always, _) | (Cond::Absent, false) | (Cond::Present | Cond::Current, true) => {
            Outcome::Done
        }
        (Cond::Absent | Cond::Other, true) => Outcome::Precondition,
        (Cond::Present | Cond::Current | Cond::Other, false) => Outcome::NotFound,
    }
}

struct Run {
    ground: Ground,
    store: Arc<EmbeddedStore>,
    dir: tempfile::TempDir,
    objects: Objects,
}

impl Run {
    async fn call(mut self, call: Call) -> Self {
        match call {
            Call::Put(key, seed, bytes, cond) => self.put(&key, &pattern(seed, bytes), cond).await,
            Call::Range(key, range) => self.range(&key, range).await,
            Call::Delete(key, cond) => {
                let request = DeleteRequest {
                    version: None,
                    condition: condition(cond, &self.objects, &key),
                    bypass_governance: false,
                };
                let (tenant, at) = (self.ground.tenant, self.ground.at(&key));
                let deleted = self.ground.store.delete(tenant, &at, &request).await;
                let outcome = expected(cond, self.objects.contains_key(&key));
                assert_eq!(Outcome::of(&deleted), outcome);
                if outcome == Outcome::Done {
                    self.objects.remove(&key);
                }
            }
            Call::Copy {
                from,
                to,
                stale,
                copy_tags,
                cond,
            } => self.copy(&from, &to, stale, copy_tags, cond).await,
            Call::Tag(key, n) => self.tag(&key, n).await,
            Call::Multipart(key, parts, cond) => self.multipart(&key, &parts, cond).await,
            Call::List(request) => self.list(&request).await,
            Call::Sweep => {
                self.store.sweep().await.unwrap();
            }
            Call::Reopen => {
                (self.ground, self.store) = reopen(self.ground, self.store, self.dir.path());
            }
        }
        self
    }

    fn keep(&mut self, key: &str, bytes: Bytes, etag: String, tags: Vec<(String, String)>) {
        let object = Object { bytes, etag, tags };
        self.objects.insert(key.to_owned(), object);
    }

    async fn put(&mut self, key: &str, bytes: &Bytes, cond: Cond) {
        let request = PutRequest {
            condition: condition(cond, &self.objects, key),
            ..put_request(bytes, HeadFields::default())
        };
        let at = self.ground.at(key);
        let put = self
            .ground
            .store
            .put(self.ground.tenant, &at, request)
            .await;
        let there = self.objects.contains_key(key);
        assert_eq!(Outcome::of(&put), expected(cond, there));
        if let Ok(outcome) = put {
            self.keep(key, bytes.clone(), outcome.etag, Vec::new());
        }
    }

    async fn range(&mut self, key: &str, range: ByteRange) {
        let read = self.ground.range(key, range).await;
        let Some(object) = self.objects.get(key) else {
            assert_eq!(Outcome::of(&read), Outcome::NotFound);
            return;
        };
        let all = object.bytes.len();
        let place = |n: u64| usize::try_from(n).unwrap().min(all);
        let (from, to) = match range {
            ByteRange::Inclusive { first, last } => (place(first), place(last + 1)),
            ByteRange::Suffix { bytes } => (all - place(bytes), all),
        };
        if from >= to {
            assert_eq!(Outcome::of(&read), Outcome::Range);
        } else {
            let (first, bytes) = read.unwrap();
            assert_eq!(first, from as u64);
            assert!(bytes == object.bytes.slice(from..to), "{range:?}");
        }
    }

    async fn copy(&mut self, from: &str, to: &str, stale: bool, copy_tags: bool, cond: Cond) {
        let source = self.objects.get(from).cloned();
        let etag = match &source {
            Some(object) if !stale => object.etag.clone(),
            _ => OTHER.to_owned(),
        };
        let own = vec![("own".to_owned(), "tag".to_owned())];
        let request = CopyRequest {
            from: self.ground.at(from),
            from_version: None,
            source: SourceCondition { etag },
            head: HeadFields {
                tags: own.clone(),
                ..HeadFields::default()
            },
            copy_tags,
            condition: condition(cond, &self.objects, to),
        };
        let at = self.ground.at(to);
        let copied = self
            .ground
            .store
            .copy(self.ground.tenant, &at, &request)
            .await;
        let outcome = match &source {
            None => Outcome::NotFound,
            Some(_) if stale => Outcome::Precondition,
            Some(_) => expected(cond, self.objects.contains_key(to)),
        };
        assert_eq!(Outcome::of(&copied), outcome);
        if let (Ok(made), Some(source)) = (copied, source) {
            let tags = if copy_tags { source.tags } else { own };
            self.keep(to, source.bytes, made.etag, tags);
        }
    }

    async fn tag(&mut self, key: &str, n: u8) {
        let tags: Vec<_> = (0..n).map(|n| (n.to_string(), String::new())).collect();
        let (tenant, at) = (self.ground.tenant, self.ground.at(key));
        let set = self.ground.store.set_tags(tenant, &at, None, &tags).await;
        match self.objects.get_mut(key) {
            None => assert_eq!(Outcome::of(&set), Outcome::NotFound),
            Some(object) => {
                set.unwrap();
                object.tags = tags;
            }
        }
    }

    async fn multipart(&mut self, key: &str, parts: &[(u16, u64, usize)], cond: Cond) {
        let (store, tenant) = (Arc::clone(&self.ground.store), self.ground.tenant);
        let at = self.ground.at(key);
        let head = HeadFields::default();
        let upload = store.create_upload(tenant, &at, &head).await.unwrap();
        let mut held: BTreeMap<u16, (Bytes, String)> = BTreeMap::new();
        for (number, seed, bytes) in parts {
            let body = pattern(*seed, *bytes);
            let request = UploadPartRequest {
                upload: upload.clone(),
                number: *number,
                stored_bytes: *bytes as u64,
                body: Body::Replayable(body.clone()),
                in_lock_bucket: false,
            };
            let etag = store.upload_part(tenant, &at, request).await.unwrap();
            held.insert(*number, (body, etag));
        }
        // The highest part is left out, if it is not the only one.
        let named = held.len().max(2) - 1;
        let (mut bytes, mut names) = (Vec::new(), Vec::new());
        for (number, (body, etag)) in held.into_iter().take(named) {
            bytes.extend_from_slice(&body);
            names.push(CompletedPart { number, etag });
        }
        let condition = condition(cond, &self.objects, key);
        let completed = store
            .complete_upload(tenant, &at, &upload, &names, &condition)
            .await;
        let there = self.objects.contains_key(key);
        assert_eq!(Outcome::of(&completed), expected(cond, there));
        match completed {
            Ok(outcome) => self.keep(key, bytes.into(), outcome.etag, Vec::new()),
            Err(_) => store.abort_upload(tenant, &at, &upload).await.unwrap(),
        }
    }

    /// One page against the plainest way to make it.
    async fn list(&mut self, request: &ListRequest) {
        let page = self
            .ground
            .store
            .list(self.ground.tenant, &self.ground.bucket, request)
            .await
            .unwrap();
        let after = |text: &str| {
            request
                .start_after
                .as_deref()
                .is_none_or(|after| text > after)
        };
        let mut entries: BTreeSet<(String, bool)> = BTreeSet::new();
        for key in self.objects.keys() {
            let Some(rest) = key.strip_prefix(&request.prefix) else {
                continue;
            };
            let folded = request
                .delimiter
                .as_ref()
                .and_then(|d| rest.split_once(d.as_str()));
            let (entry, is_prefix) = match (folded, &request.delimiter) {
                (Some((head, _)), Some(d)) => (format!("{}{head}{d}", request.prefix), true),
                _ => (key.clone(), false),
            };
            if after(&entry) {
                entries.insert((entry, is_prefix));
            }
        }
        let more = entries.len() > request.keys_max;
        let entries: Vec<_> = entries.into_iter().take(request.keys_max).collect();
        let of = |is_prefix: bool| -> Vec<&str> {
            entries
                .iter()
                .filter(|entry| entry.1 == is_prefix)
                .map(|entry| entry.0.as_str())
                .collect()
        };
        let listed: Vec<&str> = page.objects.iter().map(|o| o.key.as_str()).collect();
        assert_eq!(listed, of(false), "{request:?}");
        assert_eq!(page.common_prefixes, of(true), "{request:?}");
        let next = entries.last().filter(|_| more).map(|entry| entry.0.clone());
        assert_eq!(page.next_start_after, next, "{request:?}");
        for listed in &page.objects {
            let object = &self.objects[&listed.key];
            assert_eq!(listed.stored_bytes, object.bytes.len() as u64);
            assert_eq!(listed.etag, object.etag);
        }
    }

    /// Everything is as it should be, and no file is left once everything is deleted.
    async fn end(self) {
        let (ground, store) = reopen(self.ground, self.store, self.dir.path());
        for (key, object) in &self.objects {
            let (head, bytes) = ground.get(key).await;
            assert!(bytes == object.bytes, "{key:?}");
            assert_eq!(head.etag, object.etag);
            let tags = ground
                .store
                .tags(ground.tenant, &ground.at(key), None)
                .await;
            assert_eq!(tags.unwrap(), object.tags);
            ground.delete(key).await;
        }
        store.sweep().await.unwrap();
        assert_eq!(files_in(self.dir.path()), 0);
        let deleted = ground
            .store
            .delete_bucket(ground.tenant, &ground.bucket)
            .await;
        deleted.unwrap();
    }
}

fn keys() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[ab/]{1,3}",
        1 => prop::sample::select(vec!["..", "/", "a\0", "é", "\u{10ffff}"]).prop_map(str::to_owned),
    ]
}

fn conds() -> impl Strategy<Value = Cond> {
    prop_oneof![
        4 => Just(Cond::Always),
        1 => Just(Cond::Absent),
        1 => Just(Cond::Present),
        2 => Just(Cond::Current),
        1 => Just(Cond::Other),
    ]
}

fn ranges() -> impl Strategy<Value = ByteRange> {
    prop_oneof![
        (0..400_u64, 0..400_u64).prop_map(|(first, more)| ByteRange::Inclusive {
            first,
            last: first + more
        }),
        (0..500_u64).prop_map(|bytes| ByteRange::Suffix { bytes }),
    ]
}

fn lists() -> impl Strategy<Value = ListRequest> {
    let delimiters = prop::option::of(prop::sample::select(vec!["/", "a", "a/"]));
    (
        "[ab/]{0,2}",
        delimiters,
        prop::option::of(keys()),
        1..6_usize,
    )
        .prop_map(|(prefix, delimiter, start_after, keys_max)| ListRequest {
            prefix,
            delimiter: delimiter.map(str::to_owned),
            start_after,
            keys_max,
        })
}

fn calls() -> impl Strategy<Value = Call> {
    let parts = prop::collection::vec((1..5_u16, any::<u64>(), 0..300_usize), 1..5);
    prop_oneof![
        8 => (keys(), any::<u64>(), 0..300_usize, conds())
            .prop_map(|(key, seed, bytes, cond)| Call::Put(key, seed, bytes, cond)),
        4 => (keys(), ranges()).prop_map(|(key, range)| Call::Range(key, range)),
        4 => (keys(), conds()).prop_map(|(key, cond)| Call::Delete(key, cond)),
        4 => (keys(), keys(), prop::bool::weighted(0.2), any::<bool>(), conds()).prop_map(
            |(from, to, stale, copy_tags, cond)| Call::Copy { from, to, stale, copy_tags, cond }
        ),
        2 => (keys(), 0..4_u8).prop_map(|(key, n)| Call::Tag(key, n)),
        3 => (keys(), parts, conds()).prop_map(|(key, parts, cond)| Call::Multipart(key, parts, cond)),
        5 => lists().prop_map(Call::List),
        1 => Just(Call::Sweep),
        1 => Just(Call::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn store_answers_as_a_map_does(calls in prop::collection::vec(calls(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (ground, store, dir) = ground_with(EmbeddedOptions::default()).await;
            let objects = Objects::new();
            let mut run = Run { ground, store, dir, objects };
            for call in calls {
                run = run.call(call).await;
            }
            run.end().await;
        });
    }
}
