//! What enrichment sets: columns under `/sluicegate/<plugin>`, written as nested JSON a row.

use std::borrow::Cow;

use super::abi;
use crate::{
    columns::{Kind, Path, Segment},
    json,
    mask::Cleaner,
};

/// The additions of one plugin to some rows of a batch.
#[derive(Debug)]
pub(super) struct Added {
    plugin: String,
    /// For each row of the batch its row in the columns; `u32::MAX` where it has none.
    rows: Vec<u32>,
    additions: Vec<abi::Addition>,
    tree: Vec<Branch>,
}

/// A member, and what is below it.
#[derive(Debug, Default)]
struct Branch {
    /// The name, escaped.
    name: Vec<u8>,
    leaf: Option<usize>,
    below: Vec<Branch>,
}

const NOWHERE: u32 = u32::MAX;

impl Added {
    /// The additions that a plugin returned for these rows of a batch of `size`; they were checked.
    pub(super) fn new(
        plugin: &str,
        rows: &[u32],
        size: usize,
        additions: Vec<abi::Addition>,
    ) -> Self {
        let mut of_batch = vec![NOWHERE; size];
        for (own, &row) in (0..).zip(rows) {
            of_batch[row as usize] = own;
        }
        let mut tree = Branch::default();
        for (position, addition) in additions.iter().enumerate() {
            let mut at = &mut tree;
            for name in below(plugin, &addition.path).unwrap_or_default() {
                let known = at
                    .below
                    .iter()
                    .position(|branch| branch.name == name)
                    .unwrap_or_else(|| {
                        at.below.push(Branch {
                            name,
                            ..Branch::default()
                        });
                        at.below.len() - 1
                    });
                at = &mut at.below[known];
            }
            at.leaf = Some(position);
        }
        Self {
            plugin: plugin.to_owned(),
            rows: of_batch,
            additions,
            tree: tree.below,
        }
    }

    /// Appends `,"<plugin>":{…}` for a row, unless nothing was set there.
    pub(super) fn write(&self, row: usize, cleaner: &Cleaner, out: &mut Vec<u8>) {
        let own = self.rows[row];
        if own == NOWHERE {
            return;
        }
        let start = out.len();
        out.extend_from_slice(b",\"");
        out.extend_from_slice(self.plugin.as_bytes());
        out.extend_from_slice(b"\":");
        if !self.object(&self.tree, own as usize, cleaner, out) {
            out.truncate(start);
        }
    }

    /// Appends the members that are set, as an object; false (and nothing of use) if none is.
    fn object(
        &self,
        branches: &[Branch],
        row: usize,
        cleaner: &Cleaner,
        out: &mut Vec<u8>,
    ) -> bool {
        out.push(b'{');
        let mut any = false;
        for branch in branches {
            let start = out.len();
            if any {
                out.push(b',');
            }
            out.push(b'"');
            out.extend_from_slice(&branch.name);
            out.extend_from_slice(b"\":");
            let written = match branch.leaf {
                Some(leaf) => self.leaf(leaf, row, cleaner, out),
                None => self.object(&branch.below, row, cleaner, out),
            };
            if written {
                any = true;
            } else {
                out.truncate(start);
            }
        }
        out.push(b'}');
        any
    }

    fn leaf(&self, leaf: usize, row: usize, cleaner: &Cleaner, out: &mut Vec<u8>) -> bool {
        let (kind, text) = value(&self.additions[leaf].values, row);
        match kind {
            Kind::Absent => return false,
            Kind::String if cleaner.is_empty() => json::quote_into(text, out),
            Kind::String => {
                let text = String::from_utf8_lossy(text);
                json::quote_into(cleaner.clean(&text).as_ref(), out);
            }
            Kind::Null => out.extend_from_slice(b"null"),
            _ => cleaner.clean_json(text, out),
        }
        true
    }
}

/// The names below `/sluicegate/<plugin>` of a path, escaped for JSON.
fn below(plugin: &str, path: &str) -> Option<Vec<Vec<u8>>> {
    let path = Path::parse(path).ok()?;
    let mut names = Vec::new();
    for segment in path.segments() {
        let Segment::Name(name) = segment else {
            return None;
        };
        names.push(name.as_slice());
    }
    let [root, own, rest @ ..] = names.as_slice() else {
        return None;
    };
    if *root != b"sluicegate" || *own != plugin.as_bytes() || rest.is_empty() {
        return None;
    }
    let escaped = |name: &&[u8]| {
        let mut out = Vec::new();
        json::escape_into(String::from_utf8_lossy(name).as_ref(), &mut out);
        out
    };
    Some(rest.iter().map(escaped).collect())
}

fn value(column: &abi::Column, row: usize) -> (Kind, &[u8]) {
    let kind = Kind::from_number(column.kinds[row]).unwrap_or_default();
    (
        kind,
        &column.data[column.offsets[row] as usize..column.offsets[row + 1] as usize],
    )
}

/// The additions that later stages read, as columns over the whole batch.
pub(super) struct AddedColumns<'a> {
    columns: Vec<Vec<(&'a Added, usize)>>,
}

impl<'a> AddedColumns<'a> {
    /// Before anything was added.
    pub(super) fn none() -> Self {
        Self {
            columns: Vec::new(),
        }
    }

    /// The columns of these paths.
    pub(super) fn new(added: &'a [Added], paths: &[String]) -> Self {
        let columns = paths
            .iter()
            .map(|path| {
                added
                    .iter()
                    .filter_map(|added| {
                        let position = added
                            .additions
                            .iter()
                            .position(|addition| addition.path == *path)?;
                        Some((added, position))
                    })
                    .collect()
            })
            .collect();
        Self { columns }
    }

    /// The kind and text of a row.
    pub(super) fn value(&self, row: usize, column: usize) -> (Kind, Cow<'_, [u8]>) {
        let sources = self.columns.get(column).map_or(&[][..], Vec::as_slice);
        for (added, position) in sources {
            let own = added.rows[row];
            if own != NOWHERE {
                let (kind, text) = value(&added.additions[*position].values, own as usize);
                return (kind, Cow::Borrowed(text));
            }
        }
        (Kind::Absent, Cow::Borrowed(&[]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addition(path: &str, values: &[(Kind, &str)]) -> abi::Addition {
        let mut column = abi::Column {
            kinds: Vec::new(),
            offsets: vec![0],
            data: Vec::new(),
        };
        for (kind, text) in values {
            column.kinds.push(*kind as u8);
            column.data.extend_from_slice(text.as_bytes());
            column
                .offsets
                .push(u32::try_from(column.data.len()).expect("small"));
        }
        abi::Addition {
            path: path.into(),
            values: column,
        }
    }

    fn written(additions: Vec<abi::Addition>, row: usize) -> String {
        let mut out = Vec::new();
        Added::new("p", &[1, 3], 4, additions).write(row, &Cleaner::default(), &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn paths_nest_and_what_is_absent_is_left_out() {
        let additions = || {
            vec![
                addition(
                    "/sluicegate/p/a/x",
                    &[(Kind::String, "1\""), (Kind::Absent, "")],
                ),
                addition(
                    "/sluicegate/p/b",
                    &[(Kind::Boolean, "true"), (Kind::Absent, "")],
                ),
                addition(
                    "/sluicegate/p/a/y",
                    &[(Kind::Array, "[1,{}]"), (Kind::Absent, "")],
                ),
            ]
        };
        assert_eq!(
            written(additions(), 1),
            r#","p":{"a":{"x":"1\"","y":[1,{}]},"b":true}"#
        );
        assert_eq!(written(additions(), 3), "");
        assert_eq!(written(additions(), 0), "");
    }
}
