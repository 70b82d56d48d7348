//! `verify.html` can reach nothing and runs nothing but itself.

use base64::Engine as _;
use sha2::{Digest, Sha256};

fn page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/verify.html")).unwrap()
}

fn inside<'p>(page: &'p str, tag: &str) -> &'p str {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    assert_eq!(page.matches(&open).count(), 1, "one {tag}");
    let start = page.find(&open).unwrap() + open.len();
    &page[start..page.rfind(&close).unwrap()]
}

#[test]
fn page_policy_allows_its_own_script_and_style_alone() {
    let page = page();
    let policy = page
        .split("Content-Security-Policy\" content=\"")
        .nth(1)
        .unwrap();
    let policy = policy.split('"').next().unwrap();
    let hash = |text: &str| {
        let digest = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text));
        format!("'sha256-{digest}'")
    };
    let expected = format!(
        "default-src 'none'; connect-src 'none'; base-uri 'none'; form-action 'none'; style-src {}; script-src {}",
        hash(inside(&page, "style")),
        hash(inside(&page, "script")),
    );
    assert_eq!(policy, expected);
}

#[test]
fn page_names_the_checks_that_the_verifier_makes() {
    let page = page();
    for name in lethe_receipts::CheckName::ALL {
        assert!(page.contains(&format!("\"{name}\"")), "{name}");
    }
}

#[test]
fn page_has_no_reference_to_anything_outside() {
    let page = page();
    for outside in [
        " src=",
        " href=",
        "url(",
        "@import",
        "fetch(",
        "XMLHttpRequest",
        "innerHTML",
        "eval(",
    ] {
        assert!(!page.contains(outside), "{outside}");
    }
}
