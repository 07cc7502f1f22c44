//! What the operator may set, and the questions that rules ask of it.

use std::net::IpAddr;

use sluicegate_plugin::configuration;

use crate::network::{Network, address};

/// What the operator may set.
#[configuration]
#[serde(default)]
pub struct Config {
    /// Matches of one rule by one principal within so many seconds are one finding.
    #[schemars(range(min = 60, max = 86400))]
    pub window_s: u32,
    /// Accounts whose access is expected besides the event's own: the organization's, and those of vendors.
    pub trusted_accounts: Vec<String>,
    /// ARNs of users and roles that are kept for emergencies.
    pub break_glass: Vec<String>,
    /// Names of the buckets that trails are kept in.
    pub trail_buckets: Vec<String>,
    /// Identifiers, ARNs or aliases of the keys that trails are encrypted with.
    pub trail_keys: Vec<String>,
    /// Networks that instances call from, such as `192.0.2.0/24`; without any, their addresses are not judged.
    pub instance_networks: Vec<String>,
    /// Families of instances that are unusual here: the letters that their types begin with.
    pub instance_families: Vec<String>,
    /// So many instances asked for by one call are unusual.
    #[schemars(range(min = 2, max = 10000))]
    pub instances_at_once: u32,
    /// So many parameters decrypted by one call of a person are a finding; the API takes ten at most.
    #[schemars(range(min = 2, max = 1000))]
    pub parameters_at_once: u32,
    /// A lifecycle rule that deletes after so many days, or sooner, is a finding.
    #[schemars(range(min = 1, max = 3650))]
    pub lifecycle_days: u32,
    /// Ports that may be open to the world.
    pub open_ports: Vec<u16>,
    /// Words in a user agent, in lower case, that name a tool of attackers.
    pub attack_agents: Vec<String>,
    /// Principals that rules are not about.
    pub exceptions: Vec<Exception>,
}

/// Rules that are silent about some principals.
#[configuration]
pub struct Exception {
    /// Identifiers of rules.
    pub rules: Vec<String>,
    /// ARNs of users and roles, where `*` stands for any text.
    pub principals: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        Self {
            window_s: 3600,
            trusted_accounts: Vec::new(),
            break_glass: Vec::new(),
            trail_buckets: Vec::new(),
            trail_keys: Vec::new(),
            instance_networks: Vec::new(),
            instance_families: texts(&["p", "g", "gr", "trn", "inf", "dl", "vt", "hpc", "u-"]),
            instances_at_once: 20,
            parameters_at_once: 10,
            lifecycle_days: 7,
            open_ports: vec![80, 443],
            attack_agents: texts(&[
                "trufflehog",
                "kali",
                "parrot",
                "pentoo",
                "blackarch",
                "pacu",
                "cloudfox",
            ]),
            exceptions: Vec::new(),
        }
    }
}

/// More than anyone lists by hand, and few enough to be compared one by one.
const MOST: usize = 1_000;

impl Config {
    /// Checks what the schema only shows.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (name, value, least, most) in [
            ("window_s", self.window_s, 60, 86_400),
            ("instances_at_once", self.instances_at_once, 2, 10_000),
            ("parameters_at_once", self.parameters_at_once, 2, 1_000),
            ("lifecycle_days", self.lifecycle_days, 1, 3_650),
        ] {
            if !(least..=most).contains(&value) {
                return Err(format!(
                    "{name} must be between {least} and {most}, got {value}"
                ));
            }
        }
        for (name, list) in [
            ("trusted_accounts", &self.trusted_accounts),
            ("break_glass", &self.break_glass),
            ("trail_buckets", &self.trail_buckets),
            ("trail_keys", &self.trail_keys),
            ("instance_networks", &self.instance_networks),
            ("instance_families", &self.instance_families),
            ("attack_agents", &self.attack_agents),
        ] {
            at_most(name, list.len())?;
            if list.iter().any(String::is_empty) {
                return Err(format!("{name} must not hold an empty text"));
            }
        }
        let is_account =
            |text: &&String| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
        if let Some(wrong) = self.trusted_accounts.iter().find(|text| !is_account(text)) {
            return Err(format!(
                "trusted_accounts must be numbers of twelve digits, got `{wrong}`"
            ));
        }
        if let Some(wrong) = self
            .break_glass
            .iter()
            .find(|text| !text.starts_with("arn:"))
        {
            return Err(format!("break_glass must be ARNs, got `{wrong}`"));
        }
        at_most("exceptions", self.exceptions.len())?;
        self.exceptions.iter().try_for_each(Exception::check)?;
        self.networks().map(drop)
    }

    /// The networks of instances.
    pub(crate) fn networks(&self) -> Result<Vec<Network>, String> {
        let parse = |text: &String| {
            Network::parse(text).ok_or_else(|| {
                format!("instance_networks must be networks such as 192.0.2.0/24, got `{text}`")
            })
        };
        self.instance_networks.iter().map(parse).collect()
    }

    /// Whether a rule is silent about a principal.
    pub(crate) fn excepts(&self, rule: &str, principal: &str) -> bool {
        self.exceptions.iter().any(|exception| {
            exception.rules.iter().any(|id| id == rule)
                && exception
                    .principals
                    .iter()
                    .any(|pattern| fits(pattern, principal))
        })
    }
}

impl Exception {
    fn check(&self) -> Result<(), String> {
        at_most("exceptions.rules", self.rules.len())?;
        at_most("exceptions.principals", self.principals.len())?;
        let unknown = |id: &&String| !detections::CLOUDTRAIL.iter().any(|rule| rule.id == **id);
        match self.rules.iter().find(unknown) {
            Some(id) => Err(format!(
                "exceptions.rules must be rules of this plugin, got `{id}`"
            )),
            None => Ok(()),
        }
    }
}

fn at_most(name: &str, length: usize) -> Result<(), String> {
    if length > MOST {
        return Err(format!(
            "{name} must have at most {MOST} entries, got {length}"
        ));
    }
    Ok(())
}

/// Whether a text is what a pattern says, where `*` stands for any text.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(start) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    // The first place a part fits leaves the most for those that follow.
    for part in parts {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(end)
}

/// Whether an address is none of these networks; what is no address, such as a service's name, is none
/// that could be judged.
pub(crate) fn is_outside(networks: &[Network], text: &str) -> bool {
    address(text).is_some_and(|ip: IpAddr| !networks.iter().any(|network| network.has(ip)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whole_texts() {
        for (pattern, text) in [
            ("abc", "abc"),
            ("a*", "abc"),
            ("*c", "abc"),
            ("a*c", "abc"),
            ("*", ""),
            ("a**c", "ac"),
            ("*b*b*", "abab"),
            (
                "arn:aws:iam::*:role/deploy-*",
                "arn:aws:iam::1:role/deploy-x",
            ),
        ] {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("abc", "abcd"),
            ("a*b", "a"),
            ("a*a", "a"),
            ("*b*b", "ab"),
            ("", "a"),
        ] {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn only_addresses_are_judged() {
        let networks = [Network::parse("10.0.0.0/8").expect("a network")];
        assert!(is_outside(&networks, "192.0.2.1"));
        assert!(!is_outside(&networks, "10.1.2.3"));
        for no_address in ["ec2.amazonaws.com", "AWS Internal", "", "300.1.1.1"] {
            assert!(!is_outside(&networks, no_address), "{no_address}");
        }
    }
}
