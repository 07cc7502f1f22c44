//! A best-effort sink: nobody waits for it, nothing is stored for it, and what it loses is counted.

use std::collections::BTreeMap;

use super::*;
use crate::{
    sink::scripted::{LIMITS, Scripted, Shelf},
    store::Backend,
    telemetry::SinkSnapshot,
};

fn settings() -> Settings {
    Settings {
        guarantee: Guarantee::BestEffort,
        ..Settings::default()
    }
}

fn best_effort(
    script: impl FnMut(&[String]) -> Result<Vec<Refused>, SendError> + Send + 'static,
) -> World {
    World::with(&settings(), script)
}

/// The counters, after it was seen that nothing is stored.
async fn lost(world: &World) -> SinkSnapshot {
    assert!(world.pending().await.is_empty() && world.dead().await.is_empty());
    world.counted()
}

fn given_up(why: GivenUp, count: u64) -> BTreeMap<GivenUp, u64> {
    BTreeMap::from([(why, count)])
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_best_effort_sink() {
    let world = best_effort(|_| Ok(vec![]));
    let share = world.give(1, 0..3).await;
    assert_eq!(share.outcome().now_or_never(), Some(Outcome::Delivered));
    assert_eq!(world.requests(), 0, "it lingers");
    pass(1).await;
    assert_eq!(world.accepted(), names(1, 0..3));
    let counted = lost(&world).await;
    assert_eq!((counted.delivered, counted.given_up.len()), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_sink_does_not_take_is_given_up_and_new_events_reach_it_when_it_is_back() {
    let world = best_effort(|_| unavailable());
    let start = Instant::now();
    for object in 1..6 {
        let share = world.give(object, 0..4).await;
        assert_eq!(share.outcome().await, Outcome::Delivered);
    }
    assert!(start.elapsed().as_secs() < 1);
    pass(70).await;
    assert_eq!(world.delivery.held(), Some(Cause::SinkUnavailable));
    let why = GivenUp::Sink(Cause::SinkUnavailable);
    assert_eq!(lost(&world).await.given_up, given_up(why, 20));

    world.sink.now(|_| Ok(vec![]));
    pass(40).await;
    world.give(7, 0..2).await.outcome().await;
    pass(1).await;
    assert_eq!(world.accepted(), names(7, 0..2), "as a trial");
    assert_eq!(world.delivery.held(), None);
    assert_eq!(lost(&world).await.delivered, 2);
}

#[tokio::test(start_paused = true)]
async fn a_held_sink_is_tried_once_an_interval() {
    let world = best_effort(|_| misconfigured());
    // Five minutes, an event a second.
    for index in 0..300 {
        world.give(1, index..index + 1).await.outcome().await;
        pass(1).await;
    }
    assert_eq!(world.requests(), 1 + 300 / 30 - 1);
    let counted = lost(&world).await;
    let why = GivenUp::Sink(Cause::SinkMisconfigured);
    assert_eq!((counted.holds, counted.given_up), (1, given_up(why, 300)));
}

#[tokio::test(start_paused = true)]
async fn one_poisoned_event_is_given_up_and_its_neighbours_are_delivered() {
    let world = best_effort(|entries| {
        if entries.contains(&"1/007".into()) {
            refused(400)
        } else {
            Ok(vec![])
        }
    });
    world.give(1, 0..10).await.outcome().await;
    pass(1).await;
    assert_eq!(world.accepted(), [names(1, 0..7), names(1, 8..10)].concat());
    let why = GivenUp::Sink(Cause::SinkRefused);
    assert_eq!(lost(&world).await.given_up, given_up(why, 1));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_at_all_is_given_up() {
    let world = best_effort(|_| Ok(vec![]));
    let (ack, finalizer) = ack::channel();
    let reason = "cannot be said";
    let parcel = parcel(1, 0..1);
    world
        .delivery
        .reject(parcel, ack, Cause::SinkUnencodable, reason)
        .await;
    assert_eq!(finalizer.outcome().await, Outcome::Delivered);
    let why = GivenUp::Sink(Cause::SinkUnencodable);
    assert_eq!(lost(&world).await.given_up, given_up(why, 1));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_sink_costs_its_batch_and_no_other() {
    let world = best_effort(|_| std::panic::panic_any("the sink dies"));
    let share = world.give(1, 0..3).await;
    assert_eq!(share.outcome().await, Outcome::Delivered);
    pass(1).await;
    world.sink.now(|_| Ok(vec![]));
    world.give(2, 0..1).await.outcome().await;
    pass(1).await;
    let counted = lost(&world).await;
    let why = GivenUp::Sink(Cause::SinkUnavailable);
    assert_eq!((counted.delivered, counted.given_up), (1, given_up(why, 3)));
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_makes_nobody_wait() {
    let settings = Settings {
        linger_ms: 0,
        queue_parcels: 2,
        requests_per_second: 1,
        burst: 1,
        ..settings()
    };
    let world = World::with(&settings, |_| Ok(vec![]));
    let start = Instant::now();
    for index in 0..40 {
        let share = world.give(1, index..index + 1).await;
        assert_eq!(share.outcome().await, Outcome::Delivered);
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    pass(60).await;
    let counted = lost(&world).await;
    assert!(counted.delivered >= 2, "{counted:?}");
    let why = GivenUp::QueueFull;
    assert_eq!(counted.given_up, given_up(why, 40 - counted.delivered));
}

#[tokio::test(start_paused = true)]
async fn what_waits_takes_no_more_memory_than_its_room() {
    let sink = Scripted::new(|_| unavailable());
    let counters = Arc::<SinkCounters>::default();
    let store = Store::new(Arc::<Shelf>::default() as Arc<dyn Backend>);
    let guard = Guard::new(Mode::Count, Arc::default());
    let settings = Settings {
        queue_parcels: 1_000,
        ..settings()
    };
    let store = Arc::new(store);
    let delivery = Delivery::spawn("s", sink, &settings, guard, store, Arc::clone(&counters));
    // A parcel of up to 1,024 bytes counts as that.
    let delivery = delivery.with_room(10 << 10);
    for object in 0..30 {
        let (ack, finalizer) = ack::channel();
        delivery.deliver(parcel(object, 0..20), ack).await;
        assert_eq!(finalizer.outcome().await, Outcome::Delivered);
    }
    let counted = counters.snapshot();
    assert_eq!(counted.given_up, given_up(GivenUp::QueueFull, 20 * 20));
    delivery.drain().await;
    let counted = counters.snapshot();
    assert_eq!(counted.given_up[&GivenUp::Stopped], 10 * 20);
    assert_eq!(counted.in_hand(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_five_seconds_at_the_most() {
    let settings = Settings {
        linger_ms: 60_000,
        requests_per_second: 1,
        burst: 1,
        ..settings()
    };
    let world = World::with(&settings, |_| unavailable());
    let most = u32::try_from(LIMITS.max_entries).unwrap();
    for object in 1..4 {
        world.give(object, 0..most).await.outcome().await;
    }
    let start = Instant::now();
    world.delivery.drain().await;
    assert!(start.elapsed() <= LAST_CALL + Duration::from_millis(1));
    let all = u64::from(3 * most);
    assert_eq!(lost(&world).await.given_up, given_up(GivenUp::Stopped, all));
    let late = world.give(1, 0..1).await;
    assert_eq!(late.outcome().await, Outcome::Delivered);
    let counted = lost(&world).await;
    assert_eq!(counted.given_up[&GivenUp::Stopped], all + 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_pending_before_the_sink_was_best_effort_is_caught_up_and_never_given_up() {
    let before = World::new(|_| misconfigured());
    before.give(1, 0..3).await.outcome().await;
    before.delivery.drain().await;
    let world = World::on(Arc::clone(&before.shelf), &settings(), |_| unavailable());
    pass(300).await;
    assert_eq!(ranges(&world.pending().await[0]), [(0, 3)]);
    assert_eq!(world.counters.snapshot().given_up, BTreeMap::new());
    world.sink.now(|_| Ok(vec![]));
    pass(60).await;
    assert_eq!(world.accepted(), names(1, 0..3));
    lost(&world).await;
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_at_random_everything_is_delivered_or_counted_as_given_up() {
    for seed in 0..30 {
        let mut random = fastrand::Rng::with_seed(seed);
        let settings = Settings {
            linger_ms: 100,
            hold_after_s: 5,
            retry_initial_ms: 100,
            ..settings()
        };
        let world = World::with(&settings, move |entries| match random.u32(0..10) {
            0..3 => unavailable(),
            3 => misconfigured(),
            4 => Err(SendError::Throttled { retry_after: None }),
            5 => Err(SendError::TooLarge),
            6 => refused(400),
            7 => Ok(vec![Refused {
                position: fastrand::usize(0..entries.len()),
                reason: "no".into(),
                retry: random.bool(),
            }]),
            _ => Ok(vec![]),
        });
        for object in 1..40 {
            let share = world.give(object, 0..7).await;
            assert_eq!(share.outcome().now_or_never(), Some(Outcome::Delivered));
            pass(u64::from(object % 4)).await;
        }
        world.delivery.drain().await;
        let counted = lost(&world).await;
        assert_eq!(counted.received, 39 * 7, "seed {seed}");
        let accepted = u64::try_from(world.accepted().len()).unwrap();
        assert_eq!(counted.delivered, accepted, "seed {seed}");
    }
}
