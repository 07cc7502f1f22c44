//! Projection: the declared fields of every event of a batch, extracted in one pass.
//!
//! All paths that anybody declared (plugins, sinks, the host itself) are joined into one tree; walking
//! an event along that tree steps over everything nobody asked for.

use std::borrow::Cow;

use crate::{
    event::EventBatch,
    json::{self, skip_space, string_end, value_end},
};

/// What a column says of a row. The numbers are those of the plugin interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names of JSON's own kinds")]
pub enum Kind {
    #[default]
    Absent = 0,
    Null = 1,
    String = 2,
    Number = 3,
    Boolean = 4,
    Object = 5,
    Array = 6,
}

impl Kind {
    /// The kind of the JSON value that begins with this byte.
    #[must_use]
    pub fn of(first: u8) -> Self {
        match first {
            b'"' => Self::String,
            b'{' => Self::Object,
            b'[' => Self::Array,
            b't' | b'f' => Self::Boolean,
            b'n' => Self::Null,
            _ => Self::Number,
        }
    }

    /// The kind with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        [
            Self::Absent,
            Self::Null,
            Self::String,
            Self::Number,
            Self::Boolean,
            Self::Object,
            Self::Array,
        ]
        .get(usize::from(number))
        .copied()
    }

    /// Whether a mask may replace it.
    #[must_use]
    pub fn is_leaf(self) -> bool {
        matches!(
            self,
            Self::Null | Self::String | Self::Number | Self::Boolean
        )
    }
}

/// Segments a path may have.
pub const MAX_SEGMENTS: usize = 32;

/// A JSON Pointer, parsed: "" has no segments.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    segments: Vec<Segment>,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// A member's name; for an array, a position.
    Name(Vec<u8>),
    /// Every element or member.
    Every,
}

/// A text that is no JSON Pointer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is not a JSON Pointer: {why}")]
pub struct PathError {
    path: String,
    why: &'static str,
}

impl Path {
    /// Parses RFC 6901, with `*` for every element or member.
    ///
    /// # Errors
    /// When the text is not a pointer, or has more than [`MAX_SEGMENTS`] segments.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let error = |why| PathError {
            path: crate::text::shown(text),
            why,
        };
        if text.is_empty() {
            return Ok(Self {
                segments: Vec::new(),
            });
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err(error("it must be empty or begin with `/`"));
        };
        let mut segments = Vec::new();
        for segment in rest.split('/') {
            if segment == "*" {
                segments.push(Segment::Every);
                continue;
            }
            let mut name = Vec::with_capacity(segment.len());
            let mut parts = segment.split('~');
            name.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
            for part in parts {
                let (c, tail) = match part.as_bytes() {
                    [b'0', tail @ ..] => (b'~', tail),
                    [b'1', tail @ ..] => (b'/', tail),
                    _ => return Err(error("`~` must be followed by 0 or 1")),
                };
                name.push(c);
                name.extend_from_slice(tail);
            }
            segments.push(Segment::Name(name));
        }
        if segments.len() > MAX_SEGMENTS {
            return Err(error("it has more than 32 segments"));
        }
        Ok(Self { segments })
    }

    /// The steps.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Calls `found` with the range of every value at this path in a checked event: of a duplicated
    /// member, every one.
    pub fn find(&self, event: &[u8], mut found: impl FnMut(std::ops::Range<usize>)) {
        descend(event, skip_space(event, 0), &self.segments, &mut found);
    }
}

fn descend(
    json: &[u8],
    at: usize,
    segments: &[Segment],
    found: &mut impl FnMut(std::ops::Range<usize>),
) {
    let Some((segment, rest)) = segments.split_first() else {
        found(at..value_end(json, at));
        return;
    };
    let mut elements = Elements::new(json, at);
    while let Some(element) = elements.next() {
        let wanted = match (segment, &element.name) {
            (Segment::Every, _) => true,
            (Segment::Name(name), Name::Member(member)) => {
                json::unescape(member).as_ref() == name.as_slice()
            }
            (Segment::Name(name), Name::Position(position)) => is_position(name, *position),
        };
        if wanted {
            descend(json, element.value, rest, found);
        }
    }
}

fn is_position(name: &[u8], position: usize) -> bool {
    let canonical = name == b"0"
        || (!name.is_empty() && name[0] != b'0' && name.iter().all(u8::is_ascii_digit));
    canonical
        && std::str::from_utf8(name)
            .ok()
            .and_then(|text| text.parse().ok())
            == Some(position)
}

enum Name<'a> {
    /// Inside of the name's string, still escaped.
    Member(&'a [u8]),
    Position(usize),
}

struct Element<'a> {
    name: Name<'a>,
    value: usize,
}

/// The members of a checked object or the elements of a checked array; nothing for other values.
struct Elements<'a> {
    json: &'a [u8],
    /// First byte of the next element, or of the closing bracket.
    at: usize,
    object: bool,
    position: usize,
    /// Where the value returned last begins; its end is looked for only if the walk goes on.
    pending: Option<usize>,
}

impl<'a> Elements<'a> {
    fn new(json: &'a [u8], at: usize) -> Self {
        let object = json[at] == b'{';
        let container = object || json[at] == b'[';
        let at = if container {
            skip_space(json, at + 1)
        } else {
            json.len()
        };
        Self {
            json,
            at,
            object,
            position: 0,
            pending: None,
        }
    }

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        if let Some(value) = self.pending.take() {
            self.ended(value_end(self.json, value));
        }
        let json = self.json;
        if !matches!(json.get(self.at), Some(byte) if !matches!(byte, b'}' | b']')) {
            return None;
        }
        let element = if self.object {
            let end = string_end(json, self.at);
            let value = skip_space(json, skip_space(json, end) + 1);
            Element {
                name: Name::Member(&json[self.at + 1..end - 1]),
                value,
            }
        } else {
            self.position += 1;
            Element {
                name: Name::Position(self.position - 1),
                value: self.at,
            }
        };
        self.pending = Some(element.value);
        Some(element)
    }

    /// Says where the value returned last ends, for whoever found out already.
    #[inline]
    fn ended(&mut self, end: usize) {
        self.pending = None;
        self.at = skip_space(self.json, end);
        if self.json.get(self.at) == Some(&b',') {
            self.at = skip_space(self.json, self.at + 1);
        }
    }
}

/// All declared paths, as a tree. A path's number is its column.
#[derive(Debug, Default)]
pub struct Projection {
    nodes: Vec<Node>,
    paths: Vec<Path>,
    /// Which columns gather several values.
    gathers: Vec<bool>,
}

#[derive(Debug, Default)]
struct Node {
    names: Vec<(Vec<u8>, usize)>,
    every: Option<usize>,
    column: Option<usize>,
}

impl Node {
    fn is_leaf(&self) -> bool {
        self.names.is_empty() && self.every.is_none()
    }
}

impl Projection {
    /// A projection of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            nodes: vec![Node::default()],
            ..Self::default()
        }
    }

    /// The column of this path; a path declared before keeps its own.
    pub fn column(&mut self, path: &Path) -> usize {
        let mut node = 0;
        for segment in &path.segments {
            let child = match segment {
                Segment::Every => self.nodes[node].every,
                Segment::Name(name) => self.nodes[node]
                    .names
                    .iter()
                    .find(|(known, _)| known == name)
                    .map(|(_, child)| *child),
            };
            node = child.unwrap_or_else(|| {
                let child = self.nodes.len();
                self.nodes.push(Node::default());
                match segment {
                    Segment::Every => self.nodes[node].every = Some(child),
                    Segment::Name(name) => self.nodes[node].names.push((name.clone(), child)),
                }
                child
            });
        }
        *self.nodes[node].column.get_or_insert_with(|| {
            self.paths.push(path.clone());
            self.gathers.push(path.segments.contains(&Segment::Every));
            self.paths.len() - 1
        })
    }

    /// How many columns there are.
    #[must_use]
    pub fn width(&self) -> usize {
        self.paths.len()
    }

    /// Extracts all columns of a batch.
    #[must_use]
    pub fn project(&self, batch: &EventBatch) -> Columns {
        let mut columns = Columns {
            width: self.width(),
            cells: vec![Cell::default(); self.width() * batch.events.len()],
            gathered: Vec::new(),
        };
        let mut walk = Walk::new(self, &batch.data);
        for (row, span) in batch.events.iter().enumerate() {
            let cells = &mut columns.cells[row * columns.width..][..columns.width];
            walk.event(span.range(), cells, &mut columns.gathered);
        }
        columns
    }

    /// Extracts the columns of one row of a batch; it is row 0 of what is returned.
    #[must_use]
    pub fn project_row(&self, batch: &EventBatch, row: usize) -> Columns {
        let mut columns = Columns {
            width: self.width(),
            cells: vec![Cell::default(); self.width()],
            gathered: Vec::new(),
        };
        Walk::new(self, &batch.data).event(
            batch.events[row].range(),
            &mut columns.cells,
            &mut columns.gathered,
        );
        columns
    }
}

/// Where a value lies: in the batch, or among the gathered arrays.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    start: u32,
    end: u32,
    kind: Kind,
    gathered: bool,
}

struct Walk<'a> {
    projection: &'a Projection,
    data: &'a [u8],
    /// Ranges found for the columns that gather, in order.
    found: Vec<(usize, std::ops::Range<usize>)>,
}

impl<'a> Walk<'a> {
    fn new(projection: &'a Projection, data: &'a [u8]) -> Self {
        Self {
            projection,
            data,
            found: Vec::new(),
        }
    }

    fn event(&mut self, range: std::ops::Range<usize>, cells: &mut [Cell], gathered: &mut Vec<u8>) {
        // A column never reaches beyond its event: the walk sees nothing else.
        let data = &self.data[..range.end];
        self.node(0, data, range.start, cells);
        if !self.found.is_empty() {
            self.gather(cells, gathered);
        }
    }

    /// Notes the value at `at` for this node, walks into it, and returns its end where that was found.
    fn node(&mut self, node: usize, data: &[u8], at: usize, cells: &mut [Cell]) -> Option<usize> {
        let projection = self.projection;
        let tree = &projection.nodes[node];
        let mut end = None;
        if let Some(column) = tree.column {
            let to = value_end(data, at);
            end = Some(to);
            if projection.gathers[column] {
                self.found.push((column, at..to));
            } else {
                cells[column] = Cell {
                    start: offset(at),
                    end: offset(to),
                    kind: Kind::of(data[at]),
                    gathered: false,
                };
            }
        }
        if tree.is_leaf() || !matches!(data[at], b'{' | b'[') {
            return end;
        }
        let mut elements = Elements::new(data, at);
        while let Some(element) = elements.next() {
            let child = match &element.name {
                Name::Member(name) => named(tree, name),
                Name::Position(position) => tree
                    .names
                    .iter()
                    .find(|(name, _)| is_position(name, *position))
                    .map(|(_, child)| *child),
            };
            let mut ended = None;
            if let Some(child) = child {
                if matches!(element.name, Name::Member(_)) {
                    self.forget(child, at, cells);
                }
                ended = self.node(child, data, element.value, cells);
            }
            if let Some(every) = tree.every {
                ended = self.node(every, data, element.value, cells).or(ended);
            }
            if let Some(ended) = ended {
                elements.ended(ended);
            }
        }
        // The walk over a container ends at its closing bracket.
        Some((elements.at + 1).min(data.len()))
    }

    /// Of a duplicated member the last one counts: what the ones before it, in the object that begins
    /// at `object`, left behind goes.
    fn forget(&mut self, node: usize, object: usize, cells: &mut [Cell]) {
        let tree = &self.projection.nodes[node];
        if let Some(column) = tree.column {
            if self.projection.gathers[column] {
                self.found
                    .retain(|(found, range)| *found != column || range.start < object);
            } else if cells[column].kind == Kind::Absent {
                // Nothing was there before, so nothing is below either.
                return;
            } else {
                cells[column] = Cell::default();
            }
        }
        for child in tree.names.iter().map(|(_, child)| *child).chain(tree.every) {
            self.forget(child, object, cells);
        }
    }

    fn gather(&mut self, cells: &mut [Cell], gathered: &mut Vec<u8>) {
        self.found
            .sort_by_key(|(column, range)| (*column, range.start));
        for group in self.found.chunk_by(|a, b| a.0 == b.0) {
            let start = offset(gathered.len());
            gathered.push(b'[');
            for (position, (_, range)) in group.iter().enumerate() {
                if position > 0 {
                    gathered.push(b',');
                }
                gathered.extend_from_slice(&self.data[range.clone()]);
            }
            gathered.push(b']');
            cells[group[0].0] = Cell {
                start,
                end: offset(gathered.len()),
                kind: Kind::Array,
                gathered: true,
            };
        }
        self.found.clear();
    }
}

#[inline]
fn named(tree: &Node, name: &[u8]) -> Option<usize> {
    let unescaped = if memchr::memchr(b'\\', name).is_some() {
        json::unescape(name)
    } else {
        Cow::Borrowed(name)
    };
    tree.names
        .iter()
        .find(|(known, _)| *known == *unescaped)
        .map(|(_, child)| *child)
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("a batch, and what is gathered from it, is far smaller than 4 GiB")
}

/// The declared fields of every event of a batch.
#[derive(Debug, Default)]
pub struct Columns {
    width: usize,
    cells: Vec<Cell>,
    gathered: Vec<u8>,
}

impl Columns {
    /// The kind of a field of a row.
    #[must_use]
    pub fn kind(&self, row: usize, column: usize) -> Kind {
        self.cells[row * self.width + column].kind
    }

    /// The JSON text of a field of a row (a string with its quotes); empty where it is absent.
    #[must_use]
    pub fn json<'a>(&'a self, batch: &'a EventBatch, row: usize, column: usize) -> &'a [u8] {
        let cell = &self.cells[row * self.width + column];
        let source = if cell.gathered {
            &self.gathered
        } else {
            &batch.data
        };
        &source[cell.start as usize..cell.end as usize]
    }

    /// The column text of a field of a row: of a string the unescaped text, of anything else the JSON.
    #[must_use]
    pub fn text<'a>(&'a self, batch: &'a EventBatch, row: usize, column: usize) -> Cow<'a, [u8]> {
        text(self.kind(row, column), self.json(batch, row, column))
    }

    /// Where in the batch's bytes the field lies, unless it was gathered or is absent.
    #[must_use]
    pub fn range(&self, row: usize, column: usize) -> Option<std::ops::Range<usize>> {
        let cell = &self.cells[row * self.width + column];
        (cell.kind != Kind::Absent && !cell.gathered)
            .then_some(cell.start as usize..cell.end as usize)
    }
}

/// The column text of a value of this kind.
#[must_use]
pub fn text(kind: Kind, json: &[u8]) -> Cow<'_, [u8]> {
    match kind {
        Kind::String => json::unescape(&json[1..json.len() - 1]),
        _ => Cow::Borrowed(json),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::{Object, ObjectKind, ObjectRef, Span};

    fn batch(events: &[&str]) -> EventBatch {
        let reference = ObjectRef {
            bucket: "b".into(),
            key: "k".into(),
            version: None,
        };
        let mut batch = EventBatch {
            object: Arc::new(Object::new(reference, "r".into(), ObjectKind::Log)),
            data: Vec::new(),
            events: Vec::new(),
        };
        for event in events {
            let start = offset(batch.data.len());
            batch.data.extend_from_slice(event.as_bytes());
            let index = offset(batch.events.len());
            batch.events.push(Span {
                start,
                end: offset(batch.data.len()),
                index,
            });
        }
        batch
    }

    /// The kinds and texts of some paths in one event.
    fn project(event: &str, paths: &[&str]) -> Vec<(Kind, String)> {
        let mut projection = Projection::new();
        let columns: Vec<_> = paths
            .iter()
            .map(|path| projection.column(&Path::parse(path).unwrap()))
            .collect();
        let batch = batch(&["{\"first\":{\"other\":1}}", event]);
        let projected = projection.project(&batch);
        columns
            .into_iter()
            .map(|column| {
                let text = projected.text(&batch, 1, column).into_owned();
                (projected.kind(1, column), String::from_utf8(text).unwrap())
            })
            .collect()
    }

    fn one(event: &str, path: &str) -> (Kind, String) {
        project(event, &[path]).remove(0)
    }

    #[test]
    fn every_kind_is_told() {
        let event = r#"{ "s" : "a\"\u00e9" , "n":-1.10,"t":true,"z":null,"o":{"x":[1]},"a":[ ] }"#;
        let expected = [
            (Kind::String, "a\"é"),
            (Kind::Number, "-1.10"),
            (Kind::Boolean, "true"),
            (Kind::Null, "null"),
            (Kind::Object, "{\"x\":[1]}"),
            (Kind::Array, "[ ]"),
            (Kind::Absent, ""),
            (Kind::Object, event),
        ];
        let got = project(event, &["/s", "/n", "/t", "/z", "/o", "/a", "/q", ""]);
        assert_eq!(got, expected.map(|(kind, text)| (kind, text.to_owned())));
    }

    #[test]
    fn paths_nest_and_index() {
        let event = r#"{"a":{"b":[{"c":1},{"c":2}],"d":"x"},"e.f":{"~/":3}}"#;
        assert_eq!(one(event, "/a/b/1/c").1, "2");
        assert_eq!(one(event, "/a/b/01/c").0, Kind::Absent);
        assert_eq!(one(event, "/e.f/~0~1").1, "3");
        assert_eq!(one(event, "/a/d/x").0, Kind::Absent);
        let both = project(event, &["/a", "/a/d", "/a/b/0/c"]);
        assert_eq!((both[1].1.as_str(), both[2].1.as_str()), ("x", "1"));
    }

    #[test]
    fn a_star_gathers_what_it_finds() {
        let event = r#"{"r":[{"arn":"x"},{"q":1},{"arn":2}],"m":{"k":{"v":1},"l":{"v":[2]}}}"#;
        assert_eq!(one(event, "/r/*/arn"), (Kind::Array, "[\"x\",2]".into()));
        assert_eq!(one(event, "/m/*/v"), (Kind::Array, "[1,[2]]".into()));
        assert_eq!(one(event, "/m/*/w").0, Kind::Absent);
    }

    #[test]
    fn the_last_of_a_duplicated_member_counts() {
        assert_eq!(one(r#"{"a":1,"a":"2"}"#, "/a").1, "2");
        assert_eq!(one(r#"{"a":{"b":1},"a":{}}"#, "/a/b").0, Kind::Absent);
        assert_eq!(one(r#"{"a":{"b":1},"\u0061":{"b":3}}"#, "/a/b").1, "3");
        assert_eq!(one(r#"{"a":[1,2],"a":[3]}"#, "/a/*").1, "[3]");
        assert_eq!(one(r#"{"a":{"b":1},"a":7}"#, "/a/b").0, Kind::Absent);
    }

    #[test]
    fn a_mask_finds_every_occurrence() {
        let event = r#"{"a":{"b":1},"x":[{"b":2},{"b":3}],"a":{"b":"4","b":5}}"#;
        let all = |path: &str| {
            let mut found = Vec::new();
            Path::parse(path).unwrap().find(event.as_bytes(), |range| {
                found.push(event[range].to_owned());
            });
            found
        };
        assert_eq!(all("/a/b"), ["1", "\"4\"", "5"]);
        assert_eq!(all("/x/*/b"), ["2", "3"]);
        assert_eq!(all("/x/1/b"), ["3"]);
        assert!(all("/x/2/b").is_empty() && all("/a/b/c").is_empty());
        assert_eq!(all(""), [event]);
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        for text in ["a", "a/b", "/~", "/~2", "/a~"] {
            assert!(Path::parse(text).is_err(), "{text}");
        }
        assert!(Path::parse(&"/a".repeat(33)).is_err());
        assert_eq!(Path::parse("/").unwrap().segments().len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn it_agrees_with_a_tree(
            text in r#"\{"a":(1|"x"|\{"b":(2|null|\[\{"c":3\},4\])(,"c":\{"a":7\})?\}|\[5,\{"c":6\}\])(,"b":(\{"c":true\}|\{\}))?\}"#,
        ) {
            let tree: serde_json::Value = serde_json::from_str(&text).unwrap();
            for path in ["/a", "/a/b", "/a/b/0/c", "/a/1/c", "/b", "/b/c", "/a/c/a", "/a/b/1"] {
                let expected = tree.pointer(path).map(ToString::to_string);
                let (kind, got) = one(&text, path);
                let got = match kind {
                    Kind::Absent => None,
                    Kind::String => Some(format!("\"{got}\"")),
                    _ => Some(got),
                };
                proptest::prop_assert_eq!(got, expected, "{} in {}", path, text);
            }
        }
    }
}
