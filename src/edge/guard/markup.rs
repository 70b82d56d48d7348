//! The markup of an XML document, looked at as it passes. s3s leaves out without a word what it does not know: CDATA, so that a list of
//! deletes would delete other keys than it names, document type definitions, whose entities others read, and elements that are
//! misspelt, misplaced or of another namespace, so that a lock would be made without its period and tags be deleted instead of set.
//! S3 takes none of these.
//!
//! Where a reader could see the markup in two ways there is none: the grammar is stricter than XML's and than s3s's.

/// Longest name of an element; S3's longest has 34 bytes.
const NAME_BYTES_MAX: usize = 64;

/// What stands where, for each root: an element and those that it may hold. What holds none has text.
type Schema = &'static [(&'static str, &'static [&'static str])];

const TAG_SET: (&str, &[&str]) = ("TagSet", &["Tag"]);
const TAG: (&str, &[&str]) = ("Tag", &["Key", "Value"]);

const SCHEMAS: &[Schema] = &[
    &[
        ("AccessControlPolicy", &["Owner", "AccessControlList"]),
        ("Owner", &["ID", "DisplayName"]),
        ("AccessControlList", &["Grant"]),
        ("Grant", &["Grantee", "Permission"]),
        (
            "Grantee",
            &["ID", "DisplayName", "EmailAddress", "URI", "Type"],
        ),
    ],
    &[
        ("CORSConfiguration", &["CORSRule"]),
        (
            "CORSRule",
            &[
                "ID",
                "AllowedHeader",
                "AllowedMethod",
                "AllowedOrigin",
                "ExposeHeader",
                "MaxAgeSeconds",
            ],
        ),
    ],
    &[
        ("CompleteMultipartUpload", &["Part"]),
        (
            "Part",
            &[
                "PartNumber",
                "ETag",
                "ChecksumCRC32",
                "ChecksumCRC32C",
                "ChecksumCRC64NVME",
                "ChecksumSHA1",
                "ChecksumSHA256",
            ],
        ),
    ],
    &[
        (
            "CreateBucketConfiguration",
            &["LocationConstraint", "Location", "Bucket", "Tags"],
        ),
        ("Location", &["Name", "Type"]),
        ("Bucket", &["DataRedundancy", "Type"]),
        ("Tags", &["Tag"]),
        TAG,
    ],
    &[
        ("Delete", &["Object", "Quiet"]),
        (
            "Object",
            &["Key", "VersionId", "ETag", "LastModifiedTime", "Size"],
        ),
    ],
    &[("LegalHold", &["Status"])],
    &[
        ("LifecycleConfiguration", &["Rule"]),
        (
            "Rule",
            &[
                "ID",
                "Prefix",
                "Filter",
                "Status",
                "Expiration",
                "Transition",
                "NoncurrentVersionExpiration",
                "NoncurrentVersionTransition",
                "AbortIncompleteMultipartUpload",
            ],
        ),
        (
            "Filter",
            &[
                "Prefix",
                "Tag",
                "ObjectSizeGreaterThan",
                "ObjectSizeLessThan",
                "And",
            ],
        ),
        (
            "And",
            &[
                "Prefix",
                "Tag",
                "ObjectSizeGreaterThan",
                "ObjectSizeLessThan",
            ],
        ),
        TAG,
        ("Expiration", &["Date", "Days", "ExpiredObjectDeleteMarker"]),
        ("Transition", &["Date", "Days", "StorageClass"]),
        (
            "NoncurrentVersionExpiration",
            &["NoncurrentDays", "NewerNoncurrentVersions"],
        ),
        (
            "NoncurrentVersionTransition",
            &["NoncurrentDays", "NewerNoncurrentVersions", "StorageClass"],
        ),
        ("AbortIncompleteMultipartUpload", &["DaysAfterInitiation"]),
    ],
    &[
        ("ObjectLockConfiguration", &["ObjectLockEnabled", "Rule"]),
        ("Rule", &["DefaultRetention"]),
        ("DefaultRetention", &["Mode", "Days", "Years"]),
    ],
    &[
        ("OwnershipControls", &["Rule"]),
        ("Rule", &["ObjectOwnership"]),
    ],
    &[(
        "PublicAccessBlockConfiguration",
        &[
            "BlockPublicAcls",
            "IgnorePublicAcls",
            "BlockPublicPolicy",
            "RestrictPublicBuckets",
        ],
    )],
    &[("RequestPaymentConfiguration", &["Payer"])],
    &[("Retention", &["Mode", "RetainUntilDate"])],
    &[
        ("ServerSideEncryptionConfiguration", &["Rule"]),
        (
            "Rule",
            &[
                "ApplyServerSideEncryptionByDefault",
                "BlockedEncryptionTypes",
                "BucketKeyEnabled",
            ],
        ),
        (
            "ApplyServerSideEncryptionByDefault",
            &["KMSMasterKeyID", "SSEAlgorithm"],
        ),
        ("BlockedEncryptionTypes", &["EncryptionType"]),
    ],
    &[("Tagging", &["TagSet"]), TAG_SET, TAG],
    &[("VersioningConfiguration", &["MfaDelete", "Status"])],
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Text,
    /// Behind `<`.
    Open,
    /// Within the name of a tag that begins an element.
    Name,
    /// Behind that name.
    Tag {
        quote: Option<u8>,
        ends: bool,
    },
    /// Within a tag that ends an element.
    EndTag,
    /// Behind `<!`, and so many dashes.
    Bang {
        dashes: u8,
    },
    Comment {
        dashes: u8,
    },
    /// Within `<?`; nothing of it has come yet, or its last byte was a question mark.
    Instruction {
        is_empty: bool,
        ends: bool,
    },
}

/// Follows one document's markup.
#[derive(Debug)]
pub struct Markup {
    state: State,
    name: Vec<u8>,
    /// The root's schema; `None` before the root, and where Lethe has none: s3s refuses what it does not know.
    schema: Option<Schema>,
    has_root: bool,
    /// The open elements.
    path: Vec<&'static str>,
}

impl Default for Markup {
    fn default() -> Self {
        Self {
            state: State::Text,
            name: Vec::new(),
            schema: None,
            has_root: false,
            path: Vec::new(),
        }
    }
}

impl Markup {
    /// Follows some more bytes.
    ///
    /// # Errors
    /// What is wrong with them; nothing more may be pushed then.
    pub fn push(&mut self, mut data: &[u8]) -> Result<(), &'static str> {
        while let Some((byte, rest)) = data.split_first() {
            if self.state == State::Text {
                match memchr::memchr(b'<', data) {
                    Some(at) => data = &data[at + 1..],
                    None => return Ok(()),
                }
                self.state = State::Open;
                continue;
            }
            self.state = self.step(*byte)?;
            data = rest;
        }
        Ok(())
    }

    fn step(&mut self, byte: u8) -> Result<State, &'static str> {
        match (self.state, byte) {
            (State::Text | State::Open, b'/') => Ok(State::EndTag),
            (State::Text | State::Open, b'!') => Ok(State::Bang { dashes: 0 }),
            (State::Text | State::Open, b'?') => Ok(State::Instruction {
                is_empty: true,
                ends: false,
            }),
            (State::Text | State::Open, _) => {
                self.name.clear();
                self.within_name(byte)
            }
            (State::Name, _) => self.within_name(byte),
            (State::Tag { quote, ends }, _) => self.within_tag(quote, ends, byte),
            (State::EndTag, b'>') => {
                self.path.pop();
                Ok(State::Text)
            }
            (State::EndTag, b'<' | b'"' | b'\'') => Err("a tag does not end"),
            (State::EndTag, _) => Ok(State::EndTag),
            (State::Bang { dashes: 0 }, b'-') => Ok(State::Bang { dashes: 1 }),
            (State::Bang { dashes: 1 }, b'-') => Ok(State::Comment { dashes: 0 }),
            (State::Bang { dashes: 0 }, b'[') => Err("CDATA sections are not supported"),
            (State::Bang { .. }, _) => Err("document type definitions are not supported"),
            (State::Comment { dashes }, _) => within_comment(dashes, byte),
            (State::Instruction { is_empty: true, .. }, b'?' | b'>') => {
                Err("an instruction has no name")
            }
            (State::Instruction { ends: true, .. }, b'>') => Ok(State::Text),
            (State::Instruction { .. }, _) => Ok(State::Instruction {
                is_empty: false,
                ends: byte == b'?',
            }),
        }
    }

    fn within_name(&mut self, byte: u8) -> Result<State, &'static str> {
        if matches!(byte, b'>' | b'/' | b' ' | b'\t' | b'\r' | b'\n') {
            self.begin_element()?;
            let behind = State::Tag {
                quote: None,
                ends: false,
            };
            self.state = behind;
            return self.step(byte);
        }
        if matches!(byte, b'<' | b'"' | b'\'') || self.name.len() == NAME_BYTES_MAX {
            return Err("an element's name is not one");
        }
        self.name.push(byte);
        Ok(State::Name)
    }

    fn within_tag(
        &mut self,
        quote: Option<u8>,
        ends: bool,
        byte: u8,
    ) -> Result<State, &'static str> {
        let next = |quote, ends| Ok(State::Tag { quote, ends });
        match (quote, byte) {
            (_, b'<') => Err("a tag does not end"),
            (Some(open), _) if open == byte => next(None, false),
            (Some(_), _) => next(quote, false),
            (None, b'"' | b'\'') => next(Some(byte), false),
            (None, b'>') => {
                if ends {
                    self.path.pop();
                }
                Ok(State::Text)
            }
            (None, _) => next(None, byte == b'/'),
        }
    }

    fn begin_element(&mut self) -> Result<(), &'static str> {
        if self.name.is_empty() {
            return Err("an element has no name");
        }
        if !self.has_root {
            self.has_root = true;
            let of_root = SCHEMAS.iter().copied().find_map(|schema| {
                let (root, _) = schema.first()?;
                (root.as_bytes() == self.name).then_some((schema, *root))
            });
            if let Some((schema, root)) = of_root {
                self.schema = Some(schema);
                self.path.push(root);
            }
            return Ok(());
        }
        let Some(schema) = self.schema else {
            return Ok(());
        };
        let parent = self.path.last().copied();
        let known = child(schema, parent, &self.name);
        self.path
            .push(known.ok_or("an element is not known where it stands")?);
        Ok(())
    }
}

/// The element of a name that another may hold.
fn child(schema: Schema, parent: Option<&str>, name: &[u8]) -> Option<&'static str> {
    let (_, children) = schema.iter().find(|(held, _)| Some(*held) == parent)?;
    children.iter().copied().find(|c| c.as_bytes() == name)
}

/// Two dashes only end a comment (XML 1.0 §2.5).
fn within_comment(dashes: u8, byte: u8) -> Result<State, &'static str> {
    match (dashes, byte) {
        (2, b'>') => Ok(State::Text),
        (2, _) => Err("a comment has two dashes within it"),
        (dashes, b'-') => Ok(State::Comment { dashes: dashes + 1 }),
        _ => Ok(State::Comment { dashes: 0 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &[u8], piece: usize) -> Result<(), &'static str> {
        let mut markup = Markup::default();
        text.chunks(piece.max(1)).try_for_each(|p| markup.push(p))
    }

    #[test]
    fn documents_of_clients_pass() {
        for text in [
            "<Delete><Object><Key>a</Key></Object></Delete>",
            "\u{feff}<?xml version=\"1.0\"?>\n<!-- <Evil> - --><Delete xmlns='a\">b' ><Quiet>true</Quiet ><Object\n><Key/><VersionId /></Object></Delete>\n",
            "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag><Tag/></TagSet></Tagging>",
            "<CreateBucketConfiguration/>",
            "<ReplicationConfiguration><Rule><Unknown/></Rule></ReplicationConfiguration>",
            "<!----><LegalHold><?pi a?b?><Status>ON</Status></LegalHold>",
            "no markup",
            "",
        ] {
            for piece in [1, 3, 1000] {
                assert_eq!(read(text.as_bytes(), piece), Ok(()), "{text}");
            }
        }
    }

    #[test]
    fn what_s3s_passes_over_is_refused_wherever_pieces_end() {
        for text in [
            "<Delete><Object><Key>a<![CDATA[b]]></Key></Object></Delete>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><Delete/>",
            "<?xml version='1.0'?><!doctype a>",
            "<!ELEMENT a>",
            "<!-x>",
            "<Delete><object/></Delete>",
            "<Delete><Key>a</Key></Delete>",
            "<Delete><s:Quiet>true</s:Quiet></Delete>",
            "<Tagging><TagSet><tag/></TagSet></Tagging>",
            "<Tagging><TagSet><Key>a</Key></TagSet></Tagging>",
            "<Tagging><TagSet/><Tag/></Tagging>",
            "<LegalHold><Status><Status/></Status></LegalHold>",
            "<LifecycleConfiguration><Rule><Days>1</Days></Rule></LifecycleConfiguration>",
            "<Retention/><Retention/>",
            "<Retention><!-- a -- b --></Retention>",
            "<Retention a=\"<\"/>",
            "<Retention </Retention>",
            "<Retention></Retention \">",
            "<Retention>< Mode/></Retention>",
            "<?>",
            "<??>",
            "<>",
        ] {
            for piece in 1..=text.len() {
                assert!(read(text.as_bytes(), piece).is_err(), "{text} by {piece}");
            }
        }
        assert!(read(&[b"<".as_slice(), &[b'a'; 1000]].concat(), 7).is_err());
    }

    #[test]
    fn name_that_holds_nothing_is_no_parent() {
        for schema in SCHEMAS {
            for (at, (parent, children)) in schema.iter().enumerate() {
                assert!(!children.is_empty(), "{parent}");
                let is_held = |(_, children): &(&str, &[&str])| children.contains(parent);
                assert!(at == 0 || schema.iter().any(is_held), "{parent}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_split_is_read_alike(text in "(<[/!?]?|-->|>|\"|-|\\?>|Delete|Object|Key|[ a/\\[]){0,40}", piece in 1usize..9) {
            prop_assert_eq!(read(text.as_bytes(), piece).is_ok(), read(text.as_bytes(), 1000).is_ok());
        }
    }
}
