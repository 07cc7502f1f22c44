//! The YAML that nearly all rules are written in, read in one pass: block maps and lists, texts on one line,
//! and literal texts (`|`). Whatever is more than that, or wrong, is left to the library that reads all of
//! YAML; so nothing here reports a fault, and a test holds both to the same answer.
//!
//! It is there because every instance of a plugin reads its pack anew: it takes a small part of the time.

use crate::yaml::{Key, Node, Value};

/// Maps and lists within each other.
const MAX_DEPTH: usize = 16;

/// One line that says something.
#[derive(Clone, Copy)]
struct Line<'a> {
    number: u32,
    indent: usize,
    /// Without the indentation and the spaces at its end.
    text: &'a str,
}

/// The documents of a file, or nothing where the file has more of YAML in it.
pub(crate) fn documents(text: &str) -> Option<Vec<Node>> {
    let odd = |byte: u8| byte < b' ' && byte != b'\n' || byte == 0x7f;
    if text.starts_with('\u{feff}') || text.bytes().any(odd) {
        return None;
    }
    let lines: Vec<&str> = text.split('\n').collect();
    let mut reader = Reader { lines, at: 0 };
    let mut documents = Vec::new();
    loop {
        match reader.peek() {
            None => return Some(documents),
            Some(Line {
                text: "---",
                indent: 0,
                ..
            }) => reader.at += 1,
            Some(line) if line.indent == 0 && !line.text.starts_with('%') => {
                documents.push(reader.block(0, 0)?);
                let ended = reader
                    .peek()
                    .is_none_or(|line| line.text == "---" && line.indent == 0);
                ended.then_some(())?;
            }
            Some(_) => return None,
        }
    }
}

struct Reader<'a> {
    lines: Vec<&'a str>,
    at: usize,
}

impl<'a> Reader<'a> {
    /// The next line that says something.
    fn peek(&mut self) -> Option<Line<'a>> {
        loop {
            let line = self.lines.get(self.at)?;
            let text = line.trim_start_matches(' ');
            if !text.is_empty() && !text.starts_with('#') {
                return Some(Line {
                    number: number(self.at),
                    indent: line.len() - text.len(),
                    text: text.trim_end_matches(' '),
                });
            }
            self.at += 1;
        }
    }

    /// The map or list that begins at the next line.
    fn block(&mut self, indent: usize, depth: usize) -> Option<Node> {
        let first = self
            .peek()
            .filter(|line| line.indent == indent && depth < MAX_DEPTH)?;
        if first.text.starts_with("- ") {
            return self.list(first, depth);
        }
        let mut members = Vec::new();
        while let Some(line) = self.peek().filter(|line| line.indent >= indent) {
            if line.indent > indent || line.text == "---" {
                break;
            }
            self.member(line, indent, depth, &mut members)?;
        }
        Some(Node {
            line: first.number,
            value: Value::Map(members),
        })
    }

    fn list(&mut self, first: Line<'a>, depth: usize) -> Option<Node> {
        let mut list = Vec::new();
        while let Some(line) = self.peek().filter(|line| line.indent == first.indent) {
            let Some(rest) = line.text.strip_prefix("- ") else {
                break;
            };
            let text = rest.trim_start_matches(' ');
            let indent = line.indent + line.text.len() - text.len();
            let inner = Line {
                indent,
                text,
                ..line
            };
            if key(text).is_none() {
                list.push(self.scalar(inner, first.indent)?);
                continue;
            }
            let mut members = Vec::new();
            self.member(inner, indent, depth + 1, &mut members)?;
            while let Some(line) = self.peek().filter(|line| line.indent == indent) {
                self.member(line, indent, depth + 1, &mut members)?;
            }
            list.push(Node {
                line: line.number,
                value: Value::Map(members),
            });
        }
        Some(Node {
            line: first.number,
            value: Value::List(list),
        })
    }

    /// A key with its value.
    fn member(
        &mut self,
        line: Line<'a>,
        indent: usize,
        depth: usize,
        members: &mut Vec<(Key, Node)>,
    ) -> Option<()> {
        let (name, rest) = key(line.text)?;
        if members.len() > 200 || members.iter().any(|(known, _)| known.text == name) {
            return None;
        }
        let name = Key {
            line: line.number,
            text: name.to_owned(),
        };
        let text = rest.trim_start_matches(' ');
        let value = if text.is_empty() || text.starts_with('#') {
            self.at += 1;
            let next = self.peek()?;
            let list = next.indent == indent && next.text.starts_with("- ");
            (next.indent > indent || list).then_some(())?;
            self.block(next.indent, depth + 1)?
        } else if text == "|" {
            self.literal(indent)?
        } else {
            self.scalar(Line { text, ..line }, indent)?
        };
        // What is still further in would go on with the value.
        let ended = self.peek().is_none_or(|next| next.indent <= indent);
        members.push((name, value));
        ended.then_some(())
    }

    /// A text on one line, of a parent with this indentation.
    fn scalar(&mut self, line: Line<'a>, parent: usize) -> Option<Node> {
        self.at += 1;
        if self.peek().is_some_and(|next| next.indent > parent) {
            return None;
        }
        let value = match line.text.as_bytes().first()? {
            b'\'' => {
                let (text, rest) = single(&line.text[1..])?;
                is_comment(rest).then_some(Value::Text(text))?
            }
            b'"' => {
                let (text, rest) = line.text[1..].split_once('"')?;
                (is_comment(rest) && !text.contains('\\')).then(|| Value::Text(text.to_owned()))?
            }
            _ => plain(line.text)?,
        };
        Some(Node {
            line: line.number,
            value,
        })
    }

    /// The lines after a `|`.
    fn literal(&mut self, parent: usize) -> Option<Node> {
        self.at += 1;
        let line = number(self.at);
        let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
        let first = self.lines.get(self.at)?;
        let inner = indent(first);
        (inner > parent && inner < first.len()).then_some(())?;
        let mut text = String::new();
        while let Some(line) = self.lines.get(self.at) {
            if line.is_empty() {
                text.push('\n');
            } else if indent(line) >= inner {
                text.push_str(&line[inner..]);
                text.push('\n');
            } else if line.trim_matches(' ').is_empty()
                || line.trim_start_matches(' ').starts_with('#')
            {
                return None;
            } else {
                break;
            }
            self.at += 1;
        }
        let kept = text.trim_end_matches('\n').len();
        text.truncate(kept);
        text.push('\n');
        Some(Node {
            line,
            value: Value::Text(text),
        })
    }
}

fn number(line: usize) -> u32 {
    u32::try_from(line + 1).unwrap_or(u32::MAX)
}

/// The key that a line begins with, and what follows its colon.
fn key(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = match text.strip_prefix('\'') {
        Some(quoted) => {
            let (name, rest) = quoted.split_once('\'')?;
            (name, rest.strip_prefix(':')?)
        }
        None => text.split_once(':')?,
    };
    let quoted = text.starts_with('\'');
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'|');
    let begins = quoted || name.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
    let follows = rest.is_empty() || rest.starts_with(' ');
    let special = ["null", "true", "false"]
        .iter()
        .any(|word| name.eq_ignore_ascii_case(word));
    (begins && follows && !special && name.bytes().all(allowed)).then_some((name, rest))
}

/// A text in single quotes, and what follows it.
fn single(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('\'')?;
        out.push_str(part);
        match after.strip_prefix('\'') {
            Some(more) => {
                out.push('\'');
                rest = more;
            }
            None => return Some((out, after)),
        }
    }
}

fn is_comment(rest: &str) -> bool {
    let text = rest.trim_start_matches(' ');
    text.is_empty() || text.starts_with('#') && text.len() < rest.len()
}

/// A text without quotes: only such as can mean one thing.
fn plain(text: &str) -> Option<Value> {
    let text = text
        .split_once(" #")
        .map_or(text, |(text, _)| text.trim_end_matches(' '));
    let first = *text.as_bytes().first()?;
    if text.contains(": ") || text.ends_with(':') || text == "---" || text == "..." {
        return None;
    }
    if first.is_ascii_digit() {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        if digits && text.len() < 16 && (first != b'0' || text.len() == 1) {
            return Some(Value::Number(text.parse().ok()?, text.to_owned()));
        }
        // A date, an identifier and the like have two hyphens; no number has.
        let hyphens = text.bytes().filter(|byte| *byte == b'-').count();
        let letters = !text.contains(':') && hyphens >= 2;
        return letters.then(|| Value::Text(text.to_owned()));
    }
    if !(first.is_ascii_alphabetic() || first == b'/' || first == b'_' || !first.is_ascii()) {
        return None;
    }
    match text {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        "null" => Some(Value::Null),
        _ if ["true", "false", "null", "nan", "inf", "infinity"]
            .iter()
            .any(|word| text.eq_ignore_ascii_case(word)) =>
        {
            None
        }
        _ => Some(Value::Text(text.to_owned())),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::yaml;

    /// What both read, where this one reads it at all.
    fn agreed(text: &str) -> bool {
        let plain = documents(text);
        if let Some(plain) = &plain {
            let whole = yaml::whole(text);
            assert_eq!(whole.as_ref(), Ok(plain), "{text}");
        }
        plain.is_some()
    }

    #[test]
    fn published_rules_are_read_without_the_library() {
        let root = std::env::var_os("SLUICEGATE_CORPUS").map_or_else(
            || concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data").into(),
            std::path::PathBuf::from,
        );
        let Ok(files) = std::fs::read_dir(root.join("sigma-cloudtrail/rules")) else {
            eprintln!(
                "skipped: no rules in {}; SLUICEGATE_CORPUS names another folder",
                root.display()
            );
            return;
        };
        let texts: Vec<String> = files
            .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
            .collect();
        let read = texts.iter().filter(|text| agreed(text)).count();
        assert!(read * 10 >= texts.len() * 9, "{read} of {}", texts.len());
    }

    #[test]
    fn what_is_common_is_read_and_what_is_not_is_left() {
        for text in [
            "a: 1\nb:\n  - x # c\n  - 'it''s'\nc: |\n  one\n    two\n\n  three\n\nd: x\n",
            "# c\n---\na: b\n---\na:\n- b: c\n  d: \"e # f\"\n- g|h: null\n",
            "a:\n    '|all':\n        - x\nid: 0d9e8c7b-6a5f-4e3d-8c2b-1a0f9e8d7c6b\ndate: 2024-12-19\n",
        ] {
            assert!(agreed(text), "{text}");
        }
        for text in [
            "a: [b]\n",
            "a: &x b\n",
            "a: b\n  c\n",
            "a: >\n  b\n",
            "a: 1.5\n",
            "a: 0x1f\n",
            "a: 'b\n  c'\n",
            "a: b\na: c\n",
            "a:\n",
            "\ta: b\n",
            "a: \"\\n\"\n",
            "- a\n- - b\n",
            "a: b: c\n",
            "? a\n",
            "a: True\n",
            "a: b\n c: d\n",
            "%YAML 1.2\n---\na: b\n",
            "a: 1_000\n",
            "*a : b\n",
        ] {
            assert!(!agreed(text), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn both_read_the_same(lines in proptest::collection::vec((0_usize..5, "(- |- - |-|--- ?)?(a|b.c|d[|]e|'[|]f'|true|1)?(: ?|:|)(x|1|0|01|1-2-3|-1|~|null|no|yes|'q'|'q''r'|\"s\"|\"t\\\\n\"|[|]|>|x y|x: y|x #c|#c|x#c|[*]a|&a b|!t|[{][}]|\\[\\]|ä|/p|@|`|%|1e3|2024-12-19|12:30|a:b|\\?|,|inf|x  )?"), 0..9)) {
            let lines: Vec<String> = lines.iter().map(|(indent, line)| " ".repeat(*indent) + line).collect();
            agreed(&(lines.join("\n") + "\n"));
        }
    }
}
