//! Masks: the host's marker in place of a secret, in the event and wherever else it shows up.

use std::{borrow::Cow, ops::Range, path::PathBuf};

use aws_lc_rs::hmac;
use memchr::memmem;
use serde::{Deserialize, Serialize};

use crate::{
    columns::{self, Kind},
    config::{Problems, SecretSource},
    digest::{hex, hmac_sha256},
    json,
};

/// How masked values are marked: the section `[redaction]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// File with the key of the HMAC in each marker, 32 bytes or more; the same on all replicas. Without
    /// a key markers carry no HMAC, and equal secrets cannot be recognised as equal.
    pub hmac_key_file: Option<PathBuf>,
    /// Environment variable with that key, instead of the file.
    pub hmac_key_env: Option<String>,
    /// Name of the key in the markers, 1 to 16 of `a-z`, `0-9`, `-`. Give a new key a new name. Default
    /// `k1`.
    pub key_id: Option<String>,
}

impl Settings {
    /// Reports what cannot be.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        if self.hmac_key_file.is_some() && self.hmac_key_env.is_some() {
            problems.push(format!(
                "{at} must have one of hmac_key_file and hmac_key_env, got both"
            ));
        }
        if let Some(id) = &self.key_id
            && !is_word(id, 16)
        {
            problems.push(format!(
                "{at}.key_id must be 1 to 16 of a-z, 0-9 and `-`, got `{}`",
                crate::text::shown(id),
            ));
        }
    }

    /// Reads the key.
    ///
    /// # Errors
    /// When the key cannot be read or is shorter than 32 bytes.
    pub fn masker(&self) -> anyhow::Result<Masker> {
        let source = match (&self.hmac_key_file, &self.hmac_key_env) {
            (Some(path), _) => SecretSource::File(path.clone()),
            (None, Some(name)) => SecretSource::Env(name.clone()),
            (None, None) => return Ok(Masker::default()),
        };
        let secret = source.read()?;
        Masker::with_key(
            self.key_id.as_deref().unwrap_or("k1"),
            secret.expose().as_bytes(),
        )
        .map_err(|error| error.context(format!("failed to use the redaction key from {source}")))
    }
}

fn is_word(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Makes markers: `<masked:detector:key id:16 hex digits>`, or `<masked:detector>` without a key.
#[derive(Debug, Default)]
pub struct Masker {
    key: Option<(String, hmac::Key)>,
}

impl Masker {
    /// Markers that carry an HMAC-SHA-256, cut to 64 bits.
    ///
    /// # Errors
    /// When the key has fewer than 32 bytes.
    pub fn with_key(id: &str, key: &[u8]) -> anyhow::Result<Self> {
        anyhow::ensure!(
            key.len() >= 32,
            "the key must have 32 bytes or more, got {}",
            key.len()
        );
        Ok(Self {
            key: Some((id.to_owned(), hmac::Key::new(hmac::HMAC_SHA256, key))),
        })
    }

    /// The marker for a value of this text. It needs no escaping in JSON.
    #[must_use]
    pub fn marker(&self, detector: &str, text: &[u8]) -> String {
        match &self.key {
            Some((id, key)) => format!(
                "<masked:{detector}:{id}:{}>",
                hex(&hmac_sha256(key, text)[..8])
            ),
            None => format!("<masked:{detector}>"),
        }
    }
}

/// Whether a detector's name may stand in a marker.
#[must_use]
pub fn is_detector(name: &str) -> bool {
    is_word(name, 48)
}

/// One masked leaf of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Where the leaf lies in the batch's bytes, quotes included.
    pub range: Range<usize>,
    /// What stands there instead, without quotes.
    pub marker: String,
}

/// Values shorter than this are not looked for elsewhere: they would be found everywhere.
const MIN_VALUE: usize = 6;

/// Replaces an event's masked values in any other text about the event.
#[derive(Debug, Default)]
pub struct Cleaner {
    /// Longest first, so that an escaped form goes before a part of it.
    needles: Vec<(Vec<u8>, String)>,
}

impl Cleaner {
    /// A cleaner for the leaves that these masks cover in `data`.
    #[must_use]
    pub fn new(masks: &[Mask], data: &[u8]) -> Self {
        Self::of(masks.iter().map(|mask| {
            let leaf = &data[mask.range.clone()];
            (columns::text(Kind::of(leaf[0]), leaf), mask.marker.as_str())
        }))
    }

    /// A cleaner for these values, each with its marker.
    #[must_use]
    pub fn of<'v>(values: impl IntoIterator<Item = (Cow<'v, [u8]>, &'v str)>) -> Self {
        let mut needles = Vec::new();
        for (value, marker) in values {
            if value.len() < MIN_VALUE {
                continue;
            }
            for form in forms(&value) {
                needles.push((form, marker.to_owned()));
            }
        }
        needles.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.0.cmp(&b.0)));
        needles.dedup_by(|a, b| a.0 == b.0);
        Self { needles }
    }

    /// The text with a marker in place of every masked value.
    #[must_use]
    pub fn clean<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for (needle, marker) in &self.needles {
            // Most texts are shorter than a secret, and a search is dear to begin.
            if needle.len() <= text.len() && memmem::find(text.as_bytes(), needle).is_some() {
                let needle = String::from_utf8_lossy(needle);
                text = Cow::Owned(text.replace(needle.as_ref(), marker));
            }
        }
        text
    }

    /// The same, of a text that nobody else needs.
    #[must_use]
    pub fn cleaned(&self, text: String) -> String {
        match self.clean(&text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(cleaned) => cleaned,
        }
    }

    /// Appends JSON of the host's or a plugin's making, every string of it (names too) cleaned. The
    /// JSON must have been checked.
    pub fn clean_json(&self, json: &[u8], out: &mut Vec<u8>) {
        if self.needles.is_empty() {
            out.extend_from_slice(json);
            return;
        }
        let mut at = 0;
        while at < json.len() {
            if json[at] == b'"' {
                let end = json::string_end(json, at);
                let text = json::unescape(&json[at + 1..end - 1]);
                json::quote_into(self.clean(&String::from_utf8_lossy(&text)).as_ref(), out);
                at = end;
            } else if json[at] == b'-' || json[at].is_ascii_digit() {
                let end = json::value_end(json, at);
                let number = String::from_utf8_lossy(&json[at..end]);
                match self.clean(&number) {
                    Cow::Borrowed(_) => out.extend_from_slice(&json[at..end]),
                    Cow::Owned(cleaned) => json::quote_into(&cleaned, out),
                }
                at = end;
            } else {
                out.push(json[at]);
                at += 1;
            }
        }
    }

    /// Whether there is nothing to look for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }
}

/// A value as it may stand in other text: plain, escaped for JSON once and twice, and encoded for URLs.
fn forms(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![value.to_vec()];
    let once = escaped(value);
    if once != value {
        forms.push(escaped(&once));
        forms.push(once);
    }
    if !value.iter().all(|byte| is_unreserved(*byte)) {
        forms.push(url_encoded(value, UPPER, b"%20"));
        forms.push(url_encoded(value, LOWER, b"%20"));
    }
    if value.contains(&b' ') {
        forms.push(url_encoded(value, UPPER, b"+"));
        forms.push(url_encoded(value, LOWER, b"+"));
    }
    forms
}

const UPPER: &[u8; 16] = b"0123456789ABCDEF";
const LOWER: &[u8; 16] = b"0123456789abcdef";

fn escaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    json::escape_into(text, &mut out);
    out
}

fn url_encoded(text: &[u8], digits: &[u8; 16], space: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 16);
    for &byte in text {
        match byte {
            byte if is_unreserved(byte) => out.push(byte),
            b' ' => out.extend_from_slice(space),
            _ => out.extend_from_slice(&[
                b'%',
                digits[usize::from(byte >> 4)],
                digits[usize::from(byte & 15)],
            ]),
        }
    }
    out
}

/// What stands for itself in URLs.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn cleaner(leaf: &str) -> Cleaner {
        let masks = [Mask {
            range: 0..leaf.len(),
            marker: "<masked:x>".into(),
        }];
        Cleaner::new(&masks, leaf.as_bytes())
    }

    #[test]
    fn a_marker_tells_equal_secrets_by_key_only() {
        let keyed = Masker::with_key("k1", &[7; 32]).unwrap();
        let marker = keyed.marker("aws-secret", b"abc");
        assert_eq!(marker, keyed.marker("aws-secret", b"abc"));
        assert_ne!(marker, keyed.marker("aws-secret", b"abd"));
        assert_ne!(
            marker,
            Masker::with_key("k1", &[8; 32])
                .unwrap()
                .marker("aws-secret", b"abc")
        );
        assert!(
            marker.starts_with("<masked:aws-secret:k1:") && marker.len() == 39,
            "{marker}"
        );
        assert_eq!(
            Masker::default().marker("aws-secret", b"abc"),
            "<masked:aws-secret>"
        );
        assert!(Masker::with_key("k1", &[7; 31]).is_err());
    }

    #[test]
    fn a_value_is_found_in_every_form() {
        let cleaner = cleaner(r#""p\"a/s s+w""#);
        for text in [
            r#"p"a/s s+w"#,
            r#"p\"a/s s+w"#,
            r#"p\\\"a/s s+w"#,
            "p%22a%2Fs%20s%2Bw",
            "p%22a%2fs%20s%2bw",
            "p%22a%2Fs+s%2Bw",
        ] {
            assert_eq!(
                cleaner.clean(&format!("<{text}>")),
                "<<masked:x>>",
                "{text}"
            );
        }
        assert_eq!(cleaner.clean("nothing"), "nothing");
    }

    #[test]
    fn short_values_are_left_alone() {
        assert!(cleaner("\"12345\"").is_empty());
        assert!(!cleaner("\"123456\"").is_empty());
    }

    #[test]
    fn json_stays_json_whatever_the_value() {
        for leaf in [r#"":false,""#, r#"{\"a\":\"b\"}"#] {
            let cleaner = cleaner(&format!("\"{leaf}\""));
            let mut out = Vec::new();
            cleaner.clean_json(br#"{"mfa":false,"b":["x:false,y",{"a":"b"}]}"#, &mut out);
            serde_json::from_slice::<serde_json::Value>(&out).unwrap();
        }
        let mut out = Vec::new();
        cleaner("4111111111111111")
            .clean_json(br#"{"4111111111111111":[4111111111111111,-1]}"#, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"<masked:x>":["<masked:x>",-1]}"#
        );
    }

    #[test]
    fn settings_name_what_is_wrong() {
        let mut problems = Problems::default();
        let settings = Settings {
            hmac_key_file: Some("a".into()),
            hmac_key_env: Some("B".into()),
            key_id: Some("K 1".into()),
        };
        settings.validate("redaction", &mut problems);
        assert_eq!(problems.lines().len(), 2);
    }
}
