//! What the tables in `table.rs` cannot say: whom a finding is about, what it shows, and what happens
//! when events are not as they should be.

use detect_cloudtrail::DetectCloudtrail;
use sluicegate_plugin::testing::{Kit, Seen};

const ANN: &str = r#""userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::123456789012:user/ann","accountId":"123456789012"}"#;

fn run(event: &str) -> Seen {
    Kit::<DetectCloudtrail>::new("{}").run(&[event])
}

/// Rules that match a call of a user with these further members.
fn call(source: &str, name: &str, more: &str) -> Vec<String> {
    let event =
        format!(r#"{{"eventSource":"{source}.amazonaws.com","eventName":"{name}",{ANN}{more}}}"#);
    run(&event)
        .rules(0)
        .into_iter()
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_deleted_bucket_is_found_with_its_name() {
    let event = format!(
        r#"{{"eventSource":"s3.amazonaws.com","eventName":"DeleteBucket",{ANN},"errorCode":null,
        "requestParameters":{{"bucketName":"reports-123456789012"}}}}"#
    );
    let seen = run(&event);
    let finding = seen.finding(0, "s3-bucket-deleted").expect("a finding");
    assert_eq!(finding.entity, ["arn:aws:iam::123456789012:user/ann"]);
    assert_eq!(finding.window_s, 3600);
    for (name, text) in [
        ("bucket", "reports-123456789012"),
        ("technique", "T1485"),
        ("tactic", "Impact"),
    ] {
        let attribute = (name.to_owned(), text.to_owned());
        assert!(finding.attributes.contains(&attribute), "{name}");
    }
    assert_eq!(seen.rules(0), ["s3-bucket-deleted"]);
}

#[test]
fn an_attempt_says_what_it_was_an_attempt_at() {
    let event = format!(
        r#"{{"eventSource":"organizations.amazonaws.com","eventName":"LeaveOrganization",{ANN},"errorCode":"AccessDeniedException"}}"#
    );
    let seen = run(&event);
    assert_eq!(seen.rules(0), ["evasion-attempted", "call-unauthorized"]);
    let finding = seen.finding(0, "evasion-attempted").expect("a finding");
    let attempted = ("attempted".to_owned(), "organization-left".to_owned());
    assert!(finding.attributes.contains(&attempted));
}

#[test]
fn a_call_can_match_several_rules() {
    let admin = r#","requestParameters":{"roleName":"x","policyDocument":"{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}}"}"#;
    assert_eq!(
        call("iam", "PutRolePolicy", admin),
        ["iam-policy-changed", "iam-administrator-policy-written"]
    );
}

#[test]
fn of_a_call_that_matches_many_rules_the_gravest_are_kept() {
    let event = r#"{"eventSource":"s3.amazonaws.com","eventName":"PutBucketPolicy","userAgent":"kali",
        "userIdentity":{"type":"Root","arn":"arn:aws:iam::123456789012:root"},
        "requestParameters":{"bucketName":"cloudtrail-logs","bucketPolicy":{"Statement":{"Effect":"Allow","Principal":"*"}}}}"#;
    assert_eq!(
        run(event).rules(0),
        [
            "s3-bucket-public",
            "root-used",
            "trail-bucket-changed",
            "attack-tool-used"
        ]
    );
}

#[test]
fn a_storm_of_failures_is_about_one_entity() {
    let failing = |name: &str| {
        format!(
            r#"{{"eventSource":"s3.amazonaws.com","eventName":"{name}",{ANN},"errorCode":"AccessDenied"}}"#
        )
    };
    let events: Vec<String> = ["GetObject", "PutObject", "ListBuckets"]
        .map(failing)
        .into();
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let seen = Kit::<DetectCloudtrail>::new("{}").run(&events);
    let groups: Vec<_> = seen
        .findings()
        .map(|(_, finding)| (&finding.rule, &finding.entity, finding.window_s))
        .collect();
    assert_eq!(groups.len(), 3);
    assert!(groups.iter().all(|group| *group == groups[0]));
}

#[test]
fn a_session_stands_for_its_role() {
    let event = r#"{"eventSource":"ec2.amazonaws.com","eventName":"RunInstances","errorCode":"AccessDenied",
        "userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::123456789012:assumed-role/ops/kim",
        "sessionContext":{"sessionIssuer":{"arn":"arn:aws:iam::123456789012:role/ops"}}}}"#;
    let entity = &run(event)
        .finding(0, "call-unauthorized")
        .expect("a finding")
        .entity
        .clone();
    assert_eq!(entity, &["arn:aws:iam::123456789012:role/ops"]);
}

#[test]
fn without_a_principal_the_account_stands_for_it() {
    let event = r#"{"eventSource":"s3.amazonaws.com","eventName":"PutObject","errorCode":"VpceAccessDenied",
        "userIdentity":{"type":"AWSAccount"},"recipientAccountId":"123456789012"}"#;
    assert_eq!(
        run(event)
            .finding(0, "call-unauthorized")
            .expect("a finding")
            .entity,
        ["123456789012"]
    );
}

#[test]
fn what_is_not_watched_does_not_even_cross_over() {
    for (source, name) in [
        ("ec2", "DescribeInstances"),
        ("s3", "PutObject"),
        ("sts", "AssumeRole"),
        ("sts", "GetCallerIdentity"),
        ("lambda", "Invoke"),
    ] {
        let event =
            format!(r#"{{"eventSource":"{source}.amazonaws.com","eventName":"{name}",{ANN}}}"#);
        assert!(run(&event).matched().is_empty(), "{source} {name}");
    }
}

#[test]
fn settings_out_of_their_range_are_refused() {
    assert!(Kit::<DetectCloudtrail>::try_new(r#"{"window_s":60}"#).is_ok());
    for (configuration, part) in [
        (
            r#"{"window_s":5}"#,
            "window_s must be between 60 and 86400, got 5",
        ),
        (
            r#"{"lifecycle_days":0}"#,
            "lifecycle_days must be between 1 and 3650, got 0",
        ),
        (
            r#"{"instances_at_once":1}"#,
            "instances_at_once must be between 2",
        ),
        (
            r#"{"parameters_at_once":1001}"#,
            "parameters_at_once must be between 2",
        ),
        (
            r#"{"trusted_accounts":["12345"]}"#,
            "twelve digits, got `12345`",
        ),
        (
            r#"{"break_glass":["ann"]}"#,
            "break_glass must be ARNs, got `ann`",
        ),
        (
            r#"{"trail_buckets":[""]}"#,
            "trail_buckets must not hold an empty text",
        ),
        (
            r#"{"instance_networks":["10.0.0.0/33"]}"#,
            "such as 192.0.2.0/24, got `10.0.0.0/33`",
        ),
        (
            r#"{"open_ports":[70000]}"#,
            "failed to read the configuration",
        ),
        (
            r#"{"exceptions":[{"rules":["no-such"],"principals":[]}]}"#,
            "got `no-such`",
        ),
        (
            r#"{"exceptions":[{"rules":[]}]}"#,
            "missing field `principals`",
        ),
        (r#"{"speed":1}"#, "unknown field `speed`"),
    ] {
        let refused = Kit::<DetectCloudtrail>::try_new(configuration).err();
        assert!(
            refused.as_ref().is_some_and(|error| error.contains(part)),
            "{configuration}: {refused:?}"
        );
    }
    let many = format!(r#"{{"trail_buckets":[{}"b"]}}"#, r#""b","#.repeat(1000));
    let refused = Kit::<DetectCloudtrail>::try_new(&many).err();
    assert_eq!(
        refused.as_deref(),
        Some("trail_buckets must have at most 1000 entries, got 1001")
    );
}

/// What whoever makes the call, or names a resource, can choose.
#[test]
fn nobody_hides_a_call_by_what_they_choose() {
    let stopped = |more: &str| call("cloudtrail", "StopLogging", more);
    let huge = "x".repeat(300_000);
    for more in [
        r#","userAgent":"cloudformation.amazonaws.com""#.to_owned(),
        r#","sourceIPAddress":"cloudformation.amazonaws.com""#.to_owned(),
        r#","userAgent":null,"sourceIPAddress":17"#.to_owned(),
        format!(r#","userAgent":"{huge}""#),
        format!(r#","requestParameters":{{"name":"{huge}"}}"#),
        r#","requestParameters":{"name":"a","name":"b"}"#.to_owned(),
        r#","requestParameters":{"name":{"name":"StartLogging"}}"#.to_owned(),
        r#","errorCode":"""#.to_owned(),
        r#","eventType":"AwsServiceEvent""#.to_owned(),
    ] {
        assert_eq!(stopped(&more), ["cloudtrail-tampered"], "{more:.80}");
    }
    // A service that acts for a user does what the user wants.
    let forwarded = r#"{"eventSource":"iam.amazonaws.com","eventName":"AttachRolePolicy","userIdentity":{"type":"IAMUser",
        "arn":"arn:aws:iam::123456789012:user/ann","invokedBy":"cloudformation.amazonaws.com"},
        "requestParameters":{"policyArn":"arn:aws:iam::aws:policy/AdministratorAccess"}}"#;
    assert_eq!(run(forwarded).rules(0), ["iam-administrator-attached"]);
}

#[test]
fn escaped_and_repeated_members_are_read_as_the_service_means_them() {
    let escaped =
        r#"{"\u0065ventSource":"cloudtrail.amazonaws.com","eventName":"Stop\u004cogging"}"#;
    assert_eq!(run(escaped).rules(0), ["cloudtrail-tampered"]);
    let escaped = r#","requestParameters":{"p\u006flicyArn":"arn:aws:iam::aws:policy\/\u0041dministratorAccess"}"#;
    assert_eq!(
        call("iam", "AttachRolePolicy", escaped),
        ["iam-administrator-attached"]
    );
    // Of a repeated member the last counts, as in the columns of the host.
    let last = r#","requestParameters":{"userName":"ann","userName":"bob"}"#;
    assert_eq!(
        call("iam", "CreateAccessKey", last),
        ["iam-key-for-another-user"]
    );
    let last = r#","requestParameters":{"userName":"bob","userName":"ann"}"#;
    assert!(call("iam", "CreateAccessKey", last).is_empty());
}

/// Every watched call, with every kind of value where its parameters should be.
#[test]
fn parameters_of_any_shape_are_judged_without_a_failure() {
    let shapes = [
        "null",
        "17",
        "\"text\"",
        "true",
        "[]",
        "{}",
        "[[[]]]",
        r#"{"policyDocument":"{","bucketPolicy":[],"ipPermissions":17,"instancesSet":null,"layers":{},"userName":[]}"#,
        r#"{"policyDocument":"%","instanceType":"9","launchPermission":{"add":[[]]},"LifecycleConfiguration":{"Rule":[1,null]}}"#,
        r#"{"policyDocument":{"Statement":[{"Effect":"Allow","Principal":{"AWS":[{}]},"Condition":7}]},"roleArn":"arn:"}"#,
    ];
    let kit = Kit::<DetectCloudtrail>::new("{}");
    let deep = format!("{}{}", "{\"Statement\":[".repeat(100), "]}".repeat(100));
    for (source, name) in detect_cloudtrail::watched() {
        for shape in shapes.into_iter().chain([deep.as_str()]) {
            let event = format!(
                r#"{{"eventSource":"{source}.amazonaws.com","eventName":"{name}",{ANN},"requestParameters":{shape}}}"#
            );
            assert!(
                kit.try_run(&[&event]).is_ok(),
                "{source} {name} {shape:.80}"
            );
        }
    }
}

#[test]
fn events_with_members_of_the_wrong_kind_are_judged_by_the_rest() {
    for event in [
        r#"{"eventSource":["s3.amazonaws.com"],"eventName":"DeleteBucket","errorCode":{}}"#,
        r#"{"eventSource":"s3.amazonaws.com","eventName":17,"errorCode":17}"#,
        r#"{"eventName":"DeleteBucket","errorCode":[1],"userIdentity":[]}"#,
        r#"{"errorCode":true,"userIdentity":{"type":{},"arn":7,"sessionContext":"x"}}"#,
    ] {
        assert_eq!(run(event).rules(0), ["call-failed"], "{event}");
    }
    let seen = run(r#"{"errorCode":"x","userIdentity":null}"#);
    let finding = seen.finding(0, "call-failed").expect("a finding");
    assert_eq!(finding.entity, ["unknown"]);
}
