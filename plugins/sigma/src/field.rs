//! Where the fields that rules name lie in an event, and the values that stand there.

use std::{
    collections::{BTreeSet, HashMap},
    iter,
};

use crate::json;

/// Columns that a pack may ask for; the host takes 512 of a plugin.
const MAX_COLUMNS: usize = 480;

/// What one column says of an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// There is no such member.
    Absent,
    /// It is null.
    Null,
    /// A string, unescaped, in UTF-8.
    Text(&'a [u8]),
    /// The JSON text of a number or a boolean.
    Scalar(&'a str),
    /// The JSON text of an object or an array.
    Json(&'a str),
}

impl<'a> Cell<'a> {
    /// The cell of a value given as JSON; a string with escapes goes through `hold`.
    fn of(text: &'a str, hold: &'a mut String) -> Self {
        match text.as_bytes().first() {
            None => Self::Absent,
            Some(b'n') => Self::Null,
            Some(b'{' | b'[') => Self::Json(text),
            Some(b'"') => {
                let inside = text
                    .get(1..text.len().saturating_sub(1))
                    .unwrap_or_default();
                *hold = json::unescaped(inside).into_owned();
                Self::Text(hold.as_bytes())
            }
            Some(_) => Self::Scalar(text),
        }
    }
}

/// One event, as the columns that [`Fields::columns`] asks for.
pub trait Event {
    /// What stands in this column.
    fn cell(&self, column: usize) -> Cell<'_>;
}

/// One value of a field; a field has as many as the arrays on the way to it have elements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    /// A string, or an object as a person reads it, in UTF-8.
    Text(&'a [u8]),
    /// A number or a boolean.
    Scalar(&'a str),
}

impl<'a> Value<'a> {
    /// Its text, unless it is null.
    pub(crate) fn text(self) -> Option<&'a str> {
        match self {
            Self::Null => None,
            Self::Text(text) => std::str::from_utf8(text).ok(),
            Self::Scalar(text) => Some(text),
        }
    }
}

/// Number of a field.
pub type FieldId = usize;

/// One field: a member of the event, or one further down by its dotted name.
#[derive(Clone, Debug)]
struct Field {
    name: String,
    /// Column of the member that has the whole name, dots and all.
    literal: usize,
    nested: Option<Nested>,
}

#[derive(Clone, Debug)]
struct Nested {
    /// Column of the place that the name leads to when no array is on the way; none where few events are
    /// asked for it.
    direct: Option<usize>,
    /// Column of the first member on the way, for when there is one.
    outermost: usize,
    /// The steps below that member.
    steps: Vec<String>,
}

/// All fields of a pack.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    all: Vec<Field>,
    by_name: HashMap<String, FieldId>,
    columns: Vec<String>,
    by_pointer: HashMap<String, usize>,
}

impl Fields {
    /// The columns to ask for, as JSON Pointers.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The number of a field, which is asked for from now on. The empty name is the whole event.
    pub(crate) fn add(&mut self, name: &str) -> Result<FieldId, String> {
        if let Some(known) = self.by_name.get(name) {
            return Ok(*known);
        }
        let steps: Vec<&str> = name.split('.').collect();
        if steps.len() > 32 || name.len() > 1_024 {
            return Err(format!(
                "field `{}…` is too long: at most 32 steps and 1,024 bytes",
                name.chars().take(40).collect::<String>()
            ));
        }
        if steps.contains(&"*") {
            return Err(format!("field `{name}`: a step cannot be `*`"));
        }
        if self.columns.len() + 3 > MAX_COLUMNS {
            return Err(format!(
                "the rules before it read {} columns already, and the host hands out no more than {MAX_COLUMNS}: split the pack",
                self.columns.len()
            ));
        }
        let literal = if name.is_empty() {
            self.column(String::new())
        } else {
            self.column(pointer(&[name]))
        };
        let nested = (steps.len() > 1).then(|| Nested {
            direct: Some(self.column(pointer(&steps))),
            outermost: self.column(pointer(&steps[..1])),
            steps: steps[1..].iter().map(|step| (*step).to_owned()).collect(),
        });
        self.all.push(Field {
            name: name.to_owned(),
            literal,
            nested,
        });
        self.by_name.insert(name.to_owned(), self.all.len() - 1);
        Ok(self.all.len() - 1)
    }

    fn column(&mut self, pointer: String) -> usize {
        if let Some(known) = self.by_pointer.get(&pointer) {
            return *known;
        }
        self.columns.push(pointer.clone());
        self.by_pointer.insert(pointer, self.columns.len() - 1);
        self.columns.len() - 1
    }

    /// Keeps a column of its own for each of the fields that every event is asked for. The others with
    /// dots are read out of the member that they begin with: a column costs as much for an event that no
    /// rule looks at.
    pub(crate) fn keep_direct(&mut self, often: &BTreeSet<FieldId>) {
        let before = std::mem::take(&mut self.columns);
        self.by_pointer.clear();
        let mut all = std::mem::take(&mut self.all);
        let mut again = |column: usize| self.column(before[column].clone());
        for (number, field) in all.iter_mut().enumerate() {
            field.literal = again(field.literal);
            if let Some(nested) = &mut field.nested {
                let kept = nested.direct.filter(|_| often.contains(&number));
                nested.direct = kept.map(&mut again);
                nested.outermost = again(nested.outermost);
            }
        }
        self.all = all;
    }

    /// The column of a field whose name has no dots.
    pub(crate) fn column_of(&self, field: FieldId) -> usize {
        self.all[field].literal
    }

    pub(crate) fn name(&self, field: FieldId) -> &str {
        &self.all[field].name
    }

    /// Where a value of the field can stand.
    pub(crate) fn places(&self, field: FieldId) -> Places {
        let field = &self.all[field];
        let steps: Vec<&str> = match &field.nested {
            Some(_) => field.name.split('.').collect(),
            None => Vec::new(),
        };
        let direct = (!steps.is_empty()).then(|| pointer(&steps));
        let values = iter::once(self.columns[field.literal].clone()).chain(direct);
        Places {
            values: values.collect(),
            on_the_way: (1..steps.len()).map(|end| pointer(&steps[..end])).collect(),
        }
    }

    /// The texts of a field's values that are not null, at most so many.
    #[must_use]
    pub fn texts(&self, field: FieldId, event: &impl Event, most: usize) -> Vec<String> {
        let mut texts = Vec::new();
        self.any(field, event, &mut |value| {
            texts.extend(value.text().map(str::to_owned));
            texts.len() >= most
        });
        texts
    }

    /// Calls `each` with every value of a field until it says that it has seen enough.
    pub(crate) fn any(
        &self,
        field: FieldId,
        event: &impl Event,
        each: &mut dyn FnMut(Value<'_>) -> bool,
    ) -> Found {
        let field = &self.all[field];
        let literal = event.cell(field.literal);
        let alone = matches!(literal, Cell::Absent | Cell::Null);
        let Some(nested) = field.nested.as_ref().filter(|_| alone) else {
            return Found::at(literal, each);
        };
        let direct = nested.direct.map(|column| event.cell(column));
        if let Some(direct) = direct.filter(|cell| *cell != Cell::Absent) {
            return Found::at(direct, each);
        }
        let mut found = Found::default();
        if let Cell::Json(text) = event.cell(nested.outermost)
            && (direct.is_none() || memchr::memchr(b'[', text.as_bytes()).is_some())
        {
            below(text, &nested.steps, &mut found, each);
        }
        if found.there {
            found
        } else {
            Found::at(literal, each)
        }
    }
}

/// JSON Pointers to a field.
pub(crate) struct Places {
    /// Its value stands at one of these,
    pub(crate) values: Vec<String>,
    /// or below an array at one of these.
    pub(crate) on_the_way: Vec<String>,
}

/// What came of looking for a field.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    /// Whether the event has it, be it as null or as an empty array.
    pub(crate) there: bool,
    /// Whether one of its values was enough.
    pub(crate) enough: bool,
}

impl Found {
    fn at(cell: Cell<'_>, each: &mut dyn FnMut(Value<'_>) -> bool) -> Self {
        Self {
            there: cell != Cell::Absent,
            enough: values(cell, each),
        }
    }
}

fn pointer(steps: &[&str]) -> String {
    let mut out = String::new();
    for step in steps {
        out.push('/');
        out.push_str(&step.replace('~', "~0").replace('/', "~1"));
    }
    out
}

/// The values in one cell: those of an array are its elements.
fn values(cell: Cell<'_>, each: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
    match cell {
        Cell::Absent => false,
        Cell::Null => each(Value::Null),
        Cell::Text(text) => each(Value::Text(text)),
        Cell::Scalar(text) => each(Value::Scalar(text)),
        Cell::Json(text) if text.starts_with('[') => json::Parts::of(text).any(|(_, element)| {
            let mut hold = String::new();
            values(Cell::of(element, &mut hold), each)
        }),
        Cell::Json(text) => {
            let mut out = String::with_capacity(text.len());
            json::plain(text, &mut out);
            each(Value::Text(out.as_bytes()))
        }
    }
}

/// The values some steps below a value; an array on the way is taken element by element, unless the step
/// is one of its positions.
fn below(text: &str, steps: &[String], found: &mut Found, each: &mut dyn FnMut(Value<'_>) -> bool) {
    let Some((step, rest)) = steps.split_first() else {
        let mut hold = String::new();
        let last = Found::at(Cell::of(text, &mut hold), each);
        found.there |= last.there;
        found.enough |= last.enough;
        return;
    };
    match text.as_bytes().first() {
        Some(b'{') => {
            if let Some(member) = json::member(text, step) {
                below(member, rest, found, each);
            }
        }
        Some(b'[') => {
            let at = position(step).and_then(|position| json::Parts::of(text).nth(position));
            if let Some((_, element)) = at {
                return below(element, rest, found, each);
            }
            for (_, element) in json::Parts::of(text) {
                below(element, steps, found, each);
                if found.enough {
                    break;
                }
            }
        }
        _ => {}
    }
}

/// The position that a step names, as in a JSON Pointer: without leading zeros.
fn position(step: &str) -> Option<usize> {
    let canonical = step == "0" || !step.starts_with('0') && !step.starts_with('+');
    canonical.then(|| step.parse().ok()).flatten()
}
