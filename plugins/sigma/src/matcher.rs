//! What a line of a detection became, and judging an event by it.

use std::{
    cell::LazyCell,
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::{
    field::{Event, FieldId, Fields, Value},
    literal::{self, Literal},
    moment::Part,
    pattern::{Pattern, fold_into},
    texts::{Texts, same_ascii},
};

/// From so many exact texts on they are looked up instead of compared one by one.
const INDEX_FROM: usize = 5;

/// Beginnings that the host compares an event with on a rule's behalf.
const MAX_STARTS: usize = 40;

/// One line of a detection.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) field: FieldId,
    pub(crate) neq: bool,
    pub(crate) test: Test,
    /// The texts that the field must be one of, as they were written; kept of the fields that events
    /// are looked up by.
    pub(crate) written: Option<Vec<String>>,
    pub(crate) shown: String,
}

#[derive(Clone, Debug)]
pub(crate) enum Test {
    Exists(bool),
    /// Some value of the field is matched by some matcher, or is one of the texts.
    Any {
        matchers: Vec<Matcher>,
        texts: Texts<()>,
    },
    /// Each matcher matches some value of the field.
    All(Vec<Matcher>),
}

#[derive(Clone, Debug)]
pub(crate) enum Matcher {
    /// Also matches a field that is not there.
    Null,
    Text(Pattern),
    Either(Vec<Pattern>),
    Number(f64, Pattern),
    Order(Order, f64),
    Time(Part, Order, f64),
    Regex(regex::bytes::Regex),
    Cidr(Network),
    Field {
        field: FieldId,
        place: Place,
        cased: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Order {
    Lt,
    Lte,
    Gt,
    Gte,
    Eq,
}

impl Order {
    #[allow(clippy::float_cmp, reason = "numbers as rules and events write them")]
    pub(crate) fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Lt => value < limit,
            Self::Lte => value <= limit,
            Self::Gt => value > limit,
            Self::Gte => value >= limit,
            Self::Eq => value == limit,
        }
    }
}

/// Where in one field another field's text must stand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Place {
    Whole,
    Start,
    End,
    Anywhere,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Network {
    pub(crate) address: IpAddr,
    pub(crate) length: u32,
}

impl Network {
    fn holds(&self, text: &str) -> bool {
        let bits4 = |address: Ipv4Addr| u128::from(u32::from(address)) << 96;
        let bits6 = |address: Ipv6Addr| u128::from(address);
        let (net, address) = match (self.address, text.parse()) {
            (IpAddr::V4(net), Ok(IpAddr::V4(address))) => (bits4(net), bits4(address)),
            (IpAddr::V6(net), Ok(IpAddr::V6(address))) => (bits6(net), bits6(address)),
            _ => return false,
        };
        self.length == 0 || (net ^ address) >> (128 - self.length) == 0
    }
}

/// Room that judging an event needs, kept from event to event.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    folded: String,
}

impl Test {
    pub(crate) fn of(matchers: Vec<Matcher>, all: bool) -> Self {
        if all {
            Self::All(matchers)
        } else {
            Self::Any {
                matchers,
                texts: Texts::default(),
            }
        }
    }

    /// Puts many exact texts into one table.
    pub(crate) fn index(&mut self) {
        let Self::Any { matchers, texts } = self else {
            return;
        };
        let exact = |matcher: &Matcher| match matcher {
            Matcher::Text(pattern) if !pattern.cased => pattern.exact().map(str::to_owned),
            _ => None,
        };
        if matchers.iter().filter_map(exact).count() >= INDEX_FROM {
            for text in matchers.iter().filter_map(exact) {
                texts.entry(text);
            }
            matchers.retain(|matcher| exact(matcher).is_none());
        }
    }
}

impl Item {
    /// Whether an event is as the line says.
    pub(crate) fn holds(&self, event: &impl Event, fields: &Fields, scratch: &mut Scratch) -> bool {
        let one = |matchers: &[Matcher], texts: &Texts<()>, scratch: &mut Scratch| {
            let found = fields.any(self.field, event, &mut |value| {
                holds(value, matchers, texts, event, fields, scratch)
            });
            // What is not there is as good as null.
            found.enough
                || !found.there && holds(Value::Null, matchers, texts, event, fields, scratch)
        };
        let holds = match &self.test {
            Test::Exists(wanted) => fields.any(self.field, event, &mut |_| true).there == *wanted,
            Test::Any { matchers, texts } => one(matchers, texts, scratch),
            Test::All(matchers) => matchers
                .iter()
                .all(|matcher| one(std::slice::from_ref(matcher), &Texts::default(), scratch)),
        };
        holds != self.neq
    }

    /// Whether the field must be there, and not as null.
    pub(crate) fn needs_value(&self) -> bool {
        let null = |matcher: &Matcher| matches!(matcher, Matcher::Null);
        match &self.test {
            // A member that is null exists.
            Test::Exists(_) => false,
            Test::Any { matchers, .. } => !self.neq && !matchers.iter().any(null),
            Test::All(matchers) => !self.neq && !matchers.iter().all(null),
        }
    }
}

impl Item {
    /// Adds its field, and those that it is compared with.
    pub(crate) fn fields(&self, out: &mut BTreeSet<FieldId>) {
        let (Test::Any { matchers, .. } | Test::All(matchers)) = &self.test else {
            out.insert(self.field);
            return;
        };
        let other = |matcher: &Matcher| match matcher {
            Matcher::Field { field, .. } => Some(*field),
            _ => None,
        };
        out.extend(matchers.iter().filter_map(other).chain([self.field]));
    }

    /// Texts of which a value of the field must hold one; none where that is not known.
    pub(crate) fn literals(&self) -> Vec<Literal> {
        let of = |matcher: &Matcher| match matcher {
            Matcher::Text(pattern) => Some(vec![pattern.literal()?]),
            Matcher::Either(patterns) => patterns.iter().map(Pattern::literal).collect(),
            Matcher::Regex(regex) => literal::of_regex(regex),
            _ => None,
        };
        let known = match &self.test {
            _ if self.neq => None,
            Test::Exists(_) => None,
            Test::Any { matchers, texts } => {
                let whole = texts.keys().cloned().map(Literal::Whole).collect();
                let others: Option<Vec<_>> = matchers.iter().map(of).collect();
                others.map(|others| [others.concat(), whole].concat())
            }
            Test::All(matchers) => matchers.iter().find_map(of),
        };
        known.unwrap_or_default()
    }

    /// The ways in which a text that fits can begin, and `[` for an array that holds it; none where that
    /// is not known, or where they are many.
    pub(crate) fn starts(&self) -> Vec<String> {
        let of = |matcher: &Matcher| match matcher {
            Matcher::Text(pattern) => pattern.starts(),
            _ => None,
        };
        let known: Option<Vec<Vec<String>>> = match &self.test {
            _ if self.neq => None,
            Test::Exists(_) => None,
            Test::Any { texts, .. } if !texts.is_empty() => None,
            Test::Any { matchers, .. } => matchers.iter().map(of).collect(),
            Test::All(matchers) => matchers.iter().find_map(of).map(|starts| vec![starts]),
        };
        let mut starts = known.unwrap_or_default().concat();
        if !starts.is_empty() {
            starts.push("[".to_owned());
        }
        starts.sort_unstable();
        starts.dedup();
        if starts.len() > MAX_STARTS {
            starts.clear();
        }
        starts
    }
}

fn holds(
    value: Value<'_>,
    matchers: &[Matcher],
    texts: &Texts<()>,
    event: &impl Event,
    fields: &Fields,
    scratch: &mut Scratch,
) -> bool {
    let (bytes, scalar) = match value {
        Value::Null => {
            return matchers
                .iter()
                .any(|matcher| matches!(matcher, Matcher::Null));
        }
        Value::Text(text) => (text, false),
        Value::Scalar(text) => (text.as_bytes(), true),
    };
    if !texts.is_empty() && texts.get(bytes).is_some() {
        return true;
    }
    let text = LazyCell::new(|| std::str::from_utf8(bytes).unwrap_or_default());
    let Scratch { folded } = scratch;
    let mut ready = false;
    let mut fold = |folded: &mut String| {
        if !std::mem::replace(&mut ready, true) {
            fold_into(&text, folded);
        }
    };
    matchers.iter().any(|matcher| match matcher {
        Matcher::Null => false,
        Matcher::Text(pattern) if pattern.cased => pattern.matches(&text),
        Matcher::Text(pattern) => match pattern.exact() {
            // The common case needs no copy.
            Some(exact) if bytes.is_ascii() => same_ascii(exact, bytes),
            _ => {
                fold(folded);
                pattern.matches(folded)
            }
        },
        Matcher::Either(patterns) => {
            fold(folded);
            let fits =
                |pattern: &Pattern| pattern.matches(if pattern.cased { &text } else { folded });
            patterns.iter().any(fits)
        }
        Matcher::Number(number, pattern) => {
            let equal =
                |text: &str| number_of(text).is_some_and(|value| Order::Eq.holds(value, *number));
            fold(folded);
            pattern.matches(folded) || scalar && equal(&text)
        }
        Matcher::Order(order, limit) => {
            number_of(&text).is_some_and(|value| order.holds(value, *limit))
        }
        #[allow(clippy::cast_precision_loss, reason = "parts of a time are small")]
        Matcher::Time(part, order, limit) => part
            .of(&text)
            .is_some_and(|value| order.holds(value as f64, *limit)),
        Matcher::Regex(regex) => regex.is_match(bytes),
        Matcher::Cidr(network) => network.holds(&text),
        Matcher::Field {
            field,
            place,
            cased,
        } => {
            let fold = |text: &str| match cased {
                true => text.to_owned(),
                false => crate::pattern::folded(text),
            };
            fields
                .any(*field, event, &mut |other| {
                    let other = other.text();
                    other.is_some_and(|other| placed(&fold(&text), &fold(other), *place))
                })
                .enough
        }
    })
}

fn placed(text: &str, other: &str, place: Place) -> bool {
    match place {
        Place::Whole => text == other,
        Place::Start => text.starts_with(other),
        Place::End => text.ends_with(other),
        Place::Anywhere => text.contains(other),
    }
}

/// The number that a text is, as JSON would write it.
pub(crate) fn number_of(text: &str) -> Option<f64> {
    let begins = |byte: &u8| byte.is_ascii_digit() || *byte == b'-';
    let number: f64 = text
        .as_bytes()
        .first()
        .filter(|byte| begins(byte))
        .and(text.parse().ok())?;
    number.is_finite().then_some(number)
}
