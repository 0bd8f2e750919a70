//! q and geoQ against an evaluator that knows nothing of ours: it walks the JSON document with
//! rules of its own, and measures on the sphere and the ellipsoid with formulas of its own.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use city_model::Query;
use city_ngsi_ld::query::{parse_geo_query, parse_q};
use city_ngsi_ld::{ContextStore, Mode, parse_entity};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A condition as the test makes it, apart from the text it becomes.
#[derive(Debug, Clone)]
enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Exists(Path),
    Compare(Path, &'static str, Vec<Literal>),
    Range(Path, bool, f64, f64),
    Pattern(Path, bool, &'static str),
}

#[derive(Debug, Clone)]
struct Path {
    attribute: &'static str,
    sub: Option<&'static str>,
    member: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq)]
enum Literal {
    Number(f64),
    Text(&'static str),
    Bool(bool),
    Time(&'static str),
}

const TEXTS: [&str; 5] = ["red", "dark red", "Koto", "東京", "a;b|c"];
const TIMES: [&str; 3] = ["2026-01-01T00:00:00Z", "2026-06-01T12:00:00Z", "2026-12-31T23:59:59Z"];

fn path() -> impl Strategy<Value = Path> {
    let attribute = prop::sample::select(vec!["speed", "colour", "open", "address", "seen"]);
    let sub = prop::option::weighted(0.2, prop::sample::select(vec!["accuracy", "observedAt"]));
    (attribute, sub).prop_flat_map(|(attribute, sub)| {
        let member = if attribute == "address" && sub.is_none() { 0.7 } else { 0.001 };
        prop::option::weighted(member, prop::sample::select(vec!["city", "number"])).prop_map(move |member| Path {
            attribute,
            sub,
            member,
        })
    })
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        (-3i32..8).prop_map(|n| Literal::Number(f64::from(n) / 2.0)),
        prop::sample::select(TEXTS.to_vec()).prop_map(Literal::Text),
        any::<bool>().prop_map(Literal::Bool),
        prop::sample::select(TIMES.to_vec()).prop_map(Literal::Time),
    ]
}

/// Booleans have no order.
fn ordered_literal() -> impl Strategy<Value = Literal> {
    literal().prop_map(|literal| if matches!(literal, Literal::Bool(_)) { Literal::Number(1.0) } else { literal })
}

fn condition() -> impl Strategy<Value = Condition> {
    let leaf = prop_oneof![
        path().prop_map(Condition::Exists),
        (path(), prop::sample::select(vec!["==", "!="]), prop::collection::vec(literal(), 1..3))
            .prop_map(|(path, operator, list)| Condition::Compare(path, operator, list)),
        (path(), prop::sample::select(vec!["<", "<=", ">", ">="]), ordered_literal())
            .prop_map(|(path, operator, literal)| Condition::Compare(path, operator, vec![literal])),
        (path(), any::<bool>(), -3i32..3, 0i32..6).prop_map(|(path, equal, low, width)| Condition::Range(
            path,
            equal,
            f64::from(low),
            f64::from(low + width)
        )),
        (path(), any::<bool>(), prop::sample::select(vec!["^d", "red$", "o.o", "京"]))
            .prop_map(|(path, matches, pattern)| Condition::Pattern(path, matches, pattern)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let several = prop::collection::vec(inner, 2..4);
        prop_oneof![several.clone().prop_map(Condition::And), several.prop_map(Condition::Or)]
    })
}

fn entity() -> impl Strategy<Value = Value> {
    let number = (-3i32..8).prop_map(|n| json!(f64::from(n) / 2.0));
    let text = prop::sample::select(TEXTS.to_vec()).prop_map(|text| json!(text));
    let time = prop::sample::select(TIMES.to_vec()).prop_map(|time| json!(time));
    let plain = prop_oneof![number.clone(), text.clone(), any::<bool>().prop_map(Value::from), time];
    let list = prop::collection::vec(plain.clone(), 1..3).prop_map(Value::from);
    let address = (text, number.clone()).prop_map(|(city, number)| json!({"city": city, "number": number}));
    let value = prop_oneof![4 => plain, 1 => list];
    let instance = (value, prop::option::of(number), prop::option::of(prop::sample::select(TIMES.to_vec()))).prop_map(
        |(value, accuracy, observed_at)| {
            let mut instance = json!({"type": "Property", "value": value});
            if let Some(accuracy) = accuracy {
                instance["accuracy"] = json!({"type": "Property", "value": accuracy});
            }
            if let Some(observed_at) = observed_at {
                instance["observedAt"] = observed_at.into();
            }
            instance
        },
    );
    let optional = prop::option::of(instance);
    (optional.clone(), optional.clone(), optional.clone(), optional, prop::option::of(address)).prop_map(
        |(speed, colour, open, seen, address)| {
            let mut entity = json!({"id": "urn:x:1", "type": "Thing"});
            for (name, instance) in [("speed", speed), ("colour", colour), ("open", open), ("seen", seen)] {
                if let Some(instance) = instance {
                    entity[name] = instance;
                }
            }
            if let Some(address) = address {
                entity["address"] = json!({"type": "Property", "value": address});
            }
            entity
        },
    )
}

fn written(condition: &Condition, top: bool) -> String {
    let joined = |list: &[Condition], separator: &str| {
        let text = list.iter().map(|c| written(c, false)).collect::<Vec<_>>().join(separator);
        if top { text } else { format!("({text})") }
    };
    let at = |path: &Path| {
        let mut text = path.attribute.to_owned();
        path.sub.iter().for_each(|sub| text.push_str(&format!(".{sub}")));
        path.member.iter().for_each(|member| text.push_str(&format!("[{member}]")));
        text
    };
    let literal = |literal: &Literal| match literal {
        Literal::Number(number) => number.to_string(),
        Literal::Text(text) => format!("\"{text}\""),
        Literal::Bool(value) => value.to_string(),
        Literal::Time(time) => (*time).to_owned(),
    };
    match condition {
        Condition::And(list) => joined(list, ";"),
        Condition::Or(list) => joined(list, "|"),
        Condition::Exists(path) => at(path),
        Condition::Compare(path, operator, list) => {
            format!("{}{operator}{}", at(path), list.iter().map(literal).collect::<Vec<_>>().join(","))
        }
        Condition::Range(path, equal, low, high) => {
            format!("{}{}{low}..{high}", at(path), if *equal { "==" } else { "!=" })
        }
        Condition::Pattern(path, matches, pattern) => {
            format!("{}{}{pattern}", at(path), if *matches { "~=" } else { "!~=" })
        }
    }
}

/// Every value that a path leads to in the document; a list counts as its items.
fn values(entity: &Value, path: &Path) -> Vec<Value> {
    let attribute = &entity[path.attribute];
    let found = match path.sub {
        None => &attribute["value"],
        Some("observedAt") => &attribute["observedAt"],
        Some(sub) => &attribute[sub]["value"],
    };
    let found = path.member.map_or(found, |member| &found[member]);
    match found {
        Value::Null => Vec::new(),
        Value::Array(items) => items.clone(),
        other => vec![other.clone()],
    }
}

fn is_equal(value: &Value, literal: &Literal) -> bool {
    match literal {
        Literal::Number(number) => value.as_f64() == Some(*number),
        Literal::Bool(expected) => value.as_bool() == Some(*expected),
        Literal::Text(text) | Literal::Time(text) => value.as_str() == Some(text),
    }
}

/// ISO times of one form sort like texts.
fn ordered(value: &Value, operator: &str, literal: &Literal) -> bool {
    let order = match literal {
        Literal::Number(number) => value.as_f64().and_then(|own| own.partial_cmp(number)),
        Literal::Text(text) => value.as_str().map(|own| own.cmp(text)),
        Literal::Time(time) => value.as_str().filter(|own| TIMES.contains(own)).map(|own| own.cmp(time)),
        Literal::Bool(_) => None,
    };
    order.is_some_and(|order| match operator {
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        _ => order.is_ge(),
    })
}

fn holds(condition: &Condition, entity: &Value) -> bool {
    match condition {
        Condition::And(list) => list.iter().all(|c| holds(c, entity)),
        Condition::Or(list) => list.iter().any(|c| holds(c, entity)),
        Condition::Exists(path) => !values(entity, path).is_empty(),
        Condition::Compare(path, operator, list) => {
            let found = values(entity, path);
            let any_equal = found.iter().any(|value| list.iter().any(|literal| is_equal(value, literal)));
            match *operator {
                "==" => any_equal,
                "!=" => !found.is_empty() && !any_equal,
                // A time has no order among texts.
                _ if path.sub == Some("observedAt") && matches!(list[0], Literal::Text(_)) => false,
                operator => found.iter().any(|value| ordered(value, operator, &list[0])),
            }
        }
        Condition::Range(path, equal, low, high) => {
            let found = values(entity, path);
            let inside = found.iter().any(|value| value.as_f64().is_some_and(|own| *low <= own && own <= *high));
            if *equal { inside } else { !found.is_empty() && !inside }
        }
        Condition::Pattern(path, matches, pattern) => {
            let found = values(entity, path);
            let hit = found.iter().any(|value| value.as_str().is_some_and(|text| naive_match(text, pattern)));
            if *matches { hit } else { !found.is_empty() && !hit }
        }
    }
}

/// The four patterns that the test uses, by hand.
fn naive_match(text: &str, pattern: &str) -> bool {
    match pattern {
        "^d" => text.starts_with('d'),
        "red$" => text.ends_with("red"),
        "o.o" => {
            let letters: Vec<char> = text.chars().collect();
            letters.windows(3).any(|three| three[0] == 'o' && three[2] == 'o')
        }
        plain => text.contains(plain),
    }
}

/// Vincenty's inverse formula on WGS 84.
fn vincenty_m(a: [f64; 2], b: [f64; 2]) -> Option<f64> {
    let (major, flattening) = (6_378_137.0_f64, 1.0 / 298.257_223_563);
    let minor = major * (1.0 - flattening);
    let reduced = |lat: f64| ((1.0 - flattening) * lat.to_radians().tan()).atan();
    let (u1, u2, l) = (reduced(a[1]), reduced(b[1]), (b[0] - a[0]).to_radians());
    let mut lambda = l;
    for _ in 0..200 {
        let sin_sigma = ((u2.cos() * lambda.sin()).powi(2)
            + (u1.cos() * u2.sin() - u1.sin() * u2.cos() * lambda.cos()).powi(2))
        .sqrt();
        if sin_sigma == 0.0 {
            return Some(0.0);
        }
        let cos_sigma = u1.sin() * u2.sin() + u1.cos() * u2.cos() * lambda.cos();
        let sigma = sin_sigma.atan2(cos_sigma);
        let sin_alpha = u1.cos() * u2.cos() * lambda.sin() / sin_sigma;
        let cos2_alpha = 1.0 - sin_alpha * sin_alpha;
        let cos_2m = if cos2_alpha == 0.0 { 0.0 } else { cos_sigma - 2.0 * u1.sin() * u2.sin() / cos2_alpha };
        let c = flattening / 16.0 * cos2_alpha * (4.0 + flattening * (4.0 - 3.0 * cos2_alpha));
        let before = lambda;
        let inner = cos_2m + c * cos_sigma * (-1.0 + 2.0 * cos_2m * cos_2m);
        lambda = l + (1.0 - c) * flattening * sin_alpha * (sigma + c * sin_sigma * inner);
        if (lambda - before).abs() < 1e-13 {
            let squared = cos2_alpha * (major * major - minor * minor) / (minor * minor);
            let big_a = 1.0 + squared / 16_384.0 * (4_096.0 + squared * (-768.0 + squared * (320.0 - 175.0 * squared)));
            let big_b = squared / 1_024.0 * (256.0 + squared * (-128.0 + squared * (74.0 - 47.0 * squared)));
            let last = cos_sigma * (-1.0 + 2.0 * cos_2m * cos_2m)
                - big_b / 6.0 * cos_2m * (-3.0 + 4.0 * sin_sigma * sin_sigma) * (-3.0 + 4.0 * cos_2m * cos_2m);
            let delta = big_b * sin_sigma * (cos_2m + big_b / 4.0 * last);
            return Some(minor * big_a * (sigma - delta));
        }
    }
    None
}

/// Crossings of a ray to the east: the oldest test of a point in a polygon.
fn inside(point: [f64; 2], ring: &[[f64; 2]]) -> bool {
    let mut within = false;
    for pair in ring.windows(2) {
        let ([x1, y1], [x2, y2]) = (pair[0], pair[1]);
        if (y1 > point[1]) != (y2 > point[1]) && point[0] < (x2 - x1) * (point[1] - y1) / (y2 - y1) + x1 {
            within = !within;
        }
    }
    within
}

fn located(point: [f64; 2]) -> Value {
    json!({"id": "urn:x:1", "type": "Thing", "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": point}}})
}

fn geo_matches(entity: &Value, georel: &str, geometry: &str, coordinates: &Value) -> bool {
    let terms = ContextStore::new().core();
    let entity = parse_entity(entity.to_string().as_bytes(), &terms, Mode::Create).unwrap();
    let geo = parse_geo_query(georel, geometry, &coordinates.to_string(), None, &terms).unwrap();
    Query { geo: Some(geo), ..Query::default() }.matches(&entity)
}

/// `PROPTEST_CASES` asks for more, as `make torture` does.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(4_000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn q_answers_as_a_walk_through_the_document_does(condition in condition(), entity in entity()) {
        let terms = ContextStore::new().core();
        let text = written(&condition, true);
        let filter = parse_q(&text, &terms).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        let parsed = parse_entity(entity.to_string().as_bytes(), &terms, Mode::Create).unwrap();
        let query = Query { filter: Some(filter), ..Query::default() };
        prop_assert_eq!(query.matches(&parsed), holds(&condition, &entity), "{} on {}", text, entity);
    }

    #[test]
    fn near_is_measured_on_the_ellipsoid(
        lon in 120.0f64..150.0, lat in -60.0f64..60.0, east in -0.02f64..0.02, north in -0.02f64..0.02, limit in 1u32..3_000,
    ) {
        let (centre, point) = ([lon, lat], [lon + east, lat + north]);
        let distance = vincenty_m(centre, point).unwrap();
        // A tie within a millimetre is nobody's error.
        prop_assume!((distance - f64::from(limit)).abs() > 0.001);
        let within = geo_matches(&located(point), &format!("near;maxDistance=={limit}"), "Point", &json!(centre));
        prop_assert_eq!(within, distance <= f64::from(limit), "{} m", distance);
        let beyond = geo_matches(&located(point), &format!("near;minDistance=={limit}"), "Point", &json!(centre));
        prop_assert_eq!(beyond, distance >= f64::from(limit));
    }

    #[test]
    fn within_and_its_kin_agree_with_ray_crossing(
        corners in prop::collection::vec((0.2f64..1.0, 0.5f64..1.0), 4..9), x in -1.2f64..1.2, y in -1.2f64..1.2,
    ) {
        // A star around the centre: any radii at growing angles make a simple polygon.
        let total: f64 = corners.iter().map(|(_, turn)| turn).sum();
        let mut angle = 0.0f64;
        let mut ring: Vec<[f64; 2]> = Vec::new();
        for (radius, turn) in &corners {
            ring.push([139.8 + radius * angle.cos() / 10.0, 35.6 + radius * angle.sin() / 10.0]);
            angle += turn / total * std::f64::consts::TAU;
        }
        ring.push(ring[0]);
        let point = [139.8 + x / 10.0, 35.6 + y / 10.0];
        let expected = inside(point, &ring);
        let polygon = json!([ring]);
        prop_assert_eq!(geo_matches(&located(point), "within", "Polygon", &polygon), expected);
        prop_assert_eq!(geo_matches(&located(point), "intersects", "Polygon", &polygon), expected);
        prop_assert_eq!(geo_matches(&located(point), "disjoint", "Polygon", &polygon), !expected);
        let area = json!({"id": "urn:x:1", "type": "Thing", "location": {"type": "GeoProperty", "value": {"type": "Polygon", "coordinates": polygon}}});
        prop_assert_eq!(geo_matches(&area, "contains", "Point", &json!(point)), expected);
    }
}
