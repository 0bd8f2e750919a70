//! Rows of areas with the kinds that apply to them: of the lists of warnings in a body, or of the headline.

use std::collections::HashMap;

use serde_json::Value;

use super::{Error, Field, Rows, get, list, text};

/// `Warning/Item`, one row for each area. Where the body does not say which list its codes are of, the headline
/// has the same list with it.
pub(super) fn warnings(rows: &mut Rows<'_>, row_kind: &str) -> Result<(), Error> {
    let report = rows.report;
    let target = get(&report.body, &["targetArea"]);
    let of_headline = code_types(&report.head.headline.information);
    for warning in list(&report.body, &["warning"]) {
        let of_headline = of_headline.get(text(warning, &["type"])).copied().unwrap_or(&Value::Null);
        for item in list(warning, &["item"]) {
            for (area, code_type) in areas(item) {
                let code_type = if code_type.is_null() { of_headline } else { code_type };
                let mut fields: Vec<(&str, Field<'_>)> = vec![
                    ("informationType", get(warning, &["type"]).into()),
                    ("areaName", get(area, &["name"]).into()),
                    ("areaCode", code(area).into()),
                    ("areaCodeType", code_type.into()),
                    ("kinds", Field::Kinds(list(item, &["kind"]))),
                ];
                fields.extend(match row_kind {
                    "landslide" => [
                        ("targetAreaName", get(target, &["name"]).into()),
                        ("targetAreaCode", get(target, &["code"]).into()),
                    ],
                    _ => [
                        ("changeStatus", get(item, &["changeStatus"]).into()),
                        ("fullStatus", get(item, &["fullStatus"]).into()),
                    ],
                });
                rows.add(row_kind, &fields)?;
            }
        }
    }
    Ok(())
}

/// `Headline/Information/Item`, one row for each area.
pub(super) fn headline(rows: &mut Rows<'_>, row_kind: &str) -> Result<(), Error> {
    let report = rows.report;
    for information in &report.head.headline.information {
        for item in list(information, &["item"]) {
            for (area, code_type) in areas(item) {
                let mut fields: Vec<(&str, Field<'_>)> = vec![
                    ("informationType", get(information, &["type"]).into()),
                    ("areaName", get(area, &["name"]).into()),
                    ("areaCode", code(area).into()),
                    ("areaCodeType", code_type.into()),
                    ("kinds", Field::Kinds(list(item, &["kind"]))),
                ];
                if row_kind == "warning" {
                    // As the warnings of a body, which have more to say.
                    fields.extend(["changeStatus", "fullStatus"].map(|name| (name, Value::Null.into())));
                }
                rows.add(row_kind, &fields)?;
            }
        }
    }
    Ok(())
}

/// Areas or stations of an item, each with the list that its code is of.
pub(super) fn areas(item: &Value) -> Vec<(&Value, &Value)> {
    let several = list(item, &["areas", "area"]).iter();
    let mut found: Vec<(&Value, &Value)> = several
        .map(|area| {
            let own = get(area, &["codeType"]);
            (area, if own.is_null() { get(item, &["areas", "codeType"]) } else { own })
        })
        .collect();
    let one = get(item, &["area"]);
    if !one.is_null() {
        found.push((one, get(one, &["codeType"])));
    }
    if found.is_empty() {
        let several = list(item, &["stations", "station"]).iter();
        let stations = several.chain(Some(get(item, &["station"])).filter(|station| !station.is_null()));
        found.extend(stations.map(|station| (station, get(first(get(station, &["code"])), &["type"]))));
    }
    found
}

/// The code of an area, or the first of a station.
fn code(area: &Value) -> &Value {
    match get(area, &["code"]) {
        Value::Array(codes) => codes.first().map_or(&Value::Null, |code| get(code, &["value"])),
        code => code,
    }
}

fn first(value: &Value) -> &Value {
    value.as_array().and_then(|list| list.first()).unwrap_or(value)
}

/// Which list the codes of each list of the headline are of.
fn code_types(information: &[Value]) -> HashMap<&str, &Value> {
    let known = information.iter().map(|one| {
        let item = list(one, &["item"]).first().unwrap_or(&Value::Null);
        (text(one, &["type"]), get(item, &["areas", "codeType"]))
    });
    known.collect()
}
