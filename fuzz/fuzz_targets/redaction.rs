//! Redaction of any event: it ends, and passes no leaf that is a token.
//!
//! The input is an event, in which every `$` stands for a token that must not leave.

#![no_main]

use libfuzzer_sys::fuzz_target;
use redaction_check::RedactionCheck;
use serde_json::Value;
use sluicegate_plugin::testing::Kit;

const TOKEN: &str = "ghp_0123456789abcdefghijABCDEFGHIJ012345";

/// Paths of all strings that are the token and nothing else.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text == TOKEN => found.push(path.to_owned()),
        Value::Array(list) => {
            for (index, item) in list.iter().enumerate() {
                leaves(item, &format!("{path}/{index}"), found);
            }
        }
        Value::Object(members) => {
            for (name, item) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                leaves(item, &format!("{path}/{name}"), found);
            }
        }
        _ => {}
    }
}

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let event = text.replace('$', TOKEN);
    let Ok(tree @ Value::Object(_)) = serde_json::from_str::<Value>(&event) else {
        return;
    };
    let Ok(seen) = Kit::<RedactionCheck>::new("{}").try_run(&[&event]) else {
        return;
    };
    let masks = seen.masks(0);
    if masks.iter().any(|(path, _)| path.starts_with("/withheld")) {
        return;
    }
    let mut tokens = Vec::new();
    leaves(&tree, "", &mut tokens);
    for path in tokens {
        assert!(masks.iter().any(|(masked, _)| *masked == path), "{path} was passed");
    }
});
