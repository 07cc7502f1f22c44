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

fn of_source(source: &[u8]) -> &'static [Place] {
    match source {
        b"sts.amazonaws.com" => &const { [place("", ISSUED, IssuedSessionToken)] },
        b"s3.amazonaws.com" => {
            &const {
                [
                    place("CreateSession", ISSUED, IssuedSessionToken),
                    place("GetDataAccess", ISSUED, IssuedSessionToken),
                ]
            }
        }
        b"s3express.amazonaws.com" => {
            &const { [place("CreateSession", ISSUED, IssuedSessionToken)] }
        }
        b"eks-auth.amazonaws.com" => &const { [place("", ISSUED, IssuedSessionToken)] },
        b"lakeformation.amazonaws.com" => &const { [place("", ISSUED, IssuedSessionToken)] },
        b"cognito-identity.amazonaws.com" => &const { [place("", ISSUED, IssuedSessionToken)] },
        b"deadline.amazonaws.com" => &const { [place("", ISSUED, IssuedSessionToken)] },
        b"rolesanywhere.amazonaws.com" => {
            &const { [place("CreateSession", ISSUED, IssuedSessionToken)] }
        }
        b"sso.amazonaws.com" => {
            &const { [place("GetRoleCredentials", ISSUED, IssuedSessionToken)] }
        }
        b"codebuild.amazonaws.com" => {
            &const {
                [
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
                ]
            }
        }
        b"lambda.amazonaws.com" => &const { [place("", ENVIRONMENT, EnvironmentVariable)] },
        b"lightsail.amazonaws.com" => {
            &const {
                [
                    place(
                        "CreateContainerServiceDeployment",
                        &["**", "environment", "*"],
                        EnvironmentVariable,
                    ),
                    place("", &["requestParameters", "**", "userData"], UserData),
                ]
            }
        }
        b"amplify.amazonaws.com" => {
            &const {
                [place(
                    "",
                    &["**", "environmentVariables", "*"],
                    EnvironmentVariable,
                )]
            }
        }
        b"apprunner.amazonaws.com" => {
            &const {
                [place(
                    "",
                    &["**", "runtimeEnvironmentVariables", "*"],
                    EnvironmentVariable,
                )]
            }
        }
        b"appsync.amazonaws.com" => {
            &const {
                [place(
                    "PutGraphqlApiEnvironmentVariables",
                    &["**", "environmentVariables", "*"],
                    EnvironmentVariable,
                )]
            }
        }
        b"synthetics.amazonaws.com" => {
            &const {
                [place(
                    "",
                    &["**", "environmentVariables", "*"],
                    EnvironmentVariable,
                )]
            }
        }
        b"elasticmapreduce.amazonaws.com" => {
            &const {
                [place(
                    "StartNotebookExecution",
                    &["**", "environmentVariables", "*"],
                    EnvironmentVariable,
                )]
            }
        }
        b"ec2.amazonaws.com" => {
            &const {
                [
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
                ]
            }
        }
        b"autoscaling.amazonaws.com" => {
            &const {
                [place(
                    "CreateLaunchConfiguration",
                    &["requestParameters", "userData"],
                    UserData,
                )]
            }
        }
        b"directconnect.amazonaws.com" => &const { [place("", &["**", "authKey"], KnownPlace)] },
        b"ssm.amazonaws.com" => {
            &const {
                [
                    place(
                        "StartSession",
                        &["responseElements", "tokenValue"],
                        KnownPlace,
                    ),
                    place("PutParameter", &["requestParameters", "value"], KnownPlace),
                ]
            }
        }
        b"kms.amazonaws.com" => {
            &const { [place("", &["responseElements", "plaintext"], KnownPlace)] }
        }
        b"iam.amazonaws.com" => {
            &const {
                [place(
                    "CreateVirtualMFADevice",
                    &["responseElements", "**", "base32StringSeed"],
                    KnownPlace,
                )]
            }
        }
        b"transfer.amazonaws.com" => {
            &const { [place("", &["requestParameters", "hostKey"], KnownPlace)] }
        }
        b"lambda-microvms.amazonaws.com" => {
            &const {
                [place(
                    "",
                    &["**", "environmentVariables", "*"],
                    EnvironmentVariable,
                )]
            }
        }
        b"greengrass.amazonaws.com" => {
            &const {
                [place(
                    "",
                    &["**", "environmentVariables", "*"],
                    EnvironmentVariable,
                )]
            }
        }
        b"sagemaker.amazonaws.com" => {
            &const { [place("", &["**", "environment", "*"], EnvironmentVariable)] }
        }
        b"batch.amazonaws.com" => {
            &const {
                [place(
                    "",
                    &["**", "environment", "*", "value"],
                    EnvironmentVariable,
                )]
            }
        }
        b"ecs.amazonaws.com" => {
            &const {
                [place(
                    "",
                    &["**", "environment", "*", "value"],
                    EnvironmentVariable,
                )]
            }
        }
        b"glue.amazonaws.com" => {
            &const {
                [place(
                    "",
                    &["**", "connectionProperties", "password"],
                    KnownPlace,
                )]
            }
        }
        b"wafv2.amazonaws.com" => {
            &const {
                [place(
                    "CreateAPIKey",
                    &["responseElements", "aPIKey"],
                    KnownPlace,
                )]
            }
        }
        b"sns.amazonaws.com" => {
            &const {
                [place(
                    "VerifySMSSandboxPhoneNumber",
                    &["requestParameters", "oneTimePassword"],
                    KnownPlace,
                )]
            }
        }
        b"codepipeline.amazonaws.com" => {
            &const {
                [place(
                    "",
                    &["**", "configuration", "OAuthToken"],
                    KnownPlace,
                )]
            }
        }
        _ => &[],
    }
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
