//! Chance that can be repeated: which request meets which fault is settled by a seed and the request's number.

/// A pure function from a seed and a number to a number below 100 with evenly spread values.
pub(crate) fn percentile(seed: u64, number: u64) -> u8 {
    u8::try_from(mix(seed ^ mix(number)) % 100).unwrap_or_default()
}

/// The finalizer of `SplitMix64`.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_even_and_repeatable() {
        let hits = |seed| (0..10_000).filter(|number| percentile(seed, *number) < 10).count();
        assert_eq!(hits(7), hits(7));
        assert!((900..1100).contains(&hits(7)), "{}", hits(7));
        let first = |seed| (0..64).map(|number| percentile(seed, number)).collect::<Vec<_>>();
        assert_ne!(first(1), first(2));
    }
}
