//! Items of the ledger's `DynamoDB` table that somebody else may have written: nothing ends the program, no
//! object has a delivery that no item says it has, and findings are counted, told and kept, as the rows of
//! `ledger_rows` are. The table is one of ours, behind the service's own client.
//!
//! Each line is an attribute: `object` or `finding`, its name, and its value (see [`value`]).

#![no_main]

use std::{
    cell::OnceCell,
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex},
};

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_runtime_api::{
    client::{
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings,
            SharedHttpConnector,
        },
        orchestrator::{HttpRequest, HttpResponse},
        runtime_components::RuntimeComponents,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};
use sluicegate::ledger::{
    Ledger as _,
    dynamodb::{DynamoDb, Settings},
};
use sluicegate_fuzz::{NOW_MS, OBJECT, completes, counts, finding_id, grows, rows, sound_finding};
use tokio::runtime::Runtime;

const TABLE: &str = "ledger";

/// Attributes by name, each as `DynamoDB` writes it: its type and its value.
type Item = Map<String, Value>;

/// A table of one host, which therefore answers one call after the other.
#[derive(Clone, Debug, Default)]
struct Table(Arc<Mutex<BTreeMap<String, Item>>>);

impl Table {
    /// Status and answer to an operation, as far as the ledger uses it.
    fn answer(&self, operation: &str, asked: &Value) -> (u16, Value) {
        let mut items = self.0.lock().expect("one thread");
        match operation {
            "GetItem" => match items.get(key(&asked["Key"])) {
                Some(item) => (200, json!({"Item": item})),
                None => (200, json!({})),
            },
            "BatchGetItem" => {
                let keys = asked["RequestItems"][TABLE]["Keys"].as_array().expect("keys");
                let found: Vec<_> = keys.iter().filter_map(|asked| items.get(key(asked))).collect();
                (200, json!({"Responses": {TABLE: found}}))
            }
            // The index has items whose keys are of the right types.
            "Query" => {
                let due = &asked["ExpressionAttributeValues"][":due"];
                let is_due = |item: &&Item| {
                    item.get("due") == Some(due) && item.get("due_ms").is_some_and(|at| at.get("N").is_some())
                };
                let found: Vec<_> = items.values().filter(is_due).collect();
                (200, json!({"Items": found}))
            }
            "UpdateItem" => {
                let item = items.entry(key(&asked["Key"]).to_owned()).or_default();
                let values = &asked["ExpressionAttributeValues"];
                let added = &values[":deliveries"]["SS"][0];
                match item.get_mut("deliveries").map(|all| all.get_mut("SS")) {
                    Some(None) => return (400, error("ValidationException")),
                    Some(Some(all)) => {
                        let all = all.as_array_mut().expect("a set");
                        if !all.contains(added) {
                            all.push(added.clone());
                        }
                    }
                    None => {
                        item.insert("deliveries".into(), json!({"SS": [added]}));
                    }
                }
                item.insert("pk".into(), asked["Key"]["pk"].clone());
                item.insert("expires".into(), values[":expires"].clone());
                for name in asked["ExpressionAttributeNames"].as_object().expect("names").values() {
                    if let Some(name) = name.as_str().filter(|name| name.starts_with("upto#")) {
                        item.remove(name);
                    }
                }
                (200, json!({}))
            }
            "PutItem" => {
                put(&mut items, asked);
                (200, json!({}))
            }
            "TransactWriteItems" => {
                let puts = asked["TransactItems"].as_array().expect("items");
                let puts: Vec<_> = puts.iter().map(|item| &item["Put"]).collect();
                if !puts.iter().all(|put| holds(&items, key(&put["Item"]), put)) {
                    return (400, error("TransactionCanceledException"));
                }
                for asked in puts {
                    put(&mut items, asked);
                }
                (200, json!({}))
            }
            "DeleteItem" => {
                let key = key(&asked["Key"]);
                if !holds(&items, key, asked) {
                    return (400, error("ConditionalCheckFailedException"));
                }
                items.remove(key);
                (200, json!({}))
            }
            other => panic!("the ledger called {other}"),
        }
    }
}

fn key(item: &Value) -> &str {
    item["pk"]["S"].as_str().expect("a key")
}

fn error(name: &str) -> Value {
    json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{name}")})
}

fn put(items: &mut BTreeMap<String, Item>, asked: &Value) {
    let item = asked["Item"].as_object().expect("an item").clone();
    items.insert(key(&asked["Item"]).to_owned(), item);
}

/// Whether a condition of the ledger is true.
fn holds(items: &BTreeMap<String, Item>, key: &str, asked: &Value) -> bool {
    let item = items.get(key);
    let version = item.and_then(|item| item.get("version"));
    let values = &asked["ExpressionAttributeValues"];
    match asked["ConditionExpression"].as_str() {
        None => true,
        Some("version = :version") => version == Some(&values[":version"]),
        Some("attribute_exists(pk) AND attribute_not_exists(version)") => {
            item.is_some() && version.is_none()
        }
        Some("attribute_not_exists(pk) OR expires <= :now") => item.is_none_or(|item| {
            let number = |value: &Value| value["N"].as_str()?.parse::<f64>().ok();
            let expires = item.get("expires").and_then(number);
            expires.is_some_and(|at| at <= number(&values[":now"]).expect("a time"))
        }),
        Some(other) => panic!("the ledger's condition is {other}"),
    }
}

impl HttpConnector for Table {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let operation = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = operation.rsplit('.').next().unwrap_or_default();
        let asked = request.body().bytes().expect("a body in memory");
        let asked = serde_json::from_slice(asked).expect("JSON");
        let (status, answer) = self.answer(operation, &asked);
        let status = StatusCode::try_from(status).expect("a status");
        let answer = SdkBody::from(answer.to_string());
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, answer)))
    }
}

impl HttpClient for Table {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

struct Service {
    table: Table,
    ledger: DynamoDb,
    runtime: Runtime,
    finding: String,
}

thread_local! {
    static SERVICE: OnceCell<Service> = const { OnceCell::new() };
}

impl Service {
    fn make() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("a runtime");
        let table = Table::default();
        let secret = Credentials::new("key", "secret", None, None, "fuzz");
        let config = aws_config::SdkConfig::builder()
            .behavior_version(aws_config::BehaviorVersion::latest())
            .region(aws_config::Region::new("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(secret))
            .http_client(table.clone())
            .build();
        let settings = Settings {
            table: TABLE.into(),
            region: "eu-west-1".into(),
            endpoint_url: None,
            keep: std::time::Duration::from_hours(24),
        };
        Self {
            table,
            ledger: DynamoDb::with_config(&settings, &config).with_clock(Arc::new(|| NOW_MS)),
            finding: sound_finding(&runtime),
            runtime,
        }
    }

    /// Replaces all items by those of the input.
    fn write(&self, input: &[u8]) -> Item {
        let (mut object, mut finding) = (Item::new(), Item::new());
        for (of, mut cells) in rows(input) {
            let item = match of {
                b"object" => &mut object,
                b"finding" => &mut finding,
                _ => continue,
            };
            let name = String::from_utf8_lossy(cells.next().unwrap_or_default()).into_owned();
            if !name.is_empty() && name != "pk" {
                let value = value(cells.next().unwrap_or(b"@"), || self.sound(&name));
                item.insert(name, value);
            }
        }
        let mut items = self.table.0.lock().expect("one thread");
        items.clear();
        for (item, pk) in [
            (&mut object, format!("object#{OBJECT}")),
            (&mut finding, format!("finding#{}", finding_id())),
        ] {
            if !item.is_empty() {
                item.insert("pk".into(), json!({"S": pk}));
                items.insert(pk, item.clone());
            }
        }
        object
    }

    /// What a sound item has under this name.
    fn sound(&self, name: &str) -> Value {
        match name {
            "deliveries" => json!({"SS": ["splunk"]}),
            "sha256" => json!({"S": "05".repeat(32)}),
            "finding" => json!({"S": self.finding}),
            "due" => json!({"S": "due#0"}),
            "seen_ms" | "due_ms" | "announced_ms" => json!({"N": NOW_MS.to_string()}),
            _ => json!({"N": "1"}),
        }
    }

    fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

/// A value of whatever type: a letter for it, and then its text. `@` is what a sound item has.
fn value(bytes: &[u8], sound: impl FnOnce() -> Value) -> Value {
    let Some((kind, text)) = bytes.split_first() else {
        return json!({"NULL": true});
    };
    let text = String::from_utf8_lossy(text);
    match kind {
        b'@' => sound(),
        b't' => json!({"S": text}),
        // `DynamoDB` has numbers of 38 digits, with fractions and exponents.
        b'i' if text.parse::<f64>().is_ok_and(f64::is_finite) => json!({"N": text}),
        b's' => json!({"SS": text.split(',').collect::<Vec<_>>()}),
        b'l' => json!({"L": [{"S": text}]}),
        b'b' => json!({"BOOL": text == "1"}),
        _ => json!({"NULL": true}),
    }
}

fn objects(service: &Service, item: &Item) {
    let known = service.run(service.ledger.known(OBJECT)).expect("the table answers");
    let said = item.get("deliveries").and_then(|all| all["SS"].as_array());
    for delivery in &known.complete {
        let is_said = said.is_some_and(|all| all.iter().any(|name| name == delivery.as_str()));
        assert!(is_said, "{delivery} has nothing");
    }
    for (delivery, upto) in &known.upto {
        let said = item[&format!("upto#{delivery}")]["N"].as_str();
        assert_eq!(said.and_then(|said| said.parse().ok()), Some(*upto));
    }
    let hash = service.run(service.ledger.inflated_sha256(OBJECT)).expect("the table answers");
    assert!(hash.is_none() || item.contains_key("sha256"));
    assert!(service.run(completes(&service.ledger)), "damage is in nobody's way");
}

fn findings(service: &Service) {
    let ledger = &service.ledger;
    let seen = service.run(counts(ledger)).expect("damage is in nobody's way");
    let id = finding_id();
    let take = || service.run(ledger.take(&id, NOW_MS)).expect("the item is sound now");
    let taken = take().expect("it is there");
    assert_eq!(taken.count, seen.finding.count);
    let newer = take().expect("it is there");
    grows(&seen.finding, &taken);
    grows(&taken, &newer);
    service
        .run(ledger.announced(&id, newer.updated_ms, newer.count))
        .expect("the item is sound now");
    let owed = service.run(ledger.outdated(i64::MAX, usize::MAX)).expect("the table answers");
    assert!(owed.is_empty(), "everybody was told");
}

fuzz_target!(|input: &[u8]| {
    SERVICE.with(|service| {
        let service = service.get_or_init(Service::make);
        let object = service.write(input);
        objects(service, &object);
        // What is damaged may be owed; whoever takes it removes it.
        let owed = service.run(service.ledger.outdated(i64::MAX, usize::MAX));
        for id in owed.expect("the table answers") {
            assert_eq!(id, finding_id());
        }
        findings(service);
    });
});
