//! What every ledger has to do, as tests over the trait.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use sluicegate::{
    clock::Clock,
    event::ObjectId,
    finding::{EventFacts, Severity, Sighting},
    ledger::{Claim, Known, Ledger},
};

/// How long the ledgers that are tried keep what they know.
pub const KEEP: Duration = Duration::from_hours(24);

/// Makes a ledger that is empty, keeps for [`KEEP`] by this clock, and is seen by two hosts.
pub type Fresh<'a> = &'a (dyn Fn(Clock) -> BoxFuture<'static, [Arc<dyn Ledger>; 2]> + Sync);

/// Runs all of it, each part on a fresh ledger.
///
/// # Panics
/// When the ledger does not keep it.
pub async fn holds(fresh: Fresh<'_>) {
    let one = async || {
        let [ledger, _] = fresh(Arc::new(|| 0)).await;
        ledger
    };
    completions_add_up(&*one().await).await;
    marks_only_grow_until_all_is_there(&*one().await).await;
    an_event_counts_once_in_a_finding(&*one().await).await;
    many_events_count_at_once(&*one().await).await;
    times_of_updates_only_grow(&*one().await).await;
    only_what_changed_is_outdated(&*one().await).await;
    the_longest_owed_come_first(&*one().await).await;
    a_place_has_one_claimant(fresh).await;
    hosts_count_together(fresh).await;
    hosts_take_at_different_times(fresh).await;
    what_is_old_is_forgotten_and_what_is_owed_is_not(fresh).await;
}

/// An event of this number that tells of this entity.
#[must_use]
pub fn sighting(entity: &str, event: u8, time_ms: i64) -> Sighting {
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
        event: Arc::new(EventFacts {
            time_ms,
            event_id: format!("e{event}"),
            ..EventFacts::default()
        }),
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

async fn marks_only_grow_until_all_is_there(ledger: &dyn Ledger) {
    let (object, other) = (ObjectId([1; 16]), ObjectId([2; 16]));
    let reach = async |delivery, upto| {
        let reached = ledger.reached(object, "s3://b/k", delivery, upto).await;
        reached.unwrap();
        let known = ledger.known(object).await.unwrap();
        (known.complete, known.upto.into_iter().collect::<Vec<_>>())
    };
    let of = |name: &str, upto| (name.to_owned(), upto);
    assert_eq!(reach("a", 10).await, (vec![], vec![of("a", 10)]));
    assert_eq!(reach("a", 5).await, (vec![], vec![of("a", 10)]));
    let both = vec![of("a", 30), of("b-1", u32::MAX)];
    reach("b-1", u32::MAX).await;
    assert_eq!(reach("a", 30).await, (vec![], both));
    ledger
        .complete(object, "s3://b/k", &["b-1".into(), "c".into()], None)
        .await
        .unwrap();
    let known = ledger.known(object).await.unwrap();
    assert_eq!(known.upto.into_iter().collect::<Vec<_>>(), [of("a", 30)]);
    assert_eq!(known.complete.len(), 2);
    assert_eq!(ledger.known(other).await.unwrap(), Known::default());
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

async fn many_events_count_at_once(ledger: &dyn Ledger) {
    let numbered = |number: u16| {
        let mut sighting = sighting("a", 1, number.into());
        sighting.identity[..2].copy_from_slice(&number.to_be_bytes());
        sighting
    };
    // More than fit into one write of any ledger, and a few of them again.
    let observed = ledger
        .observe((0..350).map(numbered).collect(), 100)
        .await
        .unwrap();
    assert_eq!(observed[0].finding.count, 350);
    let observed = ledger
        .observe((300..420).map(numbered).collect(), 200)
        .await
        .unwrap();
    assert_eq!((observed.len(), observed[0].finding.count), (1, 420));
    assert_eq!(observed[0].finding.last_ms, 419);
}

async fn the_longest_owed_come_first(ledger: &dyn Ledger) {
    let mut ids = Vec::new();
    for (number, now) in (0..20).zip((0..20).rev()) {
        let entity = format!("e{number}");
        let observed = ledger
            .observe(vec![sighting(&entity, 1, 0)], now)
            .await
            .unwrap();
        ids.push(observed[0].finding.id.clone());
    }
    ids.reverse();
    assert_eq!(ledger.outdated(100, 99).await.unwrap(), ids);
    assert_eq!(ledger.outdated(100, 5).await.unwrap(), ids[..5]);
    assert_eq!(ledger.outdated(10, 99).await.unwrap(), ids[..10]);
}

async fn a_place_has_one_claimant(fresh: Fresh<'_>) {
    let [here, there] = fresh(Arc::new(|| 0)).await;
    let claim = |key, owner| Claim::new("bucket", key, owner);
    let take = async |ledger: &Arc<dyn Ledger>, key, owner, now_ms, until_ms| {
        let claimed = ledger.claim(&claim(key, owner), now_ms, until_ms).await;
        claimed.unwrap()
    };
    assert!(take(&here, "k", "a", 0, 100).await);
    assert!(!take(&there, "k", "b", 99, 200).await, "it is claimed");
    assert!(take(&there, "other", "b", 99, 200).await, "another place");
    assert!(take(&here, "k", "a", 50, 150).await, "its own goes on");
    assert!(!take(&there, "k", "b", 149, 300).await);
    there.release(&claim("k", "b")).await.unwrap();
    assert!(!take(&there, "k", "b", 149, 300).await, "it was not theirs");
    assert!(take(&there, "k", "b", 150, 300).await, "it has run out");
    assert!(!take(&here, "k", "a", 160, 400).await);
    there.release(&claim("k", "b")).await.unwrap();
    there.release(&claim("k", "b")).await.unwrap();
    assert!(take(&here, "k", "a", 160, 400).await);
    let year = 365 * 86_400_000;
    assert!(take(&here, "wrong", "a", year, year + 100).await);
    assert!(
        take(&there, "wrong", "b", 0, 100).await,
        "nobody claims anything a year ahead"
    );

    let contest: Vec<_> = (0..8)
        .map(|number| {
            let ledger = Arc::clone(if number % 2 == 0 { &here } else { &there });
            tokio::spawn(async move {
                let claim = Claim::new("bucket", "contested", &number.to_string());
                ledger.claim(&claim, 0, 100).await.unwrap()
            })
        })
        .collect();
    let mut won = 0;
    for contestant in contest {
        won += u32::from(contestant.await.unwrap());
    }
    assert_eq!(won, 1);
}

async fn hosts_count_together(fresh: Fresh<'_>) {
    let hosts = fresh(Arc::new(|| 0)).await;
    let counting: Vec<_> = (0..8u8)
        .map(|task| {
            let ledger = Arc::clone(&hosts[usize::from(task % 2)]);
            tokio::spawn(async move {
                for batch in 0..5u8 {
                    // Each event comes to both hosts, and to some of their tasks twice.
                    let seen =
                        (0..12u8).map(|row| sighting("a", (task / 4) * 60 + batch * 12 + row, 0));
                    ledger.observe(seen.collect(), 100).await.unwrap();
                }
            })
        })
        .collect();
    for task in counting {
        task.await.unwrap();
    }
    for ledger in &hosts {
        let observed = ledger
            .observe(vec![sighting("a", 0, 0)], 200)
            .await
            .unwrap();
        assert_eq!(observed[0].finding.count, 120);
    }
}

async fn hosts_take_at_different_times(fresh: Fresh<'_>) {
    let hosts = fresh(Arc::new(|| 0)).await;
    let observed = hosts[0]
        .observe(vec![sighting("a", 1, 0)], 100)
        .await
        .unwrap();
    let id = observed[0].finding.id.clone();
    let taking: Vec<_> = (0..10)
        .map(|number| {
            let (ledger, id) = (Arc::clone(&hosts[number % 2]), id.clone());
            tokio::spawn(async move { ledger.take(&id, 100).await.unwrap().unwrap().updated_ms })
        })
        .collect();
    let mut times = Vec::new();
    for task in taking {
        times.push(task.await.unwrap());
    }
    times.sort_unstable();
    assert_eq!(times, (100..110).collect::<Vec<_>>());
}

async fn what_is_old_is_forgotten_and_what_is_owed_is_not(fresh: Fresh<'_>) {
    let now = Arc::new(AtomicI64::new(0));
    let clock: Clock = {
        let now = Arc::clone(&now);
        Arc::new(move || now.load(Ordering::SeqCst))
    };
    let [ledger, _] = fresh(clock).await;
    let object = ObjectId([1; 16]);
    ledger
        .complete(object, "s3://b/k", &["a".into()], Some([9; 32]))
        .await
        .unwrap();
    let marked = ObjectId([2; 16]);
    ledger.reached(marked, "s3://b/l", "a", 7).await.unwrap();
    let told = ledger.observe(vec![sighting("a", 1, 0)], 0).await.unwrap()[0]
        .finding
        .id
        .clone();
    let untold = ledger.observe(vec![sighting("b", 1, 0)], 0).await.unwrap()[0]
        .finding
        .id
        .clone();
    ledger.announced(&told, 50, 1).await.unwrap();
    let keep_ms = i64::try_from(KEEP.as_millis()).unwrap();
    now.store(keep_ms - 1_000, Ordering::SeqCst);
    ledger.prune().await.unwrap();
    assert_eq!(ledger.completed(object).await.unwrap(), ["a"]);
    let again = ledger.observe(vec![sighting("a", 1, 0)], 50).await.unwrap();
    assert_eq!((again[0].finding.count, again[0].announced), (1, true));

    now.store(keep_ms + 1_000, Ordering::SeqCst);
    ledger.prune().await.unwrap();
    assert!(ledger.completed(object).await.unwrap().is_empty());
    assert_eq!(ledger.known(marked).await.unwrap(), Known::default());
    assert_eq!(ledger.inflated_sha256(object).await.unwrap(), None);
    assert!(ledger.take(&told, 0).await.unwrap().is_none());
    assert!(
        ledger.take(&untold, 0).await.unwrap().is_some(),
        "nobody was told of it yet"
    );
    assert_eq!(ledger.outdated(i64::MAX, 9).await.unwrap(), [untold]);
    let anew = ledger
        .observe(vec![sighting("a", 1, 0), sighting("a", 2, 0)], keep_ms)
        .await
        .unwrap();
    assert_eq!((anew[0].finding.count, anew[0].announced), (2, false));
    assert_eq!(anew[0].finding.created_ms, keep_ms);
}
