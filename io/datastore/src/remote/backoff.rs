//! How long to wait between attempts: doubling, and never the same for two processes.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// The first wait is at most this.
const FIRST: Duration = Duration::from_millis(50);
/// No wait is longer than this.
const LONGEST: Duration = Duration::from_secs(10);

/// Waits between attempts: each is twice the one before, from 50 ms to 10 s, of which a random half is taken off so that
/// many that failed together do not come back together.
#[derive(Clone, Debug)]
pub struct Backoff {
    next: Duration,
    random: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        // The one source of randomness in the standard library.
        Self::seeded(RandomState::new().build_hasher().finish())
    }
}

impl Backoff {
    /// One whose waits follow from `seed` alone.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self {
            next: FIRST,
            random: seed,
        }
    }

    /// How long to wait after one more failure.
    pub fn after_failure(&mut self) -> Duration {
        let longest = self.next;
        self.next = (longest * 2).min(LONGEST);
        longest / 2 + self.up_to(longest / 2)
    }

    /// Begins anew after a success.
    pub const fn reset(&mut self) {
        self.next = FIRST;
    }

    /// A random time up to `longest`, to spread what many would do at once.
    pub fn up_to(&mut self, longest: Duration) -> Duration {
        // One step of SplitMix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.random;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let fraction = ((x ^ (x >> 31)) >> 32) as u32;
        longest.mul_f64(f64::from(fraction) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_within_their_bounds_and_differ_between_processes() {
        let mut seen = Vec::new();
        for seed in 1..=20 {
            let mut backoff = Backoff::seeded(seed);
            let mut longest = FIRST;
            for _ in 0..12 {
                let wait = backoff.after_failure();
                assert!(wait >= longest / 2 && wait <= longest, "{wait:?}");
                longest = (longest * 2).min(LONGEST);
            }
            seen.push(backoff.after_failure());
            backoff.reset();
            assert!(backoff.after_failure() <= FIRST);
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 20, "no two alike");
    }
}
