//! The way to a sink: whose certificates are accepted, and what a proxy passes on or refuses.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{path::Path, sync::Arc};

use serde_json::{Value, json};
use sluicegate::sink::{Accept, Batch, SendError, Sink as _, splunk_hec::SplunkHec};
use sluicegate_tests::{
    host::{Host, Setup},
    network::{Authority, Proxy, Tls},
    process::Program,
    servers::Splunk,
    shelf::{BUCKET, Shelf, gzip},
};

const NAME: &str = "hec.test";
const RECORDS: &str = r#"{"Records":[{"eventName":"A"},{"eventName":"B"}]}"#;
// `user:pass word`
const BASIC: &str = "Basic dXNlcjpwYXNzIHdvcmQ=";

fn sink(endpoint: &str, network: &Value) -> anyhow::Result<SplunkHec> {
    let token = tempfile::NamedTempFile::new()?;
    std::fs::write(&token, "11111111-2222-4333-8444-555555555555")?;
    SplunkHec::new(&serde_json::from_value(json!({
        "endpoint": endpoint, "token_file": token.path(), "request_timeout_ms": 2000, "network": network,
    }))?)
}

/// What becomes of a request, and why.
async fn decision(sink: &SplunkHec) -> (&'static str, String) {
    match sink.send(&Batch::default()).await.unwrap_err() {
        SendError::Misconfigured(error) => ("misconfigured", format!("{error:#}")),
        SendError::Unavailable(error) => ("unavailable", format!("{error:#}")),
        // The collector's word for a request without events: the way there is free.
        other => ("arrived", other.to_string()),
    }
}

async fn refused(sink: &SplunkHec, reason: &str) {
    let (decision, said) = decision(sink).await;
    assert_eq!(decision, "misconfigured", "{said}");
    assert!(
        said.contains("certificate") && said.contains(reason),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_authority_is_trusted_only_where_it_is_named() {
    let (splunk, ours, other) = (Splunk::start().await, Authority::new(), Authority::new());
    let server = Tls::start(&splunk.url(), &ours.issue("127.0.0.1"), None).await;
    let trusting = sink(&server.url(), &json!({ "ca_file": ours.file() })).unwrap();
    assert!(trusting.check().await.unwrap().contains("takes the token"));
    let before = splunk.requests();
    refused(&sink(&server.url(), &json!({})).unwrap(), "UnknownIssuer").await;
    let mistaken = sink(&server.url(), &json!({ "ca_file": other.file() })).unwrap();
    refused(&mistaken, "ca_file").await;
    assert_eq!(splunk.requests(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_name_and_an_expired_certificate_are_refused() {
    let (splunk, ours) = (Splunk::start().await, Authority::new());
    let network = json!({ "ca_file": ours.file() });
    for (identity, reason) in [
        (ours.issue("other.test"), "not valid for name"),
        (ours.issue_expired("127.0.0.1"), "expired"),
    ] {
        let server = Tls::start(&splunk.url(), &identity, None).await;
        refused(&sink(&server.url(), &network).unwrap(), reason).await;
    }
    assert_eq!(splunk.requests(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_wants_a_certificate_gets_the_one_that_is_named() {
    let (splunk, ours, other) = (Splunk::start().await, Authority::new(), Authority::new());
    let server = Tls::start(&splunk.url(), &ours.issue("127.0.0.1"), Some(&ours)).await;
    let with = |authority: &Authority| {
        let client = authority.issue("sluicegate.test");
        json!({
            "ca_file": ours.file(),
            "client_certificate_file": client.certificate, "client_key_file": client.key,
        })
    };
    let known = sink(&server.url(), &with(&ours)).unwrap();
    assert!(known.check().await.unwrap().contains("takes the token"));
    let before = splunk.requests();
    for network in [json!({ "ca_file": ours.file() }), with(&other)] {
        // The refusal may overtake the request or cut it off; either way nothing counts as delivered.
        let (decision, said) = decision(&sink(&server.url(), &network).unwrap()).await;
        assert_ne!(decision, "arrived", "{said}");
    }
    assert_eq!(splunk.requests(), before);
}

#[test]
fn a_certificate_with_the_key_of_another_is_refused_at_the_start() {
    let ours = Authority::new();
    let (one, other) = (ours.issue("one.test"), ours.issue("other.test"));
    let network =
        json!({ "client_certificate_file": one.certificate, "client_key_file": other.key });
    let said = format!("{:#}", sink("https://hec.test", &network).unwrap_err());
    assert!(said.contains(&other.key.display().to_string()), "{said}");
    assert!(!said.contains("PRIVATE"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_is_passed_with_its_credentials_and_only_with_them() {
    let (splunk, ours) = (Splunk::start().await, Authority::new());
    let server = Tls::start(&splunk.url(), &ours.issue(NAME), None).await;
    let proxy = Proxy::start(Some(BASIC)).await;
    let auth = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&auth, "user:pass word\n").unwrap();
    let mut network = json!({ "ca_file": ours.file(), "proxy": proxy.url() });
    let stranger = sink(&server.url_by_name(NAME), &network).unwrap();
    let (decision, said) = decision(&stranger).await;
    assert_eq!((decision, proxy.tunnels()), ("unavailable", 0), "{said}");
    network["proxy_auth_file"] = json!(auth.path());
    let known = sink(&server.url_by_name(NAME), &network).unwrap();
    assert!(known.check().await.unwrap().contains("takes the token"));
    // By that name nothing is reached but through the proxy. The two requests of a check may share a tunnel.
    assert!((1..=2).contains(&proxy.tunnels()), "{}", proxy.tunnels());
}

fn start(endpoint: &str, network: &Value) -> (Arc<Shelf>, Host) {
    let shelf = Arc::new(Shelf::default());
    shelf.put("object", gzip(RECORDS));
    let source: Arc<Shelf> = Arc::clone(&shelf);
    let sink = Arc::new(sink(endpoint, network).unwrap());
    let host = Setup::new(source, BUCKET)
        .sink("splunk", sink, &[Accept::Events])
        .start();
    (shelf, host)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_proxy_refuses_arrives_once_it_lets_it_through() {
    let (splunk, ours) = (Splunk::start().await, Authority::new());
    let server = Tls::start(&splunk.url(), &ours.issue(NAME), None).await;
    for status in [407, 502] {
        let proxy = Proxy::start(None).await;
        proxy.refuse_with(status);
        let network = json!({ "ca_file": ours.file(), "proxy": proxy.url() });
        let (shelf, host) = start(&server.url_by_name(NAME), &network);
        let before = splunk.received().len();
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        assert_eq!((splunk.received().len(), shelf.settled()), (before, (0, 0)));
        proxy.refuse_with(0);
        splunk.wait_for(before + 2).await;
        host.until("the message is deleted", |counted| {
            counted.messages_deleted == 1
        })
        .await;
        assert!(proxy.tunnels() > 0);
        assert!(host.drain().await.dead_letters().await.is_empty());
    }
    assert_eq!(splunk.received().len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_wrong_certificate_keeps_back_is_pending_and_not_lost() {
    let (splunk, ours) = (Splunk::start().await, Authority::new());
    let server = Tls::start(&splunk.url(), &ours.issue("127.0.0.1"), None).await;
    let (_shelf, host) = start(&server.url(), &json!({}));
    host.until("the message is deleted", |counted| {
        counted.messages_deleted == 1
    })
    .await;
    let drained = host.drain().await;
    assert_eq!(drained.pending("splunk").await.len(), 1);
    assert!(drained.dead_letters().await.is_empty());
    assert!(splunk.received().is_empty());
}

fn program(endpoint: &str, more: &str) -> Program {
    Program::new(|folder: &Path| {
        let token = folder.join("token");
        std::fs::write(&token, "11111111-2222-4333-8444-555555555555").unwrap();
        std::fs::create_dir(folder.join("in")).unwrap();
        format!(
            "[source]\ntype = 'directory'\npath = '{}'\n[sinks.splunk]\ntype = 'splunk_hec'\n\
             endpoint = '{endpoint}'\ntoken_file = '{}'\n[sinks.splunk.network]\n{more}\n",
            folder.join("in").display(),
            token.display(),
        )
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_environments_proxy_serves_what_is_not_excepted() {
    let (splunk, ours) = (Splunk::start().await, Authority::new());
    let server = Tls::start(&splunk.url(), &ours.issue(NAME), None).await;
    let proxy = Proxy::start(None).await;
    let more = format!("ca_file = '{}'", ours.file().display());
    let named = || program(&server.url_by_name(NAME), &more).variable("HTTPS_PROXY", &proxy.url());
    let (code, said, errors) = named().run(&["check", "--online"]).await;
    // The two requests of a check may share a tunnel.
    let tunnels = proxy.tunnels();
    assert_eq!(
        (code, (1..=2).contains(&tunnels)),
        (0, true),
        "{said}{errors}"
    );
    let excepted = named().variable("NO_PROXY", NAME);
    let (code, _, errors) = excepted.run(&["check", "--online"]).await;
    assert_eq!(
        (code, proxy.tunnels()),
        (64, tunnels),
        "nobody knows the name: {errors}"
    );
    let loopback = program(&splunk.url(), "").variable("HTTP_PROXY", &proxy.url());
    let (code, said, errors) = loopback.run(&["check", "--online"]).await;
    assert_eq!((code, proxy.tunnels()), (0, tunnels), "{said}{errors}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_http_beyond_loopback_is_refused_or_told() {
    let (code, _, errors) = program("http://hec.test:8088", "").run(&["check"]).await;
    assert_eq!(code, 64);
    assert!(
        errors.contains("sinks.splunk.endpoint must begin with https://"),
        "{errors}"
    );
    let allowed = program("http://hec.test:8088", "allow_plain_http = true");
    let (code, said, errors) = allowed.run(&["check"]).await;
    assert_eq!(code, 0, "{errors}");
    assert!(
        said.contains("note    sinks.splunk is reached by plain HTTP"),
        "{said}"
    );
    let half = program(
        "https://hec.test:8088",
        "client_key_file = '/k'\ncafile = '/c'",
    );
    let (code, _, errors) = half.run(&["check"]).await;
    assert_eq!(code, 64);
    for part in [
        "network must have both",
        "sinks.splunk.network.cafile is not known",
    ] {
        assert!(errors.contains(part), "{part} in {errors}");
    }
}
