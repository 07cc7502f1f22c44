//! The store under a prefix of a bucket: what a fleet shares.

use anyhow::{Context as _, anyhow};
use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_s3::{
    Client,
    error::{DisplayErrorContext, ProvideErrorMetadata as _},
};
use bytes::Bytes;

use super::Backend;
use crate::text::shown;

/// S3 hands out no more names in one answer.
const PAGE: usize = 1_000;

/// Blobs under `s3://bucket/prefix/`.
#[derive(Debug)]
pub struct S3 {
    client: Client,
    bucket: String,
    owner: String,
    prefix: String,
}

impl S3 {
    /// Keeps blobs in this bucket, which must belong to the account `owner` (twelve digits). `prefix`
    /// is put before each name with a slash between them; it may be empty. Asked path-style when
    /// `path_style` is set, as test servers need it.
    #[must_use]
    pub fn new(
        config: &SdkConfig,
        bucket: &str,
        owner: &str,
        prefix: &str,
        path_style: bool,
    ) -> Self {
        let config = aws_sdk_s3::config::Builder::from(config)
            .force_path_style(path_style)
            .build();
        let prefix = prefix.trim_matches('/');
        Self {
            client: Client::from_conf(config),
            bucket: bucket.to_owned(),
            owner: owner.to_owned(),
            prefix: if prefix.is_empty() {
                String::new()
            } else {
                format!("{prefix}/")
            },
        }
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn told(&self, error: &(dyn std::error::Error + 'static)) -> anyhow::Error {
        anyhow!("{}", shown(&DisplayErrorContext(error).to_string()))
            .context(format!("bucket {}", self.bucket))
    }
}

#[async_trait]
impl Backend for S3 {
    async fn put(&self, name: &str, body: Bytes) -> anyhow::Result<()> {
        let request = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(self.key(name))
            .body(body.into());
        let request = request
            .expected_bucket_owner(&self.owner)
            .content_type("application/json");
        request
            .send()
            .await
            .map_err(|error| self.told(&error))
            .map(|_| ())
    }

    async fn get(&self, name: &str) -> anyhow::Result<Option<Bytes>> {
        let request = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(self.key(name));
        match request.expected_bucket_owner(&self.owner).send().await {
            Ok(output) => {
                let body = output
                    .body
                    .collect()
                    .await
                    .with_context(|| format!("failed to read {name} to its end"))?;
                Ok(Some(body.into_bytes()))
            }
            Err(error) if error.code() == Some("NoSuchKey") => Ok(None),
            Err(error) => Err(self.told(&error)),
        }
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> anyhow::Result<Vec<String>> {
        let mut names = Vec::new();
        let mut token = None;
        while names.len() < limit {
            let page = (limit - names.len()).min(PAGE);
            let request = self
                .client
                .list_objects_v2()
                .bucket(&self.bucket)
                .expected_bucket_owner(&self.owner);
            let request = request
                .prefix(self.key(prefix))
                .delimiter("/")
                .max_keys(i32::try_from(page)?);
            let request = request
                .set_start_after(after.map(|name| self.key(name)))
                .set_continuation_token(token);
            let answer = request.send().await.map_err(|error| self.told(&error))?;
            let keys = answer
                .contents
                .unwrap_or_default()
                .into_iter()
                .filter_map(|blob| blob.key);
            names.extend(keys.filter_map(|key| key.strip_prefix(&self.prefix).map(str::to_owned)));
            token = answer.next_continuation_token;
            if token.is_none() {
                break;
            }
        }
        Ok(names)
    }

    async fn delete(&self, name: &str) -> anyhow::Result<()> {
        let request = self
            .client
            .delete_object()
            .bucket(&self.bucket)
            .key(self.key(name));
        let request = request.expected_bucket_owner(&self.owner);
        request
            .send()
            .await
            .map_err(|error| self.told(&error))
            .map(|_| ())
    }
}
