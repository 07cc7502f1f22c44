//! A guest that cannot even say what it is.

#[allow(
    missing_docs,
    unsafe_code,
    unreachable_pub,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]
mod bindings {
    use super::Plugin;

    wit_bindgen::generate!({ path: "../../../wit", world: "plugin" });
    export!(Plugin);
}

use bindings::sluicegate::plugin::{
    manifest::{Description, Subscription},
    types::{Batch, Outcome},
};

struct Plugin;

impl bindings::Guest for Plugin {
    fn describe() -> Description {
        panic!("as told")
    }

    fn configure(_json: String) -> Result<Subscription, String> {
        Err("never gets here".to_owned())
    }

    fn process(_batch: Batch) -> Result<Outcome, String> {
        Err("never gets here".to_owned())
    }
}
