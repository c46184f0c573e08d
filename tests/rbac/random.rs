//! Random numbers that a seed decides.

use std::time::SystemTime;

/// Random numbers (splitmix64): equal for equal seeds on every machine.
pub(crate) struct Dice(u64);

impl Dice {
    /// Those of the seed in `PROBITY_SEED`, or of one that nobody had; it is printed.
    pub(crate) fn seeded(name: &str) -> Self {
        let seed = std::env::var("PROBITY_SEED").ok();
        let seed: u64 = match seed.map(|seed| seed.parse()) {
            Some(seed) => seed.expect("PROBITY_SEED is a number"),
            None => SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs(),
        };
        println!("{name}: PROBITY_SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// Whether something happens that happens once in `n` times.
    pub(crate) fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of a list.
    pub(crate) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// From `least` to `most` of a list.
    pub(crate) fn some<T: Copy>(&mut self, of: &[T], least: usize, most: usize) -> Vec<T> {
        let count = least + self.below(most - least + 1);
        (0..count).map(|_| self.one(of)).collect()
    }
}
