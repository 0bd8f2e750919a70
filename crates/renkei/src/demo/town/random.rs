//! Chance that can be repeated: a number comes out for a seed and a place in a sequence, nothing else.
//!
//! SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). Not for secrets.

/// A stream of numbers for building the town once.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN_GAMMA);
        mix(self.state)
    }

    /// From 0 (included) to 1 (not included).
    pub fn unit(&mut self) -> f64 {
        to_unit(self.next())
    }

    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// From 0 to `count - 1`.
    pub fn below(&mut self, count: usize) -> usize {
        (self.next() % count.max(1) as u64) as usize
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[expect(clippy::cast_precision_loss, reason = "the upper 53 bits fit an f64 exactly")]
fn to_unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// The same number for the same seed, thing and step of time, in whatever order they are asked for.
pub fn unit_at(seed: u64, thing: u64, step: i64) -> f64 {
    let place = seed ^ mix(thing.wrapping_add(GOLDEN_GAMMA)) ^ mix(step.cast_unsigned().wrapping_mul(GOLDEN_GAMMA));
    to_unit(mix(place.wrapping_add(GOLDEN_GAMMA)))
}

/// Wanders smoothly between -1 and 1; `period_s` is the distance of its supporting points.
pub fn wander(seed: u64, thing: u64, at_s: f64, period_s: f64) -> f64 {
    let place = at_s / period_s;
    let step = place.floor();
    let part = place - step;
    let smooth = part * part * (3.0 - 2.0 * part);
    let at = |offset: i64| 2.0 * unit_at(seed, thing, step as i64 + offset) - 1.0;
    at(0) * (1.0 - smooth) + at(1) * smooth
}
