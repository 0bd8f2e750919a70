//! Subscriptions: accepted, refused by name, kept, changed, shown, and what they send.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use city_model::Time;
use city_model::subscription::{Accept, DeliveryReport, NotificationFormat, Trigger};
use city_ngsi_ld::context::{ContextSpec, ContextStore, TermMap};
use city_ngsi_ld::subscription::{
    NotifiedEntity, context_of, from_stored, parse_subscription, render_notification, render_subscription, stored,
    terms_of, update_subscription,
};
use city_ngsi_ld::{ErrorKind, Mode, parse_entity};
use serde_json::{Value, json};

const NEW_ID: &str = "urn:ngsi-ld:Subscription:new";

fn now() -> Time {
    Time::parse("2025-06-01T00:00:00Z").unwrap()
}

fn with(members: &str) -> String {
    format!(
        r#"{{"type":"Subscription","entities":[{{"type":"Car"}}],"notification":{{"endpoint":{{"uri":"http://a.org/n"}}}}{}{members}}}"#,
        if members.is_empty() { "" } else { "," }
    )
}

fn context(json: &str) -> std::sync::Arc<TermMap> {
    ContextStore::new().resolve(&ContextSpec::parse(json).unwrap()).unwrap()
}

#[test]
fn everything_that_is_understood_is_kept() {
    let terms = context(r#"{"Car":"https://x.org/Car","speed":"https://x.org/speed"}"#);
    let body = br#"{"id":"urn:s:1","type":"Subscription","description":"d","entities":[{"type":"Car|Bus","idPattern":"^urn:"}],
        "watchedAttributes":["speed"],"q":"speed>50;brand==\"x\"","scopeQ":"/a/#",
        "geoQ":{"georel":"near;maxDistance==10","geometry":"Point","coordinates":[1,2],"geoproperty":"seat"},
        "notificationTrigger":["entityDeleted","attributeUpdated"],"isActive":false,"expiresAt":"2026-01-01T00:00:00Z",
        "throttling":1.5,"notification":{"attributes":["speed"],"format":"keyValues","sysAttrs":true,
        "endpoint":{"uri":"https://a.org:8443/n?x=1","accept":"application/ld+json","timeout":500,"cooldown":1000,
        "receiverInfo":[{"key":"Authorization","value":"Bearer x"}]}},"status":"active"}"#;
    let subscription = parse_subscription(body, &terms, NEW_ID, now(), None).unwrap();
    assert_eq!(&*subscription.id, "urn:s:1");
    assert_eq!(subscription.watched[0].as_str(), "https://x.org/speed");
    assert_eq!(subscription.triggers, [Trigger::EntityDeleted, Trigger::AttributeUpdated]);
    assert_eq!(subscription.throttling_micros, Some(1_500_000));
    assert_eq!(subscription.notification.format, NotificationFormat::Simplified);
    assert_eq!(subscription.notification.endpoint.accept, Accept::JsonLd);
    assert_eq!(subscription.notification.endpoint.timeout_ms, Some(500));
    assert!(!subscription.active);

    // The stored text alone brings it back, with the meaning its names had.
    let again = from_stored(stored(&subscription)).unwrap();
    assert_eq!(format!("{again:?}"), format!("{subscription:?}"));
    assert_eq!(context_of(&again).unwrap(), *terms.spec());
    assert_eq!(terms_of(&again).unwrap().expand("Car").as_str(), "https://x.org/Car");
    let fast = parse_entity(
        br#"{"id":"urn:c:1","type":"https://x.org/Car","scope":"/a","https://x.org/speed":60,"brand":"x","seat":{"type":"Point","coordinates":[1,2]}}"#,
        &TermMap::core(),
        Mode::Create,
    );
    assert!(again.query.matches(&fast.unwrap()));

    let mut out = Vec::new();
    let report = DeliveryReport { times_sent: 3, last_success: Some(now()), ..DeliveryReport::default() };
    render_subscription(&again, Some(&report), now(), true, false, &TermMap::core(), &mut out).unwrap();
    let shown: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(
        shown["entities"],
        json!([{"type":"https://x.org/Car|Bus","idPattern":"^urn:"}]),
        "in the asker's context"
    );
    assert_eq!(shown["watchedAttributes"], json!(["https://x.org/speed"]));
    assert_eq!(shown["status"], "paused");
    assert_eq!(shown["notification"]["timesSent"], 3);
    assert_eq!(shown["notification"]["status"], "ok");
    assert_eq!(shown["notification"]["endpoint"]["uri"], "https://a.org:8443/n?x=1");
    assert_eq!(shown["createdAt"], "2025-06-01T00:00:00Z");
}

#[test]
fn what_cannot_be_kept_is_refused_by_name() {
    for (members, path, kind) in [
        (r#""timeInterval":5"#, "timeInterval", ErrorKind::NotSupported),
        (r#""expiresAt":"2024-01-01T00:00:00Z""#, "expiresAt", ErrorKind::BadRequestData),
        (r#""expiresAt":"soon""#, "expiresAt", ErrorKind::BadRequestData),
        (r#""notificationTrigger":["entityMoved"]"#, "notificationTrigger", ErrorKind::BadRequestData),
        (r#""notificationTrigger":[]"#, "notificationTrigger", ErrorKind::BadRequestData),
        (r#""throttling":0"#, "throttling", ErrorKind::BadRequestData),
        (r#""throttling":-1"#, "throttling", ErrorKind::BadRequestData),
        (r#""isActive":"yes""#, "isActive", ErrorKind::BadRequestData),
        (r#""watchedAttributes":[]"#, "watchedAttributes", ErrorKind::BadRequestData),
        (r#""id":"seven""#, "id", ErrorKind::BadRequestData),
        (r#""q":"a==""#, "q", ErrorKind::BadRequestData),
        (r#""colour":"red""#, "colour", ErrorKind::BadRequestData),
        (r#""csf":"a""#, "csf", ErrorKind::NotSupported),
        (
            r#""geoQ":{"georel":"near;maxDistance==1","geometry":"Point"}"#,
            "geoQ.coordinates",
            ErrorKind::BadRequestData,
        ),
    ] {
        let error = parse_subscription(with(members).as_bytes(), &TermMap::core(), NEW_ID, now(), None).unwrap_err();
        assert_eq!((error.path.as_str(), error.kind), (path, kind), "{members}: {error}");
    }
    let of = |notification: &str| {
        let body = format!(r#"{{"type":"Subscription","entities":[{{"type":"Car"}}],"notification":{notification}}}"#);
        parse_subscription(body.as_bytes(), &TermMap::core(), NEW_ID, now(), None).unwrap_err()
    };
    for (notification, path) in [
        (r#"{}"#, "notification.endpoint"),
        (r#"{"endpoint":{}}"#, "notification.endpoint.uri"),
        (r#"{"endpoint":{"uri":"nowhere"}}"#, "notification.endpoint.uri"),
        (r#"{"endpoint":{"uri":"mqtt://a.org/t"}}"#, "notification.endpoint.uri"),
        (r#"{"endpoint":{"uri":"http://"}}"#, "notification.endpoint.uri"),
        (r#"{"endpoint":{"uri":"http:///x"}}"#, "notification.endpoint.uri"),
        (r#"{"endpoint":{"uri":"http://a.org","accept":"text/plain"}}"#, "notification.endpoint.accept"),
        (
            r#"{"endpoint":{"uri":"http://a.org","receiverInfo":[{"key":"a b","value":"x"}]}}"#,
            "notification.endpoint.receiverInfo",
        ),
        (
            r#"{"endpoint":{"uri":"http://a.org","receiverInfo":[{"key":"a","value":"x\r\ny"}]}}"#,
            "notification.endpoint.receiverInfo",
        ),
        (r#"{"format":"xml","endpoint":{"uri":"http://a.org"}}"#, "notification.format"),
        (r#"{"format":"simplified","showChanges":true,"endpoint":{"uri":"http://a.org"}}"#, "notification.showChanges"),
        (r#"{"attributes":[],"endpoint":{"uri":"http://a.org"}}"#, "notification.attributes"),
    ] {
        assert_eq!(of(notification).path, path, "{notification}");
    }
    let nothing = br#"{"type":"Subscription","notification":{"endpoint":{"uri":"http://a.org/n"}}}"#;
    assert_eq!(parse_subscription(nothing, &TermMap::core(), NEW_ID, now(), None).unwrap_err().path, "entities");
}

#[test]
fn an_update_changes_what_it_names() {
    let terms = context(r#"{"Car":"https://x.org/Car","speed":"https://x.org/speed"}"#);
    let first =
        parse_subscription(with(r#""q":"speed>50","throttling":5"#).as_bytes(), &terms, NEW_ID, now(), None).unwrap();
    let patch = br#"{"isActive":false,"throttling":null,"notification":{"format":"concise","endpoint":{"timeout":7}}}"#;
    let later = now().plus_micros(1_000_000);
    let second = update_subscription(&first, patch, &TermMap::core(), later).unwrap();
    assert!(!second.active);
    assert_eq!(second.throttling_micros, None);
    assert_eq!(second.notification.format, NotificationFormat::Concise);
    assert_eq!(&*second.notification.endpoint.uri, "http://a.org/n");
    assert_eq!(second.notification.endpoint.timeout_ms, Some(7));
    assert_eq!(format!("{:?}", second.query), format!("{:?}", first.query), "names keep their meaning");
    assert_eq!(context_of(&second).unwrap(), *terms.spec());
    assert_eq!(format!("{:?}", from_stored(stored(&second)).unwrap()), format!("{second:?}"));
    assert_eq!(update_subscription(&first, br#"{"id":"urn:s:2"}"#, &terms, later).unwrap_err().path, "id");
    assert_eq!(update_subscription(&first, br#"{"timeInterval":5}"#, &terms, later).unwrap_err().path, "timeInterval");
    let clash =
        update_subscription(&first, br#"{"watchedAttributes":["speed"]}"#, &TermMap::core(), later).unwrap_err();
    assert!(clash.message.contains("https://x.org/speed"), "{clash}");
}

#[test]
fn a_notification_tells_what_changed() {
    let terms = TermMap::core();
    let parse = |body: &str| parse_entity(body.as_bytes(), &terms, Mode::Create).unwrap();
    let before = parse(r#"{"id":"urn:c:1","type":"Car","speed":{"value":50},"owner":{"object":"urn:p:1"}}"#);
    let after = parse(r#"{"id":"urn:c:1","type":"Car","speed":{"value":60}}"#);
    let subscribe = |notification: &str| {
        let body = format!(r#"{{"type":"Subscription","entities":[{{"type":"Car"}}],"notification":{notification}}}"#);
        parse_subscription(body.as_bytes(), &terms, NEW_ID, now(), None).unwrap()
    };
    let send = |notification: &str, entity: NotifiedEntity| -> Value {
        let bytes = render_notification("urn:n:1", &subscribe(notification), now(), &[entity], &terms);
        serde_json::from_slice(&bytes).unwrap()
    };
    let endpoint = r#""endpoint":{"uri":"http://a.org/n"}"#;
    let told = send(&format!("{{{endpoint}}}"), NotifiedEntity::from(&after));
    assert_eq!(
        told,
        json!({"id":"urn:n:1","type":"Notification","subscriptionId":NEW_ID,"notifiedAt":"2025-06-01T00:00:00Z",
               "data":[{"id":"urn:c:1","type":"Car","speed":{"type":"Property","value":60}}]})
    );
    let changed = NotifiedEntity { entity: &after, previous: Some(&before), deleted_at: None };
    let told = send(&format!("{{\"showChanges\":true,{endpoint}}}"), changed);
    assert_eq!(told["data"][0]["speed"], json!({"type":"Property","value":60,"previousValue":50}));
    assert_eq!(
        told["data"][0]["owner"],
        json!({"type":"Relationship","object":"urn:ngsi-ld:null","previousObject":"urn:p:1"})
    );
    let gone = NotifiedEntity { entity: &before, previous: None, deleted_at: Some(now()) };
    let told = send(&format!("{{\"format\":\"simplified\",{endpoint}}}"), gone);
    assert_eq!(told["data"][0], json!({"id":"urn:c:1","type":"Car","deletedAt":"2025-06-01T00:00:00Z"}));
    let told =
        send(r#"{"endpoint":{"uri":"http://a.org/n","accept":"application/geo+json"}}"#, NotifiedEntity::from(&after));
    assert_eq!(told["data"]["type"], "FeatureCollection");
    let told =
        send(r#"{"endpoint":{"uri":"http://a.org/n","accept":"application/ld+json"}}"#, NotifiedEntity::from(&after));
    assert!(told["@context"].is_string());
}

#[test]
fn a_deleted_entity_tells_its_attributes_where_they_were_asked_for() {
    let terms = TermMap::core();
    let body = br#"{"id":"urn:c:1","type":"Car","speed":{"value":50},"location":{"value":{"type":"Point","coordinates":[1,2]}}}"#;
    let entity = parse_entity(body, &terms, Mode::Create).unwrap();
    let told = |members: &str| -> Value {
        let body = format!(r#"{{"type":"Subscription","entities":[{{"type":"Car"}}],{members}}}"#);
        let subscription = parse_subscription(body.as_bytes(), &terms, NEW_ID, now(), None).unwrap();
        let gone = NotifiedEntity { entity: &entity, previous: None, deleted_at: Some(now()) };
        let bytes = render_notification("urn:n:1", &subscription, now(), &[gone], &terms);
        let mut body: Value = serde_json::from_slice(&bytes).unwrap();
        body["data"][0].take()
    };
    let endpoint = r#""endpoint":{"uri":"http://a.org/n"}"#;
    assert_eq!(
        told(&format!(r#""notificationTrigger":["entityDeleted"],"notification":{{{endpoint}}}"#)),
        json!({"id":"urn:c:1","type":"Car","deletedAt":"2025-06-01T00:00:00Z"})
    );
    let shown =
        told(&format!(r#""notificationTrigger":["entityDeleted"],"notification":{{"showChanges":true,{endpoint}}}"#));
    assert_eq!(shown["speed"], json!({"type":"Property","value":"urn:ngsi-ld:null","previousValue":50}));
    assert_eq!(shown["location"]["type"], "GeoProperty");
    let watched = told(&format!(
        r#""watchedAttributes":["speed"],"notificationTrigger":["attributeDeleted"],"notification":{{{endpoint}}}"#
    ));
    assert_eq!(watched["speed"], json!({"type":"Property","value":"urn:ngsi-ld:null"}));
    assert!(watched.get("location").is_none());
}

#[test]
fn members_and_datasets_of_a_notification_are_chosen() {
    let terms = TermMap::core();
    let body = br#"{"id":"urn:c:1","type":"Car","a":1,"b":[{"value":2},{"value":3,"datasetId":"urn:d:1"}]}"#;
    let entity = parse_entity(body, &terms, Mode::Create).unwrap();
    let parse = |members: &str, notification: &str| {
        let body = format!(
            r#"{{"type":"Subscription","entities":[{{"type":"Car"}}],{members}
                "notification":{{{notification}"format":"keyValues","endpoint":{{"uri":"http://a.org/n"}}}}}}"#
        );
        parse_subscription(body.as_bytes(), &terms, NEW_ID, now(), None)
    };
    for (members, notification, expected) in [
        ("", r#""pick":["id","a"],"#, json!({"id":"urn:c:1","a":1})),
        ("", r#""omit":["b","type"],"#, json!({"id":"urn:c:1","a":1})),
        (r#""datasetId":["urn:d:1"],"#, r#""pick":["b"],"#, json!({"b":3})),
    ] {
        let subscription = parse(members, notification).unwrap();
        let bytes = render_notification("urn:n:1", &subscription, now(), &[NotifiedEntity::from(&entity)], &terms);
        let body: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(body["data"][0], expected, "{notification}");
    }
    for refused in [r#""pick":["a"],"omit":["a"],"#, r#""pick":["a"],"attributes":["a"],"#, r#""omit":[],"#] {
        assert_eq!(parse("", refused).unwrap_err().kind, ErrorKind::BadRequestData, "{refused}");
    }
}
