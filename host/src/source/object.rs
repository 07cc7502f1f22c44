//! From a reference to the stored bytes in S3. The variant of [`OpenError`] is decided here, and only
//! here: what is the data's fault, what the configuration's, and what passes.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use anyhow::anyhow;
use aws_config::{Region, SdkConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::{
    Client,
    config::{Builder, IdentityCache, ResponseChecksumValidation},
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    operation::get_object::{GetObjectError, GetObjectOutput},
    primitives::ByteStream,
};
use futures_util::stream;

use super::{
    Body, OpenError, OpenObject,
    credentials::Renewing,
    layout::{self, Layout, is_region},
    sqs::{BucketSettings, Settings},
};
use crate::{
    deadletter::Cause,
    event::{Object, ObjectRef},
    text::shown,
};

/// An object may be announced a moment before every part of S3 knows it.
const MISSING_ATTEMPTS: u32 = 3;
const MISSING_PAUSE: Duration = Duration::from_millis(200);

/// The buckets that may be read.
#[derive(Debug)]
pub struct Objects {
    buckets: HashMap<String, Bucket>,
}

#[derive(Debug)]
struct Bucket {
    owner: String,
    config: Builder,
    role: Option<String>,
    /// Those of the role, or those of the host where they can be looked for anew.
    credentials: Option<Arc<Renewing>>,
    /// Replaced when S3 tells another region. Never locked across an await.
    client: RwLock<Client>,
}

impl Objects {
    /// `own` are the credentials of `config`, where they can be looked for anew.
    pub(super) fn new(
        settings: &Settings,
        config: &SdkConfig,
        own: Option<&Arc<Renewing>>,
    ) -> Self {
        // gzip carries its own checksum, and the ledger keeps a SHA-256 of what was read.
        let common = Builder::from(config)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .disable_multi_region_access_points(true)
            .force_path_style(settings.endpoint_url.is_some());
        let bucket = |bucket: &BucketSettings| {
            let region = bucket.region.as_ref().unwrap_or(&settings.region);
            let about = Bucket::new(bucket, region, common.clone(), config, own);
            (bucket.name.clone(), about)
        };
        Self {
            buckets: settings.buckets.iter().map(bucket).collect(),
        }
    }

    /// The buckets of a source, without its queue; credentials are those of the environment.
    pub async fn connect(settings: &Settings) -> Self {
        let mut loader = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .region(Region::new(settings.region.clone()));
        if let Some(url) = &settings.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        Self::new(settings, &loader.load().await, None)
    }

    /// Every object under a prefix, with its size in stored bytes, in the order of S3.
    ///
    /// # Errors
    /// When the bucket is not among those that may be read, or S3 refuses.
    pub async fn list(&self, bucket: &str, prefix: &str) -> anyhow::Result<Vec<(ObjectRef, u64)>> {
        let about = self.buckets.get(bucket).ok_or_else(|| {
            anyhow!(
                "bucket {} is not among those that may be read",
                shown(bucket)
            )
        })?;
        let mut pages = about
            .client()
            .list_objects_v2()
            .bucket(bucket)
            .prefix(prefix)
            .expected_bucket_owner(&about.owner)
            .into_paginator()
            .send();
        let mut all = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| {
                anyhow!("{}", told(&error)).context(format!(
                    "failed to list s3://{}/{}",
                    shown(bucket),
                    shown(prefix)
                ))
            })?;
            for object in page.contents.unwrap_or_default() {
                let size = object.size.and_then(|size| u64::try_from(size).ok());
                let reference = ObjectRef {
                    bucket: bucket.to_owned(),
                    key: object.key.unwrap_or_default(),
                    version: None,
                };
                all.push((reference, size.unwrap_or_default()));
            }
        }
        Ok(all)
    }

    /// Opens an object.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(&self, reference: &ObjectRef) -> Result<OpenObject, OpenError> {
        let refused = |why: &str| {
            OpenError::Denied(anyhow!("failed to read {}: {why}", shown(&reference.url())))
        };
        let bucket = self
            .buckets
            .get(&reference.bucket)
            .ok_or_else(|| refused("the bucket is not in the list of buckets that may be read"))?;
        let Layout::CloudTrail(kind) = layout::of(&reference.key) else {
            let error = anyhow!(
                "the key of {} fits no layout of CloudTrail",
                shown(&reference.url())
            );
            return Err(OpenError::Lost {
                cause: Cause::UnknownKey,
                error,
            });
        };
        let output = self.get(bucket, reference).await?;
        let reference = ObjectRef {
            version: version_of(&output),
            ..reference.clone()
        };
        let Some(revision) = revision_of(&output) else {
            let error = anyhow!(
                "s3 names neither version nor etag of {}",
                shown(&reference.url())
            );
            return Err(OpenError::Unavailable(error));
        };
        Ok(OpenObject {
            size: output
                .content_length()
                .and_then(|length| u64::try_from(length).ok()),
            body: pieces(output.body, shown(&reference.url())),
            object: Object::new(reference, revision, kind),
        })
    }

    async fn get(
        &self,
        bucket: &Bucket,
        reference: &ObjectRef,
    ) -> Result<GetObjectOutput, OpenError> {
        let mut moved = false;
        let mut attempt = 1;
        bucket.assume(&reference.bucket).await?;
        loop {
            let answer = bucket
                .client()
                .get_object()
                .bucket(&reference.bucket)
                .key(&reference.key)
                .set_version_id(reference.version.clone())
                .expected_bucket_owner(&bucket.owner)
                .send()
                .await;
            let error = match answer {
                Ok(output) => return Ok(output),
                Err(error) => error,
            };
            match region_told(&error) {
                Some(region) if !moved => {
                    tracing::warn!(bucket = %shown(&reference.bucket), region, "a bucket lies in another region than configured; its setting `region` saves a request");
                    bucket.move_to(&region);
                    moved = true;
                    continue;
                }
                _ => {}
            }
            if has_expired(error.code().unwrap_or_default()) {
                bucket.credentials.as_ref().inspect(|own| own.forget());
            }
            match decide(reference, &error) {
                OpenError::Lost {
                    cause: Cause::ObjectMissing,
                    ..
                } if attempt < MISSING_ATTEMPTS => {
                    tokio::time::sleep(MISSING_PAUSE * attempt).await;
                    attempt += 1;
                }
                decided => return Err(decided),
            }
        }
    }

    /// Asks each bucket whether we may read it.
    pub(super) async fn check(&self) -> anyhow::Result<String> {
        let mut names: Vec<_> = self.buckets.keys().cloned().collect();
        names.sort();
        for name in &names {
            let bucket = &self.buckets[name];
            bucket
                .assume(name)
                .await
                .map_err(|error| anyhow::Error::from(error).context("a role is needed"))?;
            let request = bucket
                .client()
                .head_bucket()
                .bucket(name)
                .expected_bucket_owner(&bucket.owner);
            if let Err(error) = request.send().await {
                let status = error
                    .raw_response()
                    .map_or(0, |response| response.status().as_u16());
                let hint = match status {
                    301 | 400 => "is its region right?",
                    403 => {
                        "s3:ListBucket and s3:GetObject are needed, and the configured owner must be its owner"
                    }
                    404 => "there is no such bucket",
                    _ => "s3 does not answer as it should",
                };
                anyhow::bail!(
                    "failed to ask bucket {name} (status {status}): {hint}: {}",
                    told(&error)
                );
            }
        }
        Ok(format!("buckets that can be read: {}", names.join(", ")))
    }
}

impl Bucket {
    fn new(
        settings: &BucketSettings,
        region: &str,
        config: Builder,
        sdk: &SdkConfig,
        own: Option<&Arc<Renewing>>,
    ) -> Self {
        let role = settings.role_arn.as_ref();
        let assumed =
            role.map(|role| Renewing::of_a_role(role, settings.external_id.as_deref(), sdk));
        let config = match &assumed {
            Some(assumed) => config
                .credentials_provider(assumed.shared())
                .identity_cache(IdentityCache::no_cache()),
            None => config,
        };
        Self {
            owner: settings.owner.clone(),
            client: RwLock::new(client_in(&config, region)),
            config,
            role: role.cloned(),
            credentials: assumed.or_else(|| own.cloned()),
        }
    }

    /// Has the credentials of the bucket's role, where it has one; they are kept until shortly before they
    /// expire.
    async fn assume(&self, name: &str) -> Result<(), OpenError> {
        let (Some(role), Some(credentials)) = (&self.role, &self.credentials) else {
            return Ok(());
        };
        let Err(error) = credentials.check().await else {
            return Ok(());
        };
        let said = shown(&DisplayErrorContext(&error).to_string());
        let refused = matches!(error, CredentialsError::InvalidConfiguration(_))
            || ["AccessDenied", "ValidationError", "InvalidClientTokenId"]
                .iter()
                .any(|code| said.contains(code));
        let error = anyhow!("{said}").context(format!(
            "failed to assume role {} for bucket {} (sts:AssumeRole is needed, and the role must trust us)",
            shown(role),
            shown(name)
        ));
        Err(if refused {
            OpenError::Denied(error)
        } else {
            OpenError::Unavailable(error)
        })
    }

    fn client(&self) -> Client {
        self.client
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn move_to(&self, region: &str) {
        let client = client_in(&self.config, region);
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = client;
    }
}

fn client_in(config: &Builder, region: &str) -> Client {
    Client::from_conf(
        config
            .clone()
            .region(Region::new(region.to_owned()))
            .build(),
    )
}

fn version_of(output: &GetObjectOutput) -> Option<String> {
    output
        .version_id()
        .filter(|version| !version.is_empty())
        .map(str::to_owned)
}

/// The version, else the `ETag`. `null` is the version of everything written while versions are off.
fn revision_of(output: &GetObjectOutput) -> Option<String> {
    let version = output
        .version_id()
        .filter(|version| !matches!(*version, "" | "null"));
    version
        .or_else(|| output.e_tag().map(|tag| tag.trim_matches('"')))
        .map(str::to_owned)
}

fn pieces(body: ByteStream, url: String) -> Body {
    Box::pin(stream::try_unfold(
        (body, url),
        |(mut body, url)| async move {
            match body.try_next().await {
                Ok(piece) => Ok(piece.map(|piece| (piece, (body, url)))),
                Err(error) => Err(
                    anyhow!("{}", shown(&DisplayErrorContext(error).to_string()))
                        .context(format!("failed to read {url} to its end")),
                ),
            }
        },
    ))
}

/// The region that S3 sends us to, where its answer is a redirect and names one.
fn region_told(error: &SdkError<GetObjectError>) -> Option<String> {
    let response = error.raw_response()?;
    let redirects = matches!(response.status().as_u16(), 301 | 307 | 400)
        && matches!(
            error.code(),
            None | Some(
                "PermanentRedirect"
                    | "TemporaryRedirect"
                    | "AuthorizationHeaderMalformed"
                    | "IllegalLocationConstraintException"
            )
        );
    let region = response.headers().get("x-amz-bucket-region")?;
    (redirects && is_region(region)).then(|| region.to_owned())
}

fn decide(reference: &ObjectRef, error: &SdkError<GetObjectError>) -> OpenError {
    let status = error
        .raw_response()
        .map(|response| response.status().as_u16());
    let deleted = error
        .raw_response()
        .is_some_and(|r| r.headers().get("x-amz-delete-marker") == Some("true"));
    let said =
        anyhow!("{}", told(error)).context(format!("failed to read {}", shown(&reference.url())));
    match fault(
        status,
        error.code().unwrap_or_default(),
        deleted,
        reference.version.is_some(),
    ) {
        // Built, but not sent: no credentials, no region, a bad endpoint.
        _ if matches!(error, SdkError::ConstructionFailure(_)) => OpenError::Denied(said),
        Fault::Passing => OpenError::Unavailable(said),
        Fault::Configuration => OpenError::Denied(said),
        Fault::Missing => OpenError::Lost {
            cause: Cause::ObjectMissing,
            error: said,
        },
        Fault::Archived => OpenError::Lost {
            cause: Cause::ObjectArchived,
            error: said.context(format!("restore it first: {}", restore_command(reference))),
        },
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Passing,
    Configuration,
    Missing,
    Archived,
}

/// Whether AWS says that credentials were right once: others are looked for.
pub(super) fn has_expired(code: &str) -> bool {
    matches!(
        code,
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" | "TokenRefreshRequired"
    )
}

/// One row of the table of errors each.
fn fault(status: Option<u16>, code: &str, delete_marker: bool, versioned: bool) -> Fault {
    match (status, code) {
        (_, "InvalidObjectState") => Fault::Archived,
        (_, "NoSuchKey" | "NoSuchVersion" | "KeyTooLongError") => Fault::Missing,
        (Some(404 | 405), _) if delete_marker => Fault::Missing,
        (_, "NoSuchBucket") => Fault::Configuration,
        (Some(404), _) => Fault::Missing,
        (Some(400), "InvalidArgument") if versioned => Fault::Missing,
        (
            _,
            "SlowDown"
            | "RequestTimeout"
            | "InternalError"
            | "ServiceUnavailable"
            | "Throttling"
            | "ThrottlingException"
            | "RequestLimitExceeded"
            | "KMS.ThrottlingException",
        ) => Fault::Passing,
        (_, code) if has_expired(code) => Fault::Passing,
        (_, "AccessDenied" | "InvalidToken" | "InvalidAccessKeyId") => Fault::Configuration,
        (_, code) if code.starts_with("KMS.") => Fault::Configuration,
        (Some(301 | 307 | 401 | 403), _) => Fault::Configuration,
        (Some(400), "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
            Fault::Configuration
        }
        _ => Fault::Passing,
    }
}

/// For an operator to copy; every value is quoted for a POSIX shell. Names that a terminal would not
/// show as they are do not become a command.
fn restore_command(reference: &ObjectRef) -> String {
    let plain = |text: &str| {
        text.chars()
            .all(|c| matches!(c, ' '..='~') || c.is_alphanumeric())
    };
    if !plain(&reference.key) || !reference.version.as_deref().is_none_or(plain) {
        return format!(
            "{} (its name cannot be shown in a command)",
            shown(&reference.url())
        );
    }
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let version = reference
        .version
        .as_ref()
        .map(|version| format!(" --version-id {}", quoted(version)));
    format!(
        "aws s3api restore-object --bucket {} --key {}{} --restore-request Days=7",
        quoted(&reference.bucket),
        quoted(&reference.key),
        version.unwrap_or_default()
    )
}

fn told(error: &(dyn std::error::Error + 'static)) -> String {
    shown(&DisplayErrorContext(error).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_of_s3_has_its_row() {
        use Fault::{Archived, Configuration, Missing, Passing};
        for (status, code, expected) in [
            (404, "NoSuchKey", Missing),
            (404, "NoSuchVersion", Missing),
            (404, "", Missing),
            (404, "NoSuchBucket", Configuration),
            (400, "KeyTooLongError", Missing),
            (403, "InvalidObjectState", Archived),
            (403, "AccessDenied", Configuration),
            (403, "", Configuration),
            (401, "", Configuration),
            (400, "KMS.DisabledException", Configuration),
            (400, "KMS.KMSInvalidStateException", Configuration),
            (400, "KMS.ThrottlingException", Passing),
            (400, "ExpiredToken", Passing),
            (301, "PermanentRedirect", Configuration),
            (400, "AuthorizationHeaderMalformed", Configuration),
            (400, "RequestTimeout", Passing),
            (429, "", Passing),
            (500, "InternalError", Passing),
            (502, "", Passing),
            (503, "SlowDown", Passing),
        ] {
            assert_eq!(
                fault(Some(status), code, false, false),
                expected,
                "{status} {code}"
            );
        }
        assert_eq!(fault(None, "", false, false), Passing, "no answer at all");
    }

    #[test]
    fn a_delete_marker_and_a_version_that_cannot_be_are_missing_objects() {
        assert_eq!(
            fault(Some(405), "MethodNotAllowed", true, true),
            Fault::Missing
        );
        assert_eq!(
            fault(Some(405), "MethodNotAllowed", false, true),
            Fault::Passing
        );
        assert_eq!(
            fault(Some(400), "InvalidArgument", false, true),
            Fault::Missing
        );
        assert_eq!(
            fault(Some(400), "InvalidArgument", false, false),
            Fault::Passing
        );
    }

    #[test]
    fn the_restore_command_can_be_pasted() {
        let reference = ObjectRef {
            bucket: "b".to_owned(),
            key: "it's; rm -rf".to_owned(),
            version: Some("v".to_owned()),
        };
        assert_eq!(
            restore_command(&reference),
            r"aws s3api restore-object --bucket 'b' --key 'it'\''s; rm -rf' --version-id 'v' --restore-request Days=7"
        );
    }
}
