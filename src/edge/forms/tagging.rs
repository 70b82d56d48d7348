//! The field `tagging`: the document of PutObjectTagging.

use s3s::dto;
use s3s::xml::{Deserialize as _, Deserializer};

/// Reads it; `None` when it is none. CDATA is refused, since the reader drops it.
pub(super) fn parse(text: &str) -> Option<Vec<(String, String)>> {
    if text.contains("<![CDATA[") {
        return None;
    }
    let mut reader = Deserializer::new(text.as_bytes());
    let tagging = dto::Tagging::deserialize(&mut reader).ok()?;
    reader.expect_eof().ok()?;
    let tags = tagging.tag_set.into_iter();
    tags.map(|tag| Some((tag.key?, tag.value?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tagging_documents_are_read_and_others_refused() {
        let tag = "<Tag><Key>a</Key><Value>b &amp; c</Value></Tag>";
        let parsed = parse(&format!("<Tagging><TagSet>{tag}</TagSet></Tagging>"));
        assert_eq!(parsed, Some(vec![("a".to_owned(), "b & c".to_owned())]));
        assert_eq!(
            parse("<Tagging><TagSet></TagSet></Tagging>"),
            Some(Vec::new())
        );
        for bad in [
            "",
            "a=b",
            "<Tagging>",
            "<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>",
            "<Tagging><TagSet><Tag><Key><![CDATA[a]]></Key><Value>b</Value></Tag></TagSet></Tagging>",
            "<Tagging><TagSet></TagSet></Tagging><Tagging/>",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
