//! The store's S3 backend against real servers.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use sluicegate::store::{Backend, S3};
use sluicegate_tests::aws::Aws;

async fn blobs_are_kept_listed_and_removed(aws: &Aws) {
    let wired = aws.wire("none", "store").await;
    let store = S3::new(aws.config(), &wired.bucket, &wired.owner, "state/", true);
    assert_eq!(store.get("dead-letters/a.json").await.unwrap(), None);
    for (name, body) in [
        ("dead-letters/a.json", "1"),
        ("dead-letters/b.json", "2"),
        ("dead-letters/a.json", "3"),
    ] {
        store.put(name, Bytes::from(body)).await.unwrap();
    }
    for name in [
        "dead-letters/c.json",
        "dead-letters/deeper/d.json",
        "pending/e.json",
    ] {
        store.put(name, Bytes::from("x")).await.unwrap();
    }
    assert_eq!(
        store.get("dead-letters/a.json").await.unwrap(),
        Some(Bytes::from("3"))
    );
    let all = [
        "dead-letters/a.json",
        "dead-letters/b.json",
        "dead-letters/c.json",
    ];
    assert_eq!(store.list("dead-letters/", None, 10).await.unwrap(), all);
    assert_eq!(
        store.list("dead-letters/", None, 2).await.unwrap(),
        all[..2]
    );
    assert_eq!(
        store.list("dead-letters/", Some(all[0]), 10).await.unwrap(),
        all[1..]
    );
    store.delete(all[1]).await.unwrap();
    store.delete(all[1]).await.unwrap();
    assert_eq!(
        store.list("dead-letters/", Some(all[0]), 1).await.unwrap(),
        all[2..]
    );
    let outside = S3::new(aws.config(), &wired.bucket, &wired.owner, "", true);
    assert!(
        outside.get("state/pending/e.json").await.unwrap().is_some(),
        "below the prefix"
    );
}

#[tokio::test]
async fn blobs_lie_in_moto() {
    blobs_are_kept_listed_and_removed(&Aws::start().await).await;
}

#[tokio::test]
async fn blobs_lie_in_ministack() {
    blobs_are_kept_listed_and_removed(&Aws::start_ministack().await).await;
}
