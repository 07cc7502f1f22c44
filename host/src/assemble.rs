//! From a checked configuration to the parts of a pipeline.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;

use crate::{
    clock,
    config::{
        Config, Ledger as LedgerSection, LedgerKind, SinkKind, Source as SourceSection,
        Store as StoreSection,
    },
    ledger::{Ledger, Sqlite, Windows, windows::SqliteWindows},
    lookup::Tables,
    pipeline::{Plan, SinkPlan},
    plugin::{self, Engine, Loader, Services},
    sink::{Guarantee, Sink},
    source::{Source, notification::Trust},
    store::{Backend, Folder, Store},
};

/// Makes everything that a configuration names: opens the source, the sinks, the ledger and the store,
/// compiles the plugins and reads the secrets.
///
/// # Errors
/// Names the section that cannot be made and says why.
pub async fn plan(config: &Config, loader: &Loader) -> anyhow::Result<Plan> {
    let (mut plugins, mut shadows) = (Vec::new(), Vec::new());
    for (name, settings) in &config.plugins {
        let (result, place) = if settings.shadow {
            (loader.load_shadow(name, settings), &mut shadows)
        } else {
            (loader.load(name, settings), &mut plugins)
        };
        match result {
            Ok(plugin) => place.push(plugin),
            Err(error) if settings.may_be_missing() => {
                let error = crate::text::shown(&format!("{error:#}"));
                tracing::error!(plugin = name, error, "the host starts without a plugin");
            }
            Err(error) => return Err(error),
        }
    }
    let masker = config
        .redaction
        .masker()
        .context("failed to set up redaction")?;
    let sinks = sinks(config).await?;
    for sink in in_the_clear(config) {
        tracing::warn!(
            sink,
            "what goes to the sink is not encrypted: it is reached by plain HTTP"
        );
    }
    let store = store(&config.store).await?;
    let ledger = ledger(&config.ledger).await?;
    for plugin in counted_apart(config) {
        tracing::warn!(
            plugin,
            "a plugin counts what this host sees and nothing else, although hosts share the ledger"
        );
    }
    let (source, trust) = source(config).await?;
    Ok(Plan {
        source,
        trust,
        plugins,
        shadows,
        reload: config.reload.clone(),
        masker,
        sinks,
        ledger,
        store,
        settings: config.limits.clone(),
        findings: config.findings.clone(),
        clock: clock::system(),
    })
}

/// What loads the plugins of a configuration.
///
/// # Errors
/// When the folder for compiled plugins cannot be used, a public key or a table not be read, or the file
/// of windows not be opened.
pub fn loader(config: &Config) -> anyhow::Result<Loader> {
    loader_with(config, services(config)?)
}

/// The same for those who try plugins on old events: with tables, and with windows of their own in memory.
///
/// # Errors
/// As [`loader`].
pub fn trial_loader(config: &Config) -> anyhow::Result<Loader> {
    let services = Services {
        windows: None,
        tables: tables(config)?,
    };
    loader_with(config, services.in_scratch()?)
}

/// The same without what plugins reach through the host, for those who only look at them.
///
/// # Errors
/// As [`loader`].
pub fn offline_loader(config: &Config) -> anyhow::Result<Loader> {
    loader_with(config, Services::default())
}

fn loader_with(config: &Config, services: Services) -> anyhow::Result<Loader> {
    let signers = config.trust.signers().context("failed to set up trust")?;
    let engine = Engine::new(Some(config.plugin_cache.path.clone()))?
        .with_memory_budget(config.limits.plugin_memory_bytes)
        .with_services(services);
    Ok(Loader::new(engine, signers).with_python(config.python.clone()))
}

/// Opens what plugins reach through the host: windows where there are plugins, tables where there are any. A
/// thread looks after the tables' files for as long as a plugin is loaded.
///
/// # Errors
/// When the file of the windows cannot be opened, or a table cannot be read.
pub fn services(config: &Config) -> anyhow::Result<Services> {
    // A plugin that does not count now may do so after a reload.
    let windows = (!config.plugins.is_empty()).then(|| {
        let path = config.ledger.windows_path();
        make_folder_of(&path)?;
        SqliteWindows::open(&path)
    });
    let windows: Option<Arc<dyn Windows>> = match windows.transpose()? {
        Some(windows) => Some(Arc::new(windows)),
        None => None,
    };
    Ok(Services {
        windows,
        tables: tables(config)?,
    })
}

fn tables(config: &Config) -> anyhow::Result<Option<Arc<Tables>>> {
    if config.tables.is_empty() {
        return Ok(None);
    }
    let tables = Arc::new(Tables::load(&config.tables)?);
    tables.watch()?;
    Ok(Some(tables))
}

/// Connects to the source; with it the buckets that its notifications may name.
///
/// # Errors
/// When the source cannot be reached or opened.
pub async fn source(config: &Config) -> anyhow::Result<(Arc<dyn Source>, Trust)> {
    match &config.source {
        #[cfg(feature = "sqs")]
        SourceSection::Sqs(settings) => {
            let sqs = crate::source::sqs::Sqs::connect(settings)
                .await
                .context("failed to connect to the source")?;
            Ok((Arc::new(sqs), settings.trust()))
        }
        #[cfg(feature = "directory")]
        SourceSection::Directory(settings) => {
            let directory = crate::source::directory::Directory::open_folder(settings)
                .context("failed to open the source")?;
            Ok((Arc::new(directory), Trust::new([settings.bucket.as_str()])))
        }
    }
}

/// Makes the sinks, without asking any of them anything.
///
/// # Errors
/// Names the sink; most often its secret cannot be read.
pub async fn sinks(config: &Config) -> anyhow::Result<Vec<SinkPlan>> {
    let mut sinks = Vec::new();
    for (name, section) in &config.sinks {
        let sink = sink(&section.kind, &section.delivery)
            .await
            .with_context(|| format!("failed to set up sinks.{name}"))?;
        sinks.push(SinkPlan {
            name: name.clone(),
            sink,
            accept: section.kind.accept().to_vec(),
            clauses: section.clauses.clone(),
            delivery: section.delivery.clone(),
            egress_guard: section.egress_guard,
        });
    }
    Ok(sinks)
}

#[cfg_attr(
    not(feature = "security-hub"),
    allow(clippy::unused_async, reason = "only this sink waits")
)]
async fn sink(
    kind: &SinkKind,
    delivery: &crate::sink::delivery::Settings,
) -> anyhow::Result<Arc<dyn Sink>> {
    Ok(match kind {
        #[cfg(feature = "splunk-hec")]
        SinkKind::SplunkHec(settings) => {
            let settings = crate::sink::splunk_hec::Settings {
                delivery: delivery.clone(),
                ..settings.clone()
            };
            Arc::new(crate::sink::splunk_hec::SplunkHec::new(&settings)?)
        }
        #[cfg(feature = "datadog-logs")]
        SinkKind::DatadogLogs(settings) => {
            Arc::new(crate::sink::datadog_logs::DatadogLogs::new(settings)?)
        }
        #[cfg(feature = "security-hub")]
        SinkKind::SecurityHub(settings) => {
            let region = aws_config::Region::new(settings.region.clone());
            let aws = aws_config::defaults(aws_config::BehaviorVersion::latest())
                .region(region)
                .load()
                .await;
            Arc::new(crate::sink::security_hub::SecurityHub::new(settings, &aws)?)
        }
        #[cfg(feature = "file")]
        SinkKind::File(settings) => Arc::new(crate::sink::file::FileSink::new(settings)),
    })
}

/// Opens the ledger: its file, or the table that hosts share.
///
/// # Errors
/// When its file or folder cannot be made, or the table cannot be asked or has other keys.
#[cfg_attr(
    not(feature = "dynamodb"),
    allow(clippy::unused_async, reason = "only a table is waited for")
)]
pub async fn ledger(section: &LedgerSection) -> anyhow::Result<Arc<dyn Ledger>> {
    match section.kind {
        LedgerKind::Sqlite => {
            let path = &section.path;
            make_folder_of(path)?;
            let ledger = Sqlite::open(path)
                .with_context(|| format!("failed to open ledger {}", path.display()))?;
            Ok(Arc::new(ledger.keeping(section.keep())))
        }
        #[cfg(feature = "dynamodb")]
        LedgerKind::Dynamodb => Ok(Arc::new(table(section).await?)),
    }
}

/// Connects to the table that hosts share.
///
/// # Errors
/// When it cannot be asked or has other keys.
#[cfg(feature = "dynamodb")]
pub async fn table(section: &LedgerSection) -> anyhow::Result<crate::ledger::dynamodb::DynamoDb> {
    let settings = crate::ledger::dynamodb::Settings {
        table: section.table.clone().unwrap_or_default(),
        region: section.region.clone().unwrap_or_default(),
        endpoint_url: section.endpoint_url.clone(),
        keep: section.keep(),
    };
    crate::ledger::dynamodb::DynamoDb::connect(&settings)
        .await
        .context("failed to open the ledger")
}

/// What counts over windows although every host that shares the ledger counts for itself alone.
#[must_use]
pub fn counted_apart(config: &Config) -> Vec<&str> {
    let counts = |(_, plugin): &(&String, &plugin::Settings)| plugin.grants.state;
    let plugins = config.plugins.iter().filter(counts);
    match config.ledger.kind {
        LedgerKind::Sqlite => Vec::new(),
        #[cfg(feature = "dynamodb")]
        LedgerKind::Dynamodb => plugins.map(|(name, _)| name.as_str()).collect(),
    }
}

/// The sinks that are reached by plain HTTP beyond loopback.
#[must_use]
pub fn in_the_clear(config: &Config) -> Vec<&str> {
    let sinks = config.sinks.iter();
    sinks
        .filter(|(_, sink)| sink.kind.in_the_clear())
        .map(|(name, _)| name.as_str())
        .collect()
}

/// The sinks that lose what they do not take.
#[must_use]
pub fn best_effort(config: &Config) -> Vec<&str> {
    let sinks = config.sinks.iter();
    sinks
        .filter(|(_, sink)| sink.delivery.guarantee == Guarantee::BestEffort)
        .map(|(name, _)| name.as_str())
        .collect()
}

fn make_folder_of(path: &Path) -> anyhow::Result<()> {
    match path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        Some(folder) => std::fs::create_dir_all(folder)
            .with_context(|| format!("failed to make {}", folder.display())),
        None => Ok(()),
    }
}

/// Opens the store of dead letters and pending references.
///
/// # Errors
/// When its folder cannot be made, or this build has no S3.
#[cfg_attr(
    not(feature = "sqs"),
    allow(clippy::unused_async, reason = "only a bucket is waited for")
)]
pub async fn store(section: &StoreSection) -> anyhow::Result<Arc<Store>> {
    let backend: Arc<dyn Backend> = match section.folder() {
        Some(folder) => {
            let opened = Folder::open(folder);
            Arc::new(opened.with_context(|| format!("failed to open store {}", folder.display()))?)
        }
        #[cfg(feature = "sqs")]
        None => Arc::new(bucket(section).await),
        #[cfg(not(feature = "sqs"))]
        None => anyhow::bail!("a store in a bucket needs a build with the feature `sqs`"),
    };
    Ok(Arc::new(Store::new(backend)))
}

#[cfg(feature = "sqs")]
async fn bucket(section: &StoreSection) -> crate::store::S3 {
    let mut loader = aws_config::defaults(aws_config::BehaviorVersion::latest());
    if let Some(region) = section.region.clone() {
        loader = loader.region(aws_config::Region::new(region));
    }
    if let Some(url) = &section.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    let bucket = section.bucket.as_deref().unwrap_or_default();
    let owner = section.owner.as_deref().unwrap_or_default();
    crate::store::S3::new(
        &loader.load().await,
        bucket,
        owner,
        &section.prefix,
        section.endpoint_url.is_some(),
    )
}
