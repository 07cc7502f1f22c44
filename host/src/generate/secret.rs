//! Secrets where people really leave them: each kind in each place it may stand in.

use fastrand::Rng;

use super::{
    account::{ALNUM, BASE32, HEX, Principal, pick, text},
    call::{Access, Call},
    event::{Act, Scene, write_event},
};

/// What was planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each is named after what it imitates")]
pub enum Kind {
    SessionToken,
    PrivateKey,
    JsonWebToken,
    GithubToken,
    GitlabToken,
    SlackToken,
    StripeKey,
    GoogleKey,
    NpmToken,
    PypiToken,
    AwsSecretKey,
    UrlPassword,
    SignedUrl,
    Password,
}

/// Where it was planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each is named after its place in the event")]
pub enum Place {
    AssumedCredentials,
    BuildVariable,
    TaskCommand,
    FunctionVariable,
    ParameterDescription,
    UserData,
    ErrorMessage,
    TagValue,
    JsonInString,
    UserAgent,
    DatabasePassword,
    BrokerPassword,
    CacheToken,
}

/// Kinds that can be told by their value, wherever they stand.
const ANYWHERE: [Kind; 13] = [
    Kind::SessionToken,
    Kind::PrivateKey,
    Kind::JsonWebToken,
    Kind::GithubToken,
    Kind::GitlabToken,
    Kind::SlackToken,
    Kind::StripeKey,
    Kind::GoogleKey,
    Kind::NpmToken,
    Kind::PypiToken,
    Kind::AwsSecretKey,
    Kind::UrlPassword,
    Kind::SignedUrl,
];

/// Places that take text of any sort.
const OPEN: [Place; 9] = [
    Place::BuildVariable,
    Place::TaskCommand,
    Place::FunctionVariable,
    Place::ParameterDescription,
    Place::UserData,
    Place::ErrorMessage,
    Place::TagValue,
    Place::JsonInString,
    Place::UserAgent,
];

/// Places whose name alone says that the value is a secret.
const NAMED: [Place; 3] = [
    Place::DatabasePassword,
    Place::BrokerPassword,
    Place::CacheToken,
];

/// The pair of kind and place at this position of an endless list that has every pair once a round.
pub(super) fn pair(position: usize) -> (Kind, Place) {
    let round = ANYWHERE.len() * OPEN.len() + NAMED.len();
    let position = position % round;
    match position.checked_sub(round - NAMED.len()) {
        Some(named) => (Kind::Password, NAMED[named]),
        // 13 and 9 have no common divisor, so walking both at once meets every pair.
        None => (
            ANYWHERE[position % ANYWHERE.len()],
            OPEN[position % OPEN.len()],
        ),
    }
}

/// A value of this kind: the text to plant, as it stands inside a JSON string, and the part of it that
/// must not leave.
fn value(rng: &mut Rng, kind: Kind) -> (String, String) {
    let mut alnum = |length| text(rng, ALNUM, length);
    let secret = match kind {
        Kind::SessionToken => format!("IQoJb3JpZ2luX2Vj{}", alnum(320)),
        Kind::PrivateKey | Kind::UrlPassword | Kind::Password => {
            alnum(if kind == Kind::PrivateKey { 64 } else { 18 })
        }
        Kind::JsonWebToken => format!(
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ{}.{}",
            alnum(80),
            alnum(43)
        ),
        Kind::GithubToken => format!("ghp_{}", alnum(36)),
        Kind::GitlabToken => format!("glpat-{}", alnum(20)),
        Kind::SlackToken => format!(
            "xoxb-{}-{}-{}",
            text(rng, b"123456789", 12),
            text(rng, b"123456789", 12),
            text(rng, ALNUM, 24)
        ),
        Kind::StripeKey => format!("sk_live_{}", alnum(24)),
        Kind::GoogleKey => format!("AIza{}", alnum(35)),
        Kind::NpmToken => format!("npm_{}", alnum(36)),
        Kind::PypiToken => format!("pypi-AgEIcHlwaS5vcmc{}", alnum(70)),
        Kind::AwsSecretKey => alnum(40),
        Kind::SignedUrl => text(rng, HEX, 64),
    };
    let planted = match kind {
        Kind::PrivateKey => {
            let more = text(rng, ALNUM, 64);
            format!(
                r"-----BEGIN RSA PRIVATE KEY-----\n{secret}\n{more}\n-----END RSA PRIVATE KEY-----"
            )
        }
        Kind::AwsSecretKey => format!("AKIA{}:{secret}", text(rng, BASE32, 16)),
        Kind::UrlPassword => format!("postgres://orders:{secret}@db.internal.example:5432/orders"),
        Kind::SignedUrl => format!(
            "https://exports.s3.amazonaws.com/report.csv?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20260301T000000Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature={secret}"
        ),
        _ => secret.clone(),
    };
    (planted, secret)
}

/// Appends an event with a secret of this kind in this place. Returns the part that must not leave.
pub(super) fn write(
    rng: &mut Rng,
    scene: Scene<'_>,
    kind: Kind,
    place: Place,
    out: &mut String,
) -> String {
    let (planted, secret) = value(rng, kind);
    // Inside a string that is JSON itself, the backslash of an escape is escaped once more.
    let planted = if place == Place::JsonInString {
        planted.replace('\\', r"\\")
    } else {
        planted
    };
    let principal: &Principal = pick(rng, &scene.account.roles);
    let text = format!("worker failed to start: {planted}");
    let call = call(place);
    let mut act = Act {
        secret: &planted,
        ..Act::new(principal, &call)
    };
    match place {
        Place::ErrorMessage => act.error = Some(("InvalidParameterException", &text)),
        Place::UserAgent => act.agent = Some(&text),
        _ => {}
    }
    write_event(rng, scene, act, out);
    secret
}

fn call(place: Place) -> Call {
    let (service, name, request) = match place {
        Place::BuildVariable => (
            "codebuild",
            "StartBuild",
            r#"{"projectName":"orders","environmentVariablesOverride":[{"name":"STAGE","value":"production","type":"PLAINTEXT"},{"name":"DEPLOY_WITH","value":"$secret$","type":"PLAINTEXT"}]}"#,
        ),
        Place::TaskCommand => (
            "ecs",
            "RegisterTaskDefinition",
            r#"{"family":"orders","containerDefinitions":[{"name":"worker","image":"orders/worker:1.42","essential":true,"command":["worker","--login","$secret$"]}],"networkMode":"awsvpc"}"#,
        ),
        Place::FunctionVariable => (
            "lambda",
            "UpdateFunctionConfiguration20150331v2",
            r#"{"functionName":"app-billing","environment":{"variables":{"STAGE":"production","UPSTREAM":"$secret$"}}}"#,
        ),
        Place::ParameterDescription => (
            "ssm",
            "PutParameter",
            r#"{"name":"/orders/production/upstream","value":"HIDDEN_DUE_TO_SECURITY_REASONS","description":"formerly $secret$","type":"SecureString","overwrite":true}"#,
        ),
        Place::UserData => (
            "autoscaling",
            "CreateLaunchConfiguration",
            r##"{"launchConfigurationName":"orders-42","imageId":"ami-0c55b159cbfafe1f0","instanceType":"t3.medium","userData":"#!/bin/sh\nexport UPSTREAM='$secret$'\nexec /opt/orders/start\n"}"##,
        ),
        Place::ErrorMessage | Place::UserAgent | Place::AssumedCredentials => (
            "states",
            "DescribeExecution",
            r#"{"executionArn":"arn:aws:states:$region$:$account$:execution:orders:$uuid$"}"#,
        ),
        Place::TagValue => (
            "ec2",
            "CreateTags",
            r#"{"resourcesSet":{"items":[{"resourceId":"$instance$"}]},"tagSet":{"items":[{"key":"note","value":"$secret$"}]}}"#,
        ),
        Place::JsonInString => (
            "states",
            "StartExecution",
            r#"{"stateMachineArn":"arn:aws:states:$region$:$account$:stateMachine:orders","name":"$uuid$","input":"{\"order\":4711,\"upstream\":\"$secret$\"}"}"#,
        ),
        Place::DatabasePassword => (
            "rds",
            "ModifyDBCluster",
            r#"{"dBClusterIdentifier":"orders","engineMode":"docdb","masterUserPassword":"$secret$","applyImmediately":true}"#,
        ),
        Place::BrokerPassword => (
            "mq",
            "CreateUser",
            r#"{"broker-id":"b-1234a5b6-78cd-901e-2fgh-3i45j6k178l9","username":"orders","password":"$secret$"}"#,
        ),
        Place::CacheToken => (
            "elasticache",
            "ModifyReplicationGroup",
            r#"{"replicationGroupId":"orders","authToken":"$secret$","authTokenUpdateStrategy":"ROTATE","applyImmediately":true}"#,
        ),
    };
    Call {
        weight: 0,
        service,
        name,
        access: Access::Write,
        request,
        response: "null",
        extra: "",
        resources: "",
    }
}
