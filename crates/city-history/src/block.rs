//! A block: up to a thousand instances of one series, column by column.
//!
//! Rows in order come in, one value of the view goes out, and back without loss. What is alike in
//! all rows is written once; times, positions and numbers lie as small differences. In front stands
//! a summary, so that whole blocks are aggregated without a look at their rows.

use city_model::Time;
use city_model::change::InstancePosition;
use city_store::Error;
use city_store::codec::{InstanceParts, Reader, Writer, split_instance};

/// Most rows in a block.
pub const BLOCK_ROWS_MAX: usize = 1_000;
/// Most bytes that the rows of a block had: who reads one of them decodes all.
pub const BLOCK_BYTES_MAX: usize = 1 << 20;

/// Rows in order, cut where a block ends.
pub fn chunks(rows: &[Row]) -> impl Iterator<Item = &[Row]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take(BLOCK_ROWS_MAX).take_while(|row| {
            bytes += row.instance.len();
            bytes <= BLOCK_BYTES_MAX
        });
        // One row alone is a block, however large.
        let count = fits.count().max(1).min(rest.len());
        let (chunk, behind) = rest.split_at(count);
        rest = behind;
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// One instance of a series as it lies in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// `observedAt`, or `modifiedAt` where nothing was observed.
    pub time: Time,
    pub position: InstancePosition,
    pub instance: Box<[u8]>,
}

impl Row {
    #[must_use]
    pub fn place(&self) -> (Time, InstancePosition) {
        (self.time, self.position)
    }
}

/// What is known of many numbers without each of them; two are put together by `merge`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Summary {
    pub count: u64,
    pub sum: f64,
    pub sum_of_squares: f64,
    pub min: f64,
    pub max: f64,
    mean: f64,
    /// Sum of the squared distances from the mean.
    distances: f64,
}

impl Summary {
    pub fn add(&mut self, number: f64) {
        if self.count == 0 {
            (self.min, self.max) = (number, number);
        }
        self.count += 1;
        self.sum += number;
        self.sum_of_squares += number * number;
        self.min = self.min.min(number);
        self.max = self.max.max(number);
        // Welford's way, which does not lose small spreads on large numbers.
        let distance = number - self.mean;
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
        let count = self.count as f64;
        self.mean += distance / count;
        self.distances += distance * (number - self.mean);
    }

    pub fn merge(&mut self, other: &Self) {
        if self.count == 0 || other.count == 0 {
            if self.count == 0 {
                *self = *other;
            }
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
        let (own, their) = (self.count as f64, other.count as f64);
        let distance = other.mean - self.mean;
        self.distances += other.distances + distance * distance * own * their / (own + their);
        self.mean += distance * their / (own + their);
        self.count += other.count;
        self.sum += other.sum;
        self.sum_of_squares += other.sum_of_squares;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// Standard deviation of a sample; there is none of a single number.
    #[must_use]
    pub fn stddev(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
        let below = self.count.checked_sub(1).filter(|below| *below > 0)? as f64;
        Some((self.distances / below).max(0.0).sqrt())
    }

    fn write(&self, out: &mut Writer) {
        out.uint(self.count);
        for number in [self.sum, self.sum_of_squares, self.min, self.max, self.mean, self.distances] {
            out.f64(number);
        }
    }

    fn read(from: &mut Reader) -> Result<Self, Error> {
        Ok(Self {
            count: from.uint()?,
            sum: from.f64()?,
            sum_of_squares: from.f64()?,
            min: from.f64()?,
            max: from.f64()?,
            mean: from.f64()?,
            distances: from.f64()?,
        })
    }
}

/// A block with its columns unpacked.
#[derive(Debug)]
pub struct Block {
    times: Vec<i64>,
    modified: Vec<i64>,
    created: Vec<i64>,
    seqs: Vec<i64>,
    indexes: Vec<i64>,
    shapes: Vec<Box<[u8]>>,
    shape_of: Vec<i64>,
    /// Of every row; 0 where it is not a number.
    numbers: Vec<f64>,
}

/// The front of a block.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    pub rows: usize,
    pub first: Time,
    pub last: Time,
    /// Where every row is a number that was observed.
    pub summary: Option<Summary>,
}

const PLAIN: u8 = 0;
const SUMMED: u8 = 1;

/// Rows in order of time and position; at least one, at most `BLOCK_ROWS_MAX`.
pub fn encode(rows: &[Row]) -> Result<Vec<u8>, Error> {
    let parts = rows.iter().map(|row| split_instance(&row.instance)).collect::<Result<Vec<_>, _>>()?;
    let mut out = Writer::default();
    out.uint(rows.len() as u64);
    let (first, last) = (rows.first().map_or(Time::UNSET, |r| r.time), rows.last().map_or(Time::UNSET, |r| r.time));
    out.int(first.as_micros());
    out.int(last.as_micros());
    let summed = |part: &InstanceParts| part.number.filter(|_| part.observed_at.is_some() && !part.deleted);
    let numbers: Option<Vec<f64>> = parts.iter().map(|part| summed(part).map(|number| number.as_f64())).collect();
    match &numbers {
        None => out.u8(PLAIN),
        Some(numbers) => {
            let mut summary = Summary::default();
            numbers.iter().for_each(|number| summary.add(*number));
            out.u8(SUMMED);
            summary.write(&mut out);
        }
    }
    let mut shapes: Vec<Vec<u8>> = Vec::new();
    let mut shape_of = Vec::with_capacity(rows.len());
    let mut known = std::collections::HashMap::new();
    for part in &parts {
        let shape = part.shape();
        let number = *known.entry(shape).or_insert_with_key(|shape| {
            shapes.push(shape.clone());
            shapes.len() as i64 - 1
        });
        shape_of.push(number);
    }
    out.uint(shapes.len() as u64);
    shapes.iter().for_each(|shape| out.raw(shape));
    write_column(&shape_of, &mut out);
    let column = |value: &dyn Fn(usize) -> i64| (0..rows.len()).map(value).collect::<Vec<i64>>();
    write_column(&column(&|at| rows[at].time.as_micros()), &mut out);
    // What is not observed has its modifiedAt as its time: the difference is nothing then.
    write_column(&column(&|at| parts[at].modified_at.as_micros()), &mut out);
    write_column(&column(&|at| parts[at].created_at.as_micros()), &mut out);
    write_column(&column(&|at| rows[at].position.seq as i64), &mut out);
    write_column(&column(&|at| i64::from(rows[at].position.index)), &mut out);
    let numbers: Vec<f64> = parts.iter().filter_map(|part| part.number).map(|number| number.as_f64()).collect();
    write_numbers(&numbers, &mut out);
    Ok(out.bytes)
}

pub fn read_head(bytes: &[u8]) -> Result<Head, Error> {
    head(&mut Reader::new(bytes))
}

fn head(from: &mut Reader) -> Result<Head, Error> {
    let rows = usize::try_from(from.uint()?).ok().filter(|rows| (1..=BLOCK_ROWS_MAX).contains(rows));
    let rows = rows.ok_or_else(|| wrong("its count of rows"))?;
    let (first, last) = (Time::from_micros(from.int()?), Time::from_micros(from.int()?));
    let summary = match from.u8()? {
        PLAIN => None,
        SUMMED => Some(Summary::read(from)?),
        _ => return Err(wrong("its kind")),
    };
    Ok(Head { rows, first, last, summary })
}

fn wrong(what: &str) -> Error {
    Error::Undecodable(format!("a block of the past is wrong in {what}"))
}

impl Block {
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut from = Reader::new(bytes);
        let head = head(&mut from)?;
        let rows = head.rows;
        let shapes = from.uint()?;
        if shapes > rows as u64 {
            return Err(wrong("its count of shapes"));
        }
        let shapes = (0..shapes).map(|_| Ok(from.raw()?.into())).collect::<Result<Vec<Box<[u8]>>, Error>>()?;
        let mut column = || read_column(&mut from, rows);
        let (shape_of, times, modified, created) = (column()?, column()?, column()?, column()?);
        let (seqs, indexes) = (column()?, column()?);
        let has_number = |shape: i64| shapes.get(shape as usize).map(|shape| shape.get(1) == Some(&1));
        let flags: Option<Vec<bool>> = shape_of.iter().map(|shape| has_number(*shape)).collect();
        let flags = flags.ok_or_else(|| wrong("the shape of a row"))?;
        let count = flags.iter().filter(|flag| **flag).count();
        let mut packed = read_numbers(&mut from, count)?.into_iter();
        let numbers = flags.iter().map(|flag| if *flag { packed.next().unwrap_or(0.0) } else { 0.0 }).collect();
        Ok(Self { times, modified, created, seqs, indexes, shapes, shape_of, numbers })
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.times.len()
    }

    #[must_use]
    pub fn time(&self, at: usize) -> Time {
        Time::from_micros(self.times[at])
    }

    #[must_use]
    pub fn position(&self, at: usize) -> InstancePosition {
        InstancePosition { seq: self.seqs[at] as u64, index: u32::try_from(self.indexes[at]).unwrap_or(u32::MAX) }
    }

    #[must_use]
    pub fn number(&self, at: usize) -> f64 {
        self.numbers[at]
    }

    pub fn parts(&self, at: usize) -> Result<InstanceParts<'_>, Error> {
        let shape = &self.shapes[self.shape_of[at] as usize];
        let time = |micros: i64| Time::from_micros(micros);
        let (created, modified) = (time(self.created[at]), time(self.modified[at]));
        InstanceParts::of_shape(shape, created, modified, self.time(at), self.numbers[at])
    }

    /// The instance's own bytes, as they came.
    pub fn instance(&self, at: usize) -> Result<Box<[u8]>, Error> {
        let mut out = Writer::default();
        self.parts(at)?.join(&mut out);
        Ok(out.bytes.into())
    }

    pub fn row(&self, at: usize) -> Result<Row, Error> {
        Ok(Row { time: self.time(at), position: self.position(at), instance: self.instance(at)? })
    }

    pub fn rows(&self) -> Result<Vec<Row>, Error> {
        (0..self.len()).map(|at| self.row(at)).collect()
    }
}

/// Every value is as it came.
const RAW: u8 = 0;
/// First, smallest step, divisor, then what each step has more than the smallest, divided.
const STEPS: u8 = 1;
/// As `STEPS`, where all steps are alike.
const EVEN: u8 = 2;
/// Beyond it, differences might not fit.
const FAR: i64 = 1 << 61;

fn write_column(values: &[i64], out: &mut Writer) {
    if values.iter().any(|value| !(-FAR..FAR).contains(value)) {
        out.u8(RAW);
        values.iter().for_each(|value| out.int(*value));
        return;
    }
    let steps = || values.windows(2).map(|pair| pair[1] - pair[0]);
    let least = steps().min().unwrap_or(0);
    let divisor = steps().map(|step| (step - least) as u64).fold(0, greatest_common_divisor);
    out.u8(if divisor == 0 { EVEN } else { STEPS });
    out.int(values.first().copied().unwrap_or(0));
    out.int(least);
    if divisor > 0 {
        out.uint(divisor);
        steps().for_each(|step| out.uint((step - least) as u64 / divisor));
    }
}

fn read_column(from: &mut Reader, rows: usize) -> Result<Vec<i64>, Error> {
    let tag = from.u8()?;
    if tag == RAW {
        return (0..rows).map(|_| from.int()).collect();
    }
    let (mut value, least) = (from.int()?, from.int()?);
    let divisor = match tag {
        STEPS => from.uint()?,
        EVEN => 0,
        _ => return Err(wrong("a column")),
    };
    let mut values = Vec::with_capacity(rows);
    values.push(value);
    for _ in 1..rows {
        let more = if divisor == 0 { 0 } else { from.uint()?.wrapping_mul(divisor) };
        value = value.wrapping_add(least).wrapping_add(more as i64);
        values.push(value);
    }
    Ok(values)
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Numbers with few decimals are whole numbers of tenths, hundredths and so on, up to this many places.
const PLACES_MAX: u8 = 6;
const POWERS: [f64; PLACES_MAX as usize + 1] = [1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6];
const AS_THEY_CAME: u8 = 255;
/// Whole numbers up to here are exact.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

fn write_numbers(numbers: &[f64], out: &mut Writer) {
    for (places, power) in (0u8..).zip(POWERS) {
        let whole = |number: &f64| {
            let scaled = (number * power).round();
            let whole = scaled as i64;
            #[expect(clippy::cast_precision_loss, reason = "what does not come back to the bit is not written so")]
            let fits = scaled.abs() < WHOLE_MAX && (whole as f64 / power).to_bits() == number.to_bits();
            fits.then_some(whole)
        };
        if let Some(column) = numbers.iter().map(whole).collect::<Option<Vec<i64>>>() {
            out.u8(places);
            write_column(&column, out);
            return;
        }
    }
    out.u8(AS_THEY_CAME);
    numbers.iter().for_each(|number| out.f64(*number));
}

#[expect(clippy::cast_precision_loss, reason = "only numbers that are exact were written so")]
fn read_numbers(from: &mut Reader, count: usize) -> Result<Vec<f64>, Error> {
    let places = from.u8()?;
    if count == 0 {
        return Ok(Vec::new());
    }
    if places == AS_THEY_CAME {
        return (0..count).map(|_| from.f64()).collect();
    }
    let power = *POWERS.get(places as usize).ok_or_else(|| wrong("its numbers"))?;
    Ok(read_column(from, count)?.into_iter().map(|whole| whole as f64 / power).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use city_model::{Instance, Kind, Value};
    use city_store::Terms;
    use city_store::codec::write_instance;
    use proptest::prelude::*;

    fn row(seq: u64, observed: Option<i64>, modified: i64, value: Value, unit: Option<&str>) -> Row {
        let mut instance = Instance::new(Kind::Property(value));
        instance.created_at = Time::from_micros(modified - 5);
        instance.modified_at = Time::from_micros(modified);
        instance.observed_at = observed.map(Time::from_micros);
        instance.unit_code = unit.map(Into::into);
        let mut out = Writer::default();
        write_instance(&instance, &Terms::default(), &mut out);
        let position = InstancePosition { seq, index: (seq % 3) as u32 };
        Row { time: Time::from_micros(observed.unwrap_or(modified)), position, instance: out.bytes.into() }
    }

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<i64>().prop_map(Value::Int),
            (-400i64..400).prop_map(|tenths| Value::Float(tenths as f64 / 10.0)),
            any::<f64>().prop_map(Value::Float),
            "[a-c]{0,3}".prop_map(|text| Value::text(&text)),
            any::<bool>().prop_map(Value::Bool),
            Just(Value::Null),
        ]
    }

    proptest! {
        #[test]
        fn a_block_gives_back_every_row_as_it_came(
            cells in prop::collection::vec(
                (any::<u64>(), prop::option::of(-1_000_000_000_000i64..4_000_000_000_000_000), value(), any::<bool>()),
                1..60,
            ),
        ) {
            let rows: Vec<Row> = cells
                .into_iter()
                .map(|(seq, observed, value, unit)| row(seq, observed, 7_000_000, value, unit.then_some("CEL")))
                .collect();
            let block = Block::decode(&encode(&rows).unwrap()).unwrap();
            prop_assert_eq!(block.rows().unwrap(), rows);
        }

        #[test]
        fn a_summary_put_together_is_the_summary_of_all(
            numbers in prop::collection::vec(-1e6f64..1e6, 2..200), cut in 0usize..200,
        ) {
            let sum = |numbers: &[f64]| {
                let mut summary = Summary::default();
                numbers.iter().for_each(|number| summary.add(*number));
                summary
            };
            let cut = cut.min(numbers.len());
            let (whole, mut both) = (sum(&numbers), sum(&numbers[..cut]));
            both.merge(&sum(&numbers[cut..]));
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-6 * (1.0 + a.abs().max(b.abs()));
            prop_assert!(whole.count == both.count && whole.min == both.min && whole.max == both.max);
            prop_assert!(close(whole.sum, both.sum) && close(whole.stddev().unwrap(), both.stddev().unwrap()));
        }

        #[test]
        fn bytes_that_make_no_sense_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Block::decode(&bytes);
        }
    }

    #[test]
    fn a_block_ends_at_its_rows_or_at_its_bytes() {
        let many: Vec<Row> = (0..2_500).map(|n| row(n, Some(n as i64), 7, Value::Int(1), None)).collect();
        assert_eq!(chunks(&many).map(<[Row]>::len).collect::<Vec<_>>(), [1_000, 1_000, 500]);
        let text = |bytes: usize| Value::text(&"x".repeat(bytes));
        let large: Vec<Row> = (0..5).map(|n| row(n, Some(n as i64), 7, text(BLOCK_BYTES_MAX * 2 / 5), None)).collect();
        assert_eq!(chunks(&large).map(<[Row]>::len).collect::<Vec<_>>(), [2, 2, 1]);
        let huge = [row(1, Some(1), 7, text(2 * BLOCK_BYTES_MAX), None)];
        assert_eq!(chunks(&huge).count(), 1, "one row alone is a block");
    }

    #[test]
    fn a_regular_series_takes_few_bytes_a_reading() {
        let rows: Vec<Row> = (0..1_000)
            .map(|n| {
                let time = 1_700_000_000_000_000 + n * 600_000_000;
                row(
                    n as u64 * 40,
                    Some(time),
                    time + 2_000_000,
                    Value::Float((200 + n % 37) as f64 / 10.0),
                    Some("CEL"),
                )
            })
            .collect();
        let bytes = encode(&rows).unwrap();
        assert!(bytes.len() < 3 * rows.len(), "{} bytes for {} readings", bytes.len(), rows.len());
        assert!(read_head(&bytes).unwrap().summary.is_some_and(|summary| summary.count == 1_000));
    }

    #[test]
    fn a_deviation_of_large_numbers_is_not_lost() {
        let mut summary = Summary::default();
        [1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0].into_iter().for_each(|number| summary.add(number));
        assert!((summary.stddev().unwrap() - 30f64.sqrt()).abs() < 1e-6);
    }
}
