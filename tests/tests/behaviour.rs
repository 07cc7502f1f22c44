//! `detect-behaviour` and the tables of `enrich-context` as they are shipped: the components, windows in
//! `SQLite`, tables of the operator.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use serde_json::{Value, json};
use sluicegate::{
    effects::Processed,
    ledger::windows::SqliteWindows,
    lookup::Tables,
    plugin::{ChainWorker, Component, Grants, LoadError, Services, Terms},
};
use sluicegate_tests::{
    batches,
    host::{self, engine, patient},
    parts::chain,
};

#[path = "../../host/src/lookup/mmdb_writer.rs"]
mod mmdb_writer;

const NOW_MS: i64 = 1_772_366_400_000;

/// A table of places in CSV, by network; to a plugin it looks as a database of addresses does.
fn tables(folder: &Path) -> Arc<Tables> {
    let files = [
        (
            "places",
            "network,location.latitude,location.longitude,country.iso_code\n\
             203.0.113.0/24,52.5,13.4,DE\n198.51.100.0/24,40.7,-74.0,US\n",
        ),
        (
            "accounts",
            "account,name,environment\n111122223333,payments,production\n",
        ),
    ];
    let mut settings = BTreeMap::new();
    for (name, text) in files {
        let path = folder.join(name).with_extension("csv");
        std::fs::write(&path, text).unwrap();
        let key = text.split(',').next().unwrap();
        let matching = if key == "network" { "network" } else { "exact" };
        let table = json!({ "path": path, "format": "csv", "key": key, "match": matching });
        settings.insert(name.to_owned(), serde_json::from_value(table).unwrap());
    }
    Arc::new(Tables::load(&settings).unwrap())
}

fn load(
    name: &str,
    configuration: &Value,
    grants: Grants,
    services: Services,
) -> Result<Component, LoadError> {
    let terms = Terms {
        configuration: configuration.as_object().unwrap().clone(),
        limits: patient(),
        grants,
        ..Terms::default()
    };
    host::load(&engine().with_services(services), "plugins", name, &terms)
}

fn grants(tables: &[&str]) -> Grants {
    Grants {
        state: true,
        lookup: tables.iter().map(|&table| table.to_owned()).collect(),
        ..Grants::default()
    }
}

fn worker(component: Component) -> ChainWorker {
    chain(vec![component])
}

/// A worker of its own, with windows that others may share.
fn behaviour(folder: &Path, windows: &Arc<SqliteWindows>) -> ChainWorker {
    let services = Services {
        windows: Some(windows.clone()),
        tables: Some(tables(folder)),
    };
    let configuration = json!({ "locations": "places" });
    let grants = grants(&["places"]);
    worker(load("detect-behaviour", &configuration, grants, services).unwrap())
}

/// A call of the user Ann, so many seconds after ten o'clock.
fn call(number: usize, second: usize, source: &str, name: &str, more: &Value) -> Value {
    let (minute, second) = (second / 60, second % 60);
    let mut event = json!({
        "eventID": format!("ff{number:06}-0000-4000-8000-000000000000"),
        "eventTime": format!("2026-03-01T10:{minute:02}:{second:02}Z"),
        "eventSource": format!("{source}.amazonaws.com"),
        "eventName": name,
        "awsRegion": "eu-central-1",
        "sourceIPAddress": "203.0.113.7",
        "recipientAccountId": "111122223333",
        "userAgent": "aws-cli/2.15.0",
        "userIdentity": {
            "type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/ann", "accountId": "111122223333",
            "userName": "ann", "accessKeyId": "AKIAIOSFODNN7EXAMPLE",
        },
    });
    let members = event.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    event
}

fn secrets(count: usize) -> Vec<Value> {
    (0..count)
        .map(|n| {
            let more = json!({ "requestParameters": { "secretId": format!("secret-{n}") } });
            call(n, n * 10, "secretsmanager", "GetSecretValue", &more)
        })
        .collect()
}

fn process(worker: &mut ChainWorker, events: &[Value]) -> Processed {
    let texts: Vec<_> = events.iter().map(Value::to_string).collect();
    let processed = worker.process(batches::events(&texts), NOW_MS);
    assert_eq!(processed.failures.len(), 0, "{:?}", processed.failures);
    processed
}

/// Each rule that found something, with the identifiers of the findings and how many events they have.
fn found(processed: &Processed) -> BTreeMap<String, (usize, BTreeSet<String>)> {
    let mut rules: BTreeMap<String, (usize, BTreeSet<String>)> = BTreeMap::new();
    for (_, sighting) in &processed.sightings {
        let (events, ids) = rules.entry(sighting.rule.clone()).or_default();
        *events += 1;
        ids.insert(sighting.finding_id());
    }
    rules
}

fn names(processed: &Processed) -> Vec<String> {
    found(processed).into_keys().collect()
}

#[test]
fn a_burst_over_two_batches_and_two_workers_is_one_finding() {
    let folder = tempfile::tempdir().unwrap();
    let windows = Arc::new(SqliteWindows::open(&folder.path().join("windows.sqlite")).unwrap());
    let (mut one, mut other) = (
        behaviour(folder.path(), &windows),
        behaviour(folder.path(), &windows),
    );
    let events = secrets(20);
    assert_eq!(names(&process(&mut one, &events[..10])), [""; 0]);
    let second = found(&process(&mut other, &events[10..]));
    let (count, ids) = &second["secrets-enumerated"];
    assert_eq!((*count, ids.len()), (10, 1), "{second:?}");
    assert_eq!(
        found(&process(&mut other, &events[10..])),
        second,
        "delivered again"
    );
    assert_eq!(
        found(&process(&mut one, &events[10..])),
        second,
        "and to another worker"
    );
    // Windows that were kept: a new worker after a restart goes on where the old one stopped.
    drop((one, other, windows));
    let windows = Arc::new(SqliteWindows::open(&folder.path().join("windows.sqlite")).unwrap());
    let mut after = behaviour(folder.path(), &windows);
    let next = &secrets(21)[20..];
    assert_eq!(names(&process(&mut after, next)), ["secrets-enumerated"]);
}

#[test]
fn who_is_in_two_places_is_found_by_the_operators_table() {
    let folder = tempfile::tempdir().unwrap();
    let windows = Arc::new(SqliteWindows::in_memory().unwrap());
    let mut worker = behaviour(folder.path(), &windows);
    let from = |number, minute: usize, address: &str| {
        let more = json!({ "sourceIPAddress": address });
        call(number, minute * 60, "sts", "GetCallerIdentity", &more)
    };
    let both = [
        from(0, 0, "203.0.113.7"),
        from(1, 30, "198.51.100.1"),
        from(2, 31, "192.0.2.1"),
    ];
    let processed = process(&mut worker, &both);
    assert_eq!(names(&processed), ["impossible-travel"]);
    let (row, sighting) = &processed.sightings[0];
    assert_eq!(
        (*row, sighting.entity[0].as_str()),
        (1, "arn:aws:iam::111122223333:user/ann")
    );
    let countries = ("countries".to_owned(), "DE US".to_owned());
    assert!(
        sighting.attributes.contains(&countries),
        "{:?}",
        sighting.attributes
    );
}

#[test]
fn who_is_in_two_places_is_found_by_a_database_of_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("city.mmdb");
    let place = |country: &str, latitude: f64, longitude: f64| {
        json!({
            "country": { "iso_code": country },
            "location": { "latitude": latitude, "longitude": longitude },
        })
    };
    let networks = [
        ("203.0.113.0/24", place("DE", 52.5, 13.4)),
        ("198.51.100.0/24", place("US", 40.7, -74.1)),
    ];
    std::fs::write(&path, mmdb_writer::database(&networks)).unwrap();
    let table = json!({ "path": path, "format": "mmdb" });
    let settings = BTreeMap::from([("places".to_owned(), serde_json::from_value(table).unwrap())]);
    let services = Services {
        windows: Some(Arc::new(SqliteWindows::in_memory().unwrap())),
        tables: Some(Arc::new(Tables::load(&settings).unwrap())),
    };
    let configuration = json!({ "locations": "places" });
    let component = load(
        "detect-behaviour",
        &configuration,
        grants(&["places"]),
        services,
    );
    let mut worker = worker(component.unwrap());
    let from = |number, minute: usize, address: &str| {
        let more = json!({ "sourceIPAddress": address });
        call(number, minute * 60, "sts", "GetCallerIdentity", &more)
    };
    let here = [from(0, 0, "203.0.113.7"), from(1, 30, "203.0.113.99")];
    assert_eq!(names(&process(&mut worker, &here)), [""; 0]);
    let processed = process(&mut worker, &[from(2, 45, "198.51.100.1")]);
    assert_eq!(names(&processed), ["impossible-travel"]);
    let attributes = &processed.sightings[0].1.attributes;
    let said = |name: &str| {
        let found = attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).unwrap()
    };
    assert_eq!((said("countries"), said("minutes")), ("DE US", "15"));
    let kilometres: u32 = said("kilometres").parse().unwrap();
    assert!((6_300..6_500).contains(&kilometres), "{kilometres}");
}

/// Lambda's calls are named with the version of its interface. The identifiers are none of those that come
/// for the count of all calls, so that only the calls' own names bring these events to the plugins.
#[test]
fn calls_that_are_named_with_a_version_reach_their_rules() {
    let folder = tempfile::tempdir().unwrap();
    let windows = Arc::new(SqliteWindows::in_memory().unwrap());
    let versions = ["DeleteFunction20150331", "DeleteFunction20150331v2"];
    let deletions: Vec<Value> = (0..60)
        .map(|number| {
            let more = json!({
                "eventID": format!("00{number:06}-0000-4000-8000-000000000000"),
                "requestParameters": { "functionName": format!("function-{number}") },
            });
            call(number, number, "lambda", versions[number % 2], &more)
        })
        .collect();
    let processed = process(&mut behaviour(folder.path(), &windows), &deletions);
    assert_eq!(names(&processed), ["resources-mass-deleted"]);

    let services = Services::default();
    let component = load("detect-cloudtrail", &json!({}), Grants::default(), services);
    let mut worker = worker(component.unwrap());
    for name in ["UpdateFunctionCode20150331v2", "UpdateFunctionCode20150331"] {
        let more = json!({ "requestParameters": { "functionName": "function" } });
        let event = call(0, 0, "lambda", name, &more);
        assert_eq!(
            names(&process(&mut worker, &[event])),
            ["lambda-code-changed"],
            "{name}"
        );
    }
    let other = call(
        0,
        0,
        "lambda",
        "UpdateFunctionCodeSigning20200422",
        &json!({}),
    );
    assert_eq!(names(&process(&mut worker, &[other])), [""; 0]);
}

#[test]
fn each_of_many_principals_in_one_batch_has_a_finding_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let windows = Arc::new(SqliteWindows::open(&folder.path().join("windows.sqlite")).unwrap());
    let mut worker = behaviour(folder.path(), &windows);
    let denied = |number: usize| {
        let who =
            json!({ "type": "IAMUser", "arn": format!("arn:aws:iam::1:user/u{}", number % 40) });
        let more = json!({ "errorCode": "AccessDenied", "userIdentity": who });
        call(
            number,
            number % 600,
            "ec2",
            &format!("Describe{}", number % 7),
            &more,
        )
    };
    let events: Vec<Value> = (0..1_000).map(denied).collect();
    let (count, ids) = &found(&process(&mut worker, &events))["calls-unauthorized-burst"];
    assert_eq!(ids.len(), 40, "one each");
    assert!((40..=1_000).contains(count), "{count}");
}

#[test]
fn a_table_that_is_not_granted_is_refused_and_none_needs_no_grant() {
    let folder = tempfile::tempdir().unwrap();
    let services = || Services {
        windows: Some(Arc::new(SqliteWindows::in_memory().unwrap())),
        tables: Some(tables(folder.path())),
    };
    let refused = |name, configuration| {
        let error = load(name, &configuration, grants(&["accounts"]), services()).unwrap_err();
        error.to_string()
    };
    assert_eq!(
        refused("detect-behaviour", json!({ "locations": "places" })),
        "refused its configuration: locations names the table \"places\", which `grants.lookup` does not"
    );
    assert_eq!(
        refused("enrich-context", json!({ "asn": "places" })),
        "refused its configuration: asn names the table \"places\", which `grants.lookup` does not"
    );
    load("detect-behaviour", &json!({}), grants(&[]), services()).unwrap();
    load(
        "enrich-context",
        &json!({}),
        Grants::default(),
        Services::default(),
    )
    .unwrap();
    let without = load(
        "detect-behaviour",
        &json!({}),
        Grants::default(),
        services(),
    );
    assert_eq!(
        without.unwrap_err().to_string(),
        "asks for more than `grants` allows: state = true"
    );
}

#[test]
fn events_are_enriched_by_tables() {
    let folder = tempfile::tempdir().unwrap();
    let services = Services {
        windows: None,
        tables: Some(tables(folder.path())),
    };
    let configuration = json!({
        "accounts": "accounts", "locations": "places", "networks": { "office": ["203.0.113.0/28"] },
    });
    let granted = grants(&["accounts", "places"]);
    let mut worker = worker(load("enrich-context", &configuration, granted, services).unwrap());
    let processed = process(&mut worker, &secrets(2));
    let mut written = Vec::new();
    processed.view(1, 0).write(b"", &mut written);
    let event: Value = serde_json::from_slice(&written).unwrap();
    let added = &event["sluicegate"]["enrich-context"];
    assert_eq!(
        added["account"],
        json!({ "name": "payments", "environment": "production" })
    );
    assert_eq!(
        added["network"],
        json!({ "class": "public", "name": "office", "country": "DE" })
    );
    assert_eq!(added["client"], json!({ "family": "aws-cli" }));
    assert_eq!(added["actor"]["kind"], "human");
}
