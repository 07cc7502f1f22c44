//! The secrets of one event: what the walk finds by place, by name and by value.

use std::borrow::Cow;

use crate::{
    detector::Detector,
    names, places, values,
    walk::{self, Leaf, Step},
};

/// One leaf to mask.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// JSON Pointer.
    pub(crate) path: String,
    pub(crate) detector: Detector,
}

/// All leaves of an event that are or contain a secret; each path once.
///
/// # Errors
/// When the event is not JSON or nested too deep.
pub(crate) fn of(event: &[u8], source: &[u8], name: &[u8]) -> Result<Vec<Found>, &'static str> {
    let mut found: Vec<Found> = Vec::new();
    let known = places::has(source, name);
    walk::leaves(event, &mut |leaf| {
        let place = if known {
            by_place(leaf, source, name)
        } else {
            None
        };
        let Some(detector) = place.or_else(|| in_leaf(leaf, source, true)) else {
            return;
        };
        let path = walk::pointer(leaf.path);
        if !found.iter().any(|other| other.path == path) {
            found.push(Found { path, detector });
        }
    })?;
    Ok(found)
}

fn by_place(leaf: &Leaf<'_, '_>, source: &[u8], name: &[u8]) -> Option<Detector> {
    let path: Vec<Cow<'_, [u8]>> = leaf.path.iter().map(segment).collect();
    let path: Vec<&[u8]> = path.iter().map(AsRef::as_ref).collect();
    let detector = places::at(source, name, &path)?;
    let value = walk::unescape(leaf.raw);
    let reference = detector == Detector::EnvironmentVariable && is_reference(leaf);
    let trivial = value.is_empty() || names::is_marker(&value) || value.starts_with(b"arn:");
    if trivial || reference {
        None
    } else {
        Some(detector)
    }
}

fn segment<'a>(step: &Step<'a>) -> Cow<'a, [u8]> {
    match step {
        Step::Name(name) => walk::unescape(name),
        Step::Index(index) => Cow::Owned(index.to_string().into_bytes()),
    }
}

/// Whether a variable names the place of its value in place of the value.
fn is_reference(leaf: &Leaf<'_, '_>) -> bool {
    let kept = |value: &[u8]| matches!(value, b"PARAMETER_STORE" | b"SECRETS_MANAGER");
    walk::members(leaf.around)
        .iter()
        .any(|(name, value)| *name == b"type" && kept(value))
}

/// By name and by value; `deeper` also in JSON that the leaf holds as text.
fn in_leaf(leaf: &Leaf<'_, '_>, source: &[u8], deeper: bool) -> Option<Detector> {
    let value = walk::unescape(leaf.raw);
    if names::is_marker(&value) {
        return None;
    }
    values::detect(&value)
        .or_else(|| {
            if is_named(leaf, source, &value) {
                Some(Detector::NamedSecret)
            } else {
                None
            }
        })
        .or_else(|| {
            if deeper {
                in_text(&value, source)
            } else {
                None
            }
        })
}

/// One level of JSON within a string.
fn in_text(value: &[u8], source: &[u8]) -> Option<Detector> {
    let start = value.iter().find(|byte| !byte.is_ascii_whitespace())?;
    if !matches!(start, b'{' | b'[') {
        return None;
    }
    let mut found = None;
    // What turns out to be cut off, or no JSON at all, may still have shown a secret.
    let _ = walk::leaves(value, &mut |leaf| {
        found = found.or_else(|| in_leaf(leaf, source, false));
    });
    found
}

fn is_named(leaf: &Leaf<'_, '_>, source: &[u8], value: &[u8]) -> bool {
    // API Gateway calls the identifier of a key apiKey.
    let Some(Step::Name(name)) = leaf
        .path
        .iter()
        .rev()
        .find(|step| matches!(step, Step::Name(_)))
    else {
        return false;
    };
    let name = walk::unescape(name);
    let identifier = source == b"apigateway.amazonaws.com" && name.eq_ignore_ascii_case(b"apiKey");
    let named = names::is_secret(&name) && !identifier;
    (named || (is_value(&name) && is_pair_of_secret(leaf))) && names::may_be_secret(value)
}

fn is_value(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"value") || name.eq_ignore_ascii_case(b"parameterValue")
}

/// Whether the object is a pair of a telling name and a value: `{"name":"DB_PASSWORD","value":"…"}`.
fn is_pair_of_secret(leaf: &Leaf<'_, '_>) -> bool {
    let names_it = |name: &[u8]| {
        [&b"name"[..], b"key", b"parameterKey"]
            .iter()
            .any(|word| name.eq_ignore_ascii_case(word))
    };
    let mut members = walk::members(leaf.around).into_iter();
    members.any(|(name, value)| names_it(name) && names::is_secret(&walk::unescape(value)))
        && !is_reference(leaf)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::anchors;

    fn detectors(event: &str) -> Vec<Detector> {
        let found = of(event.as_bytes(), b"x.amazonaws.com", b"Y").unwrap();
        found.into_iter().map(|found| found.detector).collect()
    }

    /// Where the walk finds something, the search must not spare the event.
    #[test]
    fn the_search_never_spares_an_event_that_the_walk_would_mask() {
        let values = crate::values::samples()
            .into_iter()
            .map(|(_, text)| text.replace('\n', "\\n"));
        let by_value = values.map(|text| format!(r#"{{"a":"{text}"}}"#));
        let names =
            crate::names::SECRET_ENDINGS.map(|name| format!(r#"{{"db {name}":"hunter22"}}"#));
        let pairs = crate::names::SECRET_ENDINGS
            .map(|name| format!(r#"{{"Key":"{name}","Value":"hunter22"}}"#));
        for event in by_value.chain(names).chain(pairs) {
            assert_eq!(detectors(&event).len(), 1, "{event}");
            for shift in 0..17 {
                let event = format!("{}{event}", " ".repeat(shift));
                assert!(anchors::any(event.as_bytes()), "{event}");
            }
        }
    }

    #[test]
    fn text_that_only_begins_like_json_may_still_show_a_secret() {
        assert_eq!(
            detectors(r#"{"a":"{\"password\":\"hunter22\",…"}"#).len(),
            1
        );
    }

    #[test]
    fn numbers_under_telling_names_are_left_alone() {
        assert!(detectors(r#"{"password":12345678,"token":true}"#).is_empty());
    }
}
