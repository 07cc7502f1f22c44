//! One line of a detection: a field, its modifiers and the values it is compared with.

use std::{collections::BTreeMap, fmt::Write as _, net::IpAddr};

use crate::{
    Fault,
    encode::{base64, base64_anywhere, utf16},
    field::{FieldId, Fields},
    matcher::{Item, Matcher, Network, Order, Place, Test},
    moment::Part,
    pattern::{Atom, Pattern, any_dash, atoms},
    yaml::{Node, Value},
};

/// Values of one line.
const MAX_VALUES: usize = 20_000;
/// Values that one value with placeholders may become.
const MAX_EXPANDED: usize = 20_000;
/// What a compiled regular expression may take up, in bytes.
const MAX_REGEX: usize = 512 << 10;

/// The fields that name a call; events are looked up by them.
pub(crate) const NAME: &str = "eventName";
/// See [`NAME`].
pub(crate) const SOURCE: &str = "eventSource";

/// What lines are compiled with.
pub(crate) struct Context<'a> {
    pub(crate) fields: &'a mut Fields,
    pub(crate) placeholders: &'a BTreeMap<String, Vec<String>>,
    /// Whether lines keep a text for people.
    pub(crate) readable: bool,
}

/// What the modifiers of a line say.
#[allow(clippy::struct_excessive_bools, reason = "one a modifier")]
#[derive(Default)]
struct Modifiers<'a> {
    /// What is done to the values, in order.
    changes: Vec<&'a str>,
    kind: Option<Kind>,
    part: Option<Part>,
    all: bool,
    neq: bool,
    cased: bool,
    expand: bool,
    flags: [bool; 3],
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Regex,
    Cidr,
    Exists,
    Field,
    Order(Order),
}

impl<'a> Modifiers<'a> {
    fn parse(names: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut all = Self::default();
        for name in names {
            match name {
                "contains" | "startswith" | "endswith" | "windash" | "base64" | "base64offset"
                | "utf16" | "utf16le" | "utf16be" | "wide" => all.changes.push(name),
                "all" => all.all = true,
                "neq" => all.neq = true,
                "cased" => all.cased = true,
                "expand" => all.expand = true,
                "i" | "m" | "s" if all.kind == Some(Kind::Regex) => {
                    let flags = ["i", "m", "s"];
                    for (flag, set) in flags.iter().zip(&mut all.flags) {
                        *set |= *flag == name;
                    }
                }
                "i" | "m" | "s" => return Err(format!("modifier `{name}` belongs after `re`")),
                "re" => all.of_kind(Kind::Regex)?,
                "cidr" => all.of_kind(Kind::Cidr)?,
                "exists" => all.of_kind(Kind::Exists)?,
                "fieldref" => all.of_kind(Kind::Field)?,
                "lt" => all.of_kind(Kind::Order(Order::Lt))?,
                "lte" => all.of_kind(Kind::Order(Order::Lte))?,
                "gt" => all.of_kind(Kind::Order(Order::Gt))?,
                "gte" => all.of_kind(Kind::Order(Order::Gte))?,
                _ => match Part::named(name) {
                    Some(part) if all.part.is_none() => all.part = Some(part),
                    Some(_) => return Err("a line can ask for one part of a time".to_owned()),
                    None => return Err(format!("modifier `{name}` is not one of Sigma 2")),
                },
            }
        }
        all.check().map(|()| all)
    }

    fn of_kind(&mut self, kind: Kind) -> Result<(), String> {
        match self.kind.replace(kind) {
            None => Ok(()),
            Some(_) => Err(
                "of `re`, `cidr`, `exists`, `fieldref`, `lt`, `lte`, `gt` and `gte` a line can have one"
                    .to_owned(),
            ),
        }
    }

    /// Whether the values are what the field must be, as they stand there.
    fn is_plain(&self) -> bool {
        let changed = self.kind.is_some() || self.part.is_some() || !self.changes.is_empty();
        !changed && !self.all && !self.neq && !self.expand
    }

    fn check(&self) -> Result<(), String> {
        let places = |name: &&str| matches!(*name, "contains" | "startswith" | "endswith");
        let changes_fit = match self.kind {
            None => self.part.is_none() || self.changes.is_empty(),
            Some(Kind::Field) => self.changes.iter().all(places),
            Some(_) => self.changes.is_empty(),
        };
        if !changes_fit {
            let names = self.changes.join("`, `");
            return Err(format!(
                "modifier `{names}` changes texts: it does not go with what else the line says"
            ));
        }
        if self.part.is_some() && !matches!(self.kind, None | Some(Kind::Order(_))) {
            return Err("a part of a time is compared as a number only".to_owned());
        }
        if self.cased && !matches!(self.kind, None | Some(Kind::Field)) {
            return Err("modifier `cased` is for texts".to_owned());
        }
        Ok(())
    }
}

/// Compiles one line. The empty field is the whole event, searched for keywords.
pub(crate) fn compile(
    key: &str,
    line: u32,
    value: &Node,
    context: &mut Context<'_>,
) -> Result<Item, Fault> {
    let mut parts = key.split('|');
    let name = parts.next().unwrap_or_default();
    let at = |reason: String| Fault::new(line, format!("`{key}`: {reason}"));
    let mut modifiers = Modifiers::parse(parts).map_err(at)?;
    let placed = |name: &&str| matches!(*name, "contains" | "startswith" | "endswith");
    if name.is_empty() && modifiers.kind.is_none() && !modifiers.changes.iter().any(placed) {
        // A keyword may stand anywhere.
        modifiers.changes.push("contains");
    }
    let field = context.fields.add(name).map_err(at)?;
    let nulls = [Node {
        line: value.line,
        value: Value::Null,
    }];
    let values = match &value.value {
        Value::Null => &nulls[..],
        _ => value.list(),
    };
    if values.is_empty() {
        return Err(at("has an empty list: name at least one value".to_owned()));
    }
    if values.len() > MAX_VALUES {
        let count = values.len();
        return Err(at(format!(
            "has {count} values, at most {MAX_VALUES} are taken"
        )));
    }
    let mut test = if modifiers.kind == Some(Kind::Exists) {
        match values {
            [
                Node {
                    value: Value::Bool(wanted),
                    ..
                },
            ] => Test::Exists(*wanted),
            _ => return Err(at("`exists` takes true or false".to_owned())),
        }
    } else {
        let mut matchers = Vec::new();
        for value in values {
            let fault = |reason| Fault::new(value.line, format!("`{key}`: {reason}"));
            one(value, &modifiers, context, &mut matchers).map_err(fault)?;
        }
        Test::of(matchers, modifiers.all)
    };
    test.index();
    Ok(Item {
        field,
        neq: modifiers.neq,
        test,
        written: if matches!(name, NAME | SOURCE) && modifiers.is_plain() {
            values.iter().map(written).collect()
        } else {
            None
        },
        shown: if context.readable {
            shown(key, values)
        } else {
            String::new()
        },
    })
}

/// Adds what one value is compared by; an expanded value may be many.
fn one(
    value: &Node,
    modifiers: &Modifiers<'_>,
    context: &mut Context<'_>,
    out: &mut Vec<Matcher>,
) -> Result<(), String> {
    if value.value == Value::Null {
        let plain =
            modifiers.changes.is_empty() && modifiers.kind.is_none() && modifiers.part.is_none();
        return if plain {
            out.push(Matcher::Null);
            Ok(())
        } else {
            Err("null takes no modifier that changes texts".to_owned())
        };
    }
    let Some(text) = value.text() else {
        return Err(format!(
            "is compared with {}: values are texts, numbers, booleans or null",
            value.kind()
        ));
    };
    let number = match &value.value {
        Value::Number(number, _) => Some(*number),
        _ => None,
    };
    if !modifiers.expand {
        out.push(matcher(text, number, modifiers, context.fields)?);
        return Ok(());
    }
    for text in expanded(text, context.placeholders)? {
        out.push(matcher(&text, number, modifiers, context.fields)?);
    }
    Ok(())
}

fn matcher(
    text: &str,
    number: Option<f64>,
    modifiers: &Modifiers<'_>,
    fields: &mut Fields,
) -> Result<Matcher, String> {
    if let Some(part) = modifiers.part {
        let order = match modifiers.kind {
            Some(Kind::Order(order)) => order,
            _ => Order::Eq,
        };
        return Ok(Matcher::Time(part, order, numeric(text)?));
    }
    Ok(match modifiers.kind {
        Some(Kind::Order(order)) => Matcher::Order(order, numeric(text)?),
        Some(Kind::Cidr) => Matcher::Cidr(network(text)?),
        Some(Kind::Regex) => Matcher::Regex(regex(text, modifiers.flags)?),
        Some(Kind::Field) => Matcher::Field {
            field: fields.add(text)?,
            place: place(&modifiers.changes),
            cased: modifiers.cased,
        },
        Some(Kind::Exists) | None if modifiers.changes.is_empty() => match number {
            Some(number) => {
                Matcher::Number(number, Pattern::new(&[Atom::Text(text.to_owned())], false))
            }
            None => Matcher::Text(Pattern::new(&atoms(text), modifiers.cased)),
        },
        Some(Kind::Exists) | None => return changed(text, modifiers),
    })
}

/// A text after the modifiers that change it, in their order.
fn changed(text: &str, modifiers: &Modifiers<'_>) -> Result<Matcher, String> {
    let mut places = vec![atoms(text)];
    // Bytes that an encoding has left, until they are text again.
    let mut wide: Option<Vec<u8>> = None;
    for name in &modifiers.changes {
        if let "utf16" | "utf16le" | "utf16be" | "wide" = *name {
            let plain = plain(&places[0], name)?;
            wide = Some(match *name {
                "utf16be" => utf16(plain, u16::to_be_bytes),
                "utf16" => [vec![0xff, 0xfe], utf16(plain, u16::to_le_bytes)].concat(),
                _ => utf16(plain, u16::to_le_bytes),
            });
            continue;
        }
        if let "base64" | "base64offset" = *name {
            let bytes = match wide.take() {
                Some(bytes) => bytes,
                None => plain(&places[0], name)?.as_bytes().to_vec(),
            };
            let texts = match *name {
                "base64" => vec![base64(&bytes)],
                _ => base64_anywhere(&bytes).to_vec(),
            };
            if texts.iter().any(String::is_empty) {
                return Err(format!("`{name}` leaves nothing of so short a value"));
            }
            places = texts
                .into_iter()
                .map(|text| vec![Atom::Text(text)])
                .collect();
            continue;
        }
        for atoms in &mut places {
            match *name {
                "contains" => {
                    atoms.insert(0, Atom::Many);
                    atoms.push(Atom::Many);
                }
                "startswith" => atoms.push(Atom::Many),
                "endswith" => atoms.insert(0, Atom::Many),
                _ => *atoms = any_dash(std::mem::take(atoms)),
            }
        }
    }
    if wide.is_some() {
        return Err(
            "UTF-16 is found in JSON only when `base64` or `base64offset` follows".to_owned(),
        );
    }
    let mut patterns: Vec<Pattern> = places
        .iter()
        .map(|atoms| Pattern::new(atoms, modifiers.cased))
        .collect();
    Ok(match (patterns.len(), patterns.pop()) {
        (1, Some(only)) => Matcher::Text(only),
        (_, last) => Matcher::Either(patterns.into_iter().chain(last).collect()),
    })
}

/// The text of a value that is one text and no other.
fn written(value: &Node) -> Option<String> {
    match atoms(value.text()?).as_slice() {
        [Atom::Text(text)] => Some(text.clone()),
        _ => None,
    }
}

/// The text of a value without wildcards.
fn plain<'a>(atoms: &'a [Atom], modifier: &str) -> Result<&'a str, String> {
    match atoms {
        [Atom::Text(text)] => Ok(text),
        _ => Err(format!(
            "`{modifier}` takes a value that is text without wildcards"
        )),
    }
}

fn place(changes: &[&str]) -> Place {
    let has = |name: &str| changes.contains(&name);
    match (has("contains"), has("startswith"), has("endswith")) {
        (false, false, false) => Place::Whole,
        (false, true, false) => Place::Start,
        (false, false, true) => Place::End,
        _ => Place::Anywhere,
    }
}

fn numeric(text: &str) -> Result<f64, String> {
    let number = text.trim().parse::<f64>().ok();
    number
        .filter(|number| number.is_finite())
        .ok_or_else(|| format!("is compared as a number, and `{}` is none", cut(text)))
}

fn network(text: &str) -> Result<Network, String> {
    let wrong = || {
        format!(
            "`{}` is no network: write it as 10.0.0.0/8 or 2001:db8::/32",
            cut(text)
        )
    };
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(Ok(most), |length| length.parse().map_err(|_| wrong()))?;
    if length > most {
        return Err(wrong());
    }
    Ok(Network { address, length })
}

fn regex(text: &str, [insensitive, lines, dots]: [bool; 3]) -> Result<regex::bytes::Regex, String> {
    regex::bytes::RegexBuilder::new(text)
        .unicode(false)
        .case_insensitive(insensitive)
        .multi_line(lines)
        .dot_matches_new_line(dots)
        .size_limit(MAX_REGEX)
        .dfa_size_limit(MAX_REGEX)
        .nest_limit(50)
        .build()
        .map_err(|error| {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            format!(
                "is no regular expression that can be used: {}",
                cut(last.trim_start_matches("error: "))
            )
        })
}

/// The values that a value with placeholders stands for.
fn expanded(text: &str, lists: &BTreeMap<String, Vec<String>>) -> Result<Vec<String>, String> {
    let mut all = vec![String::new()];
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        let escaped = before.len() - before.trim_end_matches('\\').len();
        let closing = after.find('%');
        if escaped % 2 == 1 {
            let before = &before[..before.len() - 1];
            for text in &mut all {
                text.push_str(before);
                text.push('%');
            }
            rest = after;
            continue;
        }
        let Some(name) = closing.map(|closing| &after[..closing]) else {
            for text in &mut all {
                text.push_str(&rest[..=at]);
            }
            rest = after;
            continue;
        };
        let Some(list) = lists.get(name) else {
            return Err(format!(
                "placeholder `%{}%` has no list in the configuration: add it to `placeholders`",
                cut(name)
            ));
        };
        if list.is_empty() || all.len().saturating_mul(list.len()) > MAX_EXPANDED {
            return Err(format!(
                "placeholder `%{}%` must have 1 to {MAX_EXPANDED} values, with those of the others in the same value",
                cut(name)
            ));
        }
        all = all
            .iter()
            .flat_map(|start| {
                list.iter()
                    .map(move |value| format!("{start}{before}{value}"))
            })
            .collect();
        rest = &after[name.len() + 1..];
    }
    for text in &mut all {
        text.push_str(rest);
    }
    Ok(all)
}

/// The beginning of a text from a rule, for a message.
pub(crate) fn cut(text: &str) -> String {
    let mut short: String = text.chars().take(80).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// A line as a person reads it.
fn shown(key: &str, values: &[Node]) -> String {
    let mut out = format!("{}: ", if key.is_empty() { "event" } else { key });
    for (position, value) in values.iter().enumerate() {
        let text = value.text().map_or_else(|| "null".to_owned(), cut);
        let _ = write!(out, "{}{text}", if position == 0 { "" } else { ", " });
        if position == 9 && values.len() > 10 {
            let _ = write!(out, ", … ({} values)", values.len());
            break;
        }
    }
    out
}

/// The number of the field that a name of `group-by` or `field` means.
pub(crate) fn field(name: &str, line: u32, fields: &mut Fields) -> Result<FieldId, Fault> {
    fields.add(name).map_err(|reason| Fault::new(line, reason))
}
