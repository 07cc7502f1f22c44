//! AWS Security Hub: findings only, by `BatchImportFindings`.
//!
//! Security Hub keeps one finding an `Id`, and ignores one whose `UpdatedAt` is not newer than what it
//! has: sending the same twice changes nothing.

use anyhow::Context as _;
use async_trait::async_trait;
use aws_config::SdkConfig;
use reqwest::{Method, Url};
use serde::{Deserialize, Serialize};

use crate::{
    config::Problems,
    effects::EventView,
    finding::Finding,
    normalize::asff::{AwsSecurityFinding, Hub},
    sink::{
        Accept, Batch, Limits, Refused, SendError, Sink, Unencodable, delivery,
        http::{self, Answer, Network},
        sigv4::Signer,
    },
    text::shown,
};

/// Which hub, and how to reach it. Credentials come from where the AWS tools look for them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Region of the hub, such as `eu-central-1`. Required.
    pub region: String,
    /// Account of the hub, twelve digits: the one that the credentials belong to. Findings about other
    /// accounts are imported into it, and name the other. Required.
    pub account_id: String,
    /// Base address in place of the region's, for a VPC endpoint. `http://` on loopback only, or with
    /// `network.allow_plain_http`. Default: none.
    #[serde(default)]
    pub endpoint_url: Option<String>,
    /// What the sink takes: findings, and nothing else. Default: findings.
    #[serde(default = "findings_only")]
    pub accept: Vec<Accept>,
    /// Batching, rate, retries and holds.
    #[serde(default)]
    pub delivery: delivery::Settings,
    /// Certificates, a proxy, and whether plain HTTP will do.
    #[serde(default)]
    pub network: Network,
    /// Milliseconds that a request may take. Default 60,000; range 100 to 600,000.
    #[serde(default = "default_request_timeout_ms")]
    pub request_timeout_ms: u64,
}

fn findings_only() -> Vec<Accept> {
    vec![Accept::Findings]
}

fn default_request_timeout_ms() -> u64 {
    http::REQUEST_TIMEOUT_MS
}

impl Settings {
    /// Reports every value that cannot work.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        let region_char = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.region.is_empty() || self.region.len() > 16 || !self.region.chars().all(region_char)
        {
            problems.push(format!(
                "{at}.region must be an AWS region such as eu-central-1"
            ));
        }
        if self.account_id.len() != 12 || !self.account_id.bytes().all(|byte| byte.is_ascii_digit())
        {
            problems.push(format!("{at}.account_id must be twelve digits"));
        }
        if let Some(endpoint) = &self.endpoint_url {
            self.network
                .check_endpoint(&format!("{at}.endpoint_url"), endpoint, problems);
        }
        if self.accept != [Accept::Findings] {
            problems.push(format!(
                "{at}.accept must be [\"findings\"]: Security Hub takes nothing else"
            ));
        }
        self.delivery.validate(&format!("{at}.delivery"), problems);
        self.network.validate(&format!("{at}.network"), problems);
        problems.range(
            &format!("{at}.request_timeout_ms"),
            self.request_timeout_ms,
            100..=600_000,
        );
    }
}

/// A hub.
#[derive(Debug)]
pub struct SecurityHub {
    client: reqwest::Client,
    signer: Signer,
    import: Url,
    describe: Url,
    sts: aws_sdk_sts::Client,
    hub: Hub,
}

impl SecurityHub {
    /// Connects nothing yet. Credentials are those of `aws`, and so is the address of STS.
    ///
    /// # Errors
    /// When `aws` has no credentials provider, or the address is none.
    pub fn new(settings: &Settings, aws: &SdkConfig) -> anyhow::Result<Self> {
        let hub = Hub::new(&settings.region, &settings.account_id);
        let address = settings
            .endpoint_url
            .clone()
            .unwrap_or_else(|| hub.address());
        let base = settings
            .network
            .endpoint(&address)
            .map_err(|problem| anyhow::anyhow!("the endpoint {problem}"))?;
        let provider = aws
            .credentials_provider()
            .context("no AWS credentials are configured")?;
        let sts = aws_sdk_sts::config::Builder::from(aws)
            .region(aws_sdk_sts::config::Region::new(settings.region.clone()))
            .behavior_version(aws_sdk_sts::config::BehaviorVersion::latest())
            .build();
        Ok(Self {
            client: settings
                .network
                .client(&base, settings.request_timeout_ms)?,
            signer: Signer::new("securityhub", &settings.region, provider),
            import: http::join(&base, "/findings/import"),
            describe: http::join(&base, "/accounts"),
            sts: aws_sdk_sts::Client::from_conf(sts),
            hub,
        })
    }

    /// One signed request. Credentials that have run out are fetched anew, and the request is signed
    /// once more: the first one was not looked at.
    async fn call(&self, method: Method, url: &Url, body: Vec<u8>) -> Result<Answer, SendError> {
        let answer = self
            .sign_and_send(method.clone(), url, body.clone())
            .await?;
        let expired = error_code(&answer).is_some_and(|code| EXPIRED.contains(&code.as_str()));
        if expired && self.signer.forget() {
            return self.sign_and_send(method, url, body).await;
        }
        Ok(answer)
    }

    async fn sign_and_send(
        &self,
        method: Method,
        url: &Url,
        body: Vec<u8>,
    ) -> Result<Answer, SendError> {
        let request = self
            .signer
            .request(&self.client, method, url, body)
            .await
            // Metadata and token services fail for a while too; a hold comes soon enough.
            .map_err(SendError::Unavailable)?;
        http::exchange(request).await
    }
}

#[async_trait]
impl Sink for SecurityHub {
    fn limits(&self) -> Limits {
        Limits {
            max_entries: 100,
            max_bytes: 6_000_000,
            max_entry_bytes: 240_000,
            frame_bytes: OPEN.len() + CLOSE.len(),
            separator_bytes: 1,
        }
    }

    fn encode_event(&self, _: &EventView<'_>, _: &mut Vec<u8>) -> Result<(), Unencodable> {
        Err(Unencodable("Security Hub takes findings only".to_owned()))
    }

    fn encode_finding(&self, finding: &Finding, out: &mut Vec<u8>) -> Result<(), Unencodable> {
        serde_json::to_writer(out, &AwsSecurityFinding::new(finding, &self.hub))
            .map_err(|_| Unencodable("the finding cannot be written as JSON".to_owned()))
    }

    async fn send(&self, batch: &Batch) -> Result<Vec<Refused>, SendError> {
        let answer = self
            .call(Method::POST, &self.import, batch.body(OPEN, b",", CLOSE))
            .await?;
        judge(&answer, batch)
    }

    /// The hub answers only where it is enabled; the account of the credentials is compared, because
    /// Security Hub refuses findings that name another.
    async fn check(&self) -> anyhow::Result<String> {
        let answer = self.call(Method::GET, &self.describe, Vec::new()).await?;
        if !answer.is_success() {
            return Err(answer.error().context(
                "failed to describe the hub; is Security Hub CSPM enabled in this region?",
            ));
        }
        let caller = self
            .sts
            .get_caller_identity()
            .send()
            .await
            .context("failed to ask for the caller's identity")?;
        let account = caller.account().unwrap_or("unknown");
        anyhow::ensure!(
            account == self.hub.account(),
            "the credentials belong to account {}, account_id says {}",
            shown(account),
            self.hub.account()
        );
        Ok(format!(
            "the hub of account {account} in {} is enabled",
            self.hub.region()
        ))
    }
}

const OPEN: &[u8] = b"{\"Findings\":[";
const CLOSE: &[u8] = b"]}";

/// Errors that fresh credentials may mend.
const EXPIRED: [&str; 3] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "UnrecognizedClientException",
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Imported {
    failed_count: u64,
    #[serde(default)]
    success_count: Option<u64>,
    #[serde(default)]
    failed_findings: Vec<FailedFinding>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FailedFinding {
    id: String,
    #[serde(default)]
    error_code: String,
    #[serde(default)]
    error_message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Identified {
    id: String,
}

/// The retry decision for an answer to a batch of findings; with those that were refused while the others
/// were imported.
pub(super) fn judge(answer: &Answer, batch: &Batch) -> Result<Vec<Refused>, SendError> {
    if answer.is_success() {
        imported(answer, batch)
    } else {
        Err(failed(answer))
    }
}

/// What a 200 means: each finding that failed is found again by its `Id`.
fn imported(answer: &Answer, batch: &Batch) -> Result<Vec<Refused>, SendError> {
    let Some(imported) = answer.json::<Imported>() else {
        let error = answer
            .error()
            .context("the answer does not confirm anything: is this Security Hub?");
        return Err(SendError::Misconfigured(error));
    };
    if let Some(denied) = imported
        .failed_findings
        .iter()
        .find(|failed| failed.error_code.starts_with("InvalidAccess"))
    {
        let text = shown(&denied.error_message);
        return Err(SendError::Misconfigured(anyhow::anyhow!(
            "Security Hub denies the import: {text}"
        )));
    }
    let ids: Vec<Option<String>> = batch
        .entries()
        .map(|entry| {
            serde_json::from_slice::<Identified>(entry)
                .ok()
                .map(|finding| finding.id)
        })
        .collect();
    let mut refused = Vec::new();
    for failed in &imported.failed_findings {
        let before = refused.len();
        for (position, _) in ids
            .iter()
            .enumerate()
            .filter(|(_, id)| id.as_ref() == Some(&failed.id))
        {
            refused.push(failed.refused(position));
        }
        if refused.len() == before {
            return Err(unplaced());
        }
    }
    refused.sort_by_key(|refused| refused.position);
    refused.dedup_by_key(|refused| refused.position);
    // A finding that is named twice is one; and what is neither refused nor imported has failed too.
    let missing = |imported| (ids.len() as u64).saturating_sub(refused.len() as u64) > imported;
    if (refused.len() as u64) < imported.failed_count || imported.success_count.is_some_and(missing)
    {
        return Err(unplaced());
    }
    Ok(refused)
}

/// Something failed, and the answer does not say which: halving finds it, and repeats are harmless.
fn unplaced() -> SendError {
    SendError::Refused {
        status: 200,
        reason: "the answer does not say which finding failed".to_owned(),
    }
}

impl FailedFinding {
    fn refused(&self, position: usize) -> Refused {
        let passing = [
            "InternalError",
            "InternalException",
            "Throttling",
            "LimitExceeded",
            "ServiceUnavailable",
        ];
        Refused {
            position,
            reason: shown(&format!("{}: {}", self.error_code, self.error_message)),
            retry: passing.iter().any(|code| self.error_code.starts_with(code)),
        }
    }
}

/// The retry decision for an answer other than a 200.
fn failed(answer: &Answer) -> SendError {
    let code = error_code(answer).unwrap_or_default();
    match (answer.status, code.as_str()) {
        (
            _,
            "LimitExceededException"
            | "ThrottlingException"
            | "Throttling"
            | "TooManyRequestsException",
        ) => SendError::Throttled {
            retry_after: answer.retry_after,
        },
        (400, "InvalidInputException" | "ValidationException" | "SerializationException") => {
            SendError::Refused {
                status: 400,
                reason: shown(&format!("{code}: {}", message(answer))),
            }
        }
        _ => answer.decision(),
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default, rename = "__type")]
    kind: Option<String>,
    #[serde(default, alias = "Code")]
    code: Option<String>,
    #[serde(default, alias = "Message")]
    message: Option<String>,
}

/// The name of the error, from the header or the body, without its namespace and what follows a colon.
fn error_code(answer: &Answer) -> Option<String> {
    let header = answer
        .headers
        .get("x-amzn-errortype")
        .and_then(|value| value.to_str().ok());
    let body = || {
        answer
            .json::<ErrorBody>()
            .and_then(|body| body.kind.or(body.code))
    };
    let name = header.map(str::to_owned).or_else(body)?;
    let name = name.split(':').next().unwrap_or_default();
    Some(name.rsplit('#').next().unwrap_or_default().to_owned())
}

fn message(answer: &Answer) -> String {
    answer
        .json::<ErrorBody>()
        .and_then(|body| body.message)
        .unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::Arc;

    use reqwest::header::{HeaderMap, HeaderValue};

    use super::*;
    use crate::{
        ack,
        sink::{Entry, Origin, Parcel, Part},
    };

    fn batch(ids: &[&str]) -> Batch {
        let parts = ids.iter().map(|id| {
            let data = format!("{{\"Id\":\"{id}\"}}");
            let entry = Entry {
                start: 0,
                end: u32::try_from(data.len()).unwrap(),
                index: 0,
            };
            let parcel = Parcel {
                origin: Origin::Finding((*id).into()),
                data: data.into(),
                entries: vec![entry],
                budget: None,
            };
            Part {
                parcel: Arc::new(parcel),
                entries: 0..1,
                ack: ack::channel().0,
            }
        });
        Batch {
            parts: parts.collect(),
        }
    }

    fn answer(status: u16, kind: &str, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        if !kind.is_empty() {
            headers.insert("x-amzn-errortype", HeaderValue::from_str(kind).unwrap());
        }
        Answer {
            status,
            retry_after: None,
            headers,
            body: body.as_bytes().to_vec(),
        }
    }

    fn failures(failed: &[(&str, &str)], imported: usize) -> Answer {
        let list: Vec<_> = failed
            .iter()
            .map(|(id, code)| serde_json::json!({"Id": id, "ErrorCode": code, "ErrorMessage": "m"}))
            .collect();
        let body = serde_json::json!({"FailedCount": failed.len(), "SuccessCount": imported, "FailedFindings": list});
        answer(200, "", &body.to_string())
    }

    #[test]
    fn failed_findings_are_found_again_by_their_id() {
        let refused = imported(
            &failures(&[("c", "InvalidInput"), ("a", "InternalError")], 1),
            &batch(&["a", "b", "c"]),
        )
        .unwrap();
        let seen: Vec<_> = refused
            .iter()
            .map(|refused| (refused.position, refused.retry))
            .collect();
        assert_eq!(seen, [(0, true), (2, false)]);
        assert_eq!(refused[1].reason, "InvalidInput: m");
    }

    #[test]
    fn a_failure_that_cannot_be_placed_is_found_by_halving() {
        let unknown = imported(&failures(&[("x", "InvalidInput")], 0), &batch(&["a"]));
        assert!(matches!(unknown, Err(SendError::Refused { .. })));
        let counted = imported(
            &answer(200, "", r#"{"FailedCount":1,"SuccessCount":0}"#),
            &batch(&["a"]),
        );
        assert!(matches!(counted, Err(SendError::Refused { .. })));
        // Two failed, and one of them is named twice: the other has not been imported.
        let twice = failures(&[("a", "InvalidInput"), ("a", "InvalidInput")], 0);
        let named_twice = imported(&twice, &batch(&["a", "b"]));
        assert!(matches!(named_twice, Err(SendError::Refused { .. })));
        // One was not imported, and nobody says that it failed.
        let short = imported(&failures(&[], 1), &batch(&["a", "b"]));
        assert!(matches!(short, Err(SendError::Refused { .. })));
        assert_eq!(
            imported(&failures(&[], 2), &batch(&["a", "b"]))
                .unwrap()
                .len(),
            0
        );
    }

    #[test]
    fn denied_access_is_a_fault_of_the_configuration() {
        let denied = imported(&failures(&[("a", "InvalidAccess")], 0), &batch(&["a"]));
        assert!(matches!(denied, Err(SendError::Misconfigured(_))));
        assert!(matches!(
            imported(&answer(200, "", "<html>"), &batch(&["a"])),
            Err(SendError::Misconfigured(_))
        ));
        // Without names of its members it would be read as `FailedCount` 0.
        assert!(matches!(
            imported(&answer(200, "", "[0]"), &batch(&["a"])),
            Err(SendError::Misconfigured(_))
        ));
    }

    #[test]
    fn every_error_has_its_decision() {
        for (status, kind, expected) in [
            (429, "LimitExceededException", "throttled"),
            (429, "", "throttled"),
            (
                400,
                "ThrottlingException:http://internal.amazon.com/",
                "throttled",
            ),
            (400, "InvalidInputException", "refused"),
            (
                400,
                "com.amazonaws.securityhub#InvalidInputException",
                "refused",
            ),
            (400, "", "misconfigured"),
            (401, "InvalidAccessException", "misconfigured"),
            (403, "AccessDeniedException", "misconfigured"),
            (403, "UnrecognizedClientException", "misconfigured"),
            (403, "ExpiredTokenException", "misconfigured"),
            (403, "InvalidSignatureException", "misconfigured"),
            (404, "", "misconfigured"),
            (413, "", "too large"),
            (500, "InternalException", "unavailable"),
            (503, "", "unavailable"),
        ] {
            let decision = match failed(&answer(status, kind, "{}")) {
                SendError::Throttled { .. } => "throttled",
                SendError::Unavailable(_) => "unavailable",
                SendError::TooLarge => "too large",
                SendError::Misconfigured(_) => "misconfigured",
                SendError::RefusedEntry { .. } | SendError::Refused { .. } => "refused",
            };
            assert_eq!(decision, expected, "{status} {kind}");
        }
    }

    #[test]
    fn the_name_of_an_error_is_found_in_header_and_body() {
        assert_eq!(
            error_code(&answer(400, "", r#"{"__type":"a.b#C","Message":"m"}"#)).as_deref(),
            Some("C")
        );
        assert_eq!(
            error_code(&answer(400, "", r#"{"Code":"C"}"#)).as_deref(),
            Some("C")
        );
        assert_eq!(error_code(&answer(400, "", "<html>")), None);
        assert_eq!(message(&answer(400, "", r#"{"Message":"m"}"#)), "m");
    }

    #[test]
    fn all_problems_of_the_settings_are_reported() {
        let bad: Settings = crate::sink::from_toml(
            "region = \"Mars\"\naccount_id = \"12\"\nendpoint_url = \"http://hub\"\naccept = [\"events\"]\nrequest_timeout_ms = 0",
        );
        let mut problems = Problems::default();
        bad.validate("sinks.hub", &mut problems);
        assert_eq!(problems.lines().len(), 5, "{problems:?}");
    }
}
