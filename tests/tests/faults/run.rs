//! Runs one scenario, and judges what came of it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use sluicegate::deadletter::DeadLetter;
use sluicegate_tests::aws::Aws;

use crate::{
    report::Row,
    scenario::{Action, Scenario},
    world::{Process, World},
};

/// Longest wait, after the last fault, until everything has arrived. What a killed host has claimed is left to it
/// for 90 seconds, and a message that meets such a claim comes again later; and twelve scenarios run at once on a
/// machine that may have other work.
const PATIENCE: Duration = Duration::from_mins(4);

pub(crate) async fn run(aws: &Aws, name: &str, scenario: &Scenario) -> Row {
    let world = World::new(aws, name, scenario).await;
    let table = (scenario.hosts > 1).then_some(name);
    if let Some(table) = table {
        aws.ledger_table(table).await;
    }
    // Faults that are there from the start come before the first request.
    let mut hosts: Vec<Process> = Vec::new();
    let mut steps = scenario.steps.iter().peekable();
    let mut peak = 0;
    while let Some((_, action)) = steps.next_if(|(at, _)| *at == 0) {
        play(aws, &world, &mut hosts, action).await;
    }
    for _ in 0..scenario.hosts {
        hosts.push(Process::start(world.program(scenario, table)));
    }
    if scenario
        .steps
        .iter()
        .any(|(at, action)| *at == 0 && matches!(action, Action::FullDisk(_)))
    {
        hosts[0].fill_disk(true);
    }
    // Starting takes its time on a busy machine: the clock of the faults begins with the work.
    hosts[0].forwards().await;
    let began = Instant::now();
    for (at, action) in steps {
        let due = Duration::from_millis(*at);
        while began.elapsed() < due {
            hosts.iter_mut().for_each(Process::revive);
            peak = peak.max(peak_memory_kb(&hosts));
            let left = due.saturating_sub(began.elapsed());
            tokio::time::sleep(left.min(Duration::from_millis(200))).await;
        }
        play(aws, &world, &mut hosts, action).await;
    }
    let healed = Instant::now();
    let mut settled = false;
    while healed.elapsed() < PATIENCE && !settled {
        hosts.iter_mut().for_each(Process::revive);
        tokio::time::sleep(Duration::from_millis(300)).await;
        peak = peak.max(peak_memory_kb(&hosts));
        settled = is_settled(aws, &world, &hosts).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    let mut wrong = Vec::new();
    let not_settled = world.waiting(aws).await;
    if !settled {
        wrong.push(format!(
            "not settled {} s after the last fault",
            PATIENCE.as_secs()
        ));
    }
    for host in &mut hosts {
        if !host.terminate().await {
            wrong.push("did not end within 30 s of SIGTERM".to_owned());
        }
    }
    let row = judge(scenario, &world, &hosts, (seconds, peak), wrong).await;
    Row { not_settled, ..row }
}

async fn play(aws: &Aws, world: &World, hosts: &mut [Process], action: &Action) {
    match action {
        Action::Fail(sink, faults) => world.fail(*sink, faults.clone()),
        Action::FailShare(sink, share, faults) => world.fail_share(*sink, *share, faults.clone()),
        Action::Heal(sink) => world.heal(*sink),
        Action::Turn(peer, weather) => world.proxy(*peer).turn(*weather),
        Action::FailAws(operations, share, answers) => {
            for operation in *operations {
                world.aws_proxy.answer_share(operation, *share, answers);
            }
        }
        Action::Kill(host) => hosts[*host].kill(),
        Action::KillForGood(host) => hosts[*host].kill_for_good(),
        Action::Restart(host) => hosts[*host].restart().await,
        Action::AnnounceAgain => world.announce_again(aws).await,
        Action::FullDisk(full) => hosts.iter_mut().for_each(|host| host.fill_disk(*full)),
    }
}

/// Whether the queue is empty and nobody is owed anything.
async fn is_settled(aws: &Aws, world: &World, hosts: &[Process]) -> bool {
    if world.waiting(aws).await > 0 {
        return false;
    }
    for host in hosts {
        if !host.stored().await.1.is_empty() {
            return false;
        }
    }
    true
}

/// The most that any of the hosts had.
pub(crate) fn peak_memory_kb(hosts: &[Process]) -> u64 {
    let peak = |host: &Process| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", host.id())).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    hosts.iter().filter_map(peak).max().unwrap_or(0)
}

async fn judge(
    scenario: &Scenario,
    world: &World,
    hosts: &[Process],
    (seconds, peak_kb): (f64, u64),
    mut wrong: Vec<String>,
) -> Row {
    let (mut dead, mut pending) = (Vec::new(), Vec::new());
    for host in hosts {
        let (of_host, owed) = host.stored().await;
        dead.extend(of_host);
        pending.extend(owed);
    }
    let covers = |letters: &[DeadLetter], sink: &str, id: &String| {
        letters.iter().any(|letter| {
            let concerned = letter.sink.as_deref().is_none_or(|name| name == sink);
            concerned && world.covered(letter).contains(id)
        })
    };
    let mut row = Row {
        name: scenario.name.clone(),
        seconds,
        peak_kb,
        ..Row::default()
    };
    // Deliveries beyond the first, by sink and object: they tell how often, and to whom.
    let mut again: BTreeMap<String, usize> = BTreeMap::new();
    for (sink, held) in world.held(scenario) {
        let expected = world.expected(sink);
        row.put += expected.len();
        // A letter about a finding has its identifier, which does not tell whom it is about: each that
        // the hub does not have stands for one.
        let mut findings = if sink == "hub" {
            world.dead_findings(&dead)
        } else {
            0
        };
        for id in &expected {
            match held.get(id) {
                Some(times) => {
                    row.delivered += 1;
                    row.duplicated += times - 1;
                    if *times > 1 {
                        let object = id.split('.').next().unwrap_or(id);
                        *again.entry(format!("{sink} {object}")).or_default() += times - 1;
                    }
                }
                None if covers(&dead, sink, id) => row.dead_lettered += 1,
                None if findings > 0 => {
                    findings -= 1;
                    row.dead_lettered += 1;
                }
                None if covers(&pending, sink, id) => row.pending += 1,
                None => row.lost += 1,
            }
        }
        let foreign = held.keys().filter(|id| !expected.contains(*id)).count();
        if foreign > 0 {
            wrong.push(format!("{sink} got {foreign} that nobody put"));
        }
    }
    if row.lost > 0 {
        wrong.push(format!("{} lost", row.lost));
    }
    if row.pending > 0 {
        wrong.push(format!("{} still pending", row.pending));
    }
    if row.duplicated > scenario.duplicates {
        let bound = scenario.duplicates;
        wrong.push(format!(
            "{} duplicated, at most {bound} expected: {again:?}",
            row.duplicated
        ));
    }
    if row.dead_lettered > 0 && !scenario.may_bury {
        wrong.push(format!(
            "{} dead-lettered, such as {:?}",
            row.dead_lettered,
            dead.first()
        ));
    }
    if !hosts.iter().any(|host| host.said(scenario.says)) {
        wrong.push(format!("no host said `{}`", scenario.says));
    }
    if !wrong.is_empty() {
        wrong.extend(hosts.iter().map(Process::last_words));
    }
    row.wrong = wrong;
    row
}
