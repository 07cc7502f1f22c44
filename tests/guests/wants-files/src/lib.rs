//! A guest that imports what no plugin is given.

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
            package wasi:filesystem@0.2.0;

            interface types {
                remove: func(path: string);
            }

            world wants-files {
                import types;
                export describe: func();
            }
        ",
    });
    export!(Plugin);
}

struct Plugin;

impl bindings::Guest for Plugin {
    fn describe() {
        bindings::wasi::filesystem::types::remove("/etc/passwd");
    }
}
