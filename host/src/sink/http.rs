//! What the HTTP sinks share: one way to build a client, to read an answer, and to tell a fault of
//! the configuration from one of the way there.

mod network;

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use reqwest::{
    RequestBuilder, Url,
    header::{HeaderMap, HeaderValue, RETRY_AFTER},
};
use serde::{Deserialize, Serialize};
use time::{PrimitiveDateTime, macros::format_description};

use crate::{
    config::{Secret, SecretSource},
    sink::SendError,
    text::shown,
};

pub use network::Network;
pub(crate) use network::in_the_clear;

/// Milliseconds that a request may take. Long, because a request given up too early was often
/// accepted, and is then sent twice.
pub(crate) const REQUEST_TIMEOUT_MS: u64 = 60_000;

/// At most so much of an answer is read; the longest useful one lists a hundred refused findings.
const ANSWER_BYTES: usize = 1024 * 1024;

/// A longer wait than this is no wish to slow down but a mistake, or an attack.
pub(super) const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// What a server answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) headers: HeaderMap,
    /// At most [`ANSWER_BYTES`].
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The start of the body, fit for a log.
    pub(crate) fn text(&self) -> String {
        shown(String::from_utf8_lossy(&self.body).trim())
    }

    /// The body as a JSON object of this shape; nothing where it is a proxy's page, or cut. A list is no
    /// such object, though it would be read as one whose members have no names.
    pub(crate) fn json<'a, T: Deserialize<'a>>(&'a self) -> Option<T> {
        let is_object = self.body.trim_ascii_start().first() == Some(&b'{');
        is_object.then(|| serde_json::from_slice(&self.body).ok())?
    }

    /// The decision for a status about which the service's own words say nothing more. What is not
    /// known here is taken for a fault of the configuration, which loses nothing.
    pub(crate) fn decision(&self) -> SendError {
        match self.status {
            413 => SendError::TooLarge,
            429 => SendError::Throttled {
                retry_after: self.retry_after,
            },
            408 | 500..=599 if self.retry_after.is_some() => SendError::Throttled {
                retry_after: self.retry_after,
            },
            408 | 500..=599 => SendError::Unavailable(self.error()),
            _ => SendError::Misconfigured(self.error()),
        }
    }

    pub(crate) fn error(&self) -> anyhow::Error {
        let hint = match self.status {
            300..=399 => " (redirects are not followed: name the final address)",
            _ => "",
        };
        anyhow::anyhow!("the server answered {}{hint}: {}", self.status, self.text())
    }
}

/// Sends one request and reads the answer.
///
/// # Errors
/// `Unavailable` when no whole answer came; the server may have taken the request all the same.
/// `Misconfigured` when one side did not accept the other's certificate.
pub(crate) async fn exchange(request: RequestBuilder) -> Result<Answer, SendError> {
    read_answer(request).await.map_err(network::no_answer)
}

async fn read_answer(request: RequestBuilder) -> Result<Answer, reqwest::Error> {
    let mut response = request.send().await?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = ANSWER_BYTES - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == ANSWER_BYTES {
            break;
        }
    }
    Ok(Answer {
        status: response.status().as_u16(),
        retry_after: retry_after(response.headers(), SystemTime::now()),
        headers: response.headers().clone(),
        body,
    })
}

/// `Retry-After` as whole seconds or as a date; nothing where it is neither.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if value.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(value.parse().ok()?)
    } else {
        let format = format_description!(
            "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
        );
        let date = PrimitiveDateTime::parse(value, format).ok()?.assume_utc();
        SystemTime::from(date)
            .duration_since(now)
            .unwrap_or(Duration::ZERO)
    };
    Some(wait.min(LONGEST_WAIT))
}

/// An address below a base that [`Network::endpoint`] has checked.
pub(crate) fn join(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url
}

/// Where a secret comes from, of the two keys that may say so.
pub(crate) fn secret_source(file: Option<&PathBuf>, env: Option<&String>) -> Option<SecretSource> {
    match (file, env) {
        (Some(path), None) => Some(SecretSource::File(path.clone())),
        (None, Some(name)) => Some(SecretSource::Env(name.clone())),
        _ => None,
    }
}

/// A header that is never printed.
///
/// # Errors
/// When the secret holds what no header can.
pub(crate) fn secret_header(prefix: &str, secret: &Secret) -> anyhow::Result<HeaderValue> {
    let text = format!("{prefix}{}", secret.expose());
    // The error of the conversion is dropped on purpose, so that nothing of the secret shows.
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| anyhow::anyhow!("the secret holds characters that no HTTP header can"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Plain data as JSON.
pub(crate) fn json_text<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("plain data is JSON")
}

/// How a body is compressed on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// As it is.
    None,
    /// gzip: a fifth of the bytes, for some CPU.
    #[default]
    Gzip,
}

impl Compression {
    /// Adds the body to a request, compressed on a thread that may take its time.
    ///
    /// # Errors
    /// When that thread is gone, which is at the end of the process only.
    pub(crate) async fn apply(
        self,
        request: RequestBuilder,
        body: Vec<u8>,
    ) -> Result<RequestBuilder, SendError> {
        match self {
            Self::None => Ok(request.body(body)),
            Self::Gzip => {
                let packed = tokio::task::spawn_blocking(move || gzip(&body))
                    .await
                    .map_err(|error| SendError::Unavailable(error.into()))?;
                Ok(request.header("content-encoding", "gzip").body(packed))
            }
        }
    }
}

/// Of gzip. Of CloudTrail events level 3 leaves 4 % less, and takes half as long again; compressing costs more
/// than all that is done to an event before.
const GZIP_LEVEL: i32 = 1;

fn gzip(body: &[u8]) -> Vec<u8> {
    let level = libdeflater::CompressionLvl::new(GZIP_LEVEL).expect("it is a level");
    let mut compressor = libdeflater::Compressor::new(level);
    let mut out = vec![0; compressor.gzip_compress_bound(body.len())];
    let bytes = compressor
        .gzip_compress(body, &mut out)
        .expect("the bound is enough by its definition");
    out.truncate(bytes);
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn wait(value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().unwrap());
        // 1994-11-06T08:49:07Z
        retry_after(
            &headers,
            SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_747),
        )
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("0"), Some(Duration::ZERO));
        assert_eq!(
            wait("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("999999999"), Some(LONGEST_WAIT));
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-3"), None);
        assert_eq!(wait("1.5"), None);
    }

    #[test]
    fn paths_are_joined_with_one_slash() {
        let at = |base: &str| join(&Url::parse(base).unwrap(), "/api/v2/logs").to_string();
        assert_eq!(at("https://a"), "https://a/api/v2/logs");
        assert_eq!(at("https://a/"), "https://a/api/v2/logs");
        assert_eq!(at("https://a/proxy/"), "https://a/proxy/api/v2/logs");
    }

    #[test]
    fn gzip_comes_back_as_it_was() {
        let body = b"{\"a\":1}".repeat(1000);
        let mut back = Vec::new();
        flate2::read::GzDecoder::new(gzip(&body).as_slice())
            .read_to_end(&mut back)
            .unwrap();
        assert_eq!(back, body);
    }

    #[test]
    fn a_secret_header_hides_itself() {
        let header = secret_header("Splunk ", &Secret::new("abc".into())).unwrap();
        assert_eq!(header, "Splunk abc");
        assert_eq!(format!("{header:?}"), "Sensitive");
        let error = secret_header("", &Secret::new("ab\ncd".into())).unwrap_err();
        assert!(!error.to_string().contains("cd"));
    }
}
