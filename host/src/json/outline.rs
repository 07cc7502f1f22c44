//! What is noted of a text while it is checked, for those who walk over it afterwards.

use super::{
    Check,
    check::{Notes, check_at},
    skip::{Ends, value_end_by},
    stops::Stops,
};

/// Levels of nesting whose containers are noted.
const LEVELS: usize = 8;
/// Bytes below which walking over a container costs no more than looking up its end.
const SMALL: usize = 64;

/// Where strings may end in a text, and where the larger containers of its checked values do.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    stops: Stops,
    /// In the order of their starts.
    containers: Vec<Container>,
    /// During a check: which container began last at each level.
    open: [usize; LEVELS],
}

/// An object or an array: its brackets.
#[derive(Clone, Copy, Debug)]
struct Container {
    start: u32,
    /// One past the closing bracket.
    end: u32,
}

impl Outline {
    /// Forgets everything, and keeps its room.
    pub(crate) fn clear(&mut self) {
        self.stops.clear();
        self.containers.clear();
    }

    /// Takes what has come to the text since the last call; nothing is noted of its values yet.
    pub fn extend(&mut self, text: &[u8]) {
        self.stops.extend(text);
    }

    /// [`check`](super::check) of the object or array at `at`, which notes where its containers end.
    /// Values are checked from first to last, and [`extend`](Self::extend) has seen the text.
    pub fn check(&mut self, text: &[u8], at: usize, max_depth: u32) -> Check {
        let noted = self.containers.len();
        let checked = check_at(text, at, max_depth, self);
        if !matches!(checked, Check::Valid(_)) {
            self.containers.truncate(noted);
        }
        checked
    }

    /// Where the string that starts at `at` ends: one past the closing quote; and whether anything is
    /// escaped in it. The JSON must have been checked.
    #[inline]
    #[must_use]
    pub fn string_end(&self, json: &[u8], at: usize) -> (usize, bool) {
        let mut at = self.stops.next(at + 1);
        let mut escaped = false;
        while json.get(at) == Some(&b'\\') {
            escaped = true;
            at = self.stops.next(at + 2);
        }
        ((at + 1).min(json.len()), escaped)
    }

    /// One past the last byte of the value that starts at `at`. The JSON must have been checked. `hint` is
    /// kept from one call to the next; values are best asked for in their order.
    #[inline]
    #[must_use]
    pub fn value_end(&self, json: &[u8], at: usize, hint: &mut usize) -> usize {
        if matches!(json[at], b'{' | b'[')
            && let Some(end) = self.container_end(at, hint)
        {
            return end;
        }
        value_end_by(json, at, self)
    }

    fn container_end(&self, at: usize, hint: &mut usize) -> Option<usize> {
        /// So many containers are passed one by one; to one farther off a search is shorter.
        const NEAR: usize = 16;
        let is_before = |container: &Container| (container.start as usize) < at;
        let near = self.containers.get(*hint..).unwrap_or_default();
        let near = &near[..near.len().min(NEAR)];
        let passed = near.iter().take_while(|known| is_before(known)).count();
        // Nothing was passed: the container may lie before the hint as well as at it.
        let is_behind = passed == 0 && near.first().is_none_or(|known| known.start as usize > at);
        *hint = if is_behind || passed == NEAR {
            self.containers.partition_point(is_before)
        } else {
            *hint + passed
        };
        let found = self.containers.get(*hint)?;
        (found.start as usize == at).then_some(found.end as usize)
    }
}

impl Notes for Outline {
    #[inline]
    fn next_stop(&self, _: &[u8], at: usize) -> usize {
        self.stops.next(at)
    }

    #[inline]
    fn opens(&mut self, level: usize, at: usize) {
        if let Some(slot) = self.open.get_mut(level) {
            *slot = self.containers.len();
            self.containers.push(Container {
                start: offset(at),
                end: 0,
            });
        }
    }

    #[inline]
    fn closes(&mut self, level: usize, end: usize) {
        let Some(&slot) = self.open.get(level) else {
            return;
        };
        if end - (self.containers[slot].start as usize) < SMALL {
            // Whatever lies in it is smaller still.
            self.containers.truncate(slot);
        } else {
            self.containers[slot].end = offset(end);
        }
    }
}

impl Ends for Outline {
    #[inline]
    fn string_end(&self, json: &[u8], at: usize) -> usize {
        self.string_end(json, at).0
    }
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("a batch is far smaller than 4 GiB")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::{super::skip::tests::value, *};
    use crate::json::{check, string_end, value_end};

    proptest! {
        #[test]
        fn it_says_what_a_walk_over_the_bytes_says(values in proptest::collection::vec(value(), 1..6), pretty in any::<bool>()) {
            let mut text = Vec::new();
            let mut starts = Vec::new();
            for value in &values {
                text.extend_from_slice(b", ");
                starts.push(text.len() + 1);
                let value = serde_json::json!([value, { "wide": value, "text": "a long one \\ \" é that makes the containers larger" }]);
                let written = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) };
                text.push(b' ');
                text.extend_from_slice(&written.unwrap());
            }
            let mut outline = Outline::default();
            outline.extend(&text);
            for &start in &starts {
                prop_assert_eq!(outline.check(&text, start, 128), check(&text[start..], 128));
            }
            let mut hint = 0;
            let mut at = starts[0];
            while at < text.len() {
                match text[at] {
                    b'{' | b'[' => {
                        prop_assert_eq!(outline.value_end(&text, at, &mut hint), value_end(&text, at));
                        prop_assert_eq!(outline.value_end(&text, at, &mut 0), value_end(&text, at));
                        at += 1;
                    }
                    b'"' => {
                        let (end, escaped) = outline.string_end(&text, at);
                        prop_assert_eq!(end, string_end(&text, at));
                        prop_assert_eq!(escaped, text[at..end].contains(&b'\\'));
                        at = end;
                    }
                    _ => at += 1,
                }
            }
        }

        #[test]
        fn it_checks_as_a_check_without_it_does(text in r#"[\[\]{}:,"a1\\ue\-.0 tfn\n]{0,40}"#) {
            let mut outline = Outline::default();
            outline.extend(text.as_bytes());
            for at in 0..=text.len() {
                prop_assert_eq!(outline.check(text.as_bytes(), at, 8), check(&text.as_bytes()[at..], 8));
            }
        }
    }
}
