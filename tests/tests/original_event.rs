//! Splunk with what plugins added in indexed fields: the event is what CloudTrail wrote, byte for byte,
//! but for the leaves that its redaction report names.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::{self, File},
    io::Read as _,
    sync::Arc,
};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Value, json, value::RawValue};
use sluicegate::{
    event::ObjectKind,
    generate::{Plan, write_tree},
    sink::{Accept, splunk_hec::SplunkHec},
};
use sluicegate_tests::{
    host::{Setup, corpus, engine, plugins},
    servers::Splunk,
    shelf::{BUCKET, Shelf, gzip},
};

/// The members of an object in their order, each value as it is written.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

/// A leaf that is not what it was: its place in the whole text, what it was, and what it is.
struct Changed<'a> {
    start: usize,
    was: &'a str,
    is: &'a str,
}

/// Walks both events together and gathers the leaves that differ, by their pointers.
fn walk<'a>(
    whole: &str,
    was: &'a str,
    is: &'a str,
    at: &str,
    changed: &mut BTreeMap<String, Changed<'a>>,
) -> Result<(), String> {
    match (was.as_bytes()[0], is.as_bytes()[0]) {
        (b'{', b'{') => {
            let (was, is): (Members<'_>, Members<'_>) = (parsed(was), parsed(is));
            let names = |members: &Members<'_>| -> Vec<String> {
                members.0.iter().map(|(name, _)| name.clone()).collect()
            };
            if names(&was) != names(&is) {
                return Err(format!("other members at {at}/"));
            }
            for ((name, was), (_, is)) in was.0.iter().zip(&is.0) {
                let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
                walk(whole, was.get(), is.get(), &at, changed)?;
            }
        }
        (b'[', b'[') => {
            let (was, is): (Vec<&RawValue>, Vec<&RawValue>) = (parsed(was), parsed(is));
            if was.len() != is.len() {
                return Err(format!("other elements at {at}/"));
            }
            for (number, (was, is)) in was.iter().zip(&is).enumerate() {
                let at = format!("{at}/{number}");
                walk(whole, was.get(), is.get(), &at, changed)?;
            }
        }
        _ if was == is => {}
        _ => {
            let start = was.as_ptr() as usize - whole.as_ptr() as usize;
            changed.insert(at.to_owned(), Changed { start, was, is });
        }
    }
    Ok(())
}

fn parsed<'a, T: Deserialize<'a>>(json: &'a str) -> T {
    serde_json::from_str(json).unwrap()
}

/// Whether one event differs from the other in all of these leaves, and in nothing else.
fn differs_only_at(was: &str, is: &str, named: &BTreeSet<String>) -> Result<(), String> {
    let mut changed = BTreeMap::new();
    walk(was, was, is, "", &mut changed)?;
    let paths: BTreeSet<String> = changed.keys().cloned().collect();
    if &paths != named {
        return Err(format!("{paths:?} differ, {named:?} are named"));
    }
    let mut leaves: Vec<Changed<'_>> = changed.into_values().collect();
    leaves.sort_by_key(|leaf| leaf.start);
    let (mut expected, mut at) = (String::new(), 0);
    for leaf in leaves {
        if !leaf.is.starts_with("\"<masked:") || !leaf.is.ends_with(">\"") {
            return Err(format!("{} is no marker", leaf.is));
        }
        expected += &was[at..leaf.start];
        expected += leaf.is;
        at = leaf.start + leaf.was.len();
    }
    expected += &was[at..];
    if expected != is {
        return Err(format!("bytes between the leaves differ: {is}"));
    }
    Ok(())
}

/// The texts under one name of the indexed fields.
fn texts(fields: &Value, name: &str) -> BTreeSet<String> {
    let one = fields[name].as_str().into_iter();
    let several = fields[name].as_array().into_iter().flatten();
    let several = several.map(|text| text.as_str().unwrap());
    one.chain(several).map(str::to_owned).collect()
}

/// Events in objects, as they were written.
type Objects = BTreeMap<String, (Vec<u8>, Vec<String>)>;

/// Sends objects through the plugins that come with the host, to Splunk; how many events were masked.
async fn masked_in(objects: Objects) -> usize {
    let splunk = Splunk::start().await;
    let shelf = Arc::new(Shelf::default());
    for (key, (body, _)) in &objects {
        shelf.put(key, body.clone());
    }
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, splunk.token()).unwrap();
    let settings = json!({ "endpoint": splunk.url(), "token_file": token, "enrichment": "fields" });
    let sink = SplunkHec::new(&serde_json::from_value(settings).unwrap()).unwrap();
    let host = Setup::new(Arc::clone(&shelf) as Arc<_>, BUCKET)
        .plugins(plugins(&engine()))
        .sink("splunk", Arc::new(sink), &[Accept::Events])
        .start();
    host.finish().await.sums_agree();
    assert_eq!(splunk.violations(), [""; 0]);

    let (mut masked, mut enriched) = (0, 0);
    let mut seen = BTreeSet::new();
    for received in splunk.received() {
        let source = received.source.unwrap();
        let key = source
            .strip_prefix(&format!("s3://{BUCKET}/"))
            .unwrap()
            .to_owned();
        let fields: Value = serde_json::from_str(&received.fields.unwrap()).unwrap();
        let id = fields["sluicegate_id"].as_str().unwrap();
        let index: usize = id.rsplit('.').next().unwrap().parse().unwrap();
        let was = &objects[&key].1[index];
        let named = texts(&fields, "sluicegate_masked_path");
        if named.is_empty() {
            assert!(&received.event == was, "{key} {index}: {}", received.event);
        } else {
            let differs = differs_only_at(was, &received.event, &named);
            assert_eq!(differs, Ok(()), "{key} {index}");
            masked += 1;
        }
        let members = fields.as_object().unwrap();
        enriched += usize::from(
            members
                .keys()
                .any(|name| name.starts_with("sluicegate_enrich_context_")),
        );
        assert!(seen.insert((key, index)), "an event came twice");
    }
    let events: usize = objects.values().map(|(_, events)| events.len()).sum();
    assert_eq!(seen.len(), events, "every event came");
    assert!(
        enriched * 10 > events * 9,
        "{enriched} of {events} are enriched"
    );
    eprintln!("{events} events, {masked} of them masked");
    masked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generated_events_differ_in_masked_leaves_only() {
    #[derive(Deserialize)]
    struct Records<'a> {
        #[serde(borrow, rename = "Records")]
        records: Vec<&'a RawValue>,
    }
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan {
        objects: 20,
        ..Plan::default()
    };
    let truth = write_tree(folder.path(), &plan).unwrap();
    let mut objects = Objects::new();
    for object in &truth.objects {
        if object.kind != ObjectKind::Log {
            continue;
        }
        let path = folder.path().join(&object.key);
        let mut text = String::new();
        flate2::read::GzDecoder::new(File::open(&path).unwrap())
            .read_to_string(&mut text)
            .unwrap();
        let file: Records<'_> = serde_json::from_str(&text).unwrap();
        let events = file.records.iter().map(|event| event.get().to_owned());
        objects.insert(
            object.key.clone(),
            (fs::read(&path).unwrap(), events.collect()),
        );
    }
    assert!(masked_in(objects).await > 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_events_differ_in_masked_leaves_only() {
    let Some(folder) = corpus() else { return };
    let mut objects = Objects::new();
    for (name, events) in [("invictus-aws-dataset", 2_900), ("stratus-red-team", 310)] {
        let text = fs::read_to_string(folder.join(name).join("events.ndjson")).unwrap();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), events, "{name} is another one");
        for (number, chunk) in lines.chunks(250).enumerate() {
            let body = gzip(format!("{{\"Records\":[{}]}}", chunk.join(",")));
            objects.insert(format!("{name}-{number}"), (body, chunk.to_vec()));
        }
    }
    assert!(masked_in(objects).await > 0);
}

#[test]
fn a_difference_that_no_report_names_is_seen() {
    let was = r#"{"a": "secret", "b":{"c~/d":[1, 12345678901234567890.10]},"e":null}"#;
    let named = |paths: &[&str]| paths.iter().map(|&path| path.to_owned()).collect();
    let check = |is: &str, paths: &[&str]| differs_only_at(was, is, &named(paths)).is_ok();
    let masked = was.replace("\"secret\"", "\"<masked:x>\"");
    assert!(check(was, &[]));
    assert!(check(&masked, &["/a"]));
    let number = was.replace("12345678901234567890.10", "\"<masked:x>\"");
    assert!(check(&number, &["/b/c~0~1d/1"]));
    for (is, paths) in [
        (masked.as_str(), &[][..]),
        (&masked, &["/a", "/e"]),
        (was, &["/a"]),
        (&was.replace("secret", "other"), &["/a"]),
        (&masked.replace("\"a\": ", "\"a\":"), &["/a"]),
        (&masked.replace(".10", ".1"), &["/a"]),
        (&masked.replace(",\"e\":null", ""), &["/a"]),
        (&masked.replace("[1, ", "["), &["/a"]),
    ] {
        assert!(!check(is, paths), "{is} {paths:?}");
    }
}
