//! Indexer acknowledgement: sessions with one collector, and the requests in them that wait until the
//! indexers have what they brought.
//!
//! A session is a channel of its own and the cookies that keep a load balancer on the one server that
//! knows the channel. Its first request goes alone, so that all others carry the cookies. Servers number
//! the requests of a channel from 0; a number that comes twice comes from another server, or from one that
//! was restarted, and nothing that the session still waits for can be told apart any more.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use reqwest::{
    RequestBuilder,
    header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE},
};
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::sink::{
    SendError,
    http::{self, Answer},
};

/// Requests that may wait for their acknowledgement at once.
pub(super) const WINDOW: usize = 64;

/// Bounds of the time between two questions.
const FIRST_POLL: Duration = Duration::from_secs(1);
const LONGEST_POLL: Duration = Duration::from_secs(10);

/// Requests of one session; the next one begins with a new channel.
const SESSION_REQUESTS: usize = 10_000;

/// Cookies of one session, and bytes of one of them.
const COOKIES: usize = 32;
const COOKIE_BYTES: usize = 4_096;

const CHANNEL: &str = "x-splunk-request-channel";

type Verdict = Result<(), SendError>;

/// The session that is open at present. Those before it live until nobody waits in them.
#[derive(Debug)]
pub(super) struct Sessions(Mutex<Arc<Session>>);

impl Sessions {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Arc::new(Session::new())))
    }

    pub(super) fn current(&self) -> Arc<Session> {
        let mut current = locked(&self.0);
        if locked(&current.state).seen.len() >= SESSION_REQUESTS {
            *current = Arc::new(Session::new());
        }
        Arc::clone(&current)
    }

    /// No more requests in this session: what it waits for may still come.
    pub(super) fn leave(&self, session: &Arc<Session>) {
        let mut current = locked(&self.0);
        if Arc::ptr_eq(&current, session) {
            *current = Arc::new(Session::new());
        }
    }
}

/// One channel with its cookies.
#[derive(Debug)]
pub(super) struct Session {
    channel: String,
    /// Whether a request was answered already, after which there are cookies if there will be any.
    opened: tokio::sync::Mutex<bool>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    cookies: BTreeMap<String, String>,
    seen: HashSet<u64>,
    waiting: HashMap<u64, oneshot::Sender<Verdict>>,
    polling: bool,
}

impl Session {
    fn new() -> Self {
        Self {
            channel: guid(fastrand::u128(..)),
            opened: tokio::sync::Mutex::new(false),
            state: Mutex::default(),
        }
    }

    /// Sends a request in this session.
    pub(super) async fn exchange(&self, request: RequestBuilder) -> Result<Answer, SendError> {
        let mut opened = self.opened.lock().await;
        if *opened {
            drop(opened);
            return self.ask(request).await;
        }
        let answer = self.ask(request).await?;
        *opened = answer.is_success();
        Ok(answer)
    }

    async fn ask(&self, request: RequestBuilder) -> Result<Answer, SendError> {
        let mut request = request.header(CHANNEL, &self.channel);
        if let Some(cookies) = self.cookies() {
            request = request.header(COOKIE, cookies);
        }
        let answer = http::exchange(request).await?;
        keep_cookies(&mut locked(&self.state).cookies, &answer.headers);
        Ok(answer)
    }

    fn cookies(&self) -> Option<HeaderValue> {
        let state = locked(&self.state);
        let pairs = state.cookies.iter();
        let text: Vec<String> = pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut value = HeaderValue::from_str(&text.join("; ")).ok()?;
        value.set_sensitive(true);
        (!text.is_empty()).then_some(value)
    }

    /// Waits until the collector says that request `id` is indexed; `question` makes the request that
    /// asks, without its body. Nobody is asked any more once the caller has gone.
    ///
    /// # Errors
    /// `Unavailable` after `patience`, or where the number cannot be trusted: the events may be indexed
    /// and may not. `Misconfigured` when the collector does not answer such questions.
    pub(super) async fn acknowledged(
        self: &Arc<Self>,
        id: u64,
        patience: Duration,
        question: impl Fn() -> RequestBuilder + Send + Sync + 'static,
    ) -> Verdict {
        let verdict = self.enlist(id, question)?;
        match tokio::time::timeout(patience, verdict).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(_)) => Err(doubtful("whoever asked for acknowledgements is gone")),
            Err(_) => Err(doubtful(&format!(
                "no acknowledgement came within {} s",
                patience.as_secs()
            ))),
        }
    }

    fn enlist(
        self: &Arc<Self>,
        id: u64,
        question: impl Fn() -> RequestBuilder + Send + Sync + 'static,
    ) -> Result<oneshot::Receiver<Verdict>, SendError> {
        let mut state = locked(&self.state);
        if !state.seen.insert(id) {
            for (_, waiting) in state.waiting.drain() {
                // One that has gone needs no verdict.
                let _ = waiting.send(Err(repeated()));
            }
            return Err(repeated());
        }
        let (tell, told) = oneshot::channel();
        state.waiting.insert(id, tell);
        if !state.polling {
            state.polling = true;
            tokio::spawn(Arc::clone(self).poll(question));
        }
        Ok(told)
    }

    /// Asks for all that wait, until nobody does.
    async fn poll(self: Arc<Self>, question: impl Fn() -> RequestBuilder + Send + Sync) {
        let mut pause = FIRST_POLL;
        loop {
            tokio::time::sleep(pause).await;
            let Some(ids) = self.due() else { return };
            let body = format!("{{\"acks\":{}}}", http::json_text(&ids));
            let news = match self.ask(question().body(body)).await {
                Ok(answer) => self.settle(&ids, &answer),
                Err(_) => false,
            };
            pause = if news {
                FIRST_POLL
            } else {
                (pause * 2).min(LONGEST_POLL)
            };
        }
    }

    fn due(&self) -> Option<Vec<u64>> {
        let mut state = locked(&self.state);
        state.waiting.retain(|_, waiting| !waiting.is_closed());
        state.polling = !state.waiting.is_empty();
        state
            .polling
            .then(|| state.waiting.keys().copied().collect())
    }

    /// Tells those who waited for `ids` what was answered, and returns whether anybody was told.
    fn settle(&self, ids: &[u64], answer: &Answer) -> bool {
        let mut state = locked(&self.state);
        let mut told = false;
        for (id, verdict) in verdicts(ids, answer) {
            if let Some(waiting) = state.waiting.remove(&id) {
                told = true;
                let _ = waiting.send(verdict);
            }
        }
        told
    }
}

/// What an answer says of the requests that it was asked about. Those of which it says neither a yes nor a
/// fault of the configuration are left out, and asked about again.
pub(in crate::sink) fn verdicts(ids: &[u64], answer: &Answer) -> Vec<(u64, Verdict)> {
    let acks = answer.json::<Acks>().filter(|_| answer.is_success());
    let verdict = |id: &u64| match &acks {
        Some(acks) if acks.acks.get(&id.to_string()) == Some(&true) => Some((*id, Ok(()))),
        None if matches!(answer.status, 400..=407 | 409..=428 | 430..=499) => {
            let error = answer.error().context(
                "the collector tells nothing about acknowledgements: has the token indexer acknowledgement?",
            );
            Some((*id, Err(SendError::Misconfigured(error))))
        }
        _ => None,
    };
    ids.iter().filter_map(verdict).collect()
}

#[derive(Deserialize)]
struct Acks {
    acks: HashMap<String, bool>,
}

fn doubtful(why: &str) -> SendError {
    SendError::Unavailable(anyhow::anyhow!(
        "{why}; what was sent may be there, and is sent again"
    ))
}

fn repeated() -> SendError {
    doubtful("the collector gave a number for acknowledgement twice, so another server answers")
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes over what an answer sets. Attributes but the end of a cookie do not matter: it goes back to the
/// one server that set it, and nowhere else.
fn keep_cookies(cookies: &mut BTreeMap<String, String>, headers: &HeaderMap) {
    for header in headers.get_all(SET_COOKIE) {
        let Ok(text) = header.to_str() else { continue };
        let mut parts = text.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            continue;
        };
        if parts.any(|attribute| attribute.eq_ignore_ascii_case("max-age=0")) {
            cookies.remove(name);
        } else if text.len() <= COOKIE_BYTES
            && (cookies.len() < COOKIES || cookies.contains_key(name))
        {
            cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

/// A random identifier (version 4) as text.
fn guid(random: u128) -> String {
    let bits = random & !(0xf000 << 64) & !(0xc000 << 48) | 0x4000 << 64 | 0x8000 << 48;
    let hex = format!("{bits:032x}");
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_a_random_guid() {
        assert_eq!(guid(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(guid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

    #[test]
    fn cookies_are_replaced_ended_and_bounded() {
        let mut cookies = BTreeMap::new();
        let mut set = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.append(SET_COOKIE, text.parse().unwrap());
            keep_cookies(&mut cookies, &headers);
            cookies.len()
        };
        assert_eq!(set("a=1; Path=/; HttpOnly"), 1);
        assert_eq!(set("a=2"), 1);
        assert_eq!(set("nonsense"), 1);
        assert_eq!(set(&format!("b={}", "x".repeat(COOKIE_BYTES))), 1);
        for number in 0..100 {
            set(&format!("c{number}=1"));
        }
        assert_eq!(set("a=3"), COOKIES);
        assert_eq!(set("a=3; Max-Age=0"), COOKIES - 1);
    }
}
