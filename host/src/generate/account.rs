//! Who acts, and on what: the invented accounts, their principals and their resources.

use fastrand::Rng;

pub(super) const REGIONS: [&str; 4] = ["us-east-1", "eu-central-1", "us-west-2", "ap-northeast-1"];

const USERS: [&str; 8] = [
    "alice",
    "benjamin",
    "carol",
    "dmitri",
    "erin",
    "farid",
    "deploy-bot",
    "backup-agent",
];
const ROLES: [(&str, &str); 6] = [
    ("app-orders-task", "ecs-task"),
    ("app-billing-lambda", "billing-worker"),
    ("terraform-apply", "ci-pipeline"),
    (
        "AWSReservedSSO_AdministratorAccess_3f9c1d0b7a2e4856",
        "grace@example.com",
    ),
    (
        "AWSReservedSSO_ReadOnly_58b1a7c90d3e2f64",
        "heidi@example.com",
    ),
    ("eks-node-group", "node"),
];
/// Sessions of each role that are open at the same time.
const SESSIONS: usize = 40;
const SERVICES: [&str; 4] = [
    "ecs-tasks.amazonaws.com",
    "lambda.amazonaws.com",
    "config.amazonaws.com",
    "autoscaling.amazonaws.com",
];
const AGENTS: [&str; 7] = [
    "aws-cli/2.17.44 md/awscrt#0.21.2 ua/2.0 os/linux#6.1.0-25-amd64 md/arch#x86_64 lang/python#3.11.9 md/pyimpl#CPython cfg/retry-mode#standard",
    "APN/1.0 HashiCorp/1.0 Terraform/1.9.5 (+https://www.terraform.io) terraform-provider-aws/5.64.0 (+https://registry.terraform.io/providers/hashicorp/aws) aws-sdk-go-v2/1.30.4 ua/2.1",
    "Boto3/1.35.10 md/Botocore#1.35.10 ua/2.0 os/linux md/arch#x86_64 lang/python#3.12.5 md/pyimpl#CPython exec-env/AWS_ECS_FARGATE cfg/retry-mode#legacy Botocore/1.35.10",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36",
    "aws-sdk-java/2.27.14 Linux/5.10.223-211.872.amzn2.x86_64 OpenJDK_64-Bit_Server_VM/21.0.4+7-LTS Java/21.0.4 vendor/Amazon.com_Inc. io/sync http/Apache cfg/retry-mode/legacy",
    "aws-sdk-go-v2/1.30.4 os/linux lang/go#1.22.6 md/GOOS#linux md/GOARCH#arm64 api/ssm#1.52.8 amazon-ssm-agent/3.3.808.0",
    "[S3Console/0.4, aws-internal/3 aws-sdk-java/1.12.750 Linux/5.10.223-190.873.amzn2int.x86_64 java/1.8.0_422]",
];

/// Someone who makes calls.
#[derive(Clone, Debug)]
pub(super) struct Principal {
    /// For the truth: the ARN as the event shows it.
    pub(super) arn: String,
    /// `userIdentity`, a template.
    pub(super) identity: String,
    pub(super) ip: String,
    pub(super) agent: String,
    /// An AWS service that acts on its own: no TLS details, no access key.
    pub(super) is_service: bool,
}

/// One account and what is in it.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) id: String,
    pub(super) users: Vec<Principal>,
    pub(super) roles: Vec<Principal>,
    pub(super) services: Vec<Principal>,
    pub(super) root: Principal,
    pub(super) buckets: Vec<String>,
    pub(super) instances: Vec<String>,
    pub(super) networks: Vec<String>,
    pub(super) keys: Vec<String>,
}

impl Account {
    /// The account at this position; the first is the one of the documentation.
    pub(super) fn new(rng: &mut Rng, position: usize) -> Self {
        let id = if position == 0 {
            "123456789012".to_owned()
        } else {
            format!("{:012}", rng.u64(200_000_000_000..999_999_999_999))
        };
        let many = |rng: &mut Rng,
                    count: usize,
                    make: &dyn Fn(&mut Rng) -> String|
         -> Vec<String> { (0..count).map(|_| make(rng)).collect() };
        Self {
            users: USERS.iter().map(|name| user(rng, &id, name)).collect(),
            roles: (0..SESSIONS)
                .flat_map(|_| ROLES)
                .map(|(role, session)| assumed_role(rng, &id, role, session))
                .collect(),
            services: SERVICES.iter().map(|name| service(name)).collect(),
            root: root(rng, &id),
            buckets: many(rng, 24, &|rng| {
                format!("leanda-ng-{}-{}", text(rng, LOWER, 8), &id[..4])
            }),
            instances: many(rng, 80, &|rng| format!("i-0{}", text(rng, HEX, 16))),
            networks: many(rng, 60, &|rng| text(rng, HEX, 17)),
            keys: many(rng, 24, &uuid),
            id,
        }
    }

    /// Whoever makes the next ordinary call: people, roles, and services of AWS.
    pub(super) fn anyone(&self, rng: &mut Rng) -> &Principal {
        match rng.u32(..100) {
            0..68 => pick(rng, &self.users),
            68..88 => pick(rng, &self.roles),
            _ => pick(rng, &self.services),
        }
    }
}

fn user(rng: &mut Rng, account: &str, name: &str) -> Principal {
    let arn = format!("arn:aws:iam::{account}:user/{name}");
    let identity = format!(
        r#"{{"type":"IAMUser","principalId":"AIDA{}","arn":"{arn}","accountId":"{account}","accessKeyId":"AKIA{}","userName":"{name}"}}"#,
        text(rng, BASE32, 17),
        text(rng, BASE32, 16),
    );
    Principal {
        arn,
        identity,
        ip: address(rng),
        agent: agent(rng),
        is_service: false,
    }
}

fn assumed_role(rng: &mut Rng, account: &str, role: &str, session: &str) -> Principal {
    let id = format!("AROA{}", text(rng, BASE32, 17));
    let session = if session.contains('@') {
        session.to_owned()
    } else {
        format!("{session}-{}", text(rng, HEX, 12))
    };
    let arn = format!("arn:aws:sts::{account}:assumed-role/{role}/{session}");
    let path = if role.starts_with("AWSReservedSSO_") {
        "aws-reserved/sso.amazonaws.com/"
    } else {
        ""
    };
    let identity = format!(
        r#"{{"type":"AssumedRole","principalId":"{id}:{session}","arn":"{arn}","accountId":"{account}","accessKeyId":"ASIA{}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"{id}","arn":"arn:aws:iam::{account}:role/{path}{role}","accountId":"{account}","userName":"{role}"}},"webIdFederationData":{{}},"attributes":{{"creationDate":"$since$","mfaAuthenticated":"false"}}}}}}"#,
        text(rng, BASE32, 16),
    );
    Principal {
        arn,
        identity,
        ip: address(rng),
        agent: agent(rng),
        is_service: false,
    }
}

fn service(name: &str) -> Principal {
    Principal {
        arn: String::new(),
        identity: format!(r#"{{"type":"AWSService","invokedBy":"{name}"}}"#),
        ip: name.to_owned(),
        agent: name.to_owned(),
        is_service: true,
    }
}

fn root(rng: &mut Rng, account: &str) -> Principal {
    let arn = format!("arn:aws:iam::{account}:root");
    let identity = format!(
        r#"{{"type":"Root","principalId":"{account}","arn":"{arn}","accountId":"{account}","accessKeyId":""}}"#
    );
    Principal {
        arn,
        identity,
        ip: address(rng),
        agent: AGENTS[3].to_owned(),
        is_service: false,
    }
}

fn agent(rng: &mut Rng) -> String {
    AGENTS[rng.usize(..AGENTS.len())].to_owned()
}

/// An address from the blocks that are kept for documentation, or a private one.
fn address(rng: &mut Rng) -> String {
    match rng.u32(..4) {
        0 => format!("192.0.2.{}", rng.u32(1..255)),
        1 => format!("198.51.100.{}", rng.u32(1..255)),
        2 => format!("203.0.113.{}", rng.u32(1..255)),
        _ => format!("10.20.{}.{}", rng.u32(..8), rng.u32(1..255)),
    }
}

pub(super) const HEX: &[u8] = b"0123456789abcdef";
pub(super) const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
pub(super) const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
pub(super) const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
pub(super) const ALNUM: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Random characters of an alphabet of ASCII.
pub(super) fn text(rng: &mut Rng, alphabet: &[u8], length: usize) -> String {
    (0..length)
        .map(|_| char::from(alphabet[rng.usize(..alphabet.len())]))
        .collect()
}

pub(super) fn uuid(rng: &mut Rng) -> String {
    let hex = format!("{:032x}", rng.u128(..));
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

/// One of several. The slice is never empty.
pub(super) fn pick<'a, T>(rng: &mut Rng, from: &'a [T]) -> &'a T {
    &from[rng.usize(..from.len())]
}
