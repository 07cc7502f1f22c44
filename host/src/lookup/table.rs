//! A table in memory.

use std::{fs::File, io::Read as _, path::Path};

use anyhow::{Context as _, bail, ensure};

use super::{
    csv, json,
    mmdb::Mmdb,
    networks::{Network, Networks},
    settings::{Format, MatchKind, Settings},
};
use crate::columns::Kind;

/// A value of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Value<'a> {
    /// What it is; absent where the table has nothing for a key.
    pub kind: Kind,
    /// Of a string its text, of anything else its JSON.
    pub text: std::borrow::Cow<'a, str>,
}

/// A table that is never changed: a new file makes a new one.
#[derive(Debug)]
pub struct Table(Content);

#[derive(Debug)]
enum Content {
    Rows(Rows),
    Mmdb(Mmdb),
}

impl Table {
    /// Reads a table.
    ///
    /// # Errors
    /// When the file cannot be read, is too large, or is not what the settings say; names the file, and
    /// the line where there is one.
    pub fn load(settings: &Settings) -> anyhow::Result<Self> {
        let path = settings.path.display();
        let bytes = read(&settings.path, settings.max_bytes)
            .with_context(|| format!("failed to read table {path}"))?;
        let content = match settings.format {
            Format::Mmdb => Mmdb::new(bytes).map(Content::Mmdb),
            Format::Csv => csv::read(&bytes, settings)
                .and_then(|cells| Rows::new(cells, settings))
                .map(Content::Rows),
            Format::Json => json::read(&bytes, settings)
                .and_then(|cells| Rows::new(cells, settings))
                .map(Content::Rows),
        };
        content
            .map(Self)
            .with_context(|| format!("failed to read table {path}"))
    }

    /// Whether the table can have this field. A database of addresses may have any.
    #[must_use]
    pub fn has_field(&self, field: &str) -> bool {
        match &self.0 {
            Content::Rows(rows) => rows.column(field).is_some(),
            Content::Mmdb(_) => true,
        }
    }

    /// A field of the entry that a key matches.
    ///
    /// # Errors
    /// When the file turns out to be damaged at that place.
    pub fn get(&self, field: &str, key: &str) -> anyhow::Result<Value<'_>> {
        match &self.0 {
            Content::Rows(rows) => Ok(rows.get(field, key)),
            Content::Mmdb(mmdb) => mmdb.get(field, key),
        }
    }

    /// How many rows there are; for a database of addresses, the nodes of its tree.
    #[must_use]
    pub fn rows(&self) -> u64 {
        match &self.0 {
            Content::Rows(rows) => rows.cells.lines.len() as u64,
            Content::Mmdb(mmdb) => mmdb.nodes(),
        }
    }
}

fn read(path: &Path, max_bytes: u64) -> anyhow::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    ensure!(file.metadata()?.is_file(), "is not a file");
    let mut bytes = Vec::new();
    file.by_ref().take(max_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        bail!("has more than {max_bytes} bytes; max_bytes allows more");
    }
    Ok(bytes)
}

/// The cells of all rows, as the reader of a format finds them.
#[derive(Debug, Default)]
pub(super) struct Cells {
    fields: Vec<String>,
    /// One text after the other.
    text: String,
    /// For each row all its fields: the kind, and where the text ends.
    ends: Vec<(Kind, u32)>,
    /// The line that each row begins on, counted from 1.
    lines: Vec<u32>,
}

impl Cells {
    /// No rows yet, of these fields.
    pub(super) fn new(fields: Vec<String>) -> Self {
        Self {
            fields,
            ..Self::default()
        }
    }

    /// Begins a row.
    pub(super) fn begin(&mut self, line: usize, max_rows: u32) -> anyhow::Result<()> {
        ensure!(
            self.lines.len() < max_rows as usize,
            "line {line}: more than {max_rows} rows; max_rows allows more"
        );
        self.lines.push(u32::try_from(line).unwrap_or(u32::MAX));
        Ok(())
    }

    /// The next cell of the row.
    pub(super) fn push(&mut self, kind: Kind, text: &str) {
        self.text.push_str(text);
        let end = u32::try_from(self.text.len()).expect("a file has at most 2 GiB");
        self.ends.push((kind, end));
    }

    fn get(&self, row: u32, column: usize) -> Value<'_> {
        let cell = row as usize * self.fields.len() + column;
        let start = cell.checked_sub(1).map_or(0, |before| self.ends[before].1);
        let (kind, end) = self.ends[cell];
        Value {
            kind,
            text: self.text[start as usize..end as usize].into(),
        }
    }
}

/// Rows that are found by a key.
#[derive(Debug)]
struct Rows {
    cells: Cells,
    key: usize,
    index: Index,
}

#[derive(Debug)]
enum Index {
    /// Rows in the order of their keys.
    Exact(Vec<u32>),
    Network(Networks),
}

impl Rows {
    fn new(mut cells: Cells, settings: &Settings) -> anyhow::Result<Self> {
        cells.text.shrink_to_fit();
        let name = settings.key();
        let key = cells.fields.iter().position(|field| field == name);
        let key =
            key.with_context(|| format!("no column is called {name:?}, which `key` names"))?;
        let count = u32::try_from(cells.lines.len()).expect("max_rows is smaller");
        for row in 0..count {
            let line = cells.lines[row as usize];
            let value = cells.get(row, key);
            ensure!(
                value.kind == Kind::String && !value.text.is_empty(),
                "line {line}: the key {name:?} is empty or no string"
            );
        }
        let twice = |a: u32, b: u32| {
            let (first, second) = (cells.lines[a as usize], cells.lines[b as usize]);
            anyhow::anyhow!("line {second}: the key {name:?} is that of line {first}")
        };
        let index = match settings.matches() {
            MatchKind::Exact => {
                let mut rows: Vec<u32> = (0..count).collect();
                rows.sort_by(|a, b| cells.get(*a, key).text.cmp(&cells.get(*b, key).text));
                for pair in rows.windows(2) {
                    if cells.get(pair[0], key) == cells.get(pair[1], key) {
                        return Err(twice(pair[0], pair[1]));
                    }
                }
                Index::Exact(rows)
            }
            MatchKind::Network => {
                let network = |row: u32| {
                    let line = cells.lines[row as usize];
                    Network::parse(&cells.get(row, key).text)
                        .map_err(|what| anyhow::anyhow!("line {line}: the key {name:?} {what}"))
                };
                let networks: Vec<_> = (0..count).map(network).collect::<Result<_, _>>()?;
                Index::Network(Networks::new(&networks).map_err(|(a, b)| twice(a, b))?)
            }
        };
        Ok(Self { cells, key, index })
    }

    fn column(&self, field: &str) -> Option<usize> {
        self.cells.fields.iter().position(|known| known == field)
    }

    fn get(&self, field: &str, key: &str) -> Value<'_> {
        let row = match &self.index {
            Index::Network(networks) => networks.find(key),
            Index::Exact(rows) => rows
                .binary_search_by(|row| (*self.cells.get(*row, self.key).text).cmp(key))
                .ok()
                .map(|at| rows[at]),
        };
        match (row, self.column(field)) {
            (Some(row), Some(column)) => self.cells.get(row, column),
            _ => Value::default(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
pub(super) mod tests {
    use std::io::Write as _;

    use super::*;

    /// Loads a table from these bytes.
    pub(in crate::lookup) fn load(bytes: &[u8], settings: &str) -> anyhow::Result<Table> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let mut settings: serde_json::Value = serde_json::from_str(settings).unwrap();
        settings["path"] = file.path().to_str().unwrap().into();
        Table::load(&serde_json::from_value(settings).unwrap())
    }

    /// What is wrong with a file, without the part that names it.
    pub(in crate::lookup) fn wrong(bytes: &[u8], settings: &str) -> String {
        let text = format!("{:#}", load(bytes, settings).unwrap_err());
        let (named, text) = text.split_once(": ").unwrap();
        assert!(named.starts_with("failed to read table /"), "{named}");
        text.to_owned()
    }

    pub(in crate::lookup) fn get(table: &Table, field: &str, key: &str) -> (Kind, String) {
        let value = table.get(field, key).unwrap();
        (value.kind, value.text.into_owned())
    }

    const EXACT: &str = r#"{"format":"csv","key":"account"}"#;

    #[test]
    fn keys_match_exactly_and_fields_are_found_by_name() {
        let csv = b"account,team,owner\n222,ops,\n111,dev,ada\n333,\"a, b\",c\n";
        let table = load(csv, EXACT).unwrap();
        let string = |text: &str| (Kind::String, text.to_owned());
        assert_eq!(get(&table, "team", "111"), string("dev"));
        assert_eq!(get(&table, "team", "333"), string("a, b"));
        assert_eq!(get(&table, "account", "222"), string("222"));
        assert_eq!(get(&table, "owner", "222"), (Kind::Absent, String::new()));
        assert_eq!(get(&table, "team", "11"), (Kind::Absent, String::new()));
        assert!(table.has_field("owner") && !table.has_field("Owner"));
        assert_eq!(table.rows(), 3);
    }

    #[test]
    fn a_key_that_is_missing_empty_or_repeated_is_an_error_with_its_line() {
        assert_eq!(
            wrong(b"acct,team\n1,2\n", EXACT),
            "no column is called \"account\", which `key` names"
        );
        assert_eq!(
            wrong(b"account,team\n1,2\n,3\n", EXACT),
            "line 3: the key \"account\" is empty or no string"
        );
        assert_eq!(
            wrong(b"account,team\n1,2\n2,3\n1,4\n", EXACT),
            "line 4: the key \"account\" is that of line 2"
        );
    }

    #[test]
    fn networks_are_strict_too() {
        let settings = r#"{"format":"csv","key":"net","match":"network"}"#;
        let table = load(b"net,zone\n10.0.0.0/8,inner\n10.1.0.0/16,dmz\n", settings).unwrap();
        assert_eq!(get(&table, "zone", "10.1.2.3").1, "dmz");
        assert_eq!(get(&table, "zone", "10.2.2.3").1, "inner");
        assert_eq!(
            wrong(b"net,zone\n10.0.0.0/8,a\n10.0.0.1/8,b\n", settings),
            "line 3: the key \"net\" has bits beyond its prefix"
        );
        assert_eq!(
            wrong(b"net,zone\n10.0.0.0/8,a\n10.0.0.0/8,b\n", settings),
            "line 3: the key \"net\" is that of line 2"
        );
    }

    #[test]
    fn a_file_that_is_too_large_or_not_there_is_an_error() {
        let few = r#"{"format":"csv","key":"k","max_bytes":1024,"max_rows":2}"#;
        assert_eq!(
            wrong(b"k\n1\n2\n3\n", few),
            "line 4: more than 2 rows; max_rows allows more"
        );
        assert_eq!(
            wrong(&[b'x'; 1_025], few),
            "has more than 1024 bytes; max_bytes allows more"
        );
        let folder = tempfile::tempdir().unwrap();
        let settings = |path: &Path| -> Settings {
            serde_json::from_value(serde_json::json!({"path": path, "format": "csv", "key": "k"}))
                .unwrap()
        };
        let text = |path: &Path| format!("{:#}", Table::load(&settings(path)).unwrap_err());
        assert!(text(&folder.path().join("none")).contains("No such file"));
        assert!(
            text(folder.path()).contains("is not a file")
                || text(folder.path()).contains("directory")
        );
    }
}
