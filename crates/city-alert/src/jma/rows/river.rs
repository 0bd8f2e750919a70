//! Rows of flood forecasts for a river: its warning, the districts that may be flooded, and the gauges.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::area::{areas, headline};
use super::{Error, Field, Rows, get, list, text};

/// Most times of a series: their number (`timeId`) is an unsigned byte.
const TIMES_MAX: usize = 256;

/// The kind of a warning stands in the headline of these messages; their body has the districts and the gauges.
pub(super) fn rows(rows: &mut Rows<'_>) -> Result<(), Error> {
    headline(rows, "river")?;
    inundation(rows)?;
    let body = &rows.report.body;
    for infos in list(body, &["meteorologicalInfos"]) {
        for series in list(infos, &["timeSeriesInfo"]) {
            for item in list(series, &["item"]) {
                water_level(rows, series, item)?;
            }
        }
    }
    Ok(())
}

fn inundation(rows: &mut Rows<'_>) -> Result<(), Error> {
    let body = &rows.report.body;
    for warning in list(body, &["warning"]) {
        for item in list(warning, &["item"]) {
            let kinds = list(item, &["kind"]);
            if !kinds.iter().any(|kind| text(kind, &["name"]).starts_with("浸水想定地区")) {
                continue;
            }
            for (area, code_type) in areas(item) {
                let mut fields: Vec<(&str, Field<'_>)> = vec![
                    ("informationType", get(warning, &["type"]).into()),
                    ("areaName", get(area, &["name"]).into()),
                    ("areaCode", get(area, &["code"]).into()),
                    ("areaCodeType", code_type.into()),
                    ("kinds", Field::Kinds(kinds)),
                ];
                let places: [(&str, &[&str]); 4] = [
                    ("prefecture", &["prefecture", "value"]),
                    ("city", &["city", "value"]),
                    ("cityCode", &["cityCode"]),
                    ("subCityList", &["subCityList"]),
                ];
                fields.extend(places.map(|(name, path)| (name, get(area, path).into())));
                rows.add("inundation", &fields)?;
            }
        }
    }
    Ok(())
}

fn water_level(rows: &mut Rows<'_>, series: &Value, item: &Value) -> Result<(), Error> {
    let properties = list(item, &["kind"]).iter().flat_map(|kind| list(kind, &["property"]));
    // By type and time, so that a message with many of both stays cheap.
    let mut measured: HashMap<(&str, Option<i64>), &Value> = HashMap::new();
    for one in properties.flat_map(|property| list(property, &["waterLevelPart", "waterLevel"])) {
        measured.entry((text(one, &["type"]), get(one, &["refID"]).as_i64())).or_insert(one);
    }
    if measured.is_empty() {
        return Ok(());
    }
    let mut levels = Vec::new();
    for time in list(series, &["timeDefines", "timeDefine"]).iter().take(TIMES_MAX) {
        let id = get(time, &["timeId"]).as_i64();
        let of = |kind: &'static str| measured.get(&(kind, id)).copied().unwrap_or(&Value::Null);
        let height = of("水位");
        levels.push(json!({
            "time": get(time, &["dateTime", "value"]),
            "timeName": get(time, &["name"]),
            "waterLevelM": get(height, &["value"]),
            "condition": get(height, &["condition"]),
            "level": get(of("レベル"), &["value"]),
        }));
    }
    let station = get(item, &["station"]);
    let code = list(station, &["code"]).first().unwrap_or(&Value::Null);
    let station: Map<String, Value> = [
        ("stationName", get(station, &["name"])),
        ("stationCode", get(code, &["value"])),
        ("location", get(station, &["location"])),
    ]
    .map(|(name, value)| (name.to_owned(), value.clone()))
    .into_iter()
    .collect();
    let mut fields: Vec<(&str, Field<'_>)> = vec![("levels", Value::Array(levels).into())];
    fields.extend(station.iter().map(|(name, value)| (name.as_str(), value.into())));
    rows.add("waterLevel", &fields)
}
