//! Bodies of the fuzz targets in `fuzz/`, each panicking when its property is broken. Ordinary tests run them too.

pub use crate::edge::fuzzing::{chunked, document, form, guard, head, lifecycle};

use crate::config::{self, Environment};
use crate::tenants::access::{Scope, ScopeEntry};
use std::path::Path;

const EXAMPLE: &str = include_str!("../lethe.example.toml");

/// A configuration is read or refused by naming its file; so is the example with lines of the input in place of its own.
///
/// # Panics
/// When an error names another file.
pub fn configuration(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    read(&text);
    let mut lines: Vec<&str> = EXAMPLE.lines().collect();
    for line in text.lines().take(8) {
        let at = line.bytes().map(usize::from).sum::<usize>() % lines.len();
        lines[at] = line;
    }
    read(&lines.join("\n"));
}

fn read(text: &str) {
    let file = Path::new("lethe.toml");
    if let Err(error) = config::parse(file, text, &Environment::default()) {
        assert_eq!(error.file, file);
        assert!(!error.problem.is_empty() && !error.hint.is_empty());
    }
}

/// A scope of a credential has one spelling, by which it is read again.
///
/// # Panics
/// When it is read as another.
pub fn scope(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let entries: Vec<&str> = text.split('\n').collect();
    if let Ok(scope) = Scope::of(&entries) {
        assert_eq!(Scope::of(&scope.texts()).ok(), Some(scope));
    }
    if let Ok(entry) = text.parse::<ScopeEntry>() {
        assert_eq!(entry.to_string().parse().ok(), Some(entry));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn configurations_are_read_or_refused(
            text in "([a-z_.]{1,8} = (\"[a-z:/]{0,9}\"|[0-9]{1,25}|\\{|\\[|true)|\\[[a-z.\\-]{1,20}\\]|\\PC{0,9})(\n[a-z_]{1,12} = [0-9\"\\[]{1,4}){0,4}",
        ) {
            configuration(text.as_bytes());
        }

        #[test]
        fn scopes_are_read_as_they_are_written(text in "(\\*|[a-z0-9.\\-]{1,8}(:[a-z/*:]{0,6})?)(\n[a-z]{3,5}:?[a*]{0,2}){0,3}|\\PC{0,20}") {
            scope(text.as_bytes());
        }
    }
}
