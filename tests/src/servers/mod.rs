//! Strict servers of the services that Sluicegate delivers to: each refuses whatever the real service
//! refuses, says why in a list of violations, keeps all that it accepted, and fails on command.
//!
//! ```no_run
//! # async fn example() {
//! use sluicegate_tests::servers::{Fault, Splunk};
//! let splunk = Splunk::start().await;
//! splunk.fail_with([Fault::Status(503), Fault::Reset]);
//! // … a host delivers to `splunk.url()` with `splunk.token()` …
//! assert_eq!(splunk.wait_for(3).await.len(), 3);
//! assert!(splunk.violations().is_empty());
//! # }
//! ```

mod datadog;
mod hec;
mod hec_ack;
mod security_hub;

use std::{
    collections::VecDeque,
    io::{self, Read as _},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{ConnectInfo, DefaultBodyLimit, State, connect_info::Connected},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

pub use datadog::{Datadog, Log};
pub use hec::{HecEvent, Splunk};
pub use security_hub::{Imported, SecurityHub};

/// How a server fails, once.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Answers with this status, and accepts nothing.
    Status(u16),
    /// Answers with this status and this body.
    Answer(u16, String),
    /// Answers with this status and this `Retry-After`.
    RetryAfter(u16, String),
    /// Ends the connection before anything is accepted.
    Reset,
    /// Accepts the request, then ends the connection without an answer.
    ResetAfter,
    /// Never answers.
    Timeout,
    /// Accepts the request and answers normally: for random faults that spare some.
    None,
    /// Splunk: says that the event at this position is at fault.
    InvalidEvent(usize),
    /// Security Hub: refuses the finding at this position with this error code, and imports the rest.
    FailedFinding(usize, &'static str),
}

/// Faults to come: first those in line, then random ones.
#[derive(Default)]
struct Faults {
    line: VecDeque<Fault>,
    random: Option<Random>,
}

struct Random {
    share: f64,
    faults: Vec<Fault>,
    dice: fastrand::Rng,
}

impl Random {
    fn roll(&mut self) -> Fault {
        if self.dice.f64() < self.share {
            self.dice
                .choice(&self.faults)
                .cloned()
                .unwrap_or(Fault::None)
        } else {
            Fault::None
        }
    }
}

impl Faults {
    fn next(&mut self) -> Fault {
        if let Some(fault) = self.line.pop_front() {
            return fault;
        }
        self.random.as_mut().map_or(Fault::None, Random::roll)
    }
}

/// What every server has: what it accepted, what it was displeased by, and the faults to come.
pub struct Shared<T> {
    accepted: Mutex<Vec<T>>,
    violations: Mutex<Vec<String>>,
    faults: Mutex<Faults>,
    requests: Mutex<u64>,
    news: Notify,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self {
            accepted: Mutex::default(),
            violations: Mutex::default(),
            faults: Mutex::default(),
            requests: Mutex::default(),
            news: Notify::new(),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Clone> Shared<T> {
    fn next_fault(&self) -> Fault {
        *locked(&self.requests) += 1;
        locked(&self.faults).next()
    }

    fn accept(&self, news: impl IntoIterator<Item = T>) {
        locked(&self.accepted).extend(news);
        self.news.notify_waiters();
    }

    fn violation(&self, what: impl Into<String>) {
        locked(&self.violations).push(what.into());
    }

    /// Waits, at most half a minute, until `count` yields so many.
    async fn wait_until(&self, what: &str, enough: impl Fn() -> bool) {
        let waiting = async {
            loop {
                let news = self.news.notified();
                if enough() {
                    return;
                }
                news.await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        assert!(
            in_time.is_ok(),
            "{what} did not arrive within 30 s; violations: {:?}",
            locked(&self.violations)
        );
    }
}

/// A request, as far as the servers look at it.
pub struct Request {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    connection: Connection,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as it was before compression; `None` for a coding that is not among these, or broken.
    fn plain_body(&self, codings: &[&str]) -> Option<Vec<u8>> {
        match self.header("content-encoding") {
            None | Some("identity") => Some(self.body.to_vec()),
            Some(coding) if !codings.contains(&coding) => None,
            Some("gzip") => {
                let mut plain = Vec::new();
                flate2::read::GzDecoder::new(&self.body[..])
                    .read_to_end(&mut plain)
                    .ok()?;
                Some(plain)
            }
            Some("zstd") => zstd::decode_all(&self.body[..]).ok(),
            Some(_) => None,
        }
    }

    fn is_json(&self) -> bool {
        let content_type = self.header("content-type").unwrap_or_default();
        content_type
            .split(';')
            .next()
            .is_some_and(|kind| kind.trim() == "application/json")
    }

    /// Plays a fault that answers without looking at the request. `None` where the server goes on.
    async fn play(&self, fault: &Fault) -> Option<Response> {
        match fault {
            Fault::Status(status) => Some(page(*status, "the server fails on command")),
            Fault::Answer(status, body) => Some((code(*status), body.clone()).into_response()),
            Fault::RetryAfter(status, after) => {
                Some((code(*status), [(header::RETRY_AFTER, after.clone())]).into_response())
            }
            Fault::Reset => Some(self.connection.reset()),
            Fault::Timeout => std::future::pending().await,
            Fault::ResetAfter | Fault::None | Fault::InvalidEvent(_) | Fault::FailedFinding(..) => {
                None
            }
        }
    }
}

fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("tests name real statuses")
}

/// What the services answer when it is not their own code that answers.
fn page(status: u16, text: &str) -> Response {
    let body = format!(
        "<!doctype html><html><head><title>{status}</title></head><body>{text}</body></html>"
    );
    (code(status), [(header::CONTENT_TYPE, "text/html")], body).into_response()
}

fn json(status: u16, body: &serde_json::Value) -> Response {
    (
        code(status),
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}

/// A server that answers every request.
pub trait Serve: Send + Sync + 'static {
    /// What it keeps of an accepted request.
    type Accepted: Clone + Send;

    /// What it has seen.
    fn shared(&self) -> &Shared<Self::Accepted>;

    /// Accepts or refuses.
    fn answer(&self, request: Request) -> impl Future<Output = Response> + Send;
}

/// A server that listens on loopback: what a test tells it, and learns of it.
pub struct Running<S> {
    address: SocketAddr,
    server: Arc<S>,
}

impl<S: Serve> Running<S> {
    async fn of(server: S) -> Self {
        let server = Arc::new(server);
        Self {
            address: serve(Arc::clone(&server)).await,
            server,
        }
    }

    /// Base address, of all that the service offers.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next requests fail so.
    pub fn fail_with(&self, faults: impl IntoIterator<Item = Fault>) {
        locked(&self.server.shared().faults).line.extend(faults);
    }

    /// From now on this share of the requests fails, each by one of these faults.
    pub fn fail_share(&self, share: f64, faults: Vec<Fault>, seed: u64) {
        locked(&self.server.shared().faults).random = Some(Random {
            share,
            faults,
            dice: fastrand::Rng::with_seed(seed),
        });
    }

    /// No more faults.
    pub fn heal(&self) {
        *locked(&self.server.shared().faults) = Faults::default();
    }

    /// All that was accepted, in the order of arrival.
    #[must_use]
    pub fn received(&self) -> Vec<S::Accepted> {
        locked(&self.server.shared().accepted).clone()
    }

    /// All that was accepted, once there is at least so much.
    pub async fn wait_for(&self, count: usize) -> Vec<S::Accepted> {
        let shared = self.server.shared();
        let enough = || locked(&shared.accepted).len() >= count;
        shared
            .wait_until(&format!("{count} accepted"), enough)
            .await;
        self.received()
    }

    /// Whatever a well-behaved client would not have sent.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        locked(&self.server.shared().violations).clone()
    }

    /// How many requests came.
    #[must_use]
    pub fn requests(&self) -> u64 {
        *locked(&self.server.shared().requests)
    }
}

/// Listens on a free port of the loopback address.
pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("the loopback address has a free port");
    let address = listener
        .local_addr()
        .expect("a bound socket has an address");
    (listener, address)
}

/// Serves on a free port of the loopback address until the runtime ends.
async fn serve<S: Serve>(server: Arc<S>) -> SocketAddr {
    let (listener, address) = listen().await;
    let router = Router::new()
        .fallback(handle::<S>)
        .layer(DefaultBodyLimit::disable())
        .with_state(server)
        .into_make_service_with_connect_info::<Connection>();
    tokio::spawn(async move { axum::serve(Resettable(listener), router).await });
    address
}

async fn handle<S: Serve>(
    State(server): State<Arc<S>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    server
        .answer(Request {
            method,
            uri,
            headers,
            body,
            connection,
        })
        .await
}

/// A listener whose connections can be ended by the one who answers.
struct Resettable(TcpListener);

impl Listener for Resettable {
    type Io = Socket;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        (
            Socket {
                stream,
                connection: Connection::default(),
            },
            address,
        )
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// Names one connection.
#[derive(Clone, Default)]
struct Connection(Arc<AtomicBool>);

impl Connection {
    /// Ends the connection: the answer returned is never written.
    fn reset(&self) -> Response {
        self.0.store(true, Ordering::SeqCst);
        StatusCode::OK.into_response()
    }
}

impl Connected<IncomingStream<'_, Resettable>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Resettable>) -> Self {
        stream.io().connection.clone()
    }
}

struct Socket {
    stream: TcpStream,
    connection: Connection,
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.connection.0.load(Ordering::SeqCst) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
