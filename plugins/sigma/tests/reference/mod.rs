//! Sigma by its specification alone, simple and slow: rules and events are trees of JSON, a field is
//! looked for anew for every comparison, and nothing is prepared. Shares no code with the library.

use serde_json::{Map, Value};

/// Whether an event is as a rule says. Rules that the library refuses are not to be asked about.
pub(crate) fn matches(rule: &Value, event: &Value, lists: &Map<String, Value>) -> bool {
    let detection = rule["detection"].as_object().expect("detections");
    let condition = match &detection["condition"] {
        Value::Array(all) => {
            let texts = all.iter().map(|one| format!("({})", one.as_str().unwrap()));
            texts.collect::<Vec<_>>().join(" or ")
        }
        one => one.as_str().expect("a condition").to_owned(),
    };
    let words = words(&condition);
    let mut reader = Reader {
        words: &words,
        at: 0,
        detection,
        event,
        lists,
    };
    let verdict = reader.or();
    assert_eq!(reader.at, words.len(), "the whole condition was read");
    verdict
}

fn words(condition: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in condition.chars() {
        match c {
            '(' | ')' => words.extend([c.to_string(), String::new()]),
            c if c.is_whitespace() => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

struct Reader<'a> {
    words: &'a [String],
    at: usize,
    detection: &'a Map<String, Value>,
    event: &'a Value,
    lists: &'a Map<String, Value>,
}

impl Reader<'_> {
    fn next_is(&mut self, word: &str) -> bool {
        let is = self
            .words
            .get(self.at)
            .is_some_and(|next| next.to_lowercase() == word);
        if is {
            self.at += 1;
        }
        is
    }

    fn or(&mut self) -> bool {
        let mut verdict = self.and();
        while self.next_is("or") {
            let right = self.and();
            verdict = verdict || right;
        }
        verdict
    }

    fn and(&mut self) -> bool {
        let mut verdict = self.not();
        while self.next_is("and") {
            let right = self.not();
            verdict = verdict && right;
        }
        verdict
    }

    fn not(&mut self) -> bool {
        if self.next_is("not") {
            return !self.not();
        }
        if self.next_is("(") {
            let verdict = self.or();
            assert!(self.next_is(")"), "a closing parenthesis");
            return verdict;
        }
        let word = self.words[self.at].clone();
        self.at += 1;
        if ["1", "any", "all"].contains(&word.as_str()) && self.next_is("of") {
            let pattern = self.words[self.at].clone();
            self.at += 1;
            let meant = |name: &str| match pattern.as_str() {
                "them" => !name.starts_with('_'),
                pattern => like(pattern, name) && pattern.starts_with('_') == name.starts_with('_'),
            };
            let mut named = self
                .detection
                .iter()
                .filter(|(name, _)| *name != "condition" && meant(name));
            return if word == "all" {
                named.all(|(_, one)| self.search(one))
            } else {
                named.any(|(_, one)| self.search(one))
            };
        }
        self.search(&self.detection[&word])
    }

    /// A search identifier: a map of which all must hold, or a list of which one must.
    fn search(&self, search: &Value) -> bool {
        match search {
            Value::Object(map) => map.iter().all(|(key, value)| self.line(key, value)),
            Value::Array(list) => list.iter().any(|one| self.search(one)),
            keyword => self.line("", keyword),
        }
    }

    fn line(&self, key: &str, value: &Value) -> bool {
        let mut parts = key.split('|');
        let field = parts.next().unwrap();
        let modifiers: Vec<&str> = parts.collect();
        let has = |name: &str| modifiers.contains(&name);
        if has("exists") {
            return found(self.event, field).is_empty() != value.as_bool().unwrap();
        }
        let wanted: Vec<Value> = match value {
            Value::Array(list) => list.clone(),
            one => vec![one.clone()],
        };
        let wanted: Vec<Value> = wanted
            .into_iter()
            .flat_map(|one| {
                if has("expand") {
                    self.expand(&one)
                } else {
                    vec![one]
                }
            })
            .collect();
        let mut there = if field.is_empty() {
            vec![self.event.clone()]
        } else {
            found(self.event, field)
        };
        if there.is_empty() {
            // A missing key equals null.
            there.push(Value::Null);
        }
        let there: Vec<Value> = there.into_iter().flat_map(elements).collect();
        let one = |wanted: &Value| {
            there
                .iter()
                .any(|value| self.compare(value, wanted, field.is_empty(), &modifiers))
        };
        let verdict = if has("all") {
            wanted.iter().all(one)
        } else {
            wanted.iter().any(one)
        };
        verdict != has("neq")
    }

    fn expand(&self, value: &Value) -> Vec<Value> {
        let whole = text(value);
        let Some((before, rest)) = whole.split_once('%') else {
            return vec![value.clone()];
        };
        let (name, after) = rest.split_once('%').expect("a placeholder");
        let list = self.lists[name].as_array().expect("a list");
        // What follows may hold placeholders, too.
        let rests = self.expand(&Value::from(after));
        list.iter()
            .flat_map(|one| {
                rests
                    .iter()
                    .map(move |rest| format!("{before}{}{}", one.as_str().unwrap(), text(rest)))
            })
            .map(Value::from)
            .collect()
    }

    fn compare(&self, value: &Value, wanted: &Value, keyword: bool, modifiers: &[&str]) -> bool {
        let has = |name: &str| modifiers.contains(&name);
        if wanted.is_null() || value.is_null() {
            return wanted.is_null() && value.is_null();
        }
        let (there, want) = (text(value), text(wanted));
        if let Some(part) = modifiers
            .iter()
            .find(|name| ["minute", "hour", "day", "week", "month", "year"].contains(name))
        {
            return part_of(&there, part)
                .is_some_and(|number| ordered(number, want.parse().unwrap(), modifiers));
        }
        if ["lt", "lte", "gt", "gte"].iter().any(|name| has(name)) {
            // Only what JSON would call a number is one.
            let number = serde_json::from_str::<serde_json::Number>(&there)
                .ok()
                .and_then(|number| number.as_f64());
            return number.is_some_and(|number| ordered(number, want.parse().unwrap(), modifiers));
        }
        if has("re") {
            let flags: String = ["i", "m", "s"]
                .into_iter()
                .filter(|flag| has(flag))
                .collect();
            let flags = if flags.is_empty() {
                String::new()
            } else {
                format!("(?{flags})")
            };
            return regex::bytes::Regex::new(&format!("(?-u){flags}{want}"))
                .unwrap()
                .is_match(there.as_bytes());
        }
        if has("cidr") {
            return in_network(&there, &want);
        }
        let case = |text: &str| -> String {
            if has("cased") {
                text.to_owned()
            } else {
                text.chars().flat_map(char::to_lowercase).collect()
            }
        };
        if has("fieldref") {
            return found(self.event, &want)
                .into_iter()
                .flat_map(elements)
                .filter(|other| !other.is_null())
                .any(|other| {
                    let (there, other) = (case(&there), case(&text(&other)));
                    match (has("startswith"), has("endswith"), has("contains")) {
                        (true, false, false) => there.starts_with(&other),
                        (false, true, false) => there.ends_with(&other),
                        (false, false, false) => there == other,
                        _ => there.contains(&other),
                    }
                });
        }
        if wanted.is_number()
            && value.is_number()
            && modifiers
                .iter()
                .all(|name| ["all", "neq", "cased"].contains(name))
        {
            return wanted.as_f64() == value.as_f64() || there == want;
        }
        let number = wanted.is_number() || wanted.is_boolean();
        let mut patterns = vec![if number {
            want.chars().map(Part::Is).collect()
        } else {
            parts(&want)
        }];
        let mut bytes: Option<Vec<u8>> = None;
        for name in modifiers {
            let plain = || {
                patterns[0]
                    .iter()
                    .map(|part| match part {
                        Part::Is(c) => *c,
                        _ => panic!("wildcards cannot be encoded"),
                    })
                    .collect::<String>()
            };
            match *name {
                "wide" | "utf16le" => {
                    bytes = Some(plain().encode_utf16().flat_map(u16::to_le_bytes).collect())
                }
                "utf16be" => {
                    bytes = Some(plain().encode_utf16().flat_map(u16::to_be_bytes).collect())
                }
                "utf16" => {
                    bytes = Some(
                        [0xfeff]
                            .into_iter()
                            .chain(plain().encode_utf16())
                            .flat_map(u16::to_le_bytes)
                            .collect(),
                    )
                }
                "base64" => {
                    patterns = vec![encode(
                        &bytes.take().unwrap_or_else(|| plain().into_bytes()),
                        0,
                        false,
                    )]
                }
                "base64offset" => {
                    let of = bytes.take().unwrap_or_else(|| plain().into_bytes());
                    patterns = (0..3).map(|shift| encode(&of, shift, true)).collect();
                }
                "windash" => {
                    for pattern in &mut patterns {
                        for part in pattern {
                            if matches!(part, Part::Is('-' | '/' | '–' | '—' | '―')) {
                                *part = Part::Dash;
                            }
                        }
                    }
                }
                "contains" => {
                    for pattern in &mut patterns {
                        pattern.insert(0, Part::Many);
                        pattern.push(Part::Many);
                    }
                }
                "startswith" => patterns
                    .iter_mut()
                    .for_each(|pattern| pattern.push(Part::Many)),
                "endswith" => patterns
                    .iter_mut()
                    .for_each(|pattern| pattern.insert(0, Part::Many)),
                _ => {}
            }
        }
        if keyword
            && !["contains", "startswith", "endswith"]
                .iter()
                .any(|name| has(name))
        {
            for pattern in &mut patterns {
                pattern.insert(0, Part::Many);
                pattern.push(Part::Many);
            }
        }
        let there: Vec<char> = case(&there).chars().collect();
        patterns.iter().any(|pattern| {
            let pattern: Vec<Part> = pattern
                .iter()
                .flat_map(|part| match part {
                    Part::Is(c) => case(&c.to_string()).chars().map(Part::Is).collect(),
                    other => vec![*other],
                })
                .collect();
            fits(&pattern, &there)
        })
    }
}

/// All values at a dotted name: the member that has the whole name first, then the way through members and
/// through the elements of arrays.
fn found(event: &Value, name: &str) -> Vec<Value> {
    let literal = event.get(name);
    if let Some(value) = literal.filter(|value| !value.is_null()) {
        return vec![value.clone()];
    }
    let steps: Vec<&str> = name.split('.').collect();
    let mut nested = Vec::new();
    if steps.len() > 1 {
        walk(event, &steps, &mut nested);
    }
    if nested.is_empty() {
        nested.extend(literal.cloned());
    }
    nested
}

fn walk(value: &Value, steps: &[&str], out: &mut Vec<Value>) {
    let Some((step, rest)) = steps.split_first() else {
        return out.push(value.clone());
    };
    match value {
        Value::Object(map) => {
            if let Some(member) = map.get(*step) {
                walk(member, rest, out);
            }
        }
        Value::Array(list) => {
            let position = step
                .parse::<usize>()
                .ok()
                .filter(|position| position.to_string() == *step);
            match position.and_then(|position| list.get(position)) {
                Some(element) => walk(element, rest, out),
                None => list.iter().for_each(|element| walk(element, steps, out)),
            }
        }
        _ => {}
    }
}

/// An array stands for its elements.
fn elements(value: Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list.into_iter().flat_map(elements).collect(),
        other => vec![other],
    }
}

/// A value as a person reads it.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) => shown(value),
        other => other.to_string(),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{text}\""),
        Value::Array(list) => format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(",")),
        Value::Object(map) => {
            let members = map
                .iter()
                .map(|(name, value)| format!("\"{name}\":{}", shown(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Is(char),
    One,
    Many,
    Dash,
}

fn parts(text: &str) -> Vec<Part> {
    let chars: Vec<char> = text.chars().collect();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < chars.len() {
        let escaped = chars[at] == '\\' && matches!(chars.get(at + 1), Some('\\' | '*' | '?'));
        if escaped {
            at += 1;
        }
        out.push(match chars[at] {
            '*' if !escaped => Part::Many,
            '?' if !escaped => Part::One,
            c => Part::Is(c),
        });
        at += 1;
    }
    out
}

/// By the textbook: a table of which beginnings of the pattern fit which beginnings of the text.
fn fits(pattern: &[Part], text: &[char]) -> bool {
    let mut table = vec![vec![false; text.len() + 1]; pattern.len() + 1];
    table[0][0] = true;
    for (row, part) in pattern.iter().enumerate() {
        for column in 0..=text.len() {
            table[row + 1][column] = match part {
                Part::Many => table[row][column] || column > 0 && table[row + 1][column - 1],
                _ if column == 0 => false,
                Part::One => table[row][column - 1],
                Part::Is(c) => table[row][column - 1] && *c == text[column - 1],
                Part::Dash => table[row][column - 1] && "-/–—―".contains(text[column - 1]),
            };
        }
    }
    table[pattern.len()][text.len()]
}

fn like(pattern: &str, name: &str) -> bool {
    let pattern: Vec<Part> = pattern
        .chars()
        .map(|c| if c == '*' { Part::Many } else { Part::Is(c) })
        .collect();
    fits(&pattern, &name.chars().collect::<Vec<_>>())
}

/// Base64, bit by bit. With `inner`, only the digits that these bytes alone decide, `shift` bytes into it.
fn encode(bytes: &[u8], shift: usize, inner: bool) -> Vec<Part> {
    let digits: Vec<char> = ('A'..='Z')
        .chain('a'..='z')
        .chain('0'..='9')
        .chain(['+', '/'])
        .collect();
    let mut bits: Vec<Option<u8>> = vec![None; shift * 8];
    for byte in bytes {
        bits.extend((0..8).rev().map(|bit| Some(byte >> bit & 1)));
    }
    let mut out = Vec::new();
    for group in bits.chunks(6) {
        let whole = group.len() == 6 && group.iter().all(Option::is_some);
        if inner && !whole {
            continue;
        }
        let value = (0..6).fold(0, |sum, at| {
            sum * 2 + group.get(at).copied().flatten().unwrap_or(0)
        });
        out.push(Part::Is(digits[usize::from(value)]));
    }
    while !inner && out.len() % 4 != 0 {
        out.push(Part::Is('='));
    }
    out
}

fn ordered(number: f64, limit: f64, modifiers: &[&str]) -> bool {
    match modifiers
        .iter()
        .find(|name| ["lt", "lte", "gt", "gte"].contains(name))
    {
        Some(&"lt") => number < limit,
        Some(&"lte") => number <= limit,
        Some(&"gt") => number > limit,
        Some(_) => number >= limit,
        None => number == limit,
    }
}

fn part_of(time: &str, part: &str) -> Option<f64> {
    let number = |from: usize, to: usize| time.get(from..to)?.parse::<u32>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    if !(2001..2100).contains(&year)
        || !(1..=12).contains(&month)
        || day == 0
        || day > length(year, month)
    {
        return None;
    }
    Some(f64::from(match part {
        "year" => year,
        "month" => month,
        "day" => day,
        "hour" => number(11, 13)?,
        "minute" => number(14, 16)?,
        _ => week(year, month, day),
    }))
}

/// The days of a month.
fn length(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Weeks begin on Monday, and the first of a year has its first Thursday: counted day by day from a Monday.
fn week(year: u32, month: u32, day: u32) -> u32 {
    // 2001-01-01 was a Monday.
    let (mut at, mut weekday, mut week) = ((2001, 1, 1), 0, 1);
    while at != (year, month, day) {
        at.2 += 1;
        if at.2 > length(at.0, at.1) {
            at = (at.0, at.1 + 1, 1);
        }
        if at.1 > 12 {
            at = (at.0 + 1, 1, 1);
        }
        weekday = (weekday + 1) % 7;
        if weekday == 0 {
            // The week's Thursday decides whose it is.
            let thursday = at.2 + 3;
            let next = at.1 == 12 && thursday > 31;
            let first = next || at.1 == 1 && thursday <= 7;
            week = if first { 1 } else { week + 1 };
        }
    }
    week
}

fn in_network(address: &str, network: &str) -> bool {
    use std::net::IpAddr;
    let (net, length) = network
        .split_once('/')
        .map_or((network, None), |(net, length)| (net, Some(length)));
    let bits = |address: IpAddr| -> Vec<u8> {
        let bytes = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        bytes
            .iter()
            .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
            .collect()
    };
    let (Ok(net), Ok(address)) = (net.parse(), address.parse()) else {
        return false;
    };
    let (net, address) = (bits(net), bits(address));
    let length = length.map_or(net.len(), |length| length.parse().unwrap());
    net.len() == address.len() && net[..length] == address[..length]
}
