//! `MaxMind` databases: records by network, in a format that many vendors publish in.

use std::net::IpAddr;

use anyhow::Context as _;
use maxminddb::{MaxMindDbError, PathElement, Reader};

use super::table::Value;
use crate::columns::Kind;

/// A database in memory.
pub(super) struct Mmdb(Reader<Vec<u8>>);

impl Mmdb {
    /// Takes the bytes of a file and looks at all of them once, so that a damaged file is refused now and
    /// not at some query.
    pub(super) fn new(bytes: Vec<u8>) -> anyhow::Result<Self> {
        let reader = Reader::from_source(bytes).context("is no MaxMind database")?;
        reader.verify().context("is a damaged MaxMind database")?;
        Ok(Self(reader))
    }

    /// What stands at a path of the record of an address; nothing for a text that is no address, and
    /// where the record has no such path.
    pub(super) fn get(&self, field: &str, key: &str) -> anyhow::Result<Value<'static>> {
        let Ok(address) = key.parse::<IpAddr>() else {
            return Ok(Value::default());
        };
        let path: Vec<PathElement<'_>> = field.split('.').map(PathElement::Key).collect();
        let found = self
            .0
            .lookup(address.to_canonical())
            .and_then(|record| record.decode_path::<serde_json::Value>(&path));
        match found {
            Ok(value) => Ok(value.map_or_else(Value::default, owned)),
            // An IPv6 address in a database of IPv4, or a path through something that is no map.
            Err(MaxMindDbError::InvalidInput { .. } | MaxMindDbError::Decoding { .. }) => {
                Ok(Value::default())
            }
            Err(error) => Err(error).context("the database is damaged"),
        }
    }

    /// Nodes of the search tree.
    pub(super) fn nodes(&self) -> u64 {
        u64::from(self.0.metadata().node_count)
    }
}

impl std::fmt::Debug for Mmdb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mmdb")
            .field("nodes", &self.nodes())
            .finish()
    }
}

fn owned(value: serde_json::Value) -> Value<'static> {
    use serde_json::Value as Json;
    let (kind, text) = match value {
        Json::Null => return Value::default(),
        Json::String(text) => (Kind::String, text),
        Json::Number(number) => (Kind::Number, number.to_string()),
        Json::Bool(value) => (Kind::Boolean, value.to_string()),
        value @ Json::Array(_) => (Kind::Array, value.to_string()),
        value @ Json::Object(_) => (Kind::Object, value.to_string()),
    };
    Value {
        kind,
        text: text.into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::lookup::{
        mmdb_writer::database,
        table::tests::{get, load, wrong},
    };

    const SETTINGS: &str = r#"{"format":"mmdb"}"#;

    fn sample() -> Vec<u8> {
        let de =
            json!({ "country": { "iso_code": "DE", "in_eu": true }, "asn": 64_500, "tags": ["a"] });
        database(&[
            ("192.0.2.0/24", de),
            ("198.51.100.0/25", json!({ "country": "flat" })),
        ])
    }

    #[test]
    fn a_field_is_a_path_into_the_record() {
        let table = load(&sample(), SETTINGS).unwrap();
        let text = |field, key| get(&table, field, key);
        assert_eq!(
            text("country.iso_code", "192.0.2.9"),
            (Kind::String, "DE".into())
        );
        assert_eq!(text("country.iso_code", "::ffff:192.0.2.9").1, "DE");
        assert_eq!(
            text("country.in_eu", "192.0.2.9"),
            (Kind::Boolean, "true".into())
        );
        assert_eq!(text("asn", "192.0.2.9"), (Kind::Number, "64500".into()));
        assert_eq!(text("tags", "192.0.2.9"), (Kind::Array, "[\"a\"]".into()));
        assert_eq!(text("country", "192.0.2.9").0, Kind::Object);
        for (field, key) in [
            ("country.name", "192.0.2.9"),
            ("asn.name", "192.0.2.9"),
            ("country.iso_code", "198.51.100.1"),
            ("country", "198.51.100.200"),
            ("country", "2001:db8::1"),
            ("country", "AWS Internal"),
            ("", "192.0.2.9"),
        ] {
            assert_eq!(
                text(field, key),
                (Kind::Absent, String::new()),
                "{field} {key}"
            );
        }
        assert!(table.has_field("anything"));
    }

    #[test]
    fn a_file_that_is_no_database_or_a_damaged_one_is_refused() {
        assert!(wrong(b"account,team\n", SETTINGS).starts_with("is no MaxMind database: "));
        let mut damaged = sample();
        // A record of the tree that points far behind the data.
        damaged[0] = 0xff;
        assert!(wrong(&damaged, SETTINGS).contains("MaxMind database: "));
        let cut = &sample()[..200];
        assert!(wrong(cut, SETTINGS).contains("MaxMind database: "));
    }
}
