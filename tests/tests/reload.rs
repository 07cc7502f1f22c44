//! Plugins that change while the host runs: in shadow first, then live between two batches, or refused.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Value, json};
use sluicegate::plugin::{
    Candidate, Component, Decision, Engine, ReloadSettings, Side, Status, Terms,
};
use sluicegate_tests::{
    host::{Host, Setup, component, engine, root},
    shelf::{BUCKET, Shelf, gzip},
};

fn guest(engine: &Engine, name: &str, act: &Value) -> Component {
    component(engine, "guests", name, &json!({ "do": { "good": act } }))
}

/// Writes `value` into every event.
fn stamp(engine: &Engine, value: &str) -> Component {
    let act = json!({ "set": { "member": "version", "value": value } });
    guest(engine, "hostile-enrich", &act)
}

fn mask(engine: &Engine, path: &str) -> Component {
    let act = json!({ "mask": { "path": path, "detector": "test" } });
    guest(engine, "hostile-redact", &act)
}

fn candidate(component: Component) -> Candidate {
    Candidate {
        shadow: component.clone(),
        component,
        accept_fewer_masks: false,
    }
}

struct Stage {
    shelf: Arc<Shelf>,
    host: Host,
    put: usize,
}

impl Stage {
    /// A host with these plugins, which a candidate can join after it has seen one event.
    fn new(plugins: Vec<Component>, shadows: Vec<Component>) -> Self {
        let shelf = Arc::new(Shelf::default());
        shelf.keep_open();
        let source: Arc<Shelf> = Arc::clone(&shelf);
        let host = Setup::new(source, BUCKET)
            .plugins(plugins)
            .shadows(shadows)
            .reload(ReloadSettings {
                shadow_events: 1,
                shadow_s: 3_600,
                ..ReloadSettings::default()
            })
            .file()
            .start();
        Self {
            shelf,
            host,
            put: 0,
        }
    }

    /// Puts one object with ten events on the shelf.
    fn put(&mut self) {
        let event = |index| {
            format!(
                r#"{{"eventName":"E{index}","requestParameters":{{"password":"hunter2","key":"k"}}}}"#
            )
        };
        let events: Vec<_> = (0..10).map(event).collect();
        let body = format!(r#"{{"Records":[{}]}}"#, events.join(","));
        self.shelf
            .put(&format!("object-{:05}", self.put), gzip(&body));
        self.put += 1;
    }

    /// Puts an object and waits until it was forwarded.
    async fn forward(&mut self) {
        self.put();
        let all = 10 * self.put as u64;
        self.host
            .until("the events have arrived", |counted| {
                counted.sinks["file"].delivered >= all
            })
            .await;
    }

    fn status(&self, plugin: &str) -> Status {
        self.host.plugins().status()[plugin].clone()
    }

    /// Puts objects until the candidate was decided on.
    async fn decided(&mut self, plugin: &str) -> Decision {
        for _ in 0..200 {
            self.forward().await;
            let status = self.status(plugin);
            if let (None, Some(decided)) = (status.shadow, status.decided) {
                return decided.decision;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("nothing was decided: {:?}", self.status(plugin));
    }

    /// Ends the host; what it wrote, by the event's identity.
    async fn end(self) -> BTreeMap<String, Value> {
        self.shelf.close();
        let drained = self.host.drain().await;
        drained.sums_agree();
        let lines = drained.lines("events");
        let events: BTreeMap<_, _> = lines
            .iter()
            .map(|line| {
                let event: Value = serde_json::from_str(line).unwrap();
                (
                    event["sluicegate"]["id"].as_str().unwrap().to_owned(),
                    event,
                )
            })
            .collect();
        assert_eq!(lines.len(), 10 * self.put, "no event is lost or doubled");
        assert_eq!(events.len(), lines.len(), "no event is doubled");
        events
    }
}

/// Changes a plugin again and again under load.
async fn reloads(count: usize, every: Duration) {
    let engine = engine();
    let mut stage = Stage::new(vec![stamp(&engine, "0")], vec![]);
    for number in 1..=count {
        let value = number.to_string();
        let next = candidate(stamp(&engine, &value));
        stage.host.plugins().offer(next, 0).unwrap();
        let until = tokio::time::Instant::now() + every;
        while tokio::time::Instant::now() < until {
            (0..20).for_each(|_| stage.put());
            stage.forward().await;
        }
        assert_eq!(
            stage.decided("hostile-enrich").await,
            Decision::Promoted,
            "{value}"
        );
    }
    let events = stage.end().await;
    let mut by_version: BTreeMap<&str, usize> = BTreeMap::new();
    for event in events.values() {
        let version = event["sluicegate"]["hostile-enrich"]["version"].as_str();
        *by_version.entry(version.unwrap()).or_default() += 1;
    }
    assert_eq!(by_version.len(), count + 1, "{by_version:?}");
    eprintln!("{count} reloads, {} events", events.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_changes_under_load_costs_no_event() {
    reloads(5, Duration::from_millis(200)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute; part of `make nightly`"]
async fn a_reload_every_second_for_a_minute_costs_no_event() {
    reloads(60, Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_that_fails_in_shadow_is_refused_and_harms_nobody() {
    let engine = engine();
    let mut stage = Stage::new(vec![stamp(&engine, "good")], vec![]);
    stage.forward().await;
    let bad = json!({ "when": "E7", "do": { "evil": "trap" } });
    let bad = component(&engine, "guests", "hostile-enrich", &bad);
    stage.host.plugins().offer(candidate(bad), 0).unwrap();
    let decision = stage.decided("hostile-enrich").await;
    let Decision::Refused(reason) = decision else {
        panic!("{decision:?}")
    };
    // One event of each object, and maybe more than one object before the decision.
    let expected = reason.starts_with("it failed on ") && reason.ends_with(" events in shadow");
    assert!(expected, "{reason}");
    stage.forward().await;
    for event in stage.end().await.values() {
        assert_eq!(event["sluicegate"]["hostile-enrich"]["version"], "good");
        assert_eq!(event["sluicegate"]["failed"], Value::Null);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redaction_that_masks_less_goes_live_only_when_that_is_accepted() {
    let engine = engine();
    let mut stage = Stage::new(vec![mask(&engine, "/requestParameters/password")], vec![]);
    let other = mask(&engine, "/requestParameters/key");
    stage
        .host
        .plugins()
        .offer(candidate(other.clone()), 0)
        .unwrap();
    let Decision::Refused(reason) = stage.decided("hostile-redact").await else {
        panic!("it was promoted")
    };
    assert!(reason.contains("accept_fewer_masks"), "{reason}");
    let accepted = Candidate {
        accept_fewer_masks: true,
        ..candidate(other)
    };
    stage.host.plugins().offer(accepted, 0).unwrap();
    assert_eq!(stage.decided("hostile-redact").await, Decision::Promoted);
    stage.forward().await;
    let events = stage.end().await;
    for event in events.values() {
        let parameters = &event["requestParameters"];
        let masked = |name: &str| parameters[name].as_str().unwrap().starts_with("<masked:");
        assert!(
            masked("password") != masked("key"),
            "one of them, always: {event}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redaction_that_masks_the_same_by_another_path_is_no_less() {
    let engine = engine();
    let mut stage = Stage::new(vec![mask(&engine, "/requestParameters/password")], vec![]);
    let same = mask(&engine, "/*/password");
    stage.host.plugins().offer(candidate(same), 0).unwrap();
    assert_eq!(stage.decided("hostile-redact").await, Decision::Promoted);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_shadow_says_is_counted_and_not_applied() {
    let engine = engine();
    let find = json!({ "find": { "rule": "seen", "window_s": 0 } });
    let shadow = guest(&engine, "hostile-detect", &find);
    let mut stage = Stage::new(vec![stamp(&engine, "a")], vec![shadow]);
    stage.forward().await;
    let status = stage.status("hostile-detect");
    let (_, seen) = status.shadow.unwrap();
    assert_eq!((seen.events, seen.only_shadow, seen.only_live), (10, 10, 0));
    assert_eq!(seen.samples[0].side, Side::Shadow);
    assert_eq!(seen.samples[0].what, "finds seen");
    assert_eq!(status.live, None);
    let counted = &stage.host.counted().shadows["hostile-detect"];
    assert_eq!((counted.events, counted.only_shadow), (10, 10));
    for (id, event) in stage.end().await {
        assert!(seen.samples.len() == 10 && id.len() > 10);
        assert_eq!(event["sluicegate"]["findings"], Value::Null);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redaction_is_neither_taken_away_nor_replaced_by_another_kind() {
    let engine = engine();
    let mut stage = Stage::new(
        vec![
            mask(&engine, "/requestParameters/password"),
            stamp(&engine, "a"),
        ],
        vec![],
    );
    let plugins = stage.host.plugins();
    let error = plugins.remove("hostile-redact").unwrap_err().to_string();
    assert!(error.contains("by a restart only"), "{error}");
    let wasm = std::fs::read(root().join("dist/guests/impostor.wasm")).unwrap();
    let terms = Terms {
        configuration: json!({ "do": { "good": "nothing" } })
            .as_object()
            .unwrap()
            .clone(),
        ..Terms::default()
    };
    let impostor = Component::load(&engine, "hostile-redact", &wasm, &terms).unwrap();
    let error = plugins.offer(candidate(impostor.clone()), 0).unwrap_err();
    assert!(error.to_string().contains("of kind filter"), "{error}");
    assert!(plugins.shadow(impostor).is_err());
    plugins.remove("hostile-enrich").unwrap();
    stage.forward().await;
    for event in stage.end().await.values() {
        assert_eq!(event["sluicegate"]["hostile-enrich"], Value::Null);
        let password = event["requestParameters"]["password"].as_str().unwrap();
        assert!(password.starts_with("<masked:"), "{password}");
    }
}
