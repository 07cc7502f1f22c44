//! What stands under one key, and the windows over it.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

use super::{Span, Window};

/// One entry of a key. Event and member are numbered, so that windows are counted without hashing texts.
#[derive(Clone, Debug)]
pub(super) struct Point {
    time_ms: i64,
    event: usize,
    member: usize,
    value: f64,
    /// Smaller for whatever was observed before.
    number: i64,
}

/// Entries of one key in the order of their times; those at the same time in the order of event and
/// member, as the store has them.
#[derive(Debug, Default)]
pub(super) struct Points {
    list: VecDeque<Point>,
    events: Numbers<[u8; 16]>,
    members: Numbers<Box<str>>,
    /// Bytes of all members that have a number.
    text: usize,
}

impl Points {
    /// Puts an entry in its place, mostly behind all others.
    pub(super) fn insert(
        &mut self,
        time_ms: i64,
        identity: [u8; 16],
        member: &str,
        value: f64,
        number: i64,
    ) {
        let before = |point: &Point| {
            let known = (
                self.events.name(point.event),
                &**self.members.name(point.member),
            );
            (point.time_ms, known) < (time_ms, (&identity, member))
        };
        let place = match self.list.back() {
            Some(last) if !before(last) => self.list.partition_point(before),
            _ => self.list.len(),
        };
        let known = self.members.get(member);
        let member = known.unwrap_or_else(|| {
            self.text += member.len();
            self.members.add(member.into())
        });
        let known = self.events.get(&identity);
        let event = known.unwrap_or_else(|| self.events.add(identity));
        self.list.insert(
            place,
            Point {
                time_ms,
                event,
                member,
                value,
                number,
            },
        );
    }

    /// Lets the oldest go.
    pub(super) fn forget(&mut self, count: usize) {
        self.list.drain(..count.min(self.list.len()));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// About how much memory they take, names of entries that have gone included.
    pub(super) fn bytes(&self) -> usize {
        // Each name lies in a list and in a map.
        let names = 64 * self.events.len() + 96 * self.members.len();
        size_of::<Point>() * self.list.capacity() + names + 2 * self.text
    }

    /// Whether most names are of entries that have gone.
    pub(super) fn is_stale(&self) -> bool {
        self.events.len().max(self.members.len()) > 2 * self.list.len().max(512)
    }

    /// Answers queries about windows that lie in a span. Two edges move over the points together with the
    /// queries, so that the work grows with points and queries and not with their product.
    pub(super) fn answer(
        &mut self,
        span: Span,
        mut queries: Vec<Query<'_>>,
        answers: &mut [Window],
    ) {
        queries.sort_by_key(|query| (query.length_ms, query.time_ms));
        self.list.make_contiguous();
        let (points, _) = self.list.as_slices();
        let start = points.partition_point(|point| point.time_ms <= span.after_ms);
        let end = points.partition_point(|point| point.time_ms <= span.until_ms);
        let points = points.get(start..end).unwrap_or_default();
        for same_length in queries.chunk_by(|a, b| a.length_ms == b.length_ms) {
            let mut moving = Moving::new(points, self);
            for query in same_length {
                moving.to(query.time_ms, query.length_ms);
                answers[query.answer] = moving.window(query);
            }
        }
    }
}

/// Names with numbers from zero on.
#[derive(Debug)]
struct Numbers<T> {
    known: HashMap<T, usize>,
    names: Vec<T>,
}

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            names: Vec::new(),
        }
    }
}

impl<T: Clone + Eq + Hash> Numbers<T> {
    fn get<Q: Eq + Hash + ?Sized>(&self, name: &Q) -> Option<usize>
    where
        T: std::borrow::Borrow<Q>,
    {
        self.known.get(name).copied()
    }

    fn add(&mut self, name: T) -> usize {
        let number = self.names.len();
        self.known.insert(name.clone(), number);
        self.names.push(name);
        number
    }

    fn name(&self, number: usize) -> &T {
        &self.names[number]
    }

    fn len(&self) -> usize {
        self.names.len()
    }
}

/// The window that is asked for: `length_ms` up to the entry with this time and number.
#[derive(Clone, Debug)]
pub(super) struct Query<'a> {
    pub(super) time_ms: i64,
    pub(super) length_ms: i64,
    pub(super) member: &'a str,
    pub(super) number: i64,
    /// Where the answer goes.
    pub(super) answer: usize,
}

/// A window on its way through the points.
struct Moving<'a> {
    points: &'a [Point],
    names: &'a Points,
    /// What lies in the window: from `start` to before `end`.
    start: usize,
    end: usize,
    /// Entries in the window of each event.
    events: Vec<u32>,
    members: Vec<Member>,
    distinct_events: u64,
    distinct_members: u64,
    /// Of the window as it stood when it was last summed up.
    sum: Option<f64>,
}

/// One member within the window.
#[derive(Clone, Default)]
struct Member {
    entries: u32,
    /// Position and number of those that are observed before all that follow them: the front is the one
    /// that was observed first of all in the window.
    earliest: VecDeque<(usize, i64)>,
}

impl<'a> Moving<'a> {
    fn new(points: &'a [Point], names: &'a Points) -> Self {
        Self {
            points,
            names,
            start: 0,
            end: 0,
            events: vec![0; names.events.len()],
            members: vec![Member::default(); names.members.len()],
            distinct_events: 0,
            distinct_members: 0,
            sum: None,
        }
    }

    /// Moves on to the window that ends at this time.
    fn to(&mut self, time_ms: i64, length_ms: i64) {
        let points = self.points;
        while let Some(point) = points
            .get(self.end)
            .filter(|point| point.time_ms <= time_ms)
        {
            self.enter(self.end, point);
            self.end += 1;
        }
        let after = time_ms.saturating_sub(length_ms);
        while self.start < self.end && points[self.start].time_ms <= after {
            self.leave(self.start, &points[self.start]);
            self.start += 1;
        }
    }

    fn enter(&mut self, position: usize, point: &Point) {
        let event = &mut self.events[point.event];
        self.distinct_events += u64::from(*event == 0);
        *event += 1;
        let member = &mut self.members[point.member];
        self.distinct_members += u64::from(member.entries == 0);
        member.entries += 1;
        while member
            .earliest
            .back()
            .is_some_and(|(_, number)| *number > point.number)
        {
            member.earliest.pop_back();
        }
        member.earliest.push_back((position, point.number));
        self.sum = None;
    }

    fn leave(&mut self, position: usize, point: &Point) {
        let event = &mut self.events[point.event];
        *event -= 1;
        self.distinct_events -= u64::from(*event == 0);
        let member = &mut self.members[point.member];
        member.entries -= 1;
        self.distinct_members -= u64::from(member.entries == 0);
        if member
            .earliest
            .front()
            .is_some_and(|(at, _)| *at == position)
        {
            member.earliest.pop_front();
        }
        self.sum = None;
    }

    fn window(&mut self, query: &Query<'_>) -> Window {
        let points = &self.points[self.start..self.end];
        // Summed anew and in order, so that nothing is left of values that have gone.
        let sum = *self
            .sum
            .get_or_insert_with(|| points.iter().map(|point| point.value).sum());
        let of = |name: &str| Some(&self.members[self.names.members.get(name)?]);
        let nobody = of("").is_some_and(|member| member.entries > 0);
        let earliest = of(query.member).and_then(|member| member.earliest.front());
        Window {
            events: self.distinct_events,
            members: self.distinct_members - u64::from(nobody),
            sum,
            first: earliest.is_none_or(|(_, number)| *number >= query.number),
        }
    }
}
