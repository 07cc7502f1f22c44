//! A proxy before a local AWS server that answers in its place as AWS does on a bad day, loses answers, and
//! keeps who asked for what.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use futures_util::stream;

/// Larger requests and answers than tests make.
const MOST_BYTES: usize = 64 << 20;

/// What is answered in place of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An error as the service would write it; nothing is done.
    Error(u16, &'static str),
    /// This body with 200; nothing is done.
    Body(&'static str),
    /// The connection ends without an answer; nothing is done.
    Reset,
    /// What was asked is done, and the answer lost.
    Lost,
}

/// Which requests get an answer of the proxy.
#[derive(Clone, Debug)]
struct Rule {
    operation: String,
    access_key: Option<String>,
    share: f64,
    answers: Vec<Answer>,
}

/// A request that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// `ReceiveMessage`, `PutItem`, `AssumeRole`; for S3 `s3:` and the method.
    pub operation: String,
    /// Whose signature it carries.
    pub access_key: String,
    /// The region that it was signed for.
    pub region: String,
    /// Whether the server has seen it.
    pub passed: bool,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    asked: Vec<Asked>,
    dice: fastrand::Rng,
}

/// The proxy; it ends with the runtime.
pub struct AwsProxy {
    url: String,
    state: Arc<Mutex<State>>,
}

impl AwsProxy {
    /// Listens on loopback before the server at this address.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start(upstream: &str) -> Self {
        let state = Arc::new(Mutex::new(State {
            dice: fastrand::Rng::with_seed(11),
            ..State::default()
        }));
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client can be made");
        let (upstream, shared) = (upstream.to_owned(), Arc::clone(&state));
        let router = Router::new().fallback(move |request: Request| {
            let (client, upstream, shared) =
                (client.clone(), upstream.clone(), Arc::clone(&shared));
            async move { pass(&client, &upstream, &shared, request).await }
        });
        let (listener, address) = crate::servers::listen().await;
        let url = format!("http://{address}");
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Answers every request for operations that begin like this, in place of the server.
    pub fn answer(&self, operation: &str, answer: Answer) {
        self.answer_share(operation, 1.0, &[answer]);
    }

    /// The same for a share of them, each with one of these answers.
    pub fn answer_share(&self, operation: &str, share: f64, answers: &[Answer]) {
        self.add(operation, None, share, answers);
    }

    /// Answers every request that this access key has signed.
    pub fn answer_key(&self, access_key: &str, answer: Answer) {
        self.add("", Some(access_key), 1.0, &[answer]);
    }

    fn add(&self, operation: &str, access_key: Option<&str>, share: f64, answers: &[Answer]) {
        locked(&self.state).rules.push(Rule {
            operation: operation.to_owned(),
            access_key: access_key.map(ToOwned::to_owned),
            share,
            answers: answers.to_vec(),
        });
    }

    /// Lets everything pass again.
    pub fn heal(&self) {
        locked(&self.state).rules.clear();
    }

    /// What was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        locked(&self.state).asked.clone()
    }

    /// How often an operation was asked for.
    #[must_use]
    pub fn count(&self, operation: &str) -> usize {
        let state = locked(&self.state);
        let of = |asked: &&Asked| asked.operation == operation;
        state.asked.iter().filter(of).count()
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// Notes a request, and decides on its answer.
    fn see(&mut self, operation: String, headers: &HeaderMap) -> Option<Answer> {
        let signed = headers.get("authorization");
        let signed = signed.and_then(|text| text.to_str().ok()).unwrap_or("");
        let scope = signed.split("Credential=").nth(1).unwrap_or("");
        let mut scope = scope.split(['/', ',']);
        let access_key = scope.next().unwrap_or("").to_owned();
        let region = scope.nth(1).unwrap_or("").to_owned();
        let dice = &mut self.dice;
        let answer = self.rules.iter().find_map(|rule| {
            let concerned = operation.starts_with(&rule.operation)
                && rule
                    .access_key
                    .as_ref()
                    .is_none_or(|key| *key == access_key);
            (concerned && dice.f64() < rule.share)
                .then(|| rule.answers[dice.usize(..rule.answers.len())].clone())
        });
        self.asked.push(Asked {
            operation,
            access_key,
            region,
            passed: matches!(answer, None | Some(Answer::Lost)),
        });
        answer
    }
}

async fn pass(
    client: &reqwest::Client,
    upstream: &str,
    state: &Mutex<State>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MOST_BYTES).await else {
        return broken();
    };
    let target = parts.headers.get("x-amz-target");
    let target = target.and_then(|target| target.to_str().ok());
    let operation = match (target, action(&body)) {
        (Some(target), _) => target.rsplit('.').next().unwrap_or("").to_owned(),
        (None, Some(action)) => action,
        (None, None) => format!("s3:{}", parts.method),
    };
    let is_s3 = operation.starts_with("s3:");
    let answer = locked(state).see(operation, &parts.headers);
    match &answer {
        Some(Answer::Error(status, code)) => return error(*status, code, is_s3),
        Some(Answer::Body(body)) => return Response::new(Body::from(*body)),
        Some(Answer::Reset) => return broken(),
        Some(Answer::Lost) | None => {}
    }
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut headers = parts.headers;
    for hop in [
        "connection",
        "transfer-encoding",
        "content-length",
        "expect",
    ] {
        headers.remove(hop);
    }
    let asked = client
        .request(parts.method, format!("{upstream}{path}"))
        .headers(headers)
        .body(body)
        .send()
        .await;
    let Ok(answered) = asked else { return broken() };
    let (status, mut headers) = (answered.status(), answered.headers().clone());
    let Ok(body) = answered.bytes().await else {
        return broken();
    };
    if answer == Some(Answer::Lost) {
        return broken();
    }
    for hop in ["connection", "transfer-encoding"] {
        headers.remove(hop);
    }
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// `Action=` of a form, as STS is asked.
fn action(body: &Bytes) -> Option<String> {
    let form = std::str::from_utf8(body).ok()?;
    let action = form
        .split('&')
        .find_map(|pair| pair.strip_prefix("Action="))?;
    Some(action.to_owned())
}

fn error(status: u16, code: &str, is_s3: bool) -> Response {
    let response = Response::builder().status(status);
    let response = if is_s3 {
        response.body(Body::from(format!(
            "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>no</Message></Error>"
        )))
    } else {
        // SQS and DynamoDB read the first, STS the second.
        let json = format!(r#"{{"__type":"com.amazonaws#{code}","message":"no"}}"#);
        let xml = format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
        );
        let body = if code.starts_with("AccessDenied") {
            xml
        } else {
            json
        };
        response
            .header("x-amzn-errortype", code)
            .body(Body::from(body))
    };
    response.expect("a status and a body make an answer")
}

/// An answer whose body never comes: the connection ends in its middle.
fn broken() -> Response {
    let reset = stream::once(async { Err::<Bytes, _>(std::io::Error::other("reset")) });
    let mut response = Response::new(Body::from_stream(reset));
    *response.status_mut() = StatusCode::OK;
    response
        .headers_mut()
        .insert("content-length", 1_000.into());
    response
}
