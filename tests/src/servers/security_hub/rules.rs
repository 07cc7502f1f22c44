//! What a finding must be, to be imported.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The product that an account's own findings belong to.
pub(super) fn product_arn(region: &str, account: &str) -> String {
    format!("arn:aws:securityhub:{region}:{account}:product/{account}/default")
}

/// A time that [`check`] has seen.
pub(super) fn instant(value: &Value) -> OffsetDateTime {
    value
        .as_str()
        .and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Members that a provider of findings may set. Those of the customer (`Note`, `Workflow`,
/// `UserDefinedFields`, …) and those that an update may not touch (`Severity`, `Types`, …) are missing.
const MEMBERS: [&str; 25] = [
    "SchemaVersion",
    "Id",
    "ProductArn",
    "ProductName",
    "CompanyName",
    "Region",
    "GeneratorId",
    "AwsAccountId",
    "FirstObservedAt",
    "LastObservedAt",
    "CreatedAt",
    "UpdatedAt",
    "Title",
    "Description",
    "Remediation",
    "SourceUrl",
    "ProductFields",
    "Malware",
    "Network",
    "Process",
    "ThreatIntelIndicators",
    "Resources",
    "RecordState",
    "FindingProviderFields",
    "Action",
];

const REQUIRED: [&str; 11] = [
    "SchemaVersion",
    "Id",
    "ProductArn",
    "GeneratorId",
    "AwsAccountId",
    "CreatedAt",
    "UpdatedAt",
    "Title",
    "Description",
    "Resources",
    "FindingProviderFields",
];

const NAMESPACES: [&str; 5] = [
    "Software and Configuration Checks",
    "TTPs",
    "Effects",
    "Unusual Behaviors",
    "Sensitive Data Identifications",
];

/// Resource types of the format that this project has a use for, and the catch-all.
const RESOURCE_TYPES: [&str; 23] = [
    "AwsAccount",
    "AwsIamAccessKey",
    "AwsIamUser",
    "AwsIamRole",
    "AwsIamPolicy",
    "AwsIamGroup",
    "AwsS3Bucket",
    "AwsS3Object",
    "AwsLambdaFunction",
    "AwsKmsKey",
    "AwsSecretsManagerSecret",
    "AwsCloudTrailTrail",
    "AwsEc2Instance",
    "AwsEc2SecurityGroup",
    "AwsEc2Volume",
    "AwsEc2Vpc",
    "AwsRdsDbInstance",
    "AwsRdsDbCluster",
    "AwsDynamoDbTable",
    "AwsSqsQueue",
    "AwsSnsTopic",
    "AwsEcrRepository",
    "Other",
];

/// Lengths in characters, by path; every other string needs only something to read in it.
static LENGTHS: LazyLock<Vec<(&str, usize)>> = LazyLock::new(|| {
    vec![
        ("/Id", 512),
        ("/GeneratorId", 512),
        ("/Title", 256),
        ("/Description", 1024),
        ("/ProductFields/*", 2048),
        ("/ProductName", 128),
        ("/CompanyName", 128),
        ("/Region", 16),
        ("/FindingProviderFields/Severity/Original", 64),
        ("/Resources/Type", 256),
        ("/Resources/Id", 512),
        ("/Resources/Region", 16),
        ("/Action/AwsApiCallAction/Api", 128),
        ("/Remediation/Recommendation/Text", 512),
        ("/Remediation/Recommendation/Url", 512),
        ("/Action/AwsApiCallAction/ServiceName", 128),
        ("/Action/AwsApiCallAction/CallerType", 128),
        ("/Action/AwsApiCallAction/DomainDetails/Domain", 128),
    ]
});

/// The format `uri` of JSON Schema, as far as addresses of pages go.
static URI: LazyLock<Regex> = LazyLock::new(|| {
    let part = "(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})";
    let more = format!("(?:{part}|[?])");
    Regex::new(&format!(
        "^https?://[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]*)?(?:/{part}*)?(?:[?]{more}*)?(?:#{more}*)?$"
    ))
    .expect("this is an expression")
});

/// What none of JavaScript, Java, Python and Rust takes for something to read.
fn is_blank(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_whitespace() || c <= ' ' || ['\u{180e}', '\u{200b}', '\u{feff}'].contains(&c))
}

type Checked = Result<(), String>;

/// Says what is wrong with a finding.
pub(super) fn check(finding: &Value) -> Checked {
    let members = finding.as_object().ok_or("a finding is not an object")?;
    if let Some(unknown) = members
        .keys()
        .find(|name| !MEMBERS.contains(&name.as_str()))
    {
        return Err(format!("{unknown} may not be set"));
    }
    if let Some(missing) = REQUIRED.iter().find(|name| !members.contains_key(**name)) {
        return Err(format!("{missing} is missing"));
    }
    is(finding["SchemaVersion"] == "2018-10-08", "SchemaVersion")?;
    is(
        matches!(
            finding["RecordState"].as_str(),
            None | Some("ACTIVE" | "ARCHIVED")
        ),
        "RecordState",
    )?;
    strings(finding, "")?;
    for name in [
        "CreatedAt",
        "UpdatedAt",
        "FirstObservedAt",
        "LastObservedAt",
    ] {
        is(finding.get(name).is_none_or(is_time), name)?;
    }
    is(
        instant(&finding["UpdatedAt"]) >= instant(&finding["CreatedAt"]),
        "UpdatedAt before CreatedAt",
    )?;
    provider_fields(&finding["FindingProviderFields"])?;
    product_fields(finding)?;
    for name in ["Malware", "ThreatIntelIndicators"] {
        let list = finding
            .get(name)
            .map(|list| list.as_array().map_or(0, Vec::len));
        is(list.is_none_or(|count| (1..=5).contains(&count)), name)?;
    }
    let url = finding.pointer("/Remediation/Recommendation/Url");
    is(
        url.is_none_or(|url| URI.is_match(url.as_str().unwrap_or_default())),
        "Remediation.Recommendation.Url",
    )?;
    resources(&finding["Resources"])?;
    finding.get("Action").map_or(Ok(()), action)
}

fn is(good: bool, what: &str) -> Checked {
    if good {
        Ok(())
    } else {
        Err(format!("{what} is not valid"))
    }
}

/// Every string has something to read in it, and is no longer than it may be.
fn strings(value: &Value, path: &str) -> Checked {
    match value {
        Value::Null => Err(format!("{path} is null")),
        Value::String(text) => {
            is(!is_blank(text), &format!("{path}: an empty string"))?;
            let longest = LENGTHS
                .iter()
                .find(|(pattern, _)| matches(pattern, path))
                .map_or(usize::MAX, |(_, max)| *max);
            is(
                text.chars().count() <= longest,
                &format!("{path}: a string that long"),
            )
        }
        Value::Array(items) => items.iter().try_for_each(|item| strings(item, path)),
        Value::Object(members) => members
            .iter()
            .try_for_each(|(name, member)| strings(member, &format!("{path}/{name}"))),
        Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn matches(pattern: &str, path: &str) -> bool {
    pattern == path
        || pattern
            .strip_suffix('*')
            .is_some_and(|start| path.starts_with(start))
}

/// RFC 3339 with at most nine digits of a second, and no further from UTC than eighteen hours.
fn is_time(value: &Value) -> bool {
    let Some(text) = value.as_str() else {
        return false;
    };
    let digits = text.split_once('.').map_or(0, |(_, rest)| {
        rest.bytes().take_while(u8::is_ascii_digit).count()
    });
    digits <= 9
        && OffsetDateTime::parse(text, &Rfc3339)
            .is_ok_and(|time| time.offset().whole_seconds().abs() <= 18 * 3600)
}

fn provider_fields(fields: &Value) -> Checked {
    let label = fields["Severity"]["Label"].as_str().unwrap_or_default();
    is(
        ["INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL"].contains(&label),
        "Severity.Label",
    )?;
    let types = fields["Types"]
        .as_array()
        .ok_or("FindingProviderFields.Types is missing")?;
    is((1..=50).contains(&types.len()), "the number of Types")?;
    types.iter().try_for_each(|kind| {
        let parts: Vec<&str> = kind.as_str().unwrap_or_default().split('/').collect();
        let good = NAMESPACES.contains(&parts[0])
            && parts.len() <= 3
            && parts.iter().all(|part| !is_blank(part));
        is(good, "a type")
    })
}

fn product_fields(finding: &Value) -> Checked {
    let Some(fields) = finding.get("ProductFields") else {
        return Ok(());
    };
    let fields = fields.as_object().ok_or("ProductFields is not an object")?;
    is(fields.len() <= 50, "the number of ProductFields")?;
    fields.iter().try_for_each(|(name, value)| {
        let good = (1..=128).contains(&name.chars().count())
            && !name.starts_with("aws/")
            && value.is_string();
        is(good, "a member of ProductFields")
    })
}

fn resources(resources: &Value) -> Checked {
    let resources = resources.as_array().ok_or("Resources is not a list")?;
    is(
        (1..=32).contains(&resources.len()),
        "the number of Resources",
    )?;
    resources.iter().try_for_each(|resource| {
        let kind = resource["Type"].as_str().unwrap_or_default();
        is(RESOURCE_TYPES.contains(&kind), "Resource.Type")?;
        is(resource["Id"].is_string(), "Resource.Id")?;
        let partition = resource
            .get("Partition")
            .map_or("aws", |partition| partition.as_str().unwrap_or_default());
        is(
            ["aws", "aws-cn", "aws-us-gov"].contains(&partition),
            "Resource.Partition",
        )
    })
}

fn action(action: &Value) -> Checked {
    is(action["ActionType"] == "AWS_API_CALL", "ActionType")?;
    let call = &action["AwsApiCallAction"];
    is(call.is_object(), "AwsApiCallAction")?;
    let caller = call
        .get("CallerType")
        .map(|caller| caller.as_str().unwrap_or_default());
    is(
        matches!(caller, None | Some("remoteip" | "domain")),
        "CallerType",
    )?;
    if let Some(address) = call.pointer("/RemoteIpDetails/IpAddressV4") {
        let v4 = address
            .as_str()
            .is_some_and(|text| text.parse::<std::net::Ipv4Addr>().is_ok());
        is(v4, "IpAddressV4")?;
    }
    for name in ["FirstSeen", "LastSeen"] {
        is(call.get(name).is_none_or(is_time), name)?;
    }
    Ok(())
}
