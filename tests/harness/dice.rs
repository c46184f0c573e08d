//! Random numbers that a seed decides.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests, and what helps them, fail by panicking"
)]

use std::{
    thread,
    time::{Duration, SystemTime},
};

/// Random numbers (splitmix64): equal for equal seeds on every machine.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// With the seed of `PROBITY_SEED`, else of the clock; it is printed.
    #[allow(clippy::print_stderr, reason = "a seed is of use only to who reads it")]
    pub(crate) fn seeded(what: &str) -> Self {
        let seed = std::env::var("PROBITY_SEED").ok();
        let seed = match seed.map(|seed| seed.parse()) {
            Some(seed) => seed.expect("PROBITY_SEED is a number"),
            None => SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs(),
        };
        eprintln!("{what}: PROBITY_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % below
    }

    pub(crate) fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        let place = self.roll(u64::try_from(among.len()).unwrap());
        among[usize::try_from(place).unwrap()]
    }

    /// A moment, not a wait for anything.
    pub(crate) fn moment(&mut self, most: u64) {
        thread::sleep(Duration::from_millis(self.roll(most)));
    }

    /// Whether something of this chance in a hundred happens.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.roll(100) < percent
    }
}
