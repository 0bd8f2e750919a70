//! The row of a message, made of azarashi's fields: what must be the same, and what is not.

use serde_json::{Value, json};

use crate::{Row, expected_dcx};

/// Classes of azarashi, and what we call them.
const KINDS: [(&str, &str); 18] = [
    ("EarthquakeEarlyWarning", "earthquakeEarlyWarning"),
    ("Hypocenter", "hypocentre"),
    ("SeismicIntensity", "seismicIntensity"),
    ("NankaiTroughEarthquake", "nankaiTroughEarthquake"),
    ("Tsunami", "tsunami"),
    ("NorthwestPacificTsunami", "northwestPacificTsunami"),
    ("Volcano", "volcano"),
    ("AshFall", "ashFall"),
    ("Weather", "weather"),
    ("Flood", "flood"),
    ("Typhoon", "typhoon"),
    ("Marine", "marine"),
    ("NullMsg", "null"),
    ("LAlert", "lAlert"),
    ("JAlert", "jAlert"),
    ("MTInfo", "localGovernment"),
    ("OutsideJapan", "outsideJapan"),
    ("Unknown", "unknown"),
];

/// Our name and azarashi's, of what a class has once.
fn singles(class: &str) -> &'static [(&'static str, &'static str)] {
    match class {
        "EarthquakeEarlyWarning" => &[
            ("epicentre", "seismic_epicenter"),
            ("depth", "depth_of_hypocenter"),
            ("magnitude", "magnitude"),
            ("intensityLower", "seismic_intensity_lower_limit"),
            ("intensityUpper", "seismic_intensity_upper_limit"),
            ("groundMotionLower", "long_period_ground_motion_lower_limit"),
            ("groundMotionUpper", "long_period_ground_motion_upper_limit"),
        ],
        "Hypocenter" => {
            &[("epicentre", "seismic_epicenter"), ("depth", "depth_of_hypocenter"), ("magnitude", "magnitude")]
        }
        "NankaiTroughEarthquake" => &[("informationSerial", "information_serial_code")],
        "Tsunami" => &[("warning", "tsunami_warning_code")],
        "NorthwestPacificTsunami" => &[("tsunamigenicPotential", "tsunamigenic_potential")],
        "Volcano" => &[("volcano", "volcano_name"), ("warning", "volcanic_warning_code")],
        "AshFall" => &[("volcano", "volcano_name"), ("forecastType", "ash_fall_warning_type")],
        "Weather" => &[("warningState", "weather_warning_state")],
        "Typhoon" => &[
            ("number", "typhoon_number"),
            ("referenceType", "reference_time_type"),
            ("hours", "elapsed_time_from_reference_time"),
            ("scale", "typhoon_scale_category"),
            ("intensity", "typhoon_intensity_category"),
            ("centralPressure", "central_pressure"),
            ("maximumWind", "maximum_wind_speed"),
            ("maximumGust", "maximum_gust_wind_speed"),
        ],
        _ => &[],
    }
}

/// Our name in `areas` and azarashi's list.
fn columns(class: &str) -> &'static [(&'static str, &'static str)] {
    match class {
        "EarthquakeEarlyWarning" => &[("", "eew_forecast_regions")],
        "SeismicIntensity" => &[("", "prefectures"), ("intensity", "seismic_intensities")],
        "Tsunami" => &[("", "tsunami_forecast_regions"), ("height", "tsunami_heights")],
        "NorthwestPacificTsunami" => &[("", "coastal_regions"), ("height", "tsunami_heights")],
        "Volcano" => &[("", "local_governments")],
        "AshFall" => {
            &[("", "local_governments"), ("hours", "expected_ash_fall_times"), ("warning", "ash_fall_warning_codes")]
        }
        "Weather" => &[("", "weather_forecast_regions"), ("warning", "weather_related_disaster_sub_categories")],
        "Flood" => &[("", "flood_forecast_regions"), ("warning", "flood_warning_levels")],
        "Marine" => &[("", "marine_forecast_regions"), ("warning", "marine_warning_codes")],
        _ => &[],
    }
}

/// Our name and azarashi's, of times.
const TIMES: [(&str, &str); 3] = [
    ("occurrenceTime", "occurrence_time_of_earthquake"),
    ("activityTime", "activity_time"),
    ("referenceTime", "reference_time"),
];

pub fn put(row: &mut Row, key: impl Into<String>, value: &Value) {
    if !value.is_null() && value != "" {
        row.insert(key.into(), value.clone());
    }
}

pub fn coded(row: &mut Row, name: &str, code: &Value, ja: &Value, en: &Value) {
    for (suffix, value) in [("Code", code), ("Ja", ja), ("En", en)] {
        let key = if name.is_empty() { suffix.to_lowercase() } else { format!("{name}{suffix}") };
        put(row, key, value);
    }
}

pub fn row(answer: &Value) -> Row {
    let (class, fields) = (answer["class"].as_str().unwrap(), &answer["fields"]);
    let mut row = Row::new();
    let kind = KINDS.iter().find(|(theirs, _)| *theirs == class).map(|(_, ours)| *ours);
    put(&mut row, "messageType", &fields["message_type"]);
    put(&mut row, "kind", &json!(kind));
    let digest = format!("{}:{}", fields["message_type"].as_str().unwrap(), fields["raw"].as_str().unwrap());
    put(&mut row, "digest", &json!(digest));
    put(&mut row, "satelliteId", &fields["satellite_id"]);
    put(&mut row, "satellitePrn", &fields["satellite_prn"]);
    put(&mut row, "preamble", &fields["preamble"]);
    match fields["message_type"].as_str() {
        Some("DCR") => dcr(&mut row, class, fields, &answer["en"]),
        _ => expected_dcx::write(&mut row, class, fields, &answer["camf"]),
    }
    row
}

fn dcr(row: &mut Row, class: &str, fields: &Value, en: &Value) {
    put(row, "version", &fields["version"]);
    put(row, "isTraining", &json!(fields["report_classification_no"] == 7));
    for (ours, theirs) in [
        ("reportClassification", "report_classification"),
        ("disasterCategory", "disaster_category"),
        ("informationType", "information_type"),
    ] {
        let (no, en) = (&fields[format!("{theirs}_no")], &fields[format!("{theirs}_en")]);
        coded(row, ours, no, &fields[theirs], en);
    }
    put(row, "reportTime", &fields["report_time"]);
    for (ours, theirs) in TIMES {
        put(row, ours, &fields[theirs]);
    }
    for (ours, theirs) in singles(class) {
        let raw = format!("{theirs}_raw");
        // Where a class of ground motion is not given, azarashi shows no name; its list has one.
        let is_hidden = theirs.starts_with("long_period") && fields[&raw] == 0;
        let ja = if is_hidden { &json!("該当情報なし") } else { &fields[*theirs] };
        coded(row, ours, &fields[&raw], ja, &en[&raw]);
    }
    if let Some(codes) = fields["notifications_on_disaster_prevention_raw"].as_array() {
        let list: Vec<Value> = (0..codes.len()).map(|at| area(fields, en, at, &[NOTIFICATION]).into()).collect();
        put(row, "notifications", &list.into());
    }
    let columns = columns(class);
    if let Some((_, theirs)) = columns.first() {
        let count = fields[format!("{theirs}_raw")].as_array().unwrap().len();
        let mut list: Vec<Row> = (0..count).map(|at| area(fields, en, at, columns)).collect();
        if fields["expected_tsunami_arrival_times"].is_array() {
            list.iter_mut().enumerate().for_each(|(at, area)| arrival(area, fields, at));
        }
        put(row, "areas", &json!(list));
    }
    numbers(row, class, fields);
}

const NOTIFICATION: (&str, &str) = ("", "notifications_on_disaster_prevention");

fn area(fields: &Value, en: &Value, at: usize, columns: &[(&str, &str)]) -> Row {
    let mut area = Row::new();
    for (ours, theirs) in columns {
        let raw = format!("{theirs}_raw");
        coded(&mut area, ours, &fields[&raw][at], &fields[*theirs][at], &en[&raw][at]);
    }
    area
}

fn arrival(area: &mut Row, fields: &Value, at: usize) {
    let (time, raw) =
        (&fields["expected_tsunami_arrival_times"][at], &fields["expected_tsunami_arrival_times_raw"][at]);
    let (ja, en) =
        (&fields["expected_tsunami_arrival_time_types"][at], &fields["expected_tsunami_arrival_time_types_en"][at]);
    put(area, "arrivalTime", time);
    if en.as_str().unwrap().starts_with("Undefined") {
        let part = |name: &str| raw[name].as_u64().unwrap();
        put(area, "arrivalCode", &json!(part("day") << 11 | part("hour") << 6 | part("minute")));
    }
    put(area, "arrivalJa", ja);
    put(area, "arrivalEn", en);
}

/// Numbers that azarashi leaves in its texts.
fn numbers(row: &mut Row, class: &str, fields: &Value) {
    let number = |field: &str, unit: &str| {
        let text = fields[field].as_str()?.strip_suffix(unit)?;
        serde_json::from_str::<Value>(text).ok().filter(Value::is_number)
    };
    match class {
        "EarthquakeEarlyWarning" | "Hypocenter" => {
            put(row, "depthKm", &json!(number("depth_of_hypocenter", "km")));
            put(row, "magnitude", &json!(number("magnitude", "")));
        }
        "Typhoon" => {
            // A pressure of 0 is none, though the list has it.
            let pressure = number("central_pressure", "hPa").filter(|pressure| *pressure != json!(0));
            put(row, "centralPressureHpa", &json!(pressure));
            put(row, "maximumWindMs", &json!(number("maximum_wind_speed", "m/s")));
            put(row, "maximumGustMs", &json!(number("maximum_gust_wind_speed", "m/s")));
        }
        "Volcano" => {
            let ambiguity = &fields["ambiguity_of_activity_time_no"];
            put(row, "activityTimeAmbiguityCode", ambiguity);
        }
        "NankaiTroughEarthquake" => {
            put(row, "page", &fields["page_number"]);
            put(row, "pages", &fields["total_page"]);
            put(row, "textHex", &fields["text_information"]);
        }
        _ => {}
    }
    put(row, "isAssumedHypocentre", &fields["assumptive"]);
    for field in ["coordinates_of_hypocenter", "coordinates_of_typhoon"] {
        // Azarashi names a position beyond its range as a code; we have none then.
        if fields[field].as_str().is_some_and(|text| text.starts_with(['北', '南'])) {
            let raw = &fields[format!("{field}_raw")];
            let degrees = |from: &str, side: &str| {
                let part = |unit: &str| raw[format!("{from}_{unit}")].as_f64().unwrap();
                let degrees = part("d") + part("m") / 60.0 + part("s") / 3_600.0;
                let signed = if raw[side] == 1 { -degrees } else { degrees };
                json!((signed * 1e6).round() / 1e6)
            };
            put(row, "latitude", &degrees("lat", "lat_ns"));
            put(row, "longitude", &degrees("lon", "lon_ew"));
        }
    }
}

/// What is not the same, with its reason: taken out of our row, or put into it, before the two are held together.
pub fn forgive(ours: &mut Row, theirs: &Row, answer: &Value) {
    let fields = &answer["fields"];
    // Du has names in English alone, and azarashi's report has the number alone.
    if let Some(name) = theirs.get("activityTimeAmbiguityCode") {
        let en = ours.remove("activityTimeAmbiguityEn");
        assert_eq!(en.as_ref(), Some(&answer["en"]["ambiguity_of_activity_time_no"]), "{name}");
    }
    // Of one page alone we show the text; azarashi shows it when it is asked.
    if let Some(text) = ours.remove("text") {
        assert_eq!(answer["fields"]["total_page"], 1, "{text}");
    }
    // Half a month from the report, azarashi takes the month of the report and we the nearest instant. (Of a volcano
    // both look back.)
    let day_of_report = fields["report_time"].as_str().and_then(|time| time.get(8..10)?.parse::<i64>().ok());
    for (name, theirs) in TIMES {
        let day = fields[format!("{theirs}_raw")]["day"].as_i64();
        let (Some(day), Some(of_report)) = (day, day_of_report) else { continue };
        if (12..=19).contains(&(day - of_report).abs()) && answer["class"] != "Volcano" {
            match &fields[theirs] {
                Value::Null => ours.remove(name),
                time => ours.insert(name.to_owned(), time.clone()),
            };
        }
    }
}
