//! Messages that nobody sent: of every category, with codes that are in the lists and codes that are not.

use city_qzss::{Frame, Table, tables as t};

use crate::support::sentence;

/// When they are received. Their reports are of January to November, at most half a year away.
pub const DATE: &str = "2024-06-15";
const OF_EACH_CATEGORY: usize = 150;
const OF_TYPE_44: usize = 2_000;
const SEED: u64 = 20_240_615;

/// Where a field is, how many bits it has, and its list.
type Field = (usize, usize, &'static Table);

/// Fields, where a time is, and groups: from, bits, how many at most, fields.
struct Layout {
    category: u64,
    fields: &'static [Field],
    time: Option<usize>,
    groups: &'static [(usize, usize, usize, &'static [Field])],
}

macro_rules! notifications {
    () => {
        (53, 9, 3, &[(0, 9, &t::NOTIFICATION)])
    };
}

#[rustfmt::skip]
static LAYOUTS: [Layout; 12] = [
    Layout { category: 1, time: Some(80), groups: &[notifications!()], fields: &[
        (47, 3, &t::GROUND_MOTION_LOWER), (50, 3, &t::GROUND_MOTION_UPPER), (112, 10, &t::EPICENTRE),
        (122, 4, &t::INTENSITY_LOWER), (126, 4, &t::INTENSITY_UPPER),
    ] },
    Layout { category: 2, time: Some(80), groups: &[notifications!()], fields: &[(112, 10, &t::EPICENTRE)] },
    Layout { category: 3, time: Some(53), fields: &[], groups: &[
        (69, 9, 16, &[(0, 3, &t::INTENSITY), (3, 6, &t::PREFECTURE)]),
    ] },
    Layout { category: 4, time: None, groups: &[], fields: &[(53, 4, &t::INFORMATION_SERIAL)] },
    Layout { category: 5, time: None, fields: &[(80, 4, &t::TSUNAMI_WARNING)], groups: &[
        notifications!(), (84, 26, 5, &[(12, 4, &t::TSUNAMI_HEIGHT), (16, 10, &t::TSUNAMI_REGION)]),
    ] },
    Layout { category: 6, time: None, fields: &[(53, 3, &t::TSUNAMIGENIC_POTENTIAL)], groups: &[
        (56, 28, 5, &[(12, 9, &t::PACIFIC_TSUNAMI_HEIGHT), (21, 7, &t::PACIFIC_COAST)]),
    ] },
    Layout { category: 8, time: Some(53), groups: &[(88, 23, 5, &[(0, 23, &t::LOCAL_GOVERNMENT)])], fields: &[
        (69, 7, &t::VOLCANIC_WARNING), (76, 12, &t::VOLCANO),
    ] },
    Layout { category: 9, time: Some(53), fields: &[(69, 2, &t::ASH_FALL_TYPE), (71, 12, &t::VOLCANO)], groups: &[
        (83, 29, 4, &[(3, 3, &t::ASH_FALL_WARNING), (6, 23, &t::LOCAL_GOVERNMENT)]),
    ] },
    Layout { category: 10, time: None, fields: &[(53, 3, &t::WEATHER_STATE)], groups: &[
        (56, 24, 6, &[(0, 5, &t::WEATHER_WARNING), (5, 19, &t::WEATHER_REGION)]),
    ] },
    Layout { category: 11, time: None, fields: &[], groups: &[
        (53, 44, 3, &[(0, 4, &t::FLOOD_LEVEL), (4, 40, &t::FLOOD_REGION)]),
    ] },
    Layout { category: 12, time: Some(53), groups: &[], fields: &[
        (69, 3, &t::TYPHOON_REFERENCE), (94, 4, &t::TYPHOON_SCALE), (98, 4, &t::TYPHOON_INTENSITY),
    ] },
    Layout { category: 14, time: None, fields: &[], groups: &[
        (53, 19, 8, &[(0, 5, &t::MARINE_WARNING), (5, 14, &t::MARINE_REGION)]),
    ] },
];

/// Category, from and bits of what is a number rather than a list: every code of it is sent once. Depth and magnitude
/// twice; of a typhoon hours, number, pressure, wind and gust; hours of ash.
const FORMULAS: [(u64, usize, usize); 10] = [
    (1, 96, 9),
    (1, 105, 7),
    (2, 96, 9),
    (2, 105, 7),
    (12, 80, 7),
    (12, 87, 7),
    (12, 143, 11),
    (12, 154, 7),
    (12, 161, 7),
    (9, 83, 3),
];

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True so many times out of ten.
    fn often(&mut self, tenths: u64) -> bool {
        self.below(10) < tenths
    }

    fn known(&mut self, table: &'static Table) -> u64 {
        let codes: Vec<u64> = table.codes().collect();
        codes[usize::try_from(self.below(codes.len() as u64)).unwrap()]
    }
}

pub fn sentences() -> Vec<String> {
    let mut random = Random(SEED);
    let mut lines = Vec::new();
    for layout in &LAYOUTS {
        lines.extend((0..OF_EACH_CATEGORY).map(|_| sentence(&Frame::sealed(*dcr(&mut random, layout).bytes()))));
    }
    for (category, from, bits) in FORMULAS {
        let layout = LAYOUTS.iter().find(|layout| layout.category == category).unwrap();
        lines.extend((0..1 << bits).map(|code| {
            let mut frame = dcr(&mut random, layout);
            frame.set(17, 4, category);
            frame.set(from, bits, code);
            sentence(&Frame::sealed(*frame.bytes()))
        }));
    }
    lines.extend((0..OF_TYPE_44).map(|_| sentence(&Frame::sealed(*dcx(&mut random).bytes()))));
    lines
}

fn noise(random: &mut Random, message_type: u64) -> Frame {
    let mut frame = Frame::new([0; Frame::BYTES]);
    for at in (14..220).step_by(8) {
        // Half of the bytes are empty, as they are in what is sent.
        let byte = if random.often(5) { random.below(256) } else { 0 };
        frame.set(at, 8usize.min(220 - at), byte);
    }
    frame.set(0, 8, [0x53, 0x9A, 0xC6][usize::try_from(random.below(3)).unwrap()]);
    // One in fifty is of another type, which is refused.
    let is_other = random.below(50) == 0;
    frame.set(8, 6, if is_other { random.below(64) } else { message_type });
    frame
}

fn dcr(random: &mut Random, layout: &Layout) -> Frame {
    let mut frame = noise(random, 43);
    for at in (43..214).step_by(8) {
        frame.set(at, 8usize.min(214 - at), random.below(256));
    }
    let is_odd = random.below(20) == 0;
    frame.set(17, 4, if is_odd { random.below(16) } else { layout.category });
    frame.set(214, 6, if random.below(30) == 0 { random.below(64) } else { 1 });
    let days = if random.often(9) { 28 } else { 32 };
    let (month, day) = (1 + random.below(11), 1 + random.below(days));
    let (hour, minute) = if random.often(9) { (random.below(24), random.below(60)) } else { (31, 63) };
    for (from, bits, number) in [(21, 4, month), (25, 5, day), (30, 5, hour), (35, 6, minute)] {
        frame.set(from, bits, number);
    }
    for (from, bits, table) in layout.fields {
        if random.often(8) {
            frame.set(*from, *bits, random.known(table));
        }
    }
    if let Some(from) = layout.time
        && random.often(8)
    {
        frame.set(from, 5, (day + random.below(5)).saturating_sub(2));
        frame.set(from + 5, 5, random.below(24));
        frame.set(from + 10, 6, random.below(60));
    }
    for (from, bits, count_max, fields) in layout.groups {
        let count = usize::try_from(random.below(*count_max as u64 + 1)).unwrap();
        for at in 0..*count_max {
            let from = from + at * bits;
            for (beside, bits, table) in *fields {
                if random.often(8) {
                    frame.set(from + beside, *bits, random.known(table));
                }
            }
            if at >= count {
                (from..from + bits).for_each(|at| frame.set(at, 1, 0));
            }
        }
    }
    // Arrivals that are no time.
    if [5, 6].contains(&layout.category) && random.often(3) {
        let code = [31 << 6 | 63, 30 << 6 | 62, 1 << 11 | 30 << 6 | 62][usize::try_from(random.below(3)).unwrap()];
        frame.set(if layout.category == 5 { 84 } else { 56 }, 12, code);
    }
    frame
}

fn dcx(random: &mut Random) -> Frame {
    let mut frame = noise(random, 44);
    if random.below(40) == 0 {
        // A null message, with Japan or with another country, which is none.
        (24..220).for_each(|at| frame.set(at, 1, 0));
        frame.set(26, 9, if random.often(9) { 111 } else { random.below(512) });
        return frame;
    }
    if random.often(7) {
        frame.set(26, 9, 111);
        frame.set(35, 5, random.below(6));
    } else if random.often(5) {
        frame.set(26, 9, [10, 71, 219][usize::try_from(random.below(3)).unwrap()]);
        frame.set(35, 5, random.below(16));
    }
    if random.often(9) {
        frame.set(40, 7, random.known(&t::HAZARD_TYPE));
    }
    if random.often(7) {
        frame.set(67, 3, 0);
    }
    if random.often(5) {
        frame.set(66, 1, 1);
        frame.set(70, 10, random.known(&t::INSTRUCTION_JAPAN));
    }
    if random.often(3) {
        frame.set(80, 49, 0);
    }
    frame.set(129, 2, random.below(4));
    match random.below(4) {
        0 => frame.set(146, 16, random.known(&t::TARGET_AREA)),
        1 => {
            frame.set(146, 1, 1);
            (0..4).for_each(|at| frame.set(147 + at * 16, 16, random.known(&t::TARGET_AREA)));
        }
        2 => frame.set(163, 51, 0),
        _ => {}
    }
    frame
}
