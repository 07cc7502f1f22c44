//! AWS servers for tests: moto and ministack, two independent implementations, each a process of its
//! own that is killed when its handle is dropped.

use std::{
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TimeToLiveSpecification,
};
use aws_sdk_s3::{config::Credentials, primitives::ByteStream};
use aws_sdk_sqs::types::QueueAttributeName;
use serde::Deserialize;
use sluicegate::source::sqs::{BucketSettings, Settings, Sqs};

const REGION: &str = "eu-west-1";

/// A running server, and clients for it.
pub struct Aws {
    server: Child,
    url: String,
    config: SdkConfig,
    dynamodb: aws_sdk_dynamodb::Client,
    s3: aws_sdk_s3::Client,
    sqs: aws_sdk_sqs::Client,
}

/// A bucket, and the queue on which its objects are announced.
#[derive(Clone, Debug, Deserialize)]
pub struct Wired {
    /// Name of the bucket.
    pub bucket: String,
    /// Account that owns it.
    pub owner: String,
    /// Address of the queue.
    pub queue_url: String,
    /// ARN of the topic, where one is on the way (or takes alerts, in the deployed stack).
    pub topic_arn: Option<String>,
    /// Bucket for dead letters; the deployed stack only.
    #[serde(default)]
    pub state_bucket: Option<String>,
    /// Where SQS sets messages aside; the deployed stack only.
    #[serde(default)]
    pub dead_letter_queue_url: Option<String>,
    /// Resources that were created; the deployed stack only.
    #[serde(default)]
    pub resources: Vec<String>,
}

/// Messages in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// To be received now.
    pub visible: u32,
    /// Received, neither deleted nor visible again.
    pub in_flight: u32,
}

impl Aws {
    /// Starts moto.
    ///
    /// # Panics
    /// When it does not answer; says how to install it.
    pub async fn start() -> Self {
        Self::try_start("moto", |port| {
            let mut command = Command::new(tool("moto_server"));
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
            command
        })
        .await
        .expect("moto must start; `make venv` installs it")
    }

    /// Starts moto so that it answers one request after the other: it looks at the condition of a write and
    /// writes without a lock between, so that two writes at once may both find it true.
    ///
    /// # Panics
    /// When it does not answer; says how to install it.
    pub async fn start_in_turn() -> Self {
        const IN_TURN: &str = "
import sys, moto.server
serve = moto.server.run_simple
moto.server.run_simple = lambda *args, **options: serve(*args, **{**options, 'threaded': False})
moto.server.main(sys.argv[1:])
";
        Self::try_start("moto", |port| {
            let mut command = Command::new(tool("python"));
            command.args(["-c", IN_TURN, "-H", "127.0.0.1", "-p", &port.to_string()]);
            command
        })
        .await
        .expect("moto must start; `make venv` installs it")
    }

    /// Starts ministack.
    ///
    /// # Panics
    /// When it does not answer; says how to install it.
    pub async fn start_ministack() -> Self {
        Self::try_start("ministack", |port| {
            let mut command = Command::new(tool("ministack"));
            command
                .env("GATEWAY_PORT", port.to_string())
                .env("MINISTACK_PORT", port.to_string());
            command
        })
        .await
        .expect("ministack must start; `make venv` installs it")
    }

    async fn try_start(name: &str, command: impl Fn(u16) -> Command) -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let logs = root().join("target/tmp");
        std::fs::create_dir_all(&logs)?;
        let log = File::create(logs.join(format!("{name}-{port}.log")))?;
        let server = command(port)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("failed to start {name}"))?;
        let url = format!("http://127.0.0.1:{port}");
        let config = config(&url).await;
        let s3_config = aws_sdk_s3::config::Builder::from(&config)
            .force_path_style(true)
            .build();
        let mut aws = Self {
            server,
            dynamodb: aws_sdk_dynamodb::Client::new(&config),
            s3: aws_sdk_s3::Client::from_conf(s3_config),
            sqs: aws_sdk_sqs::Client::new(&config),
            config,
            url,
        };
        aws.answers().await?;
        Ok(aws)
    }

    async fn answers(&mut self) -> anyhow::Result<()> {
        for _ in 0..300 {
            ensure!(
                self.server.try_wait()?.is_none(),
                "the server ended by itself; see target/tmp"
            );
            if self.s3.list_buckets().send().await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("the server does not answer; see target/tmp")
    }

    /// The server's address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Configuration for further clients: endpoint, region and credentials of the server.
    #[must_use]
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// Client of `DynamoDB`.
    #[must_use]
    pub fn dynamodb(&self) -> &aws_sdk_dynamodb::Client {
        &self.dynamodb
    }

    /// Makes a table for the ledger.
    ///
    /// # Panics
    /// When `DynamoDB` refuses.
    pub async fn ledger_table(&self, name: &str) {
        self.table(name, &["pk"], Some(&["due", "due_ms"])).await;
        let expiry = TimeToLiveSpecification::builder()
            .attribute_name("expires")
            .enabled(true)
            .build()
            .expect("it is complete");
        let request = self.dynamodb.update_time_to_live().table_name(name);
        let request = request.time_to_live_specification(expiry);
        request.send().await.expect("items expire");
    }

    /// Makes a table with these keys, and an index called `owed` with those; `due_ms` is a number.
    ///
    /// # Panics
    /// When `DynamoDB` refuses.
    pub async fn table(&self, name: &str, keys: &[&str], index: Option<&[&str]>) {
        let schema = |keys: &[&str]| -> Vec<KeySchemaElement> {
            let kinds = [KeyType::Hash, KeyType::Range];
            let keys = keys.iter().zip(kinds).map(|(name, kind)| {
                let key = KeySchemaElement::builder().attribute_name(*name);
                key.key_type(kind).build().expect("it is complete")
            });
            keys.collect()
        };
        let attributes = keys.iter().chain(index.unwrap_or_default()).map(|name| {
            let number = *name == "due_ms";
            AttributeDefinition::builder()
                .attribute_name(*name)
                .attribute_type(if number {
                    ScalarAttributeType::N
                } else {
                    ScalarAttributeType::S
                })
                .build()
                .expect("it is complete")
        });
        let indexes = index.map(|keys| {
            let keys_only = Projection::builder().projection_type(ProjectionType::KeysOnly);
            GlobalSecondaryIndex::builder()
                .index_name("owed")
                .set_key_schema(Some(schema(keys)))
                .projection(keys_only.build())
                .build()
                .expect("it is complete")
        });
        let request = self.dynamodb.create_table().table_name(name);
        let request = request
            .billing_mode(BillingMode::PayPerRequest)
            .set_attribute_definitions(Some(attributes.collect()))
            .set_key_schema(Some(schema(keys)))
            .set_global_secondary_indexes(indexes.map(|index| vec![index]));
        request.send().await.expect("DynamoDB makes the table");
    }

    /// Client of S3.
    #[must_use]
    pub fn s3(&self) -> &aws_sdk_s3::Client {
        &self.s3
    }

    /// Client of SQS.
    #[must_use]
    pub fn sqs(&self) -> &aws_sdk_sqs::Client {
        &self.sqs
    }

    /// Makes a bucket and a queue called `name`, wired in one of the ways: `sqs`, `sns`, `sns-raw`,
    /// `eventbridge`, `cloudtrail` (a topic that the test publishes to), or `none`.
    pub async fn wire(&self, kind: &str, name: &str) -> Wired {
        self.script(&["wire", kind, name]).await
    }

    /// Publishes to a topic.
    pub async fn publish(&self, topic_arn: &str, message: &str) {
        let _empty: serde_json::Value = self.script(&["publish", topic_arn, message]).await;
    }

    /// Deploys the `CloudFormation` stack for the environment `test`.
    pub async fn deploy(&self) -> Wired {
        let template = root().join("deploy/cloudformation.yaml");
        self.script(&["deploy", &template.display().to_string(), "test"])
            .await
    }

    async fn script<T: serde::de::DeserializeOwned>(&self, arguments: &[&str]) -> T {
        let output = tokio::process::Command::new(tool("python"))
            .arg(root().join("tests/aws/aws.py"))
            .arg(&self.url)
            .args(arguments)
            .output()
            .await
            .expect("python is in .venv");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "aws.py {arguments:?} failed: {errors}"
        );
        serde_json::from_slice(&output.stdout).expect("aws.py prints JSON")
    }

    /// What the host is configured with for this bucket and queue.
    #[must_use]
    pub fn settings(&self, wired: &Wired) -> Settings {
        let bucket = BucketSettings::new(&wired.bucket, &wired.owner);
        Settings {
            endpoint_url: Some(self.url.clone()),
            wait_s: 1,
            ..Settings::new(&wired.queue_url, REGION, vec![bucket])
        }
    }

    /// The host's source for this bucket and queue.
    ///
    /// # Panics
    /// When the queue cannot be asked.
    pub async fn source(&self, wired: &Wired) -> Sqs {
        Sqs::with_config(&self.settings(wired), &self.config)
            .await
            .expect("the queue answers")
    }

    /// Writes an object; its version, where the bucket has versions.
    ///
    /// # Panics
    /// When S3 refuses.
    pub async fn put_object(
        &self,
        bucket: &str,
        key: &str,
        body: impl Into<ByteStream>,
    ) -> Option<String> {
        let request = self
            .s3
            .put_object()
            .bucket(bucket)
            .key(key)
            .body(body.into());
        let output = request.send().await.expect("S3 takes the object");
        output.version_id
    }

    /// Puts a message into a queue.
    ///
    /// # Panics
    /// When SQS refuses.
    pub async fn send_message(&self, queue_url: &str, body: &str) {
        let request = self
            .sqs
            .send_message()
            .queue_url(queue_url)
            .message_body(body);
        request.send().await.expect("SQS takes the message");
    }

    /// How many messages are in a queue.
    ///
    /// # Panics
    /// When SQS does not tell.
    pub async fn depth(&self, queue_url: &str) -> Depth {
        let (visible, in_flight) = (
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        );
        let request = self
            .sqs
            .get_queue_attributes()
            .queue_url(queue_url)
            .attribute_names(QueueAttributeName::All);
        let attributes = request
            .send()
            .await
            .expect("the queue answers")
            .attributes
            .unwrap_or_default();
        let number = |name| {
            attributes
                .get(&name)
                .and_then(|text| text.parse().ok())
                .expect("a number")
        };
        Depth {
            visible: number(visible),
            in_flight: number(in_flight),
        }
    }

    /// Takes every message out of a queue.
    ///
    /// # Panics
    /// When SQS refuses.
    pub async fn purge(&self, queue_url: &str) {
        self.sqs
            .purge_queue()
            .queue_url(queue_url)
            .send()
            .await
            .expect("the queue is emptied");
    }

    /// Waits until nothing is in the queue, neither visible nor in flight; ten seconds at the most.
    ///
    /// # Panics
    /// When something is left.
    pub async fn queue_is_empty(&self, queue_url: &str) {
        let mut depth = self.depth(queue_url).await;
        for _ in 0..100 {
            if depth
                == (Depth {
                    visible: 0,
                    in_flight: 0,
                })
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            depth = self.depth(queue_url).await;
        }
        panic!("messages are left: {depth:?}");
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        // It may have ended by itself; nothing is left to be done then.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

async fn config(url: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
        .endpoint_url(url)
        .load()
        .await
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests lie in the workspace")
}

fn tool(name: &str) -> PathBuf {
    root().join(".venv/bin").join(name)
}
