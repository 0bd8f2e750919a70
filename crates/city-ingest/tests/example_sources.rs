//! Each worked example of a source over what it is for: real messages where there are any.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails loudly")]

mod support;

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::Path;

use city_ingest::source::{Source, StoredSource};
use city_ingest::{Batch, Decoder, import};
use city_model::Time;
use serde_json::Value;

fn source(name: &str) -> Source {
    source_but(name, "", "")
}

/// With something in its text put otherwise.
fn source_but(name: &str, from: &str, to: &str) -> Source {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/sources").join(format!("{name}.yaml"));
    let text = std::fs::read_to_string(&path).unwrap();
    let stored = StoredSource {
        text: text.replace(from, to).into(),
        who: "test".into(),
        purpose: None,
        created_at_micros: 0,
        version: 1,
        paused: false,
    };
    Source::of(stored).unwrap_or_else(|wrong| panic!("{name}: {wrong}"))
}

/// The entities that a message becomes, and why rows of it were rejected; or why it is no such message.
fn map(source: &Source, name: &str, message: &[u8]) -> Result<(Vec<Value>, Vec<String>), String> {
    let reader = Box::new(Cursor::new(message.to_vec()));
    let decoder = Decoder::open(name, reader, source.mapping.encoding(), false).map_err(|error| error.to_string())?;
    let decoder = decoder.received(Time::parse("2026-12-01T00:00:00Z").unwrap());
    let (mut entities, mut rejected) = (Vec::new(), Vec::new());
    let send = |batch: Batch| {
        let (Batch::Upsert { json, .. } | Batch::Temporal { json, .. }) = batch;
        entities.extend(serde_json::from_slice::<Vec<Value>>(&json).unwrap());
        Ok::<(), std::convert::Infallible>(())
    };
    let reject = |row: city_ingest::RejectedRow| {
        rejected.push(row.reason);
        Ok(())
    };
    import(decoder, &source.mapping, send, reject).map_err(|error| error.to_string())?;
    Ok((entities, rejected))
}

/// The files of an archive, by name.
fn unpacked(name: &str) -> Option<Vec<(String, Vec<u8>)>> {
    let path = support::data(name)?;
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_end(&mut tar).unwrap();
    let (mut files, mut rest) = (Vec::new(), &tar[..]);
    while rest.len() >= 512 && rest[0] != 0 {
        let text =
            |from: usize, to: usize| std::str::from_utf8(&rest[from..to]).unwrap().trim_matches(['\0', ' ']).to_owned();
        let size = usize::from_str_radix(&text(124, 136), 8).unwrap();
        if rest[156] == b'0' || rest[156] == 0 {
            files.push((text(0, 100), rest[512..512 + size].to_vec()));
        }
        rest = &rest[(512 + size.next_multiple_of(512)).min(rest.len())..];
    }
    Some(files)
}

#[test]
fn every_example_is_a_source_and_names_itself() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/sources");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert_eq!(&*source(&name).name, name);
        count += 1;
    }
    assert!(count >= 9);
}

#[test]
fn every_message_of_the_jma_is_taken_and_warnings_and_earthquakes_are_found() {
    let Some(files) = unpacked("jma-xml/jma-xml-samples.tar.gz") else { return };
    let (warnings, earthquakes) = (source("jma-warnings"), source("jma-earthquakes"));
    let (mut messages, mut warned, mut shaken) = (0, 0, 0);
    for (name, message) in files.iter().filter(|(name, _)| name.ends_with(".xml")) {
        messages += 1;
        for (source, count) in [(&warnings, &mut warned), (&earthquakes, &mut shaken)] {
            let (entities, rejected) = map(source, name, message).unwrap_or_else(|why| panic!("{name}: {why}"));
            assert_eq!(rejected, Vec::<String>::new(), "{name}");
            *count += entities.len();
        }
    }
    println!("{messages} messages, {warned} cities with warnings, {shaken} earthquakes");
    assert_eq!(messages, 546);
    assert!(warned > 500 && shaken > 20, "{warned} {shaken}");
}

#[test]
fn alerts_by_cap_become_entities_and_invalid_ones_are_refused_with_the_reason() {
    let Some(files) = unpacked("cap/cap-samples.tar.gz") else { return };
    let source = source("cap-alerts");
    let mut refused = BTreeMap::new();
    let (mut taken, mut placed) = (0, 0);
    for (name, message) in files.iter().filter(|(name, _)| name.ends_with(".cap")) {
        match map(&source, name, message) {
            Ok((entities, rejected)) => {
                assert_eq!(rejected, Vec::<String>::new(), "{name}");
                taken += usize::from(!entities.is_empty());
                placed += entities.iter().filter(|entity| entity["location"].is_object()).count();
            }
            Err(why) => drop(refused.insert(name.rsplit('/').next().unwrap().to_owned(), why)),
        }
    }
    let names: Vec<&str> = refused.keys().map(String::as_str).collect();
    assert_eq!(names, ["canada_errors.cap", "invalid.cap", "noaa_errors.cap", "xee.cap"], "{refused:#?}");
    assert!(taken >= 8 && placed >= 3, "{taken} {placed}");
}

#[test]
fn every_sentence_of_michibiki_is_read_copies_become_one_and_exercises_none() {
    let Some(files) = unpacked("qzss/azarashi-qzss-dcr-dcx-logs.tar.gz") else { return };
    // All that was logged were exercises and tests.
    let (source, all) = (source("qzss"), source_but("qzss", "when: row.isTraining == false", "when: 'true'"));
    let (mut read, mut distinct) = (0, std::collections::BTreeSet::new());
    for (name, message) in files.iter().filter(|(name, _)| name.ends_with(".log")) {
        let (entities, rejected) = map(&source, name, message).unwrap();
        assert_eq!((entities, rejected), (Vec::new(), Vec::new()), "{name}");
        let (entities, rejected) = map(&all, name, message).unwrap();
        assert_eq!(rejected, Vec::<String>::new(), "{name}");
        read += String::from_utf8_lossy(message).lines().filter(|line| line.starts_with("$QZQSM")).count();
        distinct.extend(entities.iter().map(|entity| entity["id"].to_string()));
    }
    println!("{read} sentences, {} messages", distinct.len());
    assert!(read == 357 && (20..357).contains(&distinct.len()), "{read} {}", distinct.len());
}

#[test]
fn stations_of_gbfs_and_vehicles_of_gtfs_realtime_become_entities() {
    if let Some(files) = unpacked("gbfs/gbfs-samples.tar.gz") {
        let source = source("bike-stations");
        let mut stations = 0;
        for (name, message) in &files {
            let is_document =
                serde_json::from_slice::<Value>(message).is_ok_and(|document| document["data"]["stations"].is_array());
            if is_document {
                let (entities, rejected) = map(&source, name, message).unwrap_or_else(|why| panic!("{name}: {why}"));
                // Two stations of Helsinki have no id, which GBFS does not allow.
                let without_id = if name.ends_with("helsinki/station_information.json") { 2 } else { 0 };
                assert_eq!(rejected.len(), without_id, "{name}: {rejected:?}");
                assert!(rejected.iter().all(|why| why.starts_with("id: a part of it is blank")), "{rejected:?}");
                stations += entities.len();
            } else {
                assert!(map(&source, name, message).is_err(), "{name} holds no stations, and is told so");
            }
        }
        println!("{} files, {stations} stations", files.len());
        assert_eq!(stations, 44);
    }
    if let Some(path) = support::data("gtfs-rt/king-county-metro-1.pbf") {
        let message = std::fs::read(path).unwrap();
        let (entities, rejected) = map(&source("king-county-vehicles"), "vehicles", &message).unwrap();
        assert_eq!((entities.len(), rejected.len()), (627, 0));
    }
}

#[test]
fn payloads_of_devices_become_readings() {
    let one = |name: &str, topic: &str, message: &str| {
        let (entities, rejected) = map(&source(name), topic, message.as_bytes()).unwrap();
        assert_eq!((entities.len(), rejected), (1, Vec::new()), "{name}");
        entities[0].clone()
    };
    let level = one("river-level-number", "gauges/7/level", "123\n");
    assert_eq!((&level["id"], &level["waterLevel"]["value"]), (&"urn:ngsi-ld:RiverGauge:7".into(), &1.23.into()));
    assert_eq!(level["waterLevel"]["observedAt"], "2026-12-01T00:00:00Z");
    let pack = r#"[{"bn":"urn:dev:mac:0024befffe804ff1:","bt":1790000000,"n":"temperature","u":"K","v":294.15},{"n":"humidity","u":"%RH","v":40}]"#;
    let room = one("room-climate-senml", "rooms/12/senml", pack);
    assert_eq!(
        (&room["temperature"]["value"], &room["temperature"]["observedAt"]),
        (&21.0.into(), &"2026-09-21T14:13:20Z".into())
    );
    let soil = one("soil-ultralight", "soil/4", "2026-11-30T12:00:00Z|t|11.5|m|40");
    assert_eq!(
        (&soil["soilTemperature"]["value"], &soil["soilMoistureVwc"]["observedAt"]),
        (&11.5.into(), &"2026-11-30T12:00:00Z".into())
    );
}
