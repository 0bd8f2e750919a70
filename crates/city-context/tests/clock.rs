//! A clock that jumps by a year, forward and back, while the city runs and between restarts.
//!
//! `RENKEI_SEEDS=first..last` replays or extends the run.

mod city;

use city::{City, meter, value};
use city_model::{Change, Time, Value};

const YEAR_MICROS: i64 = 365 * 24 * 3_600 * 1_000_000;
const SEEDS_DEFAULT: u64 = 10;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

fn seeds() -> std::ops::Range<u64> {
    let named = std::env::var("RENKEI_SEEDS").ok().and_then(|text| {
        let (first, last) = text.split_once("..")?;
        Some(first.parse().ok()?..last.parse().ok()?)
    });
    named.unwrap_or(1..SEEDS_DEFAULT + 1)
}

#[test]
fn modified_at_never_goes_back_however_the_clock_jumps() {
    for seed in seeds() {
        let mut dice = Dice(seed);
        let mut city = City::new(seed);
        let mut last = Time::UNSET;
        let mut jumps = 0;
        for step in 0..80 {
            match dice.below(8) {
                0 => {
                    city.clock.advance_micros(YEAR_MICROS);
                    jumps += 1;
                }
                1 => {
                    city.clock.advance_micros(-YEAR_MICROS);
                    jumps += 1;
                }
                2 => city.restart(dice.below(2) == 0).unwrap_or_else(|error| panic!("seed {seed}: {error}")),
                _ => {}
            }
            let key = dice.below(4).to_string();
            let entity = meter(&key, &[("reading", Value::Int(step))]);
            let change = match dice.below(4) {
                0 => Change::Upsert { entity, update: false },
                1 => Change::Merge(entity),
                _ => Change::Upsert { entity, update: true },
            };
            if city.one(change).is_err() {
                // A merge into what is not there.
                assert!(city.get(&key).is_none(), "seed {seed}, step {step}");
                continue;
            }
            let entity = city.get(&key).unwrap();
            assert_eq!(value(&entity, "reading"), Some(Value::Int(step)), "seed {seed}, step {step}");
            let instance = entity.attributes[0].default_instance().unwrap();
            assert!(entity.modified_at >= last, "seed {seed}, step {step}: {} after {last}", entity.modified_at);
            assert!(entity.created_at <= entity.modified_at, "seed {seed}, step {step}");
            assert!(instance.created_at <= instance.modified_at, "seed {seed}, step {step}");
            assert_eq!(instance.modified_at, entity.modified_at, "seed {seed}, step {step}");
            last = entity.modified_at;
        }
        assert!(jumps > 3, "seed {seed} jumped {jumps} times only");
    }
}
