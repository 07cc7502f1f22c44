//! What the operator's tables say of the events of a batch: one query a field, with each key once.

use std::collections::HashMap;

use sluicegate_plugin::{
    Batch, Field, Output, Row,
    lookup::{self, Error},
};

use crate::settings::Config;

/// Keys of one batch that are looked up in one table; the host allows 20,000 in all, by default.
const MOST_KEYS: usize = 2_000;
/// Longer texts are no account and no address.
const LONGEST: usize = 64;

/// A field of a table, and where it goes.
type Path = (&'static str, &'static str);

const ACCOUNT: &[Path] = &[
    ("name", "/account/name"),
    ("environment", "/account/environment"),
    ("owner", "/account/owner"),
];
const LOCATION: &[Path] = &[
    ("country.iso_code", "/network/country"),
    ("city.names.en", "/network/city"),
];
const ASN: &[Path] = &[
    ("autonomous_system_number", "/network/asn"),
    ("autonomous_system_organization", "/network/organization"),
];

/// The tables that are configured, and what they are asked about a batch.
pub(crate) struct Tables<'a, 'c> {
    config: &'c Config,
    accounts: Option<Keys<'a>>,
    addresses: Option<Keys<'a>>,
}

impl<'a, 'c> Tables<'a, 'c> {
    /// Gathers keys, where a table wants them.
    pub(crate) fn of(
        config: &'c Config,
        batch: &Batch<'a>,
        account: Option<Field>,
        address: Field,
    ) -> Self {
        let by_address = [&config.locations, &config.asn, &config.named_networks];
        let wanted = by_address.into_iter().any(Option::is_some);
        Self {
            config,
            accounts: account.map(|account| Keys::of(batch, account)),
            addresses: wanted.then(|| Keys::of(batch, address)),
        }
    }

    /// Names of the networks of rows.
    ///
    /// # Errors
    /// When the table does not answer.
    pub(crate) fn network_names(&self) -> Result<HashMap<u32, String>, String> {
        let mut names = HashMap::new();
        if let (Some(table), Some(addresses)) = (&self.config.named_networks, &self.addresses) {
            addresses.each(table, "name", |row, answers, at| {
                if let Some(name) = answers.str(at) {
                    names.insert(row.index(), name.to_owned());
                }
            })?;
        }
        Ok(names)
    }

    /// Adds what the other tables say.
    ///
    /// # Errors
    /// When a table does not answer; what it and those after it would have said is missing then.
    pub(crate) fn add(&self, out: &mut Output) -> Result<(), String> {
        if let (Some(table), Some(accounts)) = (&self.config.accounts, &self.accounts) {
            accounts.add(table, ACCOUNT, out)?;
        }
        if let Some(addresses) = &self.addresses {
            if let Some(table) = &self.config.locations {
                addresses.add(table, LOCATION, out)?;
            }
            if let Some(table) = &self.config.asn {
                addresses.add(table, ASN, out)?;
            }
        }
        Ok(())
    }
}

/// The distinct keys of a batch, and of each row which one it has.
struct Keys<'a> {
    rows: Vec<(Row<'a>, usize)>,
    distinct: Vec<&'a str>,
}

impl<'a> Keys<'a> {
    /// Texts of a field that some table may know.
    fn of(batch: &Batch<'a>, field: Field) -> Self {
        let mut positions = HashMap::new();
        let (mut rows, mut distinct) = (Vec::new(), Vec::new());
        for row in batch.rows() {
            let key = row.str(field).unwrap_or_default();
            if key.is_empty() || key.len() > LONGEST {
                continue;
            }
            let known = positions.get(key).copied();
            let Some(position) = known.or_else(|| {
                (distinct.len() < MOST_KEYS).then(|| {
                    positions.insert(key, distinct.len());
                    distinct.push(key);
                    distinct.len() - 1
                })
            }) else {
                continue;
            };
            rows.push((row, position));
        }
        Self { rows, distinct }
    }

    /// Looks the keys up and hands what is found, by row, to `put`.
    ///
    /// # Errors
    /// When the table does not answer. A field that it does not have is nothing.
    fn each(
        &self,
        table: &str,
        field: &str,
        mut put: impl FnMut(Row<'a>, &lookup::Answers, usize),
    ) -> Result<(), String> {
        if self.distinct.is_empty() {
            return Ok(());
        }
        let answers = match lookup::query(table, field, &self.distinct) {
            Ok(answers) => answers,
            Err(Error::NoSuchField) => return Ok(()),
            Err(error) => {
                return Err(format!(
                    "failed to look up {field} in table {table}: {error:?}"
                ));
            }
        };
        for &(row, position) in &self.rows {
            put(row, &answers, position);
        }
        Ok(())
    }

    /// Adds fields of a table.
    ///
    /// # Errors
    /// When the table does not answer.
    fn add(&self, table: &str, paths: &[Path], out: &mut Output) -> Result<(), String> {
        for (field, path) in paths {
            let mut column = out.column(path);
            self.each(table, field, |row, answers, at| {
                if let Some(text) = answers.str(at) {
                    column.str(row, text);
                } else if let Some(number) = answers.json(at).and_then(|json| json.parse().ok()) {
                    column.number(row, number);
                }
            })?;
            out.add(column);
        }
        Ok(())
    }
}
