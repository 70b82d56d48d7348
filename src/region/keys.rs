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
    if !rules.housekeeping_names
        && (key.starts_with(UPLOADS) || key.split('/').any(|segment| segment.ends_with(VERSIONS)))
    {
        return Some("it has a name that the store keeps for itself");
    }
    None
}

const UPLOADS: &str = ".uploads/";
/// How the store that keeps names for itself ends the name of the folder of an object's versions.
pub(in crate::region) const VERSIONS: &str = ".versions";

/// Whether no key that the rules let be stored begins with a prefix, so that a store need not be asked, which might take it for another.
#[must_use]
pub fn prefix_of_no_key(rules: &KeyRules, prefix: &str) -> bool {
    // The last segment of a prefix may go on.
    let (whole_segments, _) = prefix.rsplit_once('/').unwrap_or_default();
    let mut segments = whole_segments.split('/');
    prefix.len() > rules.bytes_max
        || (!rules.control_characters && prefix.chars().any(char::is_control))
        || (!rules.leading_slash && prefix.starts_with('/'))
        // `//` alone is a slash at either end.
        || (!rules.empty_segments && prefix.contains("//") && prefix != "//")
        || (!rules.backslash && prefix.contains('\\'))
        || (!rules.housekeeping_names && prefix.starts_with(UPLOADS))
        || segments.any(|segment| {
            (!rules.dot_segments && matches!(segment, "." | ".."))
                || (!rules.housekeeping_names && segment.ends_with(VERSIONS))
        })
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

    #[test]
    fn prefix_is_of_no_key_when_nothing_may_follow_it() {
        let strict = KeyRules {
            empty_segments: false,
            dot_segments: false,
            leading_slash: false,
            control_characters: false,
            backslash: false,
            housekeeping_names: false,
            bytes_max: 20,
            ..KeyRules::all()
        };
        let long = "a".repeat(21);
        for prefix in [
            "/",
            "//",
            "a//",
            "a//b",
            "a///",
            "a/b//",
            "./",
            "../",
            "a/./",
            "a/../b",
            "a\\",
            "\u{1}",
            "a\nb",
            ".uploads/",
            ".uploads/x",
            "k.versions/",
            "a/k.versions/x",
            &long,
        ] {
            assert!(prefix_of_no_key(&strict, prefix), "{prefix:?}");
            if prefix.len() <= 20 {
                assert!(!prefix_of_no_key(&KeyRules::all(), prefix), "{prefix:?}");
            }
        }
        for prefix in [
            "",
            "a",
            "a/",
            "a/ ",
            ".",
            "..",
            "a/.",
            "a/..",
            "...",
            "a/.../",
            ".uploads",
            "a/.uploads/",
            "k.versions",
            "é/",
        ] {
            assert!(!prefix_of_no_key(&strict, prefix), "{prefix:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn prefix_of_a_key_that_may_be_stored_is_never_prefix_of_no_key(
            key in "[a ./\\\\]{0,8}(\\.versions|\\.uploads/)?[a ./]{0,4}",
            bits in 0_u16..256,
        ) {
            let bit = |n: u16| bits & (1 << n) != 0;
            let rules = KeyRules {
                empty_segments: bit(0),
                dot_segments: bit(1),
                leading_slash: bit(2),
                trailing_slash: bit(3),
                folder_markers: bit(4),
                control_characters: bit(5),
                backslash: bit(6),
                housekeeping_names: bit(7),
                ..KeyRules::all()
            };
            if !key.is_empty() && key_problem(&rules, &key).is_none() {
                for end in 0..=key.len() {
                    proptest::prop_assert!(!prefix_of_no_key(&rules, &key[..end]), "{:?}", &key[..end]);
                }
            }
        }
    }
}
