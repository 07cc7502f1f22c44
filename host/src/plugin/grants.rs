//! What the operator lets a plugin reach, against what the plugin asks for.

use serde::{Deserialize, Serialize};

use super::{
    abi,
    pointer::{covers, is_pointer},
};
use crate::config::Problems;

/// What a plugin may reach: `[plugins.<name>.grants]`. A plugin that asks for more is not loaded, and told
/// what is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// Whether it may count over windows and remember (the interface `state`). Default false.
    pub state: bool,
    /// Tables that it may look up in (the interface `lookup`); queries of others are refused. Default none.
    pub lookup: Vec<String>,
    /// Places of an event that it may see, as JSON Pointers; each stands for all that lies below it.
    /// Default `[""]`: the whole event.
    pub see: Vec<String>,
    /// Places of an event that it may mask, likewise. Default `[""]`: the whole event.
    pub mask: Vec<String>,
}

impl Default for Grants {
    fn default() -> Self {
        Self {
            state: false,
            lookup: Vec::new(),
            see: vec![String::new()],
            mask: vec![String::new()],
        }
    }
}

impl Grants {
    /// Reports every path that is none, and every table without a name. `at` is the section,
    /// `plugins.<name>.grants`.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        for (key, paths) in [("see", &self.see), ("mask", &self.mask)] {
            for path in paths.iter().filter(|path| !is_pointer(path)) {
                problems.push(format!(
                    "{at}.{key} must hold JSON Pointers such as \"/requestParameters\", got {path:?}"
                ));
            }
        }
        if self.lookup.iter().any(String::is_empty) {
            problems.push(format!("{at}.lookup must name tables, got an empty name"));
        }
    }

    /// What a plugin asks for and is not granted, for a person to read; empty where all is granted.
    ///
    /// The import of `lookup` asks for nothing by itself: which table is wanted, and whether any is, is
    /// known only by the query, and each query is held against `lookup`.
    pub(super) fn missing(
        &self,
        imports: &[&str],
        subscription: &abi::Subscription,
    ) -> Vec<String> {
        let mut missing = Vec::new();
        if imports.contains(&"state") && !self.state {
            missing.push("state = true".to_owned());
        }
        let conditions = subscription.matches.iter().flatten();
        let mut paths: Vec<&str> = conditions
            .map(|condition| condition.path.as_str())
            .chain(subscription.fields.iter().map(String::as_str))
            .filter(|path| !self.sees(path))
            .collect();
        paths.sort_unstable();
        paths.dedup();
        missing.extend(paths.into_iter().map(|path| format!("see {path:?}")));
        missing
    }

    /// Whether a plugin may see what lies at this path; what enrichment set may be seen by all.
    fn sees(&self, path: &str) -> bool {
        path.starts_with("/sluicegate/") || self.see.iter().any(|place| covers(place, path))
    }

    /// Whether a plugin may mask what lies at this path.
    pub(super) fn masks(&self, path: &str) -> bool {
        self.mask.iter().any(|place| covers(place, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::{Condition, Subscription, Test};

    fn wants(fields: &[&str], condition: &str) -> Subscription {
        Subscription {
            fields: fields.iter().map(|&field| field.to_owned()).collect(),
            matches: vec![vec![Condition {
                path: condition.to_owned(),
                test: Test::Present,
            }]],
        }
    }

    fn see(places: &[&str]) -> Grants {
        Grants {
            see: places.iter().map(|&place| place.to_owned()).collect(),
            ..Grants::default()
        }
    }

    #[test]
    fn by_default_a_plugin_sees_events_and_reaches_nothing_else() {
        let wanted = wants(&["", "/a"], "/b");
        assert_eq!(Grants::default().missing(&["log"], &wanted), [""; 0]);
        assert_eq!(
            Grants::default().missing(&["log", "lookup", "state"], &wanted),
            ["state = true"],
            "tables are asked for by name, when they are queried"
        );
    }

    #[test]
    fn what_lies_below_a_granted_place_is_granted_and_what_lies_above_is_not() {
        let grants = see(&["/userIdentity", "/eventName"]);
        let granted = wants(
            &["/userIdentity/arn", "/userIdentity", "/sluicegate/a/b"],
            "/eventName",
        );
        assert_eq!(grants.missing(&[], &granted), [""; 0]);
        let more = wants(&["", "/userIdentityX", "/userIdentity/*/a"], "/eventSource");
        assert_eq!(
            grants.missing(&[], &more),
            [
                r#"see """#,
                r#"see "/eventSource""#,
                r#"see "/userIdentityX""#
            ]
        );
    }

    #[test]
    fn a_star_asks_for_all_and_is_granted_by_a_star() {
        assert_eq!(
            see(&["/a/b"]).missing(&[], &wants(&["/a/*"], "/a/b")).len(),
            1
        );
        assert!(
            see(&["/a/*/c"])
                .missing(&[], &wants(&["/a/b/c", "/a/*/c/d"], "/a/b/c"))
                .is_empty()
        );
    }

    #[test]
    fn what_is_no_path_is_reported() {
        let mut problems = Problems::default();
        Grants {
            mask: vec!["requestParameters".to_owned()],
            lookup: vec![String::new()],
            ..Grants::default()
        }
        .validate("plugins.p.grants", &mut problems);
        assert_eq!(
            problems.lines(),
            [
                "plugins.p.grants.mask must hold JSON Pointers such as \"/requestParameters\", got \"requestParameters\"",
                "plugins.p.grants.lookup must name tables, got an empty name",
            ]
        );
    }
}
