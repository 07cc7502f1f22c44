//! What enrichment sets: columns under `/sluicegate/<plugin>`, written as nested JSON a row.

use std::borrow::Cow;

use super::abi;
use crate::{
    columns::{Kind, Path, Segment},
    json::{self, Check},
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
    /// Checks that values are JSON of their kind and that no path lies inside another.
    pub(super) fn check(
        plugin: &str,
        rows: u32,
        additions: &[abi::Addition],
    ) -> Result<(), String> {
        for (position, addition) in additions.iter().enumerate() {
            for row in 0..rows as usize {
                let (kind, text) = value(&addition.values, row);
                if !is_sound(kind, text) {
                    return Err(format!(
                        "addition {position} has a value that is no {kind:?}"
                    ));
                }
            }
            let inside = |a: &str, b: &str| {
                a == b || a.strip_prefix(b).is_some_and(|rest| rest.starts_with('/'))
            };
            let clash = |other: &abi::Addition| {
                inside(&addition.path, &other.path) || inside(&other.path, &addition.path)
            };
            if additions[..position].iter().any(clash) {
                return Err(format!(
                    "addition {position} has a path that another one covers"
                ));
            }
            if below(plugin, &addition.path).is_none() {
                return Err(format!(
                    "addition {position} has no path under /sluicegate/{plugin}"
                ));
            }
        }
        Ok(())
    }

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
            Kind::String => json::quote_into(&cleaner.clean(&String::from_utf8_lossy(text)), out),
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
        json::escape_into(&String::from_utf8_lossy(name), &mut out);
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

/// Whether a text is JSON of this kind. Strings are texts of any kind; that they are UTF-8 was checked.
fn is_sound(kind: Kind, text: &[u8]) -> bool {
    match kind {
        Kind::Absent | Kind::Null | Kind::String => true,
        Kind::Boolean => matches!(text, b"true" | b"false"),
        Kind::Number => {
            let array = [b"[", text, b"]"].concat();
            !text.contains(&b',')
                && text
                    .first()
                    .is_some_and(|&first| Kind::of(first) == Kind::Number)
                && matches!(json::check(&array, 1), Check::Valid(end) if end == array.len())
        }
        Kind::Object | Kind::Array => {
            text.first().is_some_and(|&first| Kind::of(first) == kind)
                && matches!(json::check(text, json::MAX_DEPTH / 2), Check::Valid(end) if end == text.len())
        }
    }
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
        assert_eq!(Added::check("p", 2, &additions), Ok(()));
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

    #[test]
    fn values_that_are_not_of_their_kind_are_refused() {
        for (kind, text) in [
            (Kind::Boolean, "yes"),
            (Kind::Number, "1,2"),
            (Kind::Number, "01"),
            (Kind::Number, ""),
            (Kind::Object, "{\"a\":}"),
            (Kind::Object, "[]"),
            (Kind::Array, "[1] "),
        ] {
            let additions = [addition("/sluicegate/p/a", &[(kind, text)])];
            assert!(Added::check("p", 1, &additions).is_err(), "{kind:?} {text}");
        }
    }

    #[test]
    fn paths_that_clash_or_lie_elsewhere_are_refused() {
        let value = &[(Kind::Null, "")];
        for paths in [
            ["/sluicegate/p/a", "/sluicegate/p/a"],
            ["/sluicegate/p/a", "/sluicegate/p/a/b"],
            ["/sluicegate/p/a/b", "/sluicegate/p/a"],
            ["/sluicegate/p/ab", "/sluicegate/q/a"],
            ["/sluicegate/p/ab", "/sluicegate/p"],
            ["/sluicegate/p/ab", "/sluicegate/p/*"],
        ] {
            let additions = paths.map(|path| addition(path, value));
            assert!(Added::check("p", 1, &additions).is_err(), "{paths:?}");
        }
        let additions = ["/sluicegate/p/a", "/sluicegate/p/ab"].map(|path| addition(path, value));
        assert_eq!(Added::check("p", 1, &additions), Ok(()));
    }
}
