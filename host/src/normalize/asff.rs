//! AWS Security Finding Format: a finding as Security Hub's `BatchImportFindings` takes it.
//!
//! Only what a finding provider may set is written: severity and types stand under
//! `FindingProviderFields`, and what belongs to the customer (notes, workflow, verification, confidence,
//! own fields) is never there. An empty string anywhere makes Security Hub refuse a finding, so what is
//! empty is left out.

use std::{collections::BTreeMap, net::IpAddr};

use serde::Serialize;

use crate::{
    finding::{EventFacts, Finding, Severity},
    normalize::remediation,
    text::is_blank,
    timestamp::format_ms,
};

/// Into which hub a finding goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hub {
    partition: &'static str,
    region: String,
    account: String,
    product_arn: String,
}

impl Hub {
    /// The hub of an account in a region.
    #[must_use]
    pub fn new(region: &str, account: &str) -> Self {
        let partition = match region {
            region if region.starts_with("cn-") => "aws-cn",
            region if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        let product_arn =
            format!("arn:{partition}:securityhub:{region}:{account}:product/{account}/default");
        Self {
            partition,
            region: region.to_owned(),
            account: account.to_owned(),
            product_arn,
        }
    }

    /// `https://securityhub.{region}.amazonaws.com`, and its like in China.
    #[must_use]
    pub fn address(&self) -> String {
        let suffix = if self.partition == "aws-cn" {
            "amazonaws.com.cn"
        } else {
            "amazonaws.com"
        };
        format!("https://securityhub.{}.{suffix}", self.region)
    }

    /// The region that requests are signed for.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The account that findings are imported for.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }
}

/// One finding, ready to be written as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AwsSecurityFinding<'a> {
    schema_version: &'static str,
    id: &'a str,
    product_arn: &'a str,
    product_name: &'static str,
    generator_id: String,
    aws_account_id: &'a str,
    created_at: String,
    updated_at: String,
    first_observed_at: String,
    last_observed_at: String,
    title: &'a str,
    description: &'a str,
    finding_provider_fields: ProviderFields<'a>,
    product_fields: BTreeMap<String, String>,
    resources: Vec<Resource<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<Action<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remediation: Option<Remediation<'a>>,
    record_state: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ProviderFields<'a> {
    severity: SeverityFields,
    types: Vec<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SeverityFields {
    label: &'static str,
    original: &'static str,
}

impl<'a> AwsSecurityFinding<'a> {
    /// What this finding is in that hub.
    #[must_use]
    pub fn new(finding: &'a Finding, hub: &'a Hub) -> Self {
        let title = first_filled(&[&finding.title, &finding.rule, "Finding"], 256);
        Self {
            schema_version: "2018-10-08",
            id: cut(&finding.id, 512),
            product_arn: &hub.product_arn,
            product_name: "Sluicegate",
            generator_id: cut(
                &format!("sluicegate/{}/{}", finding.plugin, finding.rule),
                512,
            )
            .to_owned(),
            aws_account_id: &hub.account,
            created_at: format_ms(finding.created_ms),
            updated_at: format_ms(finding.updated_ms.max(finding.created_ms)),
            first_observed_at: format_ms(finding.first_ms),
            last_observed_at: format_ms(finding.last_ms.max(finding.first_ms)),
            title,
            description: first_filled(&[&finding.description, title], 1024),
            finding_provider_fields: ProviderFields {
                severity: SeverityFields {
                    label: label(finding.severity),
                    original: finding.severity.as_str(),
                },
                types: types(&finding.attributes),
            },
            product_fields: product_fields(finding),
            resources: resources(&finding.event, hub),
            action: Action::new(finding),
            remediation: Remediation::new(finding),
            record_state: "ACTIVE",
        }
    }
}

fn label(severity: Severity) -> &'static str {
    match severity {
        Severity::Informational => "INFORMATIONAL",
        Severity::Low => "LOW",
        Severity::Medium => "MEDIUM",
        Severity::High => "HIGH",
        Severity::Critical => "CRITICAL",
    }
}

/// At most so many characters of a text; fewer where JSON would take more than four bytes for each, as
/// control characters do. So what bounds the characters of a finding bounds its bytes.
fn cut(text: &str, max: usize) -> &str {
    let mut bytes = 0;
    let beyond = text.char_indices().enumerate().find(|(count, (_, c))| {
        bytes += json_bytes(*c);
        *count == max || bytes > 4 * max
    });
    beyond.map_or(text, |(_, (end, _))| &text[..end])
}

/// Bytes of a character in a JSON string.
fn json_bytes(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        c => c.len_utf8(),
    }
}

/// The first that has something to read in it, cut to so many characters.
fn first_filled<'a>(texts: &[&'a str], max: usize) -> &'a str {
    texts
        .iter()
        .map(|text| cut(text, max))
        .find(|text| !is_blank(text))
        .unwrap_or("Finding")
}

/// Something that Security Hub takes as a string of at most so many characters. A longer one is left
/// out, for the rest of an identifier would be another identifier.
fn within(text: &str, max: usize) -> Option<&str> {
    (!is_blank(text) && text.chars().count() <= max).then_some(text)
}

const NAMESPACES: [&str; 5] = [
    "Software and Configuration Checks",
    "TTPs",
    "Effects",
    "Unusual Behaviors",
    "Sensitive Data Identifications",
];

/// Of one type; the longest of the taxonomy has some sixty.
const TYPE_CHARACTERS: usize = 128;

/// The attributes named `types`, as far as they are of Security Hub's taxonomy; several are separated
/// by commas.
fn types(attributes: &[(String, String)]) -> Vec<&str> {
    let mut types: Vec<&str> = Vec::new();
    let named = attributes.iter().filter(|(name, _)| name == "types");
    for text in named.flat_map(|(_, value)| value.split(',')).map(str::trim) {
        let parts: Vec<&str> = text.split('/').collect();
        let known = NAMESPACES.contains(&parts[0])
            && parts.len() <= 3
            && parts.iter().all(|part| !is_blank(part))
            && text.chars().count() <= TYPE_CHARACTERS
            && !text.contains(char::is_control);
        if known && !types.contains(&text) && types.len() < 50 {
            types.push(text);
        }
    }
    if types.is_empty() {
        types.push("Unusual Behaviors");
    }
    types
}

/// Bytes in JSON of all names and values of attributes together, so that no finding has more than the
/// 240 KB that Security Hub takes.
const ATTRIBUTE_BYTES: usize = 64_000;

fn product_fields(finding: &Finding) -> BTreeMap<String, String> {
    let facts = &finding.event;
    let index = facts.index.to_string();
    let own: [(&str, &str); 13] = [
        ("plugin", &finding.plugin),
        ("rule", &finding.rule),
        ("entity", &finding.entity.join(" | ")),
        ("window-s", &finding.window_s.to_string()),
        ("count", &finding.count.to_string()),
        ("event-ids", &finding.event_ids.join(",")),
        ("account", &facts.account),
        ("region", &facts.region),
        ("object", &facts.object_url),
        (
            "index",
            if facts.object_url.is_empty() {
                ""
            } else {
                &index
            },
        ),
        ("principal", &facts.principal_arn),
        ("user-agent", &facts.user_agent),
        ("error-code", &facts.error_code),
    ];
    let mut fields: BTreeMap<String, String> = own
        .into_iter()
        .map(|(name, value)| (name, cut(value, 2048)))
        .filter(|(_, value)| !is_blank(value))
        .map(|(name, value)| (format!("sluicegate/{name}"), value.to_owned()))
        .collect();
    let mut bytes = 0;
    for (name, value) in &finding.attributes {
        let key = cut(&format!("sluicegate/attribute/{name}"), 128).to_owned();
        let value = cut(value, 2048);
        bytes += key
            .chars()
            .chain(value.chars())
            .map(json_bytes)
            .sum::<usize>();
        if fields.len() == 50 || bytes > ATTRIBUTE_BYTES {
            break;
        }
        if !is_blank(name) && !is_blank(value) {
            fields.entry(key).or_insert_with(|| value.to_owned());
        }
    }
    fields
}

/// What a finding is about.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Resource<'a> {
    r#type: &'static str,
    id: String,
    partition: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Details<'a> {
    aws_iam_access_key: AccessKey<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AccessKey<'a> {
    #[serde(rename = "AccessKeyId")]
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal_name: Option<&'a str>,
}

/// The resource acted on, who acted, and with which key; the account where the event names none.
fn resources<'a>(facts: &'a EventFacts, hub: &Hub) -> Vec<Resource<'a>> {
    let region = within(&facts.region, 16);
    let resource = |r#type, id: String| Resource {
        r#type,
        id,
        partition: hub.partition,
        region,
        details: None,
    };
    let mut resources = Vec::new();
    if let Some(arn) = within(&facts.resource_arn, 512) {
        resources.push(resource(resource_type(arn), arn.to_owned()));
    }
    if let Some((r#type, arn)) = principal(&facts.principal_arn)
        && arn != facts.resource_arn
    {
        resources.push(resource(r#type, arn));
    }
    if let Some(key) = within(&facts.access_key_id, 128) {
        let details = AccessKey {
            id: key,
            account_id: within(&facts.account, 64),
            principal_id: within(&facts.principal_id, 256),
            principal_type: within(&facts.principal_type, 64),
            principal_name: within(&facts.user_name, 256),
        };
        resources.push(Resource {
            details: Some(Details {
                aws_iam_access_key: details,
            }),
            ..resource("AwsIamAccessKey", format!("AWS::IAM::AccessKey:{key}"))
        });
    }
    if resources.is_empty() {
        let real =
            facts.account.len() == 12 && facts.account.bytes().all(|byte| byte.is_ascii_digit());
        let account = if real { &facts.account } else { &hub.account };
        resources.push(resource("AwsAccount", format!("AWS::::Account:{account}")));
    }
    resources
}

/// A user as it is; of a role's session the role. Nothing for root and for services.
fn principal(arn: &str) -> Option<(&'static str, String)> {
    let arn = within(arn, 512)?;
    let mut parts = arn.splitn(6, ':');
    let (_, partition, service, _, account, name) = (
        parts.next()?,
        parts.next()?,
        parts.next()?,
        parts.next()?,
        parts.next()?,
        parts.next()?,
    );
    match (service, name.split_once('/')) {
        ("iam", Some(("user", _))) => Some(("AwsIamUser", arn.to_owned())),
        ("iam", Some(("role", _))) => Some(("AwsIamRole", arn.to_owned())),
        ("sts", Some(("assumed-role", session))) => {
            let (role, _) = session.split_once('/')?;
            Some((
                "AwsIamRole",
                format!("arn:{partition}:iam::{account}:role/{role}"),
            ))
        }
        _ => None,
    }
}

/// Security Hub's name for what an ARN names, for what CloudTrail events are mostly about.
fn resource_type(arn: &str) -> &'static str {
    let mut parts = arn.splitn(6, ':').skip(2);
    let (service, name) = (parts.next().unwrap_or(""), parts.nth(2).unwrap_or(""));
    let kind = name.split(['/', ':']).next().unwrap_or("");
    match (service, kind) {
        ("s3", _) if name.contains('/') => "AwsS3Object",
        ("s3", _) => "AwsS3Bucket",
        ("iam", "user") => "AwsIamUser",
        ("iam", "role") => "AwsIamRole",
        ("iam", "policy") => "AwsIamPolicy",
        ("iam", "group") => "AwsIamGroup",
        ("lambda", "function") => "AwsLambdaFunction",
        ("kms", "key") => "AwsKmsKey",
        ("secretsmanager", "secret") => "AwsSecretsManagerSecret",
        ("cloudtrail", "trail") => "AwsCloudTrailTrail",
        ("ec2", "instance") => "AwsEc2Instance",
        ("ec2", "security-group") => "AwsEc2SecurityGroup",
        ("ec2", "volume") => "AwsEc2Volume",
        ("ec2", "vpc") => "AwsEc2Vpc",
        ("rds", "db") => "AwsRdsDbInstance",
        ("rds", "cluster") => "AwsRdsDbCluster",
        ("dynamodb", "table") => "AwsDynamoDbTable",
        ("sqs", _) => "AwsSqsQueue",
        ("sns", _) => "AwsSnsTopic",
        _ => "Other",
    }
}

/// The API call of the first event.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Action<'a> {
    action_type: &'static str,
    aws_api_call_action: ApiCall<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ApiCall<'a> {
    api: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_ip_details: Option<RemoteIp<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain_details: Option<Domain<'a>>,
    first_seen: String,
    last_seen: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RemoteIp<'a> {
    ip_address_v4: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Domain<'a> {
    domain: &'a str,
}

impl<'a> Action<'a> {
    fn new(finding: &'a Finding) -> Option<Self> {
        let facts = &finding.event;
        let source = facts.source_ip.as_str();
        let address = source.parse::<IpAddr>().ok();
        // `AWS Internal` and the like are neither an address nor a name.
        let domain = within(source, 128).filter(|name| {
            address.is_none()
                && name.contains('.')
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
        });
        Some(Self {
            action_type: "AWS_API_CALL",
            aws_api_call_action: ApiCall {
                api: within(&facts.event_name, 128)?,
                service_name: within(&facts.event_source, 128),
                caller_type: match (address, domain) {
                    (Some(_), _) => Some("remoteip"),
                    (None, Some(_)) => Some("domain"),
                    (None, None) => None,
                },
                // The format has no place for an IPv6 address.
                remote_ip_details: address.filter(IpAddr::is_ipv4).map(|_| RemoteIp {
                    ip_address_v4: source,
                }),
                domain_details: domain.map(|domain| Domain { domain }),
                first_seen: format_ms(finding.first_ms),
                last_seen: format_ms(finding.last_ms.max(finding.first_ms)),
            },
        })
    }
}

/// What to do first, and where to read on.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Remediation<'a> {
    recommendation: Recommendation<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Recommendation<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

impl<'a> Remediation<'a> {
    fn new(finding: &'a Finding) -> Option<Self> {
        let recommendation = Recommendation {
            text: remediation::text(finding),
            url: remediation::url(finding),
        };
        let is_empty = recommendation.text.is_none() && recommendation.url.is_none();
        (!is_empty).then_some(Self { recommendation })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn finding(facts: EventFacts) -> Finding {
        Finding {
            id: "sluicegate/p/r/123456789012/us-east-1/00".into(),
            plugin: "p".into(),
            rule: "r".into(),
            title: "t".into(),
            description: "d".into(),
            severity: Severity::High,
            entity: vec!["e".into()],
            window_s: 3600,
            attributes: Vec::new(),
            event: facts,
            count: 2,
            first_ms: 1_000,
            last_ms: 2_000,
            created_ms: 3_000,
            updated_ms: 4_000,
            event_ids: vec!["i".into()],
        }
    }

    fn asff(finding: &Finding) -> Value {
        let hub = Hub::new("eu-central-1", "123456789012");
        serde_json::to_value(AwsSecurityFinding::new(finding, &hub)).unwrap()
    }

    #[test]
    fn advice_follows_the_tactic_the_type_or_the_plugin_and_links_to_the_technique() {
        let advice = |attributes: &[(&str, &str)]| {
            let mut finding = finding(EventFacts::default());
            finding.attributes = attributes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            let recommendation = asff(&finding)["Remediation"]["Recommendation"].take();
            let text = |name: &str| recommendation[name].as_str().unwrap_or_default().to_owned();
            (text("Text"), text("Url"))
        };
        assert_eq!(advice(&[]), (String::new(), String::new()));
        let (impact, page) = advice(&[("tactic", "impact"), ("technique", "T1485")]);
        assert!(impact.starts_with("Stop the principal"));
        assert_eq!(page, "https://attack.mitre.org/techniques/T1485/");
        let by_type = advice(&[
            ("types", "TTPs/Impact/BucketDeleted"),
            ("technique", "T1552.001, T1"),
        ]);
        assert_eq!(by_type.0, impact);
        assert_eq!(by_type.1, "https://attack.mitre.org/techniques/T1552/001/");
        assert_eq!(
            advice(&[("tactic", "privilege-escalation, impact")]).0,
            advice(&[("tactic", "Privilege Escalation")]).0
        );
        let own = advice(&[
            ("remediation", "Ask."),
            ("tactic", "Impact"),
            ("references", "x https://example.com/a b"),
        ]);
        assert_eq!(own, ("Ask.".to_owned(), "https://example.com/a".to_owned()));
        assert_eq!(
            advice(&[("remediation", &"ü".repeat(600))])
                .0
                .chars()
                .count(),
            512
        );
        assert_eq!(advice(&[("technique", "T1/../evil")]).1, "");
    }

    #[test]
    fn the_partition_follows_the_region() {
        for (region, arn, address) in [
            (
                "us-east-1",
                "arn:aws:",
                "https://securityhub.us-east-1.amazonaws.com",
            ),
            (
                "cn-north-1",
                "arn:aws-cn:",
                "https://securityhub.cn-north-1.amazonaws.com.cn",
            ),
            (
                "us-gov-west-1",
                "arn:aws-us-gov:",
                "https://securityhub.us-gov-west-1.amazonaws.com",
            ),
        ] {
            let hub = Hub::new(region, "123456789012");
            assert_eq!(
                hub.product_arn,
                format!("{arn}securityhub:{region}:123456789012:product/123456789012/default")
            );
            assert_eq!(hub.address(), address);
        }
    }

    #[test]
    fn severity_and_types_stand_where_a_provider_may_set_them() {
        let mut finding = finding(EventFacts::default());
        finding.attributes = vec![(
            "types".into(),
            "TTPs/Defense Evasion/CloudTrailStopped, Nonsense/A,Effects,TTPs//x".into(),
        )];
        let asff = asff(&finding);
        assert_eq!(asff["FindingProviderFields"]["Severity"]["Label"], "HIGH");
        assert_eq!(
            asff["FindingProviderFields"]["Types"],
            serde_json::json!(["TTPs/Defense Evasion/CloudTrailStopped", "Effects"])
        );
        for customer in [
            "Severity",
            "Types",
            "Note",
            "UserDefinedFields",
            "VerificationState",
            "Workflow",
            "Confidence",
            "Criticality",
            "RelatedFindings",
        ] {
            assert!(asff.get(customer).is_none(), "{customer}");
        }
    }

    #[test]
    fn without_facts_the_resource_is_the_account_and_there_is_no_action() {
        let asff = asff(&finding(EventFacts::default()));
        assert_eq!(
            asff["Resources"],
            serde_json::json!([{
                "Type": "AwsAccount", "Id": "AWS::::Account:123456789012", "Partition": "aws"
            }])
        );
        assert!(asff.get("Action").is_none());
        assert_eq!(
            asff["FindingProviderFields"]["Types"],
            serde_json::json!(["Unusual Behaviors"])
        );
    }

    #[test]
    fn a_session_is_shown_as_its_role_and_its_key() {
        let facts = EventFacts {
            principal_arn: "arn:aws:sts::210987654321:assumed-role/admin/alice".into(),
            access_key_id: "ASIAEXAMPLE".into(),
            account: "210987654321".into(),
            resource_arn: "arn:aws:s3:::bucket".into(),
            region: "us-west-2".into(),
            ..EventFacts::default()
        };
        let asff = asff(&finding(facts));
        let shown: Vec<(&str, &str)> = asff["Resources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|resource| {
                (
                    resource["Type"].as_str().unwrap(),
                    resource["Id"].as_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("AwsS3Bucket", "arn:aws:s3:::bucket"),
                ("AwsIamRole", "arn:aws:iam::210987654321:role/admin"),
                ("AwsIamAccessKey", "AWS::IAM::AccessKey:ASIAEXAMPLE"),
            ]
        );
        assert_eq!(asff["AwsAccountId"], "123456789012");
        assert_eq!(asff["ProductFields"]["sluicegate/account"], "210987654321");
        assert!(
            asff["Resources"][2]["Details"]["AwsIamAccessKey"]
                .get("PrincipalName")
                .is_none()
        );
    }

    #[test]
    fn the_caller_is_an_address_or_a_name_or_neither() {
        let call = |source: &str| {
            let facts = EventFacts {
                event_name: "GetObject".into(),
                source_ip: source.into(),
                ..EventFacts::default()
            };
            asff(&finding(facts))["Action"]["AwsApiCallAction"].clone()
        };
        assert_eq!(
            call("192.0.2.7")["RemoteIpDetails"]["IpAddressV4"],
            "192.0.2.7"
        );
        assert_eq!(call("2001:db8::1")["CallerType"], "remoteip");
        assert!(call("2001:db8::1").get("RemoteIpDetails").is_none());
        assert_eq!(
            call("ec2.amazonaws.com")["DomainDetails"]["Domain"],
            "ec2.amazonaws.com"
        );
        assert_eq!(call("ec2.amazonaws.com")["CallerType"], "domain");
        for neither in ["AWS Internal", "", "<masked:ip>"] {
            assert!(call(neither).get("CallerType").is_none(), "{neither}");
        }
    }

    #[test]
    fn arns_have_the_names_that_security_hub_knows() {
        for (arn, name) in [
            ("arn:aws:s3:::b", "AwsS3Bucket"),
            ("arn:aws:s3:::b/k", "AwsS3Object"),
            ("arn:aws:kms:us-east-1:123456789012:key/1", "AwsKmsKey"),
            (
                "arn:aws:lambda:us-east-1:123456789012:function:f",
                "AwsLambdaFunction",
            ),
            (
                "arn:aws:rds:us-east-1:123456789012:db:d",
                "AwsRdsDbInstance",
            ),
            (
                "arn:aws:cloudtrail:us-east-1:123456789012:trail/t",
                "AwsCloudTrailTrail",
            ),
            ("arn:aws:new:us-east-1:123456789012:thing/t", "Other"),
            ("no arn", "Other"),
        ] {
            assert_eq!(resource_type(arn), name, "{arn}");
        }
    }

    /// Every string of the finding with its path.
    fn strings(value: &Value, path: &str, found: &mut Vec<(String, String)>) {
        match value {
            Value::String(text) => found.push((path.to_owned(), text.clone())),
            Value::Array(items) => items.iter().for_each(|item| strings(item, path, found)),
            Value::Object(members) => {
                members
                    .iter()
                    .for_each(|(name, member)| strings(member, &format!("{path}/{name}"), found));
            }
            _ => {}
        }
    }

    /// Something short, something blank, something like an ARN, or far too much of one character.
    fn text() -> impl Strategy<Value = String> {
        let one = prop::sample::select(vec!["x", " ", "ä", "漢", "😀", "\u{1}", "\"", "/"]);
        prop_oneof![
            "\\PC{0,12}",
            Just(" \t\n".to_owned()),
            "arn:aws:(s3|iam|sts|x):[a-z]{0,3}:[0-9]{0,12}:[a-z/:]{0,20}",
            (one, 0..3000_usize).prop_map(|(one, times)| one.repeat(times)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_a_plugin_says_stays_within_the_limits(
            texts in prop::collection::vec(text(), 17),
            attributes in prop::collection::vec((text(), text()), 0..60),
            times in prop::array::uniform4(any::<i64>()),
        ) {
            let mut text = texts.into_iter();
            let mut next = || text.next().unwrap();
            let facts = EventFacts {
                time_ms: times[0], event_id: next(), event_name: next(), event_source: next(), region: next(),
                account: next(), principal_arn: next(), principal_type: next(), principal_id: next(),
                user_name: next(), access_key_id: next(), source_ip: next(), user_agent: next(),
                error_code: next(), resource_arn: next(), object_url: next(), index: 0,
            };
            let mut finding = finding(facts);
            finding.title = next();
            finding.description = next();
            finding.attributes = attributes;
            finding.first_ms = times[0];
            finding.last_ms = times[1];
            finding.created_ms = times[2];
            finding.updated_ms = times[3];
            let asff = asff(&finding);
            prop_assert!(serde_json::to_string(&asff).unwrap().len() <= 240_000);
            let mut found = Vec::new();
            strings(&asff, "", &mut found);
            for (path, text) in found {
                prop_assert!(!is_blank(&text), "{} is blank", path);
                let max = match path.as_str() {
                    "/Title" => 256,
                    "/Description" => 1024,
                    "/Id" | "/GeneratorId" => 512,
                    "/Resources/Region" => 16,
                    path if path.ends_with("/Api") || path.ends_with("/ServiceName") => 128,
                    path if path.starts_with("/ProductFields/") => 2048,
                    _ => usize::MAX,
                };
                prop_assert!(text.chars().count() <= max, "{} is too long", path);
            }
            let fields = asff["ProductFields"].as_object().unwrap();
            prop_assert!(fields.len() <= 50);
            prop_assert!(fields.keys().all(|key| key.chars().count() <= 128));
            let resources = asff["Resources"].as_array().unwrap().len();
            prop_assert!((1..=32).contains(&resources));
        }
    }

    #[test]
    fn the_largest_finding_is_one_that_security_hub_takes() {
        for one in ["\u{1}", "\"", "😀", "漢"] {
            let text = format!("x{}", one.repeat(3_000));
            let mut hostile = finding(EventFacts::default());
            hostile.event.each_text(&mut |fact| fact.clone_from(&text));
            hostile.event.resource_arn = format!("arn:aws:s3:::{}", one.repeat(490));
            hostile.event.principal_arn = format!("arn:aws:iam::1:user/{}", one.repeat(490));
            hostile.event.access_key_id = format!("x{}", one.repeat(127));
            hostile.event.event_name = format!("x{}", one.repeat(127));
            hostile.event.object_url.clone_from(&text);
            hostile.title.clone_from(&text);
            hostile.description.clone_from(&text);
            hostile.rule.clone_from(&text);
            hostile.entity = vec![text.clone(); 16];
            hostile.event_ids = vec![text.clone(); 10];
            let types = |n| ("types".to_owned(), format!("TTPs/{n}/{}", one.repeat(110)));
            let others = |n| (format!("{n}{}", one.repeat(100)), text.clone());
            hostile.attributes = (0..40).map(types).chain((0..40).map(others)).collect();
            hostile
                .attributes
                .push(("remediation".into(), text.clone()));
            let bytes = serde_json::to_string(&asff(&hostile)).unwrap().len();
            assert!((100_000..=240_000).contains(&bytes), "{one:?}: {bytes}");
        }
    }

    #[test]
    fn what_is_blank_after_the_cut_is_left_out() {
        let padded = format!("{}x", " ".repeat(3_000));
        let mut finding = finding(EventFacts {
            user_agent: padded.clone(),
            error_code: "\u{feff}".into(),
            ..EventFacts::default()
        });
        finding.title.clone_from(&padded);
        finding.attributes = vec![
            ("remediation".into(), padded.clone()),
            ("tactic".into(), "Impact".into()),
            ("more".into(), padded),
        ];
        let asff = asff(&finding);
        assert_eq!(asff["Title"], "r");
        let fields = asff["ProductFields"].as_object().unwrap();
        for name in ["user-agent", "error-code", "attribute/more"] {
            assert!(
                !fields.contains_key(&format!("sluicegate/{name}")),
                "{name}"
            );
        }
        let advice = asff["Remediation"]["Recommendation"]["Text"].as_str();
        assert!(advice.unwrap().starts_with("Stop the principal"));
    }

    #[test]
    fn only_what_is_a_uri_is_linked_to() {
        for (references, linked) in [
            (
                "https://example.com/größe https://example.com/b",
                "https://example.com/b",
            ),
            (
                "https://example.com:8443/a?b=c&d=%20/?#e",
                "https://example.com:8443/a?b=c&d=%20/?#e",
            ),
            ("https://example.com", "https://example.com"),
            (
                "https:// https:///a https://a<b> https://a/\"b https://a:b/ https://a/%zz https://a/%2 https://a/#b#c http://a/",
                "",
            ),
        ] {
            let mut finding = finding(EventFacts::default());
            finding.attributes = vec![("references".into(), references.into())];
            let url = asff(&finding)["Remediation"]["Recommendation"]["Url"].take();
            assert_eq!(url.as_str().unwrap_or_default(), linked, "{references}");
        }
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("größer", 4), "größ");
        assert_eq!(cut("größe", 5), "größe");
        assert_eq!(cut("", 0), "");
        assert_eq!(cut("ab", 0), "");
        assert_eq!(cut("😀😀", 1), "😀");
        assert_eq!(cut("\u{1}\u{1}\u{1}", 2), "\u{1}");
    }
}
