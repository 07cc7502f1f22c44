//! What the operator may set. All of it is optional, and what is absent adds nothing.

use std::collections::BTreeMap;

use sluicegate_plugin::{configuration, lookup};

/// What the operator may set. Each table has to be named in `grants.lookup` too.
#[configuration]
#[derive(Default)]
#[serde(default)]
pub struct Config {
    /// Table of accounts by number, with `name`, `environment` and `owner`, or some of them.
    pub accounts: Option<String>,
    /// Table of the places of addresses, as a database has them: `country.iso_code`, `city.names.en`.
    pub locations: Option<String>,
    /// Table of the networks of the Internet: `autonomous_system_number`, `autonomous_system_organization`.
    pub asn: Option<String>,
    /// Table of networks with their `name`.
    pub named_networks: Option<String>,
    /// Names of networks, each with its networks and addresses; they come before those of the table.
    pub networks: BTreeMap<String, Vec<String>>,
}

impl Config {
    /// Refuses a table that is not granted. Nothing is answered yet, but that is.
    pub(crate) fn check_grants(&self) -> Result<(), String> {
        let tables = [
            ("accounts", &self.accounts),
            ("locations", &self.locations),
            ("asn", &self.asn),
            ("named_networks", &self.named_networks),
        ];
        for (setting, table) in tables {
            if let Some(table) = table
                && let Err(lookup::Error::NotGranted) = lookup::query(table, "", &[])
            {
                return Err(format!(
                    "{setting} names the table {table:?}, which `grants.lookup` does not"
                ));
            }
        }
        Ok(())
    }
}
