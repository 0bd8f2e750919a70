//! Sensor Measurement Lists in JSON (RFC 8428): a pack of records comes in, each with the base values before it
//! resolved (section 4.6) goes out.

use city_model::Time;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::whole::{Found, WHOLE_ROWS_MAX, Whole};
use crate::item::Item;
use crate::row::Members;

/// The version of the format that is read (section 4.4).
const VERSION_MAX: u64 = 10;
/// Times below this many seconds are relative to now (section 4.5.3).
const RELATIVE_SECONDS: f64 = 268_435_456.0;

/// What holds for the records that follow (section 4.1).
#[derive(Debug, Default)]
struct Base {
    name: String,
    time: f64,
    unit: Option<String>,
    value: f64,
    sum: f64,
}

pub(super) fn read(text: &str, now: Option<Time>) -> Result<Whole, String> {
    let records: Vec<&RawValue> =
        serde_json::from_str(text).map_err(|error| format!("it must be one JSON array of records: {error}"))?;
    if records.len() > WHOLE_ROWS_MAX {
        return Err(format!("it has more than {WHOLE_ROWS_MAX} records"));
    }
    let mut base = Base::default();
    let mut rows = Vec::with_capacity(records.len());
    for (at, raw) in records.into_iter().enumerate() {
        let record: Map<String, Value> =
            serde_json::from_str(raw.get()).map_err(|_| format!("record {}: it must be an object", at + 1))?;
        // What follows rests on the base values, so that one that cannot be read ends the pack.
        base.take(&record).map_err(|why| format!("record {}: {why}", at + 1))?;
        match resolve(&base, &record, now) {
            Ok(None) => {}
            Ok(Some(row)) => rows.push(Found::new(at as u64 + 1, Ok(row), raw.get())),
            Err(why) => rows.push(Found::new(at as u64 + 1, Err(why), raw.get())),
        }
    }
    Ok(Whole::of(rows))
}

impl Base {
    fn take(&mut self, record: &Map<String, Value>) -> Result<(), String> {
        if let Some(version) = record.get("bver")
            && version.as_u64().is_none_or(|version| version == 0 || version > VERSION_MAX)
        {
            return Err(format!("bver: version {version} is not read, {VERSION_MAX} is"));
        }
        if let Some(name) = text(record, "bn")? {
            self.name = name.to_owned();
        }
        if let Some(unit) = text(record, "bu")? {
            self.unit = Some(unit.to_owned());
        }
        for (label, place) in [("bt", &mut self.time), ("bv", &mut self.value), ("bs", &mut self.sum)] {
            if let Some(value) = number(record, label)? {
                *place = value;
            }
        }
        Ok(())
    }
}

/// `None` for a record that has base values alone.
fn resolve(base: &Base, record: &Map<String, Value>, now: Option<Time>) -> Result<Option<Members>, String> {
    const KNOWN: [&str; 9] = ["n", "u", "v", "vs", "vb", "vd", "s", "t", "ut"];
    // Labels that end in _ must be understood, and none is known here (section 4.4).
    if let Some(label) = record.keys().find(|label| label.ends_with('_')) {
        return Err(format!("{label}: a label that ends in _ must be understood, and this one is not"));
    }
    if !record.keys().any(|label| KNOWN.contains(&label.as_str())) {
        return Ok(None);
    }
    let name = format!("{}{}", base.name, text(record, "n")?.unwrap_or_default());
    let may_stand = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '.' | '/' | '_');
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(may_stand) {
        return Err(format!(
            "n: \"{name}\" is no name of RFC 8428: letters, digits and - : . / _ after one of the first"
        ));
    }
    let mut row: Members = vec![("name".into(), Item::Text(name.into()))];
    if let Some(unit) = text(record, "u")?.or(base.unit.as_deref()) {
        row.push(("unit".into(), Item::Text(unit.to_owned().into())));
    }
    let values = ["v", "vs", "vb", "vd"].into_iter().filter(|label| record.contains_key(*label)).collect::<Vec<_>>();
    match values.as_slice() {
        [] if record.contains_key("s") => {}
        [] => return Err("it has no value: v, vs, vb, vd or s".to_owned()),
        ["v"] => {
            let value = base.value + number(record, "v")?.unwrap_or_default();
            row.push(("value".into(), Item::Float(value)));
        }
        ["vb"] => {
            let value = record.get("vb").and_then(Value::as_bool).ok_or("vb: it must be true or false")?;
            row.push(("value".into(), Item::Bool(value)));
        }
        [label] => {
            let value = text(record, label)?.unwrap_or_default().to_owned();
            row.push((if *label == "vs" { "value" } else { "data" }.into(), Item::Text(value.into())));
        }
        _ => return Err(format!("it has several values: {}", values.join(", "))),
    }
    if let Some(sum) = number(record, "s")? {
        row.push(("sum".into(), Item::Float(base.sum + sum)));
    }
    let time = base.time + number(record, "t")?.unwrap_or_default();
    row.push(("time".into(), instant(time, now)?));
    if let Some(update) = number(record, "ut")? {
        row.push(("updateTime".into(), Item::Float(update)));
    }
    Ok(Some(row))
}

/// Null where it counts from now and nobody said when that is.
fn instant(seconds: f64, now: Option<Time>) -> Result<Item<'static>, String> {
    // Beyond, the year has more than four digits.
    const SECONDS_MAX: f64 = 253_402_300_799.0;
    if !seconds.is_finite() || seconds.abs() > SECONDS_MAX {
        return Err(format!("t: {seconds} s is no time"));
    }
    let micros = (seconds * 1e6).round() as i64;
    Ok(match seconds < RELATIVE_SECONDS {
        true => now.map_or(Item::Null, |now| Item::Time(now.plus_micros(micros))),
        false => Item::Time(Time::from_micros(micros)),
    })
}

fn text<'a>(record: &'a Map<String, Value>, label: &str) -> Result<Option<&'a str>, String> {
    let value = record.get(label);
    value.map(|value| value.as_str().ok_or_else(|| format!("{label}: it must be a text"))).transpose()
}

fn number(record: &Map<String, Value>, label: &str) -> Result<Option<f64>, String> {
    let value = record.get(label);
    value.map(|value| value.as_f64().ok_or_else(|| format!("{label}: it must be a number"))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str) -> Vec<Result<String, String>> {
        let now = Time::parse("2026-12-01T00:00:00Z");
        let show = |found: Found| {
            found.row.map(|row| {
                let mut json = Vec::new();
                Item::Map(row).write_json(&mut json);
                String::from_utf8(json).unwrap()
            })
        };
        read(text, now).unwrap().rows.into_iter().map(show).collect()
    }

    /// The examples of RFC 8428, sections 5.1.2 and 5.1.3, and what 5.1.4 resolves them to.
    #[test]
    fn the_examples_of_the_standard_resolve_as_it_says() {
        let rows = resolved(
            r#"[{"bn":"urn:dev:ow:10e2073a01080063:","bt":1.276020076001e+09,"bu":"A","bver":5,"n":"voltage","u":"V","v":120.1},
                {"n":"current","t":-5,"v":1.2},{"n":"current","t":-4,"v":1.3}]"#,
        );
        let show = |name: &str, unit: &str, value: &str, time: &str| {
            Ok(format!(
                "{{\"name\":\"urn:dev:ow:10e2073a01080063:{name}\",\"unit\":\"{unit}\",\"value\":{value},\"time\":{time}}}"
            ))
        };
        let time = |text: &str| {
            let mut json = Vec::new();
            Item::Time(Time::parse(text).unwrap()).write_json(&mut json);
            String::from_utf8(json).unwrap()
        };
        assert_eq!(
            rows,
            [
                show("voltage", "V", "120.1", &time("2010-06-08T18:01:16.001Z")),
                show("current", "A", "1.2", &time("2010-06-08T18:01:11.001Z")),
                show("current", "A", "1.3", &time("2010-06-08T18:01:12.001Z")),
            ]
        );
    }

    #[test]
    fn base_values_add_and_small_times_count_from_now() {
        let rows = resolved(r#"[{"bn":"a/","bv":20,"bs":100},{"n":"t","v":1.5,"s":1,"t":-60},{"n":"on","vb":true}]"#);
        assert!(rows[0].as_ref().unwrap().starts_with(r#"{"name":"a/t","value":21.5,"sum":101"#), "{rows:?}");
        assert!(rows[0].as_ref().unwrap().contains("2026-11-30T23:59:00Z"), "{rows:?}");
        assert!(rows[1].as_ref().unwrap().contains("2026-12-01T00:00:00Z"), "{rows:?}");
        assert_eq!(rows.len(), 2, "a record of base values alone is no reading");
    }

    #[test]
    fn what_is_wrong_with_a_record_is_said_and_the_others_are_taken() {
        let rows =
            resolved(r#"[{"n":"-x","v":1},{"n":"a","v":1,"vs":"b"},{"n":"a"},{"n":"a","x_":1,"v":2},{"n":"b","v":3}]"#);
        let why: Vec<&str> = rows.iter().filter_map(|row| row.as_ref().err()).map(String::as_str).collect();
        assert!(why[0].contains("is no name") && why[1].contains("several values"), "{why:?}");
        assert!(why[2].contains("no value") && why[3].contains("must be understood"), "{why:?}");
        assert!(rows[4].is_ok());
        for broken in ["{}", "[1]", r#"[{"bver":11,"n":"a","v":1}]"#, r#"[{"bn":5}]"#, "["] {
            assert!(read(broken, None).is_err(), "{broken}");
        }
    }
}
