//! JSON Schema as far as the schemas of OCSF use it.
//!
//! Of our own, because the crates for it switch on features of the libraries that the host is built with,
//! and the tests would try another host than the one that is shipped. A keyword that is not known here is a
//! panic, so that nothing goes unchecked.

use std::{cell::RefCell, collections::HashMap};

use regex::bytes::Regex;
use serde_json::Value;

/// A schema.
#[derive(Debug)]
pub struct JsonSchema {
    root: Value,
    patterns: RefCell<HashMap<String, Regex>>,
}

impl JsonSchema {
    /// A schema that holds all that it refers to under `$defs`.
    #[must_use]
    pub fn new(root: Value) -> Self {
        Self {
            root,
            patterns: RefCell::default(),
        }
    }

    /// What is wrong with a document, each with its place.
    ///
    /// # Panics
    /// When the schema uses a keyword that is not known here.
    #[must_use]
    pub fn faults(&self, document: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        self.check(&self.root, document, "", &mut faults);
        faults
    }

    fn check(&self, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        let keywords = schema.as_object().expect("a schema is an object");
        for (keyword, wanted) in keywords {
            let holds = match keyword.as_str() {
                "$schema" | "$id" | "$defs" | "title" | "deprecated" => true,
                "$ref" => {
                    let pointer = wanted.as_str().and_then(|name| name.strip_prefix('#'));
                    let target = pointer.and_then(|pointer| self.root.pointer(pointer));
                    self.check(target.expect("it refers to itself"), value, at, faults);
                    true
                }
                "type" => list(wanted).iter().any(|kind| is_a(value, kind)),
                "enum" => list(wanted).contains(value),
                "const" => value == wanted,
                "required" => value.as_object().is_none_or(|members| {
                    let has =
                        |name: &Value| members.contains_key(name.as_str().unwrap_or_default());
                    list(wanted).iter().all(has)
                }),
                "anyOf" => self.hold(wanted, value) > 0,
                "oneOf" => self.hold(wanted, value) == 1,
                "properties" => {
                    self.members(wanted, &schema["additionalProperties"], value, at, faults);
                    true
                }
                // Looked at with the properties.
                "additionalProperties" => keywords.contains_key("properties"),
                "items" => {
                    for (position, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(wanted, item, &format!("{at}/{position}"), faults);
                    }
                    true
                }
                "pattern" => value.as_str().is_none_or(|text| self.matches(wanted, text)),
                "maxLength" => value.as_str().is_none_or(|text| {
                    let characters = text.chars().count() as u64;
                    wanted.as_u64().is_some_and(|most| characters <= most)
                }),
                "minimum" => value
                    .as_i64()
                    .is_none_or(|number| wanted.as_i64() <= Some(number)),
                "maximum" => value
                    .as_i64()
                    .is_none_or(|number| wanted.as_i64().is_some_and(|most| number <= most)),
                other => panic!("JSON Schema's `{other}` is not known here"),
            };
            if !holds {
                let shown: String = wanted.to_string().chars().take(200).collect();
                faults.push(format!("{at}: {keyword} {shown}"));
            }
        }
    }

    fn members(
        &self,
        known: &Value,
        others: &Value,
        value: &Value,
        at: &str,
        faults: &mut Vec<String>,
    ) {
        for (name, member) in value.as_object().into_iter().flatten() {
            match known.get(name) {
                Some(schema) => self.check(schema, member, &format!("{at}/{name}"), faults),
                None if others == &Value::Bool(false) => {
                    faults.push(format!("{at}: no {name} here"));
                }
                None => {}
            }
        }
    }

    fn hold(&self, schemas: &Value, value: &Value) -> usize {
        let holds = |schema: &&Value| {
            let mut faults = Vec::new();
            self.check(schema, value, "", &mut faults);
            faults.is_empty()
        };
        list(schemas).iter().filter(holds).count()
    }

    fn matches(&self, pattern: &Value, text: &str) -> bool {
        let pattern = pattern.as_str().expect("a pattern is a string");
        let mut patterns = self.patterns.borrow_mut();
        let regex = patterns.entry(pattern.to_owned()).or_insert_with(|| {
            // Classes such as `\d` are ASCII, as they are in ECMA 262.
            Regex::new(&format!("(?-u){pattern}")).expect("the patterns of OCSF are plain")
        });
        regex.is_match(text.as_bytes())
    }
}

fn list(value: &Value) -> &[Value] {
    value
        .as_array()
        .map_or(std::slice::from_ref(value), Vec::as_slice)
}

fn is_a(value: &Value, kind: &Value) -> bool {
    match kind.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        other => panic!("JSON Schema's type {other:?} is not known here"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_keyword_finds_its_fault() {
        let schema = JsonSchema::new(json!({
            "type": "object",
            "properties": {
                "number": {"type": "integer", "enum": [1, 2]},
                "text": {"type": "string", "pattern": "^\\d+$", "maxLength": 3},
                "list": {"type": "array", "items": {"$ref": "#/$defs/port"}},
                "any": {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
                "one": {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
                "class": {"const": 5}
            },
            "additionalProperties": false,
            "required": ["number"],
            "$defs": {"port": {"type": "integer", "minimum": 0, "maximum": 9}}
        }));
        let good = json!({"number": 1, "text": "12", "list": [0, 9], "any": {"a": 1, "b": 1}, "one": {"a": 1}, "class": 5});
        assert_eq!(schema.faults(&good), Vec::<String>::new());
        for (bad, part) in [
            (json!({}), ": required"),
            (json!([]), ": type"),
            (json!({"number": 3}), "/number: enum"),
            (json!({"number": "1"}), "/number: type"),
            (json!({"number": 1, "text": "1a"}), "/text: pattern"),
            (json!({"number": 1, "text": "1234"}), "/text: maxLength"),
            (json!({"number": 1, "list": [-1]}), "/list/0: minimum"),
            (json!({"number": 1, "list": [1, 10]}), "/list/1: maximum"),
            (json!({"number": 1, "any": {}}), "/any: anyOf"),
            (json!({"number": 1, "one": {"a": 1, "b": 1}}), "/one: oneOf"),
            (json!({"number": 1, "class": 6}), "/class: const"),
            (json!({"number": 1, "new": 1}), "no new here"),
        ] {
            let faults = schema.faults(&bad);
            assert!(
                faults.iter().any(|fault| fault.contains(part)),
                "{part}: {faults:?}"
            );
        }
    }
}
