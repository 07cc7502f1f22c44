//! Which events are in a sample: by their identifier, the same everywhere and every time.

/// What a sample is for: two samples of one event must not be the same draw.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Rule = 1,
    Budget = 2,
    Shard = 3,
}

/// Whether the event with this identifier is in a sample of this share of all.
pub(crate) fn sampled(id: &[u8], purpose: Purpose, share: f64) -> bool {
    #[allow(
        clippy::cast_precision_loss,
        reason = "a share has no more digits than a float"
    )]
    let draw = hash(id, purpose) as f64 / u64::MAX as f64;
    draw < share
}

/// FNV-1a over the identifier, then mixed so that every bit of it counts in every bit.
pub(crate) fn hash(id: &[u8], purpose: Purpose) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ purpose as u64;
    for &byte in id {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ hash >> 33).wrapping_mul(factor);
    }
    hash ^ hash >> 33
}

/// Checks the share of a sample.
pub(crate) fn check(share: f64, at: &str) -> Result<(), String> {
    if share > 0.0 && share < 1.0 {
        Ok(())
    } else {
        Err(format!(
            "{at} must be more than 0 and less than 1, got {share}; for all or nothing say keep or drop"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> String {
        format!(
            "{:08x}-1111-4222-8333-{:012x}",
            number.wrapping_mul(0x9e37_79b9),
            number
        )
    }

    #[test]
    fn a_hundredth_of_a_hundred_thousand_is_about_a_thousand() {
        // Five standard deviations are 157.
        for purpose in [Purpose::Rule, Purpose::Budget] {
            let count = (0..100_000)
                .filter(|number| sampled(id(*number).as_bytes(), purpose, 0.01))
                .count();
            assert!((843..=1157).contains(&count), "{purpose:?}: {count}");
        }
    }

    #[test]
    fn two_purposes_draw_apart() {
        let both = |number: &u32| {
            let id = id(*number);
            sampled(id.as_bytes(), Purpose::Rule, 0.1)
                && sampled(id.as_bytes(), Purpose::Budget, 0.1)
        };
        let count = (0..100_000).filter(both).count();
        assert!((843..=1157).contains(&count), "{count}");
    }

    #[test]
    fn what_is_sampled_never_changes() {
        // Other replicas, and those of next year, draw the same.
        assert_eq!(hash(b"", Purpose::Rule), 0x12aa_8dd8_fb8b_9885);
        let id = b"11111111-2222-4333-8444-555555555555";
        assert_eq!(hash(id, Purpose::Budget), 0xf07e_dfda_eecd_d0ad);
    }

    #[test]
    fn shares_are_checked() {
        for share in [0.0, 1.0, -0.1, 1.5, f64::NAN, f64::INFINITY] {
            assert!(
                check(share, "rules.0.sample")
                    .unwrap_err()
                    .starts_with("rules.0.sample must be")
            );
        }
        assert_eq!(check(0.01, "x"), Ok(()));
    }
}
