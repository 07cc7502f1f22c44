//! Impossible travel: where people act from, by the operator's table, and how fast they would have to be.

use std::collections::BTreeMap;

use sluicegate_plugin::{
    lookup::{self, Answers},
    state::Entry,
};

use crate::{facts::Facts, plan::Plan, rules::Which, text::Member};

/// Addresses of one batch that are looked up.
const MOST_ADDRESSES: usize = 500;

/// A place on earth, in tenths of a degree, and its country.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    latitude: f64,
    longitude: f64,
    pub(crate) country: String,
}

impl Place {
    fn new(latitude: &str, longitude: &str, country: &str) -> Option<Self> {
        let degrees = |text: &str, most: f64| {
            let degrees: f64 = text.parse().ok()?;
            (degrees.abs() <= most).then_some(degrees)
        };
        let is_code = country.len() <= 3 && country.bytes().all(|byte| byte.is_ascii_alphabetic());
        Some(Self {
            latitude: degrees(latitude, 90.0)?,
            longitude: degrees(longitude, 180.0)?,
            country: if is_code {
                country.to_owned()
            } else {
                String::new()
            },
        })
    }

    /// As a member that is remembered; the inverse of [`Place::read`].
    fn member(&self) -> String {
        format!(
            "{:.1},{:.1},{}",
            self.latitude, self.longitude, self.country
        )
    }

    pub(crate) fn read(member: &str) -> Option<Self> {
        let mut parts = member.splitn(3, ',');
        Self::new(parts.next()?, parts.next()?, parts.next()?)
    }

    /// Kilometres as the crow flies, by the haversine formula on a sphere.
    fn distance_km(&self, other: &Self) -> f64 {
        let half = |a: f64, b: f64| ((b - a).to_radians() / 2.0).sin().powi(2);
        let cosines = self.latitude.to_radians().cos() * other.latitude.to_radians().cos();
        let chord =
            half(self.latitude, other.latitude) + cosines * half(self.longitude, other.longitude);
        2.0 * 6_371.0 * chord.clamp(0.0, 1.0).sqrt().asin()
    }
}

/// A way that nobody goes so fast.
#[derive(Debug, PartialEq)]
pub(crate) struct Journey {
    pub(crate) from: Place,
    pub(crate) km: f64,
    pub(crate) minutes: i64,
}

/// The farthest of the entries that cannot be reached at this speed.
pub(crate) fn journey(
    to: &Place,
    time_ms: i64,
    entries: &[Entry],
    speed_kmh: u32,
    min_km: u32,
    window_s: u32,
) -> Option<Journey> {
    let longest_ms = u64::from(window_s) * 1_000;
    let too_fast = entries.iter().filter_map(|entry| {
        let apart_ms = i64::try_from(entry.time_ms).ok()?.abs_diff(time_ms);
        let from = Place::read(&entry.member)?;
        let km = from.distance_km(to);
        // Clocks differ a little, and a minute is no time to travel in.
        let minutes = i64::try_from(apart_ms / 60_000).ok()?.max(1);
        #[allow(clippy::cast_precision_loss, reason = "a day has few minutes")]
        let reach_km = f64::from(speed_kmh) * minutes as f64 / 60.0;
        let is_far = km >= f64::from(min_km) && km > reach_km && apart_ms <= longest_ms;
        is_far.then_some(Journey { from, km, minutes })
    });
    too_fast.max_by(|a, b| a.km.total_cmp(&b.km))
}

/// Counts the places that people acted from.
///
/// # Errors
/// When the table cannot be asked.
pub(crate) fn notice<'a>(
    table: &str,
    people: &[Facts<'a>],
    plan: &mut Plan<'a, '_>,
) -> Result<(), String> {
    if people.is_empty() || plan.rule(Which::Travel).off {
        return Ok(());
    }
    let mut places = BTreeMap::new();
    for facts in people {
        if let Some(address) = facts.address
            && places.len() < MOST_ADDRESSES
        {
            places.insert(address, None);
        }
    }
    let texts: Vec<String> = places.keys().map(ToString::to_string).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let ask = |field: &str| {
        lookup::query(table, field, &texts)
            .map_err(|error| format!("failed to look up {field} in table {table}: {error:?}"))
    };
    let latitudes = ask("location.latitude")?;
    let longitudes = ask("location.longitude")?;
    let countries = ask("country.iso_code")?;
    for (at, place) in places.values_mut().enumerate() {
        let country = countries.str(at).unwrap_or_default();
        *place = Place::new(number(&latitudes, at), number(&longitudes, at), country);
    }
    for facts in people {
        let place = facts.address.and_then(|address| places.get(&address));
        if let Some(Some(place)) = place {
            let member = place.member();
            plan.count(facts, Which::Travel, facts.arn, Member::Text(&member), 1.0);
        }
    }
    Ok(())
}

/// A database of addresses has numbers; a table in CSV only texts.
fn number(answers: &Answers, at: usize) -> &str {
    answers
        .json(at)
        .or_else(|| answers.str(at))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(member: &str) -> Place {
        Place::read(member).expect("a place")
    }

    #[test]
    fn distances_are_those_of_the_globe() {
        let berlin = place("52.5,13.4,DE");
        let km = berlin.distance_km(&place("40.7,-74.0,US"));
        assert!((6_350.0..6_420.0).contains(&km), "{km}");
        assert!(berlin.distance_km(&berlin) < 0.1);
        let across = place("0,179.9,").distance_km(&place("0,-179.9,"));
        assert!(across < 25.0, "{across}");
        let antipodes = place("90,0,").distance_km(&place("-90,0,"));
        assert!((20_000.0..20_030.0).contains(&antipodes), "{antipodes}");
    }

    #[test]
    fn what_is_no_place_is_none() {
        for wrong in [
            "", "1,2", "91,0,DE", "0,181,DE", "x,0,DE", "NaN,0,DE", "inf,0,",
        ] {
            assert_eq!(Place::read(wrong), None, "{wrong}");
        }
        assert_eq!(place("1,2,<b>").country, "");
    }

    #[test]
    fn only_what_is_too_far_for_the_time_is_a_journey() {
        let entry = |minute: u64, member: &str| Entry {
            time_ms: minute * 60_000,
            member: member.to_owned(),
            value: 1.0,
        };
        let to = place("52.5,13.4,DE");
        let found = |minute: i64, entries: &[Entry]| {
            journey(&to, minute * 60_000, entries, 900, 500, 86_400).map(|journey| journey.minutes)
        };
        let york = [entry(0, "40.7,-74.0,US"), entry(0, "52.5,13.4,DE")];
        assert_eq!(found(60, &york), Some(60));
        assert_eq!(
            found(0, &york),
            Some(1),
            "at once, and not a division by nothing"
        );
        assert_eq!(found(480, &york), None, "a flight");
        assert_eq!(found(60, &[entry(0, "52.1,11.6,DE")]), None, "near");
        assert_eq!(
            found(0, &[entry(60, "40.7,-74.0,US")]),
            Some(60),
            "late events too"
        );
        assert_eq!(found(60, &[entry(0, "garbage")]), None);
    }
}
