//! Events and paths: checking and extracting agree with a parser that builds trees.
//!
//! The first byte says where to cut, the rest of the first line are paths, what follows is the event.

#![no_main]

use std::{fmt, sync::Arc};

use libfuzzer_sys::fuzz_target;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::{Number, value::RawValue};
use sluicegate::{
    columns::{Kind, Path, Projection, Segment},
    event::{EventBatch, Object, ObjectKind, ObjectRef, Span},
    json::{self, Check, MAX_DEPTH, Skipper},
};

/// JSON as a tree that keeps duplicates and the order of members.
#[derive(Clone, Debug, PartialEq)]
enum Tree {
    Null,
    Boolean(bool),
    Number(Number),
    Text(String),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Builder;
        impl<'de> Visitor<'de> for Builder {
            type Value = Tree;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
                Ok(Tree::Boolean(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
                Ok(Tree::Number(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
                Ok(Tree::Number(value.into()))
            }

            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Tree, E> {
                let number = Number::from_f64(value).ok_or_else(|| E::custom("not finite"))?;
                Ok(Tree::Number(number))
            }

            fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
                Ok(Tree::Text(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Tree, A::Error> {
                let mut list = Vec::new();
                while let Some(element) = elements.next_element()? {
                    list.push(element);
                }
                Ok(Tree::Array(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Tree, A::Error> {
                let mut list = Vec::new();
                while let Some(member) = members.next_entry()? {
                    list.push(member);
                }
                Ok(Tree::Object(list))
            }
        }
        deserializer.deserialize_any(Builder)
    }
}

impl Tree {
    fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Boolean(_) => Kind::Boolean,
            Self::Number(_) => Kind::Number,
            Self::Text(_) => Kind::String,
            Self::Array(_) => Kind::Array,
            Self::Object(_) => Kind::Object,
        }
    }

    /// What lies at a path; of duplicated members every one, or only the last one.
    fn at<'t>(&'t self, path: &[Segment], duplicates: bool, found: &mut Vec<&'t Tree>) {
        let Some((segment, rest)) = path.split_first() else {
            found.push(self);
            return;
        };
        match (self, segment) {
            (Self::Array(list), Segment::Every) => list
                .iter()
                .for_each(|element| element.at(rest, duplicates, found)),
            (Self::Object(members), Segment::Every) => members
                .iter()
                .for_each(|(_, member)| member.at(rest, duplicates, found)),
            (Self::Array(list), Segment::Name(name)) => {
                let named = |position: &usize| position.to_string().as_bytes() == name;
                if let Some(position) = (0..list.len()).find(named) {
                    list[position].at(rest, duplicates, found);
                }
            }
            (Self::Object(members), Segment::Name(name)) => {
                let named = members.iter().filter(|(own, _)| own.as_bytes() == name);
                let skipped = if duplicates {
                    0
                } else {
                    named.clone().count().saturating_sub(1)
                };
                named
                    .skip(skipped)
                    .for_each(|(_, member)| member.at(rest, duplicates, found));
            }
            _ => {}
        }
    }
}

/// The end of the container at the start, which is what serde would say, however it is cut.
fn checked(text: &[u8], cut: u8) -> Option<usize> {
    let end = match json::check(text, MAX_DEPTH) {
        Check::Valid(end) => end,
        Check::TooDeep => return None,
        Check::Incomplete | Check::Invalid(_) => {
            if let Ok(value) = serde_json::from_slice::<&RawValue>(text) {
                assert!(!value.get().starts_with(['{', '[']), "refused valid JSON");
            }
            return None;
        }
    };
    serde_json::from_slice::<&RawValue>(&text[..end]).expect("accepted what is no JSON");
    let cut = usize::from(cut) % end;
    assert_eq!(json::check(&text[..cut], MAX_DEPTH), Check::Incomplete);
    let mut skipper = Skipper::default();
    assert_eq!(skipper.skip(&text[..cut]), None);
    assert_eq!(skipper.skip(&text[cut..]), Some(end - cut));
    Some(end)
}

/// The event twice in one batch.
fn batch(event: &[u8]) -> EventBatch {
    let object = Object::new(
        ObjectRef {
            bucket: "leanda-ng-cloudtrail-test-123456789012".into(),
            key: "key".into(),
            version: None,
        },
        "1".into(),
        ObjectKind::Log,
    );
    let offset = |at: usize| u32::try_from(at).expect("input is short");
    let second = event.len() + 1;
    let span = |start: usize, index| Span {
        start: offset(start),
        end: offset(start + event.len()),
        index,
    };
    EventBatch::new(Arc::new(object), [event, b",", event].concat(), vec![span(0, 0), span(second, 1)])
}

fn agree(event: &[u8], paths: &[Path]) {
    let batch = batch(event);
    let mut projection = Projection::new();
    let columns: Vec<usize> = paths.iter().map(|path| projection.column(path)).collect();
    let projected = projection.project(&batch);
    let second = projection.project_row(&batch, 1);
    let tree = Tree::parse(event);
    for (path, column) in paths.iter().zip(columns) {
        let kind = projected.kind(0, column);
        let value = projected.json(&batch, 0, column);
        for (other, row) in [(&projected, 1), (&second, 0)] {
            assert_eq!(other.kind(row, column), kind);
            assert_eq!(other.json(&batch, row, column), value);
        }
        if let Some(range) = projected.range(0, column) {
            assert_eq!(&batch.data[range], value);
        }
        let mut found = Vec::new();
        path.find(event, |range| found.push(&event[range]));
        // serde refuses lone surrogates, huge numbers and the deepest nesting.
        let Some(tree) = &tree else {
            continue;
        };

        let mut every = Vec::new();
        tree.at(path.segments(), true, &mut every);
        let found: Vec<Tree> = found
            .into_iter()
            .map(|json| Tree::parse(json).expect("found what is no JSON"))
            .collect();
        assert!(found.iter().eq(every), "{path:?}");

        let mut last = Vec::new();
        tree.at(path.segments(), false, &mut last);
        let extracted = Tree::parse(value);
        if path.segments().contains(&Segment::Every) {
            let gathered = match extracted {
                Some(Tree::Array(list)) => list,
                other => {
                    assert_eq!(other, None);
                    Vec::new()
                }
            };
            assert!(gathered.iter().eq(last), "{path:?}");
        } else {
            assert!(last.len() < 2);
            assert_eq!(extracted.as_ref(), last.first().copied(), "{path:?}");
            assert_eq!(kind, last.first().map_or(Kind::Absent, |tree| tree.kind()));
            if let Some(Tree::Text(text)) = last.first() {
                assert_eq!(*projected.text(&batch, 0, column), *text.as_bytes());
            }
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&cut, rest)) = input.split_first() else {
        return;
    };
    let line = rest
        .iter()
        .position(|&byte| byte == b'\n')
        .unwrap_or(rest.len());
    let (line, text) = rest.split_at(line);
    let Some(end) = checked(text, cut) else {
        return;
    };
    let start = json::skip_space(text, 0);
    if text[start] != b'{' {
        return;
    }
    let paths: Vec<Path> = String::from_utf8_lossy(line)
        .split(' ')
        .take(8)
        .filter_map(|path| Path::parse(path).ok())
        .collect();
    agree(&text[start..end], &paths);
});
