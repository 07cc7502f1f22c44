//! Write a Sluicegate plugin in Rust.
//!
//! A plugin says which fields of which events it wants, and is then handed batches of them:
//!
//! ```
//! use sluicegate_plugin::{Batch, Field, Finding, Output, Plugin, PluginKind, Severity, Subscription};
//!
//! struct Deletions {
//!     bucket: Field,
//! }
//!
//! impl Plugin for Deletions {
//!     const NAME: &'static str = "deletions";
//!     const VERSION: &'static str = "1.0.0";
//!     const KIND: PluginKind = PluginKind::Detect;
//!     type Config = sluicegate_plugin::NoConfig;
//!
//!     fn configure(_: Self::Config) -> Result<(Self, Subscription), String> {
//!         let mut wanted = Subscription::new();
//!         let bucket = wanted.field("requestParameters.bucketName");
//!         wanted.clause().one_of("eventSource", &["s3.amazonaws.com"]).one_of("eventName", &["DeleteBucket"]);
//!         Ok((Self { bucket }, wanted))
//!     }
//!
//!     fn process(&self, batch: &Batch<'_>, out: &mut Output) -> Result<(), String> {
//!         for row in batch.rows() {
//!             let bucket = row.str(self.bucket).unwrap_or_default();
//!             out.find(row, Finding::new("bucket-deleted", "A bucket was deleted", Severity::Medium).entity(bucket));
//!         }
//!         Ok(())
//!     }
//! }
//!
//! sluicegate_plugin::export!(Deletions);
//! ```
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
pub use output::{Column, Finding, Output};
pub use subscription::{Clause, Subscription, pointer};

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
    /// JSON Schema of [`Plugin::Config`].
    const CONFIGURATION: &'static str = r#"{"type":"object","additionalProperties":false}"#;

    /// What the operator may set.
    type Config: serde::de::DeserializeOwned;

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

/// The configuration of a plugin that has none.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

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
