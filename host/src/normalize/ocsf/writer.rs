//! Writing an object's members into a buffer.

use std::io::Write as _;

use crate::json;

/// Appends JSON, with the commas where they belong.
#[derive(Debug)]
pub(super) struct Writer<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> Writer<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out }
    }

    /// A comma, unless an object or an array has just begun. No finished value ends with an opening bracket.
    pub(super) fn comma(&mut self) {
        if !matches!(self.out.last(), Some(b'{' | b'[')) {
            self.out.push(b',');
        }
    }

    /// A member's name; its value comes next. The name needs no escaping.
    pub(super) fn key(&mut self, name: &str) -> &mut Vec<u8> {
        self.comma();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// A member whose value is this JSON text.
    pub(super) fn raw(&mut self, name: &str, json: &[u8]) {
        self.key(name).extend_from_slice(json);
    }

    /// A member whose value is this text.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        json::quote_into(text, self.key(name));
    }

    /// A member whose value is this text, unless it is empty.
    pub(super) fn filled(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.text(name, text);
        }
    }

    /// A member that is a number.
    pub(super) fn number(&mut self, name: &str, number: impl Into<i64>) {
        let number: i64 = number.into();
        write!(self.key(name), "{number}").expect("a Vec takes every write");
    }

    /// A number and the caption that says the same.
    pub(super) fn captioned(&mut self, id: &str, caption: &str, value: (u32, &str)) {
        self.number(id, value.0);
        self.text(caption, value.1);
    }

    /// A member that is an object; left out where nothing is in it.
    pub(super) fn object(&mut self, name: &str, fill: impl FnOnce(&mut Self)) {
        self.unless_empty(name, *b"{}", fill);
    }

    /// A member that is an array; left out where nothing is in it.
    pub(super) fn array(&mut self, name: &str, fill: impl FnOnce(&mut Self)) {
        self.unless_empty(name, *b"[]", fill);
    }

    fn unless_empty(&mut self, name: &str, brackets: [u8; 2], fill: impl FnOnce(&mut Self)) {
        let start = self.out.len();
        self.key(name).push(brackets[0]);
        let inside = self.out.len();
        fill(self);
        if self.out.len() == inside {
            self.out.truncate(start);
        } else {
            self.out.push(brackets[1]);
        }
    }

    /// An element of an array that is an object.
    pub(super) fn element(&mut self, fill: impl FnOnce(&mut Self)) {
        self.comma();
        self.out.push(b'{');
        fill(self);
        self.out.push(b'}');
    }

    /// The buffer itself.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        self.out
    }
}
