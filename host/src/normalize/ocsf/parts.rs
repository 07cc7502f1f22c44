//! The objects of a document. Each says where it takes what from; the manual has the same as a table.

use std::net::IpAddr;

use super::{
    Version,
    classes::Choice,
    names::Slot,
    walk::{self, Facts},
    writer::Writer,
};
use crate::{
    json::{self, skip_space, string_end, value_end},
    timestamp,
};

/// A member of CloudTrail's as a string attribute. What is no string stays for `unmapped`.
pub(super) fn put(w: &mut Writer<'_>, name: &str, f: &mut Facts<'_>, slot: Slot) -> bool {
    let written = read(w, name, f, slot);
    if written {
        f.placed(slot);
    }
    written
}

/// The same for what is placed elsewhere as well.
pub(super) fn read(w: &mut Writer<'_>, name: &str, f: &Facts<'_>, slot: Slot) -> bool {
    let text = f.string(slot);
    if let Some(text) = text {
        w.raw(name, text);
    }
    text.is_some()
}

/// The first of these that is a string.
fn put_first(w: &mut Writer<'_>, name: &str, f: &mut Facts<'_>, slots: &[Slot]) -> bool {
    slots.iter().any(|slot| put(w, name, f, *slot))
}

/// A value of whatever type.
fn put_any(w: &mut Writer<'_>, name: &str, f: &mut Facts<'_>, slot: Slot) {
    if let Some(value) = f.raw(slot) {
        w.raw(name, value);
        f.placed(slot);
    }
}

/// A time, in both forms.
pub(super) struct Clock<'a> {
    ms: i64,
    text: &'a str,
}

impl<'a> Clock<'a> {
    /// The member's, where it is a time.
    pub(super) fn of(f: &mut Facts<'a>, slot: Slot) -> Option<Self> {
        let text = f.plain(slot)?;
        let ms = timestamp::parse_ms(text.as_bytes())?;
        f.placed(slot);
        Some(Self { ms, text })
    }

    /// Milliseconds under the name, and RFC 3339 under the name with `_dt`.
    pub(super) fn write(&self, name: &str, w: &mut Writer<'_>) {
        w.number(name, self.ms);
        let name = match name {
            "time" => "time_dt",
            "start_time" => "start_time_dt",
            "end_time" => "end_time_dt",
            _ => "created_time_dt",
        };
        if self.text.len() == 20 && self.text.as_bytes()[10] == b'T' && self.text.ends_with('Z') {
            w.text(name, self.text);
        } else {
            w.text(name, &timestamp::format_ms(self.ms));
        }
    }
}

pub(super) fn metadata(version: Version, f: &mut Facts<'_>, w: &mut Writer<'_>) {
    w.object("metadata", |w| {
        w.text("version", version.as_str());
        w.object("product", |w| {
            w.text("name", "CloudTrail");
            w.text("vendor_name", "AWS");
            put(w, "version", f, Slot::EventVersion);
            w.object("feature", |w| {
                put(w, "name", f, Slot::EventCategory);
            });
        });
        w.raw("profiles", br#"["cloud","datetime"]"#);
        put_first(w, "uid", f, &[Slot::EventId, Slot::SummaryId]);
        put(w, "event_code", f, Slot::EventType);
        put(w, "correlation_uid", f, Slot::SharedEventId);
        read(w, "original_time", f, Slot::EventTime);
        match version {
            Version::V1_8_0 => w.array("tags", |w| tags(f, w)),
            Version::V1_1_0 => w.array("labels", |w| labels(f, w)),
        }
    });
}

/// Words, flags and numbers that have no attribute of their own.
const TAGS: [(&str, Slot); 16] = [
    ("readOnly", Slot::ReadOnly),
    ("managementEvent", Slot::ManagementEvent),
    ("sessionCredentialFromConsole", Slot::FromConsole),
    ("tlsVersion", Slot::TlsVersion),
    ("cipherSuite", Slot::CipherSuite),
    ("keyExchange", Slot::KeyExchange),
    ("sessionIssuer.type", Slot::IssuerType),
    ("sessionIssuer.principalId", Slot::IssuerPrincipal),
    ("sessionIssuer.accountId", Slot::IssuerAccount),
    ("sessionIssuer.userName", Slot::IssuerName),
    ("ec2RoleDelivery", Slot::RoleDelivery),
    ("SignatureVersion", Slot::SignatureVersion),
    ("CipherSuite", Slot::SignedCipher),
    ("AuthenticationMethod", Slot::AuthenticationMethod),
    ("x-amz-id-2", Slot::HostId),
    ("bytesTransferredOut", Slot::BytesOut),
];

/// Bytes of the longest number that becomes a tag.
const LONGEST_NUMBER: usize = 32;

/// The inside of a tag's value, as the inside of a JSON string.
fn tag<'a>(f: &mut Facts<'a>, slot: Slot) -> Option<&'a [u8]> {
    let value = match f.raw(slot)? {
        flag @ (b"true" | b"false") => flag,
        number @ [b'-' | b'0'..=b'9', ..] if number.len() <= LONGEST_NUMBER => number,
        _ => {
            let text = f.string(slot)?;
            &text[1..text.len() - 1]
        }
    };
    f.placed(slot);
    Some(value)
}

fn tags(f: &mut Facts<'_>, w: &mut Writer<'_>) {
    for (name, slot) in TAGS {
        if let Some(value) = tag(f, slot) {
            w.element(|w| {
                w.text("name", name);
                let out = w.key("value");
                out.push(b'"');
                out.extend_from_slice(value);
                out.push(b'"');
            });
        }
    }
}

fn labels(f: &mut Facts<'_>, w: &mut Writer<'_>) {
    for (name, slot) in TAGS {
        // Name and value are one string here, which must not be too long.
        if f.raw(slot).is_none_or(|raw| raw.len() > 65_000) {
            continue;
        }
        if let Some(value) = tag(f, slot) {
            w.comma();
            let out = w.out();
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.push(b':');
            out.extend_from_slice(value);
            out.push(b'"');
        }
    }
}

pub(super) fn cloud(f: &mut Facts<'_>, w: &mut Writer<'_>) {
    w.text("provider", "AWS");
    put(w, "region", f, Slot::AwsRegion);
    account(f, &[Slot::RecipientAccount, Slot::SummaryAccount], w);
}

fn account(f: &mut Facts<'_>, slots: &[Slot], w: &mut Writer<'_>) {
    w.object("account", |w| {
        if put_first(w, "uid", f, slots) {
            w.captioned("type_id", "type", (10, "AWS Account"));
        }
    });
}

pub(super) fn api(f: &mut Facts<'_>, w: &mut Writer<'_>) {
    let operation =
        put(w, "operation", f, Slot::EventName) || read(w, "operation", f, Slot::InsightName);
    if !operation {
        w.text("operation", "Unknown");
    }
    put(w, "version", f, Slot::ApiVersion);
    w.object("service", |w| {
        if !put(w, "name", f, Slot::EventSource) {
            read(w, "name", f, Slot::InsightSource);
        }
    });
    // A request has to have an identifier.
    if f.string(Slot::RequestId).is_some() {
        w.object("request", |w| {
            put(w, "uid", f, Slot::RequestId);
            put_any(w, "data", f, Slot::Request);
        });
    }
    w.object("response", |w| {
        put(w, "error", f, Slot::ErrorCode);
        put(w, "message", f, Slot::ErrorMessage);
        put_any(w, "data", f, Slot::Response);
    });
}

pub(super) fn actor(f: &mut Facts<'_>, w: &mut Writer<'_>) {
    if has_user(f) {
        w.object("user", |w| user(f, w));
    }
    // Without an identity the service itself has acted.
    let invoked = put(w, "invoked_by", f, Slot::InvokedBy);
    if !invoked && !has_user(f) {
        let service = read(w, "invoked_by", f, Slot::EventSource)
            || read(w, "invoked_by", f, Slot::InsightSource);
        if !service {
            w.text("invoked_by", "Unknown");
        }
    }
    w.object("session", |w| {
        put(w, "issuer", f, Slot::IssuerArn);
        if let Some(clock) = Clock::of(f, Slot::CreationDate) {
            clock.write("created_time", w);
        }
        if let Some(flag) = f.flag(Slot::MfaAuthenticated) {
            w.raw("is_mfa", if flag { b"true" } else { b"false" });
            f.placed(Slot::MfaAuthenticated);
        }
    });
    w.object("idp", |w| {
        put_first(
            w,
            "name",
            f,
            &[Slot::IdentityProvider, Slot::FederatedProvider],
        );
        put(w, "uid", f, Slot::BehalfStore);
    });
}

/// What tells one identity from another, the best first.
const IDENTIFIERS: [Slot; 5] = [
    Slot::Arn,
    Slot::PrincipalId,
    Slot::UserName,
    Slot::TypedName,
    Slot::AccountId,
];

/// Whether the event says who called.
pub(super) fn has_user(f: &Facts<'_>) -> bool {
    IDENTIFIERS.iter().any(|slot| f.string(*slot).is_some()) || is_service(f)
}

/// Whether the caller is a service that is known by its name only.
fn is_service(f: &Facts<'_>) -> bool {
    f.string(Slot::IdentityType).is_some() && f.string(Slot::InvokedBy).is_some()
}

/// Who called.
pub(super) fn user(f: &mut Facts<'_>, w: &mut Writer<'_>) {
    put(w, "type", f, Slot::IdentityType);
    if put(w, "uid", f, Slot::Arn) {
        put_first(w, "uid_alt", f, &[Slot::PrincipalId, Slot::BehalfUser]);
    } else if !put_first(w, "uid", f, &[Slot::PrincipalId, Slot::BehalfUser])
        && !IDENTIFIERS.iter().any(|slot| f.string(*slot).is_some())
    {
        read(w, "uid", f, Slot::InvokedBy);
    }
    put_first(w, "name", f, &[Slot::UserName, Slot::TypedName]);
    put_first(
        w,
        "credential_uid",
        f,
        &[Slot::AccessKeyId, Slot::CredentialId],
    );
    account(f, &[Slot::AccountId], w);
}

/// Whom an account's or a user's change is about.
pub(super) fn target(choice: &Choice, f: &mut Facts<'_>, w: &mut Writer<'_>) {
    let Some(slot) = choice.subject.filter(|slot| f.string(*slot).is_some()) else {
        return user(f, w);
    };
    read(w, "name", f, slot);
    if slot == Slot::RequestRole {
        w.text("type", "Role");
        read(w, "uid", f, Slot::NewRoleArn);
    } else {
        read(w, "uid", f, Slot::NewUserArn);
    }
}

pub(super) fn entity(choice: &Choice, f: &Facts<'_>, w: &mut Writer<'_>) {
    let (slot, name, kind) = match choice.subject {
        Some(slot @ Slot::RequestGroup) => (slot, "name", (3, "Group")),
        Some(slot @ Slot::RequestPolicyArn) => (slot, "uid", (5, "Policy")),
        Some(slot @ Slot::RequestPolicyName) => (slot, "name", (5, "Policy")),
        Some(slot) => (slot, "name", (99, "Other")),
        None => return,
    };
    read(w, name, f, slot);
    w.captioned("type_id", "type", kind);
}

pub(super) fn privileges(choice: &Choice, f: &Facts<'_>, w: &mut Writer<'_>) {
    if let Some(detail) = choice.detail.and_then(|slot| f.string(slot)) {
        let out = w.key("privileges");
        out.push(b'[');
        out.extend_from_slice(detail);
        out.push(b']');
    }
}

/// The session that a call has begun.
pub(super) fn new_session(f: &Facts<'_>, w: &mut Writer<'_>) {
    w.object("session", |w| {
        read(w, "uid", f, Slot::AssumedArn);
        read(w, "uid_alt", f, Slot::AssumedId);
        read(w, "credential_uid", f, Slot::NewKey);
    });
}

pub(super) fn is_mfa(f: &mut Facts<'_>, w: &mut Writer<'_>) {
    let used: &[u8] = match f.raw(Slot::MfaUsed) {
        Some(b"\"Yes\"") => b"true",
        Some(b"\"No\"") => b"false",
        _ => return,
    };
    w.raw("is_mfa", used);
    f.placed(Slot::MfaUsed);
}

/// Characters of the longest address that the schema takes.
const LONGEST_ADDRESS: usize = 40;

/// The member's text, where it is an address.
fn address(f: &Facts<'_>) -> Option<IpAddr> {
    let text = f.plain(Slot::SourceAddress)?;
    (text.len() <= LONGEST_ADDRESS)
        .then(|| text.parse().ok())
        .flatten()
}

pub(super) fn src_endpoint(version: Version, f: &mut Facts<'_>, w: &mut Writer<'_>) {
    let named = if address(f).is_some() {
        put(w, "ip", f, Slot::SourceAddress)
    } else {
        let service = f.plain(Slot::SourceAddress).is_some_and(|name| {
            name.ends_with(".amazonaws.com") || name.ends_with(".amazonaws.com.cn")
        });
        if service {
            read(w, "domain", f, Slot::SourceAddress);
        }
        put(
            w,
            if service { "svc_name" } else { "name" },
            f,
            Slot::SourceAddress,
        )
    };
    let endpoint = put(w, "uid", f, Slot::VpcEndpoint);
    if version != Version::V1_1_0 && f.string(Slot::VpcEndpointAccount).is_some() {
        w.object("owner", |w| account(f, &[Slot::VpcEndpointAccount], w));
    }
    // Nobody has called from anywhere: the service speaks of itself.
    if !named && !endpoint {
        let service = read(w, "svc_name", f, Slot::EventSource)
            || read(w, "svc_name", f, Slot::InsightSource);
        if !service {
            w.text("name", "Unknown");
        }
    }
}

pub(super) fn http_request(f: &mut Facts<'_>, w: &mut Writer<'_>) {
    put(w, "user_agent", f, Slot::UserAgent);
    if f.string(Slot::HostHeader).is_some() {
        w.array("http_headers", |w| {
            w.element(|w| {
                w.text("name", "Host");
                put(w, "value", f, Slot::HostHeader);
            });
        });
    }
    let digits = |raw: &&[u8]| raw.len() < 18 && raw.iter().all(u8::is_ascii_digit);
    if f.raw(Slot::BytesIn).as_ref().is_some_and(digits) {
        put_any(w, "length", f, Slot::BytesIn);
    }
}

/// An element of `resources`, as JSON text.
#[derive(Debug, Default)]
pub(super) struct Resource<'a> {
    arn: Option<&'a [u8]>,
    prefix: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
    account: Option<&'a [u8]>,
}

impl<'a> Resource<'a> {
    /// All of the event, and none where one of them has something that has no place.
    pub(super) fn all(f: &mut Facts<'a>) -> Vec<Self> {
        let found = f.raw(Slot::Resources).and_then(elements);
        if found.is_some() {
            f.placed(Slot::Resources);
        }
        found.unwrap_or_default()
    }

    fn of(object: &'a [u8]) -> Option<Self> {
        let mut resource = Self::default();
        let mut at = skip_space(object, 1);
        while object.get(at) == Some(&b'"') {
            let name_end = string_end(object, at);
            let value = skip_space(object, skip_space(object, name_end) + 1);
            let end = value_end(object, value);
            let slot = match json::unescape(&object[at + 1..name_end - 1]).as_ref() {
                b"ARN" => &mut resource.arn,
                b"ARNPrefix" => &mut resource.prefix,
                b"type" => &mut resource.kind,
                b"accountId" => &mut resource.account,
                _ => return None,
            };
            *slot = Some(&object[value..end]).filter(|text| walk::fits(text));
            (*slot)?;
            at = skip_space(object, end);
            if object.get(at) == Some(&b',') {
                at = skip_space(object, at + 1);
            }
        }
        (resource.arn.is_some() || resource.prefix.is_some()).then_some(resource)
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.element(|w| {
            let members = [
                ("uid", self.arn),
                ("name", self.prefix),
                ("type", self.kind),
            ];
            for (name, text) in members {
                if let Some(text) = text {
                    w.raw(name, text);
                }
            }
            if let Some(account) = self.account {
                w.object("owner", |w| {
                    w.object("account", |w| {
                        w.raw("uid", account);
                        w.captioned("type_id", "type", (10, "AWS Account"));
                    });
                });
            }
        });
    }
}

/// The objects of an array; nothing where it is none, is empty, or holds something else.
fn elements(array: &[u8]) -> Option<Vec<Resource<'_>>> {
    if array.first() != Some(&b'[') {
        return None;
    }
    let mut found = Vec::new();
    let mut at = skip_space(array, 1);
    while array.get(at) == Some(&b'{') {
        let end = value_end(array, at);
        found.push(Resource::of(&array[at..end])?);
        at = skip_space(array, end);
        if array.get(at) == Some(&b',') {
            at = skip_space(array, at + 1);
        }
    }
    (!found.is_empty() && array.get(at) == Some(&b']')).then_some(found)
}

/// Most resources that are observables too.
const OBSERVED: usize = 16;

/// What an analyst looks for in other events, once more in one list.
pub(super) fn observables(
    version: Version,
    f: &Facts<'_>,
    resources: &[Resource<'_>],
    w: &mut Writer<'_>,
) {
    let mut observe = |name: &str, kind: (u32, &str), value: &[u8]| {
        w.element(|w| {
            w.text("name", name);
            w.captioned("type_id", "type", kind);
            w.raw("value", value);
        });
    };
    if let Some(value) = f
        .string(Slot::SourceAddress)
        .filter(|_| address(f).is_some())
    {
        observe("src_endpoint.ip", (2, "IP Address"), value);
    }
    let user = [Slot::UserName, Slot::TypedName];
    if let Some(value) = user.iter().find_map(|slot| f.string(*slot)) {
        observe("actor.user.name", (4, "User Name"), value);
    }
    if version != Version::V1_1_0 {
        for (slot, name, kind) in [
            (Slot::Arn, "actor.user.uid", (31, "User Object: uid")),
            (
                Slot::AccountId,
                "actor.user.account.uid",
                (35, "Account Object: uid"),
            ),
            (
                Slot::AccessKeyId,
                "actor.user.credential_uid",
                (19, "User Credential ID"),
            ),
        ] {
            if let Some(value) = f.string(slot) {
                observe(name, kind, value);
            }
        }
    }
    let uids = resources.iter().filter_map(|resource| resource.arn);
    for uid in uids.take(OBSERVED) {
        observe("resources[].uid", (10, "Resource UID"), uid);
    }
}
