//! Reads settings strictly: every unknown key, every missing one and every wrong type is found, not
//! only the first.
//!
//! Serde stops at the first error. So a value at fault is reported, replaced by a [`Node::Blank`], which
//! serves as any type, and the section is read again until nothing new is found.

use std::{cell::RefCell, collections::BTreeMap, fmt};

use serde::de::{self, DeserializeOwned, Expected, IntoDeserializer, Unexpected, Visitor, value};

use super::nearest::nearest;
use crate::text::shown;

/// One value of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    /// From an environment variable, which has no types: read as whatever is wanted there.
    Outside(String),
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
    /// Stands in for a value that was reported, so that the others are looked at too.
    Blank,
}

impl Default for Node {
    fn default() -> Self {
        Self::Table(BTreeMap::new())
    }
}

impl Node {
    /// Takes one member out of a table.
    pub(super) fn remove(&mut self, key: &str) -> Option<Self> {
        match self {
            Self::Table(table) => table.remove(key),
            _ => None,
        }
    }

    fn child(&mut self, key: &str) -> Option<&mut Node> {
        match self {
            Self::Table(table) => Some(table.entry(key.to_owned()).or_insert(Self::Blank)),
            Self::List(list) => key
                .parse()
                .ok()
                .and_then(|position: usize| list.get_mut(position)),
            _ => None,
        }
    }
}

/// What reading a section has found.
#[derive(Debug)]
pub(super) struct Reading<T> {
    /// The value; where there are faults, with blanks in their places.
    pub(super) value: Option<T>,
    /// One line a fault, each naming its key.
    pub(super) faults: Vec<String>,
    /// The keys whose values are blanks.
    pub(super) blank: Vec<String>,
}

/// Reads a section as `T`. `at` is its name.
pub(super) fn read<T: DeserializeOwned>(mut node: Node, at: &str) -> Reading<T> {
    let unknown = RefCell::new(BTreeMap::new());
    let mut faults = Vec::new();
    let mut blank: Vec<String> = Vec::new();
    let value = loop {
        let fault = match T::deserialize(At {
            node: &node,
            path: Vec::new(),
            unknown: &unknown,
        }) {
            Ok(value) => break Some(value),
            Err(fault) => fault,
        };
        let mut key = at.to_owned();
        let mut place = Some(&mut node);
        for step in &fault.path {
            key = format!("{key}.{step}");
            place = place.and_then(|node| node.child(step));
        }
        let repeated = blank.contains(&key);
        if !repeated {
            faults.push(format!("{key} {}", fault.message));
            blank.push(key);
        }
        match place {
            Some(node) if !repeated => *node = Node::Blank,
            _ => break None,
        }
    };
    faults.extend(
        unknown
            .into_inner()
            .into_iter()
            .map(|(path, hint)| format!("{at}.{path} is not known{hint}")),
    );
    Reading {
        value,
        faults,
        blank,
    }
}

/// Why a value cannot be read, and where; the path is relative to the section.
#[derive(Debug)]
struct Fault {
    path: Vec<String>,
    message: String,
}

impl Fault {
    fn under(mut self, key: &str) -> Self {
        self.path.insert(0, key.to_owned());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            path: Vec::new(),
            message: format!("is wrong: {}", shown(&message.to_string())),
        }
    }

    fn invalid_type(got: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let got = shown(&got.to_string());
        Self {
            path: Vec::new(),
            message: format!("must be {}, got {got}", words(&expected.to_string())),
        }
    }

    fn invalid_value(got: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(got, expected)
    }

    fn unknown_variant(got: &str, expected: &'static [&'static str]) -> Self {
        let expected = expected.join(", ");
        Self {
            path: Vec::new(),
            message: format!("must be one of {expected}, got `{}`", shown(got)),
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            path: vec![field.to_owned()],
            message: "is required".to_owned(),
        }
    }
}

/// What serde calls a type, as an operator would.
fn words(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "path string" => "a path",
        "a sequence" => "a list",
        "a map" => "a table",
        text if text.starts_with("struct ") => "a table",
        text => text,
    }
}

/// A node, the way to it, and where unknown keys are noted.
#[derive(Clone)]
struct At<'a> {
    node: &'a Node,
    path: Vec<String>,
    unknown: &'a RefCell<BTreeMap<String, String>>,
}

impl<'a> At<'a> {
    fn child(&self, key: &str, node: &'a Node) -> Self {
        let mut path = self.path.clone();
        path.push(key.to_owned());
        Self {
            node,
            path,
            unknown: self.unknown,
        }
    }

    fn wrong<'de, V: Visitor<'de>>(&self, visitor: &V) -> Fault {
        let got = match self.node {
            Node::Boolean(value) => Unexpected::Bool(*value),
            Node::Integer(value) => Unexpected::Signed(*value),
            Node::Float(value) => Unexpected::Float(*value),
            Node::Text(value) | Node::Outside(value) => Unexpected::Str(value),
            Node::List(_) => Unexpected::Seq,
            Node::Table(_) => Unexpected::Map,
            Node::Blank => Unexpected::Unit,
        };
        de::Error::invalid_type(got, visitor)
    }

    /// Whether a struct with these fields has this one; notes it where it has not.
    fn knows(&self, key: &str, fields: &'static [&'static str]) -> bool {
        let known = fields.contains(&key);
        if !known {
            let mut path = self.path.clone();
            path.push(shown(key));
            self.unknown
                .borrow_mut()
                .insert(path.join("."), hint(key, fields));
        }
        known
    }

    fn members(&self, fields: Option<&'static [&'static str]>) -> Option<Members<'a>> {
        let table = match self.node {
            Node::Table(table) => table
                .iter()
                .filter(|(key, _)| fields.is_none_or(|fields| self.knows(key, fields)))
                .map(|(key, node)| (key.as_str(), node))
                .collect(),
            Node::Blank => Vec::new(),
            _ => return None,
        };
        Some(Members {
            at: self.clone(),
            rest: table.into_iter(),
            value: None,
        })
    }
}

fn hint(key: &str, fields: &[&str]) -> String {
    match nearest(key, fields) {
        Some(field) => format!("; did you mean {field}?"),
        None if fields.is_empty() => String::new(),
        None => format!("; known here: {}", fields.join(", ")),
    }
}

struct Members<'a> {
    at: At<'a>,
    rest: std::vec::IntoIter<(&'a str, &'a Node)>,
    value: Option<(&'a str, &'a Node)>,
}

impl<'de> de::MapAccess<'de> for Members<'_> {
    type Error = Fault;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        self.value = self.rest.next();
        self.value
            .map(|(key, _)| seed.deserialize(key.into_deserializer()))
            .transpose()
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let (key, node) = self
            .value
            .take()
            .expect("serde asks for a value after its key only");
        seed.deserialize(self.at.child(key, node))
            .map_err(|fault| fault.under(key))
    }
}

struct Elements<'a> {
    at: At<'a>,
    rest: std::iter::Enumerate<std::vec::IntoIter<std::borrow::Cow<'a, Node>>>,
}

impl<'de> de::SeqAccess<'de> for Elements<'_> {
    type Error = Fault;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some((position, node)) = self.rest.next() else {
            return Ok(None);
        };
        let key = position.to_string();
        let mut path = self.at.path.clone();
        path.push(key.clone());
        let element = At {
            node: &node,
            path,
            unknown: self.at.unknown,
        };
        seed.deserialize(element)
            .map(Some)
            .map_err(|fault| fault.under(&key))
    }
}

/// A number or a truth value: as it stands, or parsed where it comes from the environment.
macro_rules! scalar {
    ($($method:ident $visit:ident $type:ty = $blank:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            match self.node {
                Node::Blank => visitor.$visit($blank),
                Node::Outside(text) => match text.trim().parse::<$type>() {
                    Ok(value) => visitor.$visit(value),
                    Err(_) => Err(self.wrong(&visitor)),
                },
                _ => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> de::Deserializer<'de> for At<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node {
            Node::Boolean(value) => visitor.visit_bool(*value),
            Node::Integer(value) => visitor.visit_i64(*value),
            Node::Float(value) => visitor.visit_f64(*value),
            Node::Text(value) | Node::Outside(value) => visitor.visit_str(value),
            Node::List(_) => self.deserialize_seq(visitor),
            Node::Table(_) => self.deserialize_map(visitor),
            Node::Blank => visitor.visit_unit(),
        }
    }

    scalar! {
        deserialize_bool visit_bool bool = false;
        deserialize_i8 visit_i64 i64 = 0;
        deserialize_i16 visit_i64 i64 = 0;
        deserialize_i32 visit_i64 i64 = 0;
        deserialize_i64 visit_i64 i64 = 0;
        deserialize_u8 visit_u64 u64 = 0;
        deserialize_u16 visit_u64 u64 = 0;
        deserialize_u32 visit_u64 u64 = 0;
        deserialize_u64 visit_u64 u64 = 0;
        deserialize_f32 visit_f64 f64 = 0.0;
        deserialize_f64 visit_f64 f64 = 0.0;
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node {
            Node::Blank => visitor.visit_str(""),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node {
            Node::Blank => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        use std::borrow::Cow;
        let elements: Vec<_> = match self.node {
            Node::List(list) => list.iter().map(Cow::Borrowed).collect(),
            Node::Blank => Vec::new(),
            Node::Outside(text) => {
                let parts = text
                    .split(',')
                    .map(str::trim)
                    .filter(|part| !part.is_empty());
                parts
                    .map(|part| Cow::Owned(Node::Outside(part.to_owned())))
                    .collect()
            }
            _ => return Err(self.wrong(&visitor)),
        };
        visitor.visit_seq(Elements {
            at: self,
            rest: elements.into_iter().enumerate(),
        })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.members(None) {
            Some(members) => visitor.visit_map(members),
            None => Err(self.wrong(&visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.members(Some(fields)) {
            Some(members) => visitor.visit_map(members),
            None => Err(self.wrong(&visitor)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let name = match self.node {
            Node::Text(name) | Node::Outside(name) => name.as_str(),
            Node::Blank => variants.first().copied().unwrap_or_default(),
            _ => return Err(self.wrong(&visitor)),
        };
        let name: value::StrDeserializer<'_, Fault> = name.into_deserializer();
        visitor.visit_enum(name)
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}
