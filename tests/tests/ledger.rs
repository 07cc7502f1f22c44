//! Both ledgers keep one contract, and what they know survives a restart.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use aws_sdk_dynamodb::types::AttributeValue;
use sluicegate::{
    clock::{self, Clock},
    event::ObjectId,
    finding::Finding,
    ledger::{
        Ledger, Sqlite,
        dynamodb::{DynamoDb, Settings},
    },
};
use sluicegate_tests::{
    aws::Aws,
    host::root,
    ledger::{self, KEEP, sighting},
};

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    let fresh = |clock: Clock| {
        let ledger = Sqlite::in_memory().unwrap().keeping(KEEP).with_clock(clock);
        let hosts: [Arc<dyn Ledger>; 2] = [Arc::new(ledger.clone()), Arc::new(ledger)];
        Box::pin(std::future::ready(hosts)) as _
    };
    ledger::holds(&fresh).await;
}

fn dynamodb(aws: &Aws, table: &str) -> DynamoDb {
    let settings = Settings {
        table: table.to_owned(),
        region: "eu-west-1".to_owned(),
        endpoint_url: Some(aws.url().to_owned()),
        keep: KEEP,
    };
    DynamoDb::with_config(&settings, aws.config())
}

async fn keeps_the_contract(aws: Aws) {
    let aws = Arc::new(aws);
    let tables = AtomicU32::new(0);
    let fresh = |clock: Clock| {
        let name = format!("ledger-{}", tables.fetch_add(1, Ordering::Relaxed));
        let aws = Arc::clone(&aws);
        Box::pin(async move {
            aws.ledger_table(&name).await;
            let host = || -> Arc<dyn Ledger> {
                Arc::new(dynamodb(&aws, &name).with_clock(Arc::clone(&clock)))
            };
            [host(), host()]
        }) as _
    };
    ledger::holds(&fresh).await;
}

#[tokio::test]
async fn dynamodb_keeps_the_contract_in_moto() {
    keeps_the_contract(Aws::start_in_turn().await).await;
}

#[tokio::test]
async fn dynamodb_keeps_the_contract_in_ministack() {
    keeps_the_contract(Aws::start_ministack().await).await;
}

/// What a ledger knows before a restart.
async fn before(ledger: &dyn Ledger) {
    let sinks = ["splunk".to_owned()];
    let completed = ledger.complete(ObjectId([1; 16]), "s3://b/k", &sinks, None);
    completed.await.unwrap();
    let observed = ledger
        .observe(vec![sighting("a", 1, 0)], 100)
        .await
        .unwrap();
    let id = &observed[0].finding.id;
    let taken = ledger.take(id, 200).await.unwrap().unwrap();
    ledger.announced(id, taken.updated_ms, 1).await.unwrap();
}

/// What it has to know after it.
async fn after(ledger: &dyn Ledger) {
    assert_eq!(
        ledger.completed(ObjectId([1; 16])).await.unwrap(),
        ["splunk"]
    );
    let again = vec![sighting("a", 1, 0), sighting("a", 2, 0)];
    let observed = ledger.observe(again, 150).await.unwrap();
    assert_eq!(
        (observed[0].finding.count, observed[0].announced),
        (2, true)
    );
    let taken = ledger.take(&observed[0].finding.id, 150).await.unwrap();
    assert_eq!(taken.unwrap().updated_ms, 201, "a clock that went back");
}

#[tokio::test]
async fn sqlite_knows_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    before(&Sqlite::open(&path).unwrap()).await;
    after(&Sqlite::open(&path).unwrap()).await;
}

#[tokio::test]
async fn dynamodb_knows_after_a_restart() {
    let aws = Aws::start().await;
    aws.ledger_table("ledger").await;
    before(&dynamodb(&aws, "ledger")).await;
    after(&dynamodb(&aws, "ledger")).await;
}

/// A finding that cannot be understood is counted anew; what else is damaged is as if it were not there.
#[tokio::test]
async fn damage_costs_duplicates() {
    let aws = Aws::start().await;
    aws.ledger_table("ledger").await;
    let ledger = dynamodb(&aws, "ledger");
    let seen = || vec![sighting("a", 1, 0)];
    let observed = ledger.observe(seen(), 100).await.unwrap();
    let id = observed[0].finding.id.clone();
    let (text, number) = (
        |text: &str| AttributeValue::S(text.to_owned()),
        |number: &str| AttributeValue::N(number.to_owned()),
    );
    let pk = format!("finding#{id}");
    let other = ledger
        .observe(vec![sighting("b", 1, 0)], 100)
        .await
        .unwrap();
    let stored = |finding: &Finding| text(&serde_json::to_string(finding).unwrap());
    let sound = stored(&observed[0].finding);
    let damaged: [&[(&str, AttributeValue)]; 8] = [
        &[],
        &[("version", text("one"))],
        &[("version", number("7")), ("finding", text("{"))],
        &[("version", number("7")), ("seen_ms", number("1"))],
        &[("version", number("7.5"))],
        &[("version", number("1e30"))],
        // The finding of another.
        &[
            ("version", number("7")),
            ("finding", stored(&other[0].finding)),
            ("seen_ms", number("1")),
            ("announced_count", number("0")),
        ],
        // Told of more than were counted, so that it would never be told of again.
        &[
            ("version", number("7")),
            ("finding", sound),
            ("seen_ms", number("1")),
            ("announced_count", number("2")),
        ],
    ];
    for attributes in damaged {
        let put = async || {
            let mut put = aws.dynamodb().put_item().table_name("ledger");
            put = put.item("pk", text(&pk)).item("due", text("due#0"));
            put = put.item("due_ms", number("1"));
            for (name, value) in attributes {
                put = put.item(*name, value.clone());
            }
            put.send().await.unwrap();
        };
        put().await;
        let observed = ledger.observe(seen(), 100).await.unwrap();
        assert_eq!(
            (observed[0].finding.count, observed[0].announced),
            (1, false)
        );
        assert_eq!(ledger.observe(seen(), 100).await.unwrap(), observed);

        put().await;
        assert_eq!(ledger.outdated(50, 9).await.unwrap(), [id.as_str()]);
        assert_eq!(ledger.take(&id, 0).await.unwrap(), None);
        assert!(
            ledger.outdated(50, 9).await.unwrap().is_empty(),
            "it is gone"
        );
    }

    let object = ObjectId([1; 16]);
    let put = aws.dynamodb().put_item().table_name("ledger");
    let put = put.item("pk", text(&format!("object#{object}")));
    let put = put
        .item("deliveries", number("1"))
        .item("sha256", text("x"));
    put.send().await.unwrap();
    assert!(ledger.completed(object).await.unwrap().is_empty());
    assert_eq!(ledger.inflated_sha256(object).await.unwrap(), None);
    let sinks = ["splunk".to_owned()];
    let completed = ledger.complete(object, "s3://b/k", &sinks, Some([5; 32]));
    completed.await.unwrap();
    assert_eq!(ledger.completed(object).await.unwrap(), sinks);
    let hash = ledger.inflated_sha256(object).await.unwrap();
    assert_eq!(hash, Some([5; 32]));
}

/// What one host has taken for sending is left alone by the others until it is clear that nothing came of it.
#[tokio::test]
async fn hosts_do_not_send_the_same_update() {
    let aws = Aws::start().await;
    aws.ledger_table("ledger").await;
    let (here, there) = (dynamodb(&aws, "ledger"), dynamodb(&aws, "ledger"));
    let observed = here.observe(vec![sighting("a", 1, 0)], 100).await.unwrap();
    let id = observed[0].finding.id.clone();
    assert_eq!(there.outdated(500, 9).await.unwrap(), [id.as_str()]);
    here.take(&id, 1_000).await.unwrap();
    assert!(there.outdated(500, 9).await.unwrap().is_empty());
    assert_eq!(there.outdated(1_001, 9).await.unwrap(), [id.as_str()]);
}

#[tokio::test]
async fn a_table_that_will_not_do_is_told_of() {
    let aws = Aws::start().await;
    let wrong = async |table: &str| {
        let error = dynamodb(&aws, table).check().await.unwrap_err();
        format!("{error:#}")
    };
    assert!(wrong("missing").await.contains("ResourceNotFound"));
    aws.table("sorted", &["pk", "sk"], None).await;
    assert!(
        wrong("sorted")
            .await
            .contains("must have the partition key `pk`")
    );
    aws.table("bare", &["pk"], None).await;
    assert!(wrong("bare").await.contains("must have an index `owed`"));
    aws.table("forgetless", &["pk"], Some(&["due", "due_ms"]))
        .await;
    assert!(wrong("forgetless").await.contains("switch its TTL on"));
    aws.ledger_table("ledger").await;
    let said = dynamodb(&aws, "ledger").check().await.unwrap();
    assert_eq!(
        said,
        "table ledger has the right keys and forgets after 1 days"
    );
}

/// The stack's table is what the ledger needs, and works as one.
#[tokio::test]
async fn the_deployed_table_will_do() {
    let template = std::fs::read_to_string(root().join("deploy/cloudformation.yaml")).unwrap();
    // moto leaves this out; the harness sets it.
    assert!(template.contains("TimeToLiveSpecification: {AttributeName: expires, Enabled: true}"));
    let aws = Aws::start().await;
    aws.deploy().await;
    let ledger = dynamodb(&aws, "leanda-ng-cloudtrail-test");
    ledger.check().await.unwrap();
    before(&ledger).await;
    after(&ledger).await;
}

/// A ledger that does not answer is an error, in time.
#[tokio::test]
async fn a_service_that_is_gone_is_an_error() {
    let aws = Aws::start().await;
    let ledger = dynamodb(&aws, "ledger");
    drop(aws);
    let asked = ledger.observe(vec![sighting("a", 1, 0)], clock::now_ms());
    let answer = tokio::time::timeout(Duration::from_secs(30), asked).await;
    assert!(answer.unwrap().is_err());
}
