//! One walk over an event: where its known members lie, and which members nobody knows.

use std::ops::Range;

use super::names::{COUNT, Inside, Member, RECORD, Slot};
use crate::json::{self, skip_space, string_end, value_end};

/// Bytes of the longest text that goes into an attribute that is a string, quotes included: OCSF 1.1.0
/// takes 65,535 characters. A longer one goes to `unmapped`.
const LONGEST: usize = 65_537;

/// Where a known member's value lies; `end` is 0 where there is none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cell {
    start: u32,
    end: u32,
    placed: bool,
}

/// A member that nobody knows.
#[derive(Clone, Debug)]
struct Stranger {
    parent: Slot,
    /// Where the object begins that it is a member of.
    object: usize,
    name: Range<usize>,
    value: Range<usize>,
}

/// An event's members by their slots. What is not placed by the time [`rest`](Self::rest) is called goes
/// to `unmapped`. Of a member that comes twice the last one counts, as everywhere in the host.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    json: &'a [u8],
    cells: [Cell; COUNT],
    strangers: Vec<Stranger>,
}

impl<'a> Facts<'a> {
    /// Walks over an event: a JSON object that was checked.
    pub(super) fn of(json: &'a [u8]) -> Self {
        let mut facts = Self {
            json,
            cells: [Cell::default(); COUNT],
            strangers: Vec::new(),
        };
        let start = skip_space(json, 0);
        facts.set(Slot::Root, start, json.len());
        facts.members(RECORD, Some(Slot::Root), start);
        facts.strangers.retain(|stranger| {
            facts.cells[stranger.parent as usize].start as usize == stranger.object
        });
        facts.settle_strangers();
        facts
    }

    /// Walks over the members of the object at `object` and returns its end. Without a parent its strangers
    /// are nobody's concern.
    fn members(&mut self, known: &'static [Member], parent: Option<Slot>, object: usize) -> usize {
        let json = self.json;
        let mut at = skip_space(json, object + 1);
        // CloudTrail's order is ours, so the next name is mostly the next one known.
        let mut next = 0;
        while json.get(at) == Some(&b'"') {
            let name = at..string_end(json, at);
            let value = skip_space(json, skip_space(json, name.end) + 1);
            let found = position(known, &json[name.start + 1..name.end - 1], next);
            let end = match found {
                Some(found) => {
                    next = found + 1;
                    self.known(&known[found], value)
                }
                None => value_end(json, value),
            };
            if found.is_none()
                && let Some(parent) = parent
            {
                self.strangers.push(Stranger {
                    parent,
                    object,
                    name,
                    value: value..end,
                });
            }
            at = skip_space(json, end);
            if json.get(at) == Some(&b',') {
                at = skip_space(json, at + 1);
            }
        }
        (at + 1).min(json.len())
    }

    fn known(&mut self, member: &'static Member, value: usize) -> usize {
        if self.cells[member.slot as usize].end > 0 {
            self.forget(member);
        }
        let end = match member.inside {
            Inside::Apart(inside) if self.json.get(value) == Some(&b'{') => {
                // Its strangers are told by where it begins.
                self.set(member.slot, value, value + 1);
                self.members(inside, Some(member.slot), value)
            }
            Inside::Peeked(inside) if self.json.get(value) == Some(&b'{') => {
                self.members(inside, None, value)
            }
            _ => value_end(self.json, value),
        };
        self.set(member.slot, value, end);
        end
    }

    fn set(&mut self, slot: Slot, start: usize, end: usize) {
        let offset = |at| u32::try_from(at).expect("an event is far smaller than 4 GiB");
        self.cells[slot as usize] = Cell {
            start: offset(start),
            end: offset(end),
            placed: false,
        };
    }

    fn forget(&mut self, member: &Member) {
        self.cells[member.slot as usize] = Cell::default();
        if let Inside::Apart(inside) | Inside::Peeked(inside) = member.inside {
            for member in inside {
                self.forget(member);
            }
        }
    }

    /// Sorts what nobody knows by parent and name, and keeps the last of each name.
    fn settle_strangers(&mut self) {
        if self.strangers.len() < 2 {
            return;
        }
        let json = self.json;
        let name = |stranger: &Stranger| json::unescape(&json[inside(&stranger.name)]);
        self.strangers.sort_by(|a, b| {
            let named = || name(a).cmp(&name(b));
            let placed = || b.name.start.cmp(&a.name.start);
            a.parent.cmp(&b.parent).then_with(named).then_with(placed)
        });
        self.strangers
            .dedup_by(|later, first| later.parent == first.parent && name(later) == name(first));
    }

    /// The value's JSON text, whatever it is; nothing where it is absent.
    pub(super) fn raw(&self, slot: Slot) -> Option<&'a [u8]> {
        let cell = self.cells[slot as usize];
        (cell.end > 0).then(|| &self.json[cell.start as usize..cell.end as usize])
    }

    /// The JSON text of a string that an attribute of that type can hold, quotes included.
    pub(super) fn string(&self, slot: Slot) -> Option<&'a [u8]> {
        let raw = self.raw(slot)?;
        fits(raw).then_some(raw)
    }

    /// The text of such a string, where nothing in it is escaped.
    pub(super) fn plain(&self, slot: Slot) -> Option<&'a str> {
        let text = &self.string(slot)?[1..];
        let text = &text[..text.len() - 1];
        if memchr::memchr(b'\\', text).is_some() {
            return None;
        }
        std::str::from_utf8(text).ok()
    }

    /// `true` or `false`, as JSON has them or in a string.
    pub(super) fn flag(&self, slot: Slot) -> Option<bool> {
        match self.raw(slot)? {
            b"true" | b"\"true\"" => Some(true),
            b"false" | b"\"false\"" => Some(false),
            _ => None,
        }
    }

    /// Notes that the value has found its place.
    pub(super) fn placed(&mut self, slot: Slot) {
        self.cells[slot as usize].placed = true;
    }

    /// Leads over the names of the members that nobody knows, each with the member that holds it.
    pub(super) fn strangers(&self) -> impl Iterator<Item = (Slot, &'a [u8])> {
        let json = self.json;
        self.strangers
            .iter()
            .map(move |stranger| (stranger.parent, &json[inside(&stranger.name)]))
    }

    /// Appends the members that have found no place, each with a comma after it, in the objects that they
    /// came in.
    pub(super) fn rest(&self, out: &mut Vec<u8>) {
        self.rest_of(RECORD, Slot::Root, out);
    }

    fn rest_of(&self, known: &[Member], parent: Slot, out: &mut Vec<u8>) {
        for member in known {
            let cell = self.cells[member.slot as usize];
            if cell.end == 0 || cell.placed {
                continue;
            }
            let start = out.len();
            out.push(b'"');
            out.extend_from_slice(member.name.as_bytes());
            out.extend_from_slice(b"\":");
            let value = &self.json[cell.start as usize..cell.end as usize];
            match member.inside {
                Inside::Apart(inside) if value.first() == Some(&b'{') => {
                    out.push(b'{');
                    let before = out.len();
                    self.rest_of(inside, member.slot, out);
                    if out.len() == before {
                        out.truncate(start);
                        continue;
                    }
                    *out.last_mut().expect("a member was written") = b'}';
                }
                _ => out.extend_from_slice(value),
            }
            out.push(b',');
        }
        let first = self
            .strangers
            .partition_point(|stranger| stranger.parent < parent);
        for stranger in &self.strangers[first..] {
            if stranger.parent != parent {
                break;
            }
            // The host's own member has this name.
            let name = json::unescape(&self.json[inside(&stranger.name)]);
            if parent == Slot::Root && name.as_ref() == b"sluicegate" {
                continue;
            }
            out.extend_from_slice(&self.json[stranger.name.clone()]);
            out.push(b':');
            out.extend_from_slice(&self.json[stranger.value.clone()]);
            out.push(b',');
        }
    }
}

/// A string's range without its quotes.
fn inside(string: &Range<usize>) -> Range<usize> {
    string.start + 1..string.end - 1
}

/// The known member of this name, looked for from the position `next` on and then from the first.
#[inline]
fn position(known: &[Member], name: &[u8], next: usize) -> Option<usize> {
    if memchr::memchr(b'\\', name).is_some() {
        let name = json::unescape(name);
        return known
            .iter()
            .position(|member| member.name.as_bytes() == name.as_ref());
    }
    let matches = |position: &usize| {
        let known = known[*position].name.as_bytes();
        known.len() == name.len() && known == name
    };
    (next..known.len())
        .find(matches)
        .or_else(|| (0..next.min(known.len())).find(matches))
}

/// Whether this JSON text is a string, not too long, and text that every reader of JSON takes: one with half
/// of a surrogate pair is not.
pub(super) fn fits(raw: &[u8]) -> bool {
    raw.first() == Some(&b'"') && raw.len() <= LONGEST && !has_lone_surrogate(raw)
}

fn has_lone_surrogate(raw: &[u8]) -> bool {
    let code = |at: usize| -> Option<u16> {
        let digits = std::str::from_utf8(raw.get(at + 2..at + 6)?).ok()?;
        (raw[at] == b'\\' && raw[at + 1] == b'u')
            .then(|| u16::from_str_radix(digits, 16).ok())
            .flatten()
    };
    let mut at = 0;
    while let Some(offset) = memchr::memchr(b'\\', &raw[at..]) {
        at += offset;
        match code(at) {
            Some(0xD800..=0xDBFF) if matches!(code(at + 6), Some(0xDC00..=0xDFFF)) => at += 12,
            Some(0xD800..=0xDFFF) => return true,
            _ => at += 2,
        }
    }
    false
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn rest(json: &str, placed: &[Slot]) -> String {
        let mut facts = Facts::of(json.as_bytes());
        for slot in placed {
            facts.placed(*slot);
        }
        let mut out = Vec::new();
        facts.rest(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_has_no_place_stays_where_it_was() {
        let json = r#"{ "eventName" : "A", "new": [1e400], "userIdentity": {"type":"x","arn":"y","other":{"a":1}}, "tlsDetails":{} }"#;
        assert_eq!(
            rest(json, &[Slot::EventName, Slot::Arn]),
            r#""userIdentity":{"type":"x","other":{"a":1}},"new":[1e400],"#
        );
    }

    #[test]
    fn of_a_repeated_member_the_last_counts_and_the_others_go() {
        let json = r#"{"userIdentity":{"arn":"1","a":1},"b":1,"eventName":5,"userIdentity":{"type":"2"},"\u0062":2,"event\u004eame":"n"}"#;
        assert_eq!(
            rest(json, &[]),
            r#""userIdentity":{"type":"2"},"eventName":"n","\u0062":2,"#
        );
        let json = r#"{"userIdentity":{"arn":"1","a":1},"userIdentity":"x"}"#;
        assert_eq!(rest(json, &[]), r#""userIdentity":"x","#);
    }

    #[test]
    fn a_peeked_member_is_placed_whole() {
        let json = r#"{"requestParameters":{"userName":"u","x":1},"responseElements":null}"#;
        let mut facts = Facts::of(json.as_bytes());
        assert_eq!(facts.plain(Slot::RequestUser), Some("u"));
        facts.placed(Slot::Request);
        let mut out = Vec::new();
        facts.rest(&mut out);
        assert_eq!(out, br#""responseElements":null,"#);
    }

    #[test]
    fn half_of_a_pair_is_no_text() {
        for (raw, expected) in [
            (r#""\ud83d\ude00""#, true),
            (r#""\ud83d""#, false),
            (r#""\ude00\ud83d""#, false),
            (r#""\ud83d\n""#, false),
            (r#""\\ud83d""#, true),
            (r#""\\\ud83d""#, false),
            (r#""\u00e9""#, true),
            ("5", false),
        ] {
            assert_eq!(fits(raw.as_bytes()), expected, "{raw}");
        }
        assert!(!fits(format!("\"{}\"", "x".repeat(LONGEST)).as_bytes()));
    }

    #[test]
    fn an_event_of_repeated_members_takes_no_quadratic_time() {
        let json = format!(
            "{{{}\"z\":1}}",
            r#""userIdentity":{"q":1},"a":1,"#.repeat(40_000)
        );
        assert_eq!(rest(&json, &[]), r#""userIdentity":{"q":1},"a":1,"z":1,"#);
    }
}
