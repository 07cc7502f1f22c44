//! What the host reports when the guard has found a secret: a finding of its own, without the secret.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Caught, Finder, Secret, Values};
use crate::{
    finding::{EventFacts, HOST, Severity, Sighting},
    mask::Cleaner,
};

/// The rule of the finding.
const RULE: &str = "egress-guard";

/// Looks at findings before they are counted, and raises alarms.
#[derive(Debug)]
pub(crate) struct Watch {
    finder: Finder,
    /// Whether any sink that takes findings does more than count.
    findings: bool,
}

/// The secrets of a batch, by row.
#[derive(Debug, Default)]
pub(crate) struct Alarms(BTreeMap<usize, Row>);

#[derive(Debug, Default)]
struct Row {
    secrets: BTreeSet<Secret>,
    values: Values,
}

impl Alarms {
    /// Remembers what a guard has caught in an event.
    pub(crate) fn note(&mut self, row: usize, caught: Caught) {
        let known = self.0.entry(row).or_default();
        known.secrets.extend(caught.secrets);
        known.values.0.extend(caught.values.0);
    }
}

impl Row {
    fn cleaner(&self) -> Cleaner {
        let values = self.values.0.iter();
        Cleaner::of(values.map(|(value, marker)| (Cow::Borrowed(&value[..]), marker.as_str())))
    }
}

impl Watch {
    pub(crate) fn new(findings: bool) -> Self {
        Self {
            finder: Finder::default(),
            findings,
        }
    }

    /// Takes out of each event's findings what was caught in the event, and adds the alarms: one for each
    /// kind of secret in an event or in what plugins say of it. `facts` tells what is known of a row.
    pub(crate) fn over(
        &self,
        sightings: Vec<(usize, Sighting)>,
        mut alarms: Alarms,
        facts: impl Fn(usize) -> (Arc<EventFacts>, [u8; 16]),
    ) -> Vec<Sighting> {
        let mut all = Vec::with_capacity(sightings.len());
        for (row, mut sighting) in sightings {
            if let Some(caught) = alarms.0.get(&row) {
                let cleaner = caught.cleaner();
                sighting.each_text(&mut |text| *text = cleaner.clean(text).into_owned());
            }
            let secrets = self.secrets_of(&mut sighting);
            if !secrets.is_empty() {
                self.keep_out_of_id(&mut sighting);
                if self.findings {
                    alarms.0.entry(row).or_default().secrets.extend(secrets);
                }
            }
            all.push(sighting);
        }
        for (row, caught) in alarms.0 {
            let (mut event, identity) = facts(row);
            let cleaner = caught.cleaner();
            Arc::make_mut(&mut event).each_text(&mut |text| {
                if self.finder.find(text.as_bytes()).is_empty() {
                    *text = cleaner.clean(text).into_owned();
                } else {
                    text.clear();
                }
            });
            let alarm = |secret: &Secret| sighting(*secret, Arc::clone(&event), identity);
            all.extend(caught.secrets.iter().map(alarm));
        }
        all
    }

    /// A finding's identifier stands in dead letters and in the log: it takes nothing from a text with a
    /// secret.
    fn keep_out_of_id(&self, sighting: &mut Sighting) {
        let event = Arc::make_mut(&mut sighting.event);
        for text in [&mut sighting.rule, &mut event.account, &mut event.region] {
            if !self.finder.find(text.as_bytes()).is_empty() {
                text.clear();
            }
        }
    }

    /// The kinds of secrets in what a plugin reports.
    fn secrets_of(&self, sighting: &mut Sighting) -> BTreeSet<Secret> {
        let mut texts = Vec::new();
        sighting.each_text(&mut |text| {
            texts.extend_from_slice(text.as_bytes());
            texts.push(b'"');
        });
        let hits = self.finder.find(&texts);
        hits.into_iter().map(|hit| hit.secret).collect()
    }
}

fn sighting(secret: Secret, event: Arc<EventFacts>, identity: [u8; 16]) -> Sighting {
    let secret = secret.as_str();
    Sighting {
        plugin: HOST.to_owned(),
        rule: RULE.to_owned(),
        title: format!("Redaction let a secret pass: {secret}"),
        description: "The egress guard found a secret in what was about to leave: in an event, in what a \
            plugin added to it, or in a finding about it. Sinks got it masked or not at all, as their \
            egress_guard says; the object still holds it. Have the secret revoked, and mend the redaction."
            .to_owned(),
        severity: Severity::High,
        entity: vec![secret.to_owned()],
        window_s: 3600,
        attributes: vec![
            ("types".into(), "Sensitive Data Identifications/Passwords".into()),
            ("object".into(), event.object_url.clone()),
            ("index".into(), event.index.to_string()),
        ],
        event,
        identity,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "ghp_0123456789abcdefghijABCDEFGHIJ012345";

    fn sighting_of(user: &str, attribute: &str) -> Sighting {
        let event = EventFacts {
            user_name: user.into(),
            account: "123456789012".into(),
            ..EventFacts::default()
        };
        let mut sighting = sighting(Secret::Jwt, event.into(), [1; 16]);
        sighting.plugin = "detect".into();
        sighting.attributes.push(("what".into(), attribute.into()));
        sighting
    }

    fn facts(user: &str) -> (Arc<EventFacts>, [u8; 16]) {
        let Sighting { event, .. } = sighting_of(user, "");
        (event, [1; 16])
    }

    #[test]
    fn what_was_caught_in_an_event_is_in_none_of_its_findings() {
        let mut alarms = Alarms::default();
        let values = vec![(b"wJalrXUtnFEMI".to_vec(), "<masked:x>".to_owned())];
        let caught = Caught {
            index: 3,
            secrets: [Secret::AwsSecretKey].into(),
            withheld: false,
            values: Values(values),
        };
        assert!(!format!("{caught:?}").contains("wJal"));
        alarms.note(0, caught);
        let sightings = vec![
            (0, sighting_of("ann wJalrXUtnFEMI", "wJalrXUtnFEMI")),
            (1, sighting_of("bob", "")),
        ];
        let all = Watch::new(true).over(sightings, alarms, |_| facts("ann wJalrXUtnFEMI"));
        assert_eq!(all.len(), 3, "and an alarm");
        assert!(!format!("{all:?}").contains("wJal"));
        assert_eq!(all[0].event.user_name, "ann <masked:x>");
        assert_eq!(
            (all[2].plugin.as_str(), all[2].entity.as_slice()),
            (HOST, &["aws-secret-key".to_owned()][..])
        );
        assert_eq!(all[2].event.user_name, "ann <masked:x>");
    }

    #[test]
    fn a_secret_that_a_plugin_put_into_a_finding_raises_the_alarm() {
        let sightings = || vec![(4, sighting_of(TOKEN, TOKEN))];
        let all = Watch::new(true).over(sightings(), Alarms::default(), |_| facts(TOKEN));
        assert_eq!(all.len(), 2);
        assert_eq!(all[1].entity, ["github-token"]);
        assert!(
            !format!("{:?}", all[1]).contains(TOKEN),
            "and the alarm is without it"
        );
        assert_eq!(all[1].event.account, "123456789012");
        let all = Watch::new(false).over(sightings(), Alarms::default(), |_| facts(TOKEN));
        assert_eq!(all.len(), 1, "sinks of findings only count");
        let mut sighting = sighting_of("ann", "");
        sighting.rule = TOKEN.into();
        Arc::make_mut(&mut sighting.event).account = TOKEN.into();
        let all = Watch::new(false).over(vec![(0, sighting)], Alarms::default(), |_| facts(""));
        assert!(
            !all[0].finding_id().contains("ghp_"),
            "{}",
            all[0].finding_id()
        );
    }
}
