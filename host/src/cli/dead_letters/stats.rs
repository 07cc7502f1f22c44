//! `sluicegate dead-letters stats`.

use std::collections::BTreeMap;

use super::{Filter, Pages};
use crate::{
    cli::output::{Output, thousands},
    store::Store,
    text::shown,
};

/// Prints a line for each cause and sink, and their sum.
pub(super) async fn print(store: &Store, filter: &Filter) -> anyhow::Result<()> {
    let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut output = Output::default();
    let mut pages = Pages::of(store, None);
    let mut looked = 0;
    while let Some(page) = pages.next().await? {
        looked += page.len() as u64;
        output.progress(&format!("{} looked at", thousands(looked)))?;
        for entry in page.iter().filter(|entry| filter.takes(entry)) {
            let key = match &entry.letter {
                Ok(letter) => {
                    let sink = letter.sink.as_deref().unwrap_or("-");
                    (letter.cause.to_string(), shown(sink))
                }
                Err(_) => ("damaged".to_owned(), "-".to_owned()),
            };
            *counts.entry(key).or_default() += 1;
        }
    }
    for ((cause, sink), count) in &counts {
        output.line(&format!("{:>12}  {cause:<20}  {sink}", thousands(*count)))?;
    }
    let all = counts.values().sum();
    output.line(&format!("{:>12}  in all", thousands(all)))
}
