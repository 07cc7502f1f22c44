//! What plugins added to an event as indexed fields of Splunk, which are flat: a text or a list of texts under
//! each name.

use std::collections::BTreeMap;

use crate::json::{self, skip_space, string_end, value_end};

/// Texts by name; each as JSON, with its quotes.
type Fields = BTreeMap<String, Vec<Vec<u8>>>;

/// Appends the member `sluicegate` of an event, JSON that was checked, as an object of fields. Names are the
/// way down joined by `_`, with `_` for whatever is neither a letter nor a digit; what lists hold comes
/// together under one name. Numbers and booleans become texts, and null is left out.
pub(super) fn write(member: &[u8], out: &mut Vec<u8>) {
    let mut fields = Fields::new();
    gather(member, 0, "sluicegate", &mut fields);
    out.push(b'{');
    for (position, (name, texts)) in fields.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        json::quote_into(name, out);
        out.push(b':');
        if let [text] = texts.as_slice() {
            out.extend_from_slice(text);
        } else {
            out.push(b'[');
            out.extend_from_slice(&texts.join(&b','));
            out.push(b']');
        }
    }
    out.push(b'}');
}

/// Notes the value that starts here, under this name, and answers where it ends.
fn gather(json: &[u8], at: usize, name: &str, fields: &mut Fields) -> usize {
    let at = skip_space(json, at);
    match json[at] {
        b'{' => each(json, at, |at| {
            let end = string_end(json, at);
            let inside = json::unescape(&json[at + 1..end - 1]);
            let below = format!("{name}_{}", plain(&String::from_utf8_lossy(&inside)));
            let value = skip_space(json, end) + 1;
            gather(json, value, &below, fields)
        }),
        b'[' => each(json, at, |at| gather(json, at, name, fields)),
        first => {
            let end = value_end(json, at);
            let text = match first {
                b'"' => json[at..end].to_vec(),
                b'n' => return end,
                _ => [b"\"", &json[at..end], b"\""].concat(),
            };
            fields.entry(name.to_owned()).or_default().push(text);
            end
        }
    }
}

/// Calls `item` with the start of each item of the object or array here; it answers where the item ends.
fn each(json: &[u8], at: usize, mut item: impl FnMut(usize) -> usize) -> usize {
    let mut at = skip_space(json, at + 1);
    while !matches!(json[at], b'}' | b']') {
        let end = skip_space(json, item(at));
        at = if json[end] == b',' {
            skip_space(json, end + 1)
        } else {
            end
        };
    }
    at + 1
}

fn plain(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() { c } else { '_' };
    name.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(member: &str) -> String {
        let mut out = Vec::new();
        write(member.as_bytes(), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn what_is_nested_becomes_flat_and_lists_come_together() {
        assert_eq!(
            written(
                r#"{"id":"a.1", "enrich-context":{"account":{"name":"x \"y\""},"n":1.5,"b":true,"none":null,"no":[],"tags":["p","q"]},
                    "findings":[{"rule":"a/b","severity":"low"},{"rule":"c/d","severity":"high"}]}"#
            ),
            r#"{"sluicegate_enrich_context_account_name":"x \"y\"","sluicegate_enrich_context_b":"true","sluicegate_enrich_context_n":"1.5","sluicegate_enrich_context_tags":["p","q"],"sluicegate_findings_rule":["a/b","c/d"],"sluicegate_findings_severity":["low","high"],"sluicegate_id":"a.1"}"#
        );
        assert_eq!(written("{}"), "{}");
    }

    #[test]
    fn names_that_differ_only_in_signs_share_a_field() {
        assert_eq!(
            written(r#"{"a-b":"1","a_b":["2",3],"\u0061.b":{"":"4"}}"#),
            r#"{"sluicegate_a_b":["1","2","3"],"sluicegate_a_b_":"4"}"#
        );
    }
}
