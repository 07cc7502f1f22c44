//! Each rule on events that it must find, and on near ones that it must not.

use detect_cloudtrail::DetectCloudtrail;
use sluicegate_plugin::{
    Severity,
    testing::{Kit, Seen},
};

const ANN: &str = r#""userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::123456789012:user/ann","accountId":"123456789012"}"#;
const ROOT: &str = r#""userIdentity":{"type":"Root","arn":"arn:aws:iam::123456789012:root","accountId":"123456789012"}"#;

fn run(event: &str) -> Seen {
    Kit::<DetectCloudtrail>::new("{}").run(&[event])
}

/// Rules that match a call with this identity and these further members.
fn call(source: &str, name: &str, who: &str, more: &str) -> Vec<String> {
    let event =
        format!(r#"{{"eventSource":"{source}.amazonaws.com","eventName":"{name}",{who}{more}}}"#);
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
        "requestParameters":{{"bucketName":"leanda-ng-cloudtrail-test-123456789012"}}}}"#
    );
    let seen = run(&event);
    let finding = seen.finding(0, "s3-bucket-deleted").expect("a finding");
    assert_eq!(finding.entity, ["arn:aws:iam::123456789012:user/ann"]);
    assert_eq!(finding.window_s, 3600);
    let bucket = (
        "bucket".to_owned(),
        "leanda-ng-cloudtrail-test-123456789012".to_owned(),
    );
    assert!(finding.attributes.contains(&bucket));
    assert!(
        finding
            .attributes
            .contains(&("technique".to_owned(), "T1485".to_owned()))
    );
    assert_eq!(seen.rules(0), ["s3-bucket-deleted"]);
}

#[test]
fn a_bucket_that_was_not_deleted_is_a_failed_call_only() {
    let more = r#","errorCode":"BucketNotEmpty""#;
    assert_eq!(call("s3", "DeleteBucket", ANN, more), ["call-failed"]);
    assert!(call("s3", "DeleteBucketPolicy", ANN, "").is_empty());
}

#[test]
fn changes_of_policies_boundaries_and_trust_are_found() {
    for name in [
        "PutUserPolicy",
        "CreatePolicyVersion",
        "UpdateAssumeRolePolicy",
        "DeleteRolePermissionsBoundary",
    ] {
        assert_eq!(call("iam", name, ANN, ""), ["iam-policy-changed"], "{name}");
    }
}

#[test]
fn reading_policies_and_changes_that_were_denied_are_no_change() {
    assert!(call("iam", "GetRolePolicy", ANN, "").is_empty());
    let denied = r#","errorCode":"AccessDenied""#;
    assert_eq!(
        call("iam", "PutRolePolicy", ANN, denied),
        ["call-unauthorized"]
    );
}

#[test]
fn granting_everything_is_worse_than_granting_something() {
    let all = r#","requestParameters":{"policyArn":"arn:aws:iam::aws:policy/AdministratorAccess"}"#;
    assert_eq!(
        call("iam", "AttachRolePolicy", ANN, all),
        ["iam-administrator-attached"]
    );
    assert_eq!(
        call("iam", "DetachRolePolicy", ANN, all),
        ["iam-policy-changed"]
    );
}

#[test]
fn failures_are_told_from_denials() {
    assert_eq!(
        call(
            "ec2",
            "RunInstances",
            ANN,
            r#","errorCode":"Client.UnauthorizedOperation""#
        ),
        ["call-unauthorized"]
    );
    assert_eq!(
        call(
            "ec2",
            "RunInstances",
            ANN,
            r#","errorCode":"Client.InvalidAMIID.NotFound""#
        ),
        ["call-failed"]
    );
    assert!(call("ec2", "RunInstances", ANN, r#","errorCode":null"#).is_empty());
    assert!(call("ec2", "RunInstances", ANN, "").is_empty());
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
fn root_is_found_when_it_acts_itself() {
    assert_eq!(call("ec2", "DescribeInstances", ROOT, ""), ["root-used"]);
    let login =
        r#","responseElements":{"ConsoleLogin":"Success"},"additionalEventData":{"MFAUsed":"Yes"}"#;
    assert_eq!(call("signin", "ConsoleLogin", ROOT, login), ["root-used"]);
}

#[test]
fn a_service_in_the_name_of_root_is_not_root() {
    let service = r#""userIdentity":{"type":"Root","invokedBy":"support.amazonaws.com"}"#;
    assert!(call("ec2", "DescribeInstances", service, "").is_empty());
    assert!(
        call(
            "kms",
            "RotateKey",
            ROOT,
            r#","eventType":"AwsServiceEvent""#
        )
        .is_empty()
    );
    let failed = r#","responseElements":{"ConsoleLogin":"Failure"}"#;
    assert!(call("signin", "ConsoleLogin", ROOT, failed).is_empty());
}

#[test]
fn a_login_with_a_password_alone_is_found() {
    let login = |who: &str, result: &str, mfa: &str| {
        let more = format!(
            r#","responseElements":{{"ConsoleLogin":"{result}"}},"additionalEventData":{{"MFAUsed":"{mfa}"}}"#
        );
        call("signin", "ConsoleLogin", who, &more)
    };
    assert_eq!(login(ANN, "Success", "No"), ["console-login-without-mfa"]);
    assert_eq!(
        login(ROOT, "Success", "No"),
        ["console-login-without-mfa", "root-used"]
    );
    assert!(login(ANN, "Success", "Yes").is_empty());
    assert!(login(ANN, "Failure", "No").is_empty());
    let sso = r#""userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::123456789012:assumed-role/a/b"}"#;
    assert!(login(sso, "Success", "No").is_empty());
}

#[test]
fn tampering_is_graded_by_what_it_does_and_whether_it_worked() {
    let severity = |name: &str, more: &str, rule: &str| {
        let event = format!(
            r#"{{"eventSource":"cloudtrail.amazonaws.com","eventName":"{name}",{ANN}{more}}}"#
        );
        run(&event).finding(0, rule).map(|finding| finding.severity)
    };
    assert_eq!(
        severity("StopLogging", "", "cloudtrail-tampered"),
        Some(Severity::Critical)
    );
    assert_eq!(
        severity("UpdateTrail", "", "cloudtrail-tampered"),
        Some(Severity::Medium)
    );
    let denied = r#","errorCode":"AccessDeniedException""#;
    assert_eq!(severity("DeleteTrail", denied, "cloudtrail-tampered"), None);
    assert_eq!(
        severity("DeleteTrail", denied, "cloudtrail-tampering-attempted"),
        Some(Severity::Medium)
    );
}

#[test]
fn insight_selectors_count_when_they_are_removed() {
    let with =
        |selectors: &str| format!(r#","requestParameters":{{"insightSelectors":{selectors}}}"#);
    assert_eq!(
        call("cloudtrail", "PutInsightSelectors", ANN, &with("[]")),
        ["cloudtrail-tampered"]
    );
    let kept = with(r#"[{"insightType":"ApiCallRateInsight"}]"#);
    assert!(call("cloudtrail", "PutInsightSelectors", ANN, &kept).is_empty());
}

#[test]
fn the_window_is_configurable_within_its_range() {
    assert!(Kit::<DetectCloudtrail>::try_new(r#"{"window_s":60}"#).is_ok());
    let Err(refused) = Kit::<DetectCloudtrail>::try_new(r#"{"window_s":5}"#) else {
        panic!("a window of five seconds was taken");
    };
    assert_eq!(refused, "window_s must be between 60 and 86400, got 5");
}

#[test]
fn what_is_not_watched_does_not_even_cross_over() {
    let event =
        format!(r#"{{"eventSource":"ec2.amazonaws.com","eventName":"DescribeInstances",{ANN}}}"#);
    assert!(run(&event).matched().is_empty());
}
