//! A message as rows: one for each thing that a city acts on, flat enough for a mapping to pick from.
//!
//! Every row has what the message says of itself; a field that the message does not have is null:
//!
//! | field | |
//! |---|---|
//! | `rowKind` | what the row is about, see below |
//! | `controlTitle`, `status`, `editorialOffice`, `publishingOffice` | from the control; `status` is 通常, 訓練 or 試験 |
//! | `title`, `infoKind`, `infoType`, `eventID`, `serial` | from the head; `infoType` is 発表, 訂正, 遅延 or 取消 |
//! | `reportDateTime`, `targetDateTime`, `validDateTime` | as written, with their offset |
//! | `headlineText` | the headline |
//!
//! And by `rowKind`:
//!
//! | `rowKind` | one row for | fields |
//! |---|---|---|
//! | `warning` | each area of each list of a warning or advisory (気象警報・注意報, 竜巻注意情報, 特別警報 …) | `informationType`, `areaName`, `areaCode`, `areaCodeType`, `kinds`, `changeStatus`, `fullStatus` |
//! | `landslide` | each area of a 土砂災害警戒情報 | `informationType`, `areaName`, `areaCode`, `areaCodeType`, `kinds`, `targetAreaName`, `targetAreaCode` |
//! | `river` | each area of the headline of a 指定河川洪水予報 or 水位周知河川に関する情報 | `informationType`, `areaName`, `areaCode`, `areaCodeType`, `kinds` |
//! | `inundation` | each district that may be flooded (浸水想定地区) | as `river`, and `prefecture`, `city`, `cityCode`, `subCityList` |
//! | `waterLevel` | each gauge (水位観測所) | `stationName`, `stationCode`, `location`, `levels`: `time`, `timeName`, `waterLevelM`, `condition`, `level` |
//! | `risk` | each area of a 大雨危険度通知 | `propertyType` (危険度 or 危険度分布), `time`, `areaName`, `areaCode`, `areaCodeType`, `risks`: `type`, `name`, `code`, `condition` |
//! | `earthquake` | each earthquake | `originTime`, `arrivalTime`, `condition`, `hypocenterName`, `hypocenterCode`, `latitude`, `longitude`, `depthM`, `coordinateDescription`, `magnitude`, `magnitudeType`, `magnitudeCondition`, `magnitudeDescription`, `maxInt`, `maxLgInt` |
//! | `intensity` | each area and each city with an intensity, observed or forecast | `section`, `level`, `prefName`, `prefCode`, `areaName`, `areaCode`, `areaCodeType`, `maxInt`, `maxLgInt`, `forecastIntFrom`, `forecastIntTo`, `forecastLgIntFrom`, `forecastLgIntTo`, `arrivalTime`, `condition`, `kindName`, `kindCode` |
//! | `tsunami` | each forecast area (津波予報区) | `section`, `areaName`, `areaCode`, `areaCodeType`, `kindName`, `kindCode`, `lastKindName`, `lastKindCode`, `arrivalTime`, `arrivalCondition`, `heightM`, `heightCondition`, `heightDescription`, `stations` |
//! | `volcano` | each volcano, city or sea area | `informationType`, `areaName`, `areaCode`, `areaCodeType`, `latitude`, `longitude`, `heightM`, `craterName`, `kindName`, `kindCode`, `kindCondition`, `lastKindName`, `lastKindCode`, `eventTime` |
//! | `ashfall` | each area and time of an ash forecast (降灰予報) | `informationType`, `areaName`, `areaCode`, `areaCodeType`, `kindName`, `kindCode`, `startTime`, `endTime`, `ashInfoType`, `polygons`, `distance`, `plumeDirection`, `size` |
//! | `typhoon` | each time of an analysis or forecast (実況, 推定, 予報) | `time`, `timeType`, `typhoonNumber`, `typhoonName`, `typhoonNameKana`, `remark`, `typhoonClass`, `areaClass`, `intensityClass`, `latitude`, `longitude`, `location`, `direction`, `speedKmH`, `pressureHpa`, `windSpeedMS`, `gustMS`, `probabilityCircle`, `warningAreas` |
//! | `typhoonProbability` | each area and time span (台風の暴風域に入る確率) | `informationType`, `time`, `duration`, `timeName`, `areaName`, `areaCode`, `typhoonNumber`, `probabilities` |
//! | `headline` | each area of the headline, where the body has none of the above | as `river` |
//! | `report` | the message, where nothing else is | `text`, `body` |
//!
//! `kinds` is a list of objects with `name`, `code`, `status` and `condition`, and whatever else the message has
//! of the kind (`lastKind`, `property`, …), as in its tree.

mod area;
mod earthquake;
pub(super) mod place;
mod risk;
mod river;
mod tsunami;
mod typhoon;
mod volcano;

use serde_json::{Map, Value};

use super::Error;
use super::report::{Report, Subject};

/// Most rows of a message. The sample with most (VPRN50) makes 5,266.
pub const ROWS_MAX: usize = 20_000;
/// Most bytes of all rows of a message, about: kinds stand in each row of their areas.
pub const ROWS_BYTES_MAX: usize = 128 * 1024 * 1024;

pub type Row = Map<String, Value>;

pub(super) fn rows(report: &Report) -> Result<Vec<Row>, Error> {
    let mut rows = Rows::new(report);
    match report.subject {
        Subject::Meteorology => {
            match report.head.info_kind.as_str() {
                "指定河川洪水予報" | "水位周知河川に関する情報" => river::rows(&mut rows)?,
                "土砂災害警戒情報" => area::warnings(&mut rows, "landslide")?,
                "気象危険度通知" => risk::rows(&mut rows)?,
                _ => area::warnings(&mut rows, "warning")?,
            }
            typhoon::rows(&mut rows)?;
        }
        Subject::Seismology => {
            earthquake::rows(&mut rows)?;
            tsunami::rows(&mut rows)?;
        }
        Subject::Volcanology => volcano::rows(&mut rows)?,
        Subject::Other => {}
    }
    if rows.rows.is_empty() {
        let kind = if report.head.info_kind.contains("警報") { "warning" } else { "headline" };
        area::headline(&mut rows, kind)?;
    }
    if rows.rows.is_empty() {
        whole(&mut rows)?;
    }
    Ok(rows.rows)
}

/// The rows so far, and what each begins with.
struct Rows<'r> {
    report: &'r Report,
    base: Row,
    base_bytes: usize,
    rows: Vec<Row>,
    bytes: usize,
}

impl<'r> Rows<'r> {
    fn new(report: &'r Report) -> Self {
        let (control, head) = (&report.control, &report.head);
        let mut base = Row::new();
        base.insert("rowKind".to_owned(), Value::Null);
        for (name, value) in [
            ("controlTitle", Value::from(control.title.as_str())),
            ("status", control.status.as_str().into()),
            ("editorialOffice", control.editorial_office.as_str().into()),
            ("publishingOffice", control.publishing_office.clone().into()),
            ("title", head.title.as_str().into()),
            ("infoKind", head.info_kind.as_str().into()),
            ("infoType", head.info_type.as_str().into()),
            ("eventID", head.event_id.as_str().into()),
            ("serial", head.serial.as_str().into()),
            ("reportDateTime", head.report_date_time.as_str().into()),
            ("targetDateTime", head.target_date_time.as_deref().into()),
            ("validDateTime", head.valid_date_time.as_deref().into()),
            ("headlineText", head.headline.text.as_str().into()),
        ] {
            base.insert(name.to_owned(), value);
        }
        let base_bytes = base.iter().map(|(name, value)| member_bytes(name, value)).sum();
        Self { report, base, base_bytes, rows: Vec::new(), bytes: 0 }
    }

    /// Adds a row. Values are cloned after they were weighed, so that a hostile message stays cheap.
    fn add(&mut self, kind: &str, fields: &[(&str, Field<'_>)]) -> Result<(), Error> {
        let weight: usize = fields.iter().map(|(name, field)| MEMBER_BYTES + name.len() + field.bytes()).sum();
        self.bytes += self.base_bytes + weight;
        if self.rows.len() >= ROWS_MAX || self.bytes > ROWS_BYTES_MAX {
            return Err(Error::TooManyRows);
        }
        let mut row = self.base.clone();
        row.insert("rowKind".to_owned(), kind.into());
        for (name, field) in fields {
            row.insert((*name).to_owned(), field.value());
        }
        self.rows.push(row);
        Ok(())
    }
}

/// What a field of a row is made of.
enum Field<'v> {
    /// As in the tree.
    Tree(&'v Value),
    /// Kinds, with the four members that each has.
    Kinds(&'v [Value]),
    /// A list of what stands in several places of the tree.
    Each(&'v [&'v Value]),
    Made(Value),
}

impl Field<'_> {
    fn bytes(&self) -> usize {
        match self {
            Self::Tree(value) => bytes(value),
            Self::Kinds(kinds) => kinds.iter().map(|kind| 4 * MEMBER_BYTES + bytes(kind)).sum(),
            Self::Each(values) => values.iter().map(|value| bytes(value)).sum(),
            Self::Made(value) => bytes(value),
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Tree(value) => (*value).clone(),
            Self::Kinds(kinds) => kinds.iter().map(kind).collect(),
            Self::Each(values) => values.iter().map(|value| (*value).clone()).collect(),
            Self::Made(value) => value.clone(),
        }
    }
}

impl<'v> From<&'v Value> for Field<'v> {
    fn from(value: &'v Value) -> Self {
        Self::Tree(value)
    }
}

impl From<Value> for Field<'_> {
    fn from(value: Value) -> Self {
        Self::Made(value)
    }
}

impl From<&str> for Field<'_> {
    fn from(text: &str) -> Self {
        Self::Made(text.into())
    }
}

/// `name`, `code`, `status` and `condition` are there whether or not the message has them.
fn kind(kind: &Value) -> Value {
    let mut whole: Row = ["name", "code", "status", "condition"]
        .into_iter()
        .map(|name| (name.to_owned(), get(kind, &[name]).clone()))
        .collect();
    for (name, value) in kind.as_object().into_iter().flatten() {
        whole.insert(name.clone(), value.clone());
    }
    Value::Object(whole)
}

/// About what a member of an object weighs in memory, beside its name and what hangs on its value.
const MEMBER_BYTES: usize = 128;

fn member_bytes(name: &str, value: &Value) -> usize {
    MEMBER_BYTES + name.len() + bytes(value)
}

/// About what a value weighs in memory.
fn bytes(value: &Value) -> usize {
    let hangs_on_it = match value {
        Value::String(text) => text.len(),
        Value::Array(list) => list.iter().map(bytes).sum(),
        Value::Object(map) => map.iter().map(|(name, value)| member_bytes(name, value)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    };
    size_of::<Value>() + hangs_on_it
}

static NULL: Value = Value::Null;

/// What is at a path of names, or null.
fn get<'v>(value: &'v Value, path: &[&str]) -> &'v Value {
    path.iter().try_fold(value, |value, name| value.get(name)).unwrap_or(&NULL)
}

/// The list at a path, or none.
fn list<'v>(value: &'v Value, path: &[&str]) -> &'v [Value] {
    get(value, path).as_array().map_or(&[], Vec::as_slice)
}

fn text<'v>(value: &'v Value, path: &[&str]) -> &'v str {
    get(value, path).as_str().unwrap_or_default()
}

/// The message itself, and what a person reads of it.
fn whole(rows: &mut Rows<'_>) -> Result<(), Error> {
    let report = rows.report;
    let body = &report.body;
    let mut texts: Vec<&str> = Vec::new();
    let plain = [get(body, &["text"]), get(body, &["earthquakeInfo", "text"]), get(body, &["nextAdvisory"])];
    texts.extend(plain.into_iter().filter_map(Value::as_str));
    texts.extend(list(body, &["notice"]).iter().filter_map(Value::as_str));
    texts.extend(list(body, &["comment", "text"]).iter().filter_map(|one| get(one, &["value"]).as_str()));
    texts.extend(get(body, &["notice"]).as_str());
    texts.extend(get(body, &["comments", "freeFormComment"]).as_str());
    texts.retain(|text| !text.is_empty());
    let text = texts.join("\n");
    rows.add("report", &[("text", Value::from(text).into()), ("body", body.into())])
}
