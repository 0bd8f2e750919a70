//! Rows of earthquakes, and of the intensity in each area and city.

use serde_json::Value;

use super::{Error, Field, Rows, get, list, place, text};

pub(super) fn rows(rows: &mut Rows<'_>) -> Result<(), Error> {
    earthquakes(rows)?;
    let intensity = get(&rows.report.body, &["intensity"]);
    for section in ["observation", "forecast"] {
        intensities(rows, section, get(intensity, &[section]))?;
    }
    Ok(())
}

fn earthquakes(rows: &mut Rows<'_>) -> Result<(), Error> {
    let body = &rows.report.body;
    let observed = get(body, &["intensity", "observation"]);
    for earthquake in list(body, &["earthquake"]) {
        let area = get(earthquake, &["hypocenter", "area"]);
        let coordinates = get(area, &["coordinate"]);
        let position = place::first(coordinates);
        let described = list(coordinates, &[]).first().map_or(&Value::Null, |one| get(one, &["description"]));
        let magnitude = list(earthquake, &["magnitude"]).first().unwrap_or(&Value::Null);
        let depth = position.and_then(|position| position.height_m).map(|height| 0.0 - height);
        rows.add(
            "earthquake",
            &[
                ("originTime", get(earthquake, &["originTime"]).into()),
                ("arrivalTime", get(earthquake, &["arrivalTime"]).into()),
                ("condition", get(earthquake, &["condition"]).into()),
                ("hypocenterName", get(area, &["name"]).into()),
                ("hypocenterCode", get(area, &["code", "value"]).into()),
                ("latitude", Value::from(position.map(|position| position.latitude)).into()),
                ("longitude", Value::from(position.map(|position| position.longitude)).into()),
                ("depthM", Value::from(depth).into()),
                ("coordinateDescription", described.into()),
                ("magnitude", get(magnitude, &["value"]).into()),
                ("magnitudeType", get(magnitude, &["type"]).into()),
                ("magnitudeCondition", get(magnitude, &["condition"]).into()),
                ("magnitudeDescription", get(magnitude, &["description"]).into()),
                ("maxInt", get(observed, &["maxInt"]).into()),
                ("maxLgInt", get(observed, &["maxLgInt"]).into()),
            ],
        )?;
    }
    Ok(())
}

/// Areas (細分区域) and, where the message has them, their cities (市町村等).
fn intensities(rows: &mut Rows<'_>, section: &str, detail: &Value) -> Result<(), Error> {
    let defined = list(detail, &["codeDefine", "type"]);
    let (of_areas, of_cities) = (code_type(defined, "Pref/Area/Code"), code_type(defined, "Pref/Area/City/Code"));
    for pref in list(detail, &["pref"]) {
        for area in list(pref, &["area"]) {
            intensity(rows, section, "area", pref, area, of_areas)?;
            for city in list(area, &["city"]) {
                intensity(rows, section, "city", pref, city, of_cities)?;
            }
        }
    }
    Ok(())
}

fn intensity(
    rows: &mut Rows<'_>,
    section: &str,
    level: &str,
    pref: &Value,
    area: &Value,
    code_type: &Value,
) -> Result<(), Error> {
    let mut fields: Vec<(&str, Field<'_>)> = vec![
        ("section", section.into()),
        ("level", level.into()),
        ("prefName", get(pref, &["name"]).into()),
        ("prefCode", get(pref, &["code"]).into()),
        ("areaName", get(area, &["name"]).into()),
        ("areaCode", get(area, &["code"]).into()),
        ("areaCodeType", code_type.into()),
    ];
    let paths: [(&str, &[&str]); 10] = [
        ("maxInt", &["maxInt"]),
        ("maxLgInt", &["maxLgInt"]),
        ("forecastIntFrom", &["forecastInt", "from"]),
        ("forecastIntTo", &["forecastInt", "to"]),
        ("forecastLgIntFrom", &["forecastLgInt", "from"]),
        ("forecastLgIntTo", &["forecastLgInt", "to"]),
        ("arrivalTime", &["arrivalTime"]),
        ("condition", &["condition"]),
        ("kindName", &["category", "kind", "name"]),
        ("kindCode", &["category", "kind", "code"]),
    ];
    fields.extend(paths.map(|(name, path)| (name, get(area, path).into())));
    rows.add("intensity", &fields)
}

/// Which list the codes at a path of the message are of.
pub(super) fn code_type<'v>(defined: &'v [Value], xpath: &str) -> &'v Value {
    let found = defined.iter().find(|one| text(one, &["xpath"]) == xpath);
    found.map_or(&Value::Null, |one| get(one, &["value"]))
}
