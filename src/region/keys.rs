//! Keys that a store would change or refuse.

use super::KeyRules;
use super::s3::folders::MARKER;

/// Why a store with these rules would not keep this key as it is; `None` when it would.
#[must_use]
pub fn key_problem(rules: &KeyRules, key: &str) -> Option<&'static str> {
    let renamed = !rules.trailing_slash && rules.folder_markers;
    let marker_bytes = if renamed && key.ends_with('/') {
        MARKER.len()
    } else {
        0
    };
    if key.len() + marker_bytes > rules.bytes_max {
        return Some("it is too long");
    }
    if !rules.control_characters && key.chars().any(char::is_control) {
        return Some("it has a control character");
    }
    if !rules.leading_slash && key.starts_with('/') {
        return Some("it begins with '/'");
    }
    if !rules.trailing_slash && !renamed && key.ends_with('/') {
        return Some("it ends with '/'");
    }
    if renamed
        && key
            .strip_suffix(MARKER)
            .is_some_and(|rest| rest.ends_with('/'))
    {
        return Some("its last segment is a single space, the name of a folder's own object there");
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
            folder_markers: true,
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

    #[test]
    fn folder_marker_takes_the_name_that_no_other_key_may_have() {
        let renames = KeyRules {
            bytes_max: 10,
            trailing_slash: false,
            ..KeyRules::all()
        };
        for good in ["a/", "a/b/", "12345678/", "a/b", " ", "a ", "a/  ", "a/ /b"] {
            assert_eq!(key_problem(&renames, good), None, "{good:?}");
        }
        for bad in ["a/ ", "a/b/ ", "123456789/"] {
            assert!(key_problem(&renames, bad).is_some(), "{bad:?}");
        }
        let refuses = KeyRules {
            folder_markers: false,
            ..renames
        };
        assert!(key_problem(&refuses, "a/").is_some());
        assert_eq!(key_problem(&refuses, "a/ "), None);
    }
}
