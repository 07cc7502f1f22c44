//! Components written by hand, instruction by instruction: what no compiler makes.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::host::root;

/// A core module that is a well-behaved plugin called `crafted` of kind detect, but for the parts that a
/// test replaces. It asks for no column and never finds anything; with a batch of 13 rows it does `evil`.
#[derive(Clone, Copy, Debug)]
pub struct Module<'a> {
    /// More of the module's fields: tables, functions, imports.
    pub fields: &'a str,
    /// The memory's size in pages of 64 KiB.
    pub pages: u32,
    /// The body of `cabi_realloc`, by which the host gets room for what it hands over. The locals `$size`
    /// and `$next` are the bytes wanted and the next free address.
    pub realloc: &'a str,
    /// What `configure` does before it answers; the address of its answer stands at 128.
    pub configure: &'a str,
    /// What `process` does with 13 rows; leaves the address of its answer on the stack.
    pub evil: &'a str,
}

impl Default for Module<'_> {
    fn default() -> Self {
        Self {
            fields: "",
            pages: 2,
            realloc: "(global.set $next (i32.add (global.get $next) (i32.and (i32.add (local.get $size) (i32.const 15)) (i32.const -8))))
                      (i32.sub (global.get $next) (i32.and (i32.add (local.get $size) (i32.const 15)) (i32.const -8)))",
            configure: "",
            evil: "(i32.const 128)",
        }
    }
}

impl Module<'_> {
    /// The component.
    ///
    /// # Panics
    /// When the parts do not make a module.
    #[must_use]
    pub fn component(&self) -> Vec<u8> {
        let mut module = wat::parse_str(self.text()).expect("the parts are WebAssembly");
        let mut resolve = Resolve::default();
        let (package, _) = resolve
            .push_path(root().join("wit"))
            .expect("the interface can be read");
        let world = resolve
            .select_world(&[package], Some("plugin"))
            .expect("the interface has this world");
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
            .expect("the interface can be written");
        ComponentEncoder::default()
            .module(&module)
            .and_then(ComponentEncoder::encode)
            .expect("the module fits the interface")
    }

    /// At 64 stands the description, at 128 an answer of nothing.
    fn text(&self) -> String {
        format!(
            r#"(module
  {fields}
  (memory (export "memory") {pages})
  (global $next (mut i32) (i32.const 1024))
  (data (i32.const 16) "crafted\00\00\00\00\00\00\00\00\001.0.0")
  (data (i32.const 64) "\10\00\00\00\07\00\00\00\20\00\00\00\05\00\00\00\01")
  (func (export "cabi_realloc") (param $old i32) (param $was i32) (param $align i32) (param $size i32) (result i32)
    {realloc})
  (func (export "describe") (result i32) (i32.const 64))
  (func (export "configure") (param $json i32) (param $length i32) (result i32)
    {configure}
    (i32.const 128))
  (func (export "process") (param $rows i32) (param $now i64) (param $columns i32) (param $count i32) (result i32)
    (if (result i32) (i32.eq (local.get $rows) (i32.const 13))
      (then {evil})
      (else (i32.const 128)))))"#,
            fields = self.fields,
            pages = self.pages,
            realloc = self.realloc,
            configure = self.configure,
            evil = self.evil,
        )
    }
}
