//! Checks what a plugin returned, as far as that needs no event.

use super::{
    abi::{Addition, Column, Finding, Kind, Mask, Outcome},
    grants::Grants,
    pointer::is_pointer,
};
use crate::{
    columns::MAX_SEGMENTS,
    digest::{hex, sha256},
    mask::is_detector,
    text::shown,
};

/// Members that a plugin may add to an event.
const MAX_ADDITIONS: usize = 256;
const MAX_RULE: usize = 128;
const MAX_ENTITY_PARTS: usize = 16;
const MAX_ATTRIBUTES: usize = 64;
const MAX_ATTRIBUTE_NAME: usize = 128;
/// Longest aggregation window, in seconds: 31 days.
const MAX_WINDOW: u32 = 31 * 86_400;
/// Longer texts of findings are cut, for their length can be in the hands of whoever made the event, and
/// must not be a way to get rid of a finding.
const MAX_TITLE: usize = 512;
const MAX_DESCRIPTION: usize = 4_096;
const MAX_VALUE: usize = 2_048;
/// Levels of objects and arrays in an added value.
const MAX_DEPTH: usize = 32;

/// What the outcome is held against.
pub(super) struct Promise<'a> {
    pub(super) kind: Kind,
    pub(super) plugin: &'a str,
    pub(super) rows: u32,
    /// Findings of one batch.
    pub(super) findings: usize,
    pub(super) grants: &'a Grants,
}

/// Checks an outcome and cuts the long texts of its findings; says what is wrong with it.
pub(super) fn check(promise: &Promise<'_>, outcome: &mut Outcome) -> Result<(), String> {
    honoured(promise.kind, outcome)?;
    additions(promise, &outcome.additions)?;
    if outcome.findings.len() > promise.findings {
        return Err(format!(
            "{} findings, at most {} a batch",
            outcome.findings.len(),
            promise.findings
        ));
    }
    outcome
        .findings
        .iter_mut()
        .try_for_each(|found| finding(promise, found))?;
    outcome
        .masks
        .iter()
        .try_for_each(|covered| mask(promise, covered))?;
    outcome
        .drops
        .iter()
        .try_for_each(|row| in_batch(promise, *row))
}

/// A kind may use its own lists only.
fn honoured(kind: Kind, outcome: &Outcome) -> Result<(), String> {
    let lists = [
        (
            "additions",
            outcome.additions.is_empty(),
            kind == Kind::Enrich,
        ),
        (
            "findings",
            outcome.findings.is_empty(),
            matches!(kind, Kind::Detect | Kind::Redact),
        ),
        ("masks", outcome.masks.is_empty(), kind == Kind::Redact),
        ("drops", outcome.drops.is_empty(), kind == Kind::Filter),
    ];
    match lists.iter().find(|(_, empty, may)| !empty && !may) {
        Some((list, ..)) => Err(format!("{list} from a plugin of kind {}", kind.as_str())),
        None => Ok(()),
    }
}

fn in_batch(promise: &Promise<'_>, row: u32) -> Result<(), String> {
    if row < promise.rows {
        Ok(())
    } else {
        Err(format!("row {row} of a batch of {}", promise.rows))
    }
}

fn additions(promise: &Promise<'_>, additions: &[Addition]) -> Result<(), String> {
    if additions.len() > MAX_ADDITIONS {
        return Err(format!(
            "{} additions, at most {MAX_ADDITIONS} a batch",
            additions.len()
        ));
    }
    let mut paths = Vec::with_capacity(additions.len());
    for addition in additions {
        paths.push(own_path(promise.plugin, &addition.path)?);
        column(&addition.values, promise.rows)
            .map_err(|what| format!("addition `{}`: {what}", shown(&addition.path)))?;
    }
    paths.sort_unstable();
    // Of sorted paths, whatever lies within a path comes right after it.
    match paths.windows(2).find(|pair| pair[1].starts_with(&pair[0])) {
        Some(pair) => Err(format!(
            "additions to `{}` twice, or to it and into it",
            shown(&pair[0].join("/"))
        )),
        None => Ok(()),
    }
}

/// The segments of a path below `/sluicegate/<plugin>`.
fn own_path<'a>(plugin: &str, path: &'a str) -> Result<Vec<&'a str>, String> {
    let below = path
        .strip_prefix("/sluicegate/")
        .and_then(|rest| rest.strip_prefix(plugin))
        .and_then(|rest| rest.strip_prefix('/'));
    let segments: Vec<&str> = below.unwrap_or_default().split('/').collect();
    let named = segments
        .iter()
        .all(|segment| !segment.is_empty() && *segment != "*");
    // Two more stand before them.
    if is_pointer(path) && named && segments.len() + 2 <= MAX_SEGMENTS {
        Ok(segments)
    } else {
        Err(format!(
            "addition to `{}`, which is no path below /sluicegate/{plugin}",
            shown(path)
        ))
    }
}

fn column(column: &Column, rows: u32) -> Result<(), String> {
    let rows = rows as usize;
    if column.kinds.len() != rows || column.offsets.len() != rows + 1 {
        let (kinds, offsets) = (column.kinds.len(), column.offsets.len());
        return Err(format!(
            "{kinds} kinds and {offsets} offsets for {rows} rows"
        ));
    }
    let ends = (
        column.offsets.first().copied(),
        column.offsets.last().map(|last| *last as usize),
    );
    if ends != (Some(0), Some(column.data.len())) || !column.offsets.is_sorted() {
        return Err("offsets that do not divide the data".to_owned());
    }
    let text =
        std::str::from_utf8(&column.data).map_err(|_| "data that is not UTF-8".to_owned())?;
    for (kind, span) in column.kinds.iter().zip(column.offsets.windows(2)) {
        let value = text
            .get(span[0] as usize..span[1] as usize)
            .ok_or("offsets that divide a character")?;
        if !is_value(*kind, value) {
            return Err(format!("a value that is not of its kind {kind}"));
        }
    }
    Ok(())
}

/// Whether the text is a value of this kind, in the numbers of the interface.
fn is_value(kind: u8, text: &str) -> bool {
    match kind {
        0 => text.is_empty(),
        1 => text.is_empty() || text == "null",
        2 => true,
        3 => {
            text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) && is_json(text)
        }
        4 => text == "true" || text == "false",
        5 => text.starts_with('{') && is_json(text),
        6 => text.starts_with('[') && is_json(text),
        _ => false,
    }
}

/// Whether the text is JSON that can stand in one line as it is, not nested too deep.
fn is_json(text: &str) -> bool {
    let one_line = !text.bytes().any(|byte| byte < b' ') && !text.ends_with(' ');
    one_line
        && nesting(text) <= MAX_DEPTH
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Levels of objects and arrays, for text that may be no JSON.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => (),
        }
    }
    deepest
}

fn finding(promise: &Promise<'_>, finding: &mut Finding) -> Result<(), String> {
    in_batch(promise, finding.row)?;
    if finding.rule.is_empty() || finding.rule.len() > MAX_RULE {
        return Err(format!(
            "a rule identifier of {} bytes, wanted 1 to {MAX_RULE}",
            finding.rule.len()
        ));
    }
    let rule = || shown(&finding.rule);
    if finding.entity.len() > MAX_ENTITY_PARTS {
        return Err(format!(
            "rule `{}` names {} entities, at most {MAX_ENTITY_PARTS}",
            rule(),
            finding.entity.len()
        ));
    }
    if finding.attributes.len() > MAX_ATTRIBUTES {
        return Err(format!(
            "rule `{}` has {} attributes, at most {MAX_ATTRIBUTES}",
            rule(),
            finding.attributes.len()
        ));
    }
    if finding
        .attributes
        .iter()
        .any(|(name, _)| name.is_empty() || name.len() > MAX_ATTRIBUTE_NAME)
    {
        return Err(format!(
            "rule `{}` has an attribute name that is empty or over {MAX_ATTRIBUTE_NAME} bytes",
            rule()
        ));
    }
    if finding.window_s > MAX_WINDOW {
        return Err(format!(
            "rule `{}` has a window of {} s, at most {MAX_WINDOW}",
            rule(),
            finding.window_s
        ));
    }
    cut(&mut finding.title, MAX_TITLE);
    cut(&mut finding.description, MAX_DESCRIPTION);
    finding.entity.iter_mut().for_each(cut_name);
    finding
        .attributes
        .iter_mut()
        .for_each(|(_, value)| cut(value, MAX_VALUE));
    Ok(())
}

fn mask(promise: &Promise<'_>, mask: &Mask) -> Result<(), String> {
    in_batch(promise, mask.row)?;
    let own = mask.path == "/sluicegate" || mask.path.starts_with("/sluicegate/");
    if mask.path.is_empty() || own || !is_pointer(&mask.path) {
        return Err(format!(
            "a mask of `{}`, which is no path into an event",
            shown(&mask.path)
        ));
    }
    if !promise.grants.masks(&mask.path) {
        return Err(format!(
            "a mask of `{}`, which it is not granted to mask",
            shown(&mask.path)
        ));
    }
    // The detector's name stands in the marker that replaces the value.
    if !is_detector(&mask.detector) {
        return Err(format!(
            "a mask by the detector `{}`, which is not 1 to 48 of a-z, 0-9 and `-`",
            shown(&mask.detector)
        ));
    }
    Ok(())
}

/// Cuts on a character's boundary and marks the place.
fn cut(text: &mut String, limit: usize) {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit - '…'.len_utf8()));
        text.push('…');
    }
}

/// Cuts, but keeps apart what was different: an entity is what matches are counted by.
fn cut_name(name: &mut String) {
    if name.len() > MAX_VALUE {
        let sum = hex(&sha256(&[name.as_bytes()])[..8]);
        cut(name, MAX_VALUE - sum.len());
        name.push_str(&sum);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::{super::abi::Severity, *};

    const ROWS: u32 = 2;

    fn nothing() -> Outcome {
        Outcome {
            additions: Vec::new(),
            findings: Vec::new(),
            masks: Vec::new(),
            drops: Vec::new(),
        }
    }

    fn checked(kind: Kind, mut outcome: Outcome) -> Result<Outcome, String> {
        let promise = Promise {
            kind,
            plugin: "mine",
            rows: ROWS,
            findings: 3,
            grants: &Grants {
                mask: vec!["/responseElements".to_owned(), "/a".to_owned()],
                ..Grants::default()
            },
        };
        check(&promise, &mut outcome).map(|()| outcome)
    }

    fn set(path: &str, kind: u8, value: &str) -> Addition {
        let end = u32::try_from(value.len()).unwrap();
        let values = Column {
            kinds: vec![kind, 0],
            offsets: vec![0, end, end],
            data: value.into(),
        };
        Addition {
            path: path.into(),
            values,
        }
    }

    fn enriched(additions: Vec<Addition>) -> Result<Outcome, String> {
        checked(
            Kind::Enrich,
            Outcome {
                additions,
                ..nothing()
            },
        )
    }

    fn valued(kind: u8, value: &str) -> bool {
        enriched(vec![set("/sluicegate/mine/a", kind, value)]).is_ok()
    }

    fn shaped(kinds: &[u8], offsets: &[u32], data: &[u8]) -> String {
        let values = Column {
            kinds: kinds.into(),
            offsets: offsets.into(),
            data: data.into(),
        };
        enriched(vec![Addition {
            path: "/sluicegate/mine/a".into(),
            values,
        }])
        .map_or_else(|what| what, |_| "sound".to_owned())
    }

    fn found(change: impl FnOnce(&mut Finding)) -> Result<Finding, String> {
        let mut finding = Finding {
            row: 0,
            rule: "r".into(),
            title: "t".into(),
            description: "d".into(),
            severity: Severity::Low,
            entity: vec!["e".into()],
            window_s: 60,
            attributes: vec![("k".into(), "v".into())],
        };
        change(&mut finding);
        let outcome = checked(
            Kind::Detect,
            Outcome {
                findings: vec![finding],
                ..nothing()
            },
        )?;
        Ok(outcome.findings.into_iter().next().unwrap())
    }

    fn masked(row: u32, path: &str, detector: &str) -> Result<Outcome, String> {
        let mask = Mask {
            row,
            path: path.into(),
            detector: detector.into(),
        };
        checked(
            Kind::Redact,
            Outcome {
                masks: vec![mask],
                ..nothing()
            },
        )
    }

    #[test]
    fn each_kind_may_use_its_own_lists_only() {
        let finding = found(|_| ()).unwrap();
        let mask = Mask {
            row: 0,
            path: "/a".into(),
            detector: "d".into(),
        };
        let outcomes = [
            Outcome {
                additions: vec![set("/sluicegate/mine/a", 2, "x")],
                ..nothing()
            },
            Outcome {
                findings: vec![finding],
                ..nothing()
            },
            Outcome {
                masks: vec![mask],
                ..nothing()
            },
            Outcome {
                drops: vec![0],
                ..nothing()
            },
        ];
        let may = [Kind::Enrich, Kind::Detect, Kind::Redact, Kind::Filter].map(|kind| {
            outcomes
                .iter()
                .map(|outcome| checked(kind, outcome.clone()).is_ok())
                .collect::<Vec<_>>()
        });
        assert_eq!(may[0], [true, false, false, false]);
        assert_eq!(may[1], [false, true, false, false]);
        assert_eq!(may[2], [false, true, true, false]);
        assert_eq!(may[3], [false, false, false, true]);
        let text = checked(Kind::Detect, outcomes[2].clone()).unwrap_err();
        assert_eq!(text, "masks from a plugin of kind detect");
    }

    #[test]
    fn rows_outside_the_batch_are_bad_everywhere() {
        assert_eq!(masked(2, "/a", "d").unwrap_err(), "row 2 of a batch of 2");
        assert_eq!(
            found(|finding| finding.row = u32::MAX).unwrap_err(),
            "row 4294967295 of a batch of 2"
        );
        assert!(
            checked(
                Kind::Filter,
                Outcome {
                    drops: vec![1, 0, 0, 2],
                    ..nothing()
                }
            )
            .is_err()
        );
    }

    #[test]
    fn additions_stay_in_the_plugins_own_place() {
        let deep = format!("/sluicegate/mine{}", "/a".repeat(30));
        for path in ["/sluicegate/mine/a", "/sluicegate/mine/a/b~1c", &deep] {
            assert!(enriched(vec![set(path, 2, "x")]).is_ok(), "{path}");
        }
        for path in [
            "/eventName",
            "/sluicegate/mine",
            "/sluicegate/mine/",
            "/sluicegate/mine2/a",
            "/sluicegate/other/a",
            "/sluicegate/mine/a//b",
            "/sluicegate/mine/a~",
            "/sluicegate/mine/*",
            &format!("/sluicegate/mine{}", "/a".repeat(31)),
        ] {
            assert!(enriched(vec![set(path, 2, "x")]).is_err(), "{path}");
        }
    }

    #[test]
    fn additions_do_not_overlap() {
        let both = |one: &str, other: &str| {
            let at = |path: &str| set(&format!("/sluicegate/mine/{path}"), 2, "x");
            enriched(vec![at(one), at(other)]).is_ok()
        };
        assert!(both("a", "b") && both("a", "a-b") && both("a/b", "a/c"));
        assert!(!both("a", "a") && !both("a/b", "a") && !both("a", "a/b/c"));
    }

    #[test]
    fn columns_must_divide_their_data() {
        assert_eq!(shaped(&[2, 2], &[0, 1, 2], b"ab"), "sound");
        assert!(shaped(&[2], &[0, 1], b"a").contains("1 kinds and 2 offsets for 2 rows"));
        for offsets in [[1, 1, 2], [0, 2, 1], [0, 1, 1], [0, 1, 3], [0, 3, 2]] {
            assert!(
                shaped(&[2, 2], &offsets, b"ab").contains("do not divide"),
                "{offsets:?}"
            );
        }
        assert!(shaped(&[2, 2], &[0, 1, 2], b"\xff\xfe").contains("not UTF-8"));
        assert!(shaped(&[2, 2], &[0, 1, 2], "é".as_bytes()).contains("divide a character"));
        assert!(shaped(&[7, 2], &[0, 0, 0], b"").contains("not of its kind 7"));
    }

    #[test]
    fn values_must_be_of_their_kind() {
        assert!(valued(0, "") && valued(1, "") && valued(1, "null") && valued(2, "any\n\"thing"));
        assert!(
            valued(3, "-1.5e3") && valued(4, "true") && valued(5, "{\"a\":[1]}") && valued(6, "[]")
        );
        assert!(
            !valued(0, "x")
                && !valued(1, "nil")
                && !valued(3, "01")
                && !valued(3, "\"1\"")
                && !valued(3, "")
        );
        assert!(!valued(4, "yes") && !valued(5, "[]") && !valued(6, "[1") && !valued(5, "{} "));
        assert!(!valued(5, "{\n}"), "would break a line of output");
        assert!(valued(6, &format!("{}{}", "[".repeat(32), "]".repeat(32))));
        assert!(!valued(6, &format!("{}{}", "[".repeat(33), "]".repeat(33))));
        assert!(
            valued(6, &format!("[\"\\\"{}\"]", "[".repeat(40))),
            "brackets in a string are no nesting"
        );
    }

    #[test]
    fn long_texts_of_a_finding_are_cut_not_refused() {
        let long = "é".repeat(10_000);
        let finding = found(|finding| {
            finding.title.clone_from(&long);
            finding.attributes[0].1.clone_from(&long);
            finding.entity = vec![format!("{long}1"), format!("{long}2")];
        })
        .unwrap();
        assert!(finding.title.len() <= MAX_TITLE && finding.title.ends_with('…'));
        assert!(finding.attributes[0].1.len() <= MAX_VALUE);
        assert!(finding.entity.iter().all(|part| part.len() <= MAX_VALUE));
        assert_ne!(finding.entity[0], finding.entity[1]);
    }

    #[test]
    fn what_only_the_plugin_decides_is_refused_when_it_is_too_much() {
        let wrong = |change: fn(&mut Finding)| assert!(found(change).is_err());
        wrong(|finding| finding.rule.clear());
        wrong(|finding| finding.rule = "r".repeat(MAX_RULE + 1));
        wrong(|finding| finding.entity = vec![String::new(); MAX_ENTITY_PARTS + 1]);
        wrong(|finding| finding.attributes = vec![("k".into(), String::new()); MAX_ATTRIBUTES + 1]);
        wrong(|finding| finding.attributes[0].0.clear());
        wrong(|finding| finding.window_s = MAX_WINDOW + 1);
        let findings = vec![found(|_| ()).unwrap(); 4];
        let text = checked(
            Kind::Detect,
            Outcome {
                findings,
                ..nothing()
            },
        )
        .unwrap_err();
        assert_eq!(text, "4 findings, at most 3 a batch");
    }

    #[test]
    fn a_mask_names_a_place_in_the_event_and_a_plain_detector() {
        assert!(masked(1, "/responseElements/credentials/sessionToken", "sts-token").is_ok());
        let elsewhere = masked(1, "/requestParameters/password", "d").unwrap_err();
        assert_eq!(
            elsewhere,
            "a mask of `/requestParameters/password`, which it is not granted to mask"
        );
        for path in ["", "a", "/sluicegate", "/sluicegate/other/a", "/a~"] {
            assert!(masked(0, path, "d").is_err(), "{path}");
        }
        for detector in ["", "a b", "a>", "a:b", "é"] {
            assert!(masked(0, "/a", detector).is_err(), "{detector}");
        }
    }

    proptest! {
        #[test]
        fn no_column_makes_the_check_panic(
            kinds in prop::collection::vec(0_u8..9, 0..4),
            offsets in prop::collection::vec(0_u32..6, 0..5),
            data in prop::collection::vec(any::<u8>(), 0..6),
        ) {
            let values = Column { kinds, offsets, data };
            if column(&values, ROWS).is_ok() {
                for span in values.offsets.windows(2) {
                    prop_assert!(std::str::from_utf8(&values.data[span[0] as usize..span[1] as usize]).is_ok());
                }
            }
        }
    }
}
