//! Which techniques of ATT&CK are found, and by how many rules.

use std::collections::{BTreeMap, BTreeSet};

use detections::TACTICS;

use super::{
    attack::{self, TECHNIQUES},
    inventory::{Inventory, Rule, State},
};
use crate::text::shown;

/// The matrix: tactic by tactic, technique by technique.
#[derive(Debug)]
pub(super) struct Coverage {
    pub(super) tactics: Vec<Tactic>,
    /// Techniques of the matrix that some rule finds, and all of them.
    pub(super) found: usize,
    pub(super) known: usize,
    /// Rules that name no technique.
    pub(super) without: usize,
}

#[derive(Debug)]
pub(super) struct Tactic {
    pub(super) name: &'static str,
    pub(super) techniques: Vec<Technique>,
}

#[derive(Debug)]
pub(super) struct Technique {
    pub(super) id: String,
    pub(super) name: &'static str,
    pub(super) rules: Vec<Found>,
}

/// A rule that finds a technique.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) from_pack: bool,
}

impl Coverage {
    /// Holds the rules that take part against the matrix. A rule that names a technique is under each
    /// tactic of the technique, and who finds a part of one finds the technique. A technique that the
    /// matrix does not have is under the rule's own tactics.
    pub(super) fn of(inventory: &Inventory) -> Self {
        let mut cells: BTreeMap<(usize, String), BTreeSet<Found>> = BTreeMap::new();
        for technique in TECHNIQUES {
            for tactic in technique.tactics {
                cells
                    .entry((attack::column(tactic), technique.id.to_owned()))
                    .or_default();
            }
        }
        let mut without = 0;
        let active = inventory
            .rules
            .iter()
            .filter(|rule| rule.state == State::Active);
        for rule in active {
            without += usize::from(rule.techniques.is_empty());
            let parents = rule.techniques.iter().filter_map(|id| attack::parent(id));
            let techniques: BTreeSet<&str> = rule
                .techniques
                .iter()
                .map(String::as_str)
                .chain(parents)
                .collect();
            for id in techniques {
                for column in columns(id, rule) {
                    let found = cells.entry((column, id.to_owned())).or_default();
                    found.insert(Found {
                        id: rule.id.clone(),
                        title: rule.title.clone(),
                        from_pack: rule.from_pack,
                    });
                }
            }
        }
        let found: BTreeSet<&str> = cells
            .iter()
            .filter(|((_, id), rules)| !rules.is_empty() && attack::technique(id).is_some())
            .map(|((_, id), _)| id.as_str())
            .collect();
        let found = found.len();
        let mut tactics: Vec<Tactic> = TACTICS
            .iter()
            .map(|&name| Tactic {
                name,
                techniques: Vec::new(),
            })
            .collect();
        for ((column, id), rules) in cells {
            tactics[column].techniques.push(Technique {
                name: attack::technique(&id).map_or("", |known| known.name),
                id,
                rules: rules.into_iter().collect(),
            });
        }
        tactics.retain(|tactic| !tactic.techniques.is_empty());
        Self {
            tactics,
            found,
            known: TECHNIQUES.len(),
            without,
        }
    }

    /// The matrix as text.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for tactic in &self.tactics {
            let some = tactic
                .techniques
                .iter()
                .filter(|technique| !technique.rules.is_empty());
            lines.push(format!(
                "{} ({} of {})",
                tactic.name,
                some.count(),
                tactic.techniques.len()
            ));
            for technique in &tactic.techniques {
                let packs = technique.rules.iter().filter(|rule| rule.from_pack).count();
                let own = technique.rules.len() - packs;
                let count = match (own, packs) {
                    (0, 0) => "-".to_owned(),
                    (own, 0) => format!("{own}"),
                    (own, packs) => format!("{own} + {packs} Sigma"),
                };
                let id = shown(&technique.id);
                lines.push(format!("  {id:<10} {:<52} {count}", technique.name));
            }
        }
        lines.push(self.summary());
        lines
    }

    /// One line about the whole.
    pub(super) fn summary(&self) -> String {
        format!(
            "{} of {} techniques for cloud infrastructure are found; {} rules name no technique",
            self.found, self.known, self.without
        )
    }
}

/// The columns in which a rule that names a technique stands.
fn columns(technique: &str, rule: &Rule) -> Vec<usize> {
    if let Some(known) = attack::technique(technique) {
        let tactics = known.tactics.iter();
        return tactics.map(|tactic| attack::column(tactic)).collect();
    }
    let named = rule.tactics.iter();
    named
        .filter_map(|tactic| TACTICS.iter().position(|known| known == tactic))
        .collect()
}
