//! The S3 operations that the gateway routes, and what each asks of a credential. One that is not in this table can't be asked for,
//! and so is never let through.

use super::Permission;

/// What an operation asks of a credential, and of its scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// The names of the tenant's buckets: those that the scope touches are told.
    Buckets(Permission),
    /// Any permission, in a bucket that the scope touches: tells nothing but that the bucket is there and how it is set up to be used.
    Touch,
    /// The bucket itself: the scope covers all of its keys.
    WholeBucket(Permission),
    /// The keys that begin with the request's prefix: the scope covers all of them.
    Listing(Permission),
    /// One key.
    Key(Permission),
    /// A list of keys of one bucket, each decided for itself.
    Keys(Permission),
    /// Reading the source's key and writing the destination's.
    Copy,
}

macro_rules! operations {
    ($($name:ident: $demand:expr;)+) => {
        /// One S3 operation, by S3's name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "S3's own names")]
        pub enum Operation { $($name),+ }

        impl Operation {
            /// Every operation.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// S3's name of it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }

            /// What it asks of a credential.
            #[must_use]
            pub const fn demand(self) -> Demand {
                use Demand::{Buckets, Copy, Key, Keys, Listing, Touch, WholeBucket};
                use Permission::{Admin, Delete, List, Read, Write};
                match self { $(Self::$name => $demand),+ }
            }
        }
    };
}

impl Operation {
    /// Whether it writes something about an object that must be there.
    #[must_use]
    pub const fn changes_what_is_there(self) -> bool {
        matches!(
            self,
            Self::PutObjectTagging
                | Self::DeleteObjectTagging
                | Self::PutObjectAcl
                | Self::PutObjectRetention
                | Self::PutObjectLegalHold
        )
    }
}

operations! {
    ListBuckets: Buckets(List);

    HeadBucket: Touch;
    GetBucketLocation: Touch;
    GetBucketVersioning: Touch;
    GetBucketAcl: Touch;
    GetObjectLockConfiguration: Touch;

    CreateBucket: WholeBucket(Admin);
    DeleteBucket: WholeBucket(Admin);
    PutBucketAcl: WholeBucket(Admin);
    PutBucketVersioning: WholeBucket(Admin);
    PutObjectLockConfiguration: WholeBucket(Admin);
    GetBucketCors: WholeBucket(Admin);
    PutBucketCors: WholeBucket(Admin);
    DeleteBucketCors: WholeBucket(Admin);
    GetBucketLifecycleConfiguration: WholeBucket(Admin);
    PutBucketLifecycleConfiguration: WholeBucket(Admin);
    DeleteBucketLifecycle: WholeBucket(Admin);
    GetBucketTagging: WholeBucket(Admin);
    PutBucketTagging: WholeBucket(Admin);
    DeleteBucketTagging: WholeBucket(Admin);
    GetBucketEncryption: WholeBucket(Admin);
    PutBucketEncryption: WholeBucket(Admin);
    DeleteBucketEncryption: WholeBucket(Admin);
    GetBucketOwnershipControls: WholeBucket(Admin);
    PutBucketOwnershipControls: WholeBucket(Admin);
    DeleteBucketOwnershipControls: WholeBucket(Admin);
    GetPublicAccessBlock: WholeBucket(Admin);
    PutPublicAccessBlock: WholeBucket(Admin);
    DeletePublicAccessBlock: WholeBucket(Admin);
    GetBucketPolicy: WholeBucket(Admin);
    GetBucketPolicyStatus: WholeBucket(Admin);
    PutBucketPolicy: WholeBucket(Admin);
    DeleteBucketPolicy: WholeBucket(Admin);
    GetBucketWebsite: WholeBucket(Admin);
    DeleteBucketWebsite: WholeBucket(Admin);
    GetBucketReplication: WholeBucket(Admin);
    DeleteBucketReplication: WholeBucket(Admin);
    GetBucketAccelerateConfiguration: WholeBucket(Admin);
    GetBucketLogging: WholeBucket(Admin);
    PutBucketLogging: WholeBucket(Admin);
    GetBucketNotificationConfiguration: WholeBucket(Admin);
    PutBucketNotificationConfiguration: WholeBucket(Admin);
    GetBucketRequestPayment: WholeBucket(Admin);
    PutBucketRequestPayment: WholeBucket(Admin);

    ListObjects: Listing(List);
    ListObjectsV2: Listing(List);
    ListObjectVersions: Listing(List);
    ListMultipartUploads: Listing(List);

    GetObject: Key(Read);
    HeadObject: Key(Read);
    GetObjectAttributes: Key(Read);
    GetObjectTagging: Key(Read);
    GetObjectAcl: Key(Read);
    GetObjectRetention: Key(Read);
    GetObjectLegalHold: Key(Read);

    PutObject: Key(Write);
    PostObject: Key(Write);
    PutObjectTagging: Key(Write);
    DeleteObjectTagging: Key(Write);
    PutObjectAcl: Key(Write);
    PutObjectRetention: Key(Write);
    PutObjectLegalHold: Key(Write);
    CreateMultipartUpload: Key(Write);
    UploadPart: Key(Write);
    CompleteMultipartUpload: Key(Write);
    AbortMultipartUpload: Key(Write);
    ListParts: Key(Write);

    CopyObject: Copy;
    UploadPartCopy: Copy;

    DeleteObject: Key(Delete);
    DeleteObjects: Keys(Delete);
}
