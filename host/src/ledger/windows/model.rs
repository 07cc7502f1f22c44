//! What a store of windows must say, done the slow way, and a comparison with it.

use std::{collections::BTreeSet, sync::Arc};

use proptest::{prelude::*, test_runner::TestRunner};

use super::{
    Observation, Window, Windows,
    contract::{event, observation, observe},
};

/// All that was observed, in the order in which it was.
#[derive(Default)]
struct Model(Vec<Observation>);

impl Model {
    fn observe(&mut self, seen: &[Observation]) -> Vec<Window> {
        for new in seen {
            if !self.0.iter().any(|known| same(known, new)) {
                self.0.push(new.clone());
            }
        }
        seen.iter().map(|asked| self.window(asked)).collect()
    }

    fn window(&self, asked: &Observation) -> Window {
        let length_ms = i64::from(asked.window_s) * 1_000;
        let until = asked.event.time_ms;
        let inside = |known: &&Observation| {
            known.key == asked.key && (until - length_ms + 1..=until).contains(&known.event.time_ms)
        };
        let own = self.0.iter().position(|known| same(known, asked)).unwrap();
        let before = self.0[..own].iter().filter(inside);
        let points: Vec<_> = self.0.iter().filter(inside).collect();
        let events: BTreeSet<_> = points.iter().map(|point| point.event.identity).collect();
        let members: BTreeSet<_> = points.iter().map(|point| point.member.as_str()).collect();
        Window {
            events: events.len() as u64,
            members: members.iter().filter(|member| !member.is_empty()).count() as u64,
            sum: points.iter().map(|point| point.value).sum(),
            first: before.clone().all(|known| known.member != asked.member),
        }
    }
}

fn same(a: &Observation, b: &Observation) -> bool {
    a.key == b.key && a.event.identity == b.event.identity && a.member == b.member
}

/// Deliveries of a dozen events in any order, each as often as it comes, in batches of any size.
fn deliveries() -> impl Strategy<Value = Vec<Vec<Observation>>> {
    let seconds = proptest::collection::vec(0..120i64, 12);
    let members = prop_oneof![Just(""), Just("a"), Just("b")];
    let windows = prop_oneof![Just(1u32), Just(10), Just(60)];
    let pick = (0..12usize, 0..2u8, members, windows, 0..9u8);
    let batches = proptest::collection::vec(proptest::collection::vec(pick, 1..12), 1..12);
    (seconds, batches).prop_map(|(seconds, batches)| {
        let made = |(number, key, member, window_s, value): (usize, u8, &str, u32, u8)| {
            let event = event(u32::try_from(number).unwrap(), seconds[number]);
            Observation {
                value: value.into(),
                ..observation(event, &key.to_string(), member, window_s)
            }
        };
        let batch = |batch: Vec<_>| batch.into_iter().map(made).collect();
        batches.into_iter().map(batch).collect()
    })
}

pub(super) fn any_order_and_any_duplicates_agree_with_it(store: &dyn Fn() -> Arc<dyn Windows>) {
    let agree = |deliveries: Vec<Vec<Observation>>| {
        let (store, mut model) = (store(), Model::default());
        let mut answered = Vec::new();
        for batch in &deliveries {
            let windows = observe(&*store, batch);
            prop_assert_eq!(&windows, &model.observe(batch));
            answered.extend(batch.iter().zip(windows));
        }
        for (seen, before) in answered {
            let again = observe(&*store, std::slice::from_ref(seen))[0];
            prop_assert!(again.events >= before.events && again.members >= before.members);
            prop_assert_eq!(again.first, before.first);
        }
        Ok(())
    };
    TestRunner::default().run(&deliveries(), agree).unwrap();
}
