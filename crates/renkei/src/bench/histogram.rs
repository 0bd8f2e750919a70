//! Counts durations in buckets that are everywhere less than one per cent wide: memory stays the same
//! however long the run is, and percentiles of several workers can be added up.

use std::time::Duration;

/// 128 buckets for each doubling.
const FINE_BITS: u32 = 7;
const FINE: usize = 1 << FINE_BITS;
/// Longest duration told apart, some 18 minutes in nanoseconds; longer ones count as this.
const LONGEST_BITS: u32 = 40;
const BUCKETS: usize = (LONGEST_BITS - FINE_BITS + 1) as usize * FINE;

#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    count: u64,
    sum_ns: u128,
    max_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], count: 0, sum_ns: 0, max_ns: 0 }
    }
}

impl Histogram {
    pub fn record(&mut self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(ns)] += 1;
        self.count += 1;
        self.sum_ns += u128::from(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    pub fn add(&mut self, other: &Self) {
        for (own, other) in self.counts.iter_mut().zip(&other.counts) {
            *own += other;
        }
        self.count += other.count;
        self.sum_ns += other.sum_ns;
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn mean(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.sum_ns / u128::from(self.count.max(1))).unwrap_or(u64::MAX))
    }

    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max_ns)
    }

    /// The duration within which `share` (0 to 1) of all lie; the upper edge of its bucket.
    pub fn percentile(&self, share: f64) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "no run has 2^53 requests")]
        let rank = (self.count as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (i, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(upper_edge(i).min(self.max_ns));
            }
        }
        self.max()
    }
}

fn bucket(ns: u64) -> usize {
    let ns = ns.min((1 << LONGEST_BITS) - 1);
    if ns < FINE as u64 {
        return ns as usize;
    }
    let shift = 63 - ns.leading_zeros() - FINE_BITS;
    (shift as usize) * FINE + (ns >> shift) as usize
}

fn upper_edge(bucket: usize) -> u64 {
    if bucket < 2 * FINE {
        return bucket as u64;
    }
    let shift = (bucket / FINE - 1) as u32;
    let fine = (bucket % FINE + FINE) as u64;
    ((fine + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_lies_in_a_bucket_less_than_one_per_cent_wide() {
        for exponent in 0..40 {
            for offset in [0u64, 1, 77, 1_001] {
                let ns = (1u64 << exponent) + offset.min((1 << exponent) - 1);
                let edge = upper_edge(bucket(ns));
                assert!(edge >= ns, "{ns} {edge}");
                assert!((edge - ns) * 100 < ns.max(100), "{ns} {edge}");
            }
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_list_and_workers_add_up() {
        let (mut even, mut odd) = (Histogram::default(), Histogram::default());
        for us in 1..=10_000u64 {
            if us % 2 == 0 { &mut even } else { &mut odd }.record(Duration::from_micros(us));
        }
        even.add(&odd);
        for (share, exact_us) in [(0.5, 5_000.0), (0.95, 9_500.0), (0.99, 9_900.0), (1.0, 10_000.0)] {
            let found = even.percentile(share).as_secs_f64() * 1e6;
            assert!((found - exact_us).abs() / exact_us < 0.01, "{share} {found}");
        }
        assert_eq!(even.count(), 10_000);
        assert_eq!(even.mean(), Duration::from_nanos(5_000_500));
        assert_eq!(Histogram::default().percentile(0.5), Duration::ZERO);
    }
}
