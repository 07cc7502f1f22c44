//! The family of the program that made a call, from its user agent. Anybody may claim to be any program:
//! it tells apart those who do not lie.

/// Bytes of a user agent that are looked at.
const MOST: usize = 512;

/// Parts in lower case and families; the first that is contained counts, so that a tool comes before the
/// library it is built on.
const FAMILIES: &[(&str, &str)] = &[
    ("pacu", "attack-tool"),
    ("stratus-red-team", "attack-tool"),
    ("scoutsuite", "attack-tool"),
    ("scout suite", "attack-tool"),
    ("prowler", "attack-tool"),
    ("cloudfox", "attack-tool"),
    ("cloudmapper", "attack-tool"),
    ("cloudsplaining", "attack-tool"),
    ("enumerate-iam", "attack-tool"),
    ("trufflehog", "attack-tool"),
    ("weirdaal", "attack-tool"),
    ("nuclei", "attack-tool"),
    ("sqlmap", "attack-tool"),
    ("kali", "attack-tool"),
    ("parrot", "attack-tool"),
    ("terraform", "terraform"),
    ("opentofu", "opentofu"),
    ("pulumi", "pulumi"),
    ("ansible", "ansible"),
    ("aws-cdk", "cdk"),
    ("cloudformation", "cloudformation"),
    ("s3console", "console"),
    ("console.amazonaws.com", "console"),
    ("signin.amazonaws.com", "console"),
    (" console, aws-internal", "console"),
    ("aws-internal/", "aws-internal"),
    ("aws internal", "aws-internal"),
    ("powershell", "powershell"),
    ("aws-cli/", "aws-cli"),
    ("boto3/", "boto3"),
    ("botocore/", "boto3"),
    ("aws-sdk-go", "sdk-go"),
    ("aws-sdk-java", "sdk-java"),
    ("aws-sdk-kotlin", "sdk-java"),
    ("aws-sdk-js", "sdk-js"),
    ("aws-sdk-nodejs", "sdk-js"),
    ("aws-sdk-rust", "sdk-rust"),
    ("aws-sdk-dotnet", "sdk-dotnet"),
    ("aws-sdk-php", "sdk-php"),
    ("aws-sdk-ruby", "sdk-ruby"),
    ("aws-sdk-cpp", "sdk-cpp"),
    ("aws-sdk-swift", "sdk-swift"),
    ("s3 browser", "s3-browser"),
    ("cyberduck", "s3-browser"),
    ("rclone", "s3-browser"),
    ("curl/", "http-library"),
    ("wget/", "http-library"),
    ("python-requests", "http-library"),
    ("go-http-client", "http-library"),
    ("mozilla/", "browser"),
];

/// The table, by the first two letters of the part.
#[derive(Debug)]
pub(crate) struct Families(Vec<Vec<usize>>);

/// Where parts that begin with these letters stand; others may stand there too.
fn place(first: u8, second: u8) -> usize {
    usize::from(first & 31) << 5 | usize::from(second & 31)
}

impl Default for Families {
    fn default() -> Self {
        let mut by_start = vec![Vec::new(); 1 << 10];
        for (at, (part, _)) in FAMILIES.iter().enumerate() {
            let part = part.as_bytes();
            by_start[place(part[0], part[1])].push(at);
        }
        Self(by_start)
    }
}

impl Families {
    /// The family; nothing where the event names no program.
    pub(crate) fn of(&self, agent: &[u8]) -> Option<&'static str> {
        if agent.is_empty() {
            return None;
        }
        let agent = agent[..agent.len().min(MOST)].to_ascii_lowercase();
        let mut best = FAMILIES.len();
        for (start, pair) in agent.windows(2).enumerate() {
            // In the order of the table: what comes after the best is none better.
            for &at in &self.0[place(pair[0], pair[1])] {
                if at >= best {
                    break;
                }
                if agent[start..].starts_with(FAMILIES[at].0.as_bytes()) {
                    best = at;
                }
            }
        }
        let service =
            || agent.ends_with(b".amazonaws.com") || agent.ends_with(b".amazonaws.com.cn");
        Some(match FAMILIES.get(best) {
            Some((_, family)) => family,
            None if service() => "aws-service",
            None => "other",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_known_by_what_they_call_themselves() {
        let cases = [
            (
                "aws-cli/2.15.0 Python/3.11.6 Linux/5.10 exe/x86_64 prompt/off command/s3.ls",
                "aws-cli",
            ),
            (
                "APN/1.0 HashiCorp/1.0 Terraform/1.1.2 (+https://www.terraform.io) aws-sdk-go/1.44.1",
                "terraform",
            ),
            (
                "[Boto3/1.26.165 Python/3.10.6 Linux/5.19.0-46-generic Botocore/1.29.165]",
                "boto3",
            ),
            (
                "Boto3/1.26.0 Python/3.11 Linux/6.5.0-kali3-amd64 Botocore/1.29.0",
                "attack-tool",
            ),
            ("Pacu/1.5 Boto3/1.26", "attack-tool"),
            ("stratus-red-team_39f95f43", "attack-tool"),
            ("aws-sdk-go-v2/1.17.0 os/linux lang/go/1.18", "sdk-go"),
            (
                "[S3Console/0.4, aws-internal/3 aws-sdk-java/1.12.488 Linux/5.10]",
                "console",
            ),
            (
                "RDS Console, aws-internal/3 aws-sdk-java/1.11.975 Linux/5.10",
                "console",
            ),
            ("AWS Internal", "aws-internal"),
            ("secretsmanager.amazonaws.com", "aws-service"),
            (
                "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:102.0) Gecko/20100101",
                "browser",
            ),
            ("curl/8.5.0", "http-library"),
            ("my program", "other"),
            ("\u{1f600}", "other"),
        ];
        for (agent, expected) in cases {
            assert_eq!(
                Families::default().of(agent.as_bytes()),
                Some(expected),
                "{agent}"
            );
        }
        assert_eq!(Families::default().of(b""), None);
        let long = format!("{}aws-cli/2", "x".repeat(MOST));
        assert_eq!(
            Families::default().of(long.as_bytes()),
            Some("other"),
            "too far behind"
        );
    }
}
