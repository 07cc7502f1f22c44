//! Write a Sluicegate plugin in Rust.
//!
//! A plugin says which fields of which events it wants, and is then handed batches of them:
//!
//! ```
//! use sluicegate_plugin::{
//!     Batch, Field, Finding, Output, Process, Severity, Subscription, configuration, plugin,
//! };
//!
//! #[configuration]
//! #[derive(Default)]
//! #[serde(default)]
//! pub struct Config {
//!     /// Buckets that may be deleted.
//!     allowed: Vec<String>,
//! }
//!
//! #[plugin(detect)]
//! pub struct Deletions {
//!     #[config]
//!     config: Config,
//!     #[field("requestParameters.bucketName")]
//!     bucket: Field,
//! }
//!
//! impl Process for Deletions {
//!     fn configure(&mut self, wanted: &mut Subscription) -> Result<(), String> {
//!         wanted.clause().one_of("eventSource", &["s3.amazonaws.com"]).one_of("eventName", &["DeleteBucket"]);
//!         Ok(())
//!     }
//!
//!     fn process(&self, batch: &Batch<'_>, out: &mut Output) -> Result<(), String> {
//!         for row in batch.rows() {
//!             let bucket = row.str(self.bucket).unwrap_or_default();
//!             if !self.config.allowed.iter().any(|name| name == bucket) {
//!                 out.find(row, Finding::new("bucket-deleted", "A bucket was deleted", Severity::Medium).entity(bucket));
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//! # fn main() {
//! # let kit = sluicegate_plugin::testing::Kit::<Deletions>::new(r#"{"allowed":["scratch"]}"#);
//! # let delete = |name: &str| format!(r#"{{"eventSource":"s3.amazonaws.com","eventName":"DeleteBucket","requestParameters":{{"bucketName":"{name}"}}}}"#);
//! # let seen = kit.run(&[&delete("scratch"), &delete("logs")]);
//! # assert_eq!((seen.rules(0).len(), seen.rules(1)), (0, vec!["bucket-deleted"]));
//! # }
//! ```
//!
//! [`macro@plugin`] names the plugin after its package, asks for its fields and exports it; it writes an
//! implementation of [`Plugin`], which can also be written by hand. [`macro@configuration`] makes the
//! JSON Schema that the operator sees.
//!
//! Built for `wasm32-unknown-unknown` and made a component, it is ready for the host. Built for the
//! machine at hand `export!` adds nothing, so that ordinary unit tests run, with [`testing`] in the
//! place of the host.

mod batch;
#[allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated from the interface definition"
)]
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        // Of what this world imports, a component has only what its plugin calls.
        world: "stateful-plugin",
        pub_export_macro: true,
        export_macro_name: "export_component",
        default_bindings_module: "sluicegate_plugin::bindings",
    });
}
mod cache;
#[doc(hidden)]
pub mod guest;
pub mod log;
pub mod lookup;
mod output;
pub mod state;
mod subscription;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use batch::{Batch, Field, Kind, Row, Select};
pub use bindings::sluicegate::plugin::{manifest::Kind as PluginKind, types::Severity};
pub use cache::Cache;
pub use output::{Column, Finding, Output};
pub use sluicegate_plugin_macros::{configuration, plugin};
pub use subscription::{Clause, Subscription, pointer};

#[doc(hidden)]
pub use {schemars, serde};

/// A plugin: what it is, what it wants to see, and what it says of what it saw.
///
/// The host keeps one instance a worker and may replace it at any time, so nothing that is learnt from
/// one batch can be relied on in the next.
pub trait Plugin: Sized {
    /// Its name, in lower case with hyphens; what it adds to events stands under `/sluicegate/<name>`.
    const NAME: &'static str;
    /// Its version, as in its `Cargo.toml`.
    const VERSION: &'static str;
    /// Fixes when it runs and what it may do: enrich adds, detect finds, redact masks and finds,
    /// filter drops.
    const KIND: PluginKind;

    /// What the operator may set.
    type Config: serde::de::DeserializeOwned + schemars::JsonSchema;

    /// JSON Schema of [`Plugin::Config`].
    #[must_use]
    fn schema() -> String {
        schemars::schema_for!(Self::Config).to_value().to_string()
    }

    /// Takes the configuration and answers with the plugin and what it wants to see.
    ///
    /// # Errors
    /// What is wrong with the configuration, for the operator to read.
    fn configure(config: Self::Config) -> Result<(Self, Subscription), String>;

    /// Looks at a batch of events.
    ///
    /// # Errors
    /// What went wrong; the host then counts the batch as one that this plugin could not judge.
    fn process(&self, batch: &Batch<'_>, out: &mut Output) -> Result<(), String>;
}

/// What a plugin under [`macro@plugin`] does. Its fields and its configuration are set when it starts.
pub trait Process {
    /// Checks the configuration and says which events are wanted; without a clause every event is.
    ///
    /// # Errors
    /// What is wrong with the configuration, for the operator to read.
    fn configure(&mut self, wanted: &mut Subscription) -> Result<(), String> {
        let _ = wanted;
        Ok(())
    }

    /// Looks at a batch of events.
    ///
    /// # Errors
    /// What went wrong; the host then counts the batch as one that this plugin could not judge.
    fn process(&self, batch: &Batch<'_>, out: &mut Output) -> Result<(), String>;
}

/// The configuration of a plugin that has none.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// Whether a plugin may be called so; the host asks the same.
#[doc(hidden)]
#[must_use]
pub const fn is_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let mut position = 0;
    while position < bytes.len() {
        if !matches!(bytes[position], b'a'..=b'z' | b'0'..=b'9' | b'-') {
            return false;
        }
        position += 1;
    }
    !bytes.is_empty() && bytes.len() <= 64
}

/// Makes a [`Plugin`] what the host calls. Does nothing unless built for `wasm32`.
#[macro_export]
macro_rules! export {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;

            ::std::thread_local! {
                static SLOT: $crate::guest::Slot<$plugin> = const { $crate::guest::Slot::empty() };
            }

            impl $crate::bindings::Guest for Component {
                fn describe() -> $crate::bindings::Description {
                    $crate::guest::describe::<$plugin>()
                }

                fn configure(
                    json: ::std::string::String,
                ) -> ::std::result::Result<$crate::bindings::Subscription, ::std::string::String>
                {
                    SLOT.with(|slot| slot.configure(&json))
                }

                fn process(
                    batch: $crate::bindings::Batch,
                ) -> ::std::result::Result<$crate::bindings::Outcome, ::std::string::String>
                {
                    SLOT.with(|slot| slot.process(&batch))
                }
            }

    $crate::bindings::export_component!(Component with_types_in $crate::bindings);
        };
    };
}
