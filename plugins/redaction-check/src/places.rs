//! Places in certain calls that hold secrets, whatever the value looks like.
//!
//! Members named like a secret are found everywhere and need no line here.

use crate::detector::Detector;

/// One place: calls of a source (an empty name: all of them), and a path from the event down, whose
/// segments are compared without regard to case. `*` is any one segment, `**` any number of them.
struct Place {
    source: &'static str,
    name: &'static str,
    path: &'static [&'static str],
    detector: Detector,
}

const fn place(
    source: &'static str,
    name: &'static str,
    path: &'static [&'static str],
    detector: Detector,
) -> Place {
    Place {
        source,
        name,
        path,
        detector,
    }
}

use Detector::{EnvironmentVariable, IssuedSessionToken, KnownPlace, UserData};

const ISSUED: &[&str] = &["responseElements", "**", "sessionToken"];
const ENVIRONMENT: &[&str] = &["**", "environment", "variables", "*"];

const PLACES: [Place; 35] = [
    place("sts.amazonaws.com", "", ISSUED, IssuedSessionToken),
    place(
        "s3.amazonaws.com",
        "CreateSession",
        ISSUED,
        IssuedSessionToken,
    ),
    place(
        "s3.amazonaws.com",
        "GetDataAccess",
        ISSUED,
        IssuedSessionToken,
    ),
    place(
        "s3express.amazonaws.com",
        "CreateSession",
        ISSUED,
        IssuedSessionToken,
    ),
    place("eks-auth.amazonaws.com", "", ISSUED, IssuedSessionToken),
    place(
        "lakeformation.amazonaws.com",
        "",
        ISSUED,
        IssuedSessionToken,
    ),
    place(
        "cognito-identity.amazonaws.com",
        "",
        ISSUED,
        IssuedSessionToken,
    ),
    place("deadline.amazonaws.com", "", ISSUED, IssuedSessionToken),
    place(
        "rolesanywhere.amazonaws.com",
        "CreateSession",
        ISSUED,
        IssuedSessionToken,
    ),
    place(
        "sso.amazonaws.com",
        "GetRoleCredentials",
        ISSUED,
        IssuedSessionToken,
    ),
    place(
        "codebuild.amazonaws.com",
        "",
        &["**", "environmentVariables", "*", "value"],
        EnvironmentVariable,
    ),
    place(
        "codebuild.amazonaws.com",
        "",
        &["**", "environmentVariablesOverride", "*", "value"],
        EnvironmentVariable,
    ),
    place("lambda.amazonaws.com", "", ENVIRONMENT, EnvironmentVariable),
    place(
        "lightsail.amazonaws.com",
        "CreateContainerServiceDeployment",
        &["**", "environment", "*"],
        EnvironmentVariable,
    ),
    place(
        "amplify.amazonaws.com",
        "",
        &["**", "environmentVariables", "*"],
        EnvironmentVariable,
    ),
    place(
        "apprunner.amazonaws.com",
        "",
        &["**", "runtimeEnvironmentVariables", "*"],
        EnvironmentVariable,
    ),
    place(
        "appsync.amazonaws.com",
        "PutGraphqlApiEnvironmentVariables",
        &["**", "environmentVariables", "*"],
        EnvironmentVariable,
    ),
    place(
        "synthetics.amazonaws.com",
        "",
        &["**", "environmentVariables", "*"],
        EnvironmentVariable,
    ),
    place(
        "elasticmapreduce.amazonaws.com",
        "StartNotebookExecution",
        &["**", "environmentVariables", "*"],
        EnvironmentVariable,
    ),
    place(
        "ec2.amazonaws.com",
        "RunInstances",
        &["requestParameters", "userData"],
        UserData,
    ),
    place(
        "ec2.amazonaws.com",
        "ModifyInstanceAttribute",
        &["requestParameters", "userData", "value"],
        UserData,
    ),
    place(
        "ec2.amazonaws.com",
        "RequestSpotInstances",
        &["requestParameters", "**", "userData"],
        UserData,
    ),
    place(
        "ec2.amazonaws.com",
        "RunScheduledInstances",
        &["requestParameters", "**", "userData"],
        UserData,
    ),
    place(
        "ec2.amazonaws.com",
        "CreateLaunchTemplate",
        &["requestParameters", "**", "userData"],
        UserData,
    ),
    place(
        "ec2.amazonaws.com",
        "CreateLaunchTemplateVersion",
        &["requestParameters", "**", "userData"],
        UserData,
    ),
    place(
        "autoscaling.amazonaws.com",
        "CreateLaunchConfiguration",
        &["requestParameters", "userData"],
        UserData,
    ),
    place(
        "lightsail.amazonaws.com",
        "",
        &["requestParameters", "**", "userData"],
        UserData,
    ),
    place(
        "ec2.amazonaws.com",
        "CreateVpnConnection",
        &["**", "customerGatewayConfiguration"],
        KnownPlace,
    ),
    place(
        "ec2.amazonaws.com",
        "ModifyVpnTunnelOptions",
        &["requestParameters", "**", "preSharedKey"],
        KnownPlace,
    ),
    place(
        "directconnect.amazonaws.com",
        "",
        &["**", "authKey"],
        KnownPlace,
    ),
    place(
        "ssm.amazonaws.com",
        "StartSession",
        &["responseElements", "tokenValue"],
        KnownPlace,
    ),
    place(
        "ssm.amazonaws.com",
        "PutParameter",
        &["requestParameters", "value"],
        KnownPlace,
    ),
    place(
        "kms.amazonaws.com",
        "",
        &["responseElements", "plaintext"],
        KnownPlace,
    ),
    place(
        "iam.amazonaws.com",
        "CreateVirtualMFADevice",
        &["responseElements", "**", "base32StringSeed"],
        KnownPlace,
    ),
    place(
        "transfer.amazonaws.com",
        "",
        &["requestParameters", "hostKey"],
        KnownPlace,
    ),
];

fn of_call(source: &[u8], name: &[u8]) -> impl Iterator<Item = &'static Place> {
    PLACES.iter().filter(move |place| {
        place.source.as_bytes() == source
            && (place.name.is_empty() || place.name.as_bytes() == name)
    })
}

/// Whether the table knows the call.
pub(crate) fn has(source: &[u8], name: &[u8]) -> bool {
    of_call(source, name).next().is_some()
}

/// Whether the table knows the call, and the event has the last name of a place in it.
pub(crate) fn any(event: &[u8], source: &[u8], name: &[u8]) -> bool {
    of_call(source, name).any(|place| {
        let mut names = place
            .path
            .iter()
            .rev()
            .filter(|segment| !segment.starts_with('*'));
        names
            .next()
            .is_some_and(|last| contains(event, last.as_bytes()))
    })
}

/// Without regard to case.
fn contains(text: &[u8], word: &[u8]) -> bool {
    let Some(first) = word.first().map(u8::to_ascii_lowercase) else {
        return true;
    };
    let starts = text
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte | 32 == first | 32);
    let mut words = starts.filter_map(|(at, _)| text.get(at..at + word.len()));
    words.any(|part| part.eq_ignore_ascii_case(word))
}

/// What stands at this path of the call.
pub(crate) fn at(source: &[u8], name: &[u8], path: &[&[u8]]) -> Option<Detector> {
    of_call(source, name)
        .find(|place| fits(place.path, path))
        .map(|place| place.detector)
}

fn fits(pattern: &[&str], path: &[&[u8]]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => (0..=path.len()).any(|skipped| fits(rest, &path[skipped..])),
        (Some((segment, rest)), Some((name, deeper))) => {
            (*segment == "*" || segment.as_bytes().eq_ignore_ascii_case(name)) && fits(rest, deeper)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_path(source: &str, name: &str, path: &str) -> Option<Detector> {
        let path: Vec<&[u8]> = path.split('/').map(str::as_bytes).collect();
        at(source.as_bytes(), name.as_bytes(), &path)
    }

    /// A path that a pattern stands for.
    fn example(pattern: &[&str]) -> String {
        pattern
            .join("/")
            .replace("**", "some/where")
            .replace('*', "0")
    }

    #[test]
    fn every_place_is_found_at_its_path_and_not_beside_it() {
        for place in &PLACES {
            let name = if place.name.is_empty() {
                "AnyCall"
            } else {
                place.name
            };
            let path = example(place.path);
            assert_eq!(
                at_path(place.source, name, &path),
                Some(place.detector),
                "{path}"
            );
            assert_eq!(at_path("other.amazonaws.com", name, &path), None, "{path}");
            assert_eq!(
                at_path(place.source, name, &format!("{path}/deeper")),
                None,
                "{path}"
            );
        }
    }

    #[test]
    fn names_in_paths_are_compared_without_regard_to_case() {
        let path = "responseElements/credentials/SessionToken";
        assert_eq!(
            at_path("sts.amazonaws.com", "AssumeRole", path),
            Some(IssuedSessionToken)
        );
        let direct = "responseElements/sessionToken";
        assert_eq!(
            at_path("sts.amazonaws.com", "AssumeRole", direct),
            Some(IssuedSessionToken)
        );
    }

    #[test]
    fn a_place_of_one_call_is_none_of_another() {
        assert_eq!(
            at_path(
                "ssm.amazonaws.com",
                "GetParameter",
                "requestParameters/value"
            ),
            None
        );
        assert!(!any(
            br#"{"value":"x"}"#,
            b"ssm.amazonaws.com",
            b"GetParameter"
        ));
    }

    #[test]
    fn a_known_call_counts_when_its_event_has_the_name_of_a_place() {
        let at = |event: &[u8]| {
            any(
                event,
                b"lambda.amazonaws.com",
                b"UpdateFunctionConfiguration",
            )
        };
        assert!(at(br#"{"environment":{"Variables":{"A":"b"}}}"#));
        assert!(!at(br#"{"environment":{}}"#));
    }
}
