//! Numbers under which the town draws its chances, so that no two things share one.

pub const FRONT: u64 = 1_000;
pub const GUST: u64 = 1_100;
pub const SPELL: u64 = 1_200;
pub const PARKING: u64 = 2_000;
pub const METER: u64 = 10_000;
