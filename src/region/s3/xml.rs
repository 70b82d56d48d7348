//! The few XML answers that the SDK can't give as the store sent them: errors of lean calls, and listings of versions
//! (the SDK sorts versions and delete markers apart, which loses the store's order).

use super::errors::plain_code;
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

/// An XML answer that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("unreadable XML: {0}")]
pub(super) struct XmlError(pub(super) String);

/// One element's end, as [`walk`] reports it: its path without the root, and its text.
pub(super) struct Element<'a> {
    pub(super) path: &'a [String],
    pub(super) text: &'a str,
}

const DEPTH_MAX: usize = 16;

/// Calls `each` at every element's end, children first, and returns the root's name.
pub(super) fn walk(
    body: &[u8],
    mut each: impl FnMut(Element<'_>) -> Result<(), XmlError>,
) -> Result<String, XmlError> {
    let text = std::str::from_utf8(body).map_err(|_| XmlError("not UTF-8".to_owned()))?;
    let mut reader = Reader::from_str(text);
    let mut root = None;
    let mut path: Vec<String> = Vec::new();
    let mut texts: Vec<String> = Vec::new();
    let wrong = |what: &str| XmlError(what.to_owned());
    loop {
        match reader.read_event().map_err(|e| XmlError(e.to_string()))? {
            Event::Start(start) => {
                if path.len() >= DEPTH_MAX {
                    return Err(wrong("too deep"));
                }
                path.push(local(start.local_name().as_ref()));
                texts.push(String::new());
            }
            Event::Empty(empty) => {
                path.push(local(empty.local_name().as_ref()));
                each(Element {
                    path: path.get(1..).unwrap_or_default(),
                    text: "",
                })?;
                path.pop();
            }
            Event::Text(part) => {
                if let Some(text) = texts.last_mut() {
                    text.push_str(&part.xml10_content());
                }
            }
            Event::CData(part) => {
                if let Some(text) = texts.last_mut() {
                    text.push_str(&part.xml10_content());
                }
            }
            Event::GeneralRef(entity) => {
                let Some(text) = texts.last_mut() else {
                    return Err(wrong("entity outside of the root"));
                };
                match entity
                    .resolve_char_ref()
                    .map_err(|e| XmlError(e.to_string()))?
                {
                    Some(character) => text.push(character),
                    None => {
                        let name = entity.xml10_content();
                        let known = resolve_predefined_entity(&name);
                        text.push_str(known.ok_or_else(|| wrong("unknown entity"))?);
                    }
                }
            }
            Event::End(_) => {
                let text = texts.pop().unwrap_or_default();
                each(Element {
                    path: path.get(1..).unwrap_or_default(),
                    text: &text,
                })?;
                let name = path.pop();
                if path.is_empty() {
                    root = name;
                }
            }
            Event::Eof => break,
            Event::DocType(_) => return Err(wrong("document type")),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    if !path.is_empty() {
        return Err(wrong("ends early"));
    }
    root.ok_or_else(|| wrong("empty"))
}

fn local(name: impl AsRef<[u8]>) -> String {
    String::from_utf8_lossy(name.as_ref()).into_owned()
}

/// What an S3 error text says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ErrorText {
    pub(super) code: Option<String>,
    pub(super) stored_bytes: Option<u64>,
}

/// Reads an S3 error text; anything else says nothing.
pub(super) fn error(body: &[u8]) -> ErrorText {
    let mut found = ErrorText::default();
    let read = walk(body, |element| {
        match element.path {
            [name] if name == "Code" => found.code = Some(plain_code(element.text)),
            [name] if name == "ActualObjectSize" => found.stored_bytes = element.text.parse().ok(),
            _ => {}
        }
        Ok(())
    });
    match read {
        Ok(root) if root == "Error" => found,
        _ => ErrorText::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_of_s3_code_found() {
        let body = b"<?xml version=\"1.0\"?><Error xmlns=\"x\"><Code>Slow&#68;own</Code><Message>a &amp; b</Message><ActualObjectSize>7</ActualObjectSize></Error>";
        let found = error(body);
        assert_eq!(found.code.as_deref(), Some("SlowDown"));
        assert_eq!(found.stored_bytes, Some(7));
    }

    #[test]
    fn error_of_garbage_says_nothing() {
        for body in [
            &b""[..],
            b"<html><Code>No</Code></html>",
            b"<Error><Code>No</Code>",
            b"\xff\xfe<Error/>",
            b"<!DOCTYPE x [<!ENTITY a \"b\">]><Error><Code>&a;</Code></Error>",
            b"<Error><Code>&a;</Code></Error>",
        ] {
            assert_eq!(error(body), ErrorText::default());
        }
    }

    #[test]
    fn walk_deep_nesting_refused() {
        let body = "<a>".repeat(1000);
        assert!(walk(body.as_bytes(), |_| Ok(())).is_err());
    }
}
