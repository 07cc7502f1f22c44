//! The cases: how the host is set up, and what it gets.

use std::{
    fmt::Write as _,
    fs::{create_dir_all, read, write},
    path::Path,
};

use bytes::Bytes;
use sluicegate::generate::{Plan, write_tree};
use sluicegate_tests::host::corpus;

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) load: Shape,
    pub(crate) workers: usize,
    /// `limits.messages`.
    pub(crate) messages: usize,
    /// How many plugins, the ones of [`PLUGINS`] from the first on.
    plugins: usize,
    rules: Rules,
    /// Of the sink.
    pub(crate) compression: &'static str,
}

/// Sigma rules.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rules {
    None,
    /// So many, each about a call of its own.
    Made(usize),
    /// The published ones of the corpus.
    Published,
}

/// What is in an object, and how many there are.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// Events of an object, about.
    events: usize,
    messages: usize,
}

const BUSY: Shape = Shape {
    events: 1_600,
    messages: 120,
};
const SMALL: Shape = Shape {
    events: 5,
    messages: 4_000,
};
const LARGE: Shape = Shape {
    events: 10_000,
    messages: 20,
};

/// Objects in memory.
pub(crate) struct Load {
    /// Those that there are; announced again and again under other keys.
    pub(crate) objects: Vec<Bytes>,
    /// Exactly, in each object.
    pub(crate) events: usize,
    /// Bytes of each object, inflated.
    pub(crate) inflated: usize,
    pub(crate) messages: usize,
}

/// In the order in which cases take them, with what each needs to be told.
const PLUGINS: [(&str, &str, &str); 10] = [
    ("plugins", "enrich-context", ""),
    ("plugins", "detect-cloudtrail", ""),
    ("plugins", "redaction-check", ""),
    ("plugins", "sample-data-events", ""),
    ("plugins", "detect-behaviour", "grants = { state = true }"),
    ("guests", "attack-tools", ""),
    ("guests", "hostile-enrich", NOTHING),
    ("guests", "hostile-detect", NOTHING),
    ("guests", "hostile-filter", NOTHING),
    ("guests", "hostile-redact", NOTHING),
];
const NOTHING: &str = "configuration = { do = { good = \"nothing\" } }";

pub(crate) fn all() -> Vec<Case> {
    let case = |name| Case {
        name,
        load: BUSY,
        workers: 1,
        messages: 8,
        plugins: 0,
        rules: Rules::None,
        compression: "none",
    };
    let plugins = |name, plugins| Case {
        plugins,
        ..case(name)
    };
    let rules = |name, rules| Case {
        rules,
        ..case(name)
    };
    let small = |name, plugins| Case {
        load: SMALL,
        messages: 64,
        plugins,
        ..case(name)
    };
    let mut all = vec![
        case("no plugin"),
        Case {
            compression: "gzip",
            ..case("no plugin, output in gzip")
        },
        Case {
            workers: 2,
            ..case("no plugin, two workers on two cores")
        },
        plugins("enrich-context", 1),
        plugins("three plugins", 3),
        Case {
            compression: "gzip",
            ..plugins("three plugins, output in gzip", 3)
        },
        plugins("ten plugins", 10),
        rules("1 Sigma rule", Rules::Made(1)),
        rules("the published Sigma rules", Rules::Published),
        rules("1,000 Sigma rules", Rules::Made(1_000)),
        small("objects of 5 events, no plugin", 0),
        small("objects of 5 events, three plugins", 3),
        Case {
            load: LARGE,
            ..case("objects of 10,000 events, no plugin")
        },
        Case {
            load: LARGE,
            ..plugins("objects of 10,000 events, three plugins", 3)
        },
    ];
    all.retain(|case| case.rules != Rules::Published || corpus().is_some());
    all
}

impl Case {
    /// Folder, name and further lines of the section of each plugin.
    pub(crate) fn plugins(
        &self,
    ) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
        let sigma = (
            "plugins",
            "detect-sigma",
            "configuration = { rules = { inline_files = \"rules\" } }\ngrants = { state = true }",
        );
        let sigma = (self.rules != Rules::None).then_some(sigma);
        PLUGINS.into_iter().take(self.plugins).chain(sigma)
    }

    /// Writes the Sigma rules into the folder of the configuration.
    pub(crate) fn write_rules(&self, folder: &Path) {
        let rules = folder.join("rules");
        create_dir_all(&rules).unwrap();
        match self.rules {
            Rules::None => {}
            Rules::Made(count) => {
                for number in 0..count {
                    write(rules.join(format!("{number}.yml")), rule(number)).unwrap();
                }
            }
            Rules::Published => {
                let published = corpus().unwrap().join("sigma-cloudtrail/rules");
                for file in published.read_dir().unwrap().flatten() {
                    write(rules.join(file.file_name()), read(file.path()).unwrap()).unwrap();
                }
            }
        }
    }
}

/// A rule about one call: the first are calls that are often made, the others nobody makes.
fn rule(number: usize) -> String {
    const CALLS: [(&str, &str); 4] = [
        ("s3.amazonaws.com", "GetObject"),
        ("sts.amazonaws.com", "AssumeRole"),
        ("ec2.amazonaws.com", "DescribeInstances"),
        ("kms.amazonaws.com", "Decrypt"),
    ];
    let call = CALLS
        .get(number)
        .map(|(source, name)| ((*source).to_owned(), (*name).to_owned()));
    let (source, name) = call.unwrap_or_else(|| {
        (
            format!("service{}.amazonaws.com", number % 50),
            format!("DoThing{number}"),
        )
    });
    let mut text = format!(
        "title: {name} of {source}\nid: {number:08x}-0000-4000-8000-000000000000\nlevel: low\n"
    );
    write!(
        text,
        "logsource:\n    product: aws\n    service: cloudtrail\ndetection:\n    call:\n        \
         eventSource: {source}\n        eventName: {name}\n    failed:\n        \
         errorCode|exists: true\n    condition: call and failed\n"
    )
    .unwrap();
    text
}

impl Shape {
    /// Makes some of the objects, all with equally many events.
    pub(crate) fn make(self) -> Load {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan {
            objects: 4,
            events_per_object: self.events,
            companions: false,
            attacks: 0,
            secrets: 0,
            ..Plan::default()
        };
        let truth = write_tree(folder.path(), &plan).unwrap();
        // One object, so that all messages weigh the same: of the size that was asked for, nearly.
        let made = truth
            .objects
            .iter()
            .min_by_key(|made| made.events.abs_diff(self.events as u64))
            .unwrap();
        Load {
            objects: vec![read(folder.path().join(&made.key)).unwrap().into()],
            events: made.events.try_into().unwrap(),
            inflated: made.inflated_bytes.try_into().unwrap(),
            messages: self.messages,
        }
    }
}
