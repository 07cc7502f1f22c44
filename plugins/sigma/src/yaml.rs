//! YAML as a tree whose parts know their line.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;

use crate::{Fault, plain};

/// A value and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) line: u32,
    pub(crate) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// A number that was written without quotes, as it was written or as good.
    Number(f64, String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// The key of a map.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key {
    pub(crate) line: u32,
    pub(crate) text: String,
}

impl Node {
    /// The member of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        let Value::Map(members) = &self.value else {
            return None;
        };
        let found = members.iter().find(|(name, _)| name.text == key)?;
        Some(&found.1)
    }

    /// The text of a scalar, as it would be compared.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) | Value::Number(_, text) => Some(text),
            Value::Bool(true) => Some("true"),
            Value::Bool(false) => Some("false"),
            _ => None,
        }
    }

    /// A list as it is, and anything else as a list of one; null as an empty one.
    pub(crate) fn list(&self) -> &[Node] {
        match &self.value {
            Value::List(list) => list,
            Value::Null => &[],
            _ => std::slice::from_ref(self),
        }
    }

    /// What it is, for people.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(..) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

/// All documents of a file; empty ones are left out.
pub(crate) fn documents(text: &str) -> Result<Vec<Node>, Fault> {
    plain::documents(text).map_or_else(|| whole(text), Ok)
}

/// The same, by the library alone.
pub(crate) fn whole(text: &str) -> Result<Vec<Node>, Fault> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        strict_booleans: true,
        budget: serde_saphyr::budget! {
            max_anchors: 100,
            max_aliases: 1_000,
            max_depth: 32,
            max_nodes: 200_000,
            max_documents: 10_000,
        },
    };
    let read: Result<Vec<Loaded>, _> = serde_saphyr::from_multiple_with_options(text, options);
    match read {
        Ok(documents) => Ok(documents
            .into_iter()
            .map(|loaded| loaded.0)
            .filter(|node| node.value != Value::Null)
            .collect()),
        Err(error) => Err(Fault::new(
            error.location().map_or(1, |at| line(at.line())),
            format!("is not YAML that can be read: {error}"),
        )),
    }
}

fn line(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// What the library makes; it turns into nodes at once.
struct Loaded(Node);

impl<'de> Deserialize<'de> for Loaded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Bare>::deserialize(deserializer)?;
        Ok(Self(Node {
            line: line(spanned.referenced.line()),
            value: spanned.value.0,
        }))
    }
}

struct Bare(Value);

impl<'de> Deserialize<'de> for Bare {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any).map(Self)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "compared as numbers of JSON are"
    )]
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value as f64, value.to_string()))
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "compared as numbers of JSON are"
    )]
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value as f64, value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        // As JSON writes it: 5.0, not 5.
        Ok(Value::Number(value, format!("{value:?}")))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Loaded(element)) = elements.next_element()? {
            list.push(element);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = members.next_key::<Spanned<String>>()? {
            let key = Key {
                line: line(key.referenced.line()),
                text: key.value,
            };
            map.push((key, members.next_value::<Loaded>()?.0));
        }
        Ok(Value::Map(map))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn values_keep_their_kind_and_line() {
        let all =
            documents("a: 1\nb:\n  - x\n  - 'NO'\n  - null\n---\nc: [true, 1.5, \"2\"]\nd:\n")
                .unwrap();
        let b = all[0].get("b").unwrap();
        assert_eq!(
            all[0].get("a").unwrap().value,
            Value::Number(1.0, "1".into())
        );
        assert_eq!(b.list()[1].line, 4);
        assert_eq!(b.list()[1].value, Value::Text("NO".into()));
        assert_eq!(b.list()[2].value, Value::Null);
        let c = all[1].get("c").unwrap().list();
        assert_eq!(c[0].value, Value::Bool(true));
        assert_eq!(c[2].value, Value::Text("2".into()));
        assert_eq!(all[1].get("d").unwrap().value, Value::Null);
        assert_eq!(all[1].get("c").unwrap().line, 7);
    }

    #[test]
    fn a_fault_names_its_line() {
        let fault = documents("a: 1\nb: [1\nc: 2\n").unwrap_err();
        assert!(fault.line >= 2, "{fault:?}");
        assert_eq!(documents("a: 1\na: 2\n").unwrap_err().line, 2);
    }

    #[test]
    fn bombs_do_not_go_off() {
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..12 {
            let before = format!("*a{}", level - 1);
            let all = [before.as_str(); 9].join(",");
            writeln!(bomb, "a{level}: &a{level} [{all}]").unwrap();
        }
        assert!(documents(&bomb).is_err());
        assert!(documents(&"[".repeat(10_000)).is_err());
    }
}
