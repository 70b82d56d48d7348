//! Listings of versions from stores that page through them with losses. SeaweedFS walks its tree of directories (`a/x` before `a!`),
//! and drops from the next page whatever is before the marker in the order of bytes: keys at page boundaries are in no page.
//!
//! Here such a store is never asked to go on behind a key of its own choosing. It is asked for everything with a prefix; where that
//! is more than a page, for what comes behind the prefix and one more character, again and again. What is exact about its answers,
//! and all that is relied on: below one prefix it goes by the next character, but for the directory `prefix/`, which comes first, and
//! the versions of the key itself, which it keeps under `key.versions`. Both are asked for by themselves. `region check` tries it.

use super::lists::{LAST_CHARACTER, folded};
use crate::region::{ListedVersion, RegionError, VersionId, VersionListRequest, VersionListing};
use async_trait::async_trait;

/// What the store adds to a key's name for the directory of its versions.
const VERSIONS_SUFFIX: &str = ".versions";
/// The version of an object from before its bucket had versions. The store lists it behind all others.
const NULL_VERSION: &str = "null";
/// Questions for one page of ours, at most.
const QUESTIONS_MAX: u32 = 20_000;

/// One answer of the store: names as it keeps them.
pub(super) struct Answer {
    pub(super) versions: Vec<ListedVersion>,
    pub(super) is_complete: bool,
}

/// The store that is asked.
#[async_trait]
pub(super) trait VersionPages: Sync {
    /// A page of what has the prefix, behind a key, or behind a version of it; without what folds at the delimiter.
    async fn ask(
        &self,
        prefix: &str,
        behind: Option<(&str, Option<&VersionId>)>,
        delimiter: Option<&str>,
    ) -> Result<Answer, RegionError>;
}

/// Why a walk ended before everything was listed.
enum Stop {
    Full,
    Failed(RegionError),
}

impl From<RegionError> for Stop {
    fn from(error: RegionError) -> Self {
        Self::Failed(error)
    }
}

/// What is still to be listed. One stack of them and no recursion: keys that begin alike for long are as many steps deep, and whoever
/// writes keys must not choose how deep ours goes.
enum Step {
    /// All that begins with a prefix.
    Below(String),
    /// All longer keys that begin with a head, by the character that follows it.
    Children(Children),
    /// What was found on the way.
    Found(Vec<ListedVersion>),
}

struct Children {
    head: String,
    /// The last character that is done.
    last: Option<char>,
    /// Whether the directory of the head's name is still to come.
    directory_due: bool,
}

impl Children {
    /// Those whose next character is behind `passed`.
    fn of(head: &str, passed: Option<char>) -> Self {
        let mut children = Self {
            head: head.to_owned(),
            last: passed,
            directory_due: false,
        };
        children.directory_due =
            children.has_directory() && passed.is_none_or(|passed| passed < '/');
        children
    }

    fn has_directory(&self) -> bool {
        !self.head.is_empty() && !self.head.ends_with('/')
    }
}

struct Walk<'a, P> {
    store: &'a P,
    request: &'a VersionListRequest,
    /// The common prefix that was given last, in this page or the one before.
    given: Option<String>,
    last: Option<(String, Option<VersionId>)>,
    listing: VersionListing,
    questions: u32,
    /// The next step is the last of them.
    steps: Vec<Step>,
}

/// One page, in the order of bytes; exact at any size.
///
/// # Errors
/// The store's.
pub(super) async fn walk<P: VersionPages>(
    store: &P,
    request: &VersionListRequest,
) -> Result<VersionListing, RegionError> {
    let marker = request.key_marker.as_deref().filter(|key| !key.is_empty());
    let mut walk = Walk {
        store,
        request,
        given: None,
        last: None,
        listing: VersionListing::default(),
        questions: 0,
        steps: Vec::new(),
    };
    walk.given = marker.and_then(|key| walk.folded(key));
    match walk.run(marker).await {
        Ok(()) => {}
        Err(Stop::Failed(error)) => return Err(error),
        Err(Stop::Full) => {
            let (key, version) = walk.last.unzip();
            walk.listing.next_key_marker = key;
            walk.listing.next_version_marker = version.flatten();
        }
    }
    Ok(walk.listing)
}

impl<P: VersionPages> Walk<'_, P> {
    async fn run(&mut self, marker: Option<&str>) -> Result<(), Stop> {
        let prefix = &self.request.prefix;
        match marker {
            Some(key) if key.starts_with(prefix) => self.behind(key).await?,
            Some(key) if key > prefix.as_str() => {}
            _ => self.steps.push(Step::Below(prefix.clone())),
        }
        while let Some(step) = self.steps.pop() {
            match step {
                Step::Below(prefix) => self.below(prefix).await?,
                Step::Children(children) => self.children(children).await?,
                Step::Found(found) => self.give_all(found)?,
            }
        }
        Ok(())
    }

    fn folded(&self, key: &str) -> Option<String> {
        let delimiter = self.request.delimiter.as_deref();
        folded(key, &self.request.prefix, delimiter).map(str::to_owned)
    }

    /// Whether all that begins so folds into the common prefix that was given last.
    fn is_given(&self, prefix: &str) -> bool {
        self.given.is_some() && self.folded(prefix) == self.given
    }

    fn give(&mut self, version: ListedVersion) -> Result<(), Stop> {
        let key = &version.object.key;
        let prefix = self.folded(key);
        if prefix.is_some() && prefix == self.given {
            return Ok(());
        }
        let listing = &mut self.listing;
        if listing.versions.len() + listing.common_prefixes.len() >= self.request.keys_max.max(1) {
            return Err(Stop::Full);
        }
        if let Some(prefix) = prefix {
            self.last = Some((prefix.clone(), None));
            listing.common_prefixes.push(prefix.clone());
            self.given = Some(prefix);
        } else {
            self.last = Some((key.clone(), Some(version.version.clone())));
            listing.versions.push(version);
        }
        Ok(())
    }

    fn give_all(&mut self, mut versions: Vec<ListedVersion>) -> Result<(), Stop> {
        // The versions of one key keep their order.
        versions.sort_by(|a, b| a.object.key.cmp(&b.object.key));
        versions.into_iter().try_for_each(|one| self.give(one))
    }

    async fn ask(
        &mut self,
        prefix: &str,
        behind: Option<(&str, Option<&VersionId>)>,
        delimiter: Option<&str>,
    ) -> Result<Answer, Stop> {
        self.questions += 1;
        if self.questions > QUESTIONS_MAX {
            return Err(Stop::Failed(RegionError::Unavailable {
                operation: "list_versions",
                reason: "one page of versions took too many questions".to_owned(),
            }));
        }
        Ok(self.store.ask(prefix, behind, delimiter).await?)
    }

    async fn ask_below(&mut self, prefix: &str) -> Result<Answer, Stop> {
        let start = just_before(prefix);
        let behind = start.as_deref().map(|start| (start, None));
        let mut answer = self.ask(prefix, behind, None).await?;
        // A prefix that ends inside `.versions` fits the directories of shorter keys.
        let fits = |one: &ListedVersion| one.object.key.starts_with(prefix);
        answer.versions.retain(fits);
        Ok(answer)
    }

    /// All that comes behind the request's markers, which have its prefix.
    async fn behind(&mut self, key: &str) -> Result<(), Stop> {
        let prefix = self.request.prefix.clone();
        if let Some(version) = self.request.version_marker.clone() {
            self.rest_of(key, Some(version), Vec::new()).await?;
        }
        let whole = self.ask_below(&prefix).await?;
        if whole.is_complete {
            let mut rest = whole.versions;
            rest.retain(|one| one.object.key.as_str() > key);
            return self.give_all(rest);
        }
        // The longest head is the next step, and so the last here.
        for end in prefix.len()..=key.len() {
            if let Some((head, tail)) = key.split_at_checked(end) {
                let children = Children::of(head, tail.chars().next());
                self.steps.push(Step::Children(children));
            }
        }
        Ok(())
    }

    async fn below(&mut self, prefix: String) -> Result<(), Stop> {
        if self.is_given(&prefix) {
            return Ok(());
        }
        let page = self.ask_below(&prefix).await?;
        let folds = self.folded(&prefix).is_some() && !page.versions.is_empty();
        if page.is_complete || folds {
            return self.give_all(page.versions);
        }
        let of_prefix = page.versions.into_iter();
        let of_prefix = of_prefix.filter(|one| one.object.key == prefix).collect();
        self.rest_of(&prefix, None, of_prefix).await?;
        self.steps.push(Step::Children(Children::of(&prefix, None)));
        Ok(())
    }

    /// The versions of one key behind one of them, and what else is `known` to be there.
    async fn rest_of(
        &mut self,
        key: &str,
        behind: Option<VersionId>,
        known: Vec<ListedVersion>,
    ) -> Result<(), Stop> {
        let is_null = |one: &ListedVersion| one.version.0 == NULL_VERSION;
        if behind.as_ref().is_some_and(|one| one.0 == NULL_VERSION) {
            return Ok(());
        }
        // A key that ends in `/` is a directory's own, without versions.
        let (mut null, last) = if key.is_empty() || key.ends_with('/') {
            (None, None)
        } else {
            self.versions_of(key, behind).await?
        };
        match last {
            _ if null.is_some() => {}
            None => null = known.into_iter().find(is_null),
            // As a plain object it has the name of the key itself: the first that is met, and listed behind all other versions.
            Some(last) => {
                let page = self.ask(key, Some((key, Some(&last))), Some("/")).await?;
                let mut found = page.versions.into_iter();
                null = found.find(|one| one.object.key == key && is_null(one));
            }
        }
        null.map_or(Ok(()), |one| self.give(one))
    }

    /// Gives what lies in a key's directory of versions behind one of them. Answers the null version, if it is there, which
    /// is not given, and the last that was passed.
    async fn versions_of(
        &mut self,
        key: &str,
        mut behind: Option<VersionId>,
    ) -> Result<(Option<ListedVersion>, Option<VersionId>), Stop> {
        // With a marker the store would pass over the key, which is shorter than this name.
        let name = format!("{key}{VERSIONS_SUFFIX}");
        let mut page = self.ask(&name, None, None).await?;
        let is_of = |one: &ListedVersion| one.object.key == key;
        let mut is_over = page.is_complete || !page.versions.last().is_some_and(is_of);
        page.versions.retain(is_of);
        let passed = |one: &ListedVersion| Some(&one.version) == behind.as_ref();
        let mut found = match (&behind, page.versions.iter().position(passed)) {
            (None, _) => page.versions,
            (Some(_), Some(at)) => page.versions.split_off(at + 1),
            // It is gone, or there are more before it than a page.
            (Some(_), None) => {
                is_over = false;
                Vec::new()
            }
        };
        let mut null = None;
        loop {
            for one in found {
                if one.version.0 == NULL_VERSION {
                    null = Some(one);
                } else {
                    behind = Some(one.version.clone());
                    self.give(one)?;
                }
            }
            let Some(last) = behind.clone().filter(|_| !is_over) else {
                return Ok((null, behind));
            };
            // The directory's content folds into one entry; what else is listed before the rest of the versions does not.
            let page = self.ask(key, Some((key, Some(&last))), Some("/")).await?;
            found = page.versions;
            found.retain(is_of);
            is_over = page.is_complete;
            if found.is_empty() && !is_over {
                return Err(Stop::Failed(RegionError::Unsupported {
                    operation: "list_versions",
                    what: "listing more than a page of versions of a key among many that begin like it",
                }));
            }
        }
    }

    /// One page of children, and the steps that follow from it.
    async fn children(&mut self, mut children: Children) -> Result<(), Stop> {
        let (head, last) = (children.head.clone(), children.last);
        if self.is_given(&head) {
            return Ok(());
        }
        let has_directory = children.has_directory();
        let start = match last {
            // Behind the directory's name; keys with control characters are none of such a store's.
            None => format!("{head}\0"),
            Some(last) => format!("{head}{last}{LAST_CHARACTER}"),
        };
        let page = self.ask(&head, Some((&start, None)), None).await?;
        let next = |key: &str| key.strip_prefix(head.as_str())?.chars().next();
        let mut found: Vec<(char, ListedVersion)> = page
            .versions
            .into_iter()
            .filter_map(|one| Some((next(&one.object.key)?, one)))
            .filter(|(next, _)| last.is_none_or(|last| *next > last))
            .collect();
        // What is missing from a page is behind all that is in it, or begins with the same character as the last.
        let horizon = found.iter().map(|(next, _)| *next).max();
        let horizon = horizon.filter(|_| !page.is_complete);
        if horizon.is_none() && !page.is_complete {
            return Err(Stop::Failed(RegionError::Lying {
                operation: "list_versions",
                reason: "a page that does not advance".to_owned(),
            }));
        }
        found.retain(|(next, _)| Some(*next) != horizon && !(has_directory && *next == '/'));
        let versions = |found: Vec<(char, ListedVersion)>| found.into_iter().map(|(_, one)| one);
        let (before, behind) = found.into_iter().partition(|(next, _)| *next < '/');
        self.give_all(versions(before).collect())?;
        let enters = children.directory_due && horizon.is_none_or(|horizon| horizon >= '/');
        children.directory_due &= !enters;
        // In the reverse of their order.
        if let Some(next) = horizon {
            children.last = horizon;
            self.steps.push(Step::Children(children));
            if !(has_directory && next == '/') {
                self.steps.push(Step::Below(format!("{head}{next}")));
            }
        }
        self.steps.push(Step::Found(versions(behind).collect()));
        if enters {
            self.steps.push(Step::Below(format!("{head}/")));
        }
        Ok(())
    }
}

/// A marker before all that begins with the prefix, and as near as can be: the store reads a directory from there. `None` for
/// the beginning.
fn just_before(prefix: &str) -> Option<String> {
    let last = prefix.chars().next_back()?;
    let head = prefix.get(..prefix.len() - last.len_utf8())?;
    let before = match last {
        // Behind the directory's name, as which the store would take another character there, it would not enter it.
        '/' | '\0' => return (!head.is_empty()).then(|| head.to_owned()),
        // Told to begin in the directory `a`, the store finds nothing that begins with `a0`.
        '0' => '.',
        '\u{e000}' => '\u{d7ff}',
        last => char::from_u32(u32::from(last) - 1)?,
    };
    Some(format!("{head}{before}{LAST_CHARACTER}"))
}

#[cfg(test)]
#[path = "version_walk_tests.rs"]
mod tests;
