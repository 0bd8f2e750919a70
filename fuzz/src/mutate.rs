//! Broken inputs: a seed and a small corpus come in, an input that nobody would write goes out.
//!
//! The same seed makes the same input, so a failure is repeated by its number alone.
//! `RENKEI_INPUTS` is how many inputs a target gets (10,000), `RENKEI_SEEDS=first..last` which ones.
//! The configuration's test in `crates/renkei` takes this file in by its path.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

const INPUTS_DEFAULT: u64 = 10_000;
/// Inputs grow no larger, so that a bound on memory can be stated.
pub const INPUT_BYTES_MAX: usize = 16 << 10;
/// Changes of one input.
const CHANGES_MAX: u64 = 8;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `bound - 1`; 0 where there is no choice.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// A part of so many bytes: short ones are as likely as long ones.
    fn part(&mut self, bytes: usize) -> std::ops::Range<usize> {
        let start = self.below(bytes + 1);
        let longest = (bytes - start).min(1 << self.below(11));
        start..start + self.below(longest + 1)
    }
}

/// The input with this number. `words` are what the target's language is made of.
#[must_use]
pub fn input(target: &str, number: u64, corpus: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    // The name goes into the seed, so that two targets do not break their inputs in the same places.
    let name = target
        .bytes()
        .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3));
    let mut random = Random(name ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    if random.below(50) == 0 {
        return (0..random.below(200)).map(|_| random.next() as u8).collect();
    }
    let mut bytes = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.next() % CHANGES_MAX {
        change(&mut bytes, &mut random, corpus, words);
        bytes.truncate(INPUT_BYTES_MAX);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, random: &mut Random, corpus: &[Vec<u8>], words: &[&str]) {
    const SPECIAL: &[u8] = b"\x00\x01\x7f\x80\xfe\xff\"'\\{}[]():;,.|&<>=!~%+-*/#@_ \t\r\n09aZ";
    const NUMBERS: &[&str] = &[
        "0",
        "-1",
        "-0",
        "1e999",
        "-1e-999",
        "0.1",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "18446744073709551616",
        "4294967296",
        "1e15",
        "180.0000001",
        "NaN",
        "00",
        "1.",
    ];
    match random.below(13) {
        0 if !bytes.is_empty() => {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        1 if !bytes.is_empty() => {
            let at = random.below(bytes.len());
            bytes[at] = SPECIAL[random.below(SPECIAL.len())];
        }
        2 => {
            let at = random.below(bytes.len() + 1);
            bytes.insert(at, SPECIAL[random.below(SPECIAL.len())]);
        }
        3 => drop(bytes.drain(random.part(bytes.len()))),
        4 => {
            let part = bytes[random.part(bytes.len())].to_vec();
            put(bytes, random, &part);
        }
        5 => {
            let other = &corpus[random.below(corpus.len())];
            let part = &other[random.part(other.len())];
            put(bytes, random, part);
        }
        6 => {
            // A head of one and a tail of another.
            let other = &corpus[random.below(corpus.len())];
            bytes.truncate(random.below(bytes.len() + 1));
            bytes.extend_from_slice(&other[random.below(other.len() + 1)..]);
        }
        7 | 8 if !words.is_empty() => {
            let word = words[random.below(words.len())];
            put(bytes, random, word.as_bytes());
        }
        9 => {
            // Another number where one stands.
            let digits: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at].is_ascii_digit()).collect();
            if let Some(start) = digits.get(random.below(digits.len())).copied() {
                let length = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                bytes.splice(start..start + length, NUMBERS[random.below(NUMBERS.len())].bytes());
            }
        }
        10 => {
            // Again and again: nesting, lists and texts without end.
            let part = bytes[random.part(bytes.len())].to_vec();
            let times = 1 << random.below(9);
            put(bytes, random, &part.repeat(times.min(INPUT_BYTES_MAX / part.len().max(1))));
        }
        11 => bytes.truncate(random.below(bytes.len() + 1)),
        _ => {
            // Two parts change places.
            let (one, two) = (random.part(bytes.len()), random.part(bytes.len()));
            if one.end <= two.start {
                let swapped = [
                    &bytes[..one.start],
                    &bytes[two.clone()],
                    &bytes[one.end..two.start],
                    &bytes[one],
                    &bytes[two.end..],
                ];
                *bytes = swapped.concat();
            }
        }
    }
}

/// Between others, or over them.
fn put(bytes: &mut Vec<u8>, random: &mut Random, part: &[u8]) {
    let at = random.below(bytes.len() + 1);
    let over = if random.below(3) == 0 { part.len().min(bytes.len() - at) } else { 0 };
    bytes.splice(at..at + over, part.iter().copied());
}

/// Hands all inputs to a target; one that panics is shown with its number and as hexadecimal.
///
/// # Panics
///
/// With what the target panicked with.
pub fn each_input(target: &str, corpus: &[Vec<u8>], words: &[&str], mut try_one: impl FnMut(&[u8])) {
    assert!(!corpus.is_empty(), "{target} has no corpus");
    let seeds = match std::env::var("RENKEI_SEEDS") {
        Ok(text) => range(&text).unwrap_or_else(|| panic!("RENKEI_SEEDS={text} is not first..last")),
        Err(_) => 0..std::env::var("RENKEI_INPUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(INPUTS_DEFAULT),
    };
    // The corpus itself first: what is good must be taken.
    let whole = corpus.iter().cloned().map(|bytes| (None, bytes));
    let broken = seeds.map(|number| (Some(number), input(target, number, corpus, words)));
    for (number, bytes) in whole.chain(broken) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| try_one(&bytes))) {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            match number {
                Some(n) => println!("{target}: RENKEI_SEEDS={n}..{} repeats this input", n + 1),
                None => println!("{target}: an input of the corpus"),
            }
            println!("as hexadecimal: {hex}\nas text: {:?}", String::from_utf8_lossy(&bytes));
            resume_unwind(panic);
        }
    }
}

fn range(text: &str) -> Option<std::ops::Range<u64>> {
    let (first, last) = text.split_once("..")?;
    Some(first.parse().ok()?..last.parse().ok()?)
}
