//! What the targets of both ledgers share: the events that they count, and what must be true of what comes of it.

use sluicegate::{
    event::ObjectId,
    finding::{EventFacts, Finding, Severity, Sighting},
    ledger::{Ledger, Observed},
};

/// The object that the rows tell of.
pub const OBJECT: ObjectId = ObjectId([7; 16]);
/// Of the first event.
pub const IDENTITY: [u8; 16] = [1; 16];
/// What the clock says.
pub const NOW_MS: i64 = 1_794_000_000_000;
/// Whose finding it is.
pub const PLUGIN: &str = "p";

/// Two events of one finding.
#[must_use]
pub fn sightings() -> Vec<Sighting> {
    let event = EventFacts {
        time_ms: NOW_MS,
        event_id: "e".into(),
        account: "1".into(),
        region: "r".into(),
        ..EventFacts::default()
    };
    let first = Sighting {
        plugin: PLUGIN.into(),
        rule: "r".into(),
        title: "t".into(),
        description: "d".into(),
        severity: Severity::Low,
        entity: vec!["a".into()],
        window_s: 60,
        attributes: Vec::new(),
        event,
        identity: IDENTITY,
    };
    let second = Sighting {
        identity: [2; 16],
        severity: Severity::High,
        ..first.clone()
    };
    vec![first, second]
}

/// Of their finding.
#[must_use]
pub fn finding_id() -> String {
    sightings()[0].finding_id()
}

/// Their finding, as a sound ledger stores it.
///
/// # Panics
/// Never: nothing is in the way of a ledger in memory.
#[must_use]
pub fn sound_finding(runtime: &tokio::runtime::Runtime) -> String {
    let scratch = sluicegate::ledger::Sqlite::in_memory().expect("memory");
    let observed = runtime.block_on(scratch.observe(sightings(), NOW_MS));
    let finding = &observed.expect("a sound ledger")[0].finding;
    serde_json::to_string(finding).expect("plain data")
}

/// Events are counted, each once, in the finding that they are of.
///
/// # Panics
/// When they are not.
pub async fn counts(ledger: &dyn Ledger) -> Option<Observed> {
    let observed = ledger.observe(sightings(), NOW_MS).await.ok()?;
    let [seen] = &observed[..] else {
        panic!("{} findings", observed.len());
    };
    assert_eq!(seen.finding.id, finding_id());
    assert!(seen.finding.count >= 1);
    let again = ledger.observe(sightings(), NOW_MS).await.expect("it is sound now");
    assert_eq!(again, observed, "each event counts once");
    observed.into_iter().next()
}

/// Security Hub ignores an update whose time does not grow.
///
/// # Panics
/// When it does not.
pub fn grows(before: &Finding, after: &Finding) {
    assert_eq!(before.id, after.id);
    assert!(after.updated_ms > before.updated_ms || before.updated_ms == i64::MAX);
}

/// An object that a delivery has all of is known as such.
///
/// # Panics
/// When it is not.
pub async fn completes(ledger: &dyn Ledger) -> bool {
    let delivery = ["hub".to_owned()];
    let completed = ledger.complete(OBJECT, "s3://b/k", &delivery, None).await;
    if completed.is_err() {
        return false;
    }
    let Ok(known) = ledger.known(OBJECT).await else {
        return false;
    };
    assert!(known.complete.contains(&delivery[0]) && !known.upto.contains_key("hub"));
    true
}

/// The lines of an input, each a row: the name of its table, and its cells between tabs.
pub fn rows(input: &[u8]) -> impl Iterator<Item = (&[u8], impl Iterator<Item = &[u8]>)> {
    input.split(|&byte| byte == b'\n').map(|line| {
        let mut cells = line.split(|&byte| byte == b'\t');
        (cells.next().unwrap_or_default(), cells)
    })
}
