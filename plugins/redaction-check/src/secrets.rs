//! The secrets of one event: what the walk finds by place, by name and by value.

use std::collections::BTreeSet;

use crate::{
    detector::Detector,
    places::Known,
    search::{self, Search},
    walk::{self, Seen, Wanted},
};

/// One leaf to mask.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// JSON Pointer.
    pub(crate) path: String,
    pub(crate) detector: Detector,
}

/// What is wrong with an event that cannot be cleaned.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It cannot be read.
    Unreadable(&'static str),
    /// A secret is part of a name, and names cannot be masked.
    InName(Detector),
}

/// All leaves of an event that are or contain a secret; each path once.
///
/// # Errors
/// When the event is not JSON or nested too deep, or a name in it is a secret.
pub(crate) fn of(event: &[u8], source: &[u8], name: &[u8]) -> Result<Vec<Found>, Failure> {
    let known = Known::of(source, name);
    let mut search = Search::new(event.len(), source);
    let hits = search::hits(event);
    if hits.is_empty() && !known.is_in(event) {
        return Ok(Vec::new());
    }
    let wanted = Wanted {
        hits: &hits,
        all: false,
        known,
    };
    walked(event, wanted, &mut search)
}

fn walked(
    event: &[u8],
    wanted: Wanted<'_>,
    search: &mut Search<'_>,
) -> Result<Vec<Found>, Failure> {
    let mut found: Vec<Found> = Vec::new();
    let mut paths = BTreeSet::new();
    let mut in_name = None;
    let walked = walk::leaves(event, wanted, &mut |seen| {
        match seen {
            Seen::Name(name) => in_name = search.name(name),
            Seen::Leaf(leaf) => {
                if let Some(detector) = search.leaf(leaf) {
                    let path = walk::pointer(leaf.path);
                    if paths.insert(path.clone()) {
                        found.push(Found { path, detector });
                    }
                }
            }
        }
        in_name.is_some()
    });
    match (in_name, walked) {
        (Some(detector), _) => Err(Failure::InName(detector)),
        (None, Ok(())) => Ok(found),
        (None, Err(fault)) => Err(Failure::Unreadable(fault.text())),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn detectors(event: &str) -> Vec<Detector> {
        let found = of(event.as_bytes(), b"x.amazonaws.com", b"Y").unwrap();
        found.into_iter().map(|found| found.detector).collect()
    }

    /// What the walk would find if it looked at every leaf.
    pub(super) fn exhaustive(event: &[u8]) -> Result<Vec<Found>, Failure> {
        let mut search = Search::new(event.len(), b"x.amazonaws.com");
        let wanted = Wanted {
            hits: &[],
            all: true,
            known: Known::nothing(),
        };
        walked(event, wanted, &mut search)
    }

    #[test]
    fn the_scan_spares_no_leaf_that_the_walk_would_mask() {
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
                assert_eq!(detectors(&event).len(), 1, "{event}");
            }
        }
    }

    /// Numbers that follow from the one before.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, below: usize) -> usize {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            usize::try_from(self.0 >> 40).unwrap() % below
        }

        fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
            list[self.roll(list.len())]
        }

        /// A value of any shape, with what is near to secrets in it.
        fn value(&mut self, depth: usize) -> String {
            match self.roll(if depth == 0 { 3 } else { 6 }) {
                0..3 => self.text(),
                3 => {
                    let items: Vec<_> = (0..self.roll(4)).map(|_| self.value(depth - 1)).collect();
                    format!("[{}]", items.join(","))
                }
                _ => {
                    let items: Vec<_> = (0..self.roll(5))
                        .map(|_| format!("{} :{}", self.name(), self.value(depth - 1)))
                        .collect();
                    format!("{{{}}}", items.join(" ,"))
                }
            }
        }

        fn name(&mut self) -> String {
            let names = [
                "name",
                "Value",
                "key",
                "password",
                "api_key",
                "p\\u0061ssword",
                "note",
                "nextToken",
                "arn",
                "",
                "tokens",
                "Authorization",
                "n\\u0061me",
                "type",
                "secretArn",
            ];
            format!("\"{}\"", self.of(&names))
        }

        fn text(&mut self) -> String {
            let parts = [
                "ghp_0123456789abcdefghijABCDEFGHIJ012345",
                "correct-horse1",
                "password=",
                "DB_PASSWORD",
                "\\\"",
                "\\n",
                "://u:p4ss@h",
                "AKIAIOSFODNN7EXAMPLE",
                "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEK3Y",
                "cGFzc3dvcmQ9aHVudGVyMjI",
                "%70assword%3D",
                "4111111111111111",
                " ",
                ":",
                "/",
                "{",
                "Bearer ",
                "\\u0041",
                "hunter22",
                "-",
                "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
                "PARAMETER_STORE",
                "x",
                "{\\\"password\\\":\\\"",
                "\\\"Key\\\":\\\"DB_SECRET\\\",\\\"Value\\\":\\\"hunter22\\\"}",
                "\\t",
                "\\/",
                "\\\\",
            ];
            let count = self.roll(6);
            let text: String = (0..count).map(|_| self.of(&parts)).collect();
            format!("\"{text}\"")
        }
    }

    #[test]
    fn the_scan_spares_no_leaf_of_any_event_that_the_walk_would_mask() {
        let mut dice = Dice(1);
        let mut masked = 0;
        for _ in 0..20_000 {
            let event = format!("{{\"a\":{},\"b\":{}}}", dice.value(3), dice.value(2));
            let Ok(expected) = exhaustive(event.as_bytes()) else {
                continue;
            };
            let found = of(event.as_bytes(), b"x.amazonaws.com", b"Y").unwrap();
            masked += found.len();
            for one in &expected {
                assert!(
                    found.iter().any(|other| other.path == one.path),
                    "{one:?} in {event}"
                );
            }
        }
        assert!(masked > 1_000, "{masked}");
    }

    #[test]
    fn text_that_only_begins_like_json_may_still_show_a_secret() {
        assert_eq!(
            detectors(r#"{"a":"{\"password\":\"hunter22\",…"}"#).len(),
            1
        );
    }

    #[test]
    fn numbers_under_telling_names_are_secrets_when_they_are_long() {
        assert_eq!(
            detectors(r#"{"password":12345678,"token":true,"pwd":60}"#).len(),
            1
        );
    }

    #[test]
    fn a_name_that_is_a_secret_is_a_failure() {
        let event = format!(r#"{{"tags":{{"glpat-{}":"x"}}}}"#, "Ab1".repeat(8));
        let failure = of(event.as_bytes(), b"x.amazonaws.com", b"Y").unwrap_err();
        assert_eq!(failure, Failure::InName(Detector::Provider("gitlab-token")));
    }
}
