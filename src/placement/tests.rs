use super::*;

fn region(name: &str) -> RegionName {
    name.parse().unwrap()
}

fn domain(name: &str) -> DomainName {
    name.parse().unwrap()
}

/// An EU gateway that serves two of the EU's three regions and knows of the US.
fn map() -> Map {
    let mut map = Map::default();
    for (name, of, pair, served) in [
        ("eu-central-1", "eu", Some("eu-west-3"), true),
        ("eu-west-3", "eu", None, true),
        ("eu-north-1", "eu", Some("eu-west-3"), false),
        ("us-east-1", "us", None, false),
    ] {
        let entry = MapRegion {
            domain: domain(of),
            pair: pair.map(region),
            served,
        };
        map.regions.insert(region(name), entry);
    }
    for name in ["eu", "us"] {
        let public_endpoint = format!("https://s3.{name}.example.com");
        map.domains
            .insert(domain(name), MapDomain { public_endpoint });
    }
    map
}

fn elsewhere(name: &str, of: &str) -> Refusal {
    Refusal::Elsewhere(Redirect {
        region: Some(region(name)),
        domain: domain(of),
        public_endpoint: format!("https://s3.{of}.example.com"),
    })
}

#[test]
fn serving_every_region_serves_or_says_where() {
    let table = [
        ("eu-central-1", Ok("eu-central-1")),
        ("eu-west-3", Ok("eu-west-3")),
        ("eu-north-1", Err(elsewhere("eu-north-1", "eu"))),
        ("us-east-1", Err(elsewhere("us-east-1", "us"))),
        (
            "ap-east-1",
            Err(Refusal::RegionUnknown(region("ap-east-1"))),
        ),
    ];
    for (asked, expected) in table {
        let expected = expected.map(region);
        assert_eq!(map().serving(&region(asked)).cloned(), expected, "{asked}");
    }
}

#[test]
fn new_bucket_constraint_stays_with_the_tenant() {
    let outside = |name| Refusal::OutsideDomain {
        region: region(name),
    };
    let table = [
        ("eu-central-1", None, Ok("eu-central-1")),
        ("eu-central-1", Some("eu-central-1"), Ok("eu-central-1")),
        ("eu-central-1", Some("eu-west-3"), Ok("eu-west-3")),
        ("eu-central-1", Some("us-east-1"), Err(outside("us-east-1"))),
        (
            "eu-central-1",
            Some("eu-north-1"),
            Err(Refusal::NotTheTenants {
                region: region("eu-north-1"),
                home: region("eu-central-1"),
            }),
        ),
        // A pair points one way: a tenant of the replica's region does not spill into the other.
        (
            "eu-west-3",
            Some("eu-central-1"),
            Err(Refusal::NotTheTenants {
                region: region("eu-central-1"),
                home: region("eu-west-3"),
            }),
        ),
        ("us-east-1", None, Err(elsewhere("us-east-1", "us"))),
        (
            "us-east-1",
            Some("eu-central-1"),
            Err(outside("eu-central-1")),
        ),
        (
            "eu-central-1",
            Some("ap-east-1"),
            Err(Refusal::RegionUnknown(region("ap-east-1"))),
        ),
    ];
    for (home, constraint, expected) in table {
        let (home, constraint) = (region(home), constraint.map(region));
        let placed = map().for_new_bucket(&home, constraint.as_ref()).cloned();
        assert_eq!(placed, expected.map(region), "{home} {constraint:?}");
    }
}

#[test]
fn stranger_of_a_known_domain_gets_its_endpoint() {
    let redirect = map().stranger(&domain("us")).unwrap();
    assert_eq!(redirect.public_endpoint, "https://s3.us.example.com");
    assert_eq!(map().stranger(&domain("ap")), None);
}

#[test]
fn upstream_bucket_name_keeps_every_bit() {
    let zeros = upstream_bucket_name("lethe", [0; 16]);
    assert_eq!(zeros.as_str(), format!("lethe-{}", "a".repeat(26)));
    let ones = upstream_bucket_name("lethe", [0xff; 16]);
    assert_eq!(ones.as_str(), format!("lethe-h{}", "7".repeat(25)));
    let names: std::collections::BTreeSet<String> = (0..128_u32)
        .map(|bit| (1_u128 << bit).to_be_bytes())
        .map(|bytes| upstream_bucket_name("lethe", bytes).as_str().to_owned())
        .collect();
    assert_eq!(names.len(), 128);
}

#[test]
fn upstream_bucket_name_longest_prefix_fits_s3() {
    let name = upstream_bucket_name(&"p".repeat(PREFIX_BYTES_MAX), [7; 16]);
    assert_eq!(name.as_str().len(), 63);
}
