//! What findings are made of.

use sluicegate::finding::EventFacts;

/// All that an event can say.
#[must_use]
pub fn facts() -> EventFacts {
    EventFacts {
        time_ms: 1_700_000_000_000,
        event_id: "i".into(),
        event_name: "n".into(),
        event_source: "iam.amazonaws.com".into(),
        region: "eu-central-1".into(),
        account: "123456789012".into(),
        principal_arn: "arn:aws:iam::123456789012:user/a".into(),
        principal_type: "IAMUser".into(),
        principal_id: "AIDA".into(),
        user_name: "a".into(),
        access_key_id: "AKIA".into(),
        source_ip: "198.51.100.7".into(),
        user_agent: "u".into(),
        error_code: "AccessDenied".into(),
        resource_arn: "arn:aws:s3:::b".into(),
        object_url: "s3://b/k".into(),
        index: 3,
    }
}
