//! Stepping over values by their brackets and strings alone.

/// Steps over one value, however it is cut into pieces, by its brackets and strings alone. It finds the
/// end of a value that is not valid JSON too, as long as those balance.
#[derive(Clone, Debug, Default)]
pub struct Skipper {
    depth: u64,
    state: SkipState,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum SkipState {
    #[default]
    Before,
    Inside,
    String,
    Escape,
    Scalar,
}

impl Skipper {
    /// Reads on. The number of bytes that belong to the value (or stand before it), once its end is
    /// found; `None` when all of `bytes` do and more is needed. A scalar ends before the delimiter.
    pub fn skip(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            match self.state {
                SkipState::Before => match byte {
                    b' ' | b'\n' | b'\r' | b'\t' => at += 1,
                    b'"' => {
                        self.state = SkipState::String;
                        at += 1;
                    }
                    b'{' | b'[' => {
                        self.depth = 1;
                        self.state = SkipState::Inside;
                        at += 1;
                    }
                    b',' | b']' | b'}' => return Some(at),
                    _ => self.state = SkipState::Scalar,
                },
                SkipState::Scalar => match byte {
                    b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t' => return Some(at),
                    _ => at += 1,
                },
                SkipState::Inside => {
                    at += 1;
                    match byte {
                        b'"' => self.state = SkipState::String,
                        b'{' | b'[' => self.depth += 1,
                        b'}' | b']' => {
                            self.depth -= 1;
                            if self.depth == 0 {
                                return Some(at);
                            }
                        }
                        _ => {}
                    }
                }
                SkipState::String => match memchr::memchr2(b'"', b'\\', &bytes[at..]) {
                    None => return None,
                    Some(offset) => {
                        at += offset + 1;
                        if bytes[at - 1] == b'\\' {
                            self.state = SkipState::Escape;
                        } else if self.depth == 0 {
                            return Some(at);
                        } else {
                            self.state = SkipState::Inside;
                        }
                    }
                },
                SkipState::Escape => {
                    self.state = SkipState::String;
                    at += 1;
                }
            }
        }
        None
    }
}

/// Where the string that starts at `at` (its opening quote) ends: one past the closing quote. The JSON
/// must have been checked.
#[inline]
#[must_use]
pub fn string_end(json: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(offset) = memchr::memchr2(b'"', b'\\', &json[at..]) {
        at += offset;
        if json[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    json.len()
}

/// One past the last byte of the value that starts at `at`. The JSON must have been checked.
#[inline]
#[must_use]
pub fn value_end(json: &[u8], at: usize) -> usize {
    value_end_by(json, at, &Bytes)
}

/// Who knows where strings end.
pub(super) trait Ends {
    /// See [`string_end`].
    fn string_end(&self, json: &[u8], at: usize) -> usize;
}

/// Nobody: the bytes say so.
struct Bytes;

impl Ends for Bytes {
    #[inline]
    fn string_end(&self, json: &[u8], at: usize) -> usize {
        string_end(json, at)
    }
}

/// [`value_end`] with the help of whoever knows where strings end.
#[inline]
pub(super) fn value_end_by(json: &[u8], at: usize, ends: &impl Ends) -> usize {
    match json[at] {
        b'"' => ends.string_end(json, at),
        b'{' | b'[' => {
            let mut depth = 0usize;
            let mut at = at;
            while at < json.len() {
                match json[at] {
                    b'"' => {
                        at = ends.string_end(json, at);
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => {
                        depth -= 1;
                        if depth == 0 {
                            return at + 1;
                        }
                    }
                    _ => {}
                }
                at += 1;
            }
            json.len()
        }
        _ => {
            at + json[at..]
                .iter()
                .take_while(|byte| {
                    !matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t')
                })
                .count()
        }
    }
}

/// The first byte at or after `at` that is not white space.
#[inline]
#[must_use]
pub fn skip_space(json: &[u8], at: usize) -> usize {
    let mut at = at;
    while at < json.len() && matches!(json[at], b' ' | b'\n' | b'\r' | b'\t') {
        at += 1;
    }
    at
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_skipper_finds_the_end_however_it_is_fed(value in value(), piece in 1usize..9) {
            let text = serde_json::to_vec(&value).expect("a value serialises");
            let mut fed = text.clone();
            fed.extend_from_slice(b" ,");
            let mut skipper = Skipper::default();
            let mut end = None;
            for (number, part) in fed.chunks(piece).enumerate() {
                if let Some(offset) = skipper.skip(part) {
                    end = Some(number * piece + offset);
                    break;
                }
            }
            prop_assert_eq!(end, Some(text.len()));
            prop_assert_eq!(value_end(&fed, 0), text.len());
        }
    }

    pub(in crate::json) fn value() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::Value;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(".{0,6}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }
}
