//! How long one entity of about 1.5 kB takes to read and to write:
//! `cargo run --profile ci -p city-ngsi-ld --example measure`.

use std::hint::black_box;
use std::time::Instant;

use city_ngsi_ld::{
    ContextSpec, ContextStore, Format, Mode, RenderOptions, parse_entity, render_entity, split_context,
};

const ROUNDS: u32 = 20_000;

const BODY: &str = r#"{
  "id": "urn:ngsi-ld:AirQualityObserved:Koto:Ariake:000123",
  "type": "AirQualityObserved",
  "temperature": [
    {"type": "Property", "value": 21.5, "unitCode": "CEL", "observedAt": "2025-06-01T09:00:00Z"},
    {"type": "Property", "value": 21.9, "unitCode": "CEL", "observedAt": "2025-06-01T09:00:00Z",
     "datasetId": "urn:ngsi-ld:Dataset:secondary-sensor"}
  ],
  "relativeHumidity": {"type": "Property", "value": 0.62, "observedAt": "2025-06-01T09:00:00Z"},
  "pm25": {"type": "Property", "value": 14, "unitCode": "GQ", "observedAt": "2025-06-01T09:00:00Z",
           "accuracy": {"type": "Property", "value": 0.95}},
  "no2": {"type": "Property", "value": 31, "unitCode": "GQ", "observedAt": "2025-06-01T09:00:00Z"},
  "stationName": {"type": "Property", "value": "有明テニスの森公園 大気測定局"},
  "address": {"type": "Property", "value": {"addressCountry": "JP", "addressRegion": "東京都",
              "addressLocality": "江東区", "streetAddress": "有明2丁目2-22", "postalCode": "135-0063"}},
  "refPointOfInterest": {"type": "Relationship", "object": "urn:ngsi-ld:PointOfInterest:Koto:Ariake-Tennis-Park"},
  "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [139.790512, 35.637281]}},
  "note": {"type": "Property", "value": "Calibrated in April; the inlet stands at 3.2 m above the ground, west of the road."}
}"#;

fn main() {
    let store = ContextStore::new();
    let spec = ContextSpec::parse(
        r#"{"AirQualityObserved":"https://smartdatamodels.org/dataModel.Environment/AirQualityObserved"}"#,
    )
    .expect("the context is valid");
    let terms = store.resolve(&spec).expect("the context needs no other");
    let entity = parse_entity(BODY.as_bytes(), &terms, Mode::Create).expect("the entity is valid");
    let mut out = Vec::with_capacity(4_096);
    println!("body: {} bytes", BODY.len());
    measure("find the @context", || drop(black_box(split_context(black_box(BODY.as_bytes())))));
    measure("resolve the @context", || drop(black_box(store.resolve(black_box(&spec)))));
    measure("parse", || drop(black_box(parse_entity(black_box(BODY.as_bytes()), &terms, Mode::Create))));
    for format in [Format::Normalized, Format::Concise, Format::Simplified] {
        let options = RenderOptions { format, ..RenderOptions::default() };
        measure(&format!("render {format:?}"), || {
            out.clear();
            render_entity(black_box(&entity), &terms, &options, &mut out);
            black_box(&out);
        });
    }
}

/// The best of five runs: what the machine does besides is not ours.
fn measure(what: &str, mut work: impl FnMut()) {
    let best = (0..5)
        .map(|_| {
            let start = Instant::now();
            (0..ROUNDS).for_each(|_| work());
            start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS)
        })
        .fold(f64::INFINITY, f64::min);
    println!("{what}: {best:.2} µs");
}
