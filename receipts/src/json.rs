//! Strict JSON in, RFC 8785 JSON out (`docs/receipts.md` §1).
//!
//! A receipt is read by several programs in several languages, and all must see the same thing in it. So whatever
//! JSON readers are known to differ about is refused: duplicate keys, numbers that are not integers from 0 to
//! 2^53-1, lone surrogates, deep nesting.

use std::fmt::Write as _;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Largest integer that every JSON reader keeps exactly: 2^53-1.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;
/// Largest file or payload, in bytes.
pub const FILE_BYTES_MAX: usize = 16 << 20;
/// Most lists and objects inside each other.
pub const NESTING_MAX: usize = 16;

/// Why a text is not the JSON that receipts are made of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The text breaks a rule of strict JSON at a byte offset.
    #[error("read JSON: {what} at byte {at}")]
    Syntax {
        /// What is wrong.
        what: &'static str,
        /// Offset in bytes.
        at: usize,
    },
    /// The JSON is well-formed and is not the expected document.
    #[error("read JSON: {0}")]
    Shape(String),
    /// A value has no strict JSON form.
    #[error("write JSON: {0}")]
    Unwritable(String),
}

/// A strict JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer from 0 to [`INTEGER_MAX`].
    Integer(u64),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// An object; no name occurs twice. The order is the text's.
    Object(Vec<(String, Value)>),
}

impl Value {
    /// Reads one strict JSON value that is the whole text.
    ///
    /// # Errors
    /// [`JsonError::Syntax`] with the first byte that breaks a rule.
    pub fn parse(text: &[u8]) -> Result<Self, JsonError> {
        if text.len() > FILE_BYTES_MAX {
            return Err(JsonError::Syntax {
                what: "more than 16 MiB",
                at: FILE_BYTES_MAX,
            });
        }
        let text = std::str::from_utf8(text).map_err(|error| JsonError::Syntax {
            what: "bytes that are not UTF-8",
            at: error.valid_up_to(),
        })?;
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0)?;
        reader.skip_space();
        if reader.at < text.len() {
            return Err(reader.wrong("something behind the value"));
        }
        Ok(value)
    }

    /// The RFC 8785 form.
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut out = String::new();
        self.write_canonical(&mut out);
        out
    }

    fn write_canonical(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Integer(integer) => {
                // Writing to a String cannot fail.
                let _ = write!(out, "{integer}");
            }
            Self::Text(text) => write_text(text, out),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write_canonical(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                let mut sorted: Vec<_> = members.iter().collect();
                // RFC 8785 §3.2.3: by UTF-16 code units, which is not the order of UTF-8.
                sorted
                    .sort_by(|(left, _), (right, _)| left.encode_utf16().cmp(right.encode_utf16()));
                out.push('{');
                for (index, (name, value)) in sorted.into_iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_text(name, out);
                    out.push(':');
                    value.write_canonical(out);
                }
                out.push('}');
            }
        }
    }

    fn from_serde(value: serde_json::Value) -> Result<Self, JsonError> {
        Ok(match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(bool) => Self::Bool(bool),
            serde_json::Value::Number(number) => match number.as_u64() {
                Some(integer) if integer <= INTEGER_MAX => Self::Integer(integer),
                _ => {
                    let what = format!("{number} is not an integer from 0 to 2^53-1");
                    return Err(JsonError::Unwritable(what));
                }
            },
            serde_json::Value::String(text) => Self::Text(text),
            serde_json::Value::Array(items) => Self::List(
                items
                    .into_iter()
                    .map(Self::from_serde)
                    .collect::<Result<_, _>>()?,
            ),
            serde_json::Value::Object(members) => Self::Object(
                members
                    .into_iter()
                    .map(|(name, value)| Ok((name, Self::from_serde(value)?)))
                    .collect::<Result<_, _>>()?,
            ),
        })
    }
}

/// The RFC 8785 form of a document.
///
/// # Errors
/// [`JsonError::Unwritable`] for an integer past 2^53-1.
pub fn to_canonical<T: Serialize>(document: &T) -> Result<String, JsonError> {
    let value =
        serde_json::to_value(document).map_err(|error| JsonError::Unwritable(error.to_string()))?;
    Ok(Value::from_serde(value)?.canonical())
}

/// Reads a document whose text holds exactly its fields: none twice, missing or unknown, in any order and white space.
///
/// # Errors
/// [`JsonError::Syntax`] or [`JsonError::Shape`].
pub fn from_strict<T: Serialize + DeserializeOwned>(text: &[u8]) -> Result<T, JsonError> {
    let value = Value::parse(text)?;
    let document: T =
        serde_json::from_slice(text).map_err(|error| JsonError::Shape(error.to_string()))?;
    // serde fills in missing optional fields and takes lists for objects. What it read must be what is there.
    let read = to_canonical(&document)?;
    if read != value.canonical() {
        let what = "a field is missing or has another form than the format's";
        return Err(JsonError::Shape(what.to_owned()));
    }
    Ok(document)
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn wrong(&self, what: &'static str) -> JsonError {
        JsonError::Syntax { what, at: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.skip_space();
        match self.peek() {
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.list(depth + 1),
            Some(b'"') => self.text().map(Value::Text),
            Some(b'0'..=b'9') => self.integer(),
            Some(b'-') => Err(self.wrong("a negative number")),
            Some(b'n') => self.word("null", Value::Null),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(_) => Err(self.wrong("no value")),
            None => Err(self.wrong("the end")),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, JsonError> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(value);
        }
        Err(self.wrong("no value"))
    }

    fn integer(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        let mut integer: u64 = 0;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            integer = integer * 10 + u64::from(digit - b'0');
            if integer > INTEGER_MAX {
                return Err(self.wrong("a number past 2^53-1"));
            }
            if self.at > start && self.text.as_bytes()[start] == b'0' {
                return Err(self.wrong("a number with a leading zero"));
            }
            self.at += 1;
        }
        if matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            return Err(self.wrong("a number that is not written as an integer"));
        }
        Ok(Value::Integer(integer))
    }

    fn list(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.enter(depth)?;
        let mut items = Vec::new();
        if self.take(b']') {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.skip_space();
            if self.take(b']') {
                return Ok(Value::List(items));
            }
            if !self.take(b',') {
                return Err(self.wrong("no comma or end of the list"));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.enter(depth)?;
        let mut members = Vec::new();
        let mut names = std::collections::HashSet::new();
        if self.take(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(self.wrong("no name"));
            }
            let name = self.text()?;
            if !names.insert(name.clone()) {
                return Err(self.wrong("a name that was there before"));
            }
            self.skip_space();
            if !self.take(b':') {
                return Err(self.wrong("no colon"));
            }
            members.push((name, self.value(depth)?));
            self.skip_space();
            if self.take(b'}') {
                return Ok(Value::Object(members));
            }
            if !self.take(b',') {
                return Err(self.wrong("no comma or end of the object"));
            }
        }
    }

    /// Steps over an opening bracket and the space behind it.
    fn enter(&mut self, depth: usize) -> Result<(), JsonError> {
        if depth > NESTING_MAX {
            return Err(self.wrong("more than 16 lists and objects inside each other"));
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    fn text(&mut self) -> Result<String, JsonError> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(length) =
                rest.find(|character| matches!(character, '"' | '\\') || character < ' ')
            else {
                self.at = self.text.len();
                return Err(self.wrong("a string without an end"));
            };
            out.push_str(&rest[..length]);
            self.at += length;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                _ => return Err(self.wrong("a control character in a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        self.at += 1;
        let escaped = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.escaped_unit();
            }
            _ => return Err(self.wrong("an unknown escape")),
        };
        self.at += 1;
        Ok(escaped)
    }

    fn escaped_unit(&mut self) -> Result<char, JsonError> {
        let first = self.four_digits()?;
        if let Some(character) = char::from_u32(first) {
            return Ok(character);
        }
        // A surrogate: only the high one of a pair may come first.
        if first < 0xDC00 && self.take(b'\\') && self.take(b'u') {
            let second = self.four_digits()?;
            if (0xDC00..0xE000).contains(&second) {
                let scalar = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                if let Some(character) = char::from_u32(scalar) {
                    return Ok(character);
                }
            }
        }
        Err(self.wrong("half a surrogate pair"))
    }

    fn four_digits(&mut self) -> Result<u32, JsonError> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else {
                return Err(self.wrong("no hexadecimal digit in an escape"));
            };
            unit = unit * 16 + digit;
            self.at += 1;
        }
        Ok(unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Document {
        number: u64,
        text: Option<String>,
    }

    #[test]
    fn text_that_readers_differ_about_is_refused() {
        for (text, what) in [
            (r#"{"a":1,"a":1}"#, "a name that was there before"),
            (r#"{"a":1,"\u0061":2}"#, "a name that was there before"),
            ("1.0", "a number that is not written as an integer"),
            ("1e2", "a number that is not written as an integer"),
            ("-1", "a negative number"),
            ("-0", "a negative number"),
            ("007", "a number with a leading zero"),
            ("9007199254740992", "a number past 2^53-1"),
            ("99999999999999999999999999", "a number past 2^53-1"),
            ("[1,]", "no value"),
            ("[1 2]", "no comma or end of the list"),
            ("{1:2}", "no name"),
            ("{\"a\" 2}", "no colon"),
            ("\u{feff}{}", "no value"),
            ("{}{}", "something behind the value"),
            ("nul", "no value"),
            ("\"\t\"", "a control character in a string"),
            (r#""\ud800""#, "half a surrogate pair"),
            (r#""\ud800\u0041""#, "half a surrogate pair"),
            (r#""\udc00""#, "half a surrogate pair"),
            (r#""\x41""#, "an unknown escape"),
            (r#""\u00g0""#, "no hexadecimal digit in an escape"),
            ("\"open", "a string without an end"),
            ("\"open\\", "an unknown escape"),
            ("", "the end"),
            ("// comment", "no value"),
        ] {
            match Value::parse(text.as_bytes()) {
                Err(JsonError::Syntax { what: found, .. }) => assert_eq!(found, what, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        assert!(Value::parse(b"\"\xff\"").is_err());
        assert!(
            Value::parse(b"\"\xed\xa0\x80\"").is_err(),
            "a surrogate as UTF-8"
        );
    }

    #[test]
    fn nesting_of_sixteen_is_read_and_of_seventeen_refused() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(Value::parse(nested(NESTING_MAX).as_bytes()).is_ok());
        assert!(Value::parse(nested(NESTING_MAX + 1).as_bytes()).is_err());
        assert!(Value::parse(nested(100_000).as_bytes()).is_err());
    }

    #[test]
    fn document_with_other_fields_than_its_own_is_refused() {
        let read = |text: &str| from_strict::<Document>(text.as_bytes());
        let document = Document {
            number: INTEGER_MAX,
            text: None,
        };
        assert_eq!(
            read(" {\"text\":null , \"number\":9007199254740991}\n"),
            Ok(document)
        );
        assert!(
            read(r#"{"number":1}"#).is_err(),
            "a missing field is not null"
        );
        assert!(read(r#"{"number":1,"text":null,"more":1}"#).is_err());
        assert!(read("[1,null]").is_err(), "a list is no object");
        assert!(
            to_canonical(&Document {
                number: INTEGER_MAX + 1,
                text: None
            })
            .is_err()
        );
    }

    #[test]
    fn names_are_sorted_by_utf16() {
        // The example of RFC 8785 §3.2.3: U+FB33 is after U+1F600 in UTF-16 and before it in UTF-8.
        let text = "{\"\u{fb33}\":1,\"\u{1f600}\":2,\"\u{20ac}\":3,\"\\r\":4,\"1\":5,\"\u{80}\":6,\"\u{f6}\":7}";
        let canonical = "{\"\\r\":4,\"1\":5,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":3,\"\u{1f600}\":2,\"\u{fb33}\":1}";
        assert_eq!(
            Value::parse(text.as_bytes()).unwrap().canonical(),
            canonical
        );
    }

    fn any_value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            (0..=INTEGER_MAX).prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
                proptest::collection::btree_map(any::<String>(), inner, 0..8)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn canonical_form_is_that_of_another_implementation(value in any_value()) {
            let other = serde_json_canonicalizer::to_string(&value).unwrap();
            prop_assert_eq!(to_canonical(&value).unwrap(), other.clone());
            let parsed = Value::parse(value.to_string().as_bytes()).unwrap();
            prop_assert_eq!(parsed.canonical(), other);
        }
    }
}
