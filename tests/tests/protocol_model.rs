//! A model of acknowledgement, leases and pending work, searched exhaustively.
//!
//! One message announces one object; `splunk` takes two events of it and `hub` one, so that there are
//! three entries. Two hosts share the queue and the ledger. Whatever can happen may happen at every
//! step: leases expire while work goes on, hosts are killed, sinks accept with and without an answer,
//! refuse and are held, and store and ledger fail. The checker visits every state that can be reached.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashSet;

use stateright::{Checker as _, Model, Property, StateRecorder};

/// Entries, one bit each.
type Entries = u8;
const ALL: Entries = 0b111;
/// The entries of each sink.
const SINKS: [Entries; 2] = [0b011, 0b100];
/// The entry that its sink may refuse for good.
const REFUSABLE: Entries = 0b001;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Message {
    Visible,
    InFlight,
    Deleted,
}

/// What a host knows of the message it works on; gone when it is killed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Host {
    working: bool,
    /// Entries that have not ended.
    open: Entries,
    /// Sinks, one bit each, of which an acknowledgement has failed.
    failed: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    message: Message,
    hosts: [Host; 2],
    /// What sinks hold.
    held: Entries,
    /// What is stored as pending, and as dead letters.
    pending: Entries,
    dead: Entries,
    /// Sinks that the ledger notes as complete.
    noted: u8,
    /// Pending entries that were replayed, as the task knows that will remove their references.
    replayed: Entries,
}

/// A step, and what of the code does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// `Pipeline::receive`, and `Forwarder::shares` for the sinks that the ledger does not note.
    Receive(usize),
    /// `Shipper::ship` and `Keeper::settle`, the sink having accepted.
    Accept(usize, Entries),
    /// A sink accepts, and its answer is lost: the request is sent again.
    AcceptUnheard(Entries),
    /// `Keeper::bury`: stored, then settled as dead-lettered.
    Bury(usize, Entries),
    /// `Keeper::pend`: stored, then settled as pending. While the store fails nothing happens.
    Pend(usize, usize),
    /// `Ack::drop`: an acknowledgement of this sink is lost, or settled as failed.
    Fail(usize, usize),
    /// `Forwarder::end`: `Ledger::complete` for every sink whose share is settled.
    Note(usize),
    /// `Pipeline::handle`: every share is settled, so `Source::delete`.
    Delete(usize),
    /// `Pipeline::handle`: a share has failed, so `Source::release`.
    Release(usize),
    /// The lease ends, as when `Source::lease` is not renewed.
    Expire,
    /// The host is killed.
    Kill(usize),
    /// `CatchUp::replay`, the sink having accepted.
    Replay(Entries),
    /// `Store::resolve` after a replay.
    Resolve(Entries),
    /// The host that replayed is killed before it removes references.
    ForgetReplays,
}

/// What a careless change could do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    None,
    /// `Keeper::pend` settles first, and does not live to store.
    SettleBeforeStoring,
    /// `Forwarder::end` notes sinks whose share has failed.
    NoteWhatFailed,
    /// `CatchUp::replay` removes the reference before the sink has accepted.
    ResolveBeforeReplaying,
    /// `Pipeline::handle` deletes while entries are open.
    DeleteBeforeTheEnd,
}

fn bits(of: Entries) -> impl Iterator<Item = Entries> {
    [0b001, 0b010, 0b100]
        .into_iter()
        .filter(move |bit| of & bit != 0)
}

impl State {
    fn first() -> Self {
        Self {
            message: Message::Visible,
            hosts: [Host::default(); 2],
            held: 0,
            pending: 0,
            dead: 0,
            noted: 0,
            replayed: 0,
        }
    }

    /// Every event is accepted by its sink, or stored.
    fn nothing_lost(&self) -> bool {
        self.message != Message::Deleted || self.held | self.pending | self.dead == ALL
    }

    fn finished(&self) -> bool {
        self.message == Message::Deleted && self.pending == 0 && self.held | self.dead == ALL
    }

    fn steps(&self, mistake: Mistake) -> Vec<Step> {
        let mut steps = vec![];
        for (number, host) in self.hosts.iter().enumerate() {
            if !host.working {
                if self.message == Message::Visible {
                    steps.push(Step::Receive(number));
                }
                continue;
            }
            steps.push(Step::Kill(number));
            for entry in bits(host.open) {
                steps.extend([Step::Accept(number, entry), Step::AcceptUnheard(entry)]);
            }
            steps.extend(bits(host.open & REFUSABLE).map(|entry| Step::Bury(number, entry)));
            for (sink, entries) in SINKS.iter().enumerate() {
                if host.open & entries != 0 {
                    steps.extend([Step::Pend(number, sink), Step::Fail(number, sink)]);
                }
            }
            if host.open == 0 {
                steps.push(Step::Note(number));
            }
            let ended = host.open == 0 || mistake == Mistake::DeleteBeforeTheEnd;
            if ended && host.failed == 0 {
                steps.push(Step::Delete(number));
            }
            if host.open == 0 && host.failed != 0 {
                steps.push(Step::Release(number));
            }
        }
        if self.message == Message::InFlight {
            steps.push(Step::Expire);
        }
        steps.extend(bits(self.pending & !self.replayed).map(Step::Replay));
        let resolvable = if mistake == Mistake::ResolveBeforeReplaying {
            self.pending
        } else {
            self.pending & self.replayed
        };
        steps.extend(bits(resolvable).map(Step::Resolve));
        if self.replayed != 0 {
            steps.push(Step::ForgetReplays);
        }
        steps
    }

    fn after(mut self, step: Step, mistake: Mistake) -> Self {
        match step {
            Step::Receive(host) => {
                self.message = Message::InFlight;
                let wanted = (0..SINKS.len()).filter(|sink| self.noted & (1 << sink) == 0);
                self.hosts[host] = Host {
                    working: true,
                    open: wanted.map(|sink| SINKS[sink]).sum(),
                    failed: 0,
                };
            }
            Step::Accept(host, entry) => {
                self.held |= entry;
                self.hosts[host].open &= !entry;
            }
            Step::AcceptUnheard(entry) => self.held |= entry,
            Step::Bury(host, entry) => {
                self.dead |= entry;
                self.hosts[host].open &= !entry;
            }
            Step::Pend(host, sink) => {
                let owed = self.hosts[host].open & SINKS[sink];
                if mistake != Mistake::SettleBeforeStoring {
                    self.pending |= owed;
                    // It is owed anew, whatever was replayed before.
                    self.replayed &= !owed;
                }
                self.hosts[host].open &= !owed;
            }
            Step::Fail(host, sink) => {
                self.hosts[host].open &= !SINKS[sink];
                self.hosts[host].failed |= 1 << sink;
            }
            Step::Note(host) => {
                let failed = self.hosts[host].failed;
                self.noted |= if mistake == Mistake::NoteWhatFailed {
                    0b11
                } else {
                    0b11 & !failed
                };
            }
            Step::Delete(host) => {
                self.message = Message::Deleted;
                self.hosts[host] = Host::default();
            }
            Step::Release(host) => {
                if self.message == Message::InFlight {
                    self.message = Message::Visible;
                }
                self.hosts[host] = Host::default();
            }
            Step::Expire => self.message = Message::Visible,
            Step::Kill(host) => self.hosts[host] = Host::default(),
            Step::Replay(entry) => {
                self.held |= entry;
                self.replayed |= entry;
            }
            Step::Resolve(entry) => {
                self.pending &= !entry;
                self.replayed &= !entry;
            }
            Step::ForgetReplays => self.replayed = 0,
        }
        // Hosts are alike: which of them is the first tells nothing.
        self.hosts.sort_unstable();
        self
    }

    /// The next step where nothing goes wrong any more.
    fn sound_step(&self) -> Option<Step> {
        let idle = self.hosts.iter().all(|host| !host.working);
        self.steps(Mistake::None)
            .into_iter()
            .find(|step| match step {
                Step::Accept(..)
                | Step::Delete(_)
                | Step::Release(_)
                | Step::Replay(_)
                | Step::Resolve(_) => true,
                // A lease ends only where nobody renews it.
                Step::Expire | Step::Receive(_) => idle,
                _ => false,
            })
    }
}

/// The protocol with one mistake, or none, as the checker wants it.
struct Protocol(Mistake);

const NOTHING_LOST: &str = "a deleted message has all its entries accepted or stored";
const FINISHED: &str = "everything may end well";

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::first()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Step>) {
        actions.extend(state.steps(self.0));
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        Some(before.after(step, self.0))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NOTHING_LOST, |_, state: &State| state.nothing_lost()),
            Property::sometimes(FINISHED, |_, state: &State| state.finished()),
        ]
    }
}

#[test]
fn no_interleaving_deletes_a_message_whose_events_are_not_safe() {
    let checked = Protocol(Mistake::None).checker().spawn_bfs().join();
    checked.assert_properties();
    assert!(checked.unique_state_count() > 10_000);
}

#[test]
fn from_every_state_a_run_without_faults_delivers_everything() {
    let (recorder, states) = StateRecorder::new_with_accessor();
    let checker = Protocol(Mistake::None).checker().visitor(recorder);
    let reached = checker.spawn_bfs().join().unique_state_count();
    let states: HashSet<State> = states().into_iter().collect();
    assert_eq!(states.len(), reached);
    for state in states {
        let mut at = state;
        // No host has more to do than this.
        for _ in 0..30 {
            let Some(step) = at.sound_step() else { break };
            at = at.after(step, Mistake::None);
        }
        assert!(at.finished(), "{state:?} ends as {at:?}");
    }
}

#[test]
fn the_search_finds_every_mistake() {
    for (mistake, last) in [
        (Mistake::SettleBeforeStoring, "Delete"),
        (Mistake::NoteWhatFailed, "Delete"),
        (Mistake::ResolveBeforeReplaying, "Resolve"),
        (Mistake::DeleteBeforeTheEnd, "Delete"),
    ] {
        let checked = Protocol(mistake).checker().spawn_bfs().join();
        let trace = checked.discovery(NOTHING_LOST).expect("events are lost");
        let steps = trace.into_actions();
        let end = format!("{:?}", steps.last().unwrap());
        assert!(end.starts_with(last), "{mistake:?}: {steps:?}");
    }
}
