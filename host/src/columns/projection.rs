//! The walk along the tree of declared paths.

use super::{Cell, Columns, Kind, Path, Segment, path::is_position};
use crate::{
    event::EventBatch,
    json::{self, Outline, skip_space},
};

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
    /// Children by the length of their names: most members of an event differ from all of them in that.
    names: Vec<Vec<(Vec<u8>, usize)>>,
    every: Option<usize>,
    column: Option<usize>,
}

impl Node {
    fn is_leaf(&self) -> bool {
        self.names.is_empty() && self.every.is_none()
    }

    #[inline]
    fn named(&self, name: &[u8]) -> Option<usize> {
        let same_length = self.names.get(name.len())?;
        let (_, child) = same_length.iter().find(|(known, _)| same(known, name))?;
        Some(*child)
    }

    fn children(&self) -> impl Iterator<Item = usize> {
        let named = self.names.iter().flatten().map(|(_, child)| *child);
        named.chain(self.every)
    }

    fn positioned(&self, position: usize) -> Option<usize> {
        let mut names = self.names.iter().flatten();
        let (_, child) = names.find(|(name, _)| is_position(name, position))?;
        Some(*child)
    }

    fn add(&mut self, segment: &Segment, child: usize) {
        match segment {
            Segment::Every => self.every = Some(child),
            Segment::Name(name) => {
                if self.names.len() <= name.len() {
                    self.names.resize_with(name.len() + 1, Vec::new);
                }
                self.names[name.len()].push((name.clone(), child));
            }
        }
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
        for segment in path.segments() {
            let known = match segment {
                Segment::Every => self.nodes[node].every,
                Segment::Name(name) => self.nodes[node].named(name),
            };
            node = known.unwrap_or_else(|| {
                let child = self.nodes.len();
                self.nodes.push(Node::default());
                self.nodes[node].add(segment, child);
                child
            });
        }
        *self.nodes[node].column.get_or_insert_with(|| {
            self.paths.push(path.clone());
            self.gathers.push(path.segments().contains(&Segment::Every));
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
        let mut columns = Columns::new(self.width(), batch.events.len());
        let mut walk = Walk::new(self, batch);
        for row in 0..batch.events.len() {
            let cells = &mut columns.cells[row * columns.width..][..columns.width];
            walk.event(row, cells, &mut columns.gathered);
        }
        columns
    }

    /// Extracts the columns of one row of a batch; it is row 0 of what is returned.
    #[must_use]
    pub fn project_row(&self, batch: &EventBatch, row: usize) -> Columns {
        let mut columns = Columns::new(self.width(), 1);
        Walk::new(self, batch).event(row, &mut columns.cells, &mut columns.gathered);
        columns
    }
}

struct Walk<'a> {
    projection: &'a Projection,
    batch: &'a EventBatch,
    outline: &'a Outline,
    /// The batch's bytes to the end of the event: a column never reaches beyond its event.
    data: &'a [u8],
    /// Where the outline found its last container.
    hint: usize,
    /// For each node the object in which its name was met last.
    seen: Vec<usize>,
    /// Ranges found for the columns that gather, in order.
    found: Vec<(usize, std::ops::Range<usize>)>,
}

impl<'a> Walk<'a> {
    fn new(projection: &'a Projection, batch: &'a EventBatch) -> Self {
        Self {
            projection,
            batch,
            outline: batch.outline(),
            data: &[],
            hint: 0,
            seen: vec![usize::MAX; projection.nodes.len()],
            found: Vec::new(),
        }
    }

    fn event(&mut self, row: usize, cells: &mut [Cell], gathered: &mut Vec<u8>) {
        let range = self.batch.events[row].range();
        self.data = &self.batch.data[..range.end];
        self.node(0, range.start, cells);
        if !self.found.is_empty() {
            self.gather(cells, gathered);
        }
    }

    /// Notes the value at `at` for this node, walks into it, and returns its end where that was found.
    fn node(&mut self, node: usize, at: usize, cells: &mut [Cell]) -> Option<usize> {
        let projection = self.projection;
        let tree = &projection.nodes[node];
        let first = *self.data.get(at)?;
        let mut end = None;
        if let Some(column) = tree.column {
            let (to, escaped) = match first {
                b'"' => self.outline.string_end(self.data, at),
                _ => (self.value_end(at), false),
            };
            end = Some(to);
            if projection.gathers[column] {
                self.found.push((column, at..to));
            } else {
                cells[column] = Cell {
                    start: offset(at),
                    end: offset(to),
                    kind: Kind::of(first),
                    gathered: false,
                    escaped,
                };
            }
        }
        match first {
            _ if tree.is_leaf() => end,
            b'{' => Some(self.members(tree, at, cells)),
            b'[' => Some(self.elements(tree, at, cells)),
            _ => end,
        }
    }

    fn value_end(&mut self, at: usize) -> usize {
        let end = self.outline.value_end(self.data, at, &mut self.hint);
        end.min(self.data.len())
    }

    /// Walks into an object and returns its end.
    fn members(&mut self, tree: &'a Node, object: usize, cells: &mut [Cell]) -> usize {
        let data = self.data;
        let mut at = skip_space(data, object + 1);
        while data.get(at) == Some(&b'"') {
            let (name_end, escaped) = self.outline.string_end(data, at);
            let name = &data[at + 1..name_end - 1];
            let value = skip_space(data, skip_space(data, name_end) + 1);
            let child = if escaped {
                tree.named(&json::unescape(name))
            } else {
                tree.named(name)
            };
            let mut end = None;
            if let Some(child) = child {
                if std::mem::replace(&mut self.seen[child], object) == object {
                    self.forget(child, object, cells);
                }
                end = self.node(child, value, cells);
            }
            at = self.next(tree, value, end, cells);
        }
        (at + 1).min(data.len())
    }

    /// Walks into an array and returns its end.
    fn elements(&mut self, tree: &'a Node, array: usize, cells: &mut [Cell]) -> usize {
        let data = self.data;
        let mut at = skip_space(data, array + 1);
        let mut position = 0;
        while data.get(at).is_some_and(|byte| *byte != b']') {
            let child = tree.positioned(position);
            let end = child.and_then(|child| self.node(child, at, cells));
            at = self.next(tree, at, end, cells);
            position += 1;
        }
        (at + 1).min(data.len())
    }

    /// Where the value after the one at `at` begins, or the container's closing bracket stands.
    #[inline]
    fn next(&mut self, tree: &Node, at: usize, end: Option<usize>, cells: &mut [Cell]) -> usize {
        let data = self.data;
        let every = tree.every.and_then(|every| self.node(every, at, cells));
        let end = end.or(every).unwrap_or_else(|| match data.get(at) {
            Some(b'"') => self.outline.string_end(data, at).0,
            _ => self.value_end(at),
        });
        let after = skip_space(data, end);
        match data.get(after) {
            Some(b',') => skip_space(data, after + 1),
            _ => after,
        }
    }

    /// Of a duplicated member the last one counts: what the ones before it, in the object that begins
    /// at `object`, left behind goes.
    fn forget(&mut self, node: usize, object: usize, cells: &mut [Cell]) {
        let tree = &self.projection.nodes[node];
        if let Some(column) = tree.column {
            if self.projection.gathers[column] {
                self.found
                    .retain(|(found, range)| *found != column || range.start < object);
            } else {
                cells[column] = Cell::default();
            }
        }
        for child in tree.children() {
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
                escaped: false,
            };
        }
        self.found.clear();
    }
}

/// Whether two names of the same length are equal. They are so short that a call to compare them costs more.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    let (words, rest) = a.as_chunks::<8>();
    let (other_words, other_rest) = b.as_chunks::<8>();
    let word = |word: &[u8; 8]| u64::from_le_bytes(*word);
    words
        .iter()
        .zip(other_words)
        .all(|(a, b)| word(a) == word(b))
        && rest.iter().zip(other_rest).all(|(a, b)| a == b)
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("a batch, and what is gathered from it, is far smaller than 4 GiB")
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
        let (mut data, mut spans) = (Vec::new(), Vec::new());
        for (index, event) in (0..).zip(events) {
            let start = offset(data.len());
            data.extend_from_slice(event.as_bytes());
            let end = offset(data.len());
            spans.push(Span { start, end, index });
        }
        let object = Object::new(reference, "r".into(), ObjectKind::Log);
        EventBatch::new(Arc::new(object), data, spans)
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
