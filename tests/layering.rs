//! The layers of `docs/architecture.md`, checked on the source: arrows point down only, `crate::` and `super::` paths alike.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each module of the gateway may name. A module may always name itself.
const ALLOWED: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("timed_io", &[]),
    (
        "tenants",
        &["clock", "placement", "region", "catalog", "directory"],
    ),
    (
        "placement",
        &["clock", "tenants", "region", "catalog", "directory"],
    ),
    (
        "region",
        &["clock", "tenants", "placement", "catalog", "directory"],
    ),
    (
        "catalog",
        &["clock", "tenants", "placement", "region", "directory"],
    ),
    (
        "directory",
        &["clock", "tenants", "placement", "region", "catalog"],
    ),
    (
        "ops",
        &[
            "clock",
            "tenants",
            "placement",
            "region",
            "catalog",
            "directory",
        ],
    ),
    (
        "edge",
        &[
            "clock",
            "timed_io",
            "tenants",
            "placement",
            "region",
            "catalog",
            "directory",
            "ops",
        ],
    ),
    (
        "jobs",
        &[
            "clock",
            "tenants",
            "placement",
            "region",
            "catalog",
            "directory",
        ],
    ),
    ("signing", &["clock", "tenants"]),
    ("witness", &["clock", "tenants", "log"]),
    (
        "log",
        &[
            "clock",
            "tenants",
            "placement",
            "region",
            "catalog",
            "directory",
        ],
    ),
    (
        "shred",
        &[
            "clock",
            "tenants",
            "placement",
            "region",
            "catalog",
            "directory",
            "jobs",
            "log",
            "signing",
        ],
    ),
    (
        "admin",
        &[
            "clock",
            "timed_io",
            "tenants",
            "placement",
            "region",
            "catalog",
            "directory",
            "jobs",
            "log",
            "shred",
            "signing",
        ],
    ),
    // Configuration knows what it configures.
    (
        "config",
        &[
            "clock",
            "tenants",
            "placement",
            "region",
            "catalog",
            "directory",
            "ops",
            "edge",
            "jobs",
            "log",
            "shred",
            "signing",
            "admin",
        ],
    ),
    (
        "cli",
        &[
            "clock",
            "tenants",
            "placement",
            "region",
            "catalog",
            "directory",
            "ops",
            "edge",
            "jobs",
            "log",
            "shred",
            "signing",
            "witness",
            "admin",
            "config",
        ],
    ),
];

fn source_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("the source tree is readable") {
        let path = entry.expect("the source tree is readable").path();
        if path.is_dir() {
            source_files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// The module path of a file: `src/edge/front/mod.rs` is `[edge, front]`, `src/clock.rs` is `[clock]`.
fn module_of(file: &Path, root: &Path) -> Vec<String> {
    let inside = file
        .strip_prefix(root)
        .expect("the file is in the tree")
        .with_extension("");
    let mut module: Vec<String> = inside
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    module
}

/// The top-level modules that one line names, `super::` resolved from `module`.
fn named(line: &str, module: &[String], inline_depth: usize) -> BTreeSet<String> {
    let mut tops = BTreeSet::new();
    let ident = |text: &str| {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        let is_word = !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$');
        if is_word {
            match rest.strip_prefix('{') {
                None => drop(tops.insert(ident(rest))),
                // A group: every first name of it. Nested groups need no parser, as a name before `::` is what counts.
                Some(group) => tops.extend(
                    group
                        .split(',')
                        .map(|part| ident(part.trim_start()))
                        .filter(|name| !name.is_empty()),
                ),
            }
        }
    }
    let supers = line.matches("super::").count();
    if supers > inline_depth && module.len() + inline_depth < supers + 1 {
        // More supers than there are modules above: the path begins at the crate's root.
        if let Some(at) = line.rfind("super::") {
            tops.insert(ident(&line[at + "super::".len()..]));
        }
    }
    tops
}

/// Names of one file, without its tests: tests may reach further.
fn names_of_file(text: &str, module: &[String]) -> BTreeSet<String> {
    let production = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    let code = production
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| named(line, module, 0)).collect()
}

fn violations(files: impl Iterator<Item = (Vec<String>, String)>) -> Vec<String> {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let mut found = Vec::new();
    for (module, text) in files {
        let Some(top) = module
            .first()
            .filter(|top| !matches!(top.as_str(), "lib" | "main"))
        else {
            continue;
        };
        let Some(may) = allowed.get(top.as_str()) else {
            found.push(format!(
                "module {top} is in no layer: add it to the table and to docs/architecture.md"
            ));
            continue;
        };
        for name in names_of_file(&text, &module) {
            if name != *top && allowed.contains_key(name.as_str()) && !may.contains(&name.as_str())
            {
                found.push(format!(
                    "{} names {name}, which is not below {top}",
                    module.join("::")
                ));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn modules_name_only_what_is_below_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    source_files(&root, &mut files);
    assert!(files.len() > 50, "the source tree was found");
    let is_test = |file: &PathBuf| {
        let inside = file
            .strip_prefix(&root)
            .expect("the file is in the tree")
            .to_string_lossy()
            .into_owned();
        ["tests", "suite", "testing", "faulty", "testbed", "fuzzing"]
            .iter()
            .any(|word| inside.contains(word))
    };
    let sources = files.iter().filter(|file| !is_test(file)).map(|file| {
        (
            module_of(file, &root),
            fs::read_to_string(file).expect("the source is readable"),
        )
    });
    let found = violations(sources);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn upward_paths_of_every_spelling_are_seen() {
    let one = |module: &[&str], text: &str| {
        violations(
            [(
                module.iter().map(|part| (*part).to_owned()).collect(),
                text.to_owned(),
            )]
            .into_iter(),
        )
        .len()
    };
    for text in [
        "use crate::edge::serve;",
        "let x = crate::edge::serve();",
        "use crate::{clock::Clock, edge::serve};",
    ] {
        assert_eq!(one(&["ops", "put_object"], text), 1, "{text}");
        assert_eq!(one(&["cli", "serve"], text), 0, "{text}");
    }
    assert_eq!(
        one(&["ops", "put_object"], "use super::super::edge::serve;"),
        1
    );
    assert_eq!(one(&["ops"], "use super::edge::serve;"), 1);
    assert_eq!(one(&["ops", "put_object"], "use super::scope::Access;"), 0);
    assert_eq!(one(&["ops", "put_object"], "// crate::edge is above"), 0);
    assert_eq!(one(&["unheard_of"], ""), 1);
}
