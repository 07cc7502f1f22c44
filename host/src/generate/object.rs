//! Objects: the frame around the events, gzip, and the keys they are stored under.

use std::io::{self, Write};

use fastrand::Rng;
use flate2::{Compression, write::GzEncoder};

use super::{
    account::{ALNUM, Account, REGIONS, pick, text},
    call::{ASSUME_ROLE, CALLS, Call, ERRORS},
    event::{Act, Scene, date, minute, write_event},
};
use crate::digest::Sha256;

/// What was written as one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Events in it.
    pub events: u64,
    /// Bytes before compression.
    pub inflated_bytes: u64,
    /// Bytes as stored.
    pub stored_bytes: u64,
    /// SHA-256 of the inflated bytes.
    pub sha256: [u8; 32],
}

/// Writes one gzip log object of ordinary events with at least `inflated_bytes` bytes before
/// compression, in constant memory. `level` is gzip's, 0 to 9; CloudTrail's objects look like 6.
///
/// # Errors
/// What `out` answers.
pub fn write_object(
    seed: u64,
    inflated_bytes: u64,
    level: u32,
    out: impl Write,
) -> io::Result<Written> {
    let mut rng = Rng::with_seed(seed);
    let account = Account::new(&mut rng, 0);
    let region = REGIONS[0];
    let mut writer = ObjectWriter::new(out, level)?;
    let mut event = String::with_capacity(4096);
    let mut time_s = 1_772_323_200;
    while writer.inflated_bytes < inflated_bytes {
        event.clear();
        write_ordinary(
            &mut rng,
            Scene {
                account: &account,
                region,
                time_s,
            },
            &mut event,
        );
        writer.event(&event)?;
        time_s += i64::from(writer.events.is_multiple_of(200));
    }
    writer.finish()
}

/// Appends an event as ordinary days have them. Returns the session token that it shows, if any.
pub(super) fn write_ordinary(rng: &mut Rng, scene: Scene<'_>, out: &mut String) -> Option<String> {
    let call = ordinary_call(rng);
    let principal = scene.account.anyone(rng);
    let mut act = Act::new(principal, call);
    let signs_in = call.service == "signin";
    if signs_in {
        act.principal = pick(rng, &scene.account.users);
    } else if rng.u32(..100) < 3 && call.name != ASSUME_ROLE.name {
        act.error = Some(*pick(rng, &ERRORS));
    }
    write_event(rng, scene, act, out)
}

fn ordinary_call(rng: &mut Rng) -> &'static Call {
    const TOTAL: u32 = {
        let mut sum = 0;
        let mut position = 0;
        while position < CALLS.len() {
            sum += CALLS[position].weight;
            position += 1;
        }
        sum
    };
    static TABLE: [Call; CALLS.len()] = CALLS;
    let mut left = rng.u32(..TOTAL);
    for call in &TABLE {
        match left.checked_sub(call.weight) {
            Some(rest) => left = rest,
            None => return call,
        }
    }
    &TABLE[0]
}

/// Frames events as `{"Records":[…]}`, compresses, counts and hashes them.
pub(super) struct ObjectWriter<W: Write> {
    gzip: GzEncoder<Counted<W>>,
    hash: Sha256,
    events: u64,
    inflated_bytes: u64,
}

impl<W: Write> ObjectWriter<W> {
    pub(super) fn new(out: W, level: u32) -> io::Result<Self> {
        let gzip = GzEncoder::new(Counted { out, bytes: 0 }, Compression::new(level.min(9)));
        let mut writer = Self {
            gzip,
            hash: Sha256::new(),
            events: 0,
            inflated_bytes: 0,
        };
        writer.write(br#"{"Records":["#)?;
        Ok(writer)
    }

    /// Adds one event.
    pub(super) fn event(&mut self, event: &str) -> io::Result<()> {
        if self.events > 0 {
            self.write(b",")?;
        }
        self.events += 1;
        self.write(event.as_bytes())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.inflated_bytes += bytes.len() as u64;
        self.gzip.write_all(bytes)
    }

    pub(super) fn finish(mut self) -> io::Result<Written> {
        self.write(b"]}")?;
        let mut counted = self.gzip.finish()?;
        counted.out.flush()?;
        Ok(Written {
            events: self.events,
            inflated_bytes: self.inflated_bytes,
            stored_bytes: counted.bytes,
            sha256: self.hash.finish(),
        })
    }
}

struct Counted<W> {
    out: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Key of an object: `folder` is `CloudTrail` or `CloudTrail-Insight`.
pub(super) fn key(rng: &mut Rng, folder: &str, account: &str, region: &str, time_s: i64) -> String {
    format!(
        "AWSLogs/{account}/{folder}/{region}/{}/{account}_{folder}_{region}_{}_{}.json.gz",
        date(time_s),
        minute(time_s),
        text(rng, ALNUM, 16),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn made(seed: u64, bytes: u64) -> (Vec<u8>, Written) {
        let mut out = Vec::new();
        let written = write_object(seed, bytes, 6, &mut out).unwrap();
        (out, written)
    }

    #[test]
    fn an_object_is_what_it_says_it_is() {
        let (stored, written) = made(7, 300_000);
        let mut inflated = Vec::new();
        flate2::read::GzDecoder::new(&stored[..])
            .read_to_end(&mut inflated)
            .unwrap();
        let json: serde_json::Value = serde_json::from_slice(&inflated).unwrap();
        let events = json["Records"].as_array().unwrap();
        assert_eq!(events.len() as u64, written.events);
        assert_eq!(inflated.len() as u64, written.inflated_bytes);
        assert_eq!(stored.len() as u64, written.stored_bytes);
        assert_eq!(crate::digest::sha256(&[&inflated]), written.sha256);
        let ids: std::collections::HashSet<_> = events
            .iter()
            .map(|event| event["eventID"].as_str().unwrap())
            .collect();
        assert_eq!(ids.len(), events.len());
        let calls: std::collections::HashSet<_> = events
            .iter()
            .map(|event| event["eventName"].as_str().unwrap())
            .collect();
        assert!(calls.len() > 20, "only {calls:?}");
    }

    #[test]
    fn events_are_as_large_and_as_compressible_as_real_ones() {
        let (_, written) = made(3, 2_000_000);
        let mean = written.inflated_bytes / written.events;
        let ratio = written.inflated_bytes * 10 / written.stored_bytes;
        assert!((1_200..1_500).contains(&mean), "{mean} bytes an event");
        assert!((50..70).contains(&ratio), "{ratio} tenths to 1");
    }

    #[test]
    fn a_seed_decides_every_byte() {
        assert_eq!(made(5, 50_000), made(5, 50_000));
        assert_ne!(made(5, 50_000).0, made(6, 50_000).0);
    }
}
