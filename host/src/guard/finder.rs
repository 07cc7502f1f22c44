//! Finds secrets in what is about to leave.
//!
//! One pass over the bytes with SIMD (a search for two dozen anchors at once) says where to look closer;
//! everything else is done there alone.

use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};

use super::{
    secret::{ANCHORS, Secret, Shape},
    shapes,
    units::unescaped,
};

/// A secret, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// From its first byte to its last. What stands there can be replaced: no escape is cut.
    pub range: Range<usize>,
    /// What it is.
    pub secret: Secret,
}

/// Looks for secrets of every kind.
#[derive(Debug)]
pub struct Finder {
    anchors: AhoCorasick,
}

impl Default for Finder {
    fn default() -> Self {
        let anchors = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .build(ANCHORS.map(|(anchor, _)| anchor))
            .expect("two dozen short constants fit");
        Self { anchors }
    }
}

impl Finder {
    /// The secrets in a text, in order and apart from one another.
    #[must_use]
    pub fn find(&self, text: &[u8]) -> Vec<Hit> {
        let mut found = Vec::new();
        self.find_each(text, std::iter::once(0..text.len()), |_, hits| found = hits);
        found
    }

    /// The secrets in each of the ranges of `data` that has any, with the position of the range. Ranges
    /// ascend.
    pub fn find_each(
        &self,
        data: &[u8],
        ranges: impl Iterator<Item = Range<usize>>,
        mut found: impl FnMut(usize, Vec<Hit>),
    ) {
        let mut matches = self.anchors.find_iter(data).peekable();
        for (position, range) in ranges.enumerate() {
            let (mut hits, mut escaped) = (Vec::new(), false);
            let text = &data[range.clone()];
            while let Some(at) = matches.next_if(|next| next.start() < range.end) {
                if at.start() >= range.start && at.end() <= range.end {
                    let anchor = at.start() - range.start..at.end() - range.start;
                    escaped |= !look(text, at.pattern().as_usize(), anchor, &mut hits);
                }
            }
            if escaped {
                hits = self.find_unescaped(text);
            }
            if !hits.is_empty() {
                found(position, apart(hits));
            }
        }
    }

    /// The same where the anchors themselves may be escaped.
    fn find_unescaped(&self, text: &[u8]) -> Vec<Hit> {
        let (read, starts) = unescaped(text);
        let mut hits = Vec::new();
        for at in self.anchors.find_iter(&read) {
            look(&read, at.pattern().as_usize(), at.range(), &mut hits);
        }
        for hit in &mut hits {
            hit.range = starts[hit.range.start]..starts[hit.range.end];
        }
        hits
    }
}

/// Looks closer at an anchor. False where nothing can be told before the text is unescaped.
fn look(text: &[u8], anchor: usize, at: Range<usize>, hits: &mut Vec<Hit>) -> bool {
    let mut hit = |range, secret| hits.push(Hit { range, secret });
    match ANCHORS[anchor].1 {
        Shape::Escape => return false,
        Shape::AccessKeyId => {
            shapes::secret_keys(text, at, |range| hit(range, Secret::AwsSecretKey));
        }
        Shape::PrivateKey => {
            if let Some(range) = shapes::private_key(text, at) {
                hit(range, Secret::PrivateKey);
            }
        }
        Shape::Jwt => {
            if let Some(range) = shapes::jwt(text, at.start) {
                hit(range, Secret::Jwt);
            }
        }
        Shape::Token {
            secret,
            of,
            least,
            most,
        } => {
            if let Some(range) = shapes::token(text, at, of, least, most) {
                hit(range, secret);
            }
        }
    }
    true
}

/// Joins hits that overlap; the first gives its name.
fn apart(mut hits: Vec<Hit>) -> Vec<Hit> {
    hits.sort_by_key(|hit| (hit.range.start, hit.secret));
    let mut apart: Vec<Hit> = Vec::with_capacity(hits.len());
    for hit in hits {
        match apart.last_mut() {
            Some(last) if hit.range.start < last.range.end => {
                last.range.end = last.range.end.max(hit.range.end);
            }
            _ => apart.push(hit),
        }
    }
    apart
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
