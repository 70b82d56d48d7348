//! The index: what it keeps, and the changes that keep it consistent.
//!
//! An object names a body; a body is a list of extents of body files. Bodies are counted by the objects and parts that
//! name them, files by the extents that lie in them, so a copy shares everything and moves nothing.

mod due;

use super::super::{HeadFields, LifecycleRule, Missing, RegionError};
use super::ids::Id;
use super::rows::{
    Extent, ObjectRow, PartRow, TxError, after_prefix, decode_extents, decode_head, encode_extents,
    encode_head, object_key, part_key, upload_key,
};
use crate::clock::UnixMs;
use crate::tenants::TenantId;
use redb::{
    ReadOnlyTable, ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction,
};

/// Owner and number of a bucket.
type BucketValue = (&'static Id, u64);
/// Stored bytes, last modified (Unix ms), ETag, body, head.
type ObjectValue = (u64, i64, &'static str, &'static Id, &'static [u8]);
/// How many objects and parts name the body, and its packed extents.
type BodyValue = (u64, &'static [u8]);
/// Key of the object to be, and its head.
type UploadValue = (&'static [u8], &'static [u8]);
/// Stored bytes, ETag, body.
type PartValue = (u64, &'static str, &'static Id);

const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
const BUCKETS: TableDefinition<'static, &str, BucketValue> = TableDefinition::new("buckets");
const OBJECTS: TableDefinition<'static, &[u8], ObjectValue> = TableDefinition::new("objects");
const BODIES: TableDefinition<'static, &Id, BodyValue> = TableDefinition::new("bodies");
const FILES: TableDefinition<'static, &Id, u64> = TableDefinition::new("files");
const UPLOADS: TableDefinition<'static, &[u8], UploadValue> = TableDefinition::new("uploads");
const PARTS: TableDefinition<'static, &[u8], PartValue> = TableDefinition::new("parts");

/// Lifecycle rules of a bucket, by its number, as JSON.
const LIFECYCLES: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("lifecycles");
/// When an upload was begun (Unix ms), by its key; unknown of those from before there were lifecycle rules.
const UPLOAD_TIMES: TableDefinition<'static, &[u8], i64> = TableDefinition::new("upload times");

const META_FORMAT: &str = "format";
const META_IDENTITY: &str = "identity";
const META_NEXT_BUCKET: &str = "next bucket";
const FORMAT: &[u8] = b"1";

/// The lookups that readers and writers share.
pub(super) trait Lookup {
    type Buckets: ReadableTable<&'static str, BucketValue>;
    type Objects: ReadableTable<&'static [u8], ObjectValue>;
    type Bodies: ReadableTable<&'static Id, BodyValue>;
    type Uploads: ReadableTable<&'static [u8], UploadValue>;
    type Parts: ReadableTable<&'static [u8], PartValue>;
    type Lifecycles: ReadableTable<u64, &'static [u8]>;

    fn buckets(&self) -> &Self::Buckets;
    fn objects(&self) -> &Self::Objects;
    fn bodies(&self) -> &Self::Bodies;
    fn uploads(&self) -> &Self::Uploads;
    fn parts(&self) -> &Self::Parts;
    fn lifecycles(&self) -> &Self::Lifecycles;

    /// The bucket's lifecycle rules.
    fn lifecycle(&self, bucket: u64) -> Result<Vec<LifecycleRule>, TxError> {
        let Some(row) = self.lifecycles().get(bucket)? else {
            return Ok(Vec::new());
        };
        serde_json::from_slice(row.value())
            .map_err(|_| TxError::damaged("a bucket's lifecycle rules"))
    }

    /// The number of the tenant's bucket; another tenant's bucket is not there.
    fn bucket(
        &self,
        operation: &'static str,
        tenant: TenantId,
        name: &str,
    ) -> Result<u64, TxError> {
        self.bucket_owner(name)?
            .filter(|(owner, _)| *owner == tenant)
            .map(|(_, number)| number)
            .ok_or_else(|| {
                RegionError::NotFound {
                    operation,
                    missing: Missing::Bucket,
                }
                .into()
            })
    }

    fn bucket_owner(&self, name: &str) -> Result<Option<(TenantId, u64)>, TxError> {
        Ok(self.buckets().get(name)?.map(|row| {
            let (owner, number) = row.value();
            (TenantId::from_bytes(*owner), number)
        }))
    }

    fn object(&self, bucket: u64, key: &str) -> Result<Option<ObjectRow>, TxError> {
        let Some(row) = self.objects().get(object_key(bucket, key).as_slice())? else {
            return Ok(None);
        };
        let (stored_bytes, last_modified_ms, etag, body, head) = row.value();
        Ok(Some(ObjectRow {
            stored_bytes,
            last_modified: UnixMs(last_modified_ms),
            etag: etag.to_owned(),
            body: *body,
            head: decode_head(head)?,
        }))
    }

    fn extents(&self, body: &Id) -> Result<Option<Vec<Extent>>, TxError> {
        self.bodies()
            .get(body)?
            .map(|row| decode_extents(row.value().1))
            .transpose()
    }

    /// The head of the object that an upload is to make, if the upload is of this bucket and key.
    fn upload(&self, bucket: u64, upload: &Id, key: &str) -> Result<Option<HeadFields>, TxError> {
        let Some(row) = self.uploads().get(upload_key(bucket, upload).as_slice())? else {
            return Ok(None);
        };
        let (upload_key, head) = row.value();
        if upload_key != key.as_bytes() {
            return Ok(None);
        }
        decode_head(head).map(Some)
    }

    /// The uploads that are open in a bucket under a key.
    fn uploads_of(&self, bucket: u64, key: &str) -> Result<Vec<Id>, TxError> {
        let (low, high) = (bucket.to_be_bytes(), after_prefix(&bucket.to_be_bytes()));
        let mut open = Vec::new();
        for item in self.uploads().range(low.as_slice()..high.as_slice())? {
            let (place, row) = item?;
            if row.value().0 == key.as_bytes() {
                let id = place.value().get(8..).and_then(|id| Id::try_from(id).ok());
                open.push(id.ok_or_else(|| TxError::damaged("an upload's key"))?);
            }
        }
        Ok(open)
    }

    fn part_rows(&self, upload: &Id) -> Result<Vec<PartRow>, TxError> {
        let (low, high) = (part_key(upload, 0), part_key(upload, u16::MAX));
        self.parts()
            .range(low.as_slice()..=high.as_slice())?
            .map(|item| {
                let (key, row) = item?;
                let (stored_bytes, etag, body) = row.value();
                let number = match key.value() {
                    [.., high, low] => u16::from_be_bytes([*high, *low]),
                    _ => return Err(TxError::damaged("a part's key")),
                };
                Ok(PartRow {
                    number,
                    stored_bytes,
                    etag: etag.to_owned(),
                    body: *body,
                })
            })
            .collect()
    }
}

macro_rules! lookup {
    ($tables:ty, $table:ident $(, $lifetime:lifetime)?) => {
        impl $(<$lifetime>)? Lookup for $tables {
            type Buckets = $table<$($lifetime,)? &'static str, BucketValue>;
            type Objects = $table<$($lifetime,)? &'static [u8], ObjectValue>;
            type Bodies = $table<$($lifetime,)? &'static Id, BodyValue>;
            type Uploads = $table<$($lifetime,)? &'static [u8], UploadValue>;
            type Parts = $table<$($lifetime,)? &'static [u8], PartValue>;
            type Lifecycles = $table<$($lifetime,)? u64, &'static [u8]>;

            fn buckets(&self) -> &Self::Buckets {
                &self.buckets
            }
            fn objects(&self) -> &Self::Objects {
                &self.objects
            }
            fn bodies(&self) -> &Self::Bodies {
                &self.bodies
            }
            fn uploads(&self) -> &Self::Uploads {
                &self.uploads
            }
            fn parts(&self) -> &Self::Parts {
                &self.parts
            }
            fn lifecycles(&self) -> &Self::Lifecycles {
                &self.lifecycles
            }
        }
    };
}

/// The index at one moment.
pub(super) struct ReadTables {
    buckets: ReadOnlyTable<&'static str, BucketValue>,
    objects: ReadOnlyTable<&'static [u8], ObjectValue>,
    bodies: ReadOnlyTable<&'static Id, BodyValue>,
    files: ReadOnlyTable<&'static Id, u64>,
    uploads: ReadOnlyTable<&'static [u8], UploadValue>,
    parts: ReadOnlyTable<&'static [u8], PartValue>,
    lifecycles: ReadOnlyTable<u64, &'static [u8]>,
    upload_times: ReadOnlyTable<&'static [u8], i64>,
}

lookup!(ReadTables, ReadOnlyTable);

impl ReadTables {
    pub(super) fn open(transaction: &ReadTransaction) -> Result<Self, TxError> {
        Ok(Self {
            buckets: transaction.open_table(BUCKETS)?,
            objects: transaction.open_table(OBJECTS)?,
            bodies: transaction.open_table(BODIES)?,
            files: transaction.open_table(FILES)?,
            uploads: transaction.open_table(UPLOADS)?,
            parts: transaction.open_table(PARTS)?,
            lifecycles: transaction.open_table(LIFECYCLES)?,
            upload_times: transaction.open_table(UPLOAD_TIMES)?,
        })
    }

    /// Whether anything lies in the body file.
    pub(super) fn knows_file(&self, file: &Id) -> Result<bool, TxError> {
        Ok(self.files.get(file)?.is_some())
    }
}

/// The index in one write transaction.
pub(super) struct WriteTables<'t> {
    meta: Table<'t, &'static str, &'static [u8]>,
    buckets: Table<'t, &'static str, BucketValue>,
    objects: Table<'t, &'static [u8], ObjectValue>,
    bodies: Table<'t, &'static Id, BodyValue>,
    files: Table<'t, &'static Id, u64>,
    uploads: Table<'t, &'static [u8], UploadValue>,
    parts: Table<'t, &'static [u8], PartValue>,
    lifecycles: Table<'t, u64, &'static [u8]>,
    upload_times: Table<'t, &'static [u8], i64>,
    /// Body files in which nothing lies any more once this transaction is durable.
    dead: Vec<Id>,
}

lookup!(WriteTables<'t>, Table, 't);

impl<'t> WriteTables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TxError> {
        Ok(Self {
            meta: transaction.open_table(META)?,
            buckets: transaction.open_table(BUCKETS)?,
            objects: transaction.open_table(OBJECTS)?,
            bodies: transaction.open_table(BODIES)?,
            files: transaction.open_table(FILES)?,
            uploads: transaction.open_table(UPLOADS)?,
            parts: transaction.open_table(PARTS)?,
            lifecycles: transaction.open_table(LIFECYCLES)?,
            upload_times: transaction.open_table(UPLOAD_TIMES)?,
            dead: Vec::new(),
        })
    }

    /// Closes the tables; the body files to remove after the commit.
    pub(super) fn into_dead(self) -> Vec<Id> {
        self.dead
    }

    /// Writes the format and the store's identity into a new index.
    pub(super) fn found(&mut self, identity: &Id) -> Result<(), TxError> {
        self.meta.insert(META_FORMAT, FORMAT)?;
        self.meta.insert(META_IDENTITY, identity.as_slice())?;
        Ok(())
    }

    /// Whether the index has the format of this program, and the identity that it was founded with.
    pub(super) fn founded(&self) -> Result<(bool, Option<Id>), TxError> {
        let known = self
            .meta
            .get(META_FORMAT)?
            .is_some_and(|format| format.value() == FORMAT);
        let identity = self
            .meta
            .get(META_IDENTITY)?
            .and_then(|row| Id::try_from(row.value()).ok());
        Ok((known, identity))
    }

    pub(super) fn add_bucket(&mut self, tenant: TenantId, name: &str) -> Result<(), TxError> {
        let number = match self.meta.get(META_NEXT_BUCKET)? {
            None => 0,
            Some(row) => row
                .value()
                .try_into()
                .map(u64::from_be_bytes)
                .map_err(|_| TxError::damaged("the bucket counter"))?,
        };
        let next = (number + 1).to_be_bytes();
        self.meta.insert(META_NEXT_BUCKET, next.as_slice())?;
        self.buckets.insert(name, (tenant.as_bytes(), number))?;
        Ok(())
    }

    /// Whether the bucket holds an object.
    pub(super) fn holds_objects(&self, bucket: u64) -> Result<bool, TxError> {
        let (low, high) = (bucket.to_be_bytes(), after_prefix(&bucket.to_be_bytes()));
        let mut rows = self.objects.range(low.as_slice()..high.as_slice())?;
        Ok(rows.next().transpose()?.is_some())
    }

    /// Removes an empty bucket with the uploads left open in it.
    pub(super) fn remove_bucket(&mut self, name: &str, bucket: u64) -> Result<(), TxError> {
        let (low, high) = (bucket.to_be_bytes(), after_prefix(&bucket.to_be_bytes()));
        let uploads: Vec<Id> = self
            .uploads
            .range(low.as_slice()..high.as_slice())?
            .map(|item| {
                let (key, _) = item?;
                key.value()
                    .get(8..)
                    .and_then(|id| Id::try_from(id).ok())
                    .ok_or_else(|| TxError::damaged("an upload's key"))
            })
            .collect::<Result<_, TxError>>()?;
        for upload in uploads {
            self.remove_upload(bucket, &upload)?;
        }
        self.lifecycles.remove(bucket)?;
        self.buckets.remove(name)?;
        Ok(())
    }

    /// Replaces the bucket's lifecycle rules; none at all deletes them.
    pub(super) fn set_lifecycle(
        &mut self,
        bucket: u64,
        rules: &[LifecycleRule],
    ) -> Result<(), TxError> {
        if rules.is_empty() {
            self.lifecycles.remove(bucket)?;
            return Ok(());
        }
        let rules = serde_json::to_vec(rules)
            .map_err(|_| TxError::Index("lifecycle rules can't be written as JSON".to_owned()))?;
        self.lifecycles.insert(bucket, rules.as_slice())?;
        Ok(())
    }

    /// Adds a body that nothing names yet but the caller's next row.
    pub(super) fn add_body(&mut self, body: &Id, extents: &[Extent]) -> Result<(), TxError> {
        for extent in extents {
            let count = self.files.get(&extent.file)?.map_or(0, |row| row.value());
            self.files.insert(&extent.file, count + 1)?;
        }
        self.bodies
            .insert(body, (1, encode_extents(extents).as_slice()))?;
        Ok(())
    }

    /// Counts one more name of a body.
    pub(super) fn share_body(&mut self, body: &Id) -> Result<(), TxError> {
        let (count, extents) = self.body(body)?;
        self.bodies.insert(body, (count + 1, extents.as_slice()))?;
        Ok(())
    }

    /// Counts one name less of a body, and lets go of its files with the last one.
    pub(super) fn release_body(&mut self, body: &Id) -> Result<(), TxError> {
        let (count, extents) = self.body(body)?;
        if count > 1 {
            self.bodies.insert(body, (count - 1, extents.as_slice()))?;
            return Ok(());
        }
        self.bodies.remove(body)?;
        for extent in decode_extents(&extents)? {
            let count = self.files.get(&extent.file)?.map_or(0, |row| row.value());
            if count > 1 {
                self.files.insert(&extent.file, count - 1)?;
            } else {
                self.files.remove(&extent.file)?;
                self.dead.push(extent.file);
            }
        }
        Ok(())
    }

    fn body(&self, body: &Id) -> Result<(u64, Vec<u8>), TxError> {
        self.bodies
            .get(body)?
            .map(|row| {
                let (count, extents) = row.value();
                (count, extents.to_vec())
            })
            .ok_or_else(|| TxError::damaged("a body is missing"))
    }

    /// Puts an object's row in the place of the old one, whose body is released.
    pub(super) fn put_object(
        &mut self,
        bucket: u64,
        key: &str,
        row: &ObjectRow,
    ) -> Result<(), TxError> {
        let head = encode_head(&row.head)?;
        let old = self
            .objects
            .insert(
                object_key(bucket, key).as_slice(),
                (
                    row.stored_bytes,
                    row.last_modified.0,
                    row.etag.as_str(),
                    &row.body,
                    head.as_slice(),
                ),
            )?
            .map(|old| *old.value().3);
        old.map_or(Ok(()), |body| self.release_body(&body))
    }

    /// Replaces what is stored beside an object's bytes.
    pub(super) fn rewrite_object(
        &mut self,
        bucket: u64,
        key: &str,
        row: &ObjectRow,
    ) -> Result<(), TxError> {
        self.share_body(&row.body)?;
        self.put_object(bucket, key, row)
    }

    pub(super) fn remove_object(&mut self, bucket: u64, key: &str) -> Result<(), TxError> {
        let old = self
            .objects
            .remove(object_key(bucket, key).as_slice())?
            .map(|old| *old.value().3);
        old.map_or(Ok(()), |body| self.release_body(&body))
    }

    pub(super) fn add_upload(
        &mut self,
        bucket: u64,
        upload: &Id,
        key: &str,
        head: &HeadFields,
        begun: UnixMs,
    ) -> Result<(), TxError> {
        let head = encode_head(head)?;
        let place = upload_key(bucket, upload);
        self.upload_times.insert(place.as_slice(), begun.0)?;
        self.uploads
            .insert(place.as_slice(), (key.as_bytes(), head.as_slice()))?;
        Ok(())
    }

    /// When an open upload was begun, where that is known.
    pub(super) fn upload_begun(&self, bucket: u64, upload: &Id) -> Result<Option<UnixMs>, TxError> {
        let found = self
            .upload_times
            .get(upload_key(bucket, upload).as_slice())?;
        Ok(found.map(|time| UnixMs(time.value())))
    }

    /// Puts a part in the place of an older one of its number.
    pub(super) fn put_part(&mut self, upload: &Id, part: &PartRow) -> Result<(), TxError> {
        let old = self
            .parts
            .insert(
                part_key(upload, part.number).as_slice(),
                (part.stored_bytes, part.etag.as_str(), &part.body),
            )?
            .map(|old| *old.value().2);
        old.map_or(Ok(()), |body| self.release_body(&body))
    }

    /// Removes an upload and the parts that it still has, and answers how many parts those were.
    pub(super) fn remove_upload(&mut self, bucket: u64, upload: &Id) -> Result<usize, TxError> {
        let parts = self.part_rows(upload)?;
        for part in &parts {
            self.parts
                .remove(part_key(upload, part.number).as_slice())?;
            self.release_body(&part.body)?;
        }
        let place = upload_key(bucket, upload);
        self.upload_times.remove(place.as_slice())?;
        self.uploads.remove(place.as_slice())?;
        Ok(parts.len())
    }
}
