//! The fields before the file, each once, by lower-case name: S3 knows no case there.

use crate::edge::customer_keys;
use crate::ops::headers::UserMetadata;
use crate::ops::{Code, OpError};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt;
use zeroize::Zeroize as _;

/// Most fields before the file.
const FIELDS_MAX: usize = 100;

/// What stands for the file's name in a key.
const FILENAME: &str = "${filename}";

const META: &str = "x-amz-meta-";

/// Fields that say of the object what a header of a PUT says, with the header's name.
const HEADERS: [(&str, &str); 9] = [
    ("acl", "x-amz-acl"),
    ("cache-control", "cache-control"),
    ("content-disposition", "content-disposition"),
    ("content-encoding", "content-encoding"),
    ("content-language", "content-language"),
    ("content-md5", "content-md5"),
    ("content-type", "content-type"),
    ("expires", "expires"),
    ("x-amz-acl", "x-amz-acl"),
];

/// Other headers of a PUT that a form may have as fields; whether they are supported is the operation's business.
const AMZ_HEADERS: [&str; 17] = [
    "x-amz-checksum-algorithm",
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
    "x-amz-object-lock-legal-hold",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-retain-until-date",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-bucket-key-enabled",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-server-side-encryption-customer-key",
    "x-amz-server-side-encryption-customer-key-md5",
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
];

/// What belongs to the signature.
const SIGNATURE: [&str; 5] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-signature",
    "x-amz-sdk-checksum-algorithm",
];

/// A form's fields. One of them may be a key: they print as their names, and are wiped when they go.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl Drop for Fields {
    fn drop(&mut self) {
        for (_, value) in &mut self.0 {
            value.zeroize();
        }
    }
}

impl Fields {
    /// Adds a field.
    ///
    /// # Errors
    /// `InvalidArgument` when it is there already, or there are too many.
    pub fn add(&mut self, name: &str, value: String) -> Result<(), OpError> {
        let name = name.to_ascii_lowercase();
        if self.get(&name).is_some() {
            return Err(OpError::invalid_argument(format!(
                "The form field {name} must not be there more than once."
            )));
        }
        if self.0.len() == FIELDS_MAX {
            return Err(OpError::invalid_argument("The form has too many fields."));
        }
        self.0.push((name, value));
        Ok(())
    }

    /// A field's value; the name in lower case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The fields' names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Says which bucket the form was sent to, and puts the file's name where the key asks for it. Policies are held against what
    /// this makes of the form.
    ///
    /// # Errors
    /// `InvalidArgument` without a key, `AccessDenied` when a field names another bucket.
    pub fn bind(&mut self, bucket: &str, filename: &str) -> Result<(), OpError> {
        match self.get("bucket") {
            Some(named) if named != bucket => {
                return Err(OpError::access_denied(
                    "Invalid according to Policy: the field bucket names another bucket.",
                ));
            }
            Some(_) => {}
            None => self.0.push(("bucket".to_owned(), bucket.to_owned())),
        }
        let Some((_, key)) = self.0.iter_mut().find(|(name, _)| name == "key") else {
            return Err(OpError::invalid_argument(
                "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.",
            ));
        };
        *key = key.replace(FILENAME, base_name(filename));
        Ok(())
    }

    /// What the form says of the object as headers of a PUT would.
    ///
    /// # Errors
    /// `InvalidArgument` for text that no header can hold, `NotImplemented` for an `x-amz-` field that Lethe does not know.
    pub fn headers(&self) -> Result<HeaderMap, OpError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.0 {
            let header = match HEADERS.iter().find(|(field, _)| field == name) {
                Some((_, header)) => header,
                None if AMZ_HEADERS.contains(&name.as_str()) => name.as_str(),
                None if name.starts_with("x-amz-grant-") => name.as_str(),
                None if self.is_known_otherwise(name) => continue,
                None => {
                    return Err(OpError::not_implemented(format!(
                        "The form field {name} is not supported."
                    )));
                }
            };
            let invalid = |_| {
                OpError::invalid_argument(format!("The form field {name} is no header's value."))
            };
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(invalid)?;
            let header = HeaderName::try_from(header).map_err(|_| {
                OpError::invalid_argument(format!("The form field {name} is no header's name."))
            })?;
            headers.insert(header, value);
        }
        customer_keys::mark_sensitive(&mut headers);
        Ok(headers)
    }

    fn is_known_otherwise(&self, name: &str) -> bool {
        !name.starts_with("x-amz-") || name.starts_with(META) || SIGNATURE.contains(&name)
    }

    /// The user's metadata.
    ///
    /// # Errors
    /// `InvalidArgument` for what could not be answered in headers.
    pub fn metadata(&self) -> Result<UserMetadata, OpError> {
        let mut user = UserMetadata::new();
        for (field, value) in &self.0 {
            let Some(name) = field.strip_prefix(META) else {
                continue;
            };
            let is_header = !name.is_empty()
                && HeaderName::try_from(field.as_str()).is_ok()
                && HeaderValue::from_bytes(value.as_bytes()).is_ok();
            if !is_header {
                return Err(OpError::invalid_argument(format!(
                    "The form field {field} can't be a header."
                )));
            }
            user.insert(name.to_owned(), value.clone());
        }
        Ok(user)
    }

    /// The tags of the form's `tagging`, a document as PutObjectTagging takes it.
    ///
    /// # Errors
    /// `MalformedXML`.
    pub fn tags(&self) -> Result<Vec<(String, String)>, OpError> {
        match self.get("tagging") {
            None => Ok(Vec::new()),
            Some(text) => super::tagging::parse(text).ok_or_else(|| {
                OpError::new(
                    Code::MalformedXML,
                    "The XML you provided was not well-formed or did not validate against our published schema: the field \
                     tagging takes a Tagging document.",
                )
            }),
        }
    }
}

/// What follows the last slash or backslash of a path.
fn base_name(filename: &str) -> &str {
    filename.rsplit(['/', '\\']).next().unwrap_or(filename)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in pairs {
            fields.add(name, (*value).to_owned()).unwrap();
        }
        fields
    }

    #[test]
    fn key_takes_the_files_name_without_its_path() {
        for (key, filename, expected) in [
            ("a", "f", "a"),
            ("a/${filename}", "f.txt", "a/f.txt"),
            ("${filename}-${filename}", "C:\\dir\\f", "f-f"),
            ("a/${filename}", "../../f", "a/f"),
            ("${filename}", "${filename}", "${filename}"),
            ("a${filename}", "", "a"),
        ] {
            let mut fields = of(&[("Key", key)]);
            fields.bind("docs", filename).unwrap();
            assert_eq!(fields.get("key"), Some(expected), "{key} {filename}");
            assert_eq!(fields.get("bucket"), Some("docs"));
        }
        let refused = of(&[("acl", "private")]).bind("docs", "f").unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }

    #[test]
    fn customer_key_does_not_print() {
        let fields = of(&[("x-amz-server-side-encryption-customer-key", "c2VjcmV0")]);
        let headers = fields.headers().unwrap();
        assert_eq!(headers.len(), 1);
        for printed in [format!("{fields:?}"), format!("{headers:?}")] {
            assert!(printed.contains("customer-key") && !printed.contains("c2VjcmV0"));
        }
    }

    #[test]
    fn field_there_twice_in_any_case_is_refused() {
        let mut fields = of(&[("Key", "a")]);
        assert!(fields.add("kEY", "b".to_owned()).is_err());
        for number in 1..FIELDS_MAX {
            fields
                .add(&format!("x-ignore-{number}"), String::new())
                .unwrap();
        }
        assert!(fields.add("x-ignore-0", String::new()).is_err());
    }

    #[test]
    fn fields_become_the_headers_of_a_put_or_are_refused() {
        let fields = of(&[
            ("key", "a"),
            ("Content-Type", "text/plain"),
            ("acl", "private"),
            ("x-amz-checksum-crc32", "AAAAAA=="),
            ("x-amz-meta-a", "ü"),
            ("x-amz-credential", "c"),
            ("success_action_status", "201"),
            ("submit", "Upload"),
        ]);
        let headers = fields.headers().unwrap();
        assert_eq!(headers.len(), 3, "{headers:?}");
        assert_eq!(headers["content-type"], "text/plain");
        assert_eq!(headers["x-amz-acl"], "private");
        assert_eq!(headers["x-amz-checksum-crc32"], "AAAAAA==");
        let metadata = fields.metadata().unwrap();
        assert_eq!(metadata, UserMetadata::from([("a".into(), "ü".into())]));
        for name in [
            "x-amz-copy-source",
            "x-amz-bypass-governance-retention",
            "x-amz-object-lock-of-tomorrow",
            "x-amz-copy-source-server-side-encryption-customer-key",
            "x-amz-of-tomorrow",
        ] {
            let refused = of(&[(name, "x")]).headers().unwrap_err();
            assert_eq!(refused.code(), Code::NotImplemented, "{name}");
        }
        assert!(of(&[("content-type", "a\nb")]).headers().is_err());
        for (name, value) in [
            ("x-amz-meta-", "a"),
            ("x-amz-meta-a b", "c"),
            ("x-amz-meta-a", "b\r\nc"),
        ] {
            assert!(of(&[(name, value)]).metadata().is_err(), "{name}");
        }
    }
}
