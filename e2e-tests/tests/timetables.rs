//! Public transport through the built binary: a feed is put, its stops are entities, and what leaves them is answered.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::path::Path;

use e2e_tests::{Client, ENTITIES, Server, data_folder, run};
use serde_json::{Value, json};

fn put(client: &Client, name: &str, bytes: Vec<u8>) -> e2e_tests::Answer {
    client.request("PUT", &format!("/gtfs/v1/feeds/{name}")).body("application/zip", bytes).answer()
}

/// The id that an entity has in its feed.
fn behind(kind: &str, entity: &Value) -> String {
    let id = entity["id"].as_str().unwrap();
    id.strip_prefix(&format!("urn:ngsi-ld:{kind}:toei-subway:")).unwrap().to_owned()
}

/// Leaves out a route, its trips and their stop times.
const WITHOUT_ROUTE: &str = r#"
import csv, io, sys, zipfile
old, new, route = zipfile.ZipFile(sys.argv[1]), zipfile.ZipFile(sys.argv[2], "w", zipfile.ZIP_DEFLATED), sys.argv[3]
table = lambda name: list(csv.DictReader(io.StringIO(old.read(name).decode("utf-8-sig"))))
gone = {row["trip_id"] for row in table("trips.txt") if row["route_id"] == route}
for name in old.namelist():
    rows = table(name)
    if name == "stop_times.txt":
        rows = [row for row in rows if row["trip_id"] not in gone]
    elif name in ("routes.txt", "trips.txt"):
        rows = [row for row in rows if row["route_id"] != route]
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    new.writestr(name, out.getvalue())
new.close()
"#;

fn without_route(feed: &Path, folder: &Path, route: &str) -> Vec<u8> {
    let made = folder.join("made.zip");
    let mut python = std::process::Command::new("python3");
    assert!(python.args(["-c", WITHOUT_ROUTE]).args([feed, &made]).arg(route).status().unwrap().success());
    std::fs::read(made).unwrap()
}

#[test]
fn a_feed_is_put_asked_exported_and_followed_by_its_next_version() {
    let Some(data) = data_folder("tokyo-gtfs") else { return };
    let feed = data.join("toei-subway-gtfs-rebuilt.zip");
    let bytes = std::fs::read(&feed).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path());
    let client = server.client();
    let made = put(&client, "toei-subway", bytes.clone()).json_of(201);
    assert_eq!((&made["version"], &made["routes"], &made["bytes"]), (&json!(1), &json!(6), &json!(bytes.len())));
    assert!(made["stopTimes"].as_u64() > Some(100_000) && made["rules"].is_array(), "{made}");
    let routes = client.get(&format!("{ENTITIES}?type=GtfsRoute&options=keyValues")).json_of(200);
    assert_eq!(routes.as_array().unwrap().len(), 6);
    let near = "georel=near;maxDistance==400&geometry=Point&coordinates=[139.7690,35.6938]";
    let stops = client.get(&format!("{ENTITIES}?type=GtfsStop&{near}&options=keyValues")).json_of(200);
    assert!(!stops.as_array().unwrap().is_empty(), "a station near Ogawamachi");

    // What leaves is the same after the plug was pulled.
    let stop = behind("GtfsStop", &stops[0]);
    let until = made["until"].as_str().unwrap();
    let asked = format!("/gtfs/v1/feeds/toei-subway/stops/{stop}/departures?at={until}T00:00:00Z&limit=5");
    let leaves = client.get(&asked).json_of(200);
    assert_eq!(leaves["departures"].as_array().unwrap().len(), 5, "{leaves}");
    server.kill();
    server = Server::start(folder.path());
    let client = server.client();
    assert_eq!(client.get(&asked).json_of(200), leaves);
    assert_eq!(client.get("/gtfs/v1/feeds/toei-subway/stops/none/departures").status, 404);
    assert_eq!(client.get("/gtfs/v1/feeds/none/stops/none/departures").status, 404);

    let url = server.url();
    let out = folder.path().join("out.zip");
    let exported = run(&["export", "gtfs", "--feed", "toei-subway", "--out", out.to_str().unwrap(), "--url", &url]);
    assert_eq!((exported.code, std::fs::read(&out).unwrap() == bytes), (Some(0), true), "to the byte: {exported:?}");
    let told = run(&["gtfs", "departures", "toei-subway", &stop, "--at", &format!("{until}T00:00:00Z"), "--url", &url]);
    assert_eq!((told.code, told.out.lines().count()), (Some(0), 20), "{told:?}");

    // The next version has one route less, with its trips; what was written on a stop by others stays.
    let note = json!({"remark": {"type": "Property", "value": "wet floor"}});
    let _ = client.post(&format!("{ENTITIES}/urn:ngsi-ld:GtfsStop:toei-subway:{stop}/attrs"), &note).expect(204);
    let route = behind("GtfsRoute", &routes[0]);
    let broken = put(&client, "toei-subway", b"no archive".to_vec());
    assert!(broken.status == 400 && broken.text().contains("ING-015"), "{}", broken.text());
    let text = client.request("PUT", "/gtfs/v1/feeds/toei-subway").body("text/plain", bytes.clone()).answer();
    assert_eq!(text.status, 415, "{}", text.text());
    let second = put(&client, "toei-subway", without_route(&feed, folder.path(), &route)).json_of(200);
    assert_eq!((&second["version"], &second["routes"], &second["removed"]), (&json!(2), &json!(5), &json!(1)));
    assert_eq!(client.get(&format!("{ENTITIES}/{}", routes[0]["id"].as_str().unwrap())).status, 404);
    let kept = client.get(&format!("{ENTITIES}/urn:ngsi-ld:GtfsStop:toei-subway:{stop}?options=keyValues"));
    assert_eq!(kept.json_of(200)["remark"], "wet floor");
    let listed = client.get("/gtfs/v1/feeds").json_of(200);
    assert_eq!(listed["feeds"][0]["version"], 2);
    assert_eq!(run(&["gtfs", "remove", "toei-subway", "--url", &url]).code, Some(0));
    assert_eq!(client.get(&format!("{ENTITIES}?type=GtfsStop")).json_of(200), json!([]));
    assert_eq!(client.get("/gtfs/v1/feeds").json_of(200)["feeds"], json!([]));
    server.stop();
}

#[test]
fn a_frame_of_vehicles_comes_in_and_goes_out_as_gtfs_realtime() {
    let Some(data) = data_folder("gtfs-rt") else { return };
    let frame = std::fs::read(data.join("king-county-metro-1.pbf")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let source = r#"
name: vehicles
from: {push: {}}
map:
  format: gtfs-rt
  when: row.kind == "vehicle"
  id: '"urn:ngsi-ld:Vehicle:kcm:" + uri(row.vehicleId)'
  type: Vehicle
  observedAt: epoch_s(row.timestamp)
  attributes:
    location: {type: GeoProperty, value: 'point(row.longitude, row.latitude)'}
    tripId: row.tripId
    routeId: row.routeId
"#;
    let set_up = client.request("POST", "/ops/v1/sources").body("application/yaml", source).answer();
    assert_eq!(set_up.status, 201, "{}", set_up.text());
    let took = client
        .request("POST", "/ops/v1/sources/vehicles/messages")
        .body("application/x-protobuf", frame)
        .answer()
        .json_of(200);
    assert_eq!((&took["applied"], &took["rejected"]), (&json!(627), &json!(0)));
    let count = client.get(&format!("{ENTITIES}?type=Vehicle&count=true&limit=1"));
    assert_eq!(count.header("ngsild-results-count"), Some("627"));
    let out = client.get("/gtfs/v1/vehicle-positions").expect(200);
    assert_eq!(out.header("content-type"), Some("application/x-protobuf"));
    // Read again by the same source: nothing is lost on the way round.
    let again = client
        .request("POST", "/ops/v1/sources/vehicles/test")
        .body("application/x-protobuf", out.body.clone())
        .answer()
        .json_of(200);
    assert_eq!((&again["would"], &again["rejected"]), (&json!(627), &json!(0)), "{}", again["reasons"]);
    server.stop();
}
