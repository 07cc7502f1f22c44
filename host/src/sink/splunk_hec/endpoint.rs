//! One collector: where it is reached, and with indexer acknowledgement the sessions with it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use reqwest::{
    Client, RequestBuilder, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use tokio::sync::Semaphore;

use super::{
    ack::Sessions,
    reply::{Reply, judge, meaning},
};
use crate::{
    sink::{
        SendError,
        http::{self, Compression},
    },
    text::shown,
};

/// A collector that has failed gets so long to say that it is healthy.
const HEALTH_PATIENCE: Duration = Duration::from_secs(5);

/// One address of a collector.
#[derive(Debug)]
pub(super) struct Endpoint {
    client: Client,
    base: Url,
    events: Url,
    authorization: HeaderValue,
    acknowledgement: Option<Acknowledgement>,
}

#[derive(Debug)]
struct Acknowledgement {
    sessions: Sessions,
    url: Url,
    waiting: Arc<Waiting>,
}

/// What all collectors of a sink share that wait for the indexers' word.
#[derive(Debug)]
pub(super) struct Waiting {
    patience: Duration,
    /// Requests that may be in flight, without those that only wait.
    posting: Semaphore,
    /// Batches sent again without knowing whether they were there.
    doubtful: AtomicU64,
}

impl Waiting {
    pub(super) fn new(patience: Duration, concurrency: usize) -> Self {
        Self {
            patience,
            posting: Semaphore::new(concurrency.max(1)),
            doubtful: AtomicU64::new(0),
        }
    }
}

impl Endpoint {
    pub(super) fn new(
        client: Client,
        base: Url,
        authorization: HeaderValue,
        waiting: Option<&Arc<Waiting>>,
    ) -> Self {
        let acknowledgement = waiting.map(|waiting| Acknowledgement {
            sessions: Sessions::new(),
            url: http::join(&base, "/services/collector/ack"),
            waiting: Arc::clone(waiting),
        });
        Self {
            client,
            events: http::join(&base, "/services/collector/event"),
            base,
            authorization,
            acknowledgement,
        }
    }

    /// As it stands in logs.
    pub(super) fn name(&self) -> &str {
        self.base.as_str()
    }

    /// Sends `entries` events, and with acknowledgement waits until the indexers have them.
    pub(super) async fn send(
        &self,
        compression: Compression,
        body: Vec<u8>,
        entries: usize,
    ) -> Result<Reply, SendError> {
        let request = compression.apply(self.post(&self.events), body).await?;
        match &self.acknowledgement {
            Some(how) => self.send_acknowledged(request, entries, how).await,
            None => judge(&http::exchange(request).await?, entries),
        }
    }

    async fn send_acknowledged(
        &self,
        request: RequestBuilder,
        entries: usize,
        how: &Acknowledgement,
    ) -> Result<Reply, SendError> {
        let waiting = &how.waiting;
        let posting = waiting.posting.acquire().await.expect("never closed");
        let session = how.sessions.current();
        let answer = session.exchange(request).await;
        drop(posting);
        // A request without a whole answer may have taken a number that is not known here.
        let answer = answer.inspect_err(|_| how.sessions.leave(&session))?;
        if answer.status >= 500 {
            how.sessions.leave(&session);
        }
        let reply = judge(&answer, entries)?;
        let id = reply.ack_id.ok_or_else(|| {
            SendError::Misconfigured(anyhow::anyhow!(
                "the collector will not acknowledge what it took: switch indexer acknowledgement on for the token, or `acknowledgement` off"
            ))
        })?;
        let question = self.post(&how.url);
        let question = move || question.try_clone().expect("it has no body yet");
        let verdict = session.acknowledged(id, waiting.patience, question).await;
        if let Err(error) = &verdict {
            how.sessions.leave(&session);
            let batches = waiting.doubtful.fetch_add(1, Ordering::Relaxed) + 1;
            let error = shown(&format!("{error:#}"));
            tracing::warn!(
                batches,
                error,
                "batch not acknowledged; it may arrive twice"
            );
        }
        verdict.map(|()| reply)
    }

    fn post(&self, url: &Url) -> RequestBuilder {
        self.client
            .post(url.clone())
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, "application/json")
    }

    /// Asks whether it would take events; needs no token.
    ///
    /// # Errors
    /// When it does not answer, or says that it is not healthy. A page of something else is no reason: a
    /// load balancer may keep this address to itself.
    pub(super) async fn health(&self) -> Result<(), SendError> {
        let health = http::join(&self.base, "/services/collector/health");
        let request = self.client.get(health).timeout(HEALTH_PATIENCE);
        let health = http::exchange(request).await?;
        if health.status >= 500 {
            let said = health.text();
            let error = anyhow::anyhow!("the collector is not healthy: {said}");
            return Err(SendError::Unavailable(error));
        }
        Ok(())
    }

    /// Health first, then an empty request: the answer "no data" comes only after the token was
    /// accepted.
    pub(super) async fn check(&self) -> anyhow::Result<()> {
        let checked = self.takes_the_token().await;
        checked.with_context(|| format!("failed at {}", self.base))
    }

    async fn takes_the_token(&self) -> anyhow::Result<()> {
        self.health().await?;
        let request = self.post(&self.events).body("");
        let answer = match &self.acknowledgement {
            Some(how) => how.sessions.current().exchange(request).await?,
            None => http::exchange(request).await?,
        };
        match answer.json::<Reply>().map(|reply| reply.code) {
            Some(5) => self.check_acknowledgement().await,
            Some(code) => anyhow::bail!(
                "the collector answered {} with code {code}: {}",
                answer.status,
                meaning(code)
            ),
            None => Err(answer
                .error()
                .context("this is not the answer of an HTTP Event Collector")),
        }
    }

    /// Asks for an acknowledgement that nobody waits for, which a token without them is refused.
    async fn check_acknowledgement(&self) -> anyhow::Result<()> {
        let Some(how) = &self.acknowledgement else {
            return Ok(());
        };
        let request = self.post(&how.url).body("{\"acks\":[0]}");
        let answer = how.sessions.current().exchange(request).await?;
        if let Some(reply) = answer.json::<Reply>() {
            anyhow::bail!("code {}: {}", reply.code, meaning(reply.code));
        }
        anyhow::ensure!(answer.is_success(), answer.error());
        Ok(())
    }
}
