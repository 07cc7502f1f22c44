//! AWS Security Hub, as far as findings are imported, and the one call of STS that names the caller.

mod rules;
mod signature;

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use axum::{http::Method, response::Response};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{Fault, Request, Running, Serve, Shared, json, locked};

const ACCOUNT: &str = "123456789012";
const REGION: &str = "eu-central-1";
const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

const MAX_FINDINGS: usize = 100;
const MAX_FINDING_BYTES: usize = 240_000;
const MAX_BYTES: usize = 6_000_000;
const BURST: f64 = 30.0;
const PER_SECOND: f64 = 10.0;

/// One import of a finding that was not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// `Id`.
    pub id: String,
    /// Byte for byte.
    pub text: String,
    /// False where what the hub had was as new or newer, so that this was ignored.
    pub applied: bool,
}

impl Imported {
    /// The finding, parsed.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

/// A hub that listens on loopback.
pub type SecurityHub = Running<Hub>;

/// What it is set to and has seen.
pub struct Hub {
    shared: Shared<Imported>,
    findings: Mutex<HashMap<String, Value>>,
    bucket: Mutex<(f64, Instant)>,
    enabled: AtomicBool,
    expired: AtomicBool,
}

impl SecurityHub {
    /// An enabled hub of one account in one region.
    pub async fn start() -> Self {
        Running::of(Hub {
            shared: Shared::default(),
            findings: Mutex::default(),
            bucket: Mutex::new((BURST, Instant::now())),
            enabled: AtomicBool::new(true),
            expired: AtomicBool::new(false),
        })
        .await
    }

    /// The access key and the secret key that requests must be signed with.
    #[must_use]
    pub fn token(&self) -> (&'static str, &'static str) {
        (ACCESS_KEY, SECRET_KEY)
    }

    /// The account of the hub, and of the credentials.
    #[must_use]
    pub fn account(&self) -> &'static str {
        ACCOUNT
    }

    /// The region of the hub.
    #[must_use]
    pub fn region(&self) -> &'static str {
        REGION
    }

    /// Switches the hub off, or on again.
    pub fn enable(&self, enabled: bool) {
        self.server.enabled.store(enabled, Ordering::SeqCst);
    }

    /// Says of the next request that its credentials have expired.
    pub fn expire_credentials_once(&self) {
        self.server.expired.store(true, Ordering::SeqCst);
    }

    /// Why the hub would refuse a finding that stands like this in a request, with its size and its
    /// product; nothing where it would take it.
    #[must_use]
    pub fn refusal(finding: &str) -> Option<String> {
        let parsed = serde_json::from_str(finding).unwrap_or_default();
        problem_of(&parsed, finding).map(|(code, message)| format!("{code}: {message}"))
    }

    /// The findings that the hub has, by `Id`, each in its newest state.
    #[must_use]
    pub fn findings(&self) -> HashMap<String, Value> {
        locked(&self.server.findings).clone()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Import<'a> {
    #[serde(borrow)]
    findings: Vec<&'a RawValue>,
}

fn error(status: u16, kind: &str, message: &str) -> Response {
    let mut response = json(
        status,
        &serde_json::json!({ "Message": message, "Code": kind }),
    );
    let kind = format!("{kind}:http://internal.amazon.com/coral/com.amazonaws.securityhub/");
    response.headers_mut().insert(
        "x-amzn-errortype",
        kind.parse().expect("names of errors are plain"),
    );
    response
}

impl Serve for Hub {
    type Accepted = Imported;

    fn shared(&self) -> &Shared<Imported> {
        &self.shared
    }

    async fn answer(&self, request: Request) -> Response {
        let path = request.uri.path();
        if path == "/"
            && String::from_utf8_lossy(&request.body).contains("Action=GetCallerIdentity")
        {
            return caller_identity();
        }
        if (path, &request.method) == ("/accounts", &Method::GET) {
            return self.describe(&request);
        }
        let fault = self.shared.next_fault();
        if let Some(answer) = request.play(&fault).await {
            return answer;
        }
        let answer = self.import(&request, &fault);
        if fault == Fault::ResetAfter {
            return request.connection.reset();
        }
        answer
    }
}

impl Hub {
    fn refuse(&self, status: u16, kind: &str, message: &str) -> Response {
        self.shared.violation(format!("{kind}: {message}"));
        error(status, kind, message)
    }

    fn describe(&self, request: &Request) -> Response {
        if let Err(problem) = signature::check(request) {
            return self.refuse(403, "InvalidSignatureException", &problem);
        }
        if !self.enabled.load(Ordering::SeqCst) {
            return error(
                401,
                "InvalidAccessException",
                "Account is not subscribed to AWS Security Hub",
            );
        }
        json(
            200,
            &serde_json::json!({ "HubArn": format!("arn:aws:securityhub:{REGION}:{ACCOUNT}:hub/default") }),
        )
    }

    fn import(&self, request: &Request, fault: &Fault) -> Response {
        if (request.uri.path(), &request.method) != ("/findings/import", &Method::POST) {
            return self.refuse(404, "UnknownOperationException", "no such operation");
        }
        if self.expired.swap(false, Ordering::SeqCst) {
            return error(
                403,
                "ExpiredTokenException",
                "The security token included in the request is expired",
            );
        }
        if let Err(problem) = signature::check(request) {
            return self.refuse(403, "InvalidSignatureException", &problem);
        }
        if !request.is_json() {
            return self.refuse(
                400,
                "SerializationException",
                "the content type is not JSON",
            );
        }
        if !self.within_rate() {
            return self.refuse(
                429,
                "LimitExceededException",
                "more than 10 requests a second",
            );
        }
        if !self.enabled.load(Ordering::SeqCst) {
            return error(
                401,
                "InvalidAccessException",
                "Account is not subscribed to AWS Security Hub",
            );
        }
        if request.body.len() > MAX_BYTES {
            return self.refuse(
                400,
                "InvalidInputException",
                "the request is larger than 6 MB",
            );
        }
        let Ok(Import { findings }) = serde_json::from_slice(&request.body) else {
            return self.refuse(400, "SerializationException", "the body is not an import");
        };
        if findings.is_empty() || findings.len() > MAX_FINDINGS {
            return self.refuse(
                400,
                "InvalidInputException",
                &format!("{} findings in a request", findings.len()),
            );
        }
        self.upsert_all(&findings, fault)
    }

    fn upsert_all(&self, findings: &[&RawValue], fault: &Fault) -> Response {
        let mut failed = Vec::new();
        for (position, text) in findings.iter().enumerate() {
            let finding: Value = serde_json::from_str(text.get()).unwrap_or_default();
            let id = finding["Id"].as_str().unwrap_or_default().to_owned();
            let problem = match fault {
                Fault::FailedFinding(at, code) if *at == position => {
                    Some((*code, "refused on command".to_owned()))
                }
                _ => problem_of(&finding, text.get()).inspect(|(code, message)| {
                    self.shared.violation(format!("{code}: {message}"));
                }),
            };
            match problem {
                Some((code, message)) => failed.push(serde_json::json!({
                    "Id": id, "ErrorCode": code, "ErrorMessage": message,
                })),
                None => self.upsert(id, finding, text.get()),
            }
        }
        json(
            200,
            &serde_json::json!({
                "FailedCount": failed.len(),
                "SuccessCount": findings.len() - failed.len(),
                "FailedFindings": failed,
            }),
        )
    }

    /// Takes what is newer; ignores the rest, and counts it a success.
    fn upsert(&self, id: String, finding: Value, text: &str) {
        let applied = {
            let mut findings = locked(&self.findings);
            let known = findings
                .get(&id)
                .map(|known| rules::instant(&known["UpdatedAt"]));
            let newer = known.is_none_or(|known| rules::instant(&finding["UpdatedAt"]) > known);
            if newer {
                findings.insert(id.clone(), finding);
            }
            newer
        };
        self.shared.accept([Imported {
            id,
            text: text.to_owned(),
            applied,
        }]);
    }

    /// Ten requests a second, thirty at once.
    fn within_rate(&self) -> bool {
        let mut bucket = locked(&self.bucket);
        let now = Instant::now();
        let filled = bucket.0 + now.duration_since(bucket.1).as_secs_f64() * PER_SECOND;
        *bucket = (filled.min(BURST), now);
        if bucket.0 < 1.0 {
            return false;
        }
        bucket.0 -= 1.0;
        true
    }
}

fn problem_of(finding: &Value, text: &str) -> Option<(&'static str, String)> {
    if text.len() > MAX_FINDING_BYTES {
        Some(("InvalidInput", format!("a finding of {} bytes", text.len())))
    } else if finding["AwsAccountId"] != ACCOUNT
        || finding["ProductArn"] != rules::product_arn(REGION, ACCOUNT)
    {
        Some((
            "InvalidAccess",
            "the account or the product is not the caller's".to_owned(),
        ))
    } else {
        rules::check(finding)
            .err()
            .map(|problem| ("InvalidInput", problem))
    }
}

fn caller_identity() -> Response {
    let body = format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>arn:aws:iam::{ACCOUNT}:user/sluicegate</Arn><UserId>AIDAEXAMPLE</UserId><Account>{ACCOUNT}</Account>\
         </GetCallerIdentityResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    );
    axum::response::IntoResponse::into_response(([("content-type", "text/xml")], body))
}
