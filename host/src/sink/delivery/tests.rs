mod best_effort;

use std::sync::atomic::Ordering;

use futures_util::FutureExt as _;

use super::*;
use crate::{
    ack::{self, Outcome},
    deadletter::{DeadLetter, Subject},
    sink::{
        Refused, SendError,
        scripted::{World, misconfigured, names, parcel, unavailable},
    },
};

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn ranges(letter: &DeadLetter) -> Vec<(u32, u32)> {
    match &letter.subject {
        Subject::Events { ranges, .. } => ranges.clone(),
        other => panic!("not events: {other:?}"),
    }
}

fn refused(status: u16) -> Result<Vec<Refused>, SendError> {
    Err(SendError::Refused {
        status,
        reason: "bad data".into(),
    })
}

#[tokio::test(start_paused = true)]
async fn parcels_that_come_close_together_share_a_request() {
    let world = World::new(|_| Ok(vec![]));
    let (one, two) = (world.give(1, 0..2).await, world.give(2, 0..3).await);
    assert_eq!(
        (one.outcome().await, two.outcome().await),
        (Outcome::Delivered, Outcome::Delivered)
    );
    assert_eq!(world.requests(), 1);
    assert_eq!(world.counted().delivered, 5);
}

#[tokio::test(start_paused = true)]
async fn a_lone_parcel_of_an_idle_sink_waits_for_a_pause_alone() {
    let world = World::new(|_| Ok(vec![]));
    let start = Instant::now();
    world.give(1, 0..1).await.outcome().await;
    assert!((10..100).contains(&start.elapsed().as_millis()));
}

#[tokio::test(start_paused = true)]
async fn while_a_request_is_under_way_what_comes_gathers_for_the_linger_or_its_end() {
    // The first request begins after 10 ms; the others come after 50.
    for (answers_after_ms, waits_ms) in [(60_000, 500), (200, 160)] {
        let world = World::new(|_| Ok(vec![]));
        *world.sink.answers_after.lock().unwrap() = Duration::from_millis(answers_after_ms);
        let first = world.give(1, 0..1).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let start = Instant::now();
        for share in [world.give(2, 0..1).await, world.give(3, 0..1).await] {
            assert_eq!(share.outcome().await, Outcome::Delivered);
        }
        let took = start.elapsed().as_millis();
        let expected = waits_ms + u128::from(answers_after_ms);
        assert!((expected..expected + 20).contains(&took), "{took} ms");
        assert_eq!(first.outcome().await, Outcome::Delivered);
        assert_eq!(world.requests(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_is_sat_out() {
    let mut calls = 0;
    let world = World::new(move |_| {
        calls += 1;
        if calls <= 5 {
            unavailable()
        } else {
            Ok(vec![])
        }
    });
    assert_eq!(
        world.give(1, 0..9).await.outcome().await,
        Outcome::Delivered
    );
    assert_eq!(world.accepted(), names(1, 0..9));
    let counted = world.counted();
    assert_eq!(
        (
            counted.requests,
            counted.retries,
            counted.holds,
            counted.delivered
        ),
        (6, 5, 0, 9)
    );
}

#[tokio::test(start_paused = true)]
async fn the_sink_says_how_long_to_wait() {
    let mut calls = 0;
    let world = World::new(move |_| {
        calls += 1;
        let retry_after = Some(Duration::from_secs(7));
        if calls == 1 {
            Err(SendError::Throttled { retry_after })
        } else {
            Ok(vec![])
        }
    });
    let start = Instant::now();
    assert_eq!(
        world.give(1, 0..1).await.outcome().await,
        Outcome::Delivered
    );
    assert!((7_000..7_100).contains(&start.elapsed().as_millis()));
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_holds_the_sink_and_costs_nothing() {
    let world = World::new(|_| misconfigured());
    assert_eq!(world.give(1, 0..3).await.outcome().await, Outcome::Pending);
    assert_eq!(world.delivery.held(), Some(Cause::SinkMisconfigured));
    assert_eq!(world.give(1, 3..5).await.outcome().await, Outcome::Pending);
    assert_eq!(
        world
            .pending()
            .await
            .iter()
            .map(ranges)
            .collect::<Vec<_>>()
            .concat()
            .len(),
        2
    );
    assert_eq!(
        world.requests(),
        1,
        "what comes while it is held is not even sent"
    );

    world.sink.now(|_| Ok(vec![]));
    pass(120).await;
    assert_eq!(world.delivery.held(), None);
    assert_eq!(world.accepted(), names(1, 0..5));
    assert!(world.pending().await.is_empty() && world.dead().await.is_empty());
    let counted = world.counted();
    assert_eq!(
        (counted.pending, counted.delivered, counted.holds),
        (5, 5, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_of_one_object_is_one_reference() {
    let world = World::new(|_| misconfigured());
    let shares = [
        world.give(1, 4..6).await,
        world.give(2, 0..1).await,
        world.give(1, 6..9).await,
    ];
    for share in shares {
        assert_eq!(share.outcome().await, Outcome::Pending);
    }
    let pending = world.pending().await;
    assert_eq!(
        pending.iter().map(ranges).collect::<Vec<_>>(),
        [vec![(4, 9)], vec![(0, 1)]]
    );
    assert_eq!(pending[0].cause, Cause::SinkMisconfigured);
    assert_eq!(pending[0].sink.as_deref(), Some("sink"));
}

#[tokio::test(start_paused = true)]
async fn a_long_outage_becomes_a_hold_and_heals() {
    let world = World::new(|_| unavailable());
    let start = Instant::now();
    assert_eq!(world.give(1, 0..4).await.outcome().await, Outcome::Pending);
    assert!((60..120).contains(&start.elapsed().as_secs()));
    assert_eq!(world.delivery.held(), Some(Cause::SinkUnavailable));
    world.sink.now(|_| Ok(vec![]));
    pass(61).await;
    assert_eq!(
        world.give(1, 4..5).await.outcome().await,
        Outcome::Delivered
    );
    assert_eq!(world.accepted(), names(1, 0..5));
    world.counted();
}

#[tokio::test(start_paused = true)]
async fn what_others_make_pending_is_found_before_long() {
    let world = World::new(|_| misconfigured());
    world.give(1, 0..2).await.outcome().await;
    let owed = world.pending().await.remove(0);
    world.sink.now(|_| Ok(vec![]));
    pass(90).await;
    assert_eq!(world.accepted(), names(1, 0..2));
    world.store.pend("sink", &owed).await.unwrap();
    pass(70).await;
    assert_eq!(world.accepted().len(), 4, "once more");
    assert!(world.pending().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn endless_throttling_does_not_stop_the_others_either() {
    let world = World::new(|_| {
        Err(SendError::Throttled {
            retry_after: Some(Duration::from_mins(4)),
        })
    });
    let start = Instant::now();
    assert_eq!(world.give(1, 0..4).await.outcome().await, Outcome::Pending);
    assert!((60..62).contains(&start.elapsed().as_secs()));
}

#[tokio::test(start_paused = true)]
async fn the_oldest_pending_events_go_first() {
    let world = World::new(|_| misconfigured());
    for object in [3, 1, 2] {
        world.give(object, 0..1).await.outcome().await;
    }
    world.sink.now(|_| Ok(vec![]));
    pass(90).await;
    assert_eq!(
        *world.sink.accepted.lock().unwrap(),
        ["1/000", "2/000", "3/000"]
    );
    assert_eq!(world.pending().await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reference_that_the_sink_cannot_bear_does_not_keep_it_held() {
    let world = World::new(|_| misconfigured());
    for object in [1, 2] {
        world.give(object, 0..1).await.outcome().await;
    }
    world.sink.now(|entries| {
        if entries[0] == "1/000" {
            unavailable()
        } else {
            Ok(vec![])
        }
    });
    pass(300).await;
    assert_eq!(world.accepted(), ["2/000"]);
    assert_eq!(
        world.give(3, 0..1).await.outcome().await,
        Outcome::Delivered
    );
    assert_eq!(world.pending().await.len(), 1, "the other one is kept");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_fails_while_others_pass_is_owed_alone() {
    let world = World::new(|entries| {
        if entries[0] == "1/000" {
            unavailable()
        } else {
            Ok(vec![])
        }
    });
    let stuck = world.give(1, 0..1).await;
    pass(1).await;
    for index in 0..100 {
        assert_eq!(
            world.give(2, index..index + 1).await.outcome().await,
            Outcome::Delivered
        );
        pass(1).await;
    }
    assert_eq!(stuck.outcome().await, Outcome::Pending);
    assert_eq!(
        (world.delivery.held(), world.counters.snapshot().holds),
        (None, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn one_poisoned_event_is_found_and_its_neighbours_are_delivered() {
    let world = World::new(|entries| {
        if entries.contains(&"1/007".into()) {
            refused(400)
        } else {
            Ok(vec![])
        }
    });
    assert_eq!(
        world.give(1, 0..10).await.outcome().await,
        Outcome::DeadLettered
    );
    assert_eq!(world.accepted(), [names(1, 0..7), names(1, 8..10)].concat());
    let dead = world.dead().await;
    assert_eq!(
        (dead.len(), dead[0].cause, ranges(&dead[0])),
        (1, Cause::SinkRefused, vec![(7, 8)])
    );
    let counted = world.counted();
    assert_eq!(
        (
            counted.delivered,
            counted.dead_lettered[&Cause::SinkRefused]
        ),
        (9, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_names_the_poisoned_event_takes_the_others_once() {
    let world = World::new(
        |entries| match entries.iter().position(|entry| entry == "1/002") {
            Some(position) => Err(SendError::RefusedEntry {
                position,
                reason: "no event".into(),
            }),
            None => Ok(vec![]),
        },
    );
    assert_eq!(
        world.give(1, 0..5).await.outcome().await,
        Outcome::DeadLettered
    );
    assert_eq!(world.accepted(), [names(1, 0..2), names(1, 3..5)].concat());
    assert_eq!(world.requests(), 2);
    world.counted();
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_accepted_in_part_the_rest_is_retried_or_dead_lettered() {
    let mut first = true;
    let world = World::new(move |entries| {
        let refused = |position, retry| Refused {
            position,
            reason: "no".into(),
            retry,
        };
        if std::mem::take(&mut first) {
            return Ok(vec![refused(3, true), refused(1, false)]);
        }
        assert_eq!(entries, ["1/003"]);
        Ok(vec![])
    });
    assert_eq!(
        world.give(1, 0..4).await.outcome().await,
        Outcome::DeadLettered
    );
    assert_eq!(world.accepted(), ["1/000", "1/002", "1/003"]);
    assert_eq!(ranges(&world.dead().await[0]), [(1, 2)]);
    world.counted();
}

#[tokio::test(start_paused = true)]
async fn an_entry_refused_for_now_again_and_again_becomes_pending() {
    let world = World::new(|_| {
        Ok(vec![Refused {
            position: 0,
            reason: "busy".into(),
            retry: true,
        }])
    });
    assert_eq!(world.give(1, 0..2).await.outcome().await, Outcome::Pending);
    assert_eq!(ranges(&world.pending().await[0]), [(0, 1)]);
    assert_eq!(world.delivery.held(), None);
}

#[tokio::test(start_paused = true)]
async fn a_request_too_large_is_halved_down_to_one_entry() {
    let world = World::new(|entries| {
        let large = entries.len() > 2 || entries == ["1/004"];
        if large {
            Err(SendError::TooLarge)
        } else {
            Ok(vec![])
        }
    });
    world.give(1, 0..4).await.outcome().await;
    assert_eq!(
        world.give(1, 4..5).await.outcome().await,
        Outcome::DeadLettered
    );
    assert_eq!(world.accepted(), names(1, 0..4));
    assert_eq!(world.dead().await[0].cause, Cause::SinkTooLarge);
    world.counted();
}

#[tokio::test(start_paused = true)]
async fn an_entry_above_the_sinks_limit_is_never_sent() {
    let world = World::new(|_| Ok(vec![]));
    let mut parcel = parcel(1, 0..100);
    parcel.entries = vec![
        parcel.entries[0],
        Entry {
            start: 0,
            end: 51,
            index: 1,
        },
        parcel.entries[2],
    ];
    let (ack, finalizer) = ack::channel();
    world.delivery.deliver(parcel, ack).await;
    assert_eq!(finalizer.outcome().await, Outcome::DeadLettered);
    assert_eq!(world.accepted(), ["1/000", "1/002"]);
    assert_eq!(ranges(&world.dead().await[0]), [(1, 2)]);
    world.counted();
}

#[tokio::test(start_paused = true)]
async fn while_nothing_can_be_stored_everything_is_kept_and_intake_pauses() {
    let settings = Settings {
        linger_ms: 0,
        queue_parcels: 2,
        ..Settings::default()
    };
    let world = World::with(&settings, |_| misconfigured());
    world.shelf.broken.store(true, Ordering::SeqCst);
    let mut shares = Vec::new();
    for index in 0..100 {
        tokio::select! {
            share = world.give(1, index..index + 1) => shares.push(Box::pin(share.outcome())),
            () = pass(3_600) => break,
        }
        pass(1).await;
    }
    assert!(shares.len() < 10, "{} parcels were taken on", shares.len());
    assert!(
        shares
            .iter_mut()
            .all(|share| share.now_or_never().is_none())
    );
    world.shelf.broken.store(false, Ordering::SeqCst);
    for share in shares {
        assert_eq!(share.await, Outcome::Pending);
    }
    world.counted();
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_heals_before_the_store_does_gets_what_was_kept() {
    let world = World::new(|_| misconfigured());
    world.shelf.broken.store(true, Ordering::SeqCst);
    let share = world.give(1, 0..3).await;
    pass(600).await;
    world.sink.now(|_| Ok(vec![]));
    assert_eq!(share.outcome().await, Outcome::Delivered);
    assert_eq!(world.accepted(), names(1, 0..3));
    assert_eq!(world.delivery.held(), None);
    world.counted();
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_cannot_be_stored_brings_the_message_back() {
    let world = World::new(|_| refused(400));
    world.shelf.broken.store(true, Ordering::SeqCst);
    assert_eq!(world.give(1, 0..1).await.outcome().await, Outcome::Failed);
    assert_eq!(world.counted().failed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_sink_brings_the_message_back_and_costs_no_other() {
    let mut calls = 0;
    let world = World::new(move |_| {
        calls += 1;
        if calls == 1 {
            std::panic::panic_any("the sink dies");
        }
        Ok(vec![])
    });
    assert_eq!(world.give(1, 0..3).await.outcome().await, Outcome::Failed);
    world.sink.now(|_| Ok(vec![]));
    assert_eq!(
        world.give(1, 0..3).await.outcome().await,
        Outcome::Delivered
    );
    let counted = world.counted();
    assert_eq!((counted.failed, counted.delivered), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_drain_sends_what_lingers_and_takes_nothing_more() {
    let settings = Settings {
        linger_ms: 60_000,
        ..Settings::default()
    };
    let world = World::with(&settings, |_| Ok(vec![]));
    let lingering = world.give(1, 0..3).await;
    let start = Instant::now();
    world.delivery.drain().await;
    assert!(start.elapsed().as_secs() < 1);
    assert_eq!(lingering.outcome().await, Outcome::Delivered);
    assert_eq!(world.give(1, 3..4).await.outcome().await, Outcome::Failed);
    assert_eq!(world.counted().delivered, 3);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_is_dropped_gives_everything_back() {
    let world = World::new(|_| unavailable());
    let share = world.give(1, 0..3).await;
    pass(5).await;
    drop(world);
    assert_eq!(share.outcome().await, Outcome::Failed);
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_run_left_pending_is_caught_up_at_start() {
    let before = World::new(|_| misconfigured());
    before.give(1, 0..3).await.outcome().await;
    before.delivery.drain().await;
    let world = World::on(Arc::clone(&before.shelf), &Settings::default(), |_| {
        Ok(vec![])
    });
    pass(1).await;
    assert_eq!(world.accepted(), names(1, 0..3));
    assert!(world.pending().await.is_empty());
    assert_eq!(world.counted().replayed, 3);
}

#[tokio::test(start_paused = true)]
async fn a_long_catch_up_takes_one_place_and_hardly_any_time_from_live_events() {
    // Sixty objects are live, four of them at a time; how long that takes.
    let live = async |world: &World| {
        let start = Instant::now();
        for wave in 0..15 {
            let mut ends = Vec::new();
            for object in 0..4 {
                ends.push(world.give(40 + (wave * 4 + object) % 50, 0..1).await);
            }
            for end in ends {
                assert_eq!(end.outcome().await, Outcome::Delivered);
            }
        }
        start.elapsed()
    };
    let owed_of = |entry: &&String| entry.as_str() < "40";
    // Rates, which both share, are not what this is about.
    let settings = Settings {
        requests_per_second: 10_000,
        burst: 10_000,
        ..Settings::default()
    };
    let alone = live(&World::with(&settings, |_| Ok(vec![]))).await;

    let before = World::new(|_| misconfigured());
    for object in 0..30 {
        before.give(10 + object, 0..1).await.outcome().await;
    }
    before.delivery.drain().await;
    let world = World::on(Arc::clone(&before.shelf), &settings, |_| Ok(vec![]));
    let beside = live(&world).await;
    // A replay may make the batch that it joins wait a little longer.
    assert!(
        beside <= alone * 5 / 4,
        "{beside:?} with a backlog, {alone:?} without"
    );
    pass(60).await;
    assert!(world.pending().await.is_empty());
    let requests = world.sink.requests.lock().unwrap();
    let replays = requests
        .iter()
        .map(|entries| entries.iter().filter(owed_of).count());
    assert_eq!(replays.clone().sum::<usize>(), 30);
    assert_eq!(replays.max(), Some(1), "never two at once");
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_fails_again_keeps_its_one_reference() {
    let world = World::new(|_| misconfigured());
    world.give(1, 0..3).await.outcome().await;
    pass(600).await;
    assert_eq!(
        world.pending().await.iter().map(ranges).collect::<Vec<_>>(),
        [vec![(0, 3)]]
    );
    assert!(world.requests() > 10, "it is probed");
    assert_eq!(
        world.counters.snapshot().holds,
        1,
        "and stays held throughout"
    );
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_are_in_flight_than_allowed() {
    let settings = Settings {
        linger_ms: 0,
        concurrency: 3,
        burst: 100,
        requests_per_second: 1_000,
        ..Settings::default()
    };
    let world = World::with(&settings, |_| Ok(vec![]));
    let mut shares = Vec::new();
    for index in 0..40 {
        shares.push(world.give(1, index..index + 1).await);
        tokio::task::yield_now().await;
    }
    world.delivery.drain().await;
    assert_eq!(world.sink.most_in_flight.load(Ordering::SeqCst), 3);
    assert_eq!(world.accepted(), names(1, 0..40));
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_at_random_nothing_is_missing_in_the_end() {
    for seed in 0..30 {
        let mut random = fastrand::Rng::with_seed(seed);
        let settings = Settings {
            linger_ms: 100,
            hold_after_s: 5,
            retry_initial_ms: 100,
            ..Settings::default()
        };
        let world = World::with(&settings, move |entries| match random.u32(0..10) {
            0..3 => unavailable(),
            3 => misconfigured(),
            4 => Err(SendError::Throttled { retry_after: None }),
            5 if entries.len() > 1 => Err(SendError::TooLarge),
            6 if entries.len() > 1 => refused(400),
            7 => Ok(vec![Refused {
                position: 0,
                reason: "busy".into(),
                retry: true,
            }]),
            _ => Ok(vec![]),
        });
        let mut shares = Vec::new();
        for object in 1..20 {
            shares.push(world.give(object, 0..7).await);
        }
        for share in shares {
            assert!(matches!(
                share.outcome().await,
                Outcome::Delivered | Outcome::Pending
            ));
        }
        world.sink.now(|_| Ok(vec![]));
        pass(600).await;
        let mut accepted = world.accepted();
        accepted.dedup();
        let mut expected: Vec<String> = (1..20).flat_map(|object| names(object, 0..7)).collect();
        expected.sort();
        assert_eq!(accepted, expected, "seed {seed}");
        assert!(
            world.pending().await.is_empty() && world.dead().await.is_empty(),
            "seed {seed}"
        );
        world.counted();
    }
}

/// Seconds that the slowest of so many hosts takes, of which each sends `each` requests of one event.
async fn seconds_together(settings: &Settings, replicas: u32, each: u32) -> f64 {
    let begun = tokio::time::Instant::now();
    let hosts: Vec<World> = (0..replicas)
        .map(|_| World::with(&settings.shared_by(replicas), |_| Ok(vec![])))
        .collect();
    for host in &hosts {
        let mut shares = Vec::new();
        for index in 0..each {
            shares.push(host.give(1, index..index + 1).await);
        }
        for share in shares {
            assert_eq!(share.outcome().await, Outcome::Delivered);
        }
    }
    for host in &hosts {
        assert_eq!(host.requests(), each as usize);
    }
    begun.elapsed().as_secs_f64()
}

#[tokio::test(start_paused = true)]
async fn each_of_several_hosts_takes_its_part_of_the_rates() {
    // What Security Hub allows an account and region.
    let settings = Settings {
        linger_ms: 0,
        max_events: 1,
        requests_per_second: 10,
        burst: 30,
        ..Settings::default()
    };
    let alone = seconds_together(&settings, 1, 130).await;
    assert!((9.9..10.2).contains(&alone), "{alone}");
    // Of five, each sends 6 at once and 2 a second; here one after the other.
    let one_of_five = seconds_together(&settings, 5, 26).await / 5.0;
    assert!((9.9..10.2).contains(&one_of_five), "{one_of_five}");
}

#[test]
fn a_part_of_a_rate_is_rounded_down_and_never_nothing() {
    let whole = Settings {
        requests_per_second: 10,
        burst: 30,
        events_per_second: Some(1_000),
        bytes_per_second: Some(1_000_000),
        bytes_per_day: Some(5_000_000_000),
        ..Settings::default()
    };
    assert_eq!(whole.shared_by(1), whole);
    let of_four = Settings {
        requests_per_second: 2,
        burst: 7,
        events_per_second: Some(250),
        bytes_per_second: Some(250_000),
        bytes_per_day: Some(1_250_000_000),
        ..Settings::default()
    };
    assert_eq!(whole.shared_by(4), of_four);
    let of_many = whole.shared_by(1_000);
    assert_eq!((of_many.requests_per_second, of_many.burst), (1, 1));
    let unlimited = Settings::default().shared_by(4);
    assert_eq!(unlimited.events_per_second, None);
    assert_eq!(unlimited.bytes_per_second, None);
    assert_eq!(unlimited.bytes_per_day, None);
}

#[test]
fn settings_name_key_range_and_value() {
    let mut problems = Problems::default();
    Settings::default().validate("sinks.s.delivery", &mut problems);
    assert!(problems.is_empty());
    let wrong = Settings {
        concurrency: 0,
        events_per_second: Some(0),
        bytes_per_second: Some(999),
        bytes_per_day: Some(999_999),
        ..Settings::default()
    };
    wrong.validate("sinks.s.delivery", &mut problems);
    assert_eq!(
        problems.lines()[0],
        "sinks.s.delivery.concurrency must be between 1 and 64, got 0"
    );
    assert_eq!(problems.lines().len(), 4);
}

/// Ten entries of five bytes a day.
fn fifty_bytes_a_day() -> Settings {
    Settings {
        bytes_per_day: Some(50),
        ..Settings::default()
    }
}

const DAY_S: u64 = 24 * 60 * 60;

#[tokio::test(start_paused = true)]
async fn what_goes_beyond_a_day_is_pending_until_midnight() {
    let world = World::with(&fifty_bytes_a_day(), |_| Ok(vec![]));
    assert_eq!(
        world.give(1, 0..8).await.outcome().await,
        Outcome::Delivered
    );
    assert_eq!(world.give(2, 0..8).await.outcome().await, Outcome::Pending);
    assert_eq!(world.give(3, 0..1).await.outcome().await, Outcome::Pending);
    assert_eq!(world.delivery.held(), Some(Cause::SinkQuota));
    assert!(
        world
            .pending()
            .await
            .iter()
            .all(|letter| letter.cause == Cause::SinkQuota)
    );
    assert_eq!(world.requests(), 1);
    // One day holds both, and it has begun within this time.
    pass(DAY_S + 60).await;
    assert_eq!(world.delivery.held(), None);
    assert!(world.pending().await.is_empty());
    let mut all = names(1, 0..8);
    all.extend(names(2, 0..8));
    all.extend(names(3, 0..1));
    assert_eq!(world.accepted(), all);
    assert_eq!((world.requests(), world.counted().holds), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn what_the_sink_did_not_take_is_not_counted_for_the_day() {
    let mut calls = 0;
    let world = World::with(&fifty_bytes_a_day(), move |_| {
        calls += 1;
        if calls <= 5 {
            unavailable()
        } else {
            Ok(vec![])
        }
    });
    let outcome = world.give(1, 0..9).await.outcome().await;
    assert_eq!(outcome, Outcome::Delivered);
    assert_eq!(world.delivery.held(), None);
}

#[tokio::test(start_paused = true)]
async fn a_best_effort_sink_loses_the_rest_of_the_day_and_gets_the_next() {
    let settings = Settings {
        guarantee: Guarantee::BestEffort,
        ..fifty_bytes_a_day()
    };
    let world = World::with(&settings, |_| Ok(vec![]));
    for object in 1..4 {
        world.give(object, 0..8).await;
        pass(1).await;
    }
    assert_eq!(world.accepted(), names(1, 0..8));
    pass(DAY_S + 60).await;
    world.give(4, 0..8).await;
    pass(1).await;
    assert_eq!(world.accepted().len(), 16);
    let counted = world.counted();
    assert_eq!((counted.delivered, counted.holds), (16, 1));
}
