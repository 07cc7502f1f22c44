//! The scenarios: what is put, what goes wrong when, and what may come of it.

use sluicegate_tests::{aws_proxy::Answer, servers::Fault};

use crate::proxy::Weather;

/// Who is at the other end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Splunk,
    Datadog,
    SecurityHub,
    /// S3, SQS and, for fleets, `DynamoDB`.
    Aws,
}

pub(crate) const SINKS: [Peer; 3] = [Peer::Splunk, Peer::Datadog, Peer::SecurityHub];

#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// The sink's next requests fail so.
    Fail(Peer, Vec<Fault>),
    /// This share of the sink's requests fails.
    FailShare(Peer, f64, Vec<Fault>),
    /// This share of all calls for these operations fails so; without any, of all calls to AWS.
    FailAws(&'static [&'static str], f64, Vec<Answer>),
    /// The faults of a sink, or of AWS, end.
    Heal(Peer),
    Turn(Peer, Weather),
    /// SIGKILL to the host of this number, and a new start.
    Kill(usize),
    /// SIGKILL, and nobody starts it again.
    KillForGood(usize),
    /// SIGTERM, waited for, and a new start.
    Restart(usize),
    /// Every object is announced once more.
    AnnounceAgain,
    /// The host's files may not grow any more, after a restart; or may again.
    FullDisk(bool),
}

#[derive(Clone, Debug)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a property of its own of a scenario, told by its name"
)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) hosts: usize,
    pub(crate) objects: usize,
    /// In each object.
    pub(crate) events: usize,
    /// Of the objects, how many are announced on the queue of the backfill.
    pub(crate) backfill: usize,
    /// `limits.messages`.
    pub(crate) in_flight: usize,
    /// Every n-th event makes the redaction plugin trap; 0: none, and no such plugin.
    pub(crate) traps: usize,
    /// The same eventIDs in every object.
    pub(crate) same_ids: bool,
    /// With Security Hub, and the plugin that finds something in every event.
    pub(crate) finds: bool,
    /// The queue's visibility timeout in seconds.
    pub(crate) visibility_s: u32,
    /// Milliseconds after the start, ascending.
    pub(crate) steps: Vec<(u64, Action)>,
    /// Most deliveries of what a sink already had.
    pub(crate) duplicates: usize,
    /// What one of the hosts must have said; nothing where it is empty.
    pub(crate) says: &'static str,
    /// Whether dead letters are a right answer.
    pub(crate) may_bury: bool,
    /// Also in the short set.
    pub(crate) short: bool,
}

fn calm(name: impl Into<String>) -> Scenario {
    Scenario {
        name: name.into(),
        hosts: 1,
        objects: 6,
        events: 20,
        backfill: 0,
        in_flight: 10,
        traps: 0,
        same_ids: false,
        finds: false,
        visibility_s: 10,
        steps: Vec::new(),
        duplicates: 0,
        says: "",
        may_bury: false,
        short: false,
    }
}

const STATUSES: [u16; 11] = [400, 401, 403, 404, 408, 413, 429, 500, 502, 503, 504];

/// Every status, and every way not to answer, at every sink.
fn failing_sinks() -> Vec<Scenario> {
    let mut all = Vec::new();
    for sink in SINKS {
        let statuses = STATUSES.map(|status| (format!("{status}"), Fault::Status(status)));
        let others = [
            (
                "429 with Retry-After".to_owned(),
                Fault::RetryAfter(429, "1".into()),
            ),
            ("reset before accepting".to_owned(), Fault::Reset),
            ("reset after accepting".to_owned(), Fault::ResetAfter),
            ("no answer".to_owned(), Fault::Timeout),
        ];
        for (what, fault) in statuses.into_iter().chain(others) {
            let mut row = calm(format!("{sink:?}: {what}, four times"));
            row.finds = sink == Peer::SecurityHub;
            row.may_bury = matches!(fault, Fault::Status(400 | 413));
            // Each of the four may hold all that was put; a hub counts findings, which stay one.
            row.duplicates = usize::from(fault == Fault::ResetAfter) * 4 * row.put();
            row.short =
                sink == Peer::Splunk && matches!(fault, Fault::Status(403 | 503) | Fault::Reset);
            row.steps = vec![(0, Action::Fail(sink, vec![fault; 4]))];
            all.push(row);
        }
    }
    all
}

/// Bad weather on every link, until three seconds after work began.
fn bad_weather() -> Vec<Scenario> {
    let weathers = [
        ("300 ms late", Weather::Delay(300)),
        ("slower than its timeout", Weather::Delay(2500)),
        ("cut after 700 bytes", Weather::CutAfter(700)),
        ("slow loris, 50 bytes a second", Weather::Throttle(50)),
        ("half-closed", Weather::HalfClose),
        ("refused", Weather::Refuse),
        ("reset after 700 bytes", Weather::ResetAfter(700)),
    ];
    let mut all = Vec::new();
    for peer in [Peer::Splunk, Peer::Datadog, Peer::SecurityHub, Peer::Aws] {
        for (what, weather) in weathers {
            let mut row = calm(format!("{peer:?}: {what}"));
            row.finds = peer == Peer::SecurityHub;
            row.short = peer == Peer::Datadog && weather == Weather::HalfClose
                || peer == Peer::Aws && weather == Weather::CutAfter(700);
            // An answer that is lost is a request that is sent again, at most every 500 ms.
            row.duplicates = 20 * row.put();
            // A host that starts asks AWS; sinks are asked only afterwards.
            let start = u64::from(peer == Peer::Aws);
            row.steps = vec![
                (start, Action::Turn(peer, weather)),
                (3000, Action::Turn(peer, Weather::Clear)),
            ];
            all.push(row);
        }
    }
    all
}

/// Kills at random instants, each `from` to `to` milliseconds after the one before.
fn kills(seed: u64, count: usize, host: usize, from: u64, to: u64) -> Vec<(u64, Action)> {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut at = 0;
    // Sinks that answer late keep work in flight for the kills to hit.
    let mut steps = vec![
        (0, Action::Turn(Peer::Splunk, Weather::Delay(200))),
        (0, Action::Turn(Peer::Datadog, Weather::Delay(400))),
    ];
    steps.extend((0..count).map(|_| {
        at += dice.u64(from..to);
        (at, Action::Kill(host))
    }));
    steps
}

fn killed() -> Vec<Scenario> {
    let mut fifty = calm("kill -9 at fifty random instants");
    fifty.objects = 60;
    fifty.steps = kills(1, 50, 0, 300, 2500);
    // What each killed host had in hand, eleven messages at the most, at two sinks.
    fifty.duplicates = 50 * 11 * fifty.events * 2;
    let mut three = calm("kill -9 at three random instants");
    three.objects = 30;
    three.steps = kills(2, 3, 0, 300, 2500);
    three.duplicates = 3 * 11 * three.events * 2;
    three.short = true;
    let mut terms = calm("SIGTERM five times");
    terms.objects = 40;
    terms.steps = (1..=5)
        .map(|number| (number * 1000, Action::Restart(0)))
        .collect();
    terms.short = true;
    let mut fleet = vec![fifty, three, terms];
    for hosts in [2, 4] {
        let mut row = calm(format!("{hosts} hosts, one killed eight times"));
        row.hosts = hosts;
        row.objects = 40;
        row.steps = kills(hosts as u64, 8, 0, 500, 2000);
        row.duplicates = 8 * 11 * row.events * 2;
        fleet.push(row);
    }
    fleet
}

fn others() -> Vec<Scenario> {
    let mut visibility = calm("visibility timeout of 2 s, work of 10 s");
    visibility.visibility_s = 2;
    visibility.steps = vec![
        (
            0,
            Action::FailShare(Peer::Splunk, 1.0, vec![Fault::Status(503)]),
        ),
        (10_000, Action::Heal(Peer::Splunk)),
    ];
    let mut again = calm("every object announced three times");
    again.steps = vec![(0, Action::AnnounceAgain), (500, Action::AnnounceAgain)];
    again.short = true;
    let mut same = calm("the same eventIDs in every object");
    same.same_ids = true;
    let mut traps = calm("redaction traps on every seventh event");
    traps.traps = 7;
    traps.may_bury = true;
    let mut rare = calm("redaction traps on every 1,000th event");
    (rare.objects, rare.events, rare.traps) = (3, 2_000, 1_000);
    rare.may_bury = true;
    let mut full = calm("disk full under ledger and store");
    full.steps = vec![
        (0, Action::FullDisk(true)),
        (
            0,
            Action::FailShare(Peer::Splunk, 1.0, vec![Fault::Status(503)]),
        ),
        (8000, Action::Heal(Peer::Splunk)),
        (9000, Action::FullDisk(false)),
    ];
    full.duplicates = 20 * full.put();
    // A host that cannot write its ledger refuses to start.
    full.says = "failed to open ledger";
    let mut dead = calm("Splunk dead for 20 s, hold_after 2 s (an hour scaled by 180)");
    dead.objects = 60;
    dead.steps = vec![
        (0, Action::FailShare(Peer::Splunk, 1.0, vec![Fault::Reset])),
        (20_000, Action::Heal(Peer::Splunk)),
    ];
    let one_percent = |peer| {
        let faults = vec![Fault::Status(503), Fault::Reset, Fault::Status(429)];
        (0, Action::FailShare(peer, 0.01, faults))
    };
    let mut random = calm("1 % of all calls to sinks fail at random");
    random.objects = 300;
    random.steps = vec![one_percent(Peer::Splunk), one_percent(Peer::Datadog)];
    let mut all = vec![visibility, again, same, traps, rare, full, dead, random];
    all.insert(0, calm("nothing goes wrong"));
    all[0].short = true;
    all
}

/// Faults of AWS as it tells of them itself, or does not come to.
fn of_aws() -> Vec<Scenario> {
    const TABLE: &[&str] = &["GetItem", "PutItem", "UpdateItem", "DeleteItem"];
    let refused = |status, code| vec![Answer::Error(status, code)];
    let mut throttled = calm("DynamoDB throttled for 10 s: half of all calls of two hosts");
    (throttled.hosts, throttled.objects) = (2, 40);
    let slow = refused(400, "ProvisionedThroughputExceededException");
    throttled.steps = vec![
        (1, Action::FailAws(TABLE, 0.5, slow)),
        (10_000, Action::Heal(Peer::Aws)),
    ];
    // Where a claim cannot be had the work is done without one.
    throttled.duplicates = throttled.put();
    let mut day =
        calm("a day, scaled: 1 % of all calls fail, to AWS too, where answers are lost as well");
    day.objects = 300;
    let sink = |peer| {
        let faults = vec![Fault::Status(503), Fault::Reset, Fault::Status(429)];
        (1, Action::FailShare(peer, 0.01, faults))
    };
    let all = vec![
        Answer::Error(503, "ServiceUnavailable"),
        Answer::Reset,
        Answer::Lost,
    ];
    day.steps = vec![
        (1, Action::FailAws(&[""], 0.01, all)),
        sink(Peer::Splunk),
        sink(Peer::Datadog),
    ];
    // Less than one in a thousand, of two sinks.
    day.duplicates = 2 * day.put() / 1_000 - 1;
    let mut gone = calm("2 hosts, one killed for good: its claims of 90 s are waited for");
    (gone.hosts, gone.objects) = (2, 60);
    gone.steps = vec![
        // There and back within a request's time, so that the work is in hand when the host is killed.
        (0, Action::Turn(Peer::Splunk, Weather::Delay(500))),
        (2_000, Action::KillForGood(1)),
        (2_500, Action::Turn(Peer::Splunk, Weather::Clear)),
    ];
    // What the killed one had in hand, ten messages at the most, at two sinks.
    gone.duplicates = 2 * 10 * gone.events;
    vec![throttled, day, gone]
}

/// From two queues.
fn two_queues() -> Vec<Scenario> {
    let mut both = calm("kill -9 three times while two queues are received from");
    (both.objects, both.backfill) = (80, 40);
    both.steps = kills(3, 3, 0, 500, 1500);
    // What each killed host had in hand, eleven messages at the most, at two sinks.
    both.duplicates = 3 * 11 * both.events * 2;
    both.short = true;
    vec![both]
}

impl Scenario {
    pub(crate) fn put(&self) -> usize {
        self.objects * self.events
    }
}

/// All of them, long ones first, so that they do not end last.
pub(crate) fn table() -> Vec<Scenario> {
    [
        two_queues(),
        killed(),
        of_aws(),
        others(),
        failing_sinks(),
        bad_weather(),
    ]
    .concat()
}
