//! What is masked, and told, in whole events.

use redaction_check::RedactionCheck;
use sluicegate_plugin::testing::{Kit, Seen};

fn run(event: &str) -> Seen {
    Kit::<RedactionCheck>::new("{}").run(&[event])
}

/// Masks of a call with these further members, as `path detector`.
fn masks(source: &str, name: &str, more: &str) -> Vec<String> {
    let event =
        format!(r#"{{"eventSource":"{source}.amazonaws.com","eventName":"{name}",{more}}}"#);
    run(&event)
        .masks(0)
        .iter()
        .map(|(path, detector)| format!("{path} {detector}"))
        .collect()
}

#[test]
fn a_token_that_a_call_hands_out_is_masked_without_a_finding() {
    let event = r#"{"eventSource":"sts.amazonaws.com","eventName":"AssumeRole","responseElements":
        {"credentials":{"accessKeyId":"ASIAIOSFODNN7EXAMPLE","sessionToken":"IQoJb3JpZ2luX2Vj"}}}"#;
    let seen = run(event);
    assert_eq!(
        seen.masks(0),
        [(
            "/responseElements/credentials/sessionToken",
            "issued-session-token"
        )]
    );
    assert_eq!(seen.findings().count(), 0);
}

#[test]
fn a_finding_says_where_and_what_kind_but_never_what() {
    let event = r#"{"eventSource":"elasticache.amazonaws.com","eventName":"CreateReplicationGroup",
        "userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::123456789012:user/ann"},
        "requestParameters":{"authToken":"correct-horse-battery"}}"#;
    let seen = run(event);
    assert_eq!(
        seen.masks(0),
        [("/requestParameters/authToken", "named-secret")]
    );
    let finding = seen.finding(0, "secret-in-event").expect("a finding");
    assert_eq!(
        finding.entity,
        [
            "arn:aws:iam::123456789012:user/ann",
            "CreateReplicationGroup",
            "named-secret"
        ]
    );
    assert_eq!(finding.window_s, 3600);
    let path = ("path".to_owned(), "/requestParameters/authToken".to_owned());
    assert!(finding.attributes.contains(&path));
    assert!(!format!("{finding:?}").contains("correct-horse"));
}

#[test]
fn two_secrets_of_one_kind_in_an_event_are_one_finding_and_two_masks() {
    let more = r#""requestParameters":{"users":[{"password":"hunter22"},{"password":"hunter23"}]}"#;
    let event =
        format!(r#"{{"eventSource":"mq.amazonaws.com","eventName":"CreateBroker",{more}}}"#);
    let seen = run(&event);
    assert_eq!(seen.masks(0).len(), 2);
    assert_eq!(seen.rules(0), ["secret-in-event"]);
    assert_eq!(seen.masks(0)[1].0, "/requestParameters/users/1/password");
}

#[test]
fn variables_of_a_build_are_masked_unless_they_only_name_where_the_value_is() {
    let more = r#""requestParameters":{"environmentVariablesOverride":[
        {"name":"STAGE","value":"prod","type":"PLAINTEXT"},
        {"name":"DB_PASSWORD","value":"/db/password","type":"PARAMETER_STORE"}]}"#;
    let found = masks("codebuild", "StartBuild", more);
    assert!(found.contains(
        &"/requestParameters/environmentVariablesOverride/0/value environment-variable".to_owned()
    ));
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn a_pair_of_a_telling_name_and_a_value_is_masked_in_either_order() {
    for pair in [
        r#"{"name":"DB_PASSWORD","value":"hunter22"}"#,
        r#"{"value":"hunter22","name":"DB_PASSWORD"}"#,
    ] {
        let more = format!(
            r#""requestParameters":{{"containerDefinitions":[{{"environment":[{pair}]}}]}}"#
        );
        let expected = "/requestParameters/containerDefinitions/0/environment/0/value named-secret";
        assert_eq!(masks("example", "RegisterTask", &more), [expected]);
    }
}

#[test]
fn what_is_masked_already_stays_as_it_is() {
    for marker in [
        "HIDDEN_DUE_TO_SECURITY_REASONS",
        "****",
        "<sensitiveDataRemoved>",
        "<masked:named-secret:k1:0123456789abcdef>",
    ] {
        let more = format!(
            r#""requestParameters":{{"masterUserPassword":"{marker}","userData":"{marker}"}}"#
        );
        assert!(
            masks("rds", "CreateDBInstance", &more).is_empty(),
            "{marker}"
        );
        assert!(masks("ec2", "RunInstances", &more).is_empty(), "{marker}");
    }
}

#[test]
fn references_to_a_secret_are_not_secrets() {
    let more = r#""requestParameters":{"masterUserPassword":"{{resolve:secretsmanager:db}}","apiKeyRequired":true,"authToken":null}"#;
    assert!(masks("rds", "CreateDBInstance", more).is_empty());
    let identifier = r#""requestParameters":{"apiKey":"abcde12345"}"#;
    assert!(masks("apigateway", "GetApiKey", identifier).is_empty());
    assert_eq!(masks("example", "PutKey", identifier).len(), 1);
}

#[test]
fn json_within_a_string_is_masked_as_the_whole_string() {
    let more =
        r#""requestParameters":{"definition":"{\"Resources\":{\"MasterPassword\":\"hunter22\"}}"}"#;
    let found = masks("states", "CreateStateMachine", more);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("/requestParameters/definition "));
}

#[test]
fn escapes_hide_neither_names_nor_values() {
    let name = r#""requestParameters":{"pass\u0077ord":"hunter22"}"#;
    assert_eq!(
        masks("x", "Y", name),
        ["/requestParameters/password named-secret"]
    );
    let value = r#""requestParameters":{"url":"https:\/\/app:hunter22@db.example.com"}"#;
    assert_eq!(
        masks("x", "Y", value),
        ["/requestParameters/url url-password"]
    );
}

#[test]
fn names_are_escaped_in_paths_and_repeated_ones_masked_once() {
    let more =
        r#""requestParameters":{"a/b~c":{"token":"abcdefgh12"},"a/b~c":{"token":"abcdefgh34"}}"#;
    assert_eq!(
        masks("x", "Y", more),
        ["/requestParameters/a~1b~0c/token named-secret"]
    );
}

#[test]
fn a_secret_deep_down_is_found() {
    let more = format!(
        r#""requestParameters":{}{{"password":"hunter22"}}{}"#,
        "[".repeat(100),
        "]".repeat(100)
    );
    assert_eq!(masks("x", "Y", &more).len(), 1);
}

#[test]
fn an_event_that_cannot_be_read_fails_closed() {
    let kit = Kit::<RedactionCheck>::new("{}");
    let deep = format!(r#"{{"x":"\\","y":{}{}}}"#, "[".repeat(120), "]".repeat(120));
    assert!(kit.try_run(&[&deep]).is_ok());
    let (mut batch, _) = kit.batch(&["{}"]);
    batch.columns[0].data = br#"{"a":"\\","b"#.to_vec();
    batch.columns[0].offsets = vec![0, 12];
    assert!(kit.process(&batch).is_err());
}

#[test]
fn ordinary_values_are_left_alone() {
    let more = r#""requestID":"CC9X0N62QREGTBMN","eventID":"293ba626-3be5-4a26-ab1b-0f4c54f49959",
        "userAgent":"[aws-cli/2.15.0 Python/3.11.6 Linux/6.1 prompt/off command/iam.create-access-key]",
        "requestParameters":{"eTag":"d41d8cd98f00b204e9800998ecf8427e","nextToken":"eyJOZXh0VG9rZW4iOiBudWxsfQ==",
        "policyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"secretsmanager:GetSecretValue\",\"Resource\":\"arn:aws:secretsmanager:us-east-1:123456789012:secret:db-1a2b3c\"}]}"},
        "additionalEventData":{"x-amz-id-2":"6YyGGLKZXYf3vfASwZOXeSfV+THvl/YamrZ0rtLHzpt4vyqnkTLB3n1KJb2VdOujH+dvCFs2gbAH0hMUI3+0tw=="},
        "responseElements":{"accessKey":{"accessKeyId":"AKIAIOSFODNN7EXAMPLE","status":"Active"}}"#;
    assert!(masks("iam", "CreateAccessKey", more).is_empty());
}

fn in_mode(mode: &str, event: &str) -> Seen {
    Kit::<RedactionCheck>::new(&format!(r#"{{"mode":"{mode}"}}"#)).run(&[event])
}

const TWO: &str = r#"{"eventSource":"sts.amazonaws.com","eventName":"AssumeRole",
    "requestParameters":{"password":"correct-horse","x":{"password":"battery-staple"}},
    "responseElements":{"credentials":{"sessionToken":"IQoJb3JpZ2luX2Vj"}}}"#;

#[test]
fn where_only_reports_are_asked_for_nothing_is_masked_and_all_is_told() {
    let seen = in_mode("report", TWO);
    assert!(seen.masks(0).is_empty());
    let told: Vec<_> = seen.findings().map(|(_, finding)| finding).collect();
    assert_eq!(told.len(), 2);
    let paths = "/requestParameters/password, /requestParameters/x/password";
    assert!(told[0].attributes.contains(&("path".into(), paths.into())));
    assert!(told[1].entity.contains(&"issued-session-token".to_owned()));
}

#[test]
fn where_events_are_blocked_a_mask_that_cannot_be_placed_withholds_them() {
    let seen = in_mode("block", TWO);
    let nowhere = ("/withheld by redaction-check", "named-secret");
    assert!(seen.masks(0).contains(&nowhere), "{:?}", seen.masks(0));
    assert_eq!(seen.findings().count(), 0);
    let routine = TWO.replace("password", "note");
    assert_eq!(in_mode("block", &routine).masks(0).len(), 1);
}

#[test]
fn an_unknown_mode_is_refused() {
    let refused = Kit::<RedactionCheck>::try_new(r#"{"mode":"drop"}"#);
    assert!(refused.unwrap_err().contains("drop"));
}
