//! The interface `lookup`: the operator's tables, for the plugins that are granted them.

use super::{
    abi::{Column, host::lookup},
    guest::Guest,
    reach::Reach,
};

impl lookup::Host for Guest {
    fn query(
        &mut self,
        table: String,
        field: String,
        keys: Vec<String>,
    ) -> Result<Column, lookup::Error> {
        self.reach.query(&table, &field, &keys)
    }
}

impl Reach {
    fn query(
        &mut self,
        table: &str,
        field: &str,
        keys: &[String],
    ) -> Result<Column, lookup::Error> {
        // Before anything else: a plugin learns nothing of tables that are not its own. While it is
        // configured it can tell by this that it is told of a table which it may not use.
        if !self.grants.lookup.iter().any(|granted| granted == table) {
            return Err(lookup::Error::NotGranted);
        }
        let batch = self.batch.as_mut().ok_or(lookup::Error::Unavailable)?;
        let Some(tables) = &self.services.tables else {
            self.unanswered("query", &"this host keeps no tables");
            return Err(lookup::Error::Unavailable);
        };
        let table = tables.get(table).ok_or(lookup::Error::NoSuchTable)?;
        if !table.has_field(field) {
            return Err(lookup::Error::NoSuchField);
        }
        let count = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        let Some(left) = batch.lookups_left.checked_sub(count) else {
            let why = format!("more than {} keys in one batch", self.limits.lookup_keys);
            self.unanswered("query", &why);
            return Err(lookup::Error::Unavailable);
        };
        batch.lookups_left = left;
        let most = self.limits.output_bytes;
        column(&table, field, keys, most).map_err(|error| {
            self.unanswered("query", &error);
            lookup::Error::Unavailable
        })
    }
}

/// One field of the entry of each key.
fn column(
    table: &crate::lookup::Table,
    field: &str,
    keys: &[String],
    most_bytes: usize,
) -> anyhow::Result<Column> {
    let mut column = Column {
        kinds: Vec::with_capacity(keys.len()),
        offsets: Vec::with_capacity(keys.len() + 1),
        data: Vec::new(),
    };
    column.offsets.push(0);
    for key in keys {
        let value = table.get(field, key)?;
        anyhow::ensure!(
            column.data.len() + value.text.len() <= most_bytes,
            "an answer of more than {most_bytes} bytes"
        );
        column.kinds.push(value.kind as u8);
        column.data.extend_from_slice(value.text.as_bytes());
        let end = u32::try_from(column.data.len());
        column
            .offsets
            .push(end.expect("output_bytes is at most 64 MiB"));
    }
    Ok(column)
}
