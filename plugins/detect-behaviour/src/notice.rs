//! What each event counts for.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::value::RawValue;

use crate::{
    calls::{Calls, Marks},
    facts::{Ending, Facts, Fields},
    plan::Plan,
    rules::{VOLUME_PREFIXES, Which},
    text::{Member, hash, is_plain, mix},
};

/// What a batch deletion in S3 counts for: it does not say how many objects it deletes.
const OBJECTS_OF_A_BATCH: f64 = 100.0;
/// For how many secrets a call counts that names none of those it reads.
const SECRETS_OF_A_PAGE: u64 = 10;
/// Names of one call that are looked at.
const MOST_NAMES: usize = 20;

/// Counts an event for every rule that it matters to.
pub(crate) fn notice<'a>(
    facts: &Facts<'a>,
    fields: &Fields,
    calls: &Calls,
    plan: &mut Plan<'a, '_>,
) {
    let marks = calls.marks(facts.service, facts.name);
    if marks.has(Marks::LOGIN) {
        login(facts, fields, plan);
    }
    if facts.by_service {
        return;
    }
    presence(facts, marks, plan);
    endings(facts, marks, plan);
    deletions(facts, fields, marks, plan);
    if marks.has(Marks::SECRET) {
        secrets(facts, fields, plan);
    }
    if marks.has(Marks::INSTANCE_SECRET) {
        instance_secrets(facts, fields, plan);
    }
    if marks.has(Marks::OBJECT_READ) && facts.ending == Ending::Done {
        object_read(facts, fields, plan);
    }
    if marks.has(Marks::LISTING) {
        plan.count(facts, Which::Discovery, facts.principal, call(facts), 1.0);
    }
}

/// A login counts under the user's name and under the address; one that succeeded is held against the
/// failures of both, and adds none.
fn login<'a>(facts: &Facts<'a>, fields: &Fields, plan: &mut Plan<'a, '_>) {
    let failed = match facts.row.str(fields.login) {
        Some("Failure") => true,
        Some("Success") => false,
        _ => return,
    };
    let user = match facts.kind {
        "Root" => facts.account,
        _ if !facts.user.is_empty() => facts.user,
        _ => facts.arn,
    };
    // Accounts have users of the same name.
    let of_account = format!("{}/{user}", facts.account);
    let address = facts.row.str(fields.address).unwrap_or_default();
    let by_user = (Which::LoginFailures, of_account.as_str(), user);
    let by_address = (Which::LoginFailuresAddress, address, address);
    for (counter, of, entity) in [by_user, by_address] {
        let (rule, failures) = if failed {
            (counter, 1.0)
        } else {
            (Which::LoginAfterFailures, 0.0)
        };
        plan.count_under(
            facts,
            rule,
            (counter, of),
            entity,
            event_id(facts),
            failures,
        );
    }
    if failed {
        let member = Member::Hashed(hash(&[&of_account]));
        plan.count(facts, Which::LoginSpraying, address, member, 1.0);
    }
}

/// Where, from where and that somebody acts at all.
fn presence<'a>(facts: &Facts<'a>, marks: Marks, plan: &mut Plan<'a, '_>) {
    let changed = facts.writes && facts.ending == Ending::Done;
    let region = Member::Text(facts.region);
    let is_region = is_plain(facts.region);
    if is_region && (changed || marks.has(Marks::LISTING)) {
        plan.count(facts, Which::RegionsSwept, facts.principal, region, 1.0);
    }
    if is_region && changed && marks != Marks::OBJECT_DELETION {
        plan.count(facts, Which::RegionFirstUsed, facts.account, region, 1.0);
        let rule = Which::PrincipalRegionFirstUsed;
        plan.count(facts, rule, facts.principal, region, 1.0);
    }
    // Without a member it says how long the principal has been known.
    let rule = Which::SensitiveFirstUsed;
    plan.count(facts, rule, facts.principal, Member::None, 1.0);
    if marks.has(Marks::SENSITIVE) && facts.ending == Ending::Done {
        plan.count(facts, rule, facts.principal, call(facts), 1.0);
    }
    if let Some(address) = facts.address {
        let network = Member::Network(address);
        plan.count(
            facts,
            Which::KeyManyNetworks,
            facts.access_key,
            network,
            1.0,
        );
    }
    if VOLUME_PREFIXES
        .iter()
        .any(|start| facts.id.starts_with(start))
    {
        plan.count(facts, Which::Volume, facts.principal, Member::None, 1.0);
    }
}

fn endings<'a>(facts: &Facts<'a>, marks: Marks, plan: &mut Plan<'a, '_>) {
    match facts.ending {
        Ending::Done | Ending::Throttled => {}
        Ending::Failed => {
            plan.count(
                facts,
                Which::CallsFailed,
                facts.principal,
                event_id(facts),
                1.0,
            );
        }
        Ending::Denied => {
            let call = call(facts);
            plan.count(facts, Which::CallsUnauthorized, facts.principal, call, 1.0);
            if marks.has(Marks::ESCALATION) {
                plan.count(facts, Which::EscalationDenied, facts.principal, call, 1.0);
            }
            if marks.has(Marks::DELETION) || marks.has(Marks::OBJECT_DELETION) {
                let rule = Which::DeletionsDenied;
                plan.count(facts, rule, facts.principal, event_id(facts), 1.0);
            }
        }
    }
}

fn deletions<'a>(facts: &Facts<'a>, fields: &Fields, marks: Marks, plan: &mut Plan<'a, '_>) {
    if facts.ending != Ending::Done {
        return;
    }
    let id = event_id(facts);
    if marks.has(Marks::OBJECT_DELETION) {
        let weight = plan.rule(Which::ObjectsDeleted).weight();
        let value = match facts.name {
            "DeleteObjects" => OBJECTS_OF_A_BATCH,
            _ if hash(&[facts.id]) & (weight - 1) == 0 => weight_value(weight),
            _ => return,
        };
        plan.count(facts, Which::ObjectsDeleted, facts.principal, id, value);
    }
    if marks.has(Marks::DELETION) {
        let value = match facts.name {
            "TerminateInstances" => instances(facts, fields),
            _ => 1.0,
        };
        plan.count(facts, Which::ResourcesDeleted, facts.principal, id, value);
    }
    if marks.has(Marks::BACKUP) {
        plan.count(facts, Which::BackupsDeleted, facts.principal, id, 1.0);
    }
}

#[allow(clippy::cast_precision_loss, reason = "at most a million")]
fn weight_value(weight: u64) -> f64 {
    weight as f64
}

/// How many instances a call names.
fn instances(facts: &Facts<'_>, fields: &Fields) -> f64 {
    let text = facts.row.json(fields.parameters).unwrap_or_default();
    let named = text.matches("\"instanceId\"").take(1_000).count();
    f64::from(u16::try_from(named.max(1)).unwrap_or(u16::MAX))
}

/// Each secret that is asked for is a member, by a hash of its name and region.
fn secrets<'a>(facts: &Facts<'a>, fields: &Fields, plan: &mut Plan<'a, '_>) {
    let parameters = Parameters::of(facts, fields);
    let names = match facts.name {
        "GetSecretValue" => parameters.texts("secretId"),
        "BatchGetSecretValue" => parameters.texts("secretIdList"),
        // What is not decrypted is no secret.
        _ if !parameters.is_true("withDecryption") => return,
        "GetParametersByPath" => Vec::new(),
        "GetParameters" => parameters.texts("names"),
        _ => parameters.texts("name"),
    };
    let rule = Which::SecretsRead;
    if names.is_empty() {
        for number in 1..=SECRETS_OF_A_PAGE {
            let member = Member::Hashed(mix(hash(&[facts.id]), number));
            plan.count(facts, rule, facts.principal, member, 1.0);
        }
    }
    for name in names {
        let member = Member::Hashed(hash(&[facts.region, facts.service, &name]));
        plan.count(facts, rule, facts.principal, member, 1.0);
    }
}

fn instance_secrets<'a>(facts: &Facts<'a>, fields: &Fields, plan: &mut Plan<'a, '_>) {
    let parameters = Parameters::of(facts, fields);
    if facts.name == "DescribeInstanceAttribute" && parameters.texts("attribute") != ["userData"] {
        return;
    }
    for name in parameters.texts("instanceId") {
        let member = Member::Hashed(hash(&[facts.region, &name]));
        let rule = Which::InstanceSecretsRead;
        plan.count(facts, rule, facts.principal, member, 1.0);
    }
}

fn object_read<'a>(facts: &Facts<'a>, fields: &Fields, plan: &mut Plan<'a, '_>) {
    let parameters = Parameters::of(facts, fields);
    let (buckets, keys) = (parameters.texts("bucketName"), parameters.texts("key"));
    let (Some(bucket), Some(key)) = (buckets.first(), keys.first()) else {
        return;
    };
    let object = hash(&[bucket, key]);
    let rule = Which::ObjectsRead;
    if object & (plan.rule(rule).weight() - 1) == 0 {
        plan.count(facts, rule, facts.principal, Member::Hashed(object), 1.0);
    }
}

/// The identifier as a member that may be shown; nothing where it is none of AWS's.
fn event_id<'a>(facts: &Facts<'a>) -> Member<'a> {
    if is_plain(facts.id) {
        Member::Text(facts.id)
    } else {
        Member::None
    }
}

fn call<'a>(facts: &Facts<'a>) -> Member<'a> {
    Member::Call(facts.service, facts.name)
}

/// The members of `requestParameters`; of one that is there twice the last.
struct Parameters<'a>(BTreeMap<Cow<'a, str>, &'a RawValue>);

impl<'a> Parameters<'a> {
    fn of(facts: &Facts<'a>, fields: &Fields) -> Self {
        let text = facts.row.json(fields.parameters).unwrap_or_default();
        Self(serde_json::from_str(text).unwrap_or_default())
    }

    /// A string, or the strings of an array; nothing of what is neither.
    fn texts(&self, name: &str) -> Vec<String> {
        let Some(value) = self.0.get(name) else {
            return Vec::new();
        };
        if let Ok(text) = serde_json::from_str(value.get()) {
            return vec![text];
        }
        let values: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
        let text = |value: &&RawValue| serde_json::from_str(value.get()).ok();
        values.iter().filter_map(text).take(MOST_NAMES).collect()
    }

    fn is_true(&self, name: &str) -> bool {
        self.0
            .get(name)
            .is_some_and(|value| matches!(value.get(), "true" | "\"true\""))
    }
}
