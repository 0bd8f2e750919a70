//! What is written is read again as it was.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use city_alert::cap::{
    self, Alert, Area, Category, Certainty, Circle, DateTime, Info, MsgType, NamedValue, Point, Polygon, Reference,
    Resource, ResponseType, Scope, Severity, Status, Urgency, Version, Word,
};
use city_model::Time;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

/// Text with what is awkward in XML, and nothing around it.
fn text() -> impl Strategy<Value = String> {
    "[ -~\\t\\n\\r洪水ü\u{3000}\u{10000}]{1,30}".prop_filter_map("says something", |text| {
        let trimmed = text.trim_matches([' ', '\t', '\n', '\r']).to_owned();
        (!trimmed.is_empty()).then_some(trimmed)
    })
}

fn name() -> impl Strategy<Value = String> {
    "[A-Za-z0-9@:/.\"'>-]{1,20}"
}

fn word<W: Word + std::fmt::Debug>() -> impl Strategy<Value = W> {
    select(W::ALL)
}

fn date_time() -> impl Strategy<Value = DateTime> {
    (-2_000_000_000_i64..4_000_000_000, -840_i16..=840)
        .prop_map(|(seconds, offset)| DateTime::new(Time::from_micros(seconds * 1_000_000), offset).unwrap())
}

fn point() -> impl Strategy<Value = Point> {
    (-90.0..=90.0, -180.0..=180.0).prop_map(|(latitude, longitude)| Point { latitude, longitude })
}

fn polygon() -> impl Strategy<Value = Polygon> {
    vec(point(), 3..8).prop_map(|mut points| {
        points.push(points[0]);
        Polygon { points }
    })
}

fn named_value() -> impl Strategy<Value = NamedValue> {
    (text(), prop_oneof![Just(String::new()), text()]).prop_map(|(value_name, value)| NamedValue { value_name, value })
}

fn resource() -> impl Strategy<Value = Resource> {
    (text(), text(), of(any::<u64>()), of(name()), of("[A-Za-z0-9+/]{4,40}={0,2}"), of("[0-9a-f]{40}")).prop_map(
        |(resource_desc, mime_type, size, uri, deref_uri, digest)| Resource {
            resource_desc,
            mime_type: Some(mime_type),
            size,
            uri,
            deref_uri,
            digest,
        },
    )
}

fn area() -> impl Strategy<Value = Area> {
    let circle = (point(), 0.0..20_000.0).prop_map(|(center, radius_km)| Circle { center, radius_km });
    let heights = of((-1e4..1e5, of(-1e4..1e5)));
    (text(), vec(polygon(), 0..3), vec(circle, 0..3), vec(named_value(), 0..3), heights).prop_map(
        |(area_desc, polygon, circle, geocode, heights)| Area {
            area_desc,
            polygon,
            circle,
            geocode,
            altitude: heights.map(|(altitude, _)| altitude),
            ceiling: heights.and_then(|(_, ceiling)| ceiling),
        },
    )
}

prop_compose! {
    fn info()(
        words in (vec(word::<Category>(), 1..4), word::<Urgency>(), word::<Severity>(), word::<Certainty>()),
        response in vec(select(&[ResponseType::Shelter, ResponseType::None][..]), 0..3),
        texts in (text(), of(text()), of(text()), of(text()), of(text()), of(text()), of(text())),
        language in of("[a-z]{2}(-[A-Z]{2})?"),
        web in of("https?://[a-z.]{1,20}/[a-z?&=]{0,10}"),
        dates in (of(date_time()), of(date_time()), of(date_time())),
        codes in (vec(named_value(), 0..3), vec(named_value(), 0..3)),
        resource in vec(resource(), 0..2),
        area in vec(area(), 0..3),
    ) -> Info {
        let (category, urgency, severity, certainty) = words;
        let (event, audience, sender_name, headline, description, instruction, contact) = texts;
        let (effective, onset, expires) = dates;
        let (event_code, parameter) = codes;
        Info {
            language, category, event, response_type: response, urgency, severity, certainty, audience, event_code,
            effective, onset, expires, sender_name, headline, description, instruction, web, contact, parameter,
            resource, area,
        }
    }
}

prop_compose! {
    fn alert()(
        names in (name(), name()),
        sent in date_time(),
        words in (word::<Version>(), word::<Status>(), word::<MsgType>(), word::<Scope>()),
        texts in (of(text()), text(), text(), of(text()), of(text())),
        code in vec(text(), 0..3),
        references in vec((name(), name(), date_time()), 1..3),
        info in vec(info(), 0..3),
    ) -> Alert {
        let (identifier, sender) = names;
        let (version, status, msg_type, scope) = words;
        let (source, restriction, addresses, note, incidents) = texts;
        let references = references
            .into_iter()
            .map(|(sender, identifier, sent)| Reference { sender, identifier, sent })
            .collect();
        Alert {
            version, identifier, sender, sent, status, msg_type, source, scope, restriction: Some(restriction),
            addresses: Some(addresses), code, note, references, incidents, info, signed: false,
        }
    }
}

proptest! {
    #[test]
    fn an_alert_that_is_written_is_read_as_it_was(alert in alert()) {
        let written = cap::write(&alert).map_err(|problems| TestCaseError::fail(problems.to_string()))?;
        let read = cap::read(written.as_bytes()).map_err(|problems| TestCaseError::fail(problems.to_string()))?;
        prop_assert_eq!(&read, &alert);
        let json = serde_json::to_string(&alert).unwrap();
        prop_assert_eq!(serde_json::from_str::<Alert>(&json).unwrap(), alert);
    }

    #[test]
    fn what_is_not_written_is_not_written_wrongly(text in any::<String>(), name in any::<String>(), number in any::<f64>()) {
        let mut alert = cap::read(SMALL.as_bytes()).unwrap();
        alert.identifier = name;
        alert.note = Some(text.clone());
        alert.info[0].headline = Some(text);
        alert.info[0].area[0].altitude = Some(number);
        if let Ok(written) = cap::write(&alert) {
            prop_assert_eq!(cap::read(written.as_bytes()).map_err(|problems| problems.to_string()), Ok(alert));
        }
    }
}

const SMALL: &str = r#"<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2"><identifier>a</identifier><sender>b</sender>
<sent>2011-03-11T14:49:00+09:00</sent><status>Actual</status><msgType>Alert</msgType><scope>Public</scope><info>
<category>Geo</category><event>Tsunami</event><urgency>Immediate</urgency><severity>Extreme</severity>
<certainty>Likely</certainty><area><areaDesc>Coast</areaDesc></area></info></alert>"#;
