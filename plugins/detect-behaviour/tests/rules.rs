//! Each rule, with what it finds and what it leaves alone.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::slice::from_ref;

use common::{ANN, attribute, call, event, kit, names, rules, run, with};
use serde_json::{Value, json};

const DAY: u64 = 86_400;

/// So many events, one every `step` seconds from `from` on.
fn series(count: usize, from: u64, step: u64, make: impl Fn(usize) -> Value) -> Vec<String> {
    (0..count)
        .map(|number| event(number, from + number as u64 * step, make(number)))
        .collect()
}

fn login(user: &str, ending: &str) -> Value {
    let more = json!({
        "responseElements": { "ConsoleLogin": ending }, "readOnly": false,
        "userIdentity": { "userName": user, "accessKeyId": "" },
    });
    with(call("signin", "ConsoleLogin"), more)
}

#[test]
fn failures_of_a_login_are_found_and_so_is_the_success_after_them() {
    let kit = kit(&json!({}));
    let failures = series(10, 0, 30, |_| login("ann", "Failure"));
    assert_eq!(names(&run(&kit, &failures[..9])), [""; 0]);
    let seen = run(&kit, &failures[9..]);
    assert_eq!(names(&seen), ["console-login-failures"]);
    assert_eq!(
        attribute(&seen, "console-login-failures", "count").unwrap(),
        "10"
    );
    let earlier = attribute(&seen, "console-login-failures", "events").unwrap();
    assert_eq!(earlier.split(' ').count(), 9, "{earlier}");
    assert!(earlier.contains("ff000000-"));
    let success = [event(50, 400, login("ann", "Success"))];
    assert_eq!(
        names(&run(&kit, &success)),
        ["console-login-after-failures"]
    );
    let other = [event(
        51,
        400,
        with(
            login("bob", "Success"),
            json!({ "sourceIPAddress": "198.51.100.1" }),
        ),
    )];
    assert_eq!(names(&run(&kit, &other)), [""; 0]);
    let much_later = [event(52, 4_000, login("ann", "Success"))];
    assert_eq!(names(&run(&kit, &much_later)), [""; 0]);
}

#[test]
fn all_failures_of_one_batch_are_evidence() {
    let failures = series(10, 0, 30, |_| login("ann", "Failure"));
    let seen = run(&kit(&json!({})), &failures);
    assert_eq!(rules(&seen), [("console-login-failures".to_owned(), 10)]);
}

#[test]
fn slow_failures_and_a_lower_threshold() {
    let slow = series(20, 0, 70, |_| login("ann", "Failure"));
    assert_eq!(names(&run(&kit(&json!({})), &slow)), [""; 0]);
    let strict =
        kit(&json!({ "rules": { "console-login-failures": { "threshold": 3, "window_s": 300 } } }));
    assert_eq!(names(&run(&strict, &slow[..3])), ["console-login-failures"]);
    let off =
        kit(&json!({ "rules": { "console-login-failures": { "threshold": 3, "off": true } } }));
    assert_eq!(names(&run(&off, &slow[..3])), [""; 0]);
}

#[test]
fn users_of_the_same_name_in_other_accounts_are_others() {
    let login = |n: usize| {
        let account = json!({ "userIdentity": { "accountId": format!("{}", n % 2) } });
        with(login("ann", "Failure"), account)
    };
    let seen = run(&kit(&json!({})), &series(18, 0, 10, login));
    assert_eq!(
        names(&seen),
        [""; 0],
        "nine each, and below what an address may"
    );
}

#[test]
fn one_address_and_many_users_is_spraying() {
    let seen = run(
        &kit(&json!({})),
        &series(5, 0, 10, |n| login(&format!("user{n}"), "Failure")),
    );
    assert_eq!(names(&seen), ["console-login-spraying"]);
    let entity = &seen.findings().next().unwrap().1.entity;
    assert_eq!(entity[0], "203.0.113.7");
    let seen = run(
        &kit(&json!({})),
        &series(20, 0, 10, |n| login(&format!("user{}", n % 4), "Failure")),
    );
    assert_eq!(names(&seen), ["console-login-failures-address"]);
}

fn change(region: &str) -> Value {
    with(
        call("ec2", "RunInstances"),
        json!({ "awsRegion": region, "readOnly": false }),
    )
}

#[test]
fn a_new_region_is_found_once_the_account_is_known() {
    let kit = kit(&json!({}));
    assert_eq!(
        names(&run(&kit, &[event(0, 0, change("eu-central-1"))])),
        [""; 0]
    );
    assert_eq!(
        names(&run(&kit, &[event(1, 3 * DAY, change("us-east-1"))])),
        [""; 0],
        "still learning"
    );
    let other = with(
        change("us-east-1"),
        json!({ "userIdentity": { "arn": "arn:aws:iam::111122223333:user/bob" } }),
    );
    assert_eq!(
        names(&run(&kit, &[event(2, 8 * DAY, other)])),
        [""; 0],
        "the account knows it, Bob is new"
    );
    let new = event(3, 8 * DAY, change("ap-east-1"));
    let seen = run(&kit, from_ref(&new));
    assert_eq!(
        names(&seen),
        ["principal-region-first-used", "region-first-used"]
    );
    assert_eq!(
        attribute(&seen, "region-first-used", "region").unwrap(),
        "ap-east-1"
    );
    let more = event(4, 8 * DAY + 60, change("ap-east-1"));
    assert_eq!(names(&run(&kit, &[more])), [""; 0]);
    assert_eq!(names(&run(&kit, &[new])).len(), 2, "delivered again");
    let failed = with(
        change("sa-east-1"),
        json!({ "errorCode": "Client.InvalidParameterValue" }),
    );
    assert_eq!(names(&run(&kit, &[event(5, 8 * DAY, failed)])), [""; 0]);
}

#[test]
fn a_sweep_through_regions_is_found() {
    let sweep = |count, step| {
        let listing = |n| {
            with(
                call("ec2", "DescribeInstances"),
                json!({ "awsRegion": format!("region-{n}") }),
            )
        };
        names(&run(&kit(&json!({})), &series(count, 0, step, listing)))
    };
    assert_eq!(sweep(10, 60), ["regions-swept"]);
    assert_eq!(sweep(9, 60), [""; 0]);
    assert_eq!(sweep(12, 1_800), [""; 0]);
}

#[test]
fn nobody_is_in_two_places() {
    let kit = kit(&json!({ "locations": "places" })).with_table(
        "places",
        &[
            ("203.0.113.7", "location.latitude", "52.5"),
            ("203.0.113.7", "location.longitude", "13.4"),
            ("203.0.113.7", "country.iso_code", "DE"),
            ("198.51.100.9", "location.latitude", "40.7"),
            ("198.51.100.9", "location.longitude", "-74.0"),
            ("198.51.100.9", "country.iso_code", "US"),
        ],
    );
    let at = |number, second, address: &str, who: Value| {
        let more = json!({ "sourceIPAddress": address, "userIdentity": who });
        event(number, second, with(call("sts", "GetCallerIdentity"), more))
    };
    let home = at(0, 0, "203.0.113.7", json!({}));
    assert_eq!(names(&run(&kit, from_ref(&home))), [""; 0]);
    let away = at(1, 3_600, "198.51.100.9", json!({}));
    let seen = run(&kit, from_ref(&away));
    assert_eq!(names(&seen), ["impossible-travel"]);
    assert_eq!(
        attribute(&seen, "impossible-travel", "countries").unwrap(),
        "DE US"
    );
    assert_eq!(
        attribute(&seen, "impossible-travel", "minutes").unwrap(),
        "60"
    );
    assert_eq!(
        names(&run(&kit, &[away])),
        ["impossible-travel"],
        "delivered again"
    );
    let flown = at(2, 14 * 3_600, "203.0.113.7", json!({}));
    assert_eq!(names(&run(&kit, &[flown])), [""; 0]);
    for who in [
        json!({ "type": "AssumedRole", "arn": "arn:aws:sts::111122223333:assumed-role/app/job" }),
        json!({ "invokedBy": "cloudformation.amazonaws.com" }),
    ] {
        let both = [
            at(3, 0, "203.0.113.7", who.clone()),
            at(4, 60, "198.51.100.9", who),
        ];
        assert_eq!(names(&run(&kit, &both)), [""; 0]);
    }
    let unknown = [
        at(5, DAY * 2, "203.0.113.7", json!({})),
        at(6, DAY * 2, "192.0.2.1", json!({})),
    ];
    assert_eq!(names(&run(&kit, &unknown)), [""; 0]);
}

#[test]
fn a_key_in_many_networks_is_found() {
    let from = |address: fn(usize) -> String| {
        let listing = |n| {
            with(
                call("sts", "GetCallerIdentity"),
                json!({ "sourceIPAddress": address(n) }),
            )
        };
        names(&run(&kit(&json!({})), &series(8, 0, 60, listing)))
    };
    assert_eq!(
        from(|n| format!("203.0.{n}.7")),
        ["access-key-many-networks"]
    );
    assert_eq!(
        from(|n| format!("2600:1f14:{n}::1")),
        ["access-key-many-networks"]
    );
    assert_eq!(from(|n| format!("203.0.113.{n}")), [""; 0]);
    assert_eq!(from(|n| format!("10.0.{n}.1")), [""; 0]);
    assert_eq!(from(|n| format!("service{n}.amazonaws.com")), [""; 0]);
}

fn object(name: &str, number: usize) -> Value {
    let more = json!({
        "managementEvent": false, "readOnly": name == "GetObject",
        "requestParameters": { "bucketName": "data", "key": format!("in/{number}") },
    });
    with(call("s3", name), more)
}

#[test]
fn masses_of_objects_are_found() {
    let of = |name: &str, count| {
        names(&run(
            &kit(&json!({})),
            &series(count, 0, 0, |n| object(name, n)),
        ))
    };
    assert_eq!(of("DeleteObject", 700), ["s3-objects-mass-deleted"]);
    assert_eq!(of("DeleteObject", 300), [""; 0]);
    assert_eq!(of("DeleteObjects", 5), ["s3-objects-mass-deleted"]);
    assert_eq!(of("DeleteObjects", 4), [""; 0]);
    assert_eq!(of("GetObject", 1_500), ["s3-objects-mass-read"]);
    assert_eq!(of("GetObject", 600), [""; 0]);
    let again = series(3_000, 0, 0, |n| object("GetObject", n % 50));
    assert_eq!(
        names(&run(&kit(&json!({})), &again)),
        [""; 0],
        "the same few objects"
    );
}

#[test]
fn who_reads_all_day_reads_no_mass() {
    let kit = kit(&json!({ "rules": { "s3-objects-mass-read": { "threshold": 20 } } }));
    for part in 0..10 {
        let reads = series(30, part * 3_600, 1, |n| {
            object("GetObject", n + 100 * usize::try_from(part).unwrap())
        });
        let found = names(&run(&kit, &reads));
        assert_eq!(found.is_empty(), part >= 2, "part {part}: {found:?}");
    }
}

#[test]
fn masses_of_deletions_are_found() {
    let of = |service: &str, name: &str, count, more: Value| {
        let deletion = |_| {
            with(
                call(service, name),
                with(json!({ "readOnly": false }), more.clone()),
            )
        };
        names(&run(&kit(&json!({})), &series(count, 0, 5, deletion)))
    };
    assert_eq!(
        of("sqs", "DeleteQueue", 20, json!({})),
        ["resources-mass-deleted"]
    );
    assert_eq!(of("sqs", "DeleteQueue", 19, json!({})), [""; 0]);
    assert_eq!(
        of("rds", "DeleteDBSnapshot", 5, json!({})),
        ["backups-mass-deleted"]
    );
    assert_eq!(of("ec2", "CreateTags", 50, json!({})), [""; 0]);
    let by_service = json!({ "userIdentity": { "invokedBy": "backup.amazonaws.com" } });
    assert_eq!(of("rds", "DeleteDBSnapshot", 50, by_service), [""; 0]);
    let items: Vec<Value> = (0..20)
        .map(|n| json!({ "instanceId": format!("i-{n}") }))
        .collect();
    let many = json!({ "requestParameters": { "instancesSet": { "items": items } } });
    assert_eq!(
        of("ec2", "TerminateInstances", 1, many),
        ["resources-mass-deleted"]
    );
    let denied = json!({ "errorCode": "AccessDenied" });
    assert_eq!(
        of("sqs", "DeleteQueue", 5, denied.clone()),
        ["deletions-denied"]
    );
    assert_eq!(of("sqs", "DeleteQueue", 4, denied), [""; 0]);
    let absent = json!({ "errorCode": "NoSuchEntity" });
    assert_eq!(of("sqs", "DeleteQueue", 50, absent), [""; 0]);
}

#[test]
fn secrets_are_told_apart_by_name_and_region() {
    let of = |name: &str, service: &str, count, parameters: &dyn Fn(usize) -> Value| {
        let read = |n| with(call(service, name), parameters(n));
        names(&run(&kit(&json!({})), &series(count, 0, 5, read)))
    };
    let secret = |n| json!({ "requestParameters": { "secretId": format!("s{n}") } });
    assert_eq!(
        of("GetSecretValue", "secretsmanager", 15, &secret),
        ["secrets-enumerated"]
    );
    assert_eq!(of("GetSecretValue", "secretsmanager", 14, &secret), [""; 0]);
    let same = |_| json!({ "requestParameters": { "secretId": "s" } });
    assert_eq!(of("GetSecretValue", "secretsmanager", 50, &same), [""; 0]);
    let regions =
        |n| json!({ "requestParameters": { "secretId": "s" }, "awsRegion": format!("r{n}") });
    assert_eq!(
        of("GetSecretValue", "secretsmanager", 15, &regions),
        ["secrets-enumerated"]
    );
    let denied = |n| json!({ "requestParameters": { "secretId": format!("s{n}") }, "errorCode": "AccessDenied" });
    assert_eq!(
        of("GetSecretValue", "secretsmanager", 15, &denied),
        ["secrets-enumerated"]
    );
    let page = |_| json!({ "requestParameters": { "filters": [] } });
    assert_eq!(
        of("BatchGetSecretValue", "secretsmanager", 2, &page),
        ["secrets-enumerated"]
    );
    assert_eq!(
        of("BatchGetSecretValue", "secretsmanager", 1, &page),
        [""; 0]
    );
    let names_of = |n| {
        let names: Vec<String> = (0..8).map(|m| format!("p{n}{m}")).collect();
        json!({ "requestParameters": { "names": names, "withDecryption": true } })
    };
    assert_eq!(
        of("GetParameters", "ssm", 2, &names_of),
        ["secrets-enumerated"]
    );
    let plain = |n| json!({ "requestParameters": { "name": format!("p{n}") } });
    assert_eq!(
        of("GetParameter", "ssm", 50, &plain),
        [""; 0],
        "not decrypted"
    );
}

#[test]
fn passwords_and_user_data_of_many_instances() {
    let of = |name: &str, count, attribute: &str| {
        let read = |n| {
            let parameters = json!({ "instanceId": format!("i-{n}"), "attribute": attribute });
            with(
                call("ec2", name),
                json!({ "requestParameters": parameters }),
            )
        };
        names(&run(&kit(&json!({})), &series(count, 0, 5, read)))
    };
    assert_eq!(
        of("GetPasswordData", 10, ""),
        ["instance-secrets-enumerated"]
    );
    assert_eq!(of("GetPasswordData", 9, ""), [""; 0]);
    assert_eq!(
        of("DescribeInstanceAttribute", 10, "userData"),
        ["instance-secrets-enumerated"]
    );
    assert_eq!(of("DescribeInstanceAttribute", 50, "instanceType"), [""; 0]);
}

#[test]
fn looking_around_is_many_calls_of_many_services() {
    let wide = [
        ("iam", "ListUsers"),
        ("iam", "ListRoles"),
        ("iam", "ListGroups"),
        ("iam", "ListPolicies"),
        ("ec2", "DescribeInstances"),
        ("ec2", "DescribeVpcs"),
        ("ec2", "DescribeSnapshots"),
        ("ec2", "DescribeImages"),
        ("ec2", "DescribeVolumes"),
        ("ec2", "DescribeSubnets"),
        ("s3", "ListBuckets"),
        ("kms", "ListKeys"),
        ("kms", "ListAliases"),
        ("sns", "ListTopics"),
        ("sqs", "ListQueues"),
        ("rds", "DescribeDBInstances"),
        ("rds", "DescribeDBClusters"),
        ("dynamodb", "ListTables"),
        ("secretsmanager", "ListSecrets"),
        ("sts", "GetCallerIdentity"),
    ];
    let around = |calls: &[(&str, &str)]| {
        let events = series(calls.len(), 0, 10, |n| call(calls[n].0, calls[n].1));
        run(&kit(&json!({})), &events)
    };
    let seen = around(&wide);
    assert_eq!(names(&seen), ["discovery-burst"]);
    assert!(
        attribute(&seen, "discovery-burst", "calls")
            .unwrap()
            .contains("sts:GetCallerIdentity")
    );
    assert_eq!(names(&around(&wide[..19])), [""; 0]);
    let narrow: Vec<(&str, &str)> = [
        "Addresses",
        "FlowLogs",
        "Images",
        "Instances",
        "KeyPairs",
        "LaunchTemplates",
        "NetworkInterfaces",
        "Regions",
        "RouteTables",
        "SecurityGroups",
        "Snapshots",
        "Subnets",
        "Volumes",
        "VpcEndpoints",
        "VpcPeeringConnections",
        "Vpcs",
        "VpnConnections",
    ]
    .iter()
    .map(|what| ("ec2", &*format!("Describe{what}").leak()))
    .chain([
        ("iam", "ListUsers"),
        ("iam", "ListRoles"),
        ("iam", "ListGroups"),
        ("iam", "ListPolicies"),
    ])
    .collect();
    assert_eq!(names(&around(&narrow)), [""; 0], "two services");
}

#[test]
fn a_sensitive_call_is_found_at_its_first_use_by_who_is_known() {
    let kit = kit(&json!({}));
    let call = |number, second, name| {
        event(
            number,
            second,
            with(call("iam", name), json!({ "readOnly": false })),
        )
    };
    assert_eq!(names(&run(&kit, &[call(0, 0, "CreateUser")])), [""; 0]);
    let new = call(1, 8 * DAY, "CreateAccessKey");
    let seen = run(
        &kit,
        &[
            new.clone(),
            call(2, 8 * DAY, "CreateUser"),
            call(3, 8 * DAY, "TagUser"),
        ],
    );
    assert_eq!(rules(&seen), [("sensitive-call-first-used".to_owned(), 1)]);
    assert_eq!(
        attribute(&seen, "sensitive-call-first-used", "call").unwrap(),
        "iam:CreateAccessKey"
    );
    assert_eq!(names(&run(&kit, &[new])).len(), 1, "delivered again");
    assert_eq!(
        names(&run(&kit, &[call(4, 8 * DAY + 9, "CreateAccessKey")])),
        [""; 0]
    );
}

#[test]
fn far_more_calls_than_before_are_found() {
    let sampled = |number: usize, second| {
        let id = format!(
            "{}{number:06}-0000-4000-8000-000000000000",
            ["00", "40", "80", "c0"][number % 4]
        );
        event(
            number,
            second,
            with(call("ec2", "DescribeTags"), json!({ "eventID": id })),
        )
    };
    let hours = |before: usize| {
        let kit = kit(&json!({}));
        for hour in 0..20 {
            let events: Vec<String> = (0..before)
                .map(|n| sampled(hour * 1_000 + n, hour as u64 * 3_600))
                .collect();
            assert_eq!(names(&run(&kit, &events)), [""; 0]);
        }
        let events: Vec<String> = (0..40)
            .map(|n| sampled(90_000 + n, 20 * 3_600 + n as u64))
            .collect();
        names(&run(&kit, &events))
    };
    assert_eq!(hours(2), ["call-volume-outlier"]);
    assert_eq!(hours(10), [""; 0], "as ever");
    assert_eq!(hours(0), [""; 0], "not known");
    let others = series(100, 20 * 3_600, 1, |_| call("ec2", "DescribeTags"));
    assert!(
        run(&kit(&json!({})), &others).matched().is_empty(),
        "63 of 64 are not even seen"
    );
}

#[test]
fn failures_are_counted_and_denials_told_apart() {
    let of = |count, code: &str, name: &dyn Fn(usize) -> String| {
        let failed = |n| with(call("ec2", &name(n)), json!({ "errorCode": code }));
        names(&run(&kit(&json!({})), &series(count, 0, 1, failed)))
    };
    let one: &dyn Fn(usize) -> String = &|_| "DescribeTags".to_owned();
    let many: &dyn Fn(usize) -> String = &|n| format!("Describe{n}");
    assert_eq!(
        of(100, "Client.InvalidParameterValue", one),
        ["calls-failed-burst"]
    );
    assert_eq!(of(99, "Client.InvalidParameterValue", one), [""; 0]);
    assert_eq!(of(300, "ThrottlingException", one), [""; 0]);
    assert_eq!(
        of(300, "Client.UnauthorizedOperation", one),
        [""; 0],
        "a right that is lacking"
    );
    assert_eq!(
        of(5, "Client.UnauthorizedOperation", many),
        ["calls-unauthorized-burst"]
    );
    assert_eq!(of(4, "Client.UnauthorizedOperation", many), [""; 0]);
}

#[test]
fn ways_to_more_rights_that_were_denied() {
    let of = |names_of: &[&str]| {
        let denied = |n: usize| {
            with(
                call("iam", names_of[n]),
                json!({ "errorCode": "AccessDenied", "readOnly": false }),
            )
        };
        names(&run(
            &kit(&json!({})),
            &series(names_of.len(), 0, 60, denied),
        ))
    };
    assert_eq!(
        of(&["PutUserPolicy", "AttachUserPolicy", "CreateAccessKey"]),
        ["privilege-escalation-denied"]
    );
    assert_eq!(
        of(&["PutUserPolicy", "PutUserPolicy", "PutUserPolicy"]),
        [""; 0]
    );
    assert_eq!(of(&["ListUsers", "ListRoles", "CreateAccessKey"]), [""; 0]);
}

#[test]
fn roles_are_followed_by_the_keys_that_were_handed_out() {
    let step = |number, from: &str, to: &str| {
        let more = json!({
            "userIdentity": {
                "type": "AssumedRole", "accessKeyId": from, "arn": "arn:aws:sts::111122223333:assumed-role/r/s",
                "sessionContext": { "sessionIssuer": { "arn": "arn:aws:iam::111122223333:role/r" } },
            },
            "responseElements": { "credentials": { "accessKeyId": to } },
        });
        event(
            number,
            number as u64 * 60,
            with(call("sts", "AssumeRole"), more),
        )
    };
    let kit = kit(&json!({}));
    assert_eq!(names(&run(&kit, &[step(0, "ASIAA", "ASIAB")])), [""; 0]);
    let seen = run(
        &kit,
        &[step(1, "ASIAB", "ASIAC"), step(2, "ASIAX", "ASIAY")],
    );
    assert_eq!(rules(&seen), [("roles-chained".to_owned(), 1)]);
    assert_eq!(attribute(&seen, "roles-chained", "count").unwrap(), "3");
    let both = run(
        &kit,
        &[step(5, "ASIAN", "ASIAO"), step(4, "ASIAM", "ASIAN")],
    );
    assert_eq!(
        names(&both),
        ["roles-chained"],
        "in one batch, in whatever order"
    );
}

#[test]
fn whom_the_operator_ignores_is_not_looked_at() {
    let failures = series(120, 0, 1, |_| {
        with(call("ec2", "X"), json!({ "errorCode": "Oops" }))
    });
    for ignored in [ANN, "arn:aws:iam::111122223333:*"] {
        let kit = kit(&json!({ "ignored_principals": [ignored] }));
        assert_eq!(names(&run(&kit, &failures)), [""; 0], "{ignored}");
    }
    let kit = kit(&json!({ "ignored_principals": ["arn:aws:iam::111122223333:user/an"] }));
    assert_eq!(names(&run(&kit, &failures)), ["calls-failed-burst"]);
}
