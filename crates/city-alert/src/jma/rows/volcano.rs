//! Rows of volcanoes: warnings, observations and forecasts of ash, one for each area.

use serde_json::Value;

use super::area::areas;
use super::{Error, Field, Rows, get, list, place};

pub(super) fn rows(rows: &mut Rows<'_>) -> Result<(), Error> {
    let body = &rows.report.body;
    for information in list(body, &["volcanoInfo"]) {
        for item in list(information, &["item"]) {
            for (area, code_type) in areas(item) {
                rows.add("volcano", &volcano_fields(get(information, &["type"]), item, area, code_type))?;
            }
        }
    }
    let ash = get(body, &["ashInfos"]);
    for information in list(ash, &["ashInfo"]) {
        for item in list(information, &["item"]) {
            let property = get(item, &["kind", "property"]);
            for (area, code_type) in areas(item) {
                let mut fields = area_fields(get(ash, &["type"]), item, area, code_type);
                fields.push(("startTime", get(information, &["startTime"]).into()));
                fields.push(("endTime", get(information, &["endTime"]).into()));
                fields.push(("ashInfoType", get(information, &["type"]).into()));
                fields.push(("polygons", get(property, &["polygon"]).into()));
                fields.push(("distance", get(property, &["distance"]).into()));
                fields.push(("plumeDirection", get(property, &["plumeDirection"]).into()));
                fields.push(("size", get(property, &["size"]).into()));
                rows.add("ashfall", &fields)?;
            }
        }
    }
    Ok(())
}

type Fields<'v> = Vec<(&'static str, Field<'v>)>;

fn area_fields<'v>(kind: &'v Value, item: &'v Value, area: &'v Value, code_type: &'v Value) -> Fields<'v> {
    vec![
        ("informationType", kind.into()),
        ("areaName", get(area, &["name"]).into()),
        ("areaCode", get(area, &["code"]).into()),
        ("areaCodeType", code_type.into()),
        ("kindName", get(item, &["kind", "name"]).into()),
        ("kindCode", get(item, &["kind", "code"]).into()),
    ]
}

fn volcano_fields<'v>(kind: &'v Value, item: &'v Value, area: &'v Value, code_type: &'v Value) -> Fields<'v> {
    let position = place::first(get(area, &["coordinate"]));
    let mut fields = area_fields(kind, item, area, code_type);
    fields.extend([
        ("latitude", Value::from(position.map(|position| position.latitude)).into()),
        ("longitude", Value::from(position.map(|position| position.longitude)).into()),
        ("heightM", Value::from(position.and_then(|position| position.height_m)).into()),
    ]);
    let paths: [(&str, &Value, &[&str]); 5] = [
        ("craterName", area, &["craterName"]),
        ("kindCondition", item, &["kind", "condition"]),
        ("lastKindName", item, &["lastKind", "name"]),
        ("lastKindCode", item, &["lastKind", "code"]),
        ("eventTime", item, &["eventTime", "eventDateTime", "value"]),
    ];
    fields.extend(paths.map(|(name, of, path)| (name, get(of, path).into())));
    fields
}
