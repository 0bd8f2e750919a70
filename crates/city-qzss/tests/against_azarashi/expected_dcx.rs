//! The row of a message of type 44, made of azarashi's fields.

use city_qzss::dcx::Detail;
use serde_json::{Value, json};

use crate::Row;
use crate::expected::{coded, put};

const NONE: Value = Value::Null;

pub fn write(row: &mut Row, class: &str, fields: &Value, camf: &Value) {
    let is_of_transmission = camf["sdmt"] == 1;
    put(row, "satelliteMaskType", &json!(if is_of_transmission { "transmission" } else { "region" }));
    let is_set = |text: &Value| u8::from(text == "For use outside Japan" || text == "Transmission in progress");
    let mask: Vec<u8> = fields["satellite_designation_mask"].as_array().unwrap().iter().map(is_set).collect();
    put(row, "satelliteMask", &json!(mask));
    if class == "NullMsg" {
        return;
    }
    put(row, "version", &fields["dcx_version"]);
    put(row, "isTraining", &json!(fields["a1_message_type"] == "Test"));
    for (ours, number, theirs) in [
        ("alertType", "a1", "a1_message_type"),
        ("country", "a2", "a2_country_region_name"),
        ("provider", "a3", "a3_provider_identifier"),
        ("hazard", "a4", "a4_hazard_type"),
        ("severity", "a5", "a5_severity"),
        ("duration", "a8", "a8_hazard_duration"),
        ("library", "a9", "a9_type_of_library"),
        ("libraryVersion", "a10", "a10_library_version"),
    ] {
        coded(row, ours, &camf[number], &NONE, &fields[theirs]);
    }
    put(row, "hazardCategoryEn", &fields["a4_hazard_category"]);
    put(row, "hazardDefinitionEn", &fields["a4_hazard_definition"]);
    put(row, "onsetTime", &fields["a6a7_hazard_onset_datetime"]);
    put(row, "onsetIsNextWeek", &json!(fields["a6_hazard_onset_week"] == "Next"));
    put(row, "onsetMinuteOfWeek", &camf["a7"]);
    instruction(row, fields, camf);
    if fields["ignore_a12_to_a16"] == false {
        ellipse(
            row,
            fields,
            ["", "a12_ellipse_centre", "a13_ellipse_centre", "a14_ellipse", "a15_ellipse", "a16_ellipse"],
        );
    }
    if !fields["a17_type_of_specific_settings"].is_null() {
        settings(row, fields, camf);
    }
    areas(row, fields, camf);
    if fields["ignore_ex2_to_ex7"] == false {
        coded(row, "evacuation", &camf["ex2"], &NONE, &fields["ex2_evacuate_direction_type"]);
        let of = "additional_ellipse";
        let names = ["ex3", "ex4", "ex5", "ex6", "ex7"].map(|field| format!("{field}_{of}"));
        let [a, b, c, d, e] = names.each_ref().map(String::as_str);
        ellipse(row, fields, ["evacuation", &format!("{a}_centre"), &format!("{b}_centre"), c, d, e]);
    }
}

fn instruction(row: &mut Row, fields: &Value, camf: &Value) {
    let code = camf["a11"].as_u64().unwrap();
    if fields["a11_international_library_code"].is_string() {
        for (ours, theirs, code) in [("A", "a", code >> 5), ("B", "b", code & 31)] {
            let text = &fields[format!("a11_international_library_{theirs}")];
            coded(row, &format!("instruction{ours}"), &json!(code), &NONE, text);
            put(row, format!("instruction{ours}Id"), &fields[format!("a11_international_library_{theirs}_code")]);
        }
    } else {
        let (ja, en) = (&fields["a11_japanese_library_ja"], &fields["a11_japanese_library"]);
        coded(row, "instruction", &camf["a11"], ja, en);
    }
}

fn key(before: &str, name: &str) -> String {
    if before.is_empty() { name.to_owned() } else { format!("{before}{}{}", name[..1].to_uppercase(), &name[1..]) }
}

/// Azarashi lets longitudes run on past the date line.
fn longitude(value: &Value) -> Value {
    let Some(degrees) = value.as_f64() else { return Value::Null };
    let turned = if degrees > 180.0 {
        degrees - 360.0
    } else if degrees < -180.0 {
        degrees + 360.0
    } else {
        degrees
    };
    json!((turned * 1e6).round() / 1e6)
}

fn ellipse(row: &mut Row, fields: &Value, [before, a, b, c, d, e]: [&str; 6]) {
    put(row, key(before, "latitude"), &fields[format!("{a}_latitude")]);
    put(row, key(before, "longitude"), &longitude(&fields[format!("{b}_longitude")]));
    put(row, key(before, "semiMajorKm"), &fields[format!("{c}_semi_major_axis")]);
    put(row, key(before, "semiMinorKm"), &fields[format!("{d}_semi_minor_axis")]);
    put(row, key(before, "azimuthDegrees"), &fields[format!("{e}_azimuth")]);
}

fn settings(row: &mut Row, fields: &Value, camf: &Value) {
    coded(row, "settings", &camf["a17"], &NONE, &fields["a17_type_of_specific_settings"]);
    match camf["a17"].as_u64() {
        Some(0) => {
            put(row, "refinedLatitude", &fields["c1_refined_latitude_of_centre_of_main_ellipse"]);
            put(row, "refinedLongitude", &longitude(&fields["c2_refined_longitude_of_centre_of_main_ellipse"]));
            put(row, "refinedSemiMajorKm", &fields["c3_refined_length_of_semi_major_axis"]);
            put(row, "refinedSemiMinorKm", &fields["c4_refined_length_of_semi_minor_axis"]);
            put(row, "refinedAzimuthDegrees", &fields["a16_ellipse_azimuth"]);
        }
        Some(1) => {
            put(row, "hazardLatitude", &fields["c5_latitude_of_centre_of_hazard"]);
            put(row, "hazardLongitude", &longitude(&fields["c6_longitude_of_centre_of_hazard"]));
        }
        Some(2) => {
            put(row, "secondEllipseShift", &fields["c7_shift_of_second_ellipse_centre"]);
            put(row, "secondEllipseFactor", &fields["c8_homothetic_factor_of_second_ellipse"]);
            put(row, "secondEllipseBearingDegrees", &fields["c9_bearing_angle_of_second_ellipse"]);
            let text = &fields["c10_instruction_library_for_second_ellipse"];
            coded(row, "secondEllipseInstruction", &camf["c10"], &NONE, text);
        }
        _ => {
            for number in 1..=36u8 {
                let code = &camf[format!("d{number}")];
                let begin = format!("d{number}_");
                let text = fields.as_object().unwrap().iter().find(|(name, _)| name.starts_with(&begin));
                let Some((_, text)) = text.filter(|_| !code.is_null()) else { continue };
                match number {
                    3 => put(row, "epicentreAzimuthDegrees", text),
                    4 => put(row, "epicentreDistance", text),
                    _ => coded(row, Detail { number, code: 0 }.name(), code, &NONE, text),
                }
            }
        }
    }
}

fn areas(row: &mut Row, fields: &Value, camf: &Value) {
    let list = |codes: Vec<u64>, ja: &Value, en: &Value| {
        let named = codes.iter().enumerate().map(|(at, code)| {
            let mut area = Row::new();
            coded(&mut area, "", &json!(code), &ja[at], &en[at]);
            Value::Object(area)
        });
        named.collect::<Vec<Value>>()
    };
    if fields["ignore_ex1"] == false {
        // Azarashi names 0 as an undefined place; there is none (and none in its JSON).
        let codes = camf["ex1"].as_u64().filter(|code| *code != 0).into_iter().collect();
        put(row, "areaType", &json!("municipality"));
        let (ja, en) = (json!([fields["ex1_target_area_ja"]]), json!([fields["ex1_target_area"]]));
        put(row, "areas", &list(codes, &ja, &en).into());
    }
    if fields["ignore_ex8_to_ex9"] == false {
        let bits = camf["ex9"].as_u64().unwrap();
        let (of, codes) = match camf["ex8"].as_u64() {
            Some(0) => ("prefecture", (1..=47).filter(|code| bits >> (16 + code) & 1 == 1).collect()),
            _ => (
                "municipality",
                [48, 32, 16, 0].map(|at| bits >> at & 0xFFFF).into_iter().filter(|c| *c != 0).collect(),
            ),
        };
        put(row, "areaType", &json!(of));
        let (ja, en) = (&fields["ex9_target_area_list_ja"], &fields["ex9_target_area_list"]);
        put(row, "areas", &list(codes, ja, en).into());
    }
}
