//! Tables as comma-separated values: a line of column names, then a line a row.

use anyhow::{Context as _, bail, ensure};

use super::{settings::Settings, table::Cells};
use crate::{columns::Kind, text::shown};

/// Columns at the most.
const MAX_COLUMNS: usize = 256;

/// Reads all rows.
///
/// # Errors
/// Names the line, and says what is wrong there.
pub(super) fn read(bytes: &[u8], settings: &Settings) -> anyhow::Result<Cells> {
    // Some programs begin a file with the mark of UTF-8.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(true)
        .from_reader(bytes);
    let names = reader.headers().map_err(at_line)?;
    let fields: Vec<String> = names.iter().map(ToOwned::to_owned).collect();
    ensure!(
        fields.len() <= MAX_COLUMNS,
        "line 1: more than {MAX_COLUMNS} columns"
    );
    for (position, field) in fields.iter().enumerate() {
        ensure!(
            !field.is_empty(),
            "line 1: column {} has no name",
            position + 1
        );
        if fields[..position].contains(field) {
            bail!("line 1: two columns are called `{}`", shown(field));
        }
    }
    let mut cells = Cells::new(fields);
    let mut row = ::csv::StringRecord::new();
    while reader.read_record(&mut row).map_err(at_line)? {
        let line = row.position().context("a row has a place")?.line();
        cells.begin(usize::try_from(line)?, settings.max_rows)?;
        for cell in &row {
            let kind = if cell.is_empty() {
                Kind::Absent
            } else {
                Kind::String
            };
            cells.push(kind, cell);
        }
    }
    Ok(cells)
}

/// Where and why, without the cells' text.
#[allow(clippy::needless_pass_by_value, reason = "what `map_err` hands over")]
fn at_line(error: ::csv::Error) -> anyhow::Error {
    let line = error.position().map_or(1, ::csv::Position::line);
    match error.kind() {
        ::csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            anyhow::anyhow!("line {line}: {len} cells, the first line has {expected_len}")
        }
        ::csv::ErrorKind::Utf8 { .. } => anyhow::anyhow!("line {line}: is not UTF-8"),
        _ => anyhow::anyhow!("line {line}: is not CSV"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use crate::lookup::table::tests::{get, load, wrong};

    const SETTINGS: &str = r#"{"format":"csv","key":"k"}"#;

    #[test]
    fn a_mark_at_the_beginning_and_other_line_ends_do_not_matter() {
        let table = load(b"\xef\xbb\xbfk,v\r\na,1\r\nb,\"two\r\nlines\"", SETTINGS).unwrap();
        assert_eq!(get(&table, "v", "a").1, "1");
        assert_eq!(get(&table, "v", "b").1, "two\r\nlines");
    }

    #[test]
    fn a_table_without_rows_is_one() {
        assert_eq!(load(b"k,v\n", SETTINGS).unwrap().rows(), 0);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_without_its_text() {
        for (csv, expected) in [
            (
                &b"k,v\na,1\nb\n"[..],
                "line 3: 1 cells, the first line has 2",
            ),
            (b"k,v\na,\xff\n", "line 2: is not UTF-8"),
            (b"k,v,k\n", "line 1: two columns are called `k`"),
            (b"k,,v\n", "line 1: column 2 has no name"),
            (b"", "no column is called \"k\", which `key` names"),
        ] {
            assert_eq!(wrong(csv, SETTINGS), expected);
        }
        let wide = "k".to_owned() + &",".repeat(300);
        assert_eq!(
            wrong(wide.as_bytes(), SETTINGS),
            "line 1: more than 256 columns"
        );
    }
}
