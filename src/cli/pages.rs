//! Listings that the admin API answers in pages, read to their end.

use super::client::{Client, encoded};
use super::error::CommandError;
use crate::admin::{PAGE_ROWS_MAX, TenantView, TerminationBody};
use serde::de::DeserializeOwned;

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// Of one domain only.
    pub(super) domain: Option<String>,
    /// Only what comes behind this in each domain.
    pub(super) after: Option<String>,
    /// At most so many rows of each domain.
    pub(super) limit: Option<u32>,
}

/// A row of a listing that has a page of each domain.
pub(super) trait Row {
    /// The row's domain.
    fn domain(&self) -> &str;
    /// What a page that goes on behind it asks for.
    fn marker(&self) -> String;
}

impl Row for TenantView {
    fn domain(&self) -> &str {
        &self.domain
    }

    fn marker(&self) -> String {
        self.name.clone()
    }
}

impl Row for TerminationBody {
    fn domain(&self) -> &str {
        &self.domain
    }

    fn marker(&self) -> String {
        format!("{}-{}", self.grace_end_ms, self.id)
    }
}

/// Every row of a listing, by domain.
///
/// # Errors
/// What one of its pages fails with.
pub(super) async fn listed<T: Row + DeserializeOwned>(
    client: &Client,
    path: &str,
    first: Page,
) -> Result<Vec<T>, CommandError> {
    let ask = async |page: Page| {
        let limit = page.limit.map(|limit| limit.to_string());
        let pairs = [
            ("domain", page.domain),
            ("after", page.after),
            ("limit", limit),
        ];
        let query: Vec<String> = pairs
            .into_iter()
            .filter_map(|(key, value)| Some(format!("{key}={}", encoded(&value?))))
            .collect();
        client.get(&format!("{path}?{}", query.join("&"))).await
    };
    every(first, PAGE_ROWS_MAX, ask).await
}

/// Goes on with each domain whose page was full; `full` rows of a domain are the most that one answer has.
async fn every<T: Row>(
    first: Page,
    full: u32,
    ask: impl AsyncFn(Page) -> Result<Vec<T>, CommandError>,
) -> Result<Vec<T>, CommandError> {
    let mut all: Vec<T> = Vec::new();
    let mut rows = ask(first.clone()).await?.into_iter().peekable();
    while let Some(row) = rows.next() {
        let ends = rows.peek().is_none_or(|next| next.domain() != row.domain());
        let domain = row.domain().to_owned();
        all.push(row);
        if ends {
            rest_of(&domain, first.limit, full, &mut all, &ask).await?;
        }
    }
    Ok(all)
}

/// Adds what a domain has behind the rows of it that `all` ends with.
async fn rest_of<T: Row>(
    domain: &str,
    limit: Option<u32>,
    full: u32,
    all: &mut Vec<T>,
    ask: &impl AsyncFn(Page) -> Result<Vec<T>, CommandError>,
) -> Result<(), CommandError> {
    let known = all.iter().rev().take_while(|row| row.domain() == domain);
    let mut count = known.count();
    let mut was_full = count >= full as usize;
    while was_full {
        let left = limit.map(|limit| (limit as usize).saturating_sub(count));
        if left == Some(0) {
            break;
        }
        let next = Page {
            domain: Some(domain.to_owned()),
            after: all.last().map(Row::marker),
            limit: left.map(|left| u32::try_from(left).unwrap_or(u32::MAX)),
        };
        let rows = ask(next).await?;
        was_full = rows.len() >= full as usize;
        count += rows.len();
        all.extend(rows);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Numbered(&'static str, usize);

    impl Row for Numbered {
        fn domain(&self) -> &str {
            self.0
        }

        fn marker(&self) -> String {
            self.1.to_string()
        }
    }

    const FULL: u32 = 3;

    /// As the API answers: a page of each domain.
    fn answer(page: &Page) -> Vec<Numbered> {
        let domains = [("eu", 7), ("me", 2), ("uk", 3), ("us", 4)];
        let after = page.after.as_ref().map(|after| after.parse().unwrap());
        let first: usize = after.map_or(0, |after: usize| after + 1);
        let most = page.limit.unwrap_or(FULL).clamp(1, FULL) as usize;
        domains
            .into_iter()
            .filter(|(name, _)| page.domain.as_deref().is_none_or(|asked| asked == *name))
            .flat_map(|(name, rows)| (first..rows).take(most).map(move |n| Numbered(name, n)))
            .collect()
    }

    async fn counts(first: Page) -> [usize; 4] {
        let rows = every(first, FULL, async |page| Ok(answer(&page))).await;
        let rows = rows.unwrap();
        for pair in rows.windows(2) {
            assert!(
                pair[0].0 != pair[1].0 || pair[0].1 + 1 == pair[1].1,
                "{pair:?}"
            );
        }
        ["eu", "me", "uk", "us"].map(|name| rows.iter().filter(|row| row.0 == name).count())
    }

    #[tokio::test]
    async fn listing_of_many_pages_is_read_to_its_end_in_every_domain() {
        assert_eq!(counts(Page::default()).await, [7, 2, 3, 4]);
        let of_one = Page {
            domain: Some("eu".to_owned()),
            ..Page::default()
        };
        assert_eq!(counts(of_one).await, [7, 0, 0, 0]);
        let behind = Page {
            after: Some("0".to_owned()),
            ..Page::default()
        };
        assert_eq!(counts(behind).await, [6, 1, 2, 3]);
    }

    #[tokio::test]
    async fn listing_with_a_limit_has_so_many_of_each_domain_however_many_a_page_has() {
        for (limit, expected) in [
            (2, [2, 2, 2, 2]),
            (3, [3, 2, 3, 3]),
            (4, [4, 2, 3, 4]),
            (6, [6, 2, 3, 4]),
            (99, [7, 2, 3, 4]),
        ] {
            let first = Page {
                limit: Some(limit),
                ..Page::default()
            };
            assert_eq!(counts(first).await, expected, "{limit}");
        }
    }
}
