//! The TOML document with its positions: overrides go in, problems find their line and key.

use super::error::{ConfigError, Place, Problem};
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer, Error as TomlError};

/// Environment variables that begin so override the file; `__` separates keys.
pub(super) const PREFIX: &str = "LETHE_";

/// A parsed document whose keys can be found again.
pub(super) struct Document<'i> {
    file: PathBuf,
    text: &'i str,
    root: Spanned<DeTable<'i>>,
    overrides: BTreeMap<Vec<String>, String>,
}

impl<'i> Document<'i> {
    pub(super) fn parse(file: &Path, text: &'i str) -> Result<Self, ConfigError> {
        let mut document = Self {
            file: file.to_owned(),
            text,
            root: Spanned::new(0..text.len(), DeTable::new()),
            overrides: BTreeMap::new(),
        };
        match DeTable::parse(text) {
            Ok(root) => {
                document.root = root;
                Ok(document)
            }
            Err(error) => Err(document.syntax(&error)),
        }
    }

    /// Puts `LETHE_SECTION__KEY=value` in the place of the file's value. Names that no section has are another program's
    /// (`LETHE_ADMIN_TOKEN_FILE` is the command line's), so only those with `__` count.
    pub(super) fn override_from(
        &mut self,
        variables: &'i [(String, String)],
    ) -> Result<(), ConfigError> {
        for (name, value) in variables {
            let Some(rest) = name.strip_prefix(PREFIX) else {
                continue;
            };
            if !rest.contains("__") {
                continue;
            }
            let wanted: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
            let value = override_value(value);
            match insert(self.root.get_mut(), &wanted, value) {
                Some(path) => {
                    self.overrides.insert(path, name.clone());
                }
                None => {
                    return Err(ConfigError {
                        file: self.file.clone(),
                        place: Place::Variable(name.clone()),
                        key: wanted.join("."),
                        problem: "one of its parents is not a table".to_owned(),
                        hint: "name the key as SECTION__KEY, with __ between keys".to_owned(),
                    });
                }
            }
        }
        Ok(())
    }

    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        T::deserialize(Deserializer::from(self.root.clone())).map_err(|error| self.syntax(&error))
    }

    /// Says where a problem stands.
    pub(super) fn locate(&self, problem: Problem) -> ConfigError {
        let place = match self.overridden(&problem.path) {
            Some(name) => Place::Variable(name.to_owned()),
            None => match span_of(self.root.get_ref(), &problem.path) {
                Some(span) => Place::Line(self.line(span.start)),
                None => Place::File,
            },
        };
        ConfigError {
            file: self.file.clone(),
            place,
            key: problem.path.join("."),
            problem: problem.problem,
            hint: problem.hint,
        }
    }

    fn overridden(&self, path: &[String]) -> Option<&str> {
        self.overrides.get(path).map(String::as_str)
    }

    fn syntax(&self, error: &TomlError) -> ConfigError {
        let path = error
            .span()
            .and_then(|span| path_at(self.root.get_ref(), &span))
            .unwrap_or_default();
        let place = match (self.overridden(&path), error.span()) {
            (Some(name), _) => Place::Variable(name.to_owned()),
            (None, Some(span)) => Place::Line(self.line(span.start)),
            (None, None) => Place::File,
        };
        let (problem, hint) = mend(error.message());
        ConfigError {
            file: self.file.clone(),
            place,
            key: path.join("."),
            problem,
            hint,
        }
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        before.iter().filter(|&&byte| byte == b'\n').count() + 1
    }
}

/// Turns serde's message into a problem and a way to mend it.
fn mend(message: &str) -> (String, String) {
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let (field, expected) = rest.split_once(", expected ").unwrap_or((rest, ""));
        let hint = match expected {
            "" => "remove it".to_owned(),
            expected => format!("remove it, or write {expected}"),
        };
        return (format!("unknown key {field}"), hint);
    }
    if let Some(field) = message.strip_prefix("missing field ") {
        return (
            format!("the key {field} is missing"),
            "add it (lethe.example.toml shows every key)".to_owned(),
        );
    }
    (
        message.trim_end().to_owned(),
        "lethe.example.toml shows every key with its form".to_owned(),
    )
}

/// A number, flag, list or table when the text is one in TOML; else the text itself.
fn override_value(text: &str) -> DeValue<'_> {
    match DeValue::parse(text).map(Spanned::into_inner) {
        Ok(DeValue::Datetime(_)) | Err(_) => DeValue::String(Cow::Borrowed(text)),
        Ok(value) => value,
    }
}

/// Sets a value, making the tables above it; returns its path as the document spells it. Variables can't spell `-`, so `_`
/// in them stands for both.
fn insert<'i>(
    table: &mut DeTable<'i>,
    wanted: &[String],
    value: DeValue<'i>,
) -> Option<Vec<String>> {
    let (first, rest) = wanted.split_first()?;
    let spelled = table
        .keys()
        .map(|key| key.get_ref().to_string())
        .find(|key| key.to_ascii_lowercase().replace('-', "_") == *first)
        .unwrap_or_else(|| first.clone());
    let mut path = vec![spelled.clone()];
    let entry = table
        .entry(Spanned::new(0..0, Cow::Owned(spelled)))
        .or_insert_with(|| Spanned::new(0..0, DeValue::Table(DeTable::new())));
    if rest.is_empty() {
        *entry = Spanned::new(0..0, value);
        return Some(path);
    }
    match entry.get_mut() {
        DeValue::Table(below) => path.extend(insert(below, rest, value)?),
        _ => return None,
    }
    Some(path)
}

/// Where the longest part of a path that the document has stands.
fn span_of(table: &DeTable<'_>, path: &[String]) -> Option<Range<usize>> {
    let (first, rest) = path.split_first()?;
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == first)?;
    let below = span_below(value.get_ref(), rest);
    // A table that an override made stands nowhere.
    Some(below.unwrap_or_else(|| key.span())).filter(|span| !span.is_empty())
}

fn span_below(value: &DeValue<'_>, path: &[String]) -> Option<Range<usize>> {
    match value {
        DeValue::Table(table) => span_of(table, path),
        DeValue::Array(items) => {
            let (index, rest) = path.split_first()?;
            let item = items.get(index.parse::<usize>().ok()?)?;
            span_below(item.get_ref(), rest).or_else(|| Some(item.span()))
        }
        _ => None,
    }
}

/// The path of the innermost key whose name or value holds a span.
fn path_at(table: &DeTable<'_>, span: &Range<usize>) -> Option<Vec<String>> {
    let within = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end;
    for (key, value) in table {
        let mut path = vec![key.get_ref().to_string()];
        match value.get_ref() {
            DeValue::Table(below) => {
                if let Some(rest) = path_at(below, span) {
                    path.extend(rest);
                    return Some(path);
                }
            }
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    if let DeValue::Table(below) = item.get_ref()
                        && let Some(rest) = path_at(below, span)
                    {
                        path.push(index.to_string());
                        path.extend(rest);
                        return Some(path);
                    }
                }
            }
            _ => {}
        }
        if within(key.span()) || within(value.span()) {
            return Some(path);
        }
    }
    None
}
