//! The section `[ledger]`.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::Problems;

/// What the host remembers, and where: the section `[ledger]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ledger {
    /// A file for one host, or a table for all that share a queue. Default `sqlite`.
    #[serde(rename = "type")]
    pub kind: LedgerKind,
    /// `SQLite` file; its folder is made where it is missing. What plugins count lies beside it, in a file
    /// whose name has `-windows` after the stem; also with a table, when nothing else lies there. Default
    /// `state/ledger.sqlite`.
    pub path: PathBuf,
    /// Days for which it is known who has an object, and a finding that no longer changes. Default 30, 15
    /// to 3,650: a message can come again for 14 days.
    pub keep_days: u32,
    /// Name of the table. Required with `dynamodb`.
    pub table: Option<String>,
    /// Region of the table. Required with `dynamodb`.
    pub region: Option<String>,
    /// Another address of `DynamoDB`, such as a VPC endpoint or a test server. Default: AWS's own.
    pub endpoint_url: Option<String>,
}

/// Where a ledger lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LedgerKind {
    /// A file.
    #[default]
    Sqlite,
    /// A table that hosts share.
    #[cfg(feature = "dynamodb")]
    Dynamodb,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            kind: LedgerKind::default(),
            path: "state/ledger.sqlite".into(),
            keep_days: 30,
            table: None,
            region: None,
            endpoint_url: None,
        }
    }
}

impl Ledger {
    /// Reports what cannot be right.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        if self.path.as_os_str().is_empty() {
            problems.push(format!("{at}.path must name a file, got nothing"));
        }
        problems.range(&format!("{at}.keep_days"), self.keep_days, 15..=3_650);
        match self.kind {
            LedgerKind::Sqlite => {
                for (key, value) in self.of_a_table() {
                    if value.is_some() {
                        problems.push(format!("{at}.{key} needs {at}.type = \"dynamodb\""));
                    }
                }
            }
            #[cfg(feature = "dynamodb")]
            LedgerKind::Dynamodb => self.validate_table(at, problems),
        }
    }

    fn of_a_table(&self) -> [(&'static str, &Option<String>); 3] {
        [
            ("table", &self.table),
            ("region", &self.region),
            ("endpoint_url", &self.endpoint_url),
        ]
    }

    #[cfg(feature = "dynamodb")]
    fn validate_table(&self, at: &str, problems: &mut Problems) {
        let shown = crate::text::shown;
        for (key, value) in &self.of_a_table()[..2] {
            if value.as_deref().is_none_or(str::is_empty) {
                problems.push(format!("{at}.{key} is required with type = \"dynamodb\""));
            }
        }
        if let Some(table) = self.table.as_deref().filter(|table| !table.is_empty())
            && !is_table_name(table)
        {
            problems.push(format!(
                "{at}.table must be a table's name (3 to 255 of a-z, A-Z, 0-9, `_`, `-` and `.`; no ARN), got {}",
                shown(table)
            ));
        }
        if let Some(region) = self.region.as_deref().filter(|region| !region.is_empty())
            && !crate::source::layout::is_region(region)
        {
            problems.push(format!(
                "{at}.region must be a region such as eu-west-1, got {}",
                shown(region)
            ));
        }
        if let Some(url) = &self.endpoint_url
            && !(url.starts_with("https://") || url.starts_with("http://"))
        {
            problems.push(format!(
                "{at}.endpoint_url must be an address that begins with https://, got {}",
                shown(url)
            ));
        }
    }

    /// How long what is known is kept.
    #[must_use]
    pub fn keep(&self) -> Duration {
        Duration::from_hours(24 * u64::from(self.keep_days))
    }

    /// Where the windows of plugins lie: `ledger-windows.sqlite` beside `ledger.sqlite`.
    #[must_use]
    pub fn windows_path(&self) -> PathBuf {
        let mut name = self.path.file_stem().unwrap_or_default().to_owned();
        name.push("-windows");
        if let Some(extension) = self.path.extension() {
            name.push(".");
            name.push(extension);
        }
        self.path.with_file_name(name)
    }
}

#[cfg(feature = "dynamodb")]
fn is_table_name(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (3..=255).contains(&name.len()) && name.bytes().all(known)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::{collections::BTreeMap, path::Path};

    use super::*;
    use crate::config::Config;

    const SMALL: &str = "[source]\ntype = 'directory'\npath = '/in'\n[sinks.archive]\ntype = 'file'\ndirectory = '/out'\n";

    fn problems(section: &str) -> Vec<String> {
        let parsed = Config::parse(&format!("{SMALL}{section}"), BTreeMap::new());
        parsed.map_or_else(|problems| problems.lines().to_vec(), |_| Vec::new())
    }

    #[test]
    fn windows_lie_beside_the_ledger() {
        let beside = |path: &str| {
            let ledger = Ledger {
                path: path.into(),
                ..Ledger::default()
            };
            ledger.windows_path()
        };
        assert_eq!(
            beside("state/ledger.sqlite"),
            Path::new("state/ledger-windows.sqlite")
        );
        assert_eq!(beside("ledger"), Path::new("ledger-windows"));
    }

    #[test]
    #[cfg(feature = "dynamodb")]
    fn a_ledger_is_a_file_or_a_table() {
        let lines = |lines: &str| problems(&format!("[ledger]\n{lines}"));
        let table = "type = 'dynamodb'\ntable = 'sluicegate'\nregion = 'eu-west-1'\n";
        assert_eq!(lines(table), [""; 0]);
        assert_eq!(lines(&format!("{table}keep_days = 15")), [""; 0]);
        assert_eq!(
            lines("keep_days = 14\ntable = 'sluicegate'"),
            [
                "ledger.keep_days must be between 15 and 3650, got 14",
                "ledger.table needs ledger.type = \"dynamodb\"",
            ]
        );
        assert_eq!(
            lines("type = 'dynamodb'"),
            [
                "ledger.table is required with type = \"dynamodb\"",
                "ledger.region is required with type = \"dynamodb\"",
            ]
        );
        let wrong = lines("type = 'dynamodb'\ntable = 'a/b'\nregion = 'Here!'\nendpoint_url = 'x'");
        for (wrong, begins) in wrong.iter().zip(["table", "region", "endpoint_url"]) {
            assert!(
                wrong.starts_with(&format!("ledger.{begins} must be ")),
                "{wrong}"
            );
        }
        assert_eq!(wrong.len(), 3);
        assert_eq!(
            lines("type = 'redis'"),
            ["ledger.type must be one of sqlite, dynamodb, got `redis`"]
        );
    }
}
