//! Documents that set something of a bucket: what s3s reads more into than they say. It takes the digits that a number begins with, so
//! that `1e9` is 1, and any namespace. A rule that deletes must not be read so.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// Subresources whose documents are looked at.
pub const SUBRESOURCES: [&str; 3] = ["cors", "lifecycle", "object-lock"];

/// Elements that hold a whole number.
const NUMBERS: [&str; 8] = [
    "Days",
    "DaysAfterInitiation",
    "MaxAgeSeconds",
    "NewerNoncurrentVersions",
    "NoncurrentDays",
    "ObjectSizeGreaterThan",
    "ObjectSizeLessThan",
    "Years",
];
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// Looks at a whole document. What is no XML is left to s3s, which refuses it.
///
/// # Errors
/// What is wrong with it.
pub fn check(document: &[u8]) -> Result<(), &'static str> {
    let Ok(text) = std::str::from_utf8(document) else {
        return Ok(());
    };
    let mut reader = Reader::from_str(text);
    let mut number: Option<String> = None;
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) => {
                check_namespace(&start)?;
                number = is_number(start.local_name().as_ref()).then(String::new);
            }
            Ok(Event::Empty(empty)) => check_namespace(&empty)?,
            Ok(Event::Text(text)) => {
                if let Some(digits) = &mut number {
                    digits.push_str(text.as_ref());
                }
            }
            // Digits written as references are none that anybody means.
            Ok(Event::GeneralRef(_)) if number.is_some() => return Err("a number is none"),
            Ok(Event::End(_)) => {
                if let Some(digits) = number.take() {
                    check_number(&digits)?;
                }
            }
            Ok(Event::DocType(_)) => return Err("it has a document type"),
            Ok(Event::Eof) | Err(_) => return Ok(()),
            Ok(_) => {}
        }
    }
}

fn is_number(name: &str) -> bool {
    NUMBERS.contains(&name)
}

fn check_namespace(element: &BytesStart<'_>) -> Result<(), &'static str> {
    let mut attributes = element.attributes().flatten();
    let foreign = attributes
        .any(|attribute| attribute.key.as_ref() == "xmlns" && *attribute.value != *NAMESPACE);
    match foreign {
        false => Ok(()),
        true => Err("it is of another namespace"),
    }
}

fn check_number(text: &str) -> Result<(), &'static str> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    match !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(()),
        false => Err("a number is none"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_with_whole_numbers_of_s3s_namespace_passes() {
        for good in [
            "<L xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Days>1</Days><Days>-20</Days></L>",
            "<L><Prefix>1e3</Prefix>\n <Rule><Years>0</Years></Rule></L>",
            "<L><Days>1</L>",
            "no document",
        ] {
            assert_eq!(check(good.as_bytes()), Ok(()), "{good}");
        }
    }

    #[test]
    fn document_that_would_be_read_as_another_is_refused() {
        for bad in [
            "<Days>1e3</Days>",
            "<Days>1.5</Days>",
            "<Days>9 days</Days>",
            "<Days> 9</Days>",
            "<Days>--9</Days>",
            "<Days>&#49;</Days>",
            "<Days></Days>",
            "<ObjectSizeLessThan>1<!-- -->k</ObjectSizeLessThan>",
            "<L xmlns=\"urn:other\"/>",
            "<L><Rule xmlns=\"\"/></L>",
            "<!DOCTYPE l><L/>",
        ] {
            assert!(check(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
