//! What stands under one key, and the windows over it.

use std::collections::{HashMap, VecDeque};

use super::Window;

/// One entry of a key.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) time_ms: i64,
    pub(super) identity: [u8; 16],
    pub(super) member: String,
    pub(super) value: f64,
    /// Smaller for whatever was observed before.
    pub(super) number: i64,
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

/// Answers queries over points in the order of their times. Two edges move over the points together with
/// the queries, so that the work grows with points and queries and not with their product.
pub(super) fn answer(points: &[Point], mut queries: Vec<Query<'_>>, answers: &mut [Window]) {
    queries.sort_by_key(|query| (query.length_ms, query.time_ms));
    for same_length in queries.chunk_by(|a, b| a.length_ms == b.length_ms) {
        let mut moving = Moving::new(points);
        for query in same_length {
            moving.to(query.time_ms, query.length_ms);
            answers[query.answer] = moving.window(query);
        }
    }
}

/// A window on its way through the points.
struct Moving<'a> {
    points: &'a [Point],
    /// What lies in the window: from `start` to before `end`.
    start: usize,
    end: usize,
    events: HashMap<&'a [u8; 16], u32>,
    members: HashMap<&'a str, Member>,
    /// Of the window as it stood when it was last summed up.
    sum: Option<f64>,
}

/// One member within the window.
#[derive(Default)]
struct Member {
    entries: u32,
    /// Position and number of those that are observed before all that follow them: the front is the one
    /// that was observed first of all in the window.
    earliest: VecDeque<(usize, i64)>,
}

impl<'a> Moving<'a> {
    fn new(points: &'a [Point]) -> Self {
        Self {
            points,
            start: 0,
            end: 0,
            events: HashMap::new(),
            members: HashMap::new(),
            sum: None,
        }
    }

    /// Moves on to the window that ends at this time.
    fn to(&mut self, time_ms: i64, length_ms: i64) {
        while let Some(point) = self
            .points
            .get(self.end)
            .filter(|point| point.time_ms <= time_ms)
        {
            self.enter(self.end, point);
            self.end += 1;
        }
        let after = time_ms.saturating_sub(length_ms);
        while self.start < self.end && self.points[self.start].time_ms <= after {
            self.leave(self.start);
            self.start += 1;
        }
    }

    fn enter(&mut self, position: usize, point: &'a Point) {
        *self.events.entry(&point.identity).or_default() += 1;
        let member = self.members.entry(&point.member).or_default();
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

    fn leave(&mut self, position: usize) {
        let point = &self.points[position];
        if let Some(entries) = self.events.get_mut(&point.identity) {
            *entries -= 1;
            if *entries == 0 {
                self.events.remove(&point.identity);
            }
        }
        if let Some(member) = self.members.get_mut(point.member.as_str()) {
            member.entries -= 1;
            if member
                .earliest
                .front()
                .is_some_and(|(at, _)| *at == position)
            {
                member.earliest.pop_front();
            }
            if member.entries == 0 {
                self.members.remove(point.member.as_str());
            }
        }
        self.sum = None;
    }

    fn window(&mut self, query: &Query<'_>) -> Window {
        let points = &self.points[self.start..self.end];
        // Summed anew and in order, so that nothing is left of values that have gone.
        let sum = *self
            .sum
            .get_or_insert_with(|| points.iter().map(|point| point.value).sum());
        let nobody = usize::from(self.members.contains_key(""));
        let earliest = self
            .members
            .get(query.member)
            .and_then(|member| member.earliest.front());
        Window {
            events: self.events.len() as u64,
            members: (self.members.len() - nobody) as u64,
            sum,
            first: earliest.is_none_or(|(_, number)| *number >= query.number),
        }
    }
}
