//! The table of results, and the page that shows it.

use std::fmt::Write as _;

/// What came of a scenario. Everything is counted once a sink.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) put: usize,
    pub(crate) delivered: usize,
    pub(crate) duplicated: usize,
    pub(crate) dead_lettered: usize,
    pub(crate) pending: usize,
    pub(crate) lost: usize,
    /// Messages that were still in the queue when patience ended.
    pub(crate) not_settled: u32,
    pub(crate) seconds: f64,
    pub(crate) peak_kb: u64,
    /// What should not be so.
    pub(crate) wrong: Vec<String>,
}

const HEAD: &str = "\
# Reliability

Written by `make faults`. In every scenario the real program (development build) reads from S3 and SQS
and delivers to strict servers that stand for Splunk, Datadog and, in the rows about it, Security Hub,
through a TCP proxy that misbehaves; several scenarios run at once on the same machine.
[operating.md](operating.md#reliability) says how to read the table.

| scenario | put | delivered | duplicated | dead-lettered | pending | lost | not settled | seconds | peak memory kB |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
";

/// The page for these rows.
pub(crate) fn page(rows: &[Row]) -> String {
    let mut page = HEAD.to_owned();
    for row in rows {
        writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {:.1} | {} |",
            row.name,
            row.put,
            row.delivered,
            row.duplicated,
            row.dead_lettered,
            row.pending,
            row.lost,
            row.not_settled,
            row.seconds,
            row.peak_kb,
        )
        .expect("a string takes everything");
    }
    page
}
