//! Rows of typhoons: one for each time of an analysis or forecast, and of areas with their probability of a storm.

use serde_json::Value;

use super::area::areas;
use super::{Error, Rows, get, list, place, text};

pub(super) fn rows(rows: &mut Rows<'_>) -> Result<(), Error> {
    let body = &rows.report.body;
    // The name stands in the first of a message's times alone.
    let mut name = &Value::Null;
    for infos in list(body, &["meteorologicalInfos"]).iter().filter(|one| text(one, &["type"]) == "台風情報") {
        for info in list(infos, &["meteorologicalInfo"]) {
            for item in list(info, &["item"]) {
                let named = part(item, "typhoonNamePart");
                if !named.is_null() {
                    name = named;
                }
                let probability = list(item, &["kind"])
                    .iter()
                    .flat_map(|kind| list(kind, &["property"]))
                    .find_map(|property| list(property, &["fiftyKtWindProbabilityPart"]).first());
                match probability {
                    Some(part) => probabilities(rows, info, item, name, part)?,
                    // A message of probabilities has its typhoon's name in an item of its own.
                    None if !text(info, &["type"]).is_empty() => {}
                    None => typhoon(rows, info, item, name)?,
                }
            }
        }
    }
    Ok(())
}

fn typhoon(rows: &mut Rows<'_>, info: &Value, item: &Value, name: &Value) -> Result<(), Error> {
    let (class, center, wind) = (part(item, "classPart"), part(item, "centerPart"), part(item, "windPart"));
    let circle = list(center, &["probabilityCircle"]).first().unwrap_or(&Value::Null);
    let position = place::first(get(center, &["coordinate"])).or_else(|| place::first(get(circle, &["basePoint"])));
    let properties = list(item, &["kind"]).iter().flat_map(|kind| list(kind, &["property"]));
    let warning_areas = properties.map(|property| get(property, &["warningAreaPart"])).find(|areas| !areas.is_null());
    rows.add(
        "typhoon",
        &[
            ("time", get(info, &["dateTime", "value"]).into()),
            ("timeType", get(info, &["dateTime", "type"]).into()),
            ("typhoonNumber", get(name, &["number"]).into()),
            ("typhoonName", get(name, &["name"]).into()),
            ("typhoonNameKana", get(name, &["nameKana"]).into()),
            ("remark", get(name, &["remark"]).into()),
            ("typhoonClass", get(class, &["typhoonClass", "value"]).into()),
            ("areaClass", get(class, &["areaClass", "value"]).into()),
            ("intensityClass", get(class, &["intensityClass", "value"]).into()),
            ("latitude", Value::from(position.map(|position| position.latitude)).into()),
            ("longitude", Value::from(position.map(|position| position.longitude)).into()),
            ("location", get(center, &["location"]).into()),
            ("direction", measured(get(center, &["direction"]), "移動方向", None).into()),
            ("speedKmH", measured(get(center, &["speed"]), "移動速度", Some("km/h")).into()),
            ("pressureHpa", measured(get(center, &["pressure"]), "中心気圧", Some("hPa")).into()),
            ("windSpeedMS", measured(get(wind, &["windSpeed"]), "最大風速", Some("m/s")).into()),
            ("gustMS", measured(get(wind, &["windSpeed"]), "最大瞬間風速", Some("m/s")).into()),
            ("probabilityCircle", circle.into()),
            ("warningAreas", warning_areas.unwrap_or(&Value::Null).into()),
        ],
    )
}

fn probabilities(rows: &mut Rows<'_>, info: &Value, item: &Value, name: &Value, part: &Value) -> Result<(), Error> {
    for (area, _) in areas(item) {
        rows.add(
            "typhoonProbability",
            &[
                ("informationType", get(info, &["type"]).into()),
                ("time", get(info, &["dateTime", "value"]).into()),
                ("duration", get(info, &["duration"]).into()),
                ("timeName", get(info, &["name"]).into()),
                ("areaName", get(area, &["name"]).into()),
                ("areaCode", get(area, &["code"]).into()),
                ("typhoonNumber", get(name, &["number"]).into()),
                ("probabilities", get(part, &["fiftyKtWindProbability"]).into()),
            ],
        )?;
    }
    Ok(())
}

/// The part of that name among the properties of an item's kinds.
fn part<'v>(item: &'v Value, name: &str) -> &'v Value {
    let properties = list(item, &["kind"]).iter().flat_map(|kind| list(kind, &["property"]));
    properties.map(|property| get(property, &[name])).find(|part| !part.is_null()).unwrap_or(&Value::Null)
}

/// The value of that type and unit, in a measure or a list of them.
fn measured<'v>(measures: &'v Value, kind: &str, unit: Option<&str>) -> &'v Value {
    let measures = measures.as_array().map_or(std::slice::from_ref(measures), Vec::as_slice);
    let right = |one: &&Value| text(one, &["type"]) == kind && unit.is_none_or(|unit| text(one, &["unit"]) == unit);
    measures.iter().find(right).map_or(&Value::Null, |one| get(one, &["value"]))
}
