//! Results as a table or as JSON.

use super::error::CommandError;
use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;
use std::io::Write as _;

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For spreadsheets: `receipt list` only.
    Csv,
}

/// Prints one result, or a list of them; the table's columns are these keys.
pub(super) fn print(
    format: Format,
    columns: &[&str],
    result: &impl Serialize,
) -> Result<(), CommandError> {
    let failed = |error: serde_json::Error| {
        CommandError::Failed(format!("the result can't be printed: {error}"))
    };
    let text = match format {
        Format::Json => serde_json::to_string_pretty(result).map_err(failed)? + "\n",
        Format::Table | Format::Csv => {
            table(columns, &serde_json::to_value(result).map_err(failed)?)
        }
    };
    let written = std::io::stdout().lock().write_all(text.as_bytes());
    written.map_err(|error| CommandError::Failed(format!("the result can't be printed: {error}")))
}

fn table(columns: &[&str], result: &Value) -> String {
    let rows: Vec<&Value> = match result {
        Value::Array(rows) => rows.iter().collect(),
        one => vec![one],
    };
    let header = columns.iter().map(|column| heading(column)).collect();
    let mut lines: Vec<Vec<String>> = vec![header];
    for row in rows {
        lines.push(columns.iter().map(|column| cell(column, row)).collect());
    }
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| {
            lines
                .iter()
                .map(|line| line[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for line in lines {
        let padded = line
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:<width$}"));
        let joined = padded.collect::<Vec<_>>().join("  ");
        text.push_str(joined.trim_end());
        text.push('\n');
    }
    text
}

/// Columns that end so are moments, in milliseconds since 1970 for programs.
const MOMENTS: [&str; 9] = [
    "created_ms",
    "checked_ms",
    "modified_ms",
    "requested_ms",
    "grace_end_ms",
    "run_at_ms",
    "shredded_ms",
    "started_ms",
    "changed_ms",
];

fn is_moment(column: &str) -> bool {
    MOMENTS.iter().any(|ending| column.ends_with(ending))
}

/// What a column is called for people, to whom a moment is shown as a date.
fn heading(column: &str) -> String {
    let named = match column {
        "grace_end_ms" => "grace_ends",
        "run_at_ms" => "runs_from",
        moment if is_moment(moment) => moment.trim_end_matches("_ms"),
        other => other,
    };
    named.to_uppercase().replace(['_', '.'], " ")
}

/// A moment in milliseconds since 1970, for people.
pub(super) fn moment(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(
        |_| ms.to_string(),
        |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    )
}

/// A dotted column reaches into a result; times are shown as dates.
pub(super) fn cell(column: &str, row: &Value) -> String {
    let mut value = row;
    for key in column.split('.') {
        value = value.get(key).unwrap_or(&Value::Null);
    }
    match value {
        Value::Null => "-".to_owned(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(ms) if is_moment(column) => {
            ms.as_i64().map_or_else(|| ms.to_string(), moment)
        }
        Value::Array(items) => {
            let items: Vec<String> = items
                .iter()
                .map(|item| cell("", &serde_json::json!({ "": item })))
                .collect();
            items.join(", ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn table_of_rows_aligns_columns() {
        let rows = json!([
            { "name": "acme", "check": { "passed": true }, "created_ms": 0 },
            { "name": "a-longer-name", "check": null, "created_ms": 1_000 },
        ]);
        assert_eq!(
            table(&["name", "check.passed", "created_ms"], &rows),
            "NAME           CHECK PASSED  CREATED\n\
             acme           true          1970-01-01T00:00:00Z\n\
             a-longer-name  -             1970-01-01T00:00:01Z\n"
        );
    }

    #[test]
    fn heading_of_a_moment_names_no_unit() {
        let columns = [
            "grace_end_ms",
            "run_at_ms",
            "check.checked_ms",
            "steps_done",
        ];
        let headings = columns.map(heading);
        assert_eq!(
            headings,
            ["GRACE ENDS", "RUNS FROM", "CHECK CHECKED", "STEPS DONE"]
        );
        assert_eq!(heading("lease_remaining_ms"), "LEASE REMAINING MS");
    }

    #[test]
    fn table_of_one_result_has_one_row() {
        assert_eq!(
            table(&["regions"], &json!({ "regions": ["a", "b"] })),
            "REGIONS\na, b\n"
        );
        let nobody = json!({ "approvals": [] });
        assert_eq!(table(&["approvals"], &nobody), "APPROVALS\n-\n");
    }
}
