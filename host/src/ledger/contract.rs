//! What every ledger has to do, as tests over the trait.

use std::sync::Arc;

use super::Ledger;
use crate::{
    event::ObjectId,
    finding::{EventFacts, Severity, Sighting},
};

/// Runs all of it, each part on a fresh ledger.
pub(crate) async fn holds(fresh: &(dyn Fn() -> Arc<dyn Ledger> + Sync)) {
    completions_add_up(&*fresh()).await;
    an_event_counts_once_in_a_finding(&*fresh()).await;
    times_of_updates_only_grow(&*fresh()).await;
    only_what_changed_is_outdated(&*fresh()).await;
    pruning_spares_what_is_owed(&*fresh()).await;
}

fn sighting(entity: &str, event: u8, time_ms: i64) -> Sighting {
    Sighting {
        plugin: "p".into(),
        rule: "r".into(),
        title: "t".into(),
        description: "d".into(),
        severity: if event == 2 {
            Severity::High
        } else {
            Severity::Low
        },
        entity: vec![entity.into()],
        window_s: 3_600,
        attributes: vec![("k".into(), "v".into())],
        event: EventFacts {
            time_ms,
            event_id: format!("e{event}"),
            ..EventFacts::default()
        },
        identity: [event; 16],
    }
}

async fn completions_add_up(ledger: &dyn Ledger) {
    let (object, other) = (ObjectId([1; 16]), ObjectId([2; 16]));
    assert!(ledger.completed(object).await.unwrap().is_empty());
    ledger
        .complete(object, "s3://b/k", &["a".into()], Some([9; 32]))
        .await
        .unwrap();
    ledger
        .complete(object, "s3://b/k", &["b".into(), "a".into()], None)
        .await
        .unwrap();
    let mut names = ledger.completed(object).await.unwrap();
    names.sort();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(
        ledger.inflated_sha256(object).await.unwrap(),
        Some([9; 32]),
        "a hash is not forgotten"
    );
    assert_eq!(ledger.inflated_sha256(other).await.unwrap(), None);
}

async fn an_event_counts_once_in_a_finding(ledger: &dyn Ledger) {
    let sightings = || {
        vec![
            sighting("a", 1, 20),
            sighting("a", 2, 10),
            sighting("b", 1, 20),
            sighting("a", 1, 20),
        ]
    };
    let observed = ledger.observe(sightings(), 100).await.unwrap();
    assert_eq!(observed.len(), 2, "each finding once");
    assert_eq!(
        (observed[0].finding.count, observed[1].finding.count),
        (2, 1)
    );
    let again = ledger.observe(sightings(), 200).await.unwrap();
    assert_eq!(again, observed, "redelivery changes nothing");
    let finding = &again[0].finding;
    assert_eq!(
        (finding.first_ms, finding.last_ms, finding.created_ms),
        (10, 20, 100)
    );
    assert_eq!(finding.severity, Severity::High);
    assert_eq!(finding.event_ids, ["e1", "e2"]);
    assert_eq!(finding.id, sighting("a", 1, 20).finding_id());
}

async fn times_of_updates_only_grow(ledger: &dyn Ledger) {
    let observed = ledger
        .observe(vec![sighting("a", 1, 0)], 100)
        .await
        .unwrap();
    let id = &observed[0].finding.id;
    let mut last = 0;
    for now in [100, 100, 50, 500] {
        let taken = ledger.take(id, now).await.unwrap().unwrap();
        assert!(taken.updated_ms > last && taken.updated_ms >= now);
        last = taken.updated_ms;
    }
    assert!(ledger.take("unknown", 0).await.unwrap().is_none());
}

async fn only_what_changed_is_outdated(ledger: &dyn Ledger) {
    let observed = ledger
        .observe(vec![sighting("a", 1, 0)], 100)
        .await
        .unwrap();
    let id = observed[0].finding.id.clone();
    assert!(!observed[0].announced);
    assert!(ledger.outdated(100, 9).await.unwrap().is_empty());
    assert_eq!(
        ledger.outdated(101, 9).await.unwrap(),
        std::slice::from_ref(&id),
        "never announced"
    );
    ledger.announced(&id, 150, 1).await.unwrap();
    assert!(ledger.outdated(i64::MAX, 9).await.unwrap().is_empty());
    let observed = ledger
        .observe(vec![sighting("a", 2, 0)], 300)
        .await
        .unwrap();
    assert!(observed[0].announced);
    assert!(
        ledger.outdated(150, 9).await.unwrap().is_empty(),
        "announced too lately"
    );
    assert_eq!(
        ledger.outdated(151, 9).await.unwrap(),
        std::slice::from_ref(&id)
    );
    ledger.announced(&id, 140, 1).await.unwrap();
    assert_eq!(
        ledger.outdated(151, 9).await.unwrap(),
        [id],
        "a late word of an old state changes nothing"
    );
}

async fn pruning_spares_what_is_owed(ledger: &dyn Ledger) {
    let object = ObjectId([1; 16]);
    ledger
        .complete(object, "s3://b/k", &["a".into()], None)
        .await
        .unwrap();
    let told = ledger
        .observe(vec![sighting("a", 1, 0)], 100)
        .await
        .unwrap()[0]
        .finding
        .id
        .clone();
    let untold = ledger
        .observe(vec![sighting("b", 1, 0)], 100)
        .await
        .unwrap()[0]
        .finding
        .id
        .clone();
    ledger.announced(&told, 150, 1).await.unwrap();
    ledger.prune(100).await.unwrap();
    assert!(
        ledger.take(&told, 0).await.unwrap().is_some(),
        "not old enough"
    );
    ledger.prune(i64::MAX).await.unwrap();
    assert!(ledger.completed(object).await.unwrap().is_empty());
    assert!(ledger.take(&told, 0).await.unwrap().is_none());
    assert!(
        ledger.take(&untold, 0).await.unwrap().is_some(),
        "nobody was told of it yet"
    );
}
