//! Folding in the gateway against the embedded store's own, page by page.

use super::client::Client;
use crate::ops::folding::{self, Bounds};
use crate::ops::testing::Testbed;
use crate::region::{ListRequest, Listing};

const KEYS: [&str; 9] = [
    "a-1", "a-2/x", "a-2/y", "b", "c-", "c-1", "d/e-f", "d/e-g", "e",
];

/// All pages, as entries and as prefixes; no page may have more than was asked for.
async fn all(
    client: &Client<'_>,
    request: &ListRequest,
    bounds: Option<Bounds>,
) -> (Vec<String>, Vec<String>) {
    let (mut keys, mut prefixes) = (Vec::new(), Vec::new());
    let mut request = request.clone();
    let (scope, delimiter) = (&client.scope, request.delimiter.clone().unwrap());
    for _ in 0..100 {
        let page: Listing = match bounds {
            Some(bounds) => folding::objects(scope, &request, &delimiter, bounds)
                .await
                .unwrap(),
            None => {
                let upstream = &scope.bucket.upstream;
                let listed = scope.region.store.list(scope.tenant, upstream, &request);
                listed.await.unwrap()
            }
        };
        assert!(page.objects.len() + page.common_prefixes.len() <= request.keys_max);
        keys.extend(page.objects.into_iter().map(|object| object.key));
        prefixes.extend(page.common_prefixes);
        match page.next_start_after {
            None => return (keys, prefixes),
            next => request.start_after = next,
        }
    }
    panic!("the listing does not end");
}

#[tokio::test]
async fn folding_in_the_gateway_gives_what_a_store_that_folds_gives() {
    let bed = Testbed::new().await;
    let client = Client::acme(&bed).await;
    for key in KEYS {
        client.put(key, b"x").await.unwrap();
    }
    for (prefix, delimiter) in [
        ("", "-"),
        ("", "e"),
        ("a-", "/"),
        ("d", "e-"),
        ("", "none"),
        ("z", "-"),
    ] {
        for keys_max in 1..=10 {
            let request = ListRequest {
                prefix: prefix.into(),
                delimiter: Some(delimiter.into()),
                start_after: None,
                keys_max,
            };
            let expected = all(&client, &request, None).await;
            for (page_max, pages_max) in [(1, 1), (2, 1), (2, 3), (1000, 20)] {
                let bounds = Bounds {
                    page_max,
                    pages_max,
                };
                let folded = all(&client, &request, Some(bounds)).await;
                assert_eq!(
                    folded, expected,
                    "{prefix} {delimiter} {keys_max} {page_max}"
                );
            }
        }
    }
}
