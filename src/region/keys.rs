//! Keys that a store would change or refuse.

use super::KeyRules;

/// Why a store with these rules would not keep this key as it is; `None` when it would.
#[must_use]
pub fn key_problem(rules: &KeyRules, key: &str) -> Option<&'static str> {
    if key.len() > rules.bytes_max {
        return Some("it is too long");
    }
    if !rules.control_characters && key.chars().any(char::is_control) {
        return Some("it has a control character");
    }
    if !rules.leading_slash && key.starts_with('/') {
        return Some("it begins with '/'");
    }
    if !rules.trailing_slash && key.ends_with('/') {
        return Some("it ends with '/'");
    }
    // The ends are leading and trailing slashes, which have rules of their own.
    let inner = key.strip_prefix('/').unwrap_or(key);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if !rules.empty_segments
        && (inner.contains("//") || inner.starts_with('/') || inner.ends_with('/'))
    {
        return Some("it has an empty segment");
    }
    if !rules.dot_segments && key.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Some("it has a segment '.' or '..'");
    }
    if !rules.backslash && key.contains('\\') {
        return Some("it has a backslash");
    }
    let housekeeping = |key: &str| {
        key.starts_with(".uploads/") || key.split('/').any(|segment| segment.ends_with(".versions"))
    };
    if !rules.housekeeping_names && housekeeping(key) {
        return Some("it has a name that the store keeps for itself");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_that_a_store_would_change_is_named() {
        let strict = KeyRules {
            bytes_max: 900,
            empty_segments: false,
            dot_segments: false,
            leading_slash: false,
            trailing_slash: true,
            control_characters: false,
            object_below_object: true,
            backslash: false,
            housekeeping_names: false,
            byte_order: false,
        };
        for bad in [
            "/a",
            "a//b",
            "a/./b",
            "..",
            "a/..",
            "a\u{0}b",
            "a\nb",
            &"x".repeat(901),
            "a//",
            "//",
            "a\\b",
            "x.versions",
            "x.versions/y",
            ".uploads/x",
        ] {
            assert!(key_problem(&strict, bad).is_some(), "{bad:?}");
            assert_eq!(key_problem(&KeyRules::all(), bad), None, "{bad:?}");
        }
        for good in ["a", "a/b", "a/", "a.b/..c/d..", "ü/日本", " ", "a b+c%2F"] {
            assert_eq!(key_problem(&strict, good), None, "{good:?}");
        }
    }
}
