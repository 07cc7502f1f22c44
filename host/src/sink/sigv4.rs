//! Requests to an AWS service that are signed here and sent as they are: the byte limits of Security
//! Hub are limits of the body, which a generated client would write by itself.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials as _, SharedCredentialsProvider},
};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use reqwest::{Method, RequestBuilder, Url};

/// Credentials that end sooner than this are fetched anew.
const REST: Duration = Duration::from_mins(2);

/// Signs requests to one service in one region, with credentials that are fetched when the last ones
/// have run out.
#[derive(Debug)]
pub(crate) struct Signer {
    service: &'static str,
    region: String,
    provider: SharedCredentialsProvider,
    current: Mutex<Option<Credentials>>,
}

impl Signer {
    pub(crate) fn new(
        service: &'static str,
        region: &str,
        provider: SharedCredentialsProvider,
    ) -> Self {
        Self {
            service,
            region: region.to_owned(),
            provider,
            current: Mutex::new(None),
        }
    }

    /// A request with a JSON body, signed now.
    ///
    /// # Errors
    /// When there are no credentials.
    pub(crate) async fn request(
        &self,
        client: &reqwest::Client,
        method: Method,
        url: &Url,
        body: Vec<u8>,
    ) -> anyhow::Result<RequestBuilder> {
        let identity = self.credentials().await?.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .context("failed to prepare a signature")?
            .into();
        let headers = [("content-type", "application/json")];
        let signable = SignableRequest::new(
            method.as_str(),
            url.as_str(),
            headers.into_iter(),
            SignableBody::Bytes(&body),
        )
        .context("failed to prepare a request for signing")?;
        let (instructions, _) = sign(signable, &params)
            .context("failed to sign a request")?
            .into_parts();
        let mut request = client.request(method, url.clone());
        for (name, value) in headers.into_iter().chain(instructions.headers()) {
            request = request.header(name, value);
        }
        Ok(request.body(body))
    }

    /// Forgets the credentials that the service says are no longer good. False where there are none to
    /// forget, so that asking once more would change nothing.
    pub(crate) fn forget(&self) -> bool {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .is_some()
    }

    async fn credentials(&self) -> anyhow::Result<Credentials> {
        if let Some(current) = self.current() {
            return Ok(current);
        }
        let fetched = self
            .provider
            .provide_credentials()
            .await
            .context("failed to get AWS credentials")?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(fetched.clone());
        Ok(fetched)
    }

    fn current(&self) -> Option<Credentials> {
        let soon = SystemTime::now() + REST;
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current
            .as_ref()
            .filter(|credentials| credentials.expiry().is_none_or(|expiry| expiry > soon))
            .cloned()
    }
}
