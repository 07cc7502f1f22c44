//! Findings of a batch, with the facts of their events and without what was masked there.

use std::{borrow::Cow, sync::Arc};

use super::{abi, identity::identity};
use crate::{
    columns::{Columns, Path, Projection},
    effects::Processed,
    finding::{EventFacts, HOST, Severity, Sighting},
    mask::{Cleaner, Mask},
    text::{cut, lossy},
};

/// Paths of the facts, in the order of [`Fact`].
const PATHS: [&str; 18] = [
    "/eventID",
    "/eventId",
    "/eventName",
    "/eventSource",
    "/awsRegion",
    "/recipientAccountId",
    "/userIdentity/accountId",
    "/accountId",
    "/userIdentity/arn",
    "/userIdentity/type",
    "/userIdentity/principalId",
    "/userIdentity/userName",
    "/userIdentity/accessKeyId",
    "/sourceIPAddress",
    "/userAgent",
    "/errorCode",
    "/resources/0/ARN",
    "/userIdentity/sessionContext/sessionIssuer/arn",
];

#[derive(Clone, Copy)]
enum Fact {
    EventId,
    SummaryId,
    EventName,
    EventSource,
    Region,
    Recipient,
    IdentityAccount,
    SummaryAccount,
    PrincipalArn,
    PrincipalType,
    PrincipalId,
    UserName,
    AccessKeyId,
    SourceIp,
    UserAgent,
    ErrorCode,
    ResourceArn,
    IssuerArn,
}

/// Characters of a fact that are kept.
const FACT_CHARS: usize = 512;

/// Reads the facts of the few events that have findings.
#[derive(Debug)]
pub(super) struct Reporter {
    projection: Projection,
    columns: [usize; PATHS.len()],
}

impl Reporter {
    pub(super) fn new() -> Self {
        let mut projection = Projection::new();
        let columns =
            PATHS.map(|path| projection.column(&Path::parse(path).expect("a constant pointer")));
        Self {
            projection,
            columns,
        }
    }

    /// What is known of a row, and its identity for counting.
    pub(super) fn facts(
        &self,
        processed: &Processed,
        row: usize,
        now_ms: i64,
    ) -> (Arc<EventFacts>, [u8; 16]) {
        let (facts, identity, _) = read(self, processed, row, now_ms);
        (facts, identity)
    }
}

/// What is known of one event: its facts, its identity for counting, and what cleans texts about it.
type Known = (Arc<EventFacts>, [u8; 16], Cleaner);

/// The facts of some events of a batch. Those of the row that was asked for last are kept.
pub(super) struct Facts<'a> {
    reporter: &'a Reporter,
    processed: &'a Processed,
    now_ms: i64,
    last: Option<(usize, Known)>,
}

impl<'a> Facts<'a> {
    pub(super) fn new(reporter: &'a Reporter, processed: &'a Processed, now_ms: i64) -> Self {
        Self {
            reporter,
            processed,
            now_ms,
            last: None,
        }
    }

    fn of(&mut self, row: usize) -> &Known {
        if self.last.as_ref().is_none_or(|(last, _)| *last != row) {
            self.last = Some((row, read(self.reporter, self.processed, row, self.now_ms)));
        }
        &self.last.as_ref().expect("it was just set").1
    }

    /// What a plugin found in an event.
    pub(super) fn sighting(&mut self, row: usize, plugin: &str, finding: abi::Finding) -> Sighting {
        let (event, identity, cleaner) = self.of(row);
        let clean = |text: String| cleaner.cleaned(text);
        Sighting {
            plugin: plugin.to_owned(),
            rule: clean(finding.rule),
            title: clean(finding.title),
            description: clean(finding.description),
            severity: finding.severity.into(),
            entity: finding.entity.into_iter().map(clean).collect(),
            window_s: finding.window_s,
            attributes: finding
                .attributes
                .into_iter()
                .map(|(key, value)| (clean(key), clean(value)))
                .collect(),
            event: Arc::clone(event),
            identity: *identity,
        }
    }

    /// The host's own finding on an event that a plugin could not judge. Of a withheld event it shows
    /// where it lies, and nothing else.
    pub(super) fn blind(
        &mut self,
        row: usize,
        plugin: &str,
        error: &str,
        withheld: bool,
    ) -> Sighting {
        let now_ms = self.now_ms;
        let (event, identity, _) = self.of(row);
        let identity = *identity;
        let event = if withheld {
            Arc::new(EventFacts {
                time_ms: now_ms,
                object_url: event.object_url.clone(),
                index: event.index,
                ..EventFacts::default()
            })
        } else {
            Arc::clone(event)
        };
        let mut entity = vec![plugin.to_owned()];
        if !event.principal_arn.is_empty() {
            entity.push(event.principal_arn.clone());
        }
        let description = if withheld {
            "A redaction plugin failed on events. Nothing of them was forwarded; they are kept as references."
        } else {
            "A detection plugin failed on events. They were forwarded, but this plugin did not judge them."
        };
        Sighting {
            plugin: HOST.to_owned(),
            rule: "plugin-blind".to_owned(),
            title: format!("Plugin {plugin} could not judge events"),
            description: description.to_owned(),
            severity: if withheld {
                Severity::High
            } else {
                Severity::Medium
            },
            entity,
            window_s: 3600,
            attributes: vec![
                ("types".into(), "Software and Configuration Checks".into()),
                ("object".into(), event.object_url.clone()),
                ("index".into(), event.index.to_string()),
                ("cause".into(), crate::text::shown(error)),
            ],
            event,
            identity,
        }
    }
}

fn read(reporter: &Reporter, processed: &Processed, row: usize, now_ms: i64) -> Known {
    let batch = &processed.batch;
    let columns = reporter.projection.project_row(batch, row);
    let masks: Vec<Mask> = processed.masks_of(row).cloned().collect();
    let cleaner = Cleaner::new(&masks, &batch.data);
    let reader = Reader {
        columns: &columns,
        reporter,
        processed,
        masks: &masks,
        cleaner: &cleaner,
    };
    let event_id = reader
        .raw(Fact::EventId)
        .or_else(|| reader.raw(Fact::SummaryId));
    let identity = identity(event_id.as_deref().map(str::as_bytes), batch.event(row));
    let either = |facts: &[Fact]| {
        facts
            .iter()
            .map(|fact| reader.text(*fact))
            .find(|text| !text.is_empty())
            .unwrap_or_default()
    };
    let facts = EventFacts {
        time_ms: processed.view(row, 0).time_ms().unwrap_or(now_ms),
        event_id: either(&[Fact::EventId, Fact::SummaryId]),
        event_name: reader.text(Fact::EventName),
        event_source: reader.text(Fact::EventSource),
        region: reader.text(Fact::Region),
        account: either(&[Fact::Recipient, Fact::IdentityAccount, Fact::SummaryAccount]),
        principal_arn: either(&[Fact::PrincipalArn, Fact::IssuerArn]),
        principal_type: reader.text(Fact::PrincipalType),
        principal_id: reader.text(Fact::PrincipalId),
        user_name: reader.text(Fact::UserName),
        access_key_id: reader.text(Fact::AccessKeyId),
        source_ip: reader.text(Fact::SourceIp),
        user_agent: reader.text(Fact::UserAgent),
        error_code: reader.text(Fact::ErrorCode),
        resource_arn: reader.text(Fact::ResourceArn),
        object_url: batch.object.url.clone(),
        index: batch.events[row].index,
    };
    (Arc::new(facts), identity, cleaner)
}

struct Reader<'a> {
    columns: &'a Columns,
    reporter: &'a Reporter,
    processed: &'a Processed,
    masks: &'a [Mask],
    cleaner: &'a Cleaner,
}

impl Reader<'_> {
    /// The text of a string, as it stands in the event.
    fn raw(&self, fact: Fact) -> Option<Cow<'_, str>> {
        let column = self.reporter.columns[fact as usize];
        if self.columns.kind(0, column) != crate::columns::Kind::String {
            return None;
        }
        Some(lossy(self.columns.text(&self.processed.batch, 0, column)))
    }

    /// The text of a string as it may leave, cut to [`FACT_CHARS`].
    fn text(&self, fact: Fact) -> String {
        let column = self.reporter.columns[fact as usize];
        let range = self.columns.range(0, column);
        if let Some(mask) = self
            .masks
            .iter()
            .find(|mask| Some(&mask.range) == range.as_ref())
        {
            return mask.marker.clone();
        }
        let text = self.raw(fact).unwrap_or_default();
        let mut text = self.cleaner.cleaned(text.into_owned());
        text.truncate(cut(&text, FACT_CHARS).len());
        text
    }
}
