//! The glue between the generated bindings and a [`Plugin`]; used by `export!` and the test kit.

use std::cell::RefCell;

use crate::{
    Batch, Output, Plugin,
    bindings::{Batch as RawBatch, Description, Outcome, Subscription as RawSubscription},
};

/// What `describe` answers.
#[must_use]
pub fn describe<P: Plugin>() -> Description {
    Description {
        name: P::NAME.to_owned(),
        version: P::VERSION.to_owned(),
        kind: P::KIND,
        configuration: P::schema(),
    }
}

/// A plugin with the fields it asked for.
#[derive(Debug)]
pub struct Configured<P> {
    plugin: P,
    fields: Vec<String>,
}

impl<P: Plugin> Configured<P> {
    /// Configures a plugin. Nothing at all means the empty object.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(json: &str) -> Result<(Self, RawSubscription), String> {
        let json = if json.trim().is_empty() { "{}" } else { json };
        let config = serde_json::from_str(json)
            .map_err(|error| format!("failed to read the configuration: {error}"))?;
        let (plugin, subscription) = P::configure(config)?;
        let raw = subscription.into_raw();
        Ok((
            Self {
                plugin,
                fields: raw.fields.clone(),
            },
            raw,
        ))
    }

    /// Hands a batch to the plugin.
    ///
    /// # Errors
    /// What the plugin says went wrong, or that the batch does not have the columns asked for.
    pub fn process(&self, batch: &RawBatch) -> Result<Outcome, String> {
        if batch.columns.len() != self.fields.len() {
            return Err(format!(
                "got {} columns for {} fields",
                batch.columns.len(),
                self.fields.len()
            ));
        }
        let mut out = Output::new(P::NAME, batch.rows);
        self.plugin
            .process(&Batch::new(batch, &self.fields), &mut out)?;
        Ok(out.into_raw())
    }
}

/// Where a component keeps its plugin between calls.
#[derive(Debug)]
pub struct Slot<P>(RefCell<Option<Configured<P>>>);

impl<P: Plugin> Slot<P> {
    /// A slot before `configure`.
    #[must_use]
    pub const fn empty() -> Self {
        Self(RefCell::new(None))
    }

    /// See [`Configured::new`].
    ///
    /// # Errors
    /// What is wrong with the configuration; the slot keeps what it had.
    pub fn configure(&self, json: &str) -> Result<RawSubscription, String> {
        let (configured, subscription) = Configured::new(json)?;
        *self.0.borrow_mut() = Some(configured);
        Ok(subscription)
    }

    /// See [`Configured::process`].
    ///
    /// # Errors
    /// Also when nothing was configured yet.
    pub fn process(&self, batch: &RawBatch) -> Result<Outcome, String> {
        match &*self.0.borrow() {
            Some(configured) => configured.process(batch),
            None => Err("process was called before configure".to_owned()),
        }
    }
}
