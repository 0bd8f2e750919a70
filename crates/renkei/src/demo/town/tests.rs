//! What a town is held to: the same seed, the same town; everything labelled; readings that hang together.

use super::document::PROVIDER;
use super::*;
use city_model::{EntityId, Geometry, Position, Scope};
use std::collections::{BTreeMap, BTreeSet};

const SEED: u64 = 7;

/// 2026-06-17, a Wednesday, at this hour of Japan.
fn at(hour: f64) -> Time {
    let midnight = Time::parse("2026-06-16T15:00:00Z").unwrap();
    midnight.plus_micros((hour * 3_600e6) as i64)
}

fn text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

fn value<'a>(entity: &'a Value, attribute: &str) -> &'a Value {
    &entity[attribute]["value"]
}

fn positions(value: &Value) -> Vec<Position> {
    let list = value.as_array().unwrap();
    let number = |v: &Value| v.as_f64().unwrap();
    list.iter().map(|p| Position { lon: number(&p[0]), lat: number(&p[1]), height: None }).collect()
}

fn geometry(location: &Value) -> Geometry {
    let coordinates = &location["coordinates"];
    match location["type"].as_str().unwrap() {
        "Point" => Geometry::Point(positions(&Value::Array(vec![coordinates.clone()]))[0]),
        "LineString" => Geometry::LineString(positions(coordinates)),
        "Polygon" => Geometry::Polygon(coordinates.as_array().unwrap().iter().map(positions).collect()),
        other => panic!("the town has no {other}"),
    }
}

#[test]
fn the_same_seed_gives_the_same_town_and_the_same_day() {
    let story = |seed| {
        let mut town = Town::new(seed);
        let past = town.history(at(-2.0), at(8.0));
        let steps: Vec<_> = town.step(at(8.1)).into_iter().map(|r| (r.observed_at, r.fragments)).collect();
        format!("{}{}{:?}", text(&town.entities()), text(&past), steps)
    };
    assert!(story(1) == story(1), "two towns of one seed differ");
    assert!(story(1) != story(2), "two seeds give one town");
}

/// A difference means that every demo town has moved.
#[test]
fn the_first_building_and_two_days_of_the_upper_gauge_are_as_recorded() {
    let mut town = Town::new(SEED);
    let entities = town.entities();
    let building = entities.iter().find(|entity| entity["type"] == "Building").unwrap();
    let past = town.history(at(-48.0), at(0.0));
    let gauge = past.iter().find(|entity| entity["id"] == "urn:ngsi-ld:WaterObserved:Minatomachi:Upper").unwrap();
    // Through a sorted map: whether serde_json keeps the order of members is not the town's affair.
    let sorted = |value: &Value| -> BTreeMap<String, Value> { serde_json::from_value(value.clone()).unwrap() };
    let levels: Vec<_> =
        gauge["waterLevel"].as_array().unwrap().iter().step_by(12).map(|i| i["value"].clone()).collect();
    let building = sorted(building);
    let shown = format!(
        "{}\n{}\n{}\n{}\n",
        building["id"],
        building["location"]["value"]["coordinates"],
        building["height"]["value"],
        text(&levels)
    );
    assert_eq!(shown, include_str!("golden.txt"));
}

#[test]
fn every_entity_says_that_it_is_simulated_and_has_an_id_and_scope_of_its_own() {
    let mut ids = BTreeSet::new();
    for entity in Town::new(SEED).entities() {
        let id = entity["id"].as_str().unwrap();
        EntityId::parse(id).unwrap();
        assert!(ids.insert(id.to_owned()), "{id} stands twice");
        assert_eq!(value(&entity, "simulated"), &Value::Bool(true), "{id}");
        assert_eq!(value(&entity, "dataProvider"), PROVIDER, "{id}");
        let scope = entity["scope"].as_str().unwrap();
        assert!(scope == "/Minatomachi" || scope.starts_with("/Minatomachi/Ward"), "{scope}");
        Scope::parse(scope).unwrap();
    }
}

#[test]
fn every_document_of_the_town_is_valid_ngsi_ld() {
    use city_ngsi_ld::{ContextStore, Mode, parse_entity};
    let core = ContextStore::new().core();
    let check = |document: &Value, mode: Mode| {
        let body = serde_json::to_vec(document).unwrap();
        parse_entity(&body, &core, mode).unwrap_or_else(|error| panic!("{}: {error}", document["id"]));
    };
    let mut town = Town::new(SEED);
    town.entities().iter().for_each(|entity| check(entity, Mode::Create));
    town.history(at(7.0), at(8.0)).iter().for_each(|past| check(past, Mode::Temporal));
    for readings in town.step(at(8.1)) {
        readings.fragments.iter().for_each(|fragment| check(fragment, Mode::Fragment));
    }
}

#[test]
fn every_relationship_leads_to_an_entity_of_the_town() {
    let entities = Town::new(SEED).entities();
    let ids: BTreeSet<_> = entities.iter().map(|entity| entity["id"].as_str().unwrap()).collect();
    let mut count = 0;
    for entity in &entities {
        for (name, attribute) in entity.as_object().unwrap() {
            if attribute["type"] == "Relationship" {
                count += 1;
                assert!(ids.contains(attribute["object"].as_str().unwrap()), "{} {name}", entity["id"]);
            }
        }
    }
    assert!(count > 1_500, "{count}");
}

#[test]
fn every_geometry_is_valid_and_lies_about_the_town_in_the_open_sea() {
    for entity in Town::new(SEED).entities() {
        let geometry = geometry(value(&entity, "location"));
        geometry.check().unwrap_or_else(|why| panic!("{}: {why}", entity["id"]));
        geometry.for_each_position(&mut |p| {
            assert!((142.4..142.6).contains(&p.lon) && (34.1..34.4).contains(&p.lat), "{}", entity["id"]);
        });
        if let Geometry::Polygon(rings) = &geometry {
            let twice_area: f64 = rings[0].windows(2).map(|p| p[0].lon * p[1].lat - p[1].lon * p[0].lat).sum();
            assert!(twice_area > 0.0, "{} is drawn clockwise", entity["id"]);
        }
    }
}

#[test]
fn buildings_lie_in_their_ward_and_neither_in_the_river_nor_in_the_sea() {
    use geo::{Contains, Intersects};
    for seed in [1, SEED, 42] {
        let entities = Town::new(seed).entities();
        let shape = |id: &str| {
            let entity = entities.iter().find(|entity| entity["id"] == id).unwrap();
            geometry(value(entity, "location")).to_geo()
        };
        let water = [shape("urn:ngsi-ld:River:Minatomachi:Minato"), shape("urn:ngsi-ld:Sea:Minatomachi:Bay")];
        let wards: BTreeMap<_, _> = (0..6).map(ground::Ground::ward_id).map(|id| (id.clone(), shape(&id))).collect();
        let buildings: Vec<_> = entities.iter().filter(|entity| entity["type"] == "Building").collect();
        assert!((600..2_000).contains(&buildings.len()), "{}", buildings.len());
        for building in buildings {
            let own = geometry(value(building, "location"));
            let middle = own.centroid().unwrap();
            let ward = &wards[building["ward"]["object"].as_str().unwrap()];
            assert!(ward.contains(&geo::Point::new(middle.lon, middle.lat)), "{} {ward:?}", building["id"]);
            assert!(
                !water.iter().any(|water| water.intersects(&own.to_geo())),
                "{} stands in the water",
                building["id"]
            );
            assert!(value(building, "height").as_f64().unwrap() > 2.0);
        }
    }
}

#[test]
fn readings_come_when_due_once_and_in_order() {
    let mut town = Town::new(SEED);
    town.step(at(9.0));
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut last = at(9.0);
    // In uneven steps, as a busy machine takes them.
    let mut now = at(9.0);
    for micros in [3_000_000, 61_500_000, 200_000, 535_300_000].into_iter().cycle().take(24) {
        now = now.plus_micros(micros);
        for readings in town.step(now) {
            assert!(last < readings.observed_at && readings.observed_at <= now);
            last = readings.observed_at;
            let mut ids = BTreeSet::new();
            for fragment in readings.fragments {
                assert!(ids.insert(fragment["id"].as_str().unwrap().to_owned()), "{} stands twice", fragment["id"]);
                *counts.entry(fragment["type"].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
    }
    // One hour of: 2 stations and 2 gauges each minute, 8 car parks each minute, 12 buses each 5 s, 300 meters twice.
    let expected = [
        ("OffStreetParking", 480),
        ("SmartMeteringObservation", 600),
        ("Vehicle", 8_640),
        ("WaterObserved", 120),
        ("WeatherObserved", 120),
    ];
    assert_eq!(now, at(10.0));
    assert_eq!(counts, expected.map(|(kind, count)| (kind.to_owned(), count)).into());
    assert!(town.step(at(9.5)).is_empty(), "the town goes back in time");
}

#[test]
fn a_long_pause_leaves_a_gap_instead_of_a_flood() {
    let mut town = Town::new(SEED);
    town.step(at(9.0));
    let readings = town.step(at(9.0 + 240.0));
    assert!(readings[0].observed_at >= at(9.0 + 238.0), "{}", readings[0].observed_at);
    assert!(readings.len() <= CATCH_UP_S_MAX as usize);
}

#[test]
fn steps_go_on_where_history_ends_and_registers_only_rise() {
    let mut town = Town::new(SEED);
    let past = town.history(at(-24.0), at(0.0));
    let meters: Vec<String> = town.meters.iter().map(meters::Meter::id).collect();
    assert_eq!(meters.len(), 300);
    let mut registers: BTreeMap<String, f64> = BTreeMap::new();
    for meter in past.iter().filter(|entity| meters.iter().any(|id| entity["id"] == id.as_str())) {
        let instances = meter["totalConsumption"].as_array().unwrap();
        assert_eq!(instances.len(), 48, "{}", meter["id"]);
        let rising = instances.windows(2).all(|pair| {
            pair[0]["observedAt"].as_str() < pair[1]["observedAt"].as_str()
                && pair[0]["value"].as_f64() <= pair[1]["value"].as_f64()
        });
        assert!(rising, "{}", meter["id"]);
        registers.insert(meter["id"].as_str().unwrap().to_owned(), instances[47]["value"].as_f64().unwrap());
    }
    let mut read = 0;
    for readings in town.step(at(0.5).plus_micros(-1)) {
        for meter in readings.fragments.iter().filter(|f| f["type"] == "SmartMeteringObservation") {
            let (now, used) = (value(meter, "totalConsumption"), value(meter, "intervalConsumption"));
            let before = registers[meter["id"].as_str().unwrap()];
            let difference = now.as_f64().unwrap() - before - used.as_f64().unwrap();
            assert!(difference.abs() < 1e-6, "{} {difference}", meter["id"]);
            read += 1;
        }
    }
    assert_eq!(read, 300, "each meter once in the half hour after history");
}

#[test]
fn homes_use_most_electricity_in_the_evening_and_offices_at_noon() {
    let mut town = Town::new(SEED);
    let mut used = |hour: f64| -> f64 {
        let fragments = town.history(at(hour), at(hour + 1.0));
        let of = |entity: &Value| -> f64 {
            entity["intervalConsumption"].as_array().unwrap().iter().map(|i| i["value"].as_f64().unwrap()).sum()
        };
        fragments.iter().filter(|e| e["id"].as_str().unwrap().contains(":E")).map(of).sum()
    };
    let (night, noon) = (used(3.0), used(12.0));
    assert!(noon > 2.0 * night, "night {night}, noon {noon}");
}

#[test]
fn the_river_rises_after_the_rain_in_the_hills_and_falls_again() {
    let sky = weather::Sky::new(SEED);
    let start = weather::seconds(at(0.0));
    let mut storms = 0;
    for hour in 0..24 * 30 {
        let begin = start + f64::from(hour) * 3_600.0;
        let rain = |from_h: f64, to_h: f64| -> f64 {
            (0..60)
                .map(|i| {
                    sky.rain_mm_per_h(
                        weather::Station::Hills,
                        begin + (from_h + (to_h - from_h) * f64::from(i) / 60.0) * 3_600.0,
                    )
                })
                .sum::<f64>()
                / 60.0
                * (to_h - from_h)
        };
        let level = |after_h: f64| water::level_m(&sky, water::Gauge::Upper, begin + after_h * 3_600.0);
        // Dry for long before, at least 10 mm in two hours.
        if rain(-10.0, 0.0) == 0.0 && rain(0.0, 2.0) > 10.0 {
            storms += 1;
            assert!((level(0.0) - level(0.9)).abs() < 1e-9, "the river knows of rain that has not arrived");
            assert!(level(3.0) > level(0.0) + 0.1, "{} {}", level(0.0), level(3.0));
        }
        if rain(-14.0, 0.0) == 0.0 {
            assert!(level(0.0) < 0.85, "still high {}", level(0.0));
        }
    }
    assert!(storms > 0, "a month without a storm proves nothing");
}

#[test]
fn the_air_stays_within_what_the_coast_of_japan_knows() {
    let sky = weather::Sky::new(SEED);
    let mut wet = 0;
    for hour in 0..24 * 365 {
        for station in [weather::Station::Harbour, weather::Station::Hills] {
            let air = sky.air(station, weather::seconds(at(f64::from(hour))));
            assert!((-8.0..40.0).contains(&air.temperature_c), "{air:?}");
            assert!((0.2..=1.0).contains(&air.humidity), "{air:?}");
            assert!((950.0..1_040.0).contains(&air.pressure_hpa), "{air:?}");
            assert!((0.0..120.0).contains(&air.rain_mm_per_h) && (0.0..40.0).contains(&air.wind_m_per_s), "{air:?}");
            assert!((0.0..360.0).contains(&air.wind_from_deg), "{air:?}");
            wet += u32::from(air.rain_mm_per_h > 0.0);
        }
    }
    assert!((500..6_000).contains(&wet), "{wet} wet hours of 17,520");
}

#[test]
fn buses_stay_on_their_line_and_move_no_faster_than_they_say() {
    let town = Town::new(SEED);
    for line in &town.lines {
        let path = Geometry::LineString(
            line.path.iter().map(|place| Position { lon: place.x_m, lat: place.y_m, height: None }).collect(),
        )
        .to_geo();
        for bus in line.buses() {
            let mut before: Option<ground::Place> = None;
            let mut seen_moving = false;
            for second in (0..86_400).step_by(5) {
                let now_s = weather::seconds(at(0.0)) + f64::from(second);
                let place = line.motion(bus, now_s).place;
                let apart = geo::Distance::distance(
                    &geo::Euclidean,
                    &geo::Geometry::Point(geo::Point::new(place.x_m, place.y_m)),
                    &path,
                );
                assert!(apart < 0.01, "{apart} m off the line");
                if let Some(before) = before {
                    // 12 m/s is the fastest line with some reserve.
                    assert!(before.distance_m(place) <= 60.0, "a jump of {} m", before.distance_m(place));
                    seen_moving |= before != place;
                }
                before = Some(place);
            }
            assert!(seen_moving);
        }
    }
}

#[test]
fn free_spaces_stay_within_the_capacity_and_follow_the_day() {
    let town = Town::new(SEED);
    for parking in &town.parking {
        let free: Vec<u32> =
            (0..24 * 60).map(|minute| parking.free(weather::seconds(at(f64::from(minute) / 60.0)))).collect();
        let (least, most) = (free.iter().min().unwrap(), free.iter().max().unwrap());
        assert!(*most <= parking.spots && most - least > parking.spots / 4, "{}: {least} to {most}", parking.id());
    }
}
