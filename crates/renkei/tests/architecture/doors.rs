//! Doors register in one list, and the list is the truth.

use std::collections::BTreeSet;

use city_serve::{Effect, Metering, Operation, Ready};

use crate::source::{nothing, sources};

/// Where doors stand: the addresses that outsiders hold on to, and our own.
const ADDRESSES: &[&str] = &[
    "/ngsi-ld/v1/",
    "/ops/v1/",
    "/trust/v1/",
    "/audit/v1/",
    "/sql",
    "/stream",
    "/gtfs/v1/",
    "/ogc/v1",
    "/vocab/v1/",
    "/console",
    "/login",
    "/logout",
    "/welcome",
    "/first-run",
    "/assets/",
    "/health/",
    "/metrics",
];

/// The methods that change something must not be counted as reading.
const READS_BY_POST: &[&str] = &["query_entities_by_post", "query_temporal_by_post", "query_sql_by_post"];

/// As `serve::doors` puts it together; `no_door_is_missing_from_the_list` holds the two together.
fn doors() -> Vec<Operation<std::sync::Arc<city_serve::City>>> {
    let metering = Metering::install().expect("metrics can be set up");
    let mut operations = city_serve::probes::operations(&Ready::default(), &metering);
    operations.extend(city_serve::ngsi_ld::operations());
    operations.extend(city_serve::ops::operations());
    operations.extend(city_serve::control::operations());
    operations.extend(city_serve::vocabulary::operations());
    operations.extend(city_serve::console::operations());
    operations.extend(city_serve::sql::operations());
    operations.extend(city_serve::sources::operations());
    operations.extend(city_serve::stream::operations());
    operations.extend(city_serve::timetables::operations());
    operations.extend(city_serve::ogc::operations());
    operations.extend(city_serve::trust::operations());
    operations.extend(city_serve::people::operations());
    operations.extend(city_serve::pages::operations());
    operations.extend(city_serve::audit::operations());
    operations
}

#[test]
fn every_door_is_listed_once_at_an_address_of_the_contract() {
    let mut seen = BTreeSet::new();
    let mut names = BTreeSet::new();
    let mut wrong = Vec::new();
    for operation in doors() {
        if operation.path != "/" && !ADDRESSES.iter().any(|address| operation.path.starts_with(address)) {
            wrong.push(format!("{} {} begins with none of {ADDRESSES:?}", operation.method, operation.path));
        }
        if !seen.insert((operation.method.to_string(), operation.path)) {
            wrong.push(format!("{} {} is listed twice", operation.method, operation.path));
        }
        if !names.insert((operation.door, operation.name)) {
            wrong.push(format!("{} {} names two operations", operation.door, operation.name));
        }
    }
    nothing("doors", wrong);
}

#[test]
fn a_door_says_honestly_what_it_needs_a_permit_for() {
    let mut wrong = Vec::new();
    for operation in doors() {
        let reads = operation.method == "GET" || READS_BY_POST.contains(&operation.name);
        let honest = match operation.effect {
            Effect::Read => reads,
            Effect::Write => !reads,
            // What a right of its own guards may be looked at or changed under it.
            Effect::Define | Effect::Administer | Effect::Audit | Effect::Operate | Effect::Decide | Effect::Host => {
                true
            }
            // One tells them that and nothing else; the other asks the source whether they may.
            Effect::Known => ["who_am_i", "push_message"].contains(&operation.name),
            // They show nothing of any tenant: what everybody may know, and the pages that ask who somebody is.
            Effect::Open => ["probes", "vocabulary", "console", "people"].contains(&operation.door),
        };
        if !honest {
            wrong.push(format!("{} {} says {:?}", operation.method, operation.path, operation.effect));
        }
    }
    nothing("effects", wrong);
}

#[test]
fn an_operation_of_ngsi_ld_names_its_clause() {
    let clause = |text: &str| text.split('.').count() == 4 && text.split('.').all(|part| part.parse::<u8>().is_ok());
    let doors = doors();
    let without = doors.iter().filter(|operation| operation.door == "ngsi-ld" && !clause(operation.clause));
    nothing("operations without a clause", without.map(|operation| format!("{operation:?}")).collect());
}

#[test]
fn no_door_is_missing_from_the_list() {
    let serve = sources().into_iter().find(|source| source.path == "renkei/src/serve.rs").expect("serve.rs is there");
    let mut wrong = Vec::new();
    for source in sources() {
        let module = source.path.trim_start_matches("city-serve/src/").trim_end_matches(".rs").trim_end_matches("/mod");
        if source.path.starts_with("city-serve/src/") && source.code.contains("pub fn operations") {
            let call = format!("city_serve::{}::operations(", module.replace('/', "::"));
            if !serve.code.contains(&call) {
                wrong.push(format!("renkei/src/serve.rs does not list {call}…)"));
            }
        }
        if source.code.contains("Router::new()") && source.path != "city-serve/src/doors.rs" {
            wrong.push(format!("{} routes beside the list", source.path));
        }
        let is_door = source.path.starts_with("city-serve/src/") || source.path.starts_with("renkei/src/demo/");
        if source.code.contains("Operation::new(") && !is_door {
            wrong.push(format!("{} makes an operation; doors stand in city-serve", source.path));
        }
    }
    nothing("doors beside the list", wrong);
}
