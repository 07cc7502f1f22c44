//! Writes one event as CloudTrail does: the same members in the same order.

use std::fmt::Write as _;

use fastrand::Rng;
use time::OffsetDateTime;

use super::{
    account::{ALNUM, Account, BASE32, HEX, Principal, UPPER, pick, text, uuid},
    call::{Access, Call},
};

/// What surrounds an event: where and when it happens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene<'a> {
    pub(super) account: &'a Account,
    pub(super) region: &'static str,
    pub(super) time_s: i64,
}

/// One call by one principal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Act<'a> {
    pub(super) principal: &'a Principal,
    pub(super) call: &'a Call,
    pub(super) error: Option<(&'a str, &'a str)>,
    /// Stands in for `$secret$`.
    pub(super) secret: &'a str,
    /// Overrides the principal's own.
    pub(super) agent: Option<&'a str>,
}

impl<'a> Act<'a> {
    pub(super) fn new(principal: &'a Principal, call: &'a Call) -> Self {
        Self {
            principal,
            call,
            error: None,
            secret: "",
            agent: None,
        }
    }
}

/// Appends one event. Returns the session token that it shows, where it shows one.
pub(super) fn write_event(
    rng: &mut Rng,
    scene: Scene<'_>,
    act: Act<'_>,
    out: &mut String,
) -> Option<String> {
    let call = act.call;
    let mut values = Values::draw(rng, scene, act.secret);
    let mut add = |before: &str, template: &str| {
        out.push_str(before);
        values.fill(template, out);
    };
    add(
        r#"{"eventVersion":"1.11","userIdentity":"#,
        &act.principal.identity,
    );
    add(r#","eventTime":""#, "$time$");
    add(r#"","eventSource":""#, call.service);
    add(r#".amazonaws.com","eventName":""#, call.name);
    add(r#"","awsRegion":""#, scene.region);
    add(r#"","sourceIPAddress":""#, &act.principal.ip);
    add(
        r#"","userAgent":""#,
        act.agent.unwrap_or(&act.principal.agent),
    );
    if let Some((code, message)) = act.error {
        add(r#"","errorCode":""#, code);
        add(r#"","errorMessage":""#, message);
    }
    add(r#"","requestParameters":"#, call.request);
    add(
        r#","responseElements":"#,
        if act.error.is_some() {
            "null"
        } else {
            call.response
        },
    );
    if !call.extra.is_empty() {
        add(r#","additionalEventData":"#, call.extra);
    }
    if call.access != Access::SignIn {
        add(
            r#","requestID":""#,
            if call.service == "s3" {
                "$request$\""
            } else {
                "$uuid$\""
            },
        );
    }
    add(r#","eventID":""#, "$event$");
    let reads = matches!(call.access, Access::Read | Access::DataRead);
    add(r#"","readOnly":"#, if reads { "true" } else { "false" });
    if !call.resources.is_empty() {
        add(r#","resources":"#, call.resources);
    }
    let kind = if call.access == Access::SignIn {
        "AwsConsoleSignIn"
    } else {
        "AwsApiCall"
    };
    add(r#","eventType":""#, kind);
    let data = matches!(call.access, Access::DataRead | Access::DataWrite);
    add(
        r#"","managementEvent":"#,
        if data { "false" } else { "true" },
    );
    add(r#","recipientAccountId":""#, "$account$");
    add(
        r#"","eventCategory":""#,
        if data { "Data" } else { "Management" },
    );
    if act.principal.is_service {
        add("\"", "}");
    } else {
        add(
            r#"","tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":""#,
            call.service,
        );
        add(".", "$region$.amazonaws.com\"}}");
    }
    values.token
}

/// The values of one event: what is named twice is the same twice.
struct Values<'a> {
    rng: &'a mut Rng,
    scene: Scene<'a>,
    secret: &'a str,
    bucket: &'a str,
    path: String,
    hex8: String,
    token: Option<String>,
}

impl<'a> Values<'a> {
    fn draw(rng: &'a mut Rng, scene: Scene<'a>, secret: &'a str) -> Self {
        let bucket = pick(rng, &scene.account.buckets);
        let path = format!(
            "orders/{}/part-{:05}.parquet",
            date(scene.time_s),
            rng.u32(..4000)
        );
        let hex8 = text(rng, HEX, 8);
        Self {
            rng,
            scene,
            secret,
            bucket,
            path,
            hex8,
            token: None,
        }
    }

    /// Appends a template with every `$name$` filled in; `$$` is a dollar sign.
    fn fill(&mut self, template: &str, out: &mut String) {
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            let Some((name, after)) = after.split_once('$') else {
                break;
            };
            self.value(name, out);
            rest = after;
        }
        out.push_str(rest);
    }

    fn value(&mut self, name: &str, out: &mut String) {
        let account = self.scene.account;
        match name {
            "" => out.push('$'),
            "account" => out.push_str(&account.id),
            "region" => out.push_str(self.scene.region),
            "bucket" => out.push_str(self.bucket),
            "path" => out.push_str(&self.path),
            "hex8" => out.push_str(&self.hex8),
            "secret" => out.push_str(self.secret),
            "instance" => out.push_str(pick::<String>(self.rng, &account.instances)),
            "network" => out.push_str(pick::<String>(self.rng, &account.networks)),
            "key" => out.push_str(pick::<String>(self.rng, &account.keys)),
            "time" => stamp(self.scene.time_s, out),
            "since" => stamp(self.scene.time_s - self.rng.i64(1..3600), out),
            "expiry" => stamp(self.scene.time_s + 3600, out),
            "date" => out.push_str(&date(self.scene.time_s)),
            "uuid" | "event" => out.push_str(&uuid(self.rng)),
            "number" => {
                write!(out, "{}", self.rng.u32(1..9000)).expect("a String takes every write");
            }
            "hex32" => out.push_str(&text(self.rng, HEX, 32)),
            "base32" => out.push_str(&text(self.rng, BASE32, 16)),
            "request" => out.push_str(&text(self.rng, UPPER, 16)),
            "id2" => {
                out.push_str(&text(self.rng, ALNUM, 75));
                out.push('=');
            }
            "token" => {
                let token = format!("IQoJb3JpZ2luX2Vj{}==", text(self.rng, ALNUM, 632));
                out.push_str(&token);
                self.token = Some(token);
            }
            _ => unreachable!("no template names the value {name}"),
        }
    }
}

fn moment(time_s: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(time_s).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// `2026-03-01T12:34:56Z`.
pub(super) fn stamp(time_s: i64, out: &mut String) {
    let t = moment(time_s);
    let (year, month, day) = (t.year(), u8::from(t.month()), t.day());
    let (hour, minute, second) = t.to_hms();
    write!(
        out,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
    )
    .expect("a String takes every write");
}

/// `2026/03/01`.
pub(super) fn date(time_s: i64) -> String {
    let t = moment(time_s);
    format!("{:04}/{:02}/{:02}", t.year(), u8::from(t.month()), t.day())
}

/// `20260301T1230Z`, as object names have it.
pub(super) fn minute(time_s: i64) -> String {
    let t = moment(time_s);
    format!(
        "{:04}{:02}{:02}T{:02}{:02}Z",
        t.year(),
        u8::from(t.month()),
        t.day(),
        t.hour(),
        t.minute()
    )
}
