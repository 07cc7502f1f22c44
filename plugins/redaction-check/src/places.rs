//! Places in certain calls that hold secrets, whatever the value looks like.
//!
//! Members named like a secret are found everywhere and need no line here; what AWS's models list is in
//! `members`.

use crate::{detector::Detector, members::Members, scan, walk::Step};

use Detector::{EnvironmentVariable, IssuedSessionToken, KnownPlace, UserData};

/// One place: a call of the source (an empty name: all of them), and a path from the event down, whose
/// segments are compared without regard to case. `*` is any one segment, `**` any number of them.
#[derive(Debug)]
struct Place {
    name: &'static str,
    path: &'static [&'static str],
    detector: Detector,
}

const fn place(name: &'static str, path: &'static [&'static str], detector: Detector) -> Place {
    Place {
        name,
        path,
        detector,
    }
}

const ISSUED: &[&str] = &["responseElements", "**", "sessionToken"];
const ENVIRONMENT: &[&str] = &["**", "environment", "variables", "*"];

/// By source, in the order of their names.
static SOURCES: [(&str, &[Place]); 33] = [
    (
        "amplify.amazonaws.com",
        &[place(
            "",
            &["**", "environmentVariables", "*"],
            EnvironmentVariable,
        )],
    ),
    (
        "apprunner.amazonaws.com",
        &[place(
            "",
            &["**", "runtimeEnvironmentVariables", "*"],
            EnvironmentVariable,
        )],
    ),
    (
        "appsync.amazonaws.com",
        &[place(
            "PutGraphqlApiEnvironmentVariables",
            &["**", "environmentVariables", "*"],
            EnvironmentVariable,
        )],
    ),
    (
        "autoscaling.amazonaws.com",
        &[place(
            "CreateLaunchConfiguration",
            &["requestParameters", "userData"],
            UserData,
        )],
    ),
    (
        "batch.amazonaws.com",
        &[place(
            "",
            &["**", "environment", "*", "value"],
            EnvironmentVariable,
        )],
    ),
    (
        "codebuild.amazonaws.com",
        &[
            place(
                "",
                &["**", "environmentVariables", "*", "value"],
                EnvironmentVariable,
            ),
            place(
                "",
                &["**", "environmentVariablesOverride", "*", "value"],
                EnvironmentVariable,
            ),
        ],
    ),
    (
        "codepipeline.amazonaws.com",
        &[place(
            "",
            &["**", "configuration", "OAuthToken"],
            KnownPlace,
        )],
    ),
    (
        "cognito-identity.amazonaws.com",
        &[place("", ISSUED, IssuedSessionToken)],
    ),
    (
        "deadline.amazonaws.com",
        &[place("", ISSUED, IssuedSessionToken)],
    ),
    (
        "directconnect.amazonaws.com",
        &[place("", &["**", "authKey"], KnownPlace)],
    ),
    (
        "ec2.amazonaws.com",
        &[
            place("RunInstances", &["requestParameters", "userData"], UserData),
            place(
                "ModifyInstanceAttribute",
                &["requestParameters", "userData", "value"],
                UserData,
            ),
            place(
                "RequestSpotInstances",
                &["requestParameters", "**", "userData"],
                UserData,
            ),
            place(
                "RunScheduledInstances",
                &["requestParameters", "**", "userData"],
                UserData,
            ),
            place(
                "CreateLaunchTemplate",
                &["requestParameters", "**", "userData"],
                UserData,
            ),
            place(
                "CreateLaunchTemplateVersion",
                &["requestParameters", "**", "userData"],
                UserData,
            ),
            place(
                "CreateVpnConnection",
                &["**", "customerGatewayConfiguration"],
                KnownPlace,
            ),
            place(
                "ModifyVpnTunnelOptions",
                &["requestParameters", "**", "preSharedKey"],
                KnownPlace,
            ),
        ],
    ),
    (
        "ecs.amazonaws.com",
        &[place(
            "",
            &["**", "environment", "*", "value"],
            EnvironmentVariable,
        )],
    ),
    (
        "eks-auth.amazonaws.com",
        &[place("", ISSUED, IssuedSessionToken)],
    ),
    (
        "elasticmapreduce.amazonaws.com",
        &[place(
            "StartNotebookExecution",
            &["**", "environmentVariables", "*"],
            EnvironmentVariable,
        )],
    ),
    (
        "glue.amazonaws.com",
        &[place(
            "",
            &["**", "connectionProperties", "password"],
            KnownPlace,
        )],
    ),
    (
        "greengrass.amazonaws.com",
        &[place(
            "",
            &["**", "environmentVariables", "*"],
            EnvironmentVariable,
        )],
    ),
    (
        "iam.amazonaws.com",
        &[place(
            "CreateVirtualMFADevice",
            &["responseElements", "**", "base32StringSeed"],
            KnownPlace,
        )],
    ),
    (
        "kms.amazonaws.com",
        &[place("", &["responseElements", "plaintext"], KnownPlace)],
    ),
    (
        "lakeformation.amazonaws.com",
        &[place("", ISSUED, IssuedSessionToken)],
    ),
    (
        "lambda-microvms.amazonaws.com",
        &[place(
            "",
            &["**", "environmentVariables", "*"],
            EnvironmentVariable,
        )],
    ),
    (
        "lambda.amazonaws.com",
        &[place("", ENVIRONMENT, EnvironmentVariable)],
    ),
    (
        "lightsail.amazonaws.com",
        &[
            place(
                "CreateContainerServiceDeployment",
                &["**", "environment", "*"],
                EnvironmentVariable,
            ),
            place("", &["requestParameters", "**", "userData"], UserData),
        ],
    ),
    (
        "rolesanywhere.amazonaws.com",
        &[place("CreateSession", ISSUED, IssuedSessionToken)],
    ),
    (
        "s3.amazonaws.com",
        &[
            place("CreateSession", ISSUED, IssuedSessionToken),
            place("GetDataAccess", ISSUED, IssuedSessionToken),
        ],
    ),
    (
        "s3express.amazonaws.com",
        &[place("CreateSession", ISSUED, IssuedSessionToken)],
    ),
    (
        "sagemaker.amazonaws.com",
        &[place("", &["**", "environment", "*"], EnvironmentVariable)],
    ),
    (
        "sns.amazonaws.com",
        &[place(
            "VerifySMSSandboxPhoneNumber",
            &["requestParameters", "oneTimePassword"],
            KnownPlace,
        )],
    ),
    (
        "ssm.amazonaws.com",
        &[
            place(
                "StartSession",
                &["responseElements", "tokenValue"],
                KnownPlace,
            ),
            place("PutParameter", &["requestParameters", "value"], KnownPlace),
        ],
    ),
    (
        "sso.amazonaws.com",
        &[place("GetRoleCredentials", ISSUED, IssuedSessionToken)],
    ),
    (
        "sts.amazonaws.com",
        &[place("", ISSUED, IssuedSessionToken)],
    ),
    (
        "synthetics.amazonaws.com",
        &[place(
            "",
            &["**", "environmentVariables", "*"],
            EnvironmentVariable,
        )],
    ),
    (
        "transfer.amazonaws.com",
        &[place("", &["requestParameters", "hostKey"], KnownPlace)],
    ),
    (
        "wafv2.amazonaws.com",
        &[place(
            "CreateAPIKey",
            &["responseElements", "aPIKey"],
            KnownPlace,
        )],
    ),
];

fn of_source(source: &[u8]) -> &'static [Place] {
    SOURCES
        .binary_search_by(|(name, _)| name.as_bytes().cmp(source))
        .map_or(&[], |at| SOURCES[at].1)
}

/// What is known of the places of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    places: &'static [Place],
    name: &'a [u8],
    members: Members,
}

impl<'a> Known<'a> {
    pub(crate) fn of(source: &[u8], name: &'a [u8]) -> Self {
        Self {
            places: of_source(source),
            name,
            members: Members::of(source, name),
        }
    }

    /// For JSON that is no event.
    pub(crate) fn nothing() -> Self {
        Self {
            places: &[],
            name: &[],
            members: Members::default(),
        }
    }

    fn places(self) -> impl Iterator<Item = &'static Place> {
        let of_call =
            move |place: &&Place| place.name.is_empty() || place.name.as_bytes() == self.name;
        self.places.iter().filter(of_call)
    }

    /// Whether the event may have something in one of the places.
    pub(crate) fn is_in(self, event: &[u8]) -> bool {
        !self.members.is_empty()
            || self.places().any(|place| {
                let mut names = place
                    .path
                    .iter()
                    .rev()
                    .filter(|segment| !segment.starts_with('*'));
                // A token's name is a clue by itself.
                place.detector != IssuedSessionToken
                    && names
                        .next()
                        .is_some_and(|last| scan::contains(event, last.as_bytes()))
            })
    }

    /// What stands at this path.
    pub(crate) fn at(self, path: &[Step<'_>]) -> Option<Detector> {
        if self.places.is_empty() {
            return None;
        }
        self.places()
            .find(|place| fits(place.path, path))
            .map(|place| place.detector)
    }

    /// Whether no path has to be compared.
    pub(crate) fn has_no_places(self) -> bool {
        self.places.is_empty()
    }

    /// Whether nothing is known of what lies below here.
    pub(crate) fn is_idle(self, trail: u32) -> bool {
        self.places.is_empty() && self.members.is_idle(trail)
    }

    /// See [`Members::below`].
    pub(crate) fn below(self, trail: u32, name: &[u8]) -> (u32, Option<Detector>) {
        if self.members.is_empty() {
            return (trail, None);
        }
        self.members.below(trail, name)
    }
}

fn fits(pattern: &[&str], path: &[Step<'_>]) -> bool {
    match (pattern.split_last(), path.split_last()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => (0..=path.len()).any(|left| fits(rest, &path[..left])),
        (Some((segment, rest)), Some((step, above))) => {
            let is_same = match step {
                Step::Name(name) => segment.as_bytes().eq_ignore_ascii_case(name),
                Step::Index(_) => false,
            };
            (*segment == "*" || is_same) && fits(rest, above)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_path(source: &str, name: &str, path: &str) -> Option<Detector> {
        let path: Vec<Step<'_>> = path
            .split('/')
            .map(|segment| match segment.parse() {
                Ok(index) => Step::Index(index),
                Err(_) => Step::Name(segment.as_bytes()),
            })
            .collect();
        Known::of(source.as_bytes(), name.as_bytes()).at(&path)
    }

    #[test]
    fn sources_are_in_order() {
        assert!(SOURCES.is_sorted_by_key(|(name, _)| name));
    }

    #[test]
    fn a_place_is_found_at_its_path_and_not_beside_it() {
        let is = |name: &str, path: &str, detector: Option<Detector>| {
            assert_eq!(
                at_path("codebuild.amazonaws.com", name, path),
                detector,
                "{path}"
            );
        };
        let path = "responseElements/project/environment/environmentVariables/3/value";
        is("CreateProject", path, Some(EnvironmentVariable));
        is("AnyOther", &path.to_uppercase(), Some(EnvironmentVariable));
        is("CreateProject", &format!("{path}/deeper"), None);
        is("CreateProject", &path.replace("value", "name"), None);
        assert_eq!(at_path("other.amazonaws.com", "CreateProject", path), None);
    }

    #[test]
    fn any_number_of_names_may_lie_between() {
        for path in [
            "responseElements/credentials/SessionToken",
            "responseElements/sessionToken",
        ] {
            assert_eq!(
                at_path("sts.amazonaws.com", "AssumeRole", path),
                Some(IssuedSessionToken)
            );
        }
    }

    #[test]
    fn a_place_of_one_call_is_none_of_another() {
        let (source, path) = ("ec2.amazonaws.com", "requestParameters/userData");
        assert_eq!(at_path(source, "RunInstances", path), Some(UserData));
        assert_eq!(at_path(source, "StopInstances", path), None);
    }

    #[test]
    fn a_known_call_counts_when_its_event_has_the_name_of_a_place() {
        let is_in = |event: &[u8]| Known::of(b"lambda.amazonaws.com", b"GetFunction").is_in(event);
        assert!(is_in(br#"{"environment":{"Variables":{"A":"b"}}}"#));
        assert!(!is_in(br#"{"environment":{}}"#));
    }
}
