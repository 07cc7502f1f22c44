//! What S3 can answer that no test server does: one scripted answer after the other.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_sdk_s3::config::Credentials;
use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use sluicegate::{
    deadletter::Cause,
    event::ObjectRef,
    source::{
        OpenError, OpenObject, Source,
        sqs::{BucketSettings, Settings, Sqs},
    },
};

const BUCKET: &str = "leanda-ng-cloudtrail-test-123456789012";
const KEY: &str = "AWSLogs/123456789012/CloudTrail/eu-west-1/2026/11/22/x.json.gz";

/// A server that gives its answers in order, and keeps what it was asked.
struct S3 {
    url: String,
    asked: Arc<Mutex<Vec<axum::http::request::Parts>>>,
    left: Arc<Mutex<VecDeque<Response>>>,
}

impl S3 {
    async fn start(answers: impl IntoIterator<Item = Response>) -> Self {
        let left = Arc::new(Mutex::new(answers.into_iter().collect::<VecDeque<_>>()));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answers, seen) = (Arc::clone(&left), Arc::clone(&asked));
        let router = Router::new().fallback(move |request: Request| async move {
            seen.lock().unwrap().push(request.into_parts().0);
            answers
                .lock()
                .unwrap()
                .pop_front()
                .expect("asked more often than expected")
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, asked, left }
    }

    async fn open(&self) -> Result<OpenObject, OpenError> {
        let source = source(&self.url).await;
        let reference = ObjectRef {
            bucket: BUCKET.to_owned(),
            key: KEY.to_owned(),
            version: Some("v1".to_owned()),
        };
        let opened = source.open(&reference).await;
        assert!(
            self.left.lock().unwrap().is_empty(),
            "asked less often than expected"
        );
        opened
    }
}

async fn source(url: &str) -> Sqs {
    let settings = Settings {
        endpoint_url: Some(url.to_owned()),
        wait_s: 1,
        visibility_timeout_s: Some(30),
        ..Settings::new(
            "http://127.0.0.1/123456789012/q",
            "eu-west-1",
            vec![BucketSettings::new(BUCKET, "123456789012")],
        )
    };
    Sqs::with_config(&settings, &config(url).await)
        .await
        .unwrap()
}

async fn config(url: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
        .retry_config(RetryConfig::disabled())
        .endpoint_url(url)
        .load()
        .await
}

fn error(status: u16, code: &str) -> Response {
    let body =
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>no</Message></Error>");
    Response::builder()
        .status(status)
        .body(Body::from(body))
        .unwrap()
}

fn redirect(region: &str) -> Response {
    let mut response = error(301, "PermanentRedirect");
    response
        .headers_mut()
        .insert("x-amz-bucket-region", region.parse().unwrap());
    response
}

fn object() -> Response {
    ([("etag", "\"abc\""), ("x-amz-version-id", "v1")], "stored").into_response()
}

fn cause(opened: &Result<OpenObject, OpenError>) -> Cause {
    match opened {
        Err(OpenError::Lost { cause, .. }) => *cause,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_version_is_asked_for_and_the_owner_pinned() {
    let s3 = S3::start([object()]).await;
    let opened = s3.open().await.unwrap();
    assert_eq!(opened.object.revision, "v1");
    let asked = s3.asked.lock().unwrap();
    assert!(
        asked[0].uri.query().unwrap().contains("versionId=v1"),
        "{}",
        asked[0].uri
    );
    assert_eq!(
        asked[0].headers["x-amz-expected-bucket-owner"],
        "123456789012"
    );
}

#[tokio::test]
async fn a_refusal_is_the_configurations_fault_and_asked_once() {
    for (status, code) in [
        (403, "AccessDenied"),
        (400, "KMS.DisabledException"),
        (404, "NoSuchBucket"),
    ] {
        let s3 = S3::start([error(status, code)]).await;
        assert!(
            matches!(s3.open().await, Err(OpenError::Denied(_))),
            "{code}"
        );
    }
}

#[tokio::test]
async fn what_passes_is_told_at_once_and_not_retried_here() {
    for (status, code) in [
        (503, "SlowDown"),
        (500, "InternalError"),
        (429, "TooManyRequests"),
        (400, "ExpiredToken"),
        (400, "RequestTimeout"),
    ] {
        let s3 = S3::start([error(status, code)]).await;
        assert!(
            matches!(s3.open().await, Err(OpenError::Unavailable(_))),
            "{code}"
        );
    }
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let reference = ObjectRef {
        bucket: BUCKET.to_owned(),
        key: KEY.to_owned(),
        version: None,
    };
    assert!(matches!(
        source(&url).await.open(&reference).await,
        Err(OpenError::Unavailable(_))
    ));
}

#[tokio::test]
async fn an_object_that_appears_late_is_found() {
    let s3 = S3::start([error(404, "NoSuchKey"), object()]).await;
    s3.open().await.unwrap();
    let s3 = S3::start([
        error(404, "NoSuchKey"),
        error(404, "NoSuchVersion"),
        error(404, "NoSuchKey"),
    ])
    .await;
    assert_eq!(cause(&s3.open().await), Cause::ObjectMissing);
}

#[tokio::test]
async fn an_archived_object_is_told_from_a_refused_one() {
    let s3 = S3::start([error(403, "InvalidObjectState")]).await;
    assert_eq!(cause(&s3.open().await), Cause::ObjectArchived);
}

#[tokio::test]
async fn another_region_is_tried_once() {
    let s3 = S3::start([redirect("us-gov-west-1"), object()]).await;
    s3.open().await.unwrap();
    let signed = s3.asked.lock().unwrap()[1].headers["authorization"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(signed.contains("/us-gov-west-1/s3/"), "{signed}");
    let s3 = S3::start([redirect("us-east-1"), redirect("us-east-2")]).await;
    assert!(matches!(s3.open().await, Err(OpenError::Denied(_))));
}

#[tokio::test]
async fn a_region_that_is_none_is_not_followed() {
    let s3 = S3::start([redirect("evil.example.com/")]).await;
    assert!(matches!(s3.open().await, Err(OpenError::Denied(_))));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_of_the_stream() {
    let reset = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Err(std::io::Error::other("reset"))
    };
    let broken = stream::iter([Ok(Bytes::from_static(b"sto"))]).chain(stream::once(reset));
    let mut response = Body::from_stream(broken).into_response();
    response
        .headers_mut()
        .insert("etag", "\"abc\"".parse().unwrap());
    let s3 = S3::start([response]).await;
    let opened = s3.open().await.unwrap();
    assert_eq!(opened.object.revision, "abc");
    let mut pieces = opened.body;
    assert_eq!(
        pieces.next().await.unwrap().unwrap(),
        Bytes::from_static(b"sto")
    );
    let error = pieces.try_next().await.unwrap_err();
    assert!(
        error.to_string().starts_with("failed to read s3://"),
        "{error:#}"
    );
}
