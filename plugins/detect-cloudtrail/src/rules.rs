//! The rules by theme: which calls they watch, and what they make of one.

mod access;
mod compute;
mod data;
mod identity;
mod logging;
mod passing;
mod s3;

use std::collections::{BTreeMap, BTreeSet};

use sluicegate_plugin::Subscription;

use crate::{event::Event, found::Found};

/// Looks at a watched call and adds what it finds, as if the call had succeeded.
type Judge = fn(&Event<'_>, &mut Found);

/// Calls of one source that a judge looks at.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Without `.amazonaws.com`.
    source: &'static str,
    names: &'static [&'static str],
    /// What an event must have besides, so that frequent calls cost nothing. The judge asks once more,
    /// for a call that failed comes anyway.
    only: Only,
    judge: Judge,
}

/// A condition of the subscription beside the call's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Only {
    Any,
    RoleSessions,
    Instances,
    CustomerKeys,
}

const fn watch(source: &'static str, names: &'static [&'static str], judge: Judge) -> Watch {
    Watch {
        source,
        names,
        only: Only::Any,
        judge,
    }
}

const THEMES: [&[Watch]; 7] = [
    access::WATCHED,
    identity::WATCHED,
    passing::WATCHED,
    logging::WATCHED,
    s3::WATCHED,
    data::WATCHED,
    compute::WATCHED,
];

/// The only source whose calls carry a version, so that they are asked for by how they begin.
const VERSIONED: &str = "lambda";

/// Every watched call: its source without `.amazonaws.com`, and its name.
pub fn watched() -> impl Iterator<Item = (&'static str, &'static str)> {
    let watches = THEMES.into_iter().flatten();
    watches.flat_map(|watch| watch.names.iter().map(|name| (watch.source, *name)))
}

/// Asks for all watched calls, with one clause for all calls of a source.
pub(crate) fn subscribe(wanted: &mut Subscription) {
    let mut groups: BTreeMap<(&str, Only), BTreeSet<&str>> = BTreeMap::new();
    for watch in THEMES.into_iter().flatten() {
        let group = groups.entry((watch.source, watch.only)).or_default();
        group.extend(watch.names);
    }
    for ((source, only), names) in groups {
        let names: Vec<&str> = names.into_iter().collect();
        let full = format!("{source}.amazonaws.com");
        let clause = wanted.clause().one_of("/eventSource", &[&full]);
        if source == VERSIONED {
            clause.starts_with("/eventName", &names);
        } else {
            clause.one_of("/eventName", &names);
        }
        match only {
            Only::Any => {}
            Only::RoleSessions => {
                clause.one_of("/userIdentity/type", &["AssumedRole"]);
            }
            Only::Instances => {
                clause.present("/userIdentity/sessionContext/ec2RoleDelivery");
            }
            Only::CustomerKeys => {
                clause.one_of("/additionalEventData/SSEApplied", &["SSE_C"]);
            }
        }
    }
}

/// Watched calls in the order of their names: by length first, which tells most apart at once.
#[derive(Debug, Default)]
pub(crate) struct Index(Vec<(&'static str, &'static Watch)>);

impl Index {
    pub(crate) fn new() -> Self {
        let watches = THEMES.into_iter().flatten();
        let mut all: Vec<_> = watches
            .flat_map(|watch| watch.names.iter().map(move |name| (*name, watch)))
            .collect();
        all.sort_by_key(|(name, _)| order(name));
        Self(all)
    }

    /// Has all judges of the event's call look at it.
    pub(crate) fn judge(&self, event: &mut Event<'_>, found: &mut Found) {
        let wanted = order(event.name);
        let start = self.0.partition_point(|(name, _)| order(name) < wanted);
        let named = self.0[start..].iter();
        let named = named.take_while(|(name, _)| *name == event.name).count();
        if named == 0 {
            return;
        }
        event.read_parameters();
        let source = event.text(event.plugin.source);
        let source = source.strip_suffix(".amazonaws.com").unwrap_or_default();
        for (_, watch) in &self.0[start..start + named] {
            if watch.source == source {
                (watch.judge)(event, found);
            }
        }
    }
}

fn order(name: &str) -> (usize, &str) {
    (name.len(), name)
}
