//! Rows of messages: what a city gets to act on, kind by kind.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

#[path = "data/mod.rs"]
mod data;

use std::collections::BTreeMap;
use std::sync::Arc;

use city_alert::jma::{self, Error, ROWS_MAX, Row};
use serde_json::{Value, json};

/// Rows of one sample, by the beginning of its name.
fn sample(files: &BTreeMap<String, Vec<u8>>, start: &str) -> Vec<Row> {
    let name = files.keys().find(|name| name.starts_with(&format!("sample_xmls/{start}"))).unwrap();
    jma::read(&files[name]).unwrap().rows().unwrap()
}

fn files() -> Option<Arc<BTreeMap<String, Vec<u8>>>> {
    data::unpacked("jma-xml/jma-xml-samples.tar.gz", ".xml")
}

/// The first row with these fields.
fn with<'r>(rows: &'r [Row], fields: &[(&str, &str)]) -> &'r Row {
    let right = |row: &&Row| fields.iter().all(|(name, value)| row[*name] == *value);
    rows.iter().find(right).unwrap_or_else(|| panic!("no row with {fields:?} among {}", rows.len()))
}

fn picked(row: &Row, names: &[&str]) -> Value {
    names.iter().map(|name| row[*name].clone()).collect()
}

/// Fields that no sample fills, and that the schema has all the same.
const NEVER_FILLED: &[&str] = &["earthquake.condition"];

#[test]
fn rows_of_a_kind_have_the_same_fields_and_each_is_filled_by_some_sample() {
    let Some(files) = files() else { return };
    let mut kinds: BTreeMap<String, (usize, BTreeMap<String, usize>)> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (name, bytes) in files.iter() {
        for row in jma::read(bytes).unwrap().rows().unwrap() {
            let kind = row["rowKind"].as_str().unwrap().to_owned();
            let (count, filled) =
                kinds.entry(kind.clone()).or_insert_with(|| (0, row.keys().map(|field| (field.clone(), 0)).collect()));
            *count += 1;
            if row.len() != filled.len() || !row.keys().all(|field| filled.contains_key(field)) {
                wrong.push(format!("{name}: a row of {kind} has other fields: {:?}", row.keys()));
            }
            for (field, _) in row.iter().filter(|(_, value)| !value.is_null()) {
                *filled.entry(field.clone()).or_default() += 1;
            }
        }
    }
    for (kind, (count, filled)) in &kinds {
        println!("{count} rows of {kind}");
        let empty = filled.iter().filter(|(_, count)| **count == 0).map(|(field, _)| format!("{kind}.{field}"));
        // How long it holds is in every row, and in few messages.
        let empty = empty.filter(|field| !field.ends_with(".validDateTime"));
        wrong.extend(empty.filter(|field| !NEVER_FILLED.contains(&field.as_str())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_warning_is_a_row_for_each_area_of_each_list() {
    let Some(files) = files() else { return };
    let rows = sample(&files, "15_16_04_250630_VPWW58");
    let row = with(&rows, &[("areaCode", "0121400"), ("rowKind", "warning")]);
    let names = ["areaName", "areaCodeType", "informationType", "status", "infoType", "reportDateTime", "headlineText"];
    let expected = json!([
        "稚内市",
        "気象・地震・火山情報／市町村等",
        "気象警報・注意報（市町村等）",
        "通常",
        "発表",
        "2020-06-22T23:00:00+09:00",
        "宗谷地方では、暴風に警戒してください。"
    ]);
    assert_eq!(picked(row, &names), expected);
    let kind = &row["kinds"][0];
    assert_eq!(json!([kind["name"], kind["code"], kind["status"]]), json!(["暴風警報", "05", "発表"]));
    assert!(kind.get("condition").is_some());
}

#[test]
fn an_emergency_warning_that_stands_in_the_headline_alone_is_rows_too() {
    let Some(files) = files() else { return };
    let rows = sample(&files, "62_01_03_130412_VPNO50");
    assert!(rows.len() > 1 && rows.iter().all(|row| row["rowKind"] == "warning" && row["areaCode"].is_string()));
}

#[test]
fn a_landslide_warning_is_a_row_for_each_city() {
    let Some(files) = files() else { return };
    let rows = sample(&files, "17_01_01_190529_VXWW50");
    let row = with(&rows, &[("rowKind", "landslide"), ("areaName", "北九州市")]);
    assert_eq!(picked(row, &["areaCode", "targetAreaName", "targetAreaCode"]), json!(["4010000", "福岡県", "400000"]));
    assert_eq!(row["kinds"], json!([{"name": "警戒", "code": "3", "status": "継続", "condition": null}]));
}

#[test]
fn a_flood_forecast_is_rows_of_the_river_its_districts_and_its_gauges() {
    let Some(files) = files() else { return };
    let rows = sample(&files, "16_01_01_220728_VXKOii");
    let river = with(&rows, &[("rowKind", "river"), ("areaName", "○○川上流")]);
    assert_eq!(picked(river, &["areaCode", "areaCodeType"]), json!(["123456789012", "指定河川洪水予報（予報区域）"]));
    assert_eq!(river["kinds"][0]["name"], "氾濫注意情報");
    let district = with(&rows, &[("rowKind", "inundation"), ("areaName", "△△△水位観測所")]);
    let names = ["city", "cityCode", "areaCodeType", "subCityList"];
    let expected = json!(["△△市", "0000000", "水位観測所", ["△△地区", "△△地区", "△△地区"]]);
    assert_eq!(picked(district, &names), expected);
    let gauge = with(&rows, &[("rowKind", "waterLevel"), ("stationName", "△△△水位観測所")]);
    let now = json!({
        "time": "2019-05-09T20:00:00+09:00", "timeName": "現況", "waterLevelM": 46.7, "condition": "上昇", "level": 2
    });
    assert_eq!(gauge["levels"][0], now);
}

#[test]
fn how_near_rain_is_to_doing_harm_is_a_row_for_each_area() {
    let Some(files) = files() else { return };
    let rows = sample(&files, "73_03_01_220210_VPRN50");
    assert_eq!(rows.len(), 5_266);
    let row = with(&rows, &[("rowKind", "risk"), ("areaCode", "011000"), ("propertyType", "危険度")]);
    assert_eq!(
        picked(row, &["areaName", "areaCodeType", "time"]),
        json!(["宗谷地方", "府県予報区", "2021-08-14T18:20:00+09:00"])
    );
    let risk = json!({"type": "土砂災害危険度", "name": "今後の情報等に留意", "code": "00", "condition": "継続"});
    assert_eq!(row["risks"][1], risk);
}

#[test]
fn an_earthquake_is_its_own_row_and_one_for_each_area_and_city() {
    let Some(files) = files() else { return };
    let rows = sample(&files, "32-35_06_05_240613_VXSE53");
    let quake = with(&rows, &[("rowKind", "earthquake")]);
    let names =
        ["hypocenterName", "latitude", "longitude", "depthM", "magnitude", "magnitudeType", "maxInt", "originTime"];
    let expected = json!(["岩手県内陸南部", 39.0, 140.9, 10000.0, 7.0, "Mj", "6+", "2008-06-14T08:43:00+09:00"]);
    assert_eq!(picked(quake, &names), expected);
    let city = with(&rows, &[("rowKind", "intensity"), ("level", "city"), ("areaName", "奥州市")]);
    let names = ["maxInt", "areaCode", "areaCodeType", "prefName", "section", "eventID"];
    let expected =
        json!(["6+", "0321500", "気象・地震・火山情報／市町村等", "岩手県", "observation", "20080614084350"]);
    assert_eq!(picked(city, &names), expected);
}

#[test]
fn an_early_warning_says_how_strong_it_will_be_and_when() {
    let Some(files) = files() else { return };
    let rows = sample(&files, "37_01_01_240613_VXSE43");
    let area = with(&rows, &[("rowKind", "intensity"), ("areaName", "高知県西部")]);
    let names = ["section", "forecastIntFrom", "forecastIntTo", "arrivalTime", "kindCode", "areaCodeType"];
    let expected = json!(["forecast", "4", "4", "2024-04-17T23:15:02+09:00", "10", "地震情報／細分区域"]);
    assert_eq!(picked(area, &names), expected);
}

#[test]
fn a_tsunami_warning_is_a_row_for_each_forecast_area() {
    let Some(files) = files() else { return };
    let rows = sample(&files, "32-39_11_02_250206_VTSE41");
    let area = with(&rows, &[("rowKind", "tsunami"), ("areaName", "宮城県")]);
    let names =
        ["section", "areaCode", "areaCodeType", "kindName", "kindCode", "lastKindName", "arrivalTime", "heightM"];
    let expected = json!([
        "forecast",
        "220",
        "津波予報区",
        "大津波警報：発表",
        "53",
        "津波なし",
        "2011-03-11T15:00:00+09:00",
        null
    ]);
    assert_eq!(picked(area, &names), expected);
    assert_eq!(picked(area, &["heightDescription", "heightCondition"]), json!(["巨大", "不明"]));
}

#[test]
fn a_volcano_is_a_row_with_its_place_and_one_for_each_city() {
    let Some(files) = files() else { return };
    let rows = sample(&files, "45_01_01_200522_VFVO50");
    let volcano = with(&rows, &[("rowKind", "volcano"), ("areaName", "浅間山")]);
    let names = ["areaCode", "areaCodeType", "kindCode", "kindCondition", "lastKindCode", "heightM"];
    assert_eq!(picked(volcano, &names), json!(["306", "火山名", "13", "引上げ", "11", 2568.0]));
    assert!((volcano["latitude"].as_f64().unwrap() - 36.406_333).abs() < 1e-5);
    let city = with(&rows, &[("areaName", "長野県小諸市"), ("kindCode", "02")]);
    assert_eq!(city["areaCodeType"], "気象・地震・火山情報／市町村等");
    let ash = sample(&files, "66_01_01_210517_VFVO53");
    let row = with(&ash, &[("rowKind", "ashfall")]);
    assert!(row["startTime"].is_string() && row["areaCode"].is_string());
}

#[test]
fn a_typhoon_is_a_row_for_each_time() {
    let Some(files) = files() else { return };
    let rows = sample(&files, "10_03_01_171016_VPTW60");
    let names = [
        "timeType",
        "typhoonNumber",
        "typhoonName",
        "latitude",
        "longitude",
        "speedKmH",
        "pressureHpa",
        "windSpeedMS",
        "gustMS",
        "direction",
        "location",
    ];
    let expected = json!(["実況", "1721", "LAN", 10.1, 135.3, 15, 996, 20, 30, "西北西", "ヤップ島の西約310km"]);
    assert_eq!(picked(&rows[0], &names), expected);
    assert!(rows.len() > 3 && rows.iter().all(|row| row["rowKind"] == "typhoon" && row["latitude"].is_number()));
    let chances = sample(&files, "76_01_01_200630_VPTA50");
    let area = with(&chances, &[("rowKind", "typhoonProbability"), ("areaCode", "011011")]);
    assert_eq!(picked(area, &["typhoonNumber", "timeName"]), json!(["2001", "24時間先"]));
    assert_eq!(area["probabilities"], json!([{"unit": "%", "value": 0}]));
}

#[test]
fn a_message_of_text_is_one_row_with_its_text() {
    let Some(files) = files() else { return };
    let rows = sample(&files, "75_01_04_200512_VYSE52");
    assert_eq!((rows.len(), &rows[0]["rowKind"]), (1, &json!("report")));
    assert!(!rows[0]["text"].as_str().unwrap().is_empty());
}

fn message(body: &str) -> String {
    format!(
        r#"<Report xmlns="http://xml.kishou.go.jp/jmaxml1/"><Control><Title>t</Title>
<DateTime>2020-01-01T00:00:00Z</DateTime><Status>訓練</Status><EditorialOffice>a</EditorialOffice>
<PublishingOffice>a b</PublishingOffice></Control><Head xmlns="http://xml.kishou.go.jp/jmaxml1/informationBasis1/">
<Title>t</Title><ReportDateTime>2020-01-01T09:00:00+09:00</ReportDateTime><TargetDateTime/><EventID/>
<InfoType>発表</InfoType><Serial/><InfoKind>気象警報・注意報</InfoKind><InfoKindVersion>1</InfoKindVersion>
<Headline><Text>h</Text></Headline></Head>{body}</Report>"#
    )
}

#[test]
fn a_message_that_would_make_too_many_rows_is_refused_soon() {
    const BODY: &str = "<Body xmlns='http://xml.kishou.go.jp/jmaxml1/body/meteorology1/'>";
    let refused = |body: &str| jma::read(message(body).as_bytes()).unwrap().rows();
    // Each kind would stand in the row of each area.
    let (kinds, areas) = ("<Kind/>".repeat(100_000), "<Area/>".repeat(100_000));
    let body = format!("{BODY}<Warning><Item>{kinds}<Areas>{areas}</Areas></Item></Warning></Body>");
    assert_eq!(refused(&body), Err(Error::TooManyRows));
    let body = format!("{BODY}{}</Body>", "<Warning><Item><Area/></Item></Warning>".repeat(ROWS_MAX + 1));
    assert_eq!(refused(&body), Err(Error::TooManyRows));
    // Each level would be held against each time.
    let levels = "<WaterLevel refID='300'/>".repeat(100_000);
    let times = "<TimeDefine timeId='1'/>".repeat(100_000);
    let body = format!(
        "{BODY}<MeteorologicalInfos><TimeSeriesInfo><TimeDefines>{times}</TimeDefines><Item><Kind><Property>\
         <WaterLevelPart>{levels}</WaterLevelPart></Property></Kind></Item></TimeSeriesInfo></MeteorologicalInfos></Body>"
    );
    let flood = message(&body).replace("気象警報・注意報", "指定河川洪水予報");
    assert_eq!(jma::read(flood.as_bytes()).unwrap().rows().unwrap().len(), 1);
}

#[test]
fn what_is_missing_or_no_date_is_said() {
    let body = "<Body xmlns='urn:other'><A>1</A></Body>";
    let whole = message(body);
    let report = jma::read(whole.as_bytes()).unwrap();
    assert_eq!((&report.body, report.head.target_date_time.as_deref()), (&json!({"a": "1"}), None));
    assert_eq!(report.control.publishing_office, ["a", "b"]);
    assert_eq!(report.rows().unwrap()[0]["rowKind"], "report");
    assert_eq!(report.rows().unwrap()[0]["status"], "訓練");
    let without = |text: &str| jma::read(whole.replace(text, "").as_bytes());
    assert_eq!(without("<InfoType>発表</InfoType>"), Err(Error::Missing("Head/InfoType")));
    assert_eq!(without(body), Err(Error::Missing("Body")));
    let dateless = jma::read(whole.replace("2020-01-01T09:00:00+09:00", "きのう").as_bytes());
    assert_eq!(dateless, Err(Error::DateTime { path: "Head/ReportDateTime", value: "きのう".to_owned() }));
    assert!(matches!(jma::read(b"<Report/>"), Err(Error::NotReport(_))));
    for end in 0..whole.len() {
        assert!(jma::read(&whole.as_bytes()[..end]).is_err(), "{end} bytes");
    }
}
