use super::*;
use crate::ops::error::Code;

/// A document, read as s3s does.
fn read(rules: &str) -> Result<Vec<LifecycleRule>, Code> {
    let text = format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>");
    crate::edge::fuzzing::lifecycle(text.as_bytes())
}

fn rule(inner: &str) -> String {
    format!("<Rule><Status>Enabled</Status>{inner}</Rule>")
}

const DAYS: &str = "<Expiration><Days>1</Days></Expiration>";

fn one(inner: &str) -> Result<LifecycleRule, Code> {
    read(&rule(inner)).map(|mut rules| rules.remove(0))
}

#[test]
fn filter_of_every_form_is_read_as_that_form() {
    let tag = |name: &str| (name.to_owned(), "v".to_owned());
    let all = AllOf {
        prefix: Some("p".to_owned()),
        tags: vec![tag("b"), tag("a")],
        larger_than: Some(1),
        smaller_than: Some(3),
    };
    for (text, filter) in [
        (
            "<Prefix>a&amp;</Prefix>",
            RuleFilter::RulePrefix("a&".to_owned()),
        ),
        ("<Filter/>", RuleFilter::All),
        (
            "<Filter><Prefix/></Filter>",
            RuleFilter::Prefix(String::new()),
        ),
        (
            "<Filter><Tag><Key>a</Key><Value>v</Value></Tag></Filter>",
            RuleFilter::Tag("a".to_owned(), "v".to_owned()),
        ),
        (
            "<Filter><ObjectSizeGreaterThan>0</ObjectSizeGreaterThan></Filter>",
            RuleFilter::LargerThan(0),
        ),
        (
            "<Filter><ObjectSizeLessThan>5</ObjectSizeLessThan></Filter>",
            RuleFilter::SmallerThan(5),
        ),
        (
            "<Filter><And><Prefix>p</Prefix><Tag><Key>b</Key><Value>v</Value></Tag><Tag><Key>a</Key><Value>v</Value></Tag>\
             <ObjectSizeGreaterThan>1</ObjectSizeGreaterThan><ObjectSizeLessThan>3</ObjectSizeLessThan></And></Filter>",
            RuleFilter::And(all),
        ),
    ] {
        let read = one(&format!("<ID>i</ID>{text}{DAYS}")).unwrap();
        assert_eq!(read.filter, filter);
        // And goes back as it came.
        assert_eq!(of_dto(to_dto(read.clone())).unwrap(), read);
    }
}

#[test]
fn rule_of_every_action_goes_back_as_it_came() {
    let filter = "<ID>i</ID><Filter/>";
    for action in [
        DAYS,
        "<Expiration><Date>2030-01-02T00:00:00Z</Date></Expiration>",
        "<Expiration><Date>2030-01-02T01:00:00+01:00</Date></Expiration>",
        "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
        "<NoncurrentVersionExpiration><NoncurrentDays>2147483647</NoncurrentDays></NoncurrentVersionExpiration>",
        "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>100</NewerNoncurrentVersions>\
         </NoncurrentVersionExpiration>",
        "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>",
    ] {
        let read = one(&format!("{filter}{action}")).unwrap();
        assert_eq!(of_dto(to_dto(read.clone())).unwrap(), read, "{action}");
    }
    let dated = one(&format!(
        "{filter}<Expiration><Date>2030-01-02T01:00:00+01:00</Date></Expiration>"
    ));
    let midnight = Expiration::Date(crate::clock::UnixMs(1_893_542_400_000));
    assert_eq!(dated.unwrap().expiration, Some(midnight));
}

#[test]
fn rule_without_a_name_gets_one_of_its_own() {
    let rules = read(&rule(&format!("<Filter/>{DAYS}")).repeat(2)).unwrap();
    assert_ne!(rules[0].id, rules[1].id);
    assert!(one(&format!("<ID>{}</ID><Filter/>{DAYS}", "ü".repeat(255))).is_ok());
}

#[test]
fn document_that_is_none_is_refused_with_s3s_codes() {
    use Code::{InvalidArgument, InvalidRequest, MalformedXML, NotImplemented};
    let filtered = |text: &str| format!("<Filter>{text}</Filter>{DAYS}");
    let acting = |text: &str| format!("<Filter/>{text}");
    let expiring = |text: &str| acting(&format!("<Expiration>{text}</Expiration>"));
    let noncurrent = |text: &str| {
        acting(&format!(
            "<NoncurrentVersionExpiration>{text}</NoncurrentVersionExpiration>"
        ))
    };
    let prefix = "<Prefix>a</Prefix>";
    let size = "<ObjectSizeLessThan>5</ObjectSizeLessThan>";
    for (inner, refused) in [
        (DAYS.to_owned(), MalformedXML),
        (format!("{prefix}<Filter/>{DAYS}"), MalformedXML),
        (filtered(&format!("{prefix}{size}")), MalformedXML),
        (
            filtered(&format!("<And>{prefix}</And>{prefix}")),
            MalformedXML,
        ),
        (filtered(&prefix.repeat(2)), MalformedXML),
        (filtered("<And/>"), MalformedXML),
        (filtered("<Tag><Key>a</Key></Tag>"), MalformedXML),
        (filtered("<Unknown/>"), MalformedXML),
        (
            filtered("<ObjectSizeLessThan>-1</ObjectSizeLessThan>"),
            InvalidRequest,
        ),
        (
            filtered("<ObjectSizeLessThan>99999999999999999999</ObjectSizeLessThan>"),
            MalformedXML,
        ),
        (
            filtered("<ObjectSizeLessThan>1e3</ObjectSizeLessThan>"),
            MalformedXML,
        ),
        (
            format!("<ID>{}</ID><Filter/>{DAYS}", "a".repeat(256)),
            InvalidArgument,
        ),
        (format!("<Filter/>{DAYS}{DAYS}"), MalformedXML),
        (
            format!("<Status>Enabled</Status><Filter/>{DAYS}"),
            MalformedXML,
        ),
        (format!("<Filter/>{DAYS}<Unknown/>"), MalformedXML),
        (expiring(""), MalformedXML),
        (expiring("<Days>0</Days>"), InvalidArgument),
        (expiring("<Days>-1</Days>"), InvalidArgument),
        (expiring("<Days>2147483648</Days>"), MalformedXML),
        (
            expiring("<Days>1</Days><Date>2030-01-02T00:00:00Z</Date>"),
            MalformedXML,
        ),
        (
            expiring("<Days>1</Days><ExpiredObjectDeleteMarker>false</ExpiredObjectDeleteMarker>"),
            MalformedXML,
        ),
        (expiring("<Date>tomorrow</Date>"), MalformedXML),
        (
            noncurrent("<NewerNoncurrentVersions>1</NewerNoncurrentVersions>"),
            MalformedXML,
        ),
        (
            noncurrent("<NoncurrentDays>0</NoncurrentDays>"),
            InvalidArgument,
        ),
        (
            noncurrent(
                "<NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>101</NewerNoncurrentVersions>",
            ),
            InvalidArgument,
        ),
        (acting("<AbortIncompleteMultipartUpload/>"), MalformedXML),
        (
            acting(
                "<AbortIncompleteMultipartUpload><DaysAfterInitiation>0</DaysAfterInitiation></AbortIncompleteMultipartUpload>",
            ),
            InvalidArgument,
        ),
        (
            acting("<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>"),
            NotImplemented,
        ),
        (
            acting(
                "<NoncurrentVersionTransition><NoncurrentDays>1</NoncurrentDays><StorageClass>GLACIER</StorageClass></NoncurrentVersionTransition>",
            ),
            NotImplemented,
        ),
    ] {
        assert_eq!(one(&inner).map(drop), Err(refused), "{inner}");
    }
    let no_status = format!("<Rule><Filter/>{DAYS}</Rule>");
    let odd_status = format!("<Rule><Status>enabled</Status><Filter/>{DAYS}</Rule>");
    for rules in [
        no_status.as_str(),
        &odd_status,
        "<Rule>",
        "<Other/>",
        "&billion;",
    ] {
        assert_eq!(read(rules).map(drop), Err(MalformedXML), "{rules}");
    }
}
