//! Chance that can be replayed: the seed is printed, `RENKEI_SEED` brings it back.

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The seed of `RENKEI_SEED`, else one from the clock; printed either way.
    ///
    /// # Panics
    ///
    /// When `RENKEI_SEED` is no number.
    #[must_use]
    pub fn of_this_run() -> (Self, u64) {
        let seed = match std::env::var("RENKEI_SEED") {
            Ok(text) => text.parse().unwrap_or_else(|_| panic!("RENKEI_SEED={text} is not a number")),
            Err(_) => std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(1, |since| u64::from(since.subsec_nanos()) ^ since.as_secs()),
        };
        println!("seed {seed}; RENKEI_SEED={seed} repeats this run");
        (Self::new(seed), seed)
    }

    #[expect(clippy::should_implement_trait, reason = "numbers without end; nobody iterates over them")]
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `bound - 1`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    /// A chance of its own, such as for a thread.
    pub fn fork(&mut self) -> Self {
        Self::new(self.next())
    }
}
