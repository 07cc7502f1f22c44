//! Shapes of others: what leaves for a service that has a format of its own.

use serde::{Deserialize, Serialize};

use crate::{config::Problems, sink::Accept};

#[cfg(feature = "security-hub")]
pub mod asff;
pub mod document;
pub mod ocsf;
mod remediation;

/// The shape in which a sink gets events and findings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// Events as CloudTrail wrote them, findings in the sink's own layout.
    #[default]
    #[serde(rename = "original")]
    Original,
    /// OCSF 1.8.0.
    #[serde(rename = "ocsf-1.8.0")]
    Ocsf180,
    /// OCSF 1.1.0, as Amazon Security Lake keeps it.
    #[serde(rename = "ocsf-1.1.0")]
    Ocsf110,
}

impl Format {
    /// Reports a setting that has no effect.
    pub fn validate(self, raw_data: bool, accept: &[Accept], at: &str, problems: &mut Problems) {
        if accept.contains(&Accept::Digests) && self != Self::Original {
            problems.push(format!(
                "{at}.accept must not name digests with a format of OCSF, which has no place for them"
            ));
        }
        if raw_data && self == Self::Original {
            problems.push(format!(
                "{at}.raw_data needs a format of OCSF: the original format is the event itself"
            ));
        }
    }

    /// The encoder, where the format is one of OCSF.
    #[must_use]
    pub fn ocsf(self, raw_data: bool) -> Option<ocsf::Encoder> {
        let version = match self {
            Self::Original => return None,
            Self::Ocsf180 => ocsf::Version::V1_8_0,
            Self::Ocsf110 => ocsf::Version::V1_1_0,
        };
        Some(ocsf::Encoder::new(version, raw_data))
    }
}
