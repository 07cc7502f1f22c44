//! The document of one event.

use super::{
    Encoder, Version,
    classes::{self, API_ACTIVITY, Choice},
    names::Slot,
    parts::{self, Clock, Resource},
    walk::Facts,
    writer::Writer,
};
use crate::{json, sink::Unencodable};

/// Most bytes of `raw_data` in 1.1.0.
const RAW_DATA_1_1: usize = 65_535;

/// Appends the document of an event: a JSON object that was checked. `member` is what the host says of it.
pub(super) fn write(
    encoder: &Encoder,
    event: &[u8],
    member: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Unencodable> {
    let mut facts = Facts::of(event);
    let clock = [Slot::EventTime, Slot::WindowEnd]
        .into_iter()
        .find_map(|slot| Clock::of(&mut facts, slot))
        .ok_or_else(|| {
            Unencodable("has no eventTime, or none that is a time, which OCSF requires".to_owned())
        })?;
    let choice = choose(encoder, &facts);
    encoder.strangers.count(facts.strangers());
    out.reserve(event.len() * 2 + member.len() + 2048);
    out.push(b'{');
    let w = &mut Writer::new(out);
    let f = &mut facts;
    clock.write("time", w);
    classify(&choice, w);
    status(f, w);
    parts::metadata(encoder.version, f, w);
    w.object("cloud", |w| parts::cloud(f, w));
    w.object("api", |w| parts::api(f, w));
    w.object("actor", |w| parts::actor(f, w));
    w.object("src_endpoint", |w| {
        parts::src_endpoint(encoder.version, f, w);
    });
    w.object("http_request", |w| parts::http_request(f, w));
    for (slot, name) in [
        (Slot::WindowStart, "start_time"),
        (Slot::WindowEnd, "end_time"),
    ] {
        if let Some(clock) = Clock::of(f, slot) {
            clock.write(name, w);
        }
    }
    subject(&choice, f, w);
    // No other class has an attribute for them.
    let resources = if matches!(choice.class.uid, 6003 | 3005) {
        Resource::all(f)
    } else {
        Vec::new()
    };
    w.array("resources", |w| {
        for resource in &resources {
            resource.write(w);
        }
    });
    w.array("observables", |w| {
        parts::observables(encoder.version, f, &resources, w);
    });
    let out = w.key("unmapped");
    out.push(b'{');
    f.rest(out);
    out.extend_from_slice(b"\"sluicegate\":");
    out.extend_from_slice(member);
    out.push(b'}');
    if encoder.raw_data && (encoder.version != Version::V1_1_0 || event.len() <= RAW_DATA_1_1) {
        json::quote_into(event, w.key("raw_data"));
    }
    w.out().push(b'}');
    Ok(())
}

/// The class of an event: the table's, where what the class requires is there.
fn choose(encoder: &Encoder, facts: &Facts<'_>) -> Choice {
    let name = facts.plain(Slot::EventName);
    let tabled = match (facts.plain(Slot::EventSource), name) {
        (Some(source), Some(name)) => encoder.classes.find(source, name),
        _ => None,
    };
    if let Some(choice) = tabled
        && satisfied(&choice, facts)
    {
        return choice;
    }
    let activity = match name {
        Some(name) => classes::activity(name, facts.flag(Slot::ReadOnly)),
        None if facts.raw(Slot::InsightDetails).is_some() => 99,
        None if facts.raw(Slot::TimeWindow).is_some() => 99,
        None => 0,
    };
    Choice {
        class: &API_ACTIVITY,
        activity,
        subject: None,
        detail: None,
    }
}

/// Whether the event says what the class requires.
fn satisfied(choice: &Choice, facts: &Facts<'_>) -> bool {
    let subject = match choice.subject {
        // A call that names no user and succeeds is about the caller's own.
        Some(Slot::RequestUser) if facts.string(Slot::RequestUser).is_none() => {
            !failed(facts) && parts::has_user(facts)
        }
        Some(slot) => facts.string(slot).is_some(),
        None => parts::has_user(facts),
    };
    subject
        && choice
            .detail
            .is_none_or(|slot| facts.string(slot).is_some())
}

fn failed(facts: &Facts<'_>) -> bool {
    let error = facts.raw(Slot::ErrorCode);
    error.is_some_and(|error| !matches!(error, b"null" | b"\"\""))
        || facts.raw(Slot::ConsoleLogin) == Some(b"\"Failure\"")
}

/// What the event is, in numbers and in words.
pub(super) fn classify(choice: &Choice, w: &mut Writer<'_>) {
    let class = choice.class;
    let (activity, caption) = class.activity(choice.activity);
    w.captioned(
        "category_uid",
        "category_name",
        (class.category_uid, class.category),
    );
    w.captioned("class_uid", "class_name", (class.uid, class.name));
    w.captioned("activity_id", "activity_name", (activity, caption));
    w.number("type_uid", class.uid * 100 + activity);
    let out = w.key("type_name");
    out.push(b'"');
    out.extend_from_slice(class.name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(caption.as_bytes());
    out.push(b'"');
}

/// How bad it is, and how it went. A summary of calls went nowhere.
fn status(f: &mut Facts<'_>, w: &mut Writer<'_>) {
    w.captioned("severity_id", "severity", (1, "Informational"));
    if f.raw(Slot::EventName).is_none() {
        return;
    }
    let status = if failed(f) {
        (2, "Failure")
    } else {
        (1, "Success")
    };
    w.captioned("status_id", "status", status);
    parts::put(w, "status_code", f, Slot::ErrorCode);
    parts::put(w, "status_detail", f, Slot::ErrorMessage);
}

/// What a class has beside what all have: whom or what the call is about.
fn subject(choice: &Choice, f: &mut Facts<'_>, w: &mut Writer<'_>) {
    match choice.class.uid {
        3001 => {
            w.object("user", |w| parts::target(choice, f, w));
            w.object("policy", |w| {
                parts::read(w, "uid", f, Slot::RequestPolicyArn);
                parts::read(w, "name", f, Slot::RequestPolicyName);
            });
        }
        3002 => {
            w.object("user", |w| {
                if f.string(Slot::RequestRoleArn).is_some() {
                    parts::read(w, "uid", f, Slot::RequestRoleArn);
                    parts::read(w, "name", f, Slot::RequestSession);
                } else {
                    parts::user(f, w);
                }
            });
            w.object("service", |w| {
                parts::put(w, "name", f, Slot::EventSource);
            });
            parts::is_mfa(f, w);
            parts::new_session(f, w);
            w.object("dst_endpoint", |w| {
                parts::put(w, "svc_name", f, Slot::LoginTo);
            });
        }
        3003 => {
            w.object("user", |w| parts::user(f, w));
            parts::privileges(choice, f, w);
            parts::new_session(f, w);
        }
        3004 => w.object("entity", |w| parts::entity(choice, f, w)),
        3005 => {
            w.object("user", |w| parts::target(choice, f, w));
            parts::privileges(choice, f, w);
        }
        _ => {}
    }
}
