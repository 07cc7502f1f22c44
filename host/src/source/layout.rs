//! What lies under a key: the folder that CloudTrail, or another service sharing the bucket, wrote it to.
//!
//! ```text
//! [prefix/]AWSLogs/[o-abc123defg/]123456789012/CloudTrail/eu-west-1/2026/11/22/{name}.json.gz
//! ```

use crate::event::ObjectKind;

/// The end of every key that may hold events.
pub const SUFFIX: &str = ".json.gz";

/// What a key says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// CloudTrail wrote it.
    CloudTrail(ObjectKind),
    /// Known, and nothing of ours: to be settled and counted.
    Ignored(Ignored),
    /// Looks like a log file and lies where none is expected. It may be one: to be dead-lettered.
    Unknown,
}

/// Why something announced is not read. The names are the values of a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ignored {
    /// S3's `s3:TestEvent`, sent when a notification is configured.
    TestEvent,
    /// CloudTrail's `CloudTrail validation message.`, sent when a topic is configured.
    ValidationText,
    /// S3 says that something was deleted, tagged, restored, …: nothing new to read.
    NotCreation,
    /// A key that ends in `/`: a folder's marker, without content.
    Marker,
    /// AWS Config's snapshots and history.
    Config,
    /// Results and exports of CloudTrail Lake.
    Lake,
    /// Logs of another service under `AWSLogs/`.
    OtherService,
    /// Any other file that does not end in `.json.gz`.
    OtherFile,
}

impl Ignored {
    /// The name as it stands in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TestEvent => "test-event",
            Self::ValidationText => "validation-text",
            Self::NotCreation => "not-creation",
            Self::Marker => "marker",
            Self::Config => "config",
            Self::Lake => "lake",
            Self::OtherService => "other-service",
            Self::OtherFile => "other-file",
        }
    }
}

/// Tells what lies under `key` (fully decoded).
#[must_use]
pub fn of(key: &str) -> Layout {
    if key.ends_with('/') {
        return Layout::Ignored(Ignored::Marker);
    }
    let segments: Vec<&str> = key.split('/').collect();
    // A prefix may hold a segment `AWSLogs` of its own; the last one that fits is the service's.
    let found = if has_tricks(key, &segments) {
        None
    } else {
        (0..segments.len())
            .rev()
            .filter(|&at| segments[at] == "AWSLogs")
            .find_map(|at| below_aws_logs(&segments[at + 1..]))
    };
    match found {
        Some(layout) => layout,
        None if key.ends_with(SUFFIX) => Layout::Unknown,
        None => Layout::Ignored(Ignored::OtherFile),
    }
}

/// Keys that no service writes, and that mean something else to a file system or a terminal.
fn has_tricks(key: &str, segments: &[&str]) -> bool {
    key.chars().any(char::is_control)
        || segments
            .iter()
            .any(|segment| matches!(*segment, "." | ".."))
}

fn below_aws_logs(segments: &[&str]) -> Option<Layout> {
    let segments = match segments {
        [organization, rest @ ..] if is_organization(organization) => rest,
        all => all,
    };
    let [account, service, rest @ ..] = segments else {
        return None;
    };
    if !is_account(account) {
        return None;
    }
    let kind = match *service {
        "CloudTrail" => ObjectKind::Log,
        "CloudTrail-Insight" => ObjectKind::Insight,
        "CloudTrail-NetworkActivity" => ObjectKind::NetworkActivity,
        "CloudTrail-Aggregated" => ObjectKind::Aggregated,
        "CloudTrail-Digest" => ObjectKind::Digest,
        other => return other_service(other).map(Layout::Ignored),
    };
    is_daily_file(rest).then_some(Layout::CloudTrail(kind))
}

/// Folders that other services use beside CloudTrail's.
fn other_service(folder: &str) -> Option<Ignored> {
    match folder {
        "Config" => Some(Ignored::Config),
        "CloudTrail-Lake" => Some(Ignored::Lake),
        "BedrockModelInvocationLogs"
        | "CloudFront"
        | "EKS"
        | "GuardDuty"
        | "NetworkFirewall"
        | "SecurityLake"
        | "VpcLattice"
        | "WAFLogs"
        | "aws-cloudtrail-logs"
        | "elasticloadbalancing"
        | "globalaccelerator"
        | "network-firewall"
        | "redshift"
        | "vpc-lattice"
        | "vpcdnsquerylogs"
        | "vpcflowlogs" => Some(Ignored::OtherService),
        _ => None,
    }
}

/// `{region}/{YYYY}/{MM}/{DD}/{name}.json.gz`
fn is_daily_file(segments: &[&str]) -> bool {
    let [region, year, month, day, name] = segments else {
        return false;
    };
    is_region(region)
        && is_digits(year, 4)
        && is_digits(month, 2)
        && is_digits(day, 2)
        && name.len() > SUFFIX.len()
        && name.ends_with(SUFFIX)
}

/// Whether this is twelve digits.
#[must_use]
pub fn is_account(text: &str) -> bool {
    is_digits(text, 12)
}

/// Whether this may be a region's name. It becomes part of a host name, so nothing else is let through.
#[must_use]
pub fn is_region(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_organization(text: &str) -> bool {
    text.strip_prefix("o-").is_some_and(|rest| {
        !rest.is_empty()
            && rest
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    })
}

fn is_digits(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "123456789012_CloudTrail_eu-west-1_20261122T1320Z_Ab3dEf6hIj9lMn2p.json.gz";

    fn below(folder: &str) -> Layout {
        of(&format!(
            "AWSLogs/123456789012/{folder}/eu-west-1/2026/11/22/{NAME}"
        ))
    }

    #[test]
    fn the_folder_says_the_kind() {
        use ObjectKind::{Aggregated, Digest, Insight, Log, NetworkActivity};
        for (folder, kind) in [
            ("CloudTrail", Log),
            ("CloudTrail-Insight", Insight),
            ("CloudTrail-NetworkActivity", NetworkActivity),
            ("CloudTrail-Aggregated", Aggregated),
            ("CloudTrail-Digest", Digest),
        ] {
            assert_eq!(below(folder), Layout::CloudTrail(kind), "{folder}");
        }
    }

    #[test]
    fn any_prefix_and_an_organization_may_stand_before() {
        for before in [
            "trail/a b/",
            "x//",
            "AWSLogs/",
            "AWSLogs/123456789012/CloudTrail/",
        ] {
            for organization in ["", "o-a1b2c3d4e5/"] {
                let key = format!(
                    "{before}AWSLogs/{organization}123456789012/CloudTrail/us-gov-west-1/2026/11/22/{NAME}"
                );
                assert_eq!(of(&key), Layout::CloudTrail(ObjectKind::Log), "{key}");
            }
        }
    }

    #[test]
    fn what_other_services_write_is_ignored() {
        assert_eq!(below("Config"), Layout::Ignored(Ignored::Config));
        assert_eq!(below("vpcflowlogs"), Layout::Ignored(Ignored::OtherService));
        assert_eq!(below("CloudTrail-Lake"), Layout::Ignored(Ignored::Lake));
        let lake = "AWSLogs/123456789012/CloudTrail-Lake/Query/2026/11/22/q-1/result_1.csv.gz";
        assert_eq!(of(lake), Layout::Ignored(Ignored::Lake));
    }

    #[test]
    fn markers_and_other_files_are_ignored() {
        for key in [
            "AWSLogs/123456789012/",
            "AWSLogs/123456789012/CloudTrail/",
            "CloudTrail/",
        ] {
            assert_eq!(of(key), Layout::Ignored(Ignored::Marker), "{key}");
        }
        for key in [
            "",
            "readme.txt",
            "AWSLogs/123456789012/CloudTrail/eu-west-1/2026/11/22/a.json",
        ] {
            assert_eq!(of(key), Layout::Ignored(Ignored::OtherFile), "{key}");
        }
    }

    #[test]
    fn a_log_file_in_a_strange_place_is_not_thrown_away() {
        for key in [
            "my file.json.gz",
            ".json.gz",
            "AWSLogs/12345678901/CloudTrail/eu-west-1/2026/11/22/a.json.gz",
            "AWSLogs/123456789012/CloudTrail-New/eu-west-1/2026/11/22/a.json.gz",
            "AWSLogs/123456789012/CloudTrail/eu-west-1/2026/11/a.json.gz",
            "AWSLogs/123456789012/CloudTrail/eu-west-1/2026/11/22/.json.gz",
            "AWSLogs/123456789012/CloudTrail/EU/2026/11/22/a.json.gz",
            "../AWSLogs/123456789012/CloudTrail/eu-west-1/2026/11/22/a.json.gz",
            "AWSLogs/123456789012/CloudTrail/eu-west-1/2026/11/22/a\n.json.gz",
        ] {
            assert_eq!(of(key), Layout::Unknown, "{key}");
        }
    }

    #[test]
    fn a_region_is_nothing_that_could_change_a_host_name() {
        for good in ["eu-west-1", "us-gov-west-1", "us-iso-east-1"] {
            assert!(is_region(good), "{good}");
        }
        for bad in ["", "eu-west-1.example.com", "a/b", "EU", "x@y", "-a", "a-"] {
            assert!(!is_region(bad), "{bad}");
        }
    }
}
