//! Code that runs, machines that are reached, networks that are opened.

use detections::{Severity, cloudtrail::compute as rules};

use super::{Watch, watch};
use crate::{event::Event, found::Found, json::Json, network::Network, policy};

pub(super) const WATCHED: &[Watch] = &[
    watch(
        "ssm",
        &[
            "SendCommand",
            "StartAutomationExecution",
            "CreateAssociation",
        ],
        command,
    ),
    watch("ssm", &["ResumeSession", "StartSession"], session),
    watch("ecs", &["ExecuteCommand"], session),
    watch("ec2", &["ModifyInstanceAttribute"], user_data_changed),
    watch(
        "ec2",
        &["RequestSpotInstances", "RunInstances"],
        unusual_instances,
    ),
    watch(
        "ec2-instance-connect",
        &["SendSSHPublicKey"],
        |event, found| {
            found
                .add(&rules::SSH_KEY_PUSHED)
                .about("instance", event.parameter("instanceId"));
        },
    ),
    watch(
        "ec2-instance-connect",
        &["SendSerialConsoleSSHPublicKey"],
        serial_console,
    ),
    watch("ec2", &["EnableSerialConsoleAccess"], serial_console),
    watch(
        "ec2",
        &["CreateKeyPair", "ImportKeyPair"],
        |event, found| {
            found
                .add(&rules::KEY_PAIR_IMPORTED)
                .about("key", event.parameter("keyName"));
        },
    ),
    watch("lambda", &["UpdateFunctionCode"], function_code),
    watch(
        "lambda",
        &["CreateFunction", "UpdateFunctionConfiguration"],
        function_layers,
    ),
    watch(
        "lambda",
        &["AddLayerVersionPermission", "AddPermission"],
        function_opened,
    ),
    watch(
        "lambda",
        &["CreateFunctionUrlConfig", "UpdateFunctionUrlConfig"],
        function_url,
    ),
    watch("bedrock", MODEL_ACCESS, |event, found| {
        found
            .add(&rules::MODEL_ACCESS_REQUESTED)
            .about("model", event.parameter("modelId"));
    }),
    watch(
        "ses",
        &[
            "PutAccountDetails",
            "PutAccountSendingAttributes",
            "UpdateAccountSendingEnabled",
        ],
        sending,
    ),
    watch(
        "ec2",
        &["AuthorizeSecurityGroupIngress", "ModifySecurityGroupRules"],
        security_group,
    ),
    watch("ec2", NETWORK_CHANGES, |_, found| {
        found.add(&rules::NETWORK_CHANGED);
    }),
    watch("ec2", &["CreateTrafficMirrorSession"], |_, found| {
        found.add(&rules::TRAFFIC_MIRRORED);
    }),
    watch("ec2", &["TerminateInstances"], |event, found| {
        let found = found.add(&rules::INSTANCES_TERMINATED);
        if event.is_person() {
            found.severity(Severity::Low);
        }
    }),
];

const MODEL_ACCESS: &[&str] = &[
    "CreateFoundationModelAgreement",
    "PutFoundationModelEntitlement",
    "PutUseCaseForModelAccess",
];

const NETWORK_CHANGES: &[&str] = &[
    "AcceptVpcPeeringConnection",
    "AttachInternetGateway",
    "AuthorizeSecurityGroupEgress",
    "AuthorizeSecurityGroupIngress",
    "CreateCustomerGateway",
    "CreateInternetGateway",
    "CreateNetworkAcl",
    "CreateNetworkAclEntry",
    "CreateRoute",
    "CreateSecurityGroup",
    "CreateVpcPeeringConnection",
    "DeleteNetworkAcl",
    "DeleteNetworkAclEntry",
    "DeleteRoute",
    "DeleteRouteTable",
    "DeleteSecurityGroup",
    "DetachInternetGateway",
    "ModifySecurityGroupRules",
    "ReplaceNetworkAclAssociation",
    "ReplaceNetworkAclEntry",
    "ReplaceRoute",
    "ReplaceRouteTableAssociation",
    "RevokeSecurityGroupEgress",
    "RevokeSecurityGroupIngress",
];

/// Documents that do what the caller writes, as against one fixed thing.
const SCRIPTS: [&str; 6] = [
    "AWS-RunAnsiblePlaybook",
    "AWS-ApplyAnsiblePlaybooks",
    "AWS-RunDocument",
    "AWS-RunPowerShellScript",
    "AWS-RunRemoteScript",
    "AWS-RunShellScript",
];

fn command(event: &Event<'_>, found: &mut Found) {
    let document = event.parameters.any(&["documentName", "name"]).str();
    // A document may be named by its ARN, and one of the account's own can hold any script.
    let name = document.rsplit('/').next().unwrap_or_default();
    let own = !name.is_empty() && !name.starts_with("AWS");
    let sends = event.name == "SendCommand";
    if SCRIPTS.contains(&name) || (own && sends) {
        found.add(&rules::COMMAND_SENT).about("document", document);
    }
}

fn session(event: &Event<'_>, found: &mut Found) {
    let found = found.add(&rules::SESSION_STARTED);
    found.about(
        "target",
        event
            .parameters
            .any(&["target", "container", "sessionId"])
            .str(),
    );
    if event.is_user() {
        found.severity(Severity::Medium);
    }
}

fn user_data_changed(event: &Event<'_>, found: &mut Found) {
    let named = event
        .parameter("attribute")
        .eq_ignore_ascii_case("userData");
    if named || event.parameters.get("userData").exists() {
        found
            .add(&rules::USER_DATA_CHANGED)
            .about("instance", event.parameter("instanceId"));
    }
}

fn unusual_instances(event: &Event<'_>, found: &mut Found) {
    let config = &event.plugin.config;
    let parameters = &event.parameters;
    let kind = parameters.any(&["instanceType", "launchSpecification"]);
    let kind = if kind.is_object() {
        kind.get("instanceType").str()
    } else {
        kind.str()
    };
    let family = &kind[..kind.find(|char: char| char.is_ascii_digit()).unwrap_or(0)];
    let unusual = config.instance_families.iter().any(|name| name == family);
    let counts = parameters.get("instancesSet").each().into_iter();
    let mut counts = counts
        .map(|set| set.get("maxCount"))
        .chain([parameters.get("instanceCount")]);
    let most = i64::from(config.instances_at_once);
    if unusual || counts.any(|count| count.number().is_some_and(|count| count >= most)) {
        found
            .add(&rules::UNUSUAL_INSTANCES)
            .also_failed(rules::UNUSUAL_INSTANCES.severity)
            .about("instanceType", kind);
    }
}

fn serial_console(event: &Event<'_>, found: &mut Found) {
    found
        .add(&rules::SERIAL_CONSOLE_USED)
        .about("instance", event.parameter("instanceId"));
}

fn function_code(event: &Event<'_>, found: &mut Found) {
    if event.is_person() && !event.parameters.get("dryRun").is_true() {
        found
            .add(&rules::FUNCTION_CODE_CHANGED)
            .about("function", event.parameter("functionName"));
    }
}

fn function_layers(event: &Event<'_>, found: &mut Found) {
    let layers = event.parameters.get("layers").each();
    let foreign = layers.iter().any(|layer| {
        policy::account_of(&layer.str()).is_some_and(|account| !event.trusts(account))
    });
    let by_hand = event.name == "UpdateFunctionConfiguration" && event.is_person();
    if !layers.is_empty() && (foreign || by_hand) {
        found
            .add(&rules::FUNCTION_LAYER_ATTACHED)
            .about("function", event.parameter("functionName"))
            .about("layer", layers[0].str());
    }
}

fn function_opened(event: &Event<'_>, found: &mut Found) {
    let parameters = &event.parameters;
    let principal = parameters.get("principal").str();
    let narrowed = [
        "sourceArn",
        "sourceAccount",
        "principalOrgID",
        "organizationId",
    ]
    .iter()
    .any(|name| parameters.get(name).exists());
    let outside = policy::account_of(&principal).is_some_and(|account| !event.trusts(account));
    let severity = match (&*principal, narrowed) {
        ("*", true) => Severity::Low,
        ("*", false) => Severity::High,
        _ if outside => Severity::High,
        _ => return,
    };
    found
        .add(&rules::FUNCTION_OPENED)
        .severity(severity)
        .about(
            "function",
            parameters.any(&["functionName", "layerName"]).str(),
        )
        .about("to", principal);
}

fn function_url(event: &Event<'_>, found: &mut Found) {
    if event.parameter("authType") == "NONE" {
        found
            .add(&rules::FUNCTION_URL_PUBLIC)
            .about("function", event.parameter("functionName"));
    }
}

fn sending(event: &Event<'_>, found: &mut Found) {
    let switched_off = event
        .parameters
        .any(&["enabled", "sendingEnabled"])
        .is_false();
    if !switched_off {
        found.add(&rules::SENDING_PREPARED);
    }
}

/// Ports of remote shells, desktops, file shares and databases.
const SENSITIVE_PORTS: [i64; 22] = [
    21, 22, 23, 135, 139, 445, 1433, 1521, 2375, 2376, 3306, 3389, 5432, 5601, 5900, 5985, 5986,
    6379, 9200, 11211, 27017, 50070,
];
/// A range of so many ports is as good as all.
const MANY_PORTS: i64 = 1_024;

fn security_group(event: &Event<'_>, found: &mut Found) {
    let parameters = &event.parameters;
    let request = parameters.get("ModifySecurityGroupRulesRequest");
    let changed = request.get("SecurityGroupRule").each().into_iter();
    let permissions = parameters
        .get("ipPermissions")
        .each()
        .into_iter()
        .chain([parameters.json()])
        .chain(changed.map(|rule| rule.get("SecurityGroupRule")));
    let open = permissions.filter(|permission| is_for_the_world(*permission));
    let worst = open
        .filter_map(|permission| opened(event, permission))
        .max();
    if let Some(severity) = worst {
        let named = parameters.any(&["groupId", "groupName"]);
        let group = if named.exists() {
            named
        } else {
            request.get("groupId")
        }
        .str();
        found
            .add(&rules::SECURITY_GROUP_OPENED)
            .severity(severity)
            .about("group", group);
    }
}

fn is_for_the_world(permission: Json<'_>) -> bool {
    let lists = [("ipRanges", "cidrIp"), ("ipv6Ranges", "cidrIpv6")];
    let listed = lists.into_iter().flat_map(|(list, name)| {
        let ranges = permission.get(list).each().into_iter();
        ranges.map(move |range| range.get(name))
    });
    let own = ["cidrIp", "cidrIpv4", "cidrIpv6"].map(|name| permission.get(name));
    listed.chain(own).any(|cidr| {
        // A few halves and quarters are the world too.
        let network = Network::parse(&cidr.str());
        network.is_some_and(|network| network.prefix < 8)
    })
}

/// How bad it is that this is open to the world; nothing where it may be.
fn opened(event: &Event<'_>, permission: Json<'_>) -> Option<Severity> {
    let protocol = permission.get("ipProtocol").str().to_ascii_lowercase();
    if matches!(&*protocol, "icmp" | "icmpv6" | "1" | "58") {
        return None;
    }
    let port = |name| permission.get(name).number().filter(|port| *port >= 0);
    let (Some(from), Some(to)) = (port("fromPort"), port("toPort")) else {
        return Some(Severity::High);
    };
    let sensitive = SENSITIVE_PORTS
        .iter()
        .any(|port| (from..=to).contains(port));
    if protocol == "-1" || sensitive || to - from >= MANY_PORTS {
        return Some(Severity::High);
    }
    let open_ports = &event.plugin.config.open_ports;
    let expected = (from..=to).all(|port| open_ports.iter().any(|open| i64::from(*open) == port));
    (!expected).then_some(Severity::Low)
}
