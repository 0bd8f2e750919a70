//! Sixteen alerts of agencies and test suites: each is read, or refused for what the standard says is wrong.
//!
//! What is expected is from CAP 1.1 and 1.2 themselves, not from the files' names.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

#[path = "data/mod.rs"]
mod data;

use city_alert::cap::{self, Kind, Version, Word};

/// A file, and the path and kind of each problem, in order; none for an alert that is read.
const SAMPLES: &[(&str, &[(&str, Kind)])] = &[
    ("testdata/australia.cap", &[]),
    ("testdata/canada.cap", &[]),
    // An update that names no earlier alert: 3.2.1, references.
    ("testdata/canada_errors.cap", &[("/alert/references", Kind::Reference)]),
    ("testdata/canada_signed.cap", &[]),
    ("testdata/earthquake-iso8859-1.cap", &[]),
    ("testdata/earthquake.cap", &[]),
    ("testdata/earthquake_signed.cap", &[]),
    ("testdata/invalid.cap", &[("/alert/scope", Kind::Missing)]),
    // Nothing more is mandatory in an alert.
    ("testdata/no_optional_fields.cap", &[]),
    (
        "testdata/noaa_errors.cap",
        &[
            ("/alert/references", Kind::Reference),
            ("/alert/info[1]/urgency", Kind::Word),
            ("/alert/info[1]/severity", Kind::Word),
            ("/alert/info[1]/certainty", Kind::Word),
            ("/alert/info[1]/area[1]/polygon[1]", Kind::Polygon),
            ("/alert/info[1]/area[1]/polygon[2]", Kind::Polygon),
        ],
    ),
    ("testdata/wcatwc-warning.cap", &[]),
    ("testdata/weather.cap", &[]),
    // A DTD with external entities.
    ("testdata/xee.cap", &[("/", Kind::Document)]),
    ("validator/src/com/google/publicalerts/cap/validator/examples/thunderstorm.cap", &[]),
    ("validator/war/examples/43b080713727.cap", &[]),
    ("validator/war/examples/KAR0-0306112239-SW.cap", &[]),
];

#[test]
fn every_sample_is_read_or_refused_for_what_is_wrong_with_it() {
    let Some(files) = data::unpacked("cap/cap-samples.tar.gz", ".cap") else { return };
    assert_eq!(files.len(), SAMPLES.len(), "files and table");
    let mut wrong = Vec::new();
    for (name, expected) in SAMPLES {
        let bytes = &files[*name];
        let found: Vec<(String, Kind)> = match cap::read(bytes) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.list().iter().map(|one| (one.path.clone(), one.kind)).collect(),
        };
        let expected: Vec<(String, Kind)> = expected.iter().map(|(path, kind)| ((*path).to_owned(), *kind)).collect();
        if found != expected {
            wrong.push(format!("{name}: {:?}", cap::read(bytes).map_err(|problems| problems.to_string())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let read = SAMPLES.iter().filter(|(_, problems)| problems.is_empty()).count();
    println!("{read} alerts read, {} refused", SAMPLES.len() - read);
}

#[test]
fn what_is_read_is_written_and_read_again() {
    let Some(files) = data::unpacked("cap/cap-samples.tar.gz", ".cap") else { return };
    for (name, _) in SAMPLES.iter().filter(|(_, problems)| problems.is_empty()) {
        let mut alert = cap::read(&files[*name]).unwrap();
        if alert.signed {
            let refused = cap::write(&alert).unwrap_err();
            assert_eq!(refused.list()[0].kind, Kind::Signed, "{name}");
            alert.signed = false;
        }
        let written = cap::write(&alert).unwrap_or_else(|problems| panic!("{name}: {problems}"));
        assert_eq!(cap::read(written.as_bytes()).unwrap(), alert, "{name}");
        let json = serde_json::to_string(&alert).unwrap();
        assert_eq!(serde_json::from_str::<cap::Alert>(&json).unwrap(), alert, "{name}");
    }
}

#[test]
fn encoding_version_and_signature_are_seen() {
    let Some(files) = data::unpacked("cap/cap-samples.tar.gz", ".cap") else { return };
    let latin = cap::read(&files["testdata/earthquake-iso8859-1.cap"]).unwrap();
    assert_eq!(latin.info[0].headline.as_deref(), Some("EQ 4.6 Usulután, Usulután, El Salvador - PRELIMINARY REPORT"));
    assert!(latin.signed);
    assert_eq!(latin.info[0].area[0].circle[0].to_string(), "12.747,-88.783 0");
    assert_eq!(cap::read(&files["testdata/weather.cap"]).unwrap().version, Version::V1_1);
    let canada = cap::read(&files["testdata/canada.cap"]).unwrap();
    assert_eq!((canada.info.len(), canada.references.len()), (2, 2));
    assert_eq!(canada.sent.to_string(), "2012-05-02T23:21:04-00:00");
    assert_eq!(canada.info[0].category[0].as_str(), "Met");
    let json = serde_json::to_value(&canada).unwrap();
    assert_eq!(json["msgType"], "Update");
    assert_eq!(json["info"][0]["eventCode"][0]["valueName"], "profile:CAP-CP:Event:0.4");
    assert_eq!(json["references"][0]["sent"], "2012-05-02T21:45:05-00:00");
    assert_eq!(json["info"][0]["area"][0]["polygon"][0][0]["latitude"], 42.3481);
}
