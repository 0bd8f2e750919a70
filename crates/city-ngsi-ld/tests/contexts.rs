//! @context handling: core contexts by exact URL, user terms, precedence, bounds.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use city_ngsi_ld::context::{CONTEXT_DEPTH_MAX, CORE_URL};
use city_ngsi_ld::{ContextDocument, ContextSpec, ContextStore, Mode, ResolveError, parse_entity};

fn spec(json: &str) -> ContextSpec {
    ContextSpec::parse(json).unwrap()
}

#[test]
fn published_core_contexts_are_known_by_exact_url_and_others_are_not() {
    let store = ContextStore::new();
    let folder = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context";
    for version in ["", "-v1.3", "-v1.4", "-v1.5", "-v1.6", "-v1.7", "-v1.8", "-v1.9"] {
        let url = format!("{folder}{version}.jsonld");
        let terms = store.resolve(&ContextSpec::url(&url).unwrap()).unwrap();
        assert_eq!(terms.expand("location").as_str(), "https://uri.etsi.org/ngsi-ld/location", "{url}");
    }
    for version in ["-v1.2", "-v1.10", "-v2.0", "-v1.8.1", "-v1.9.1"] {
        let url = format!("{folder}{version}.jsonld");
        let found = store.resolve(&ContextSpec::url(&url).unwrap());
        assert_eq!(found.unwrap_err(), ResolveError::Unavailable(url));
    }
}

#[test]
fn terms_expand_and_compact_as_json_ld_says() {
    let store = ContextStore::new();
    let terms = store
        .resolve(&spec(
            r#"{"Building": "https://sdm.org/Building", "ex": "https://example.org/", "floors": "ex:floors",
                "kind": {"@id": "ex:kind", "@type": "@vocab"}, "level": "floors", "gone": null,
                "location": "https://example.org/elsewhere", "plain": {"@type": "@vocab"}}"#,
        ))
        .unwrap();
    for (term, name) in [
        ("Building", "https://sdm.org/Building"),
        ("floors", "https://example.org/floors"),
        ("level", "https://example.org/floors"),
        ("kind", "https://example.org/kind"),
        ("ex:other", "https://example.org/other"),
        ("https://a.b/c", "https://a.b/c"),
        ("urn:x:y", "urn:x:y"),
        ("unknown", "https://uri.etsi.org/ngsi-ld/default-context/unknown"),
        ("gone", "https://uri.etsi.org/ngsi-ld/default-context/gone"),
        ("plain", "https://uri.etsi.org/ngsi-ld/default-context/plain"),
        ("ngsi-ld:scope", "https://uri.etsi.org/ngsi-ld/scope"),
        // The core context wins over user terms (clause 5.5.7).
        ("location", "https://uri.etsi.org/ngsi-ld/location"),
    ] {
        assert_eq!(terms.expand(term).as_str(), name, "{term}");
    }
    for (name, term) in [
        ("https://sdm.org/Building", "Building"),
        ("https://example.org/floors", "level"),
        ("https://example.org/other", "ex:other"),
        ("https://uri.etsi.org/ngsi-ld/default-context/unknown", "unknown"),
        // Would read back as the user's own term, so it stays whole.
        ("https://uri.etsi.org/ngsi-ld/default-context/floors", "https://uri.etsi.org/ngsi-ld/default-context/floors"),
        ("https://uri.etsi.org/ngsi-ld/default-context/a:b", "https://uri.etsi.org/ngsi-ld/default-context/a:b"),
        ("https://other.org/x", "https://other.org/x"),
        ("https://uri.etsi.org/ngsi-ld/observedAt", "observedAt"),
    ] {
        assert_eq!(terms.compact_iri(name), term);
        assert_eq!(terms.expand(&terms.compact_iri(name)).as_str(), name);
    }
}

#[test]
fn a_missing_document_is_named_then_fetched_then_known() {
    let store = ContextStore::new();
    let wanted = spec(r#"["https://a.org/one.jsonld", {"own": "https://own.org/own"}]"#);
    assert_eq!(store.resolve(&wanted).unwrap_err(), ResolveError::Missing("https://a.org/one.jsonld".into()));
    let one = br#"{"@context": ["https://a.org/two.jsonld", {"a": "p:a"}]}"#;
    store.insert("https://a.org/one.jsonld", ContextDocument::parse(one).unwrap());
    assert_eq!(store.resolve(&wanted).unwrap_err(), ResolveError::Missing("https://a.org/two.jsonld".into()));
    store.insert("https://a.org/two.jsonld", ContextDocument::parse(br#"{"p": "https://p.org/"}"#).unwrap());
    let terms = store.resolve(&wanted).unwrap();
    assert_eq!(terms.expand("a").as_str(), "https://p.org/a");
    assert_eq!(terms.expand("own").as_str(), "https://own.org/own");
    assert!(std::sync::Arc::ptr_eq(&terms, &store.resolve(&wanted).unwrap()), "the second time is a lookup");
    store.insert("https://a.org/two.jsonld", ContextDocument::parse(br#"{"p": "https://q.org/"}"#).unwrap());
    assert_eq!(store.resolve(&wanted).unwrap().expand("a").as_str(), "https://q.org/a");
}

#[test]
fn circles_and_nonsense_are_refused() {
    let store = ContextStore::new();
    let looping = ContextDocument::parse(br#"["https://a.org/loop.jsonld"]"#).unwrap();
    store.insert("https://a.org/loop.jsonld", looping);
    let error = store.resolve(&ContextSpec::url("https://a.org/loop.jsonld").unwrap()).unwrap_err();
    assert!(error.to_string().contains(&CONTEXT_DEPTH_MAX.to_string()), "{error}");
    let error = store.resolve(&spec(r#"{"a": "b:x", "b": "a:y"}"#)).unwrap_err();
    assert!(error.to_string().contains("circle"), "{error}");
    for bad in [
        r#"{"a": 7}"#,
        r#"{"a": {"@id": "https://x.org/a", "@context": {"b": "https://x.org/b"}}}"#,
        r#"["relative.jsonld", "https://x.org/c"]"#,
    ] {
        assert!(matches!(store.resolve(&spec(bad)), Err(ResolveError::Invalid(_))), "{bad}");
    }
    for bad in ["7", "\"relative\"", "true"] {
        assert!(ContextSpec::parse(bad).is_err(), "{bad}");
    }
    let nested = format!("{}{}", "[".repeat(100), "]".repeat(100));
    assert!(store.resolve(&spec(&format!("[\"https://x.org/y\",{nested}]"))).is_err());
}

#[test]
fn answers_carry_the_context_they_were_asked_with() {
    let store = ContextStore::new();
    assert_eq!(store.core().rendered(), format!("\"{CORE_URL}\""));
    assert_eq!(store.core().link().unwrap(), CORE_URL);
    store.insert("https://a.org/c.jsonld", ContextDocument::parse(b"{}").unwrap());
    let with_core = "\"https://a.org/with-core.jsonld\"".to_owned();
    let document = format!("{{\"@context\":[\"https://a.org/c.jsonld\",\"{CORE_URL}\"]}}");
    store.insert("https://a.org/with-core.jsonld", ContextDocument::parse_remote(document.as_bytes()).unwrap());
    assert!(ContextDocument::parse_remote(b"{\"a\":1}").is_err(), "a fetched document needs its @context");
    for (asked, link, rendered) in [
        (
            "\"https://a.org/c.jsonld\"",
            Some("https://a.org/c.jsonld"),
            format!("[\"https://a.org/c.jsonld\",\"{CORE_URL}\"]"),
        ),
        (
            "[\"https://a.org/c.jsonld\"]",
            Some("https://a.org/c.jsonld"),
            format!("[\"https://a.org/c.jsonld\",\"{CORE_URL}\"]"),
        ),
        ("[\"https://a.org/c.jsonld\", {}]", None, format!("[\"https://a.org/c.jsonld\", {{}},\"{CORE_URL}\"]")),
        // It leads to a core context by itself, so none is added.
        ("[\"https://a.org/with-core.jsonld\"]", Some("https://a.org/with-core.jsonld"), with_core.clone()),
        ("{\"a\":\"https://a.org/a\"}", None, format!("[{{\"a\":\"https://a.org/a\"}},\"{CORE_URL}\"]")),
    ] {
        let terms = store.resolve(&spec(asked)).unwrap();
        assert_eq!(terms.link().as_deref(), link, "{asked}");
        assert_eq!(terms.rendered(), rendered, "{asked}");
        serde_json::from_str::<serde_json::Value>(terms.rendered()).unwrap();
    }
}

/// Found by `fuzz`, target context: an array that ends in an array lost both brackets.
#[test]
fn a_context_that_ends_in_an_array_is_carried_whole() {
    let store = ContextStore::new();
    let asked = spec(r#"[{"a":"https://a.org/"},[{"b":"https://b.org/#"}] ]"#);
    let carried = store.resolve(&asked).unwrap().rendered().to_owned();
    let again = store.resolve(&ContextSpec::parse(&carried).unwrap()).unwrap();
    assert_eq!(again.expand("b").as_str(), "https://b.org/#", "{carried}");
    assert!(carried.contains(CORE_URL), "{carried}");
}

/// Found by `fuzz`, target context: such an attribute was taken, and shown as the keyword.
#[test]
fn a_term_that_stands_for_a_keyword_cannot_name_an_attribute() {
    let terms = ContextStore::new().resolve(&spec(r#"{"kind":"@type","me":{"@id":"@id"},"odd":"@odd:x"}"#)).unwrap();
    for name in ["kind", "me", "odd"] {
        for attribute in [format!(r#""{name}":{{"value":1}}"#), format!(r#""a":{{"value":1,"{name}":{{"value":2}}}}"#)]
        {
            let body = format!(r#"{{"id":"urn:a:1","type":"T",{attribute}}}"#);
            let error = parse_entity(body.as_bytes(), &terms, Mode::Create).unwrap_err();
            assert!(error.to_string().contains(name) && error.to_string().contains("keyword"), "{body}: {error}");
        }
    }
}

/// Found by `fuzz`, target context: such a name was shown as one that means another.
#[test]
fn a_term_with_a_colon_is_no_prefix() {
    let terms = ContextStore::new().resolve(&spec(r#"{":ex":"https://example.org/","a:b":"https://b.org/"}"#)).unwrap();
    for name in ["https://example.org/x", "https://b.org/x"] {
        let name = terms.expand(name);
        assert_eq!(terms.expand(&terms.compact(&name)), name);
    }
}

/// Found by `fuzz`, target context: names under it did not read back as themselves.
#[test]
fn a_vocab_that_is_relative_is_refused() {
    let taken = |text: &str| ContextSpec::parse(text).is_ok_and(|spec| ContextStore::new().resolve(&spec).is_ok());
    assert!(!taken(r#"{"@vocab":"/x"}"#) && !taken(r#"[{"@vocab":""}]"#));
    assert!(taken(r#"{"@vocab":"https://example.org/"}"#) && taken(r#"{"@vocab":null}"#));
}
