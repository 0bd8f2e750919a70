//! Every kind of thing that can be wrong with an alert, and what is said of it.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use city_alert::cap::{self, Alert, Kind, PROBLEMS_MAX, Problems};

const ALERT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2">
  <identifier>JP.2011.1</identifier>
  <sender>city@example.jp</sender>
  <sent>2011-03-11T14:49:00+09:00</sent>
  <status>Actual</status>
  <msgType>Alert</msgType>
  <scope>Public</scope>
  <info>
    <language>ja</language>
    <category>Geo</category>
    <event>津波警報</event>
    <responseType>Evacuate</responseType>
    <urgency>Immediate</urgency>
    <severity>Extreme</severity>
    <certainty>Likely</certainty>
    <onset>2011-03-11T15:00:00+09:00</onset>
    <web>https://example.jp/a</web>
    <parameter><valueName>height</valueName><value></value></parameter>
    <resource><resourceDesc>map</resourceDesc><mimeType>image/png</mimeType><size>7</size></resource>
    <area>
      <areaDesc>岩手県</areaDesc>
      <polygon>39.0,141.0 39.5,141.0 39.5,142.0 39.0,141.0</polygon>
      <circle>39.0,141.0 25.5</circle>
      <altitude>0</altitude>
      <ceiling>120.5</ceiling>
    </area>
  </info>
</alert>
"#;

fn read(text: &str) -> Result<Alert, Problems> {
    cap::read(text.as_bytes())
}

/// Path and kind of each problem after one replacement.
fn after(from: &str, to: &str) -> Vec<(String, Kind)> {
    assert!(ALERT.contains(from), "{from}");
    match read(&ALERT.replacen(from, to, 1)) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.list().iter().map(|one| (one.path.clone(), one.kind)).collect(),
    }
}

#[test]
fn the_alert_of_these_tests_is_one() {
    let alert = read(ALERT).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(alert.sent.time().to_string(), "2011-03-11T05:49:00Z");
    assert_eq!(alert.sent.offset_minutes(), 540);
    assert_eq!(alert.info[0].parameter[0].value, "");
    assert_eq!(alert.info[0].area[0].ceiling, Some(120.5));
}

#[test]
fn each_thing_that_is_wrong_is_said_of_its_element() {
    const INFO: &str = "/alert/info[1]";
    let rows: &[(&str, &str, &str, Kind)] = &[
        ("<identifier>JP.2011.1</identifier>", "", "/alert/identifier", Kind::Missing),
        ("JP.2011.1", " ", "/alert/identifier", Kind::Empty),
        ("JP.2011.1", "JP 2011", "/alert/identifier", Kind::Characters),
        ("city@example.jp", "a,b", "/alert/sender", Kind::Characters),
        ("city@example.jp", "a&amp;b", "/alert/sender", Kind::Characters),
        ("14:49:00+09:00", "14:49:00Z", "/alert/sent", Kind::DateTime),
        ("14:49:00+09:00", "14:49:00", "/alert/sent", Kind::DateTime),
        ("14:49:00+09:00", "14:49:00.5+09:00", "/alert/sent", Kind::DateTime),
        ("14:49:00+09:00", "14:49:00+0900", "/alert/sent", Kind::DateTime),
        ("14:49:00+09:00", "14:49:00+14:01", "/alert/sent", Kind::DateTime),
        ("14:49:00+09:00", "24:00:00+09:00", "/alert/sent", Kind::DateTime),
        ("14:49:00+09:00", "14:49:60+09:00", "/alert/sent", Kind::DateTime),
        ("2011-03-11T14", "2011-02-29T14", "/alert/sent", Kind::DateTime),
        ("2011-03-11T14", "11-03-11T14", "/alert/sent", Kind::DateTime),
        ("2011-03-11T15:00:00+09:00", "", "/alert/info[1]/onset", Kind::DateTime),
        ("Actual", "actual", "/alert/status", Kind::Word),
        ("<msgType>Alert", "<msgType>Warning", "/alert/msgType", Kind::Word),
        ("Public", "Open", "/alert/scope", Kind::Word),
        ("<msgType>Alert", "<msgType>Cancel", "/alert/references", Kind::Missing),
        ("<scope>Public", "<scope>Restricted", "/alert/restriction", Kind::Missing),
        ("<scope>Public", "<scope>Private", "/alert/addresses", Kind::Missing),
        ("<info>", "<references>a,b</references><info>", "/alert/references[1]", Kind::Reference),
        ("<info>", "<references>a,b,2011-03-11T14:49:00Z</references><info>", "/alert/references[1]", Kind::Reference),
        (
            "<info>",
            "<references>,,2011-03-11T14:49:00+09:00</references><info>",
            "/alert/references[1]",
            Kind::Reference,
        ),
        ("<info>", "<references/><info>", "/alert/references", Kind::Reference),
        ("<scope>Public</scope>", "<scope>Public</scope><source>a</source>", "/alert/source", Kind::Order),
        ("<scope>", "<status>Test</status><scope>", "/alert/status", Kind::Repeated),
        ("<info>", "<extra/><info>", "/alert/extra", Kind::Unknown),
        ("<info>", "<x:e xmlns:x='urn:x'/><info>", "/alert/e", Kind::Unknown),
        ("<scope>Public", "<scope><b/>Public", "/alert/scope/b", Kind::Unknown),
        ("<info>", "<info>text", INFO, Kind::Unknown),
        ("<language>ja", "<language>japanese language", "/alert/info[1]/language", Kind::Language),
        ("<category>Geo</category>", "", "/alert/info[1]/category", Kind::Missing),
        ("<category>Geo", "<category>Earth", "/alert/info[1]/category[1]", Kind::Word),
        ("津波警報", "", "/alert/info[1]/event", Kind::Empty),
        ("<responseType>Evacuate", "<responseType>Run", "/alert/info[1]/responseType[1]", Kind::Word),
        ("<urgency>Immediate", "<urgency>", "/alert/info[1]/urgency", Kind::Word),
        ("<severity>Extreme</severity>", "", "/alert/info[1]/severity", Kind::Missing),
        ("<certainty>Likely", "<certainty>Very Likely", "/alert/info[1]/certainty", Kind::Word),
        ("https://example.jp/a", "example.jp/a", "/alert/info[1]/web", Kind::Uri),
        ("<valueName>height", "<valueName>", "/alert/info[1]/parameter[1]/valueName", Kind::Empty),
        ("<value></value>", "", "/alert/info[1]/parameter[1]/value", Kind::Missing),
        ("<mimeType>image/png</mimeType>", "", "/alert/info[1]/resource[1]/mimeType", Kind::Missing),
        ("<size>7</size>", "<size>-7</size>", "/alert/info[1]/resource[1]/size", Kind::Number),
        ("<size>7</size>", "<uri>a b</uri>", "/alert/info[1]/resource[1]/uri", Kind::Uri),
        ("<size>7</size>", "<derefUri>a*b</derefUri>", "/alert/info[1]/resource[1]/derefUri", Kind::Base64),
        ("岩手県", "", "/alert/info[1]/area[1]/areaDesc", Kind::Empty),
        ("39.5,142.0 39.0,141.0<", "39.5,142.0 39.0,141.1<", "/alert/info[1]/area[1]/polygon[1]", Kind::Polygon),
        ("39.5,141.0 39.5,142.0 ", "39.5,141.0 ", "/alert/info[1]/area[1]/polygon[1]", Kind::Polygon),
        ("39.5,142.0", "142.0,39.5", "/alert/info[1]/area[1]/polygon[1]", Kind::Polygon),
        ("39.5,142.0", "39.5", "/alert/info[1]/area[1]/polygon[1]", Kind::Polygon),
        ("39.5,142.0", "39.5,NaN", "/alert/info[1]/area[1]/polygon[1]", Kind::Polygon),
        ("39.5,142.0", "39.5,1e2", "/alert/info[1]/area[1]/polygon[1]", Kind::Polygon),
        ("<circle>39.0,141.0 25.5", "<circle>39.0,141.0", "/alert/info[1]/area[1]/circle[1]", Kind::Circle),
        ("<circle>39.0,141.0 25.5", "<circle>39.0,181.0 25.5", "/alert/info[1]/area[1]/circle[1]", Kind::Circle),
        ("<circle>39.0,141.0 25.5", "<circle>39.0,141.0 -1", "/alert/info[1]/area[1]/circle[1]", Kind::Circle),
        ("<circle>39.0,141.0 25.5", "<circle>39.0,141.0 1 2", "/alert/info[1]/area[1]/circle[1]", Kind::Circle),
        ("<altitude>0</altitude>", "", "/alert/info[1]/area[1]/altitude", Kind::Missing),
        ("<altitude>0", "<altitude>low", "/alert/info[1]/area[1]/altitude", Kind::Number),
        ("cap:1.2", "cap:1.0", "/", Kind::Namespace),
        ("</alert>", "", "/", Kind::Document),
    ];
    for (from, to, path, kind) in rows {
        let found = after(from, to);
        // An altitude that is none leaves the ceiling alone; its own problem is the first.
        assert_eq!(found.first(), Some(&((*path).to_owned(), *kind)), "{from} -> {to}: {found:?}");
        assert!(found.len() == 1, "{from} -> {to}: {found:?}");
    }
}

#[test]
fn what_the_standard_allows_is_no_problem() {
    for (from, to) in [
        ("14:49:00+09:00", "14:49:00-00:00"),
        ("14:49:00+09:00", "14:49:00+00:00"),
        ("<scope>Public</scope>", "<scope>Public</scope><restriction/><addresses/><code/><note/><incidents/>"),
        ("<scope>Public", "<scope>\n Public "),
        (
            "<msgType>Alert</msgType>\n  <scope>Public</scope>",
            "<msgType>Ack</msgType><source>a</source>\
          <scope>Public</scope><references>a,b,2011-03-11T14:49:00+09:00\n c,d,2011-03-11T14:49:00-00:00</references>",
        ),
        ("<circle>39.0,141.0 25.5", "<circle>+39,-141.0 0"),
        ("</alert>", "<Signature xmlns='http://www.w3.org/2000/09/xmldsig#'><x/></Signature></alert>"),
        ("<size>7</size>", "<uri>map.png</uri><derefUri>aGVsbG8=\n</derefUri>"),
        ("cap:1.2", "cap:1.1"),
    ] {
        assert_eq!(after(from, to), [], "{from} -> {to}");
    }
    assert_eq!(
        read(&ALERT.replace("14:49:00+09:00", "14:49:00+00:00")).unwrap().sent.to_string(),
        "2011-03-11T14:49:00-00:00"
    );
}

#[test]
fn what_came_with_1_2_is_not_of_1_1() {
    let old = ALERT.replace("cap:1.2", "cap:1.1");
    assert!(read(&old.replace("<mimeType>image/png</mimeType>", "")).is_ok());
    let problems = read(&old.replace("Evacuate", "Avoid")).unwrap_err();
    assert_eq!(problems.list()[0].path, "/alert/info[1]/responseType[1]");
}

#[test]
fn all_problems_are_said_and_each_says_what_to_do() {
    let broken = ALERT
        .replace("<sender>city@example.jp</sender>", "")
        .replace("14:49:00+09:00", "14:49:00Z")
        .replace("Actual", "Real")
        .replace("39.5,142.0 39.0,141.0<", "39.5,142.0<");
    let problems = read(&broken).unwrap_err();
    let expected = "\
/alert/sender: the element is missing. Add it; the standard requires it.
/alert/sent: this is no date and time of CAP: \"2011-03-11T14:49:00Z\". Write it as 2002-05-24T16:49:00-07:00: whole \
seconds and the offset; UTC is -00:00, never Z.
/alert/status: this is none of the words of the standard: \"Real\". Write one of Actual, Exercise, System, Test, Draft.
/alert/info[1]/area[1]/polygon[1]: this is no polygon: \"39,141 39.5,141 39.5,142\". It has 3 points; at least 4 make a \
ring, the last as the first.";
    assert_eq!(problems.to_string(), expected);
}

#[test]
fn problems_are_counted_beyond_their_bound() {
    let many = ALERT.replace("<category>Geo</category>", &"<category>x</category>".repeat(PROBLEMS_MAX + 20));
    let problems = read(&many).unwrap_err();
    assert_eq!((problems.list().len(), problems.more()), (PROBLEMS_MAX, 20));
    assert!(problems.to_string().ends_with("And 20 more."), "{problems}");
}

#[test]
fn every_beginning_of_an_alert_is_an_error() {
    let whole = ALERT.trim_end();
    for (end, _) in whole.char_indices() {
        assert!(cap::read(&whole.as_bytes()[..end]).is_err(), "{end} bytes");
    }
    for end in 0..whole.len() {
        let _ = cap::read(&whole.as_bytes()[..end]);
        let _ = cap::read(&whole.as_bytes()[end..]);
    }
}

#[test]
fn an_alert_that_is_none_is_not_written() {
    let good = read(ALERT).unwrap();
    let with = |change: &dyn Fn(&mut Alert)| {
        let mut alert = good.clone();
        change(&mut alert);
        let problems = cap::write(&alert).unwrap_err();
        problems.list().iter().map(|one| (one.path.clone(), one.kind)).collect::<Vec<_>>()
    };
    let one = |path: &str, kind| vec![(path.to_owned(), kind)];
    assert_eq!(with(&|alert| alert.signed = true), one("/alert/Signature", Kind::Signed));
    assert_eq!(with(&|alert| alert.note = Some(String::new())), one("/alert/note", Kind::Empty));
    assert_eq!(with(&|alert| alert.note = Some(" a".to_owned())), one("/alert/note", Kind::Characters));
    assert_eq!(with(&|alert| alert.note = Some("a\u{0}b".to_owned())), one("/alert/note", Kind::Characters));
    assert_eq!(with(&|alert| alert.info[0].category.clear()), one("/alert/info[1]/category", Kind::Missing));
    let altitude = with(&|alert| alert.info[0].area[0].altitude = Some(f64::NAN));
    assert_eq!(altitude, one("/alert/info[1]/area[1]/altitude", Kind::Number));
    let long = with(&|alert| alert.note = Some("a".repeat(city_alert::xml::TEXT_BYTES_MAX + 1)));
    assert_eq!(long, one("/alert/note", Kind::Length));
}
