//! The egress guard: the last look at what is about to leave, at each sink.
//!
//! It is no replacement for redaction, which knows fields and names, but says whether redaction did its
//! work: it looks at the very bytes that a sink has encoded (events with what plugins added to them, and
//! findings) for what is a secret wherever it stands. It shares nothing with the plugin that redacts, so
//! that a fault of the one is not a fault of the other.

pub(crate) mod alarm;
mod finder;
mod secret;
mod shapes;
mod units;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
};

use serde::{Deserialize, Serialize};

pub use finder::{Finder, Hit};
pub use secret::Secret;

use crate::{mask::Masker, sink::Entry};

/// What becomes of an event or a finding in which there is a secret: `egress_guard` of a sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It leaves with a marker in the place of the secret; a finding and the log say so. The default.
    #[default]
    Mask,
    /// It does not leave, but is kept as a dead letter; a finding and the log say so.
    DeadLetter,
    /// It leaves as it is, and is counted.
    Count,
}

impl Mode {
    /// The word as it stands in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mask => "mask",
            Self::DeadLetter => "dead-letter",
            Self::Count => "count",
        }
    }
}

/// Times that masking is looked at anew: what was masked may have stood between an access key id and
/// its secret key.
const ROUNDS: usize = 4;
/// Milliseconds between two log lines of one guard.
const TELL_EVERY_MS: i64 = 60_000;

/// Looks at what one sink is about to get.
#[derive(Debug)]
pub struct Guard {
    mode: Mode,
    finder: Finder,
    masker: Arc<Masker>,
    /// When the log was last told, and what it has not been told yet.
    told_ms: AtomicI64,
    untold: AtomicUsize,
}

/// An entry in which there was a secret.
#[derive(Debug)]
pub struct Caught {
    /// Position of the event in its object.
    pub index: u32,
    /// What was found.
    pub secrets: BTreeSet<Secret>,
    /// Whether the entry was taken out.
    pub withheld: bool,
    /// What the secrets are, and their markers.
    pub(crate) values: Values,
}

/// Secrets with their markers, which nothing prints.
#[derive(Clone, Default)]
pub(crate) struct Values(pub(crate) Vec<(Vec<u8>, String)>);

impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Caught {
    /// Why an entry was withheld, without the secret.
    #[must_use]
    pub fn reason(&self) -> String {
        format!("the egress guard found {}", list(&self.secrets))
    }
}

fn list(secrets: &BTreeSet<Secret>) -> String {
    let names: Vec<_> = secrets.iter().map(|secret| secret.as_str()).collect();
    names.join(", ")
}

impl Guard {
    /// A guard that acts like this and marks as `masker` does.
    #[must_use]
    pub fn new(mode: Mode, masker: Arc<Masker>) -> Self {
        Self {
            mode,
            finder: Finder::default(),
            masker,
            told_ms: AtomicI64::new(i64::MIN),
            untold: AtomicUsize::new(0),
        }
    }

    /// What it does.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Looks at encoded entries and returns those with secrets. Afterwards no secret that must not leave
    /// is in `entries`, nor in `data`.
    pub fn inspect(&self, data: &mut Vec<u8>, entries: &mut Vec<Entry>) -> Vec<Caught> {
        let mut found = Vec::new();
        let ranges = entries.iter().map(Entry::range);
        self.finder
            .find_each(data, ranges, |position, hits| found.push((position, hits)));
        if found.is_empty() {
            return Vec::new();
        }
        let mut caught = Vec::with_capacity(found.len());
        let mut taken = vec![false; entries.len()];
        for (position, hits) in found {
            let entry = &mut entries[position];
            let mut one = Caught {
                index: entry.index,
                secrets: hits.iter().map(|hit| hit.secret).collect(),
                withheld: false,
                values: Values::default(),
            };
            if self.mode != Mode::Count {
                let masked = self.masked(data[entry.range()].to_vec(), hits, &mut one.values);
                data[entry.range()].fill(b' ');
                match masked {
                    Some(masked) if self.mode == Mode::Mask => {
                        *entry = append(data, &masked, *entry);
                    }
                    _ => one.withheld = true,
                }
            }
            taken[position] = one.withheld;
            caught.push(one);
        }
        let mut taken = taken.into_iter();
        entries.retain(|_| !taken.next().unwrap_or(false));
        caught
    }

    /// The entry with markers in place of secrets; nothing where that does not come to an end.
    fn masked(
        &self,
        mut entry: Vec<u8>,
        mut hits: Vec<Hit>,
        values: &mut Values,
    ) -> Option<Vec<u8>> {
        for _ in 0..ROUNDS {
            let mut out = Vec::with_capacity(entry.len());
            let mut at = 0;
            for Hit { range, secret } in hits {
                let value = units::read(&entry[range.clone()]);
                let marker = self.masker.marker(secret.as_str(), &value);
                out.extend_from_slice(&entry[at..range.start]);
                out.extend_from_slice(marker.as_bytes());
                at = range.end;
                values.0.push((value, marker));
            }
            out.extend_from_slice(&entry[at..]);
            hits = self.finder.find(&out);
            if hits.is_empty() {
                return Some(out);
            }
            entry = out;
        }
        None
    }

    /// Writes to the log that secrets were found, once a minute at the most. `place` is the object, or the
    /// finding.
    pub(crate) fn tell(&self, sink: &str, place: &str, caught: &[Caught], now_ms: i64) {
        let Some(first) = caught.first() else {
            return;
        };
        self.untold.fetch_add(caught.len(), Ordering::Relaxed);
        let told_ms = self.told_ms.load(Ordering::Relaxed);
        if now_ms.saturating_sub(told_ms) < TELL_EVERY_MS
            || self
                .told_ms
                .compare_exchange(told_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            return;
        }
        let entries = self.untold.swap(0, Ordering::Relaxed);
        let (mode, secrets, index) = (self.mode.as_str(), list(&first.secrets), first.index);
        if self.mode == Mode::Count {
            tracing::warn!(
                sink,
                mode,
                secrets,
                entries,
                place,
                index,
                "secrets have left"
            );
        } else {
            tracing::error!(
                sink,
                mode,
                secrets,
                entries,
                place,
                index,
                "the egress guard found secrets that redaction let pass"
            );
        }
    }
}

/// Puts an entry's new bytes behind all others.
fn append(data: &mut Vec<u8>, bytes: &[u8], entry: Entry) -> Entry {
    let offset = |at| u32::try_from(at).expect("an encoded batch is far smaller than 4 GiB");
    let start = offset(data.len());
    data.extend_from_slice(bytes);
    Entry {
        start,
        end: offset(data.len()),
        ..entry
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    const TOKEN: &str = "ghp_0123456789abcdefghijABCDEFGHIJ012345";

    /// What is left of these entries, and what was caught.
    fn inspected(mode: Mode, texts: &[String]) -> (Vec<String>, Vec<Caught>, Vec<u8>) {
        let (mut data, mut entries) = (Vec::new(), Vec::new());
        for (index, text) in (0_u32..).zip(texts) {
            let entry = Entry {
                start: 0,
                end: 0,
                index,
            };
            entries.push(append(&mut data, text.as_bytes(), entry));
        }
        let masker = Arc::new(Masker::with_key("k1", &[7; 32]).unwrap());
        let caught = Guard::new(mode, masker).inspect(&mut data, &mut entries);
        let left = entries
            .iter()
            .map(|entry| String::from_utf8(data[entry.range()].to_vec()).unwrap());
        (left.collect(), caught, data)
    }

    fn three() -> Vec<String> {
        vec![
            r#"{"a":1}"#.to_owned(),
            format!(r#"{{"a":"x {TOKEN}"}}"#),
            r#"{"a":3}"#.to_owned(),
        ]
    }

    #[test]
    fn a_secret_is_masked_where_it_stands() {
        let (left, caught, data) = inspected(Mode::Mask, &three());
        assert_eq!((&left[0], &left[2]), (&three()[0], &three()[2]));
        assert!(
            left[1].starts_with(r#"{"a":"x <masked:github-token:k1:"#),
            "{left:?}"
        );
        serde_json::from_str::<serde_json::Value>(&left[1]).unwrap();
        assert_eq!(caught.len(), 1);
        assert_eq!((caught[0].index, caught[0].withheld), (1, false));
        assert!(
            !String::from_utf8(data).unwrap().contains(TOKEN),
            "not in the buffer either"
        );
        assert!(!format!("{caught:?}").contains(TOKEN));
    }

    #[test]
    fn an_entry_with_a_secret_is_taken_out() {
        let (left, caught, data) = inspected(Mode::DeadLetter, &three());
        assert_eq!(left, [three()[0].clone(), three()[2].clone()]);
        assert!(caught[0].withheld);
        assert_eq!(caught[0].reason(), "the egress guard found github-token");
        assert!(!String::from_utf8(data).unwrap().contains(TOKEN));
    }

    #[test]
    fn a_secret_is_only_counted() {
        let (left, caught, _) = inspected(Mode::Count, &three());
        assert_eq!(left, three());
        assert_eq!(caught[0].secrets, [Secret::GithubToken].into());
        assert!(!caught[0].withheld);
    }

    #[test]
    fn a_key_that_masking_brings_near_its_id_is_masked_too() {
        let session = format!("IQoJb3JpZ2lu{}", "Ab9/".repeat(80));
        let key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCY3xAmPLk9Qz";
        let text = format!(r#"{{"i":"ASIAEXAMPLEEXAMPLE12","t":"{session}","k":"{key}"}}"#);
        let (left, caught, _) = inspected(Mode::Mask, &[text]);
        assert_eq!(caught[0].secrets, [Secret::AwsSessionToken].into());
        assert!(!left[0].contains(key), "{left:?}");
        assert!(left[0].contains("<masked:aws-secret-key:k1:"), "{left:?}");
    }

    #[test]
    fn json_stays_json_at_every_depth() {
        let inner = serde_json::json!({ "pem": format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", "Ab9+".repeat(20)), "t": format!("\n{TOKEN}\t\"") });
        let mut text = inner.to_string();
        for _ in 0..3 {
            text = serde_json::json!({ "a": text, "b/c": TOKEN }).to_string();
            let escaped = text.replace('/', r"\/").replace("ghp_", r"\u0067hp_");
            let (left, caught, _) = inspected(Mode::Mask, &[escaped]);
            assert_eq!(
                caught[0].secrets,
                [Secret::PrivateKey, Secret::GithubToken].into()
            );
            let mut value: serde_json::Value = serde_json::from_str(&left[0]).unwrap();
            while let Some(deeper) = value.get("a").cloned() {
                assert!(
                    value["b/c"]
                        .as_str()
                        .unwrap()
                        .starts_with("<masked:github-token:k1:")
                );
                value = serde_json::from_str(deeper.as_str().unwrap()).unwrap();
            }
            assert!(
                value["pem"]
                    .as_str()
                    .unwrap()
                    .starts_with("<masked:private-key:k1:"),
                "{value}"
            );
            assert!(value["t"].as_str().unwrap().ends_with(">\t\""), "{value}");
        }
    }
}
