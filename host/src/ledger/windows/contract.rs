//! What every store of windows has to do, as tests over the trait.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    EventMark, KEPT_FOR_REDELIVERY_MS, MAX_ENTRIES_OF_KEY, MAX_RECENT, MAX_TEXT_BYTES,
    MAX_WINDOW_S, Namespace, Observation, Span, Window, Windows, WindowsError, model,
};
use crate::clock::Clock;

type Fresh<'a> = &'a dyn Fn(Clock) -> Arc<dyn Windows>;

/// Runs all of it, each part on a fresh store.
pub(crate) fn holds(fresh: Fresh<'_>) {
    let store = || fresh(Arc::new(|| 0));
    a_window_ends_at_its_event_and_begins_after_its_length(&*store());
    an_event_counts_once_and_its_first_value_stays(&*store());
    only_what_was_observed_before_can_be_first(&*store());
    an_event_without_a_time_of_its_own_keeps_the_first_it_had(&*store());
    namespaces_and_keys_are_apart(&*store());
    recent_entries_come_oldest_first(&*store());
    what_is_too_long_is_refused(&*store());
    a_full_key_keeps_its_newest(&*store());
    quotas_refuse_all_or_nothing_and_give_room_again(fresh);
    a_longer_window_keeps_what_is_there(fresh);
    model::any_order_and_any_duplicates_agree_with_it(&store);
    threads_count_together(&*store());
}

/// An event that happened in this second.
pub(crate) fn event(number: u32, second: i64) -> EventMark {
    let mut identity = [0; 16];
    identity[..4].copy_from_slice(&number.to_be_bytes());
    EventMark {
        identity,
        time_ms: second * 1_000,
    }
}

pub(crate) fn observation(event: EventMark, key: &str, member: &str, window_s: u32) -> Observation {
    Observation {
        event,
        key: key.to_owned(),
        member: member.to_owned(),
        value: 1.0,
        window_s,
    }
}

pub(crate) fn namespace(plugin: &str) -> Namespace<'_> {
    Namespace {
        plugin,
        keys: 1_000_000,
        entries: 1_000_000,
    }
}

/// A deadline that no test reaches.
pub(crate) fn later() -> Instant {
    Instant::now() + Duration::from_mins(2)
}

pub(super) fn observe(store: &dyn Windows, observations: &[Observation]) -> Vec<Window> {
    store
        .observe(&namespace("p"), observations, later())
        .unwrap()
}

fn counts(windows: &[Window]) -> Vec<(u64, u64, bool)> {
    windows
        .iter()
        .map(|window| (window.events, window.members, window.first))
        .collect()
}

fn quota(error: WindowsError) -> String {
    match error {
        WindowsError::Quota(text) => text,
        WindowsError::Unavailable(error) => panic!("not a quota: {error:#}"),
    }
}

fn a_window_ends_at_its_event_and_begins_after_its_length(store: &dyn Windows) {
    let at = |number, second| observation(event(number, second), "k", "", 10);
    let windows = observe(store, &[at(1, 0), at(2, 9), at(3, 10), at(4, 11)]);
    let events: Vec<u64> = windows.iter().map(|window| window.events).collect();
    assert_eq!(
        events,
        [1, 2, 2, 3],
        "an event exactly one window ago is outside"
    );
    let before_all = observe(store, &[at(5, -5)]);
    assert_eq!(before_all[0].events, 1, "what comes after is not counted");
    let extremes = [
        EventMark {
            time_ms: -62_167_219_200_000,
            ..event(6, 0)
        },
        EventMark {
            time_ms: 253_402_300_799_999,
            ..event(7, 0)
        },
    ];
    let windows = observe(
        store,
        &extremes.map(|event| observation(event, "k", "", 10)),
    );
    assert_eq!(counts(&windows), [(1, 0, true), (1, 0, true)]);
}

fn an_event_counts_once_and_its_first_value_stays(store: &dyn Windows) {
    let with = |member: &str, value| Observation {
        value,
        ..observation(event(1, 5), "k", member, 60)
    };
    let seen = [with("a", 2.0), with("b", 3.0), with("a", 100.0)];
    let windows = observe(store, &seen);
    for window in &windows {
        assert_eq!(
            (window.events, window.members),
            (1, 2),
            "one event, two members"
        );
        assert!((window.sum - 5.0).abs() < f64::EPSILON, "{}", window.sum);
    }
    assert_eq!(observe(store, &seen), windows, "redelivery changes nothing");
}

fn only_what_was_observed_before_can_be_first(store: &dyn Windows) {
    let at = |number, second| observation(event(number, second), "k", "m", 60);
    let first = |number, second| observe(store, &[at(number, second)])[0].first;
    assert!(first(1, 100));
    assert!(!first(2, 110));
    assert!(!first(3, 110), "at the same time, but later observed");
    assert!(
        first(4, 90),
        "a late one, and nothing of its window was there"
    );
    assert!(
        first(1, 100),
        "and the first one stays it when it comes again"
    );
    assert!(!first(2, 110) && !first(3, 110) && first(4, 90));
    assert!(first(5, 170), "one window later");
    let longer = Observation {
        window_s: 600,
        ..at(5, 170)
    };
    assert!(
        !observe(store, &[longer])[0].first,
        "but not in a longer window"
    );
}

fn an_event_without_a_time_of_its_own_keeps_the_first_it_had(store: &dyn Windows) {
    let received = |second| observation(event(1, second), "k", "m", 60);
    let window = observe(store, &[received(0)]);
    assert_eq!(observe(store, &[received(1_000)]), window);
    let next = observe(store, &[observation(event(2, 1_000), "k", "m", 60)]);
    assert_eq!(next[0].events, 1);
}

fn namespaces_and_keys_are_apart(store: &dyn Windows) {
    for (plugin, key) in [("p", "a"), ("p", "b"), ("q", "a"), ("p", "A"), ("p", "")] {
        let seen = [observation(event(1, 0), key, "m", 60)];
        let windows = store.observe(&namespace(plugin), &seen, later()).unwrap();
        assert_eq!(counts(&windows), [(1, 1, true)], "{plugin} {key}");
        let mixed = [
            observation(event(2, 0), key, "m", 60),
            observation(event(2, 0), "z", "m", 60),
        ];
        let windows = store.observe(&namespace(plugin), &mixed, later()).unwrap();
        assert_eq!(windows[0].events, 2);
        assert_eq!(windows[1].events, 1);
    }
}

fn recent_entries_come_oldest_first(store: &dyn Windows) {
    let seen: Vec<_> = [(1, 30), (2, 10), (3, 20), (4, 40)]
        .map(|(number, second)| observation(event(number, second), "k", &format!("m{number}"), 60))
        .into();
    observe(store, &seen);
    let recent = |after_s: i64, until_s: i64, limit| -> Vec<(i64, String)> {
        let span = Span {
            after_ms: after_s * 1_000,
            until_ms: until_s * 1_000,
        };
        let keys = ["k".to_owned(), "nobody".to_owned()];
        let mut of_keys = store.recent("p", &keys, span, limit, later()).unwrap();
        assert!(of_keys.pop().unwrap().is_empty());
        let entries = of_keys.pop().unwrap().into_iter();
        entries
            .map(|entry| (entry.time_ms / 1_000, entry.member))
            .collect()
    };
    let entry = |second, member: &str| (second, member.to_owned());
    assert_eq!(
        recent(0, 30, 9),
        [entry(10, "m2"), entry(20, "m3"), entry(30, "m1")]
    );
    assert_eq!(recent(10, 100, 2), [entry(30, "m1"), entry(40, "m4")]);
    assert_eq!(recent(0, 100, 0), []);
    assert_eq!(recent(50, 40, 9), []);
    let other = store.recent(
        "q",
        &["k".to_owned()],
        Span {
            after_ms: 0,
            until_ms: 99_000,
        },
        9,
        later(),
    );
    assert!(other.unwrap()[0].is_empty(), "another plugin's");

    let many: Vec<_> = (0..1_100)
        .map(|number| observation(event(number, 0), "many", "", 60))
        .collect();
    observe(store, &many);
    let span = Span {
        after_ms: -1,
        until_ms: 0,
    };
    let all = store
        .recent("p", &["many".to_owned()], span, u32::MAX, later())
        .unwrap();
    assert_eq!(all[0].len(), MAX_RECENT as usize);
}

fn what_is_too_long_is_refused(store: &dyn Windows) {
    let long = "x".repeat(MAX_TEXT_BYTES);
    observe(
        store,
        &[observation(event(1, 0), &long, &long, MAX_WINDOW_S)],
    );
    let refused = |key: &str, member: &str, window_s| {
        let seen = [observation(event(1, 0), key, member, window_s)];
        quota(store.observe(&namespace("p"), &seen, later()).unwrap_err())
    };
    let longer = format!("{long}x");
    assert_eq!(
        refused(&longer, "", 1),
        "a key has 1025 bytes, at most 1024 are kept"
    );
    assert_eq!(
        refused("k", &longer, 1),
        "a member has 1025 bytes, at most 1024 are kept"
    );
    assert_eq!(
        refused("k", "", 0),
        "a window must have 1 to 2592000 seconds, got 0"
    );
    assert!(refused("k", "", MAX_WINDOW_S + 1).starts_with("a window must have"));
}

fn a_full_key_keeps_its_newest(store: &dyn Windows) {
    let at = |number: u32| observation(event(number, number.into()), "k", "", MAX_WINDOW_S);
    let seen: Vec<_> = (1..=MAX_ENTRIES_OF_KEY + 10).map(at).collect();
    for part in seen.chunks(5_000) {
        observe(store, part);
    }
    let newest = observe(store, &seen[seen.len() - 1..]);
    assert_eq!(newest[0].events, u64::from(MAX_ENTRIES_OF_KEY));
    let oldest = observe(store, &seen[..1]);
    assert_eq!(
        oldest[0].events, 1,
        "it has gone and is counted as if it were new"
    );
    let newest = observe(store, &seen[seen.len() - 1..]);
    assert_eq!(
        newest[0].events,
        u64::from(MAX_ENTRIES_OF_KEY),
        "it did not stay"
    );
}

/// A clock that stands still until it is set.
fn stopped() -> (Arc<AtomicI64>, Clock) {
    let now = Arc::new(AtomicI64::new(0));
    let shared = Arc::clone(&now);
    (now, Arc::new(move || shared.load(Ordering::Relaxed)))
}

fn quotas_refuse_all_or_nothing_and_give_room_again(fresh: Fresh<'_>) {
    let (now, clock) = stopped();
    let store = fresh(clock);
    let little = Namespace {
        plugin: "p",
        keys: 2,
        entries: 3,
    };
    let ask = |numbers: &[(u32, &str)]| {
        let seen: Vec<_> = numbers
            .iter()
            .map(|(number, key)| observation(event(*number, 0), key, "", 60))
            .collect();
        store.observe(&little, &seen, later())
    };
    ask(&[(1, "a"), (1, "b")]).unwrap();
    let text = quota(ask(&[(2, "a"), (2, "c")]).unwrap_err());
    assert_eq!(text, "all 2 keys are taken until some expire");
    assert_eq!(
        ask(&[(3, "a")]).unwrap()[0].events,
        2,
        "number 2 was not counted"
    );
    let text = quota(ask(&[(4, "b")]).unwrap_err());
    assert_eq!(text, "all 3 entries are taken until some expire");
    assert!(
        ask(&[(1, "a"), (3, "a"), (1, "b")]).is_ok(),
        "what is there needs no room"
    );
    let other = [observation(event(9, 0), "z", "", 60)];
    assert!(
        store.observe(&namespace("q"), &other, later()).is_ok(),
        "another's quota is its own"
    );

    now.store(60_000 + KEPT_FOR_REDELIVERY_MS - 1, Ordering::Relaxed);
    assert!(ask(&[(5, "c")]).is_err(), "a millisecond too early");
    now.store(60_000 + KEPT_FOR_REDELIVERY_MS, Ordering::Relaxed);
    assert_eq!(ask(&[(5, "c"), (5, "d")]).unwrap()[0].events, 1);
}

fn a_longer_window_keeps_what_is_there(fresh: Fresh<'_>) {
    let (now, clock) = stopped();
    let store = fresh(clock);
    let ask = |number, window_s| {
        let seen = [observation(event(number, 0), "k", "", window_s)];
        store.observe(&namespace("p"), &seen, later()).unwrap()[0].events
    };
    ask(1, 60);
    ask(2, 600);
    now.store(60_000 + KEPT_FOR_REDELIVERY_MS, Ordering::Relaxed);
    assert_eq!(ask(3, 60), 3, "the key is now used with ten minutes");
    now.store(600_000 + KEPT_FOR_REDELIVERY_MS, Ordering::Relaxed);
    assert_eq!(ask(4, 600), 2);
}

fn threads_count_together(store: &dyn Windows) {
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for batch in 0..25 {
                    // Two threads each see the same events.
                    let number = |row: u32| (thread / 2) * 10_000 + batch * 10 + row;
                    let seen: Vec<_> = (0..10)
                        .map(|row| observation(event(number(row), 0), "k", "", 60))
                        .collect();
                    observe(store, &seen);
                }
            });
        }
    });
    let last = observe(store, &[observation(event(0, 0), "k", "", 60)]);
    assert_eq!(last[0].events, 500);
}
