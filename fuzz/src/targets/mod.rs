//! The one list of targets: what reads, what it is fed with, and what must hold.

mod feeds;
mod http;
mod ingest;
mod mqtt;
mod ngsi_ld;
mod store;
mod trust;

/// A reader under test.
pub struct Target {
    pub name: &'static str,
    /// Good inputs; the broken ones are made from them.
    pub corpus: fn() -> Vec<Vec<u8>>,
    /// What its language is made of.
    pub words: &'static [&'static str],
    pub run: fn(&[u8]),
}

/// Between two inputs of a corpus file.
const BETWEEN: &str = "\n----\n";

/// The inputs of a corpus file.
fn texts(file: &str) -> Vec<Vec<u8>> {
    file.trim_end().split(BETWEEN).map(|text| text.as_bytes().to_vec()).collect()
}

const JSON: &[&str] = &[
    "null",
    "true",
    "false",
    "{}",
    "[]",
    "\"\"",
    "{\"",
    "\":",
    ",\"",
    "\\ud800",
    "\\u0000",
    "\"@context\":",
    "\"id\":",
    "\"type\":",
    "\"value\":",
    "\"@id\":",
    "[[",
    "]]",
    "{\"a\":",
    "urn:ngsi-ld:null",
    "\"urn:a:1\"",
];

macro_rules! texts_of {
    ($file:literal) => {
        || texts(include_str!(concat!("../../corpus/", $file)))
    };
}

/// Every reader of the house, but for the configuration file, whose reader is the binary's own
/// (`crates/renkei/src/config.rs`).
pub const TARGETS: &[Target] = &[
    Target { name: "sentence", corpus: texts_of!("sentence.txt"), words: trust::SENTENCE_WORDS, run: trust::sentence },
    Target { name: "policy", corpus: texts_of!("policy.txt"), words: trust::POLICY_WORDS, run: trust::policy },
    Target {
        name: "checkpoint",
        corpus: texts_of!("checkpoint.txt"),
        words: trust::CHECKPOINT_WORDS,
        run: trust::checkpoint,
    },
    Target { name: "entity", corpus: texts_of!("entity.txt"), words: ngsi_ld::ENTITY_WORDS, run: ngsi_ld::entity },
    Target {
        name: "attribute",
        corpus: texts_of!("attribute.txt"),
        words: ngsi_ld::ENTITY_WORDS,
        run: ngsi_ld::attribute,
    },
    Target { name: "batch", corpus: texts_of!("batch.txt"), words: ngsi_ld::ENTITY_WORDS, run: ngsi_ld::batch },
    Target { name: "context", corpus: texts_of!("context.txt"), words: ngsi_ld::CONTEXT_WORDS, run: ngsi_ld::context },
    Target { name: "q", corpus: texts_of!("q.txt"), words: ngsi_ld::Q_WORDS, run: ngsi_ld::q },
    Target { name: "geo_q", corpus: texts_of!("geo_q.txt"), words: ngsi_ld::GEO_WORDS, run: ngsi_ld::geo_q },
    Target {
        name: "scope_q",
        corpus: texts_of!("scope_q.txt"),
        words: ngsi_ld::SELECTION_WORDS,
        run: ngsi_ld::scope_q,
    },
    Target { name: "types", corpus: texts_of!("types.txt"), words: ngsi_ld::SELECTION_WORDS, run: ngsi_ld::types },
    Target {
        name: "temporal_q",
        corpus: texts_of!("temporal_q.txt"),
        words: ngsi_ld::TIME_WORDS,
        run: ngsi_ld::temporal_q,
    },
    Target {
        name: "query_body",
        corpus: texts_of!("query_body.txt"),
        words: ngsi_ld::QUERY_WORDS,
        run: ngsi_ld::query_body,
    },
    Target {
        name: "subscription",
        corpus: texts_of!("subscription.txt"),
        words: ngsi_ld::QUERY_WORDS,
        run: ngsi_ld::subscription,
    },
    Target {
        name: "names",
        corpus: texts_of!("names.txt"),
        words: &[":", "/", "#", "%", "\u{feff}"],
        run: ngsi_ld::names,
    },
    Target { name: "time", corpus: texts_of!("time.txt"), words: ngsi_ld::TIME_WORDS, run: ngsi_ld::time },
    Target {
        name: "csv_rows",
        corpus: texts_of!("csv_rows.txt"),
        words: &["\"", "\"\"", "\r\n", ",", ",,"],
        run: ingest::csv_rows,
    },
    Target { name: "mqtt_packet", corpus: mqtt::packets, words: mqtt::PACKET_WORDS, run: mqtt::packet },
    Target { name: "mqtt_row", corpus: mqtt::rows_kept, words: mqtt::PACKET_WORDS, run: mqtt::row },
    Target { name: "json_rows", corpus: texts_of!("json_rows.txt"), words: JSON, run: ingest::json_rows },
    Target {
        name: "device_rows",
        corpus: texts_of!("device_rows.txt"),
        words: feeds::DEVICE_WORDS,
        run: feeds::device_rows,
    },
    Target { name: "gtfs_realtime", corpus: feeds::messages, words: &[], run: feeds::message },
    Target { name: "cql2", corpus: texts_of!("cql2.txt"), words: feeds::CQL2_WORDS, run: feeds::filter },
    Target { name: "gtfs", corpus: feeds::archives, words: feeds::FEED_WORDS, run: feeds::archive },
    Target { name: "mapping", corpus: texts_of!("mapping.txt"), words: ingest::MAPPING_WORDS, run: ingest::mapping },
    Target {
        name: "expression",
        corpus: texts_of!("expression.txt"),
        words: ingest::EXPRESSION_WORDS,
        run: ingest::expression,
    },
    Target {
        name: "parameters",
        corpus: texts_of!("parameters.txt"),
        words: &["&", "=", "%", "+", "%00", "%ff"],
        run: http::parameters,
    },
    Target { name: "headers", corpus: texts_of!("headers.txt"), words: http::HEADER_WORDS, run: http::headers },
    Target { name: "record", corpus: store::records, words: &[], run: store::record },
    Target { name: "instance", corpus: store::instances, words: &[], run: store::instance },
    Target { name: "journal", corpus: store::journals, words: &["RKB1", "RENKEIJ1"], run: store::journal },
];

/// The target of this name.
///
/// # Panics
///
/// When there is none.
#[must_use]
pub fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("there is no target {name}"))
}
