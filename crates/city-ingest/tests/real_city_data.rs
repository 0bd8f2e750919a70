//! The files of Koto and its surroundings go through their committed mappings with the known counts.
#![allow(clippy::unwrap_used, reason = "a failed test may say so by a panic")]

mod support;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io::{BufRead, BufReader};

use city_ingest::{Batch, Mapper, import};
use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};
use support::{data, example, open, real};

fn find<'a>(entities: &'a [Value], id: &str) -> &'a Value {
    entities.iter().find(|entity| entity["id"] == id).unwrap_or_else(|| panic!("{id} is missing"))
}

#[test]
fn every_building_of_koto_and_sumida_is_mapped() {
    let Some(sumida) = real("buildings.yaml", "tokyo-koto/buildings_13107.geojsonl.gz") else { return };
    let Some(koto) = real("buildings.yaml", "tokyo-koto/buildings_13108.geojsonl.gz") else { return };
    assert_eq!((sumida.report.mapped, sumida.report.rejected), (46_371, 0), "{:?}", sumida.rejected.first());
    assert_eq!((koto.report.mapped, koto.report.rejected), (55_459, 0), "{:?}", koto.rejected.first());
    let having = |entities: &[Value], name: &str| entities.iter().filter(|e| e.get(name).is_some()).count();
    assert_eq!(having(&koto.entities, "floodDepthArakawaL2"), 48_990, "a building without a depth keeps none");
    assert_eq!(having(&koto.entities, "floodDurationArakawaL2"), 48_982);
    assert_eq!(having(&koto.entities, "floodDepthArakawaL1"), 47_246);
    assert_eq!(having(&koto.entities, "floodDepthKotoInlandL2"), 43_937);
    assert_eq!(having(&koto.entities, "tsunamiDepth"), 1_283);
    assert_eq!(having(&koto.entities, "location"), 55_459);
    assert_eq!(having(&sumida.entities, "floodDepthArakawaL2"), 46_267);
    assert!(koto.entities.iter().all(|entity| entity["scope"] == "/Koto"));
    assert_eq!(
        find(&sumida.entities, "urn:ngsi-ld:Building:13107-bldg-1"),
        &json!({
            "id": "urn:ngsi-ld:Building:13107-bldg-1", "type": "Building", "scope": "/Sumida",
            "location": {"type": "GeoProperty", "value": {"type": "Polygon", "coordinates": [[
                [139.8053545, 35.6868666], [139.8053598, 35.6867937], [139.8052338, 35.6867871],
                [139.8052284, 35.6868601], [139.8053545, 35.6868666]]]}},
            "buildingID": {"type": "Property", "value": "13107-bldg-1"},
            "municipalityCode": {"type": "Property", "value": "13107"},
            "oazaCode": {"type": "Property", "value": "5"},
            "chomeCode": {"type": "Property", "value": "2"},
            "townCode": {"type": "Property", "value": "13107005002"},
            "measuredHeight": {"type": "Property", "value": 13.4, "unitCode": "MTR"},
            "roofEdgeArea": {"type": "Property", "value": 91.83515, "unitCode": "MTK"},
            "floodDepthArakawaL1": {"type": "Property", "value": 0.6, "unitCode": "MTR",
                "scale": {"type": "Property", "value": "L1"}},
            "floodRankArakawaL1": {"type": "Property", "value": 2},
            "floodDepthArakawaL2": {"type": "Property", "value": 1.4, "unitCode": "MTR",
                "scale": {"type": "Property", "value": "L2"}},
            "floodRankArakawaL2": {"type": "Property", "value": 2},
            "floodDurationArakawaL2": {"type": "Property", "value": 47, "unitCode": "HUR"},
            "dataProvider": {"type": "Property", "value":
                "Ministry of Land, Infrastructure, Transport and Tourism of Japan, Project PLATEAU"},
            "license": {"type": "Property", "value": "CC-BY-4.0"},
        })
    );
}

#[test]
fn shelters_keep_what_is_published_and_an_unpublished_list_is_refused() {
    for (file, count) in [("131083", 202), ("131075", 39), ("131067", 53), ("131211", 199), ("131229", 77)] {
        let Some(shelters) = real("shelters.yaml", &format!("tokyo-koto/shelters_evacuation_{file}.json")) else {
            return;
        };
        assert_eq!((shelters.entities.len(), shelters.rejected.len()), (count, 0), "{file}");
        assert_eq!(shelters.report.unseen_columns, Vec::<String>::new());
        if file == "131083" {
            let one = find(&shelters.entities, "urn:ngsi-ld:EvacuationShelter:E1310800001111");
            assert_eq!(one["name"]["value"], "深川スポーツセンター");
            assert_eq!(one["location"]["value"], json!({"type": "Point", "coordinates": [139.791735, 35.670464]}));
            assert_eq!((&one["municipalityCode"]["value"], &one["scope"]), (&json!("13108"), &json!("/Koto")));
            assert!(one.get("sameAddressAsEmergencySite").is_none(), "blank is a gap");
        }
    }
    let Some(sites) = real("emergency-sites.yaml", "tokyo-koto/shelters_emergency_131067.json") else { return };
    assert_eq!(sites.entities.len(), 17);
    let one = find(&sites.entities, "urn:ngsi-ld:EmergencyEvacuationSite:E1310600006201");
    assert_eq!((&one["suitableForFlood"]["value"], &one["suitableForTsunami"]["value"]), (&json!(true), &json!(false)));
    let Some(unavailable) = data("tokyo-koto/shelters_emergency_131083.json") else { return };
    let mapping = example("emergency-sites.yaml");
    let error = support::collect(&mapping, open(&mapping, &unavailable).unwrap()).unwrap_err().to_string();
    assert!(error.contains("shelters_emergency_131083.json") && error.contains("unavailable"), "{error}");
}

#[test]
fn each_municipality_is_one_area() {
    let Some(wards) = real("wards.yaml", "tokyo-koto/municipal-boundaries-tokyo-N03-2021.geojson.gz") else { return };
    let ids: BTreeSet<_> = wards.entities.iter().map(|ward| ward["id"].to_string()).collect();
    assert_eq!((wards.report.read, ids.len(), wards.rejected.len()), (63, wards.entities.len(), 0));
    let koto = find(&wards.entities, "urn:ngsi-ld:AdministrativeArea:13108");
    assert_eq!((&koto["name"]["value"], &koto["location"]["type"]), (&json!("江東区"), &json!("GeoProperty")));
}

#[test]
fn all_columns_of_the_accidents_are_kept() {
    let Some(path) = data("tokyo-koto/accidents_npa_2019_2022_tokyo23.csv.gz") else { return };
    let mapping = example("accidents.yaml");
    let decoder = open(&mapping, &path).unwrap();
    let columns: Vec<String> = decoder.columns().unwrap().iter().map(|name| name.to_string()).collect();
    assert_eq!(columns.len(), 66);
    // The cells that are not blank, counted apart from the code under test.
    let mut cells = 0_usize;
    for line in BufReader::new(MultiGzDecoder::new(std::fs::File::open(&path).unwrap())).lines().skip(1) {
        cells += line.unwrap().split(',').filter(|cell| !cell.is_empty()).count();
    }
    let (mut attributes, mut names, mut koto) = (0_usize, BTreeSet::new(), 0);
    let mut first = None;
    let send = |batch: Batch| {
        let Batch::Upsert { json, .. } = batch else { panic!("accidents are entities") };
        for entity in serde_json::from_slice::<Vec<Value>>(&json).unwrap() {
            let members = entity.as_object().unwrap();
            attributes += members.values().filter(|member| member.is_object()).count();
            names.extend(members.keys().cloned());
            koto += usize::from(entity["scope"] == "/Koto");
            first.get_or_insert(entity);
        }
        Ok::<(), Infallible>(())
    };
    let report = import(decoder, &mapping, send, |row| panic!("{row:?}")).unwrap();
    assert_eq!((report.read, report.mapped), (113_050, 113_050));
    // Of each row, id goes into the URI and lon and lat into one location; provider and licence are added.
    let (folded, added) = (2 * 113_050, 2 * 113_050);
    assert_eq!(attributes, cells - folded + added, "no cell is lost");
    let first = first.unwrap();
    assert_eq!(first["accidentDate"]["value"], json!({"@type": "DateTime", "@value": "2019-01-02T18:28:00Z"}));
    assert_eq!(first["severity"]["value"], "fatal");
    assert_eq!(first["severity"]["sourceCode"]["value"], "1");
    assert_eq!(first["location"]["value"], json!({"type": "Point", "coordinates": [139.806063, 35.661842]}));
    assert_eq!(first["一時停止規制_標識_当事者A"]["value"], "00", "a code keeps its zeros");
    assert_eq!(first["地点コード"]["value"], "0000");
    assert!(names.contains("日の出時刻_時") && names.contains("認知機能検査経過日数_当事者B"), "{names:?}");
    // 66 columns: id in the URI, lon and lat in location; and id, type, scope, dataProvider, license beside.
    assert_eq!(names.len(), 66 - 1 - 1 + 5);
    assert!(koto > 3_000, "{koto}");
}

#[test]
fn weather_stations_have_names_in_three_scripts() {
    let Some(stations) = real("weather-stations.yaml", "japan-amedas/amedas_stations.csv") else { return };
    assert_eq!((stations.entities.len(), stations.rejected.len()), (1_287, 0));
    let one = find(&stations.entities, "urn:ngsi-ld:WeatherStation:11001");
    assert_eq!(one["name"]["languageMap"], json!({"ja": "宗谷岬", "ja-Kana": "ソウヤミサキ", "en": "Cape Soya"}));
    assert_eq!(one["altitude"], json!({"type": "Property", "value": 26.0, "unitCode": "MTR"}));
}

#[test]
fn weather_readings_are_grouped_by_station_and_blanks_are_gaps() {
    const ROWS: usize = 300_000;
    let Some(path) = data("japan-amedas/amedas_hourly_2023-07_2023-12.csv.gz") else { return };
    let mapping = example("weather-observations.yaml");
    // The same prefix, counted apart from the code under test.
    let (mut temperatures, mut rains, mut text) = (0_usize, 0_usize, String::new());
    let lines = BufReader::new(MultiGzDecoder::new(std::fs::File::open(&path).unwrap())).lines();
    for (index, line) in lines.take(ROWS + 1).enumerate() {
        let line = line.unwrap();
        let cells: Vec<_> = line.split(',').collect();
        if index > 0 {
            temperatures += usize::from(!cells[2].is_empty());
            rains += usize::from(!cells[3].is_empty());
        }
        text += &line;
        text.push('\n');
    }
    let reader = Box::new(std::io::Cursor::new(text.into_bytes()));
    let decoder = city_ingest::Decoder::open("prefix", reader, mapping.encoding(), false).unwrap();
    let (mut stations, mut found, mut requests) = (BTreeSet::new(), (0, 0), 0);
    let send = |batch: Batch| {
        let Batch::Temporal { json, id, readings, .. } = batch else { panic!("readings are past") };
        let document: Value = serde_json::from_slice(&json).unwrap();
        let count = |name: &str| document[name].as_array().map_or(0, Vec::len);
        assert_eq!(count("temperature") + count("precipitation"), readings);
        assert!(readings <= city_ingest::batch::BATCH_READINGS_MAX + 1);
        if id == "urn:ngsi-ld:WeatherStation:11001" && !stations.contains(&id) {
            assert_eq!(
                document["temperature"][0],
                json!({"type": "Property", "value": 14.9, "unitCode": "CEL", "observedAt": "2023-07-13T04:00:00Z"})
            );
        }
        found.0 += count("temperature");
        found.1 += count("precipitation");
        stations.insert(id);
        requests += 1;
        Ok::<(), Infallible>(())
    };
    let report = import(decoder, &mapping, send, |row| panic!("{row:?}")).unwrap();
    assert_eq!(found, (temperatures, rains));
    assert_eq!(report.readings as usize, temperatures + rains);
    assert_eq!(report.read as usize, ROWS);
    assert_eq!(report.mapped + report.skipped, report.read);
    assert!(
        stations.len() > 1_200 && requests < 2 * stations.len(),
        "{requests} requests, {} stations",
        stations.len()
    );
}

/// The whole file takes a quarter of a minute: `cargo test --profile ci -p city-ingest -- --ignored all_weather`.
#[test]
#[ignore = "4.3 million rows"]
fn all_weather_rows_are_read() {
    let Some(path) = data("japan-amedas/amedas_hourly_2023-07_2023-12.csv.gz") else { return };
    let mapping = example("weather-observations.yaml");
    let decoder = open(&mapping, &path).unwrap();
    let (mut bytes, mut requests, mut rows) = (0_usize, 0_usize, 0);
    let start = std::time::Instant::now();
    let send = |batch: Batch| {
        if let Batch::Temporal { json, rows: of_batch, .. } = batch {
            bytes += json.len();
            requests += 1;
            rows += of_batch;
        }
        Ok::<(), Infallible>(())
    };
    let report = import(decoder, &mapping, send, |row| panic!("{row:?}")).unwrap();
    let rate = report.read as f64 / start.elapsed().as_secs_f64();
    eprintln!("{report:?}; {requests} requests, {bytes} bytes, {rate:.0} rows/s");
    assert_eq!(report.read, 4_297_764);
    assert_eq!(rows, report.mapped);
    assert_eq!(report.rejected, 0);
}

#[test]
fn roads_keep_their_lines_and_licence() {
    let Some(roads) = real("roads.yaml", "tokyo-koto/roads_osm_east_tokyo.geojsonl.gz") else { return };
    assert_eq!((roads.entities.len(), roads.rejected.len()), (44_936, 0), "{:?}", roads.rejected.first());
    let one = find(&roads.entities, "urn:ngsi-ld:RoadSegment:east-tokyo:1");
    assert_eq!((&one["roadClass"]["value"], &one["license"]["value"]), (&json!("motorway"), &json!("ODbL-1.0")));
}

#[test]
fn a_mapping_that_names_a_column_wrongly_is_refused_before_the_first_row() {
    let mapping = example("weather-stations.yaml");
    let columns: Vec<Box<str>> = ["amdno", "lat", "kjName"].map(Into::into).to_vec();
    let error = Mapper::new(&mapping, "stations.csv", Some(&columns)).err().unwrap().to_string();
    assert!(error.contains("stations.csv has no column") && error.contains("\"lon\""), "{error}");
}

/// Rows a second on one core, for docs: `cargo test --profile ci -p city-ingest -- --ignored rates --nocapture`.
#[test]
#[ignore = "a measurement"]
fn rates_of_the_interpreter_and_of_the_short_form() {
    use std::fmt::Write;
    const ROWS: u32 = 200_000;
    let mut text = "id,a\n".to_owned();
    (0..ROWS).for_each(|n| writeln!(text, "{n},{n}.5").unwrap());
    for expression in ["number(row.a)", "row.a == \"1\" ? null : number(row.a)", "[1,2,3].map(x, x * 2)"] {
        let quoted = serde_json::to_string(expression).unwrap();
        let yaml = format!("format: csv\nid: '\"urn:x:\" + row.id'\ntype: T\nattributes: {{a: {quoted}}}\n");
        let mapping = city_ingest::Mapping::parse(&yaml).unwrap();
        let reader = Box::new(std::io::Cursor::new(text.clone().into_bytes()));
        let decoder = city_ingest::Decoder::open("rows", reader, mapping.encoding(), false).unwrap();
        let start = std::time::Instant::now();
        let report = import(decoder, &mapping, |_| Ok::<(), Infallible>(()), |row| panic!("{row:?}")).unwrap();
        let each = start.elapsed().as_secs_f64() / f64::from(ROWS);
        eprintln!("{expression}: {:.2} µs a row, {} rows", each * 1e6, report.mapped);
    }
}
