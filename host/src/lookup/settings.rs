//! What the operator says of a table.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::Problems;

/// One table: the section `[tables.<name>]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The file. Required.
    pub path: PathBuf,
    /// What is in it. Required.
    pub format: Format,
    /// The column (`csv`) or member (`json`) that holds the key. Required, but for `mmdb`, whose keys are
    /// addresses.
    #[serde(default)]
    pub key: Option<String>,
    /// How a key matches. Default `exact`; a table of format `mmdb` always matches networks.
    #[serde(default, rename = "match")]
    pub match_kind: Option<MatchKind>,
    /// Seconds between two looks at the file. Default 60, range 1 to 86,400.
    #[serde(default = "refresh_s")]
    pub refresh_s: u64,
    /// Size of the file, in bytes. Default 67,108,864 (64 MiB), range 1 KiB to 2 GiB.
    #[serde(default = "max_bytes")]
    pub max_bytes: u64,
    /// Rows of a file of format `csv` or `json`. Default 1,000,000, range 1 to 10,000,000.
    #[serde(default = "max_rows")]
    pub max_rows: u32,
}

fn refresh_s() -> u64 {
    60
}

fn max_bytes() -> u64 {
    64 << 20
}

fn max_rows() -> u32 {
    1_000_000
}

/// The format of a table's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A line of column names, then a line a row; an empty cell is absent.
    Csv,
    /// An array of objects.
    Json,
    /// A `MaxMind` database; a field is a path into the record, as in `country.iso_code`.
    Mmdb,
}

/// How a key matches a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchKind {
    /// The same text.
    #[default]
    Exact,
    /// An address in a network; of several networks the smallest.
    Network,
}

impl Settings {
    /// Reports every value that is out of range. `at` is the section, `tables.<name>`.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        if self.path.as_os_str().is_empty() {
            problems.push(format!("{at}.path must name a file, got nothing"));
        }
        if self.format == Format::Mmdb {
            for (key, given) in [
                ("key", self.key.is_some()),
                ("match", self.match_kind.is_some()),
            ] {
                if given {
                    problems.push(format!(
                        "{at}.{key} is not for the format mmdb: its keys are addresses"
                    ));
                }
            }
        } else if self.key.as_deref().is_none_or(str::is_empty) {
            problems.push(format!(
                "{at}.key is required: the column or member that holds the key"
            ));
        }
        problems.range(&format!("{at}.refresh_s"), self.refresh_s, 1..=86_400);
        problems.range(
            &format!("{at}.max_bytes"),
            self.max_bytes,
            1 << 10..=2 << 30,
        );
        problems.range(&format!("{at}.max_rows"), self.max_rows, 1..=10_000_000);
    }

    /// The name of the key's column.
    pub(super) fn key(&self) -> &str {
        self.key.as_deref().unwrap_or_default()
    }

    /// How keys match.
    pub(super) fn matches(&self) -> MatchKind {
        self.match_kind.unwrap_or_default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn problems(json: &str) -> Vec<String> {
        let settings: Settings = serde_json::from_str(json).unwrap();
        let mut problems = Problems::default();
        settings.validate("tables.t", &mut problems);
        problems.lines().to_vec()
    }

    #[test]
    fn a_path_a_format_and_a_key_are_enough() {
        assert_eq!(
            problems(r#"{"path":"t.csv","format":"csv","key":"k"}"#),
            [""; 0]
        );
        assert_eq!(problems(r#"{"path":"t.mmdb","format":"mmdb"}"#), [""; 0]);
    }

    #[test]
    fn every_value_out_of_range_is_named() {
        let found = problems(
            r#"{"path":"","format":"json","key":"","refresh_s":0,"max_bytes":1,"max_rows":0}"#,
        );
        assert_eq!(
            found,
            [
                "tables.t.path must name a file, got nothing",
                "tables.t.key is required: the column or member that holds the key",
                "tables.t.refresh_s must be between 1 and 86400, got 0",
                "tables.t.max_bytes must be between 1024 and 2147483648, got 1",
                "tables.t.max_rows must be between 1 and 10000000, got 0",
            ]
        );
    }

    #[test]
    fn a_database_of_addresses_has_no_key_to_choose() {
        assert_eq!(
            problems(r#"{"path":"a","format":"mmdb","key":"k","match":"network"}"#),
            [
                "tables.t.key is not for the format mmdb: its keys are addresses",
                "tables.t.match is not for the format mmdb: its keys are addresses",
            ]
        );
    }

    #[test]
    fn a_key_that_does_not_exist_is_an_error() {
        assert!(
            serde_json::from_str::<Settings>(r#"{"path":"a","format":"mmdb","keys":1}"#).is_err()
        );
        assert!(serde_json::from_str::<Settings>(r#"{"path":"a","format":"xml"}"#).is_err());
    }
}
