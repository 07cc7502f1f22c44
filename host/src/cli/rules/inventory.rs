//! All rules, those of the catalogue and those of Sigma packs, in one form.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use sigma::{Options, Pack, Source};

use crate::plugin::inline;

/// Every rule, the catalogue's first.
#[derive(Debug)]
pub(super) struct Inventory {
    pub(super) rules: Vec<Rule>,
}

/// What became of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It takes part.
    Active,
    /// It does not compile: line and reason.
    Refused(String),
    /// It is about something else.
    Skipped(String),
}

/// What is known of a rule.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) severity: &'static str,
    /// ATT&CK techniques, as `T1078.004`.
    pub(super) techniques: Vec<String>,
    /// ATT&CK tactics, as `Initial Access`.
    pub(super) tactics: Vec<String>,
    /// The plugin, or file and line.
    pub(super) place: String,
    pub(super) state: State,
    /// What must hold; nothing where the rule is code.
    pub(super) condition: String,
    /// Why the rule exists.
    pub(super) rationale: String,
    pub(super) false_positives: Vec<String>,
    pub(super) references: Vec<String>,
    /// Whether a Sigma pack has it.
    pub(super) from_pack: bool,
}

impl Inventory {
    /// Reads and compiles packs.
    ///
    /// # Errors
    /// When a pack cannot be read. A rule that does not compile is no error.
    pub(super) fn new(
        packs: &[PathBuf],
        placeholders: BTreeMap<String, Vec<String>>,
    ) -> anyhow::Result<Self> {
        let mut rules: Vec<Rule> = detections::all().map(of_catalogue).collect();
        let options = Options {
            placeholders,
            readable: true,
        };
        // All packs together, as one plugin compiles them: two rules of one id are told of.
        let mut files = Vec::new();
        for pack in packs {
            files.extend(inline::files(pack)?);
        }
        let sources = files.iter().map(|(path, text)| Source { path, text });
        let pack = Pack::compile(sources, &options).map_err(anyhow::Error::msg)?;
        rules.extend(pack.rules().iter().map(of_pack));
        Ok(Self { rules })
    }

    /// The rules of this id, or in a file of this name.
    pub(super) fn named(&self, name: &str) -> Vec<&Rule> {
        let in_file = |rule: &Rule| {
            let file = rule.place.rsplit_once(':').map(|(file, _)| Path::new(file));
            let file = file.filter(|_| rule.from_pack);
            file.is_some_and(|file| {
                [file.file_name(), file.file_stem()].contains(&Some(name.as_ref()))
            })
        };
        let rules = self.rules.iter();
        rules
            .filter(|rule| rule.id.eq_ignore_ascii_case(name) || in_file(rule))
            .collect()
    }
}

fn of_catalogue((plugin, rule): (&'static str, &'static detections::Rule)) -> Rule {
    let texts = |texts: &[&str]| -> Vec<String> {
        let some = texts.iter().filter(|text| !text.is_empty());
        some.map(|text| (*text).to_owned()).collect()
    };
    Rule {
        id: rule.id.to_owned(),
        title: rule.title.to_owned(),
        description: rule.description.to_owned(),
        severity: rule.severity.as_str(),
        techniques: texts(rule.techniques),
        tactics: texts(&[rule.tactic]),
        place: plugin.to_owned(),
        state: State::Active,
        condition: String::new(),
        rationale: rule.rationale.to_owned(),
        false_positives: texts(&[rule.false_positives]),
        references: Vec::new(),
        from_pack: false,
    }
}

fn of_pack(rule: &sigma::Rule) -> Rule {
    Rule {
        id: rule.id.clone(),
        title: rule.title.clone(),
        description: rule.description.clone(),
        severity: rule.level.as_str(),
        techniques: rule.techniques().collect(),
        tactics: rule.tactics().collect(),
        place: format!("{}:{}", rule.path, rule.line),
        state: match &rule.state {
            sigma::State::Compiled => State::Active,
            sigma::State::Refused(fault) => State::Refused(fault.to_string()),
            sigma::State::Skipped(reason) => State::Skipped(reason.clone()),
        },
        condition: rule.condition.clone(),
        rationale: String::new(),
        false_positives: rule.false_positives.clone(),
        references: rule.references.clone(),
        from_pack: true,
    }
}
