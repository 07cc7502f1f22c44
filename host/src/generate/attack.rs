//! What an attacker does, as CloudTrail shows it.

use fastrand::Rng;

use super::{
    account::{Account, Principal, pick},
    call::{Access, Call},
    event::{Act, Scene, write_event},
};

/// A thing that `detect-cloudtrail` has to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Attack {
    /// A user deletes a bucket.
    BucketDeletion,
    /// A user gives an account administrator rights.
    PolicyAttachment,
    /// A user stops a trail, then deletes it.
    TrailStopped,
    /// The root user signs in, with MFA.
    RootLogin,
    /// A user signs in to the console without MFA.
    LoginWithoutMfa,
    /// One user is refused forty times in two minutes.
    DeniedStorm,
}

impl Attack {
    /// All of them, in the order of playing.
    pub const ALL: [Self; 6] = [
        Self::BucketDeletion,
        Self::PolicyAttachment,
        Self::TrailStopped,
        Self::RootLogin,
        Self::LoginWithoutMfa,
        Self::DeniedStorm,
    ];

    /// How many events show it.
    #[must_use]
    pub fn events(self) -> usize {
        match self {
            Self::TrailStopped => 2,
            Self::DeniedStorm => 40,
            _ => 1,
        }
    }

    /// Who does it in this account.
    pub(super) fn actor<'a>(self, rng: &mut Rng, account: &'a Account) -> &'a Principal {
        match self {
            Self::RootLogin => &account.root,
            _ => pick(rng, &account.users),
        }
    }

    /// Appends the event of one step.
    pub(super) fn write(
        self,
        rng: &mut Rng,
        scene: Scene<'_>,
        actor: &Principal,
        step: usize,
        out: &mut String,
    ) {
        let call = match self {
            Self::BucketDeletion => &DELETE_BUCKET,
            Self::PolicyAttachment => &ATTACH_USER_POLICY,
            Self::TrailStopped if step == 0 => &STOP_LOGGING,
            Self::TrailStopped => &DELETE_TRAIL,
            Self::RootLogin => &LOGIN_WITH_MFA,
            Self::LoginWithoutMfa => &LOGIN_WITHOUT_MFA,
            Self::DeniedStorm => &PROBES[step % PROBES.len()],
        };
        let denied = format!(
            "User: {} is not authorized to perform: {}:{} because no identity-based policy allows the {}:{} action",
            actor.arn, call.service, call.name, call.service, call.name,
        );
        let error = (self == Self::DeniedStorm).then_some(("AccessDenied", denied.as_str()));
        write_event(
            rng,
            scene,
            Act {
                error,
                ..Act::new(actor, call)
            },
            out,
        );
    }
}

const fn write(service: &'static str, name: &'static str, request: &'static str) -> Call {
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

const DELETE_BUCKET: Call = write("s3", "DeleteBucket", r#"{"bucketName":"$bucket$","Host":"$bucket$.s3.$region$.amazonaws.com"}"#)
    .with(r#"{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":0,"AuthenticationMethod":"AuthHeader","x-amz-id-2":"$id2$","bytesTransferredOut":0}"#)
    .on(r#"[{"accountId":"$account$","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::$bucket$"}]"#);
const ATTACH_USER_POLICY: Call = write(
    "iam",
    "AttachUserPolicy",
    r#"{"userName":"backup-agent","policyArn":"arn:aws:iam::aws:policy/AdministratorAccess"}"#,
);
const STOP_LOGGING: Call = write(
    "cloudtrail",
    "StopLogging",
    r#"{"name":"arn:aws:cloudtrail:$region$:$account$:trail/organization"}"#,
);
const DELETE_TRAIL: Call = write(
    "cloudtrail",
    "DeleteTrail",
    r#"{"name":"arn:aws:cloudtrail:$region$:$account$:trail/organization"}"#,
);
const LOGIN_WITH_MFA: Call = login(
    r#"{"LoginTo":"https://console.aws.amazon.com/console/home?region=$region$","MobileVersion":"No","MFAIdentifier":"arn:aws:iam::$account$:mfa/root-account-mfa-device","MFAUsed":"Yes"}"#,
);
const LOGIN_WITHOUT_MFA: Call = login(
    r#"{"LoginTo":"https://console.aws.amazon.com/console/home?region=$region$","MobileVersion":"No","MFAUsed":"No"}"#,
);

const fn login(extra: &'static str) -> Call {
    Call {
        weight: 0,
        service: "signin",
        name: "ConsoleLogin",
        access: Access::SignIn,
        request: "null",
        response: r#"{"ConsoleLogin":"Success"}"#,
        extra,
        resources: "",
    }
}

const fn probe(service: &'static str, name: &'static str) -> Call {
    Call {
        weight: 0,
        service,
        name,
        access: Access::Read,
        request: "null",
        response: "null",
        extra: "",
        resources: "",
    }
}

const PROBES: [Call; 8] = [
    probe("iam", "ListUsers"),
    probe("iam", "ListRoles"),
    probe("iam", "GetAccountAuthorizationDetails"),
    probe("secretsmanager", "ListSecrets"),
    probe("kms", "ListKeys"),
    probe("organizations", "ListAccounts"),
    probe("rds", "DescribeDBSnapshots"),
    probe("lambda", "ListFunctions20150331"),
];
