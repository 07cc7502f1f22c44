//! Bodies of messages: whatever they hold has a fate, and only trusted objects are to be read.

#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use sluicegate::{
    deadletter::Cause,
    source::{
        layout::{self, Layout},
        notification::{self, MAX_KEY, Trust},
    },
};

const BUCKET: &str = "leanda-ng-cloudtrail-test-123456789012";

fuzz_target!(|body: &str| {
    let trust = Trust::new([BUCKET]);
    let announced = notification::objects(body, &trust);
    assert!(
        !announced.objects.is_empty()
            || !announced.refused.is_empty()
            || !announced.ignored.is_empty()
            || announced.not_understood.is_some(),
        "a message without a fate"
    );

    let mut known = HashSet::new();
    for object in &announced.objects {
        assert_eq!(object.bucket, BUCKET);
        assert!(object.key.len() <= MAX_KEY);
        assert!(matches!(layout::of(&object.key), Layout::CloudTrail(_)));
        assert!(known.insert(object), "announced twice");
    }
    for refused in &announced.refused {
        assert!(refused.reference.bucket.len() <= 255 && refused.reference.key.len() <= MAX_KEY);
        match refused.cause {
            Cause::BucketNotAllowed => assert_ne!(refused.reference.bucket, BUCKET),
            Cause::UnknownKey => assert_eq!(refused.reference.bucket, BUCKET),
            other => panic!("refused as {other:?}"),
        }
        assert!(known.insert(&refused.reference), "announced twice");
    }
    if let Some(reason) = &announced.not_understood {
        assert!(!reason.to_string().chars().any(char::is_control));
    }

    // The body as a key: what is read ends as log files do, and holds nothing that moves a path.
    if let Layout::CloudTrail(_) = layout::of(body) {
        assert!(body.ends_with(layout::SUFFIX));
        assert!(!body.split('/').any(|segment| segment == ".."));
        assert!(!body.chars().any(char::is_control));
    }
});
