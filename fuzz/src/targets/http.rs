//! Readers of HTTP: query strings and headers.

use city_serve::link::context_link;
use city_serve::media::{accepted, content_type};
use city_serve::{MediaType, Parameters};
use http::header::{ACCEPT, CONTENT_TYPE, LINK};
use http::{HeaderMap, HeaderValue};

pub const HEADER_WORDS: &[&str] = &[
    "<",
    ">",
    ";",
    ",",
    "rel=",
    "\"http://www.w3.org/ns/json-ld#context\"",
    "\"",
    "\\",
    "q=",
    "*/*",
    "application/json",
    "application/ld+json",
    "charset=utf-8",
    "/",
    " ",
    "\t",
    "=",
    "type=",
];

pub fn parameters(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(read) = Parameters::parse(text) else { return };
    let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let written: Vec<String> =
        read.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    let again = Parameters::parse(&written.join("&")).unwrap_or_else(|problem| panic!("{}", problem.detail));
    assert_eq!(again, read, "{text}");
    drop(read.only(&["type", "q"]));
}

pub fn headers(bytes: &[u8]) {
    const ALL: &[MediaType] = &[MediaType::Json, MediaType::JsonLd, MediaType::GeoJson, MediaType::MergePatch];
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(value) = HeaderValue::from_bytes(line) else { continue };
        for name in [LINK, ACCEPT, CONTENT_TYPE] {
            headers.append(name, value.clone());
        }
    }
    if let Ok(Some(url)) = context_link(&headers) {
        assert!(url.len() <= bytes.len());
        // Written the way everybody writes it, it is found again.
        let link = format!("<{url}>; rel=\"http://www.w3.org/ns/json-ld#context\"");
        if let Ok(value) = HeaderValue::from_bytes(link.as_bytes()) {
            let again = context_link(&HeaderMap::from_iter([(LINK, value)])).ok().flatten();
            assert_eq!(again.as_deref(), Some(url.as_str()));
        }
    }
    if let Ok(media) = accepted(&headers, ALL) {
        assert!(ALL.contains(&media));
    }
    drop(content_type(&headers, ALL));
}
