//! A guest made for a later version of the interface.

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

    wit_bindgen::generate!({
        inline: "
            package sluicegate:plugin@0.2.0;

            interface log {
                write: func(message: string);
            }

            world plugin {
                import log;
                export describe: func();
            }
        ",
    });
    export!(Plugin);
}

struct Plugin;

impl bindings::Guest for Plugin {
    fn describe() {
        bindings::sluicegate::plugin::log::write("hello");
    }
}
