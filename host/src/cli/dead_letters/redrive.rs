//! `sluicegate dead-letters redrive`: what was given up becomes pending again.
//!
//! The reference is stored as pending before the dead letter is removed, and both have names that say what
//! they are about. So whatever interrupts this, running it again finishes it, and nothing is owed twice.

use std::collections::BTreeMap;

use super::{Filter, Pages};
use crate::{
    cli::output::{Output, thousands},
    pipeline::OWN_PENDING,
    store::{Store, Stored},
    text::shown,
};

/// What became of the entries.
#[derive(Default)]
struct Tally {
    /// By who is owed now.
    owed: BTreeMap<String, u64>,
    /// By the reason.
    left: BTreeMap<String, u64>,
}

/// Makes every dead letter that the filter takes pending again, or says what would be.
pub(super) async fn run(store: &Store, filter: &Filter, dry_run: bool) -> anyhow::Result<()> {
    let mut output = Output::default();
    let mut meant = Vec::new();
    let mut pages = Pages::of(store, None);
    while let Some(page) = pages.next().await? {
        meant.extend(page.into_iter().filter(|entry| filter.takes(entry)));
        output.progress(&format!("{} found", thousands(meant.len() as u64)))?;
    }
    let all = thousands(meant.len() as u64);
    let mut tally = Tally::default();
    for (done, entry) in (1_u64..).zip(&meant) {
        redrive(store, entry, dry_run, &mut tally).await?;
        output.progress(&format!("{} of {all}", thousands(done)))?;
    }
    let would = if dry_run { "would be" } else { "are" };
    for (sink, count) in &tally.owed {
        let who = if sink == OWN_PENDING {
            "every sink".to_owned()
        } else {
            shown(sink)
        };
        output.line(&format!(
            "{:>12}  {would} pending again for {who}",
            thousands(*count)
        ))?;
    }
    for (reason, count) in &tally.left {
        output.line(&format!("{:>12}  stay: {reason}", thousands(*count)))?;
    }
    output.line(&format!("{all:>12}  in all"))
}

async fn redrive(
    store: &Store,
    entry: &Stored,
    dry_run: bool,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let pending = match &entry.letter {
        Ok(letter) => letter.to_pending(),
        Err(_) => Err("damaged: look at the file"),
    };
    let pending = match pending {
        Ok(pending) => pending,
        Err(reason) => {
            *tally.left.entry(reason.to_owned()).or_default() += 1;
            return Ok(());
        }
    };
    let owed = pending.sink.as_deref().unwrap_or(OWN_PENDING);
    if !dry_run {
        store.pend(owed, &pending).await?;
        store.resolve(&entry.name).await?;
    }
    *tally.owed.entry(owed.to_owned()).or_default() += 1;
    Ok(())
}
