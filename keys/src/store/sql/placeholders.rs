//! The placeholders of statements of many rows.

use std::fmt::Write as _;

use crate::config::StoreUrl;

/// Placeholders in the order of their values, as a database takes many of them.
///
/// To SQLite `$7` is a name: it compares each with all that stand before it, and the driver looks every number's name up again, so
/// that a statement of thousands costs the square of them. PostgreSQL knows numbers alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placeholders {
    numbered: bool,
    given: usize,
}

impl Placeholders {
    pub(super) fn of(url: &StoreUrl) -> Self {
        Self {
            numbered: matches!(url, StoreUrl::Postgres { .. }),
            given: 0,
        }
    }

    pub(super) fn one(&mut self) -> String {
        self.rows(1, 1).trim_matches(['(', ')']).to_owned()
    }

    /// `($1, $2, …), …`: so many rows of so many columns.
    pub(super) fn rows(&mut self, rows: usize, columns: usize) -> String {
        let mut text = String::with_capacity(rows * (columns * 8 + 4));
        for row in 0..rows {
            text.push_str(if row == 0 { "(" } else { ", (" });
            for column in 0..columns {
                if column > 0 {
                    text.push_str(", ");
                }
                self.given += 1;
                if self.numbered {
                    // Writing to a string does not fail.
                    let _written = write!(text, "${}", self.given);
                } else {
                    text.push('?');
                }
            }
            text.push(')');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_numbers_for_postgresql_and_places_for_sqlite() {
        let postgres = "postgres://localhost/keys".parse().unwrap();
        let mut places = Placeholders::of(&postgres);
        assert_eq!(places.one(), "$1");
        assert_eq!(places.rows(2, 2), "($2, $3), ($4, $5)");
        assert_eq!(places.one(), "$6");
        let path = "/keys.db".into();
        let mut places = Placeholders::of(&StoreUrl::Sqlite { path });
        assert_eq!(
            (places.one(), places.rows(2, 2)),
            ("?".to_owned(), "(?, ?), (?, ?)".to_owned())
        );
    }
}
