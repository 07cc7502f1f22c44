//! Tables as JSON: an array of objects, of which the members are the fields.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;
use serde_json::value::RawValue;

use super::{settings::Settings, table::Cells};
use crate::{columns::Kind, text::shown};

/// Fields at the most.
const MAX_FIELDS: usize = 256;

/// Reads all rows.
///
/// # Errors
/// Names the line, and says what is wrong there.
pub(super) fn read(bytes: &[u8], settings: &Settings) -> anyhow::Result<Cells> {
    let rows: Vec<&RawValue> = serde_json::from_slice(bytes).map_err(|error| {
        anyhow::anyhow!("line {}: is no JSON array of objects", error.line().max(1))
    })?;
    let mut lines = Lines {
        bytes,
        at: 0,
        line: 1,
    };
    let mut parsed: Vec<(usize, BTreeMap<String, &RawValue>)> = Vec::new();
    let mut fields: BTreeSet<String> = BTreeSet::new();
    for row in rows {
        let line = lines.of(row.get());
        let members: Members<'_> = serde_json::from_str(row.get())
            .map_err(|error| anyhow::anyhow!("line {line}: {}", why(&error)))?;
        for name in members.0.keys() {
            if !fields.contains(name) {
                fields.insert(name.clone());
            }
        }
        ensure!(
            fields.len() <= MAX_FIELDS,
            "line {line}: more than {MAX_FIELDS} fields"
        );
        ensure!(
            parsed.len() < settings.max_rows as usize,
            "line {line}: more than {} rows; max_rows allows more",
            settings.max_rows
        );
        parsed.push((line, members.0));
    }
    let fields: Vec<String> = fields.into_iter().collect();
    let mut cells = Cells::new(fields.clone());
    for (line, members) in parsed {
        cells.begin(line, settings.max_rows)?;
        for field in &fields {
            match members.get(field).map(|value| value.get()) {
                None | Some("null") => cells.push(Kind::Absent, ""),
                Some(text) if text.starts_with('"') => {
                    let text: String = serde_json::from_str(text)
                        .map_err(|_| anyhow::anyhow!("line {line}: a string is not UTF-8"))?;
                    cells.push(Kind::String, &text);
                }
                Some(text) => cells.push(Kind::of(text.as_bytes()[0]), text),
            }
        }
    }
    Ok(cells)
}

/// The members of an object, none of them twice.
struct Members<'a>(BTreeMap<String, &'a RawValue>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    if members.contains_key(&name) {
                        let twice = format!("has `{}` twice", shown(&name));
                        return Err(serde::de::Error::custom(twice));
                    }
                    members.insert(name, value);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Visitor)
    }
}

/// The error without its place, which is one within the row.
fn why(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.starts_with("has `") {
        text.split(" at line").next().unwrap_or_default().to_owned()
    } else {
        "is no object".to_owned()
    }
}

/// Counts lines up to a row, for rows in their order.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line that this part of the bytes begins on.
    fn of(&mut self, part: &str) -> usize {
        let start = part
            .as_ptr()
            .addr()
            .saturating_sub(self.bytes.as_ptr().addr());
        let before = self.bytes.get(self.at..start).unwrap_or_default();
        self.line += memchr::memchr_iter(b'\n', before).count();
        self.at = start.max(self.at);
        self.line
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use crate::{
        columns::Kind,
        lookup::table::tests::{get, load, wrong},
    };

    const SETTINGS: &str = r#"{"format":"json","key":"k","max_rows":3}"#;

    #[test]
    fn every_kind_of_value_keeps_its_kind() {
        let json = br#"[{"k":"a","s":"\u00e9","n":1.50,"b":true,"o":{"x": [1]},"l":[],"z":null},
            {"k":"b"}]"#;
        let table = load(json, SETTINGS).unwrap();
        for (field, kind, text) in [
            ("s", Kind::String, "é"),
            ("n", Kind::Number, "1.50"),
            ("b", Kind::Boolean, "true"),
            ("o", Kind::Object, r#"{"x": [1]}"#),
            ("l", Kind::Array, "[]"),
            ("z", Kind::Absent, ""),
        ] {
            assert_eq!(get(&table, field, "a"), (kind, text.to_owned()), "{field}");
            assert_eq!(get(&table, field, "b").0, Kind::Absent, "{field}");
        }
        assert!(!table.has_field("y"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (json, expected) in [
            (
                "[{\"k\":\"a\"},\n{\"k\":\"b\",\n\"k\":\"c\"}]",
                "line 2: has `k` twice",
            ),
            ("[{\"k\":\"a\"},\n\n7]", "line 3: is no object"),
            (
                "[{\"k\":\"a\"},\n{\"k\":]",
                "line 2: is no JSON array of objects",
            ),
            ("{}", "line 1: is no JSON array of objects"),
            ("", "line 1: is no JSON array of objects"),
            (
                "[{\"k\":\"a\"},\n{\"k\":5}]",
                "line 2: the key \"k\" is empty or no string",
            ),
            (
                "[{\"k\":\"a\"},\n{\"v\":\"b\"}]",
                "line 2: the key \"k\" is empty or no string",
            ),
            (
                "[{\"k\":\"a\"},\n{\"k\":\"\"}]",
                "line 2: the key \"k\" is empty or no string",
            ),
            (
                "[{\"k\":\"a\"},\n{\"k\":\"\\ud800\"}]",
                "line 2: a string is not UTF-8",
            ),
            (
                "[{\"v\":1}]",
                "no column is called \"k\", which `key` names",
            ),
            (
                "[{\"k\":\"1\"},{\"k\":\"2\"},{\"k\":\"3\"},\n{\"k\":\"4\"}]",
                "line 2: more than 3 rows; max_rows allows more",
            ),
        ] {
            assert_eq!(wrong(json.as_bytes(), SETTINGS), expected, "{json}");
        }
        let wide: Vec<String> = (0..300).map(|number| format!("\"f{number}\":1")).collect();
        let wide = format!("[{{{}}}]", wide.join(","));
        assert_eq!(
            wrong(wide.as_bytes(), SETTINGS),
            "line 1: more than 256 fields"
        );
    }
}
