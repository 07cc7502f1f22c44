//! Members of AWS's calls that AWS's own models call sensitive, or that are named so that they should be.
//!
//! The table is made by `members.py`, which also says what it is made of. It holds hashes: it need not be
//! read by people, and a value in the wrong place is masked by mistake in one of billions.

use crate::detector::Detector;

/// Numbers of four bytes, the lowest first.
static TABLE: &[[u8; 4]] = include_bytes!("members.bin").as_chunks().0;

/// The hash of no name at all.
pub(crate) const START: u32 = 0x811c_9dc5;

/// The hash of what lies where no member is listed.
const NOWHERE: u32 = 0;

/// The members that are listed for one call, as hashes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Members(&'static [[u8; 4]]);

impl Members {
    /// Those of a call; `source` is the event's, such as `sqs.amazonaws.com`.
    pub(crate) fn of(source: &[u8], name: &[u8]) -> Self {
        let Some(service) = source.strip_suffix(b".amazonaws.com") else {
            return Self::default();
        };
        let hash = add(add(add(START, service), b"/"), unversioned(name));
        find(hash).unwrap_or_default()
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Whether nothing is listed below here.
    pub(crate) fn is_idle(self, trail: u32) -> bool {
        self.is_empty() || trail == NOWHERE
    }

    /// The hash of the way down to a member of this name, and what is listed there.
    pub(crate) fn below(self, trail: u32, name: &[u8]) -> (u32, Option<Detector>) {
        let is_top = trail == START;
        if trail == NOWHERE || name.eq_ignore_ascii_case(b"items") {
            return (trail, None);
        }
        if is_top && !matches!(name, b"requestParameters" | b"responseElements") {
            return (NOWHERE, None);
        }
        let trail = add(add(trail, b"/"), name);
        let mut all = self.0.iter().map(|listed| u32::from_le_bytes(*listed));
        let listed = all.find(|listed| (listed ^ trail) >> 1 == 0);
        let detector = listed.map(|listed| match listed & 1 {
            1 => Detector::KnownPlace,
            _ => Detector::SensitiveMember,
        });
        (trail, detector)
    }
}

/// A call without the version of its API, as some services write it: `CreateFunction20150331v2`,
/// `CreateDistribution2020_05_31`.
fn unversioned(name: &[u8]) -> &[u8] {
    let is_version = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'_' | b'v');
    let end = name.iter().rposition(|byte| !is_version(byte));
    let (bare, version) = name.split_at(end.map_or(0, |at| at + 1));
    if version.len() >= 8 && version.starts_with(b"20") {
        bare
    } else {
        name
    }
}

fn find(hash: u32) -> Option<Members> {
    let number = |bytes: [u8; 4]| u32::from_le_bytes(bytes);
    let (count, rest) = TABLE.split_first()?;
    let (heads, members) = rest.split_at_checked(2 * number(*count) as usize)?;
    let (heads, _) = heads.as_chunks::<2>();
    let first = |head: &[[u8; 4]; 2]| number(head[1]) as usize;
    let at = heads
        .binary_search_by_key(&hash, |head| number(head[0]))
        .ok()?;
    let end = heads.get(at + 1).map_or(members.len(), first);
    members.get(first(&heads[at])..end).map(Members)
}

/// FNV-1a, in lower case.
fn add(mut hash: u32, text: &[u8]) -> u32 {
    for byte in text {
        hash = (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(source: &str, name: &str, path: &str) -> Option<Detector> {
        let members = Members::of(source.as_bytes(), name.as_bytes());
        let mut found = (START, None);
        for name in path.split('/') {
            found = members.below(found.0, name.as_bytes());
        }
        found.1
    }

    #[test]
    fn members_are_found_in_the_case_and_version_of_the_event() {
        let path = "requestParameters/documentName";
        assert!(!Members::of(b"kms.amazonaws.com", b"Encrypt").is_empty());
        assert_eq!(
            at(
                "kms.amazonaws.com",
                "Encrypt",
                "requestParameters/plaintext"
            ),
            Some(Detector::KnownPlace)
        );
        assert_eq!(
            at(
                "ssm.amazonaws.com",
                "SendCommand",
                "requestParameters/parameters"
            ),
            Some(Detector::SensitiveMember)
        );
        assert_eq!(at("ssm.amazonaws.com", "SendCommand", path), None);
        assert_eq!(
            at(
                "other.amazonaws.com",
                "SendCommand",
                "requestParameters/parameters"
            ),
            None
        );
        assert_eq!(at("", "", ""), None);
    }

    #[test]
    fn versions_of_the_api_are_no_part_of_a_name() {
        for name in [
            "CreateFunction20150331",
            "CreateFunction20150331v2",
            "CreateFunction2020_05_31",
            "CreateFunction",
        ] {
            assert_eq!(unversioned(name.as_bytes()), b"CreateFunction");
        }
        assert_eq!(unversioned(b"GetV2"), b"GetV2");
    }
}
