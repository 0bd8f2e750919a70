//! Every reader stands what nobody would write. `RENKEI_INPUTS` is how many inputs each gets
//! (10,000), `RENKEI_SEEDS=first..last` repeats those with these numbers.

use fuzz::mutate::each_input;
use fuzz::targets::TARGETS;
use fuzz::{resident_peak_bytes, target};

/// All targets together, on inputs of 16 KiB at most: a reader that believes a length is far beyond.
const PEAK_BYTES_MAX: u64 = 1 << 30;

macro_rules! stands {
    ($($test:ident: $target:literal),* $(,)?) => {
        $(
            #[test]
            fn $test() {
                let target = target($target);
                each_input(target.name, &(target.corpus)(), target.words, target.run);
                if let Some(peak) = resident_peak_bytes() {
                    assert!(peak < PEAK_BYTES_MAX, "the inputs took {} MiB", peak >> 20);
                }
            }
        )*

        const NAMED: &[&str] = &[$($target),*];
    };
}

stands! {
    no_entity_breaks_its_reader: "entity",
    no_attribute_breaks_its_reader: "attribute",
    no_batch_breaks_its_reader: "batch",
    no_context_breaks_its_reader: "context",
    no_q_breaks_its_reader: "q",
    no_geo_query_breaks_its_reader: "geo_q",
    no_scope_query_breaks_its_reader: "scope_q",
    no_type_selection_breaks_its_reader: "types",
    no_temporal_query_breaks_its_reader: "temporal_q",
    no_query_document_breaks_its_reader: "query_body",
    no_subscription_breaks_its_reader: "subscription",
    no_name_breaks_its_reader: "names",
    no_packet_of_mqtt_breaks_its_reader: "mqtt_packet",
    no_row_of_a_session_breaks_its_reader: "mqtt_row",
    no_time_breaks_its_reader: "time",
    no_csv_breaks_its_reader: "csv_rows",
    no_json_rows_break_their_reader: "json_rows",
    no_message_of_a_device_breaks_its_reader: "device_rows",
    no_realtime_message_breaks_its_reader: "gtfs_realtime",
    no_feed_breaks_its_reader: "gtfs",
    no_filter_of_cql2_breaks_its_reader: "cql2",
    no_mapping_breaks_its_reader: "mapping",
    no_expression_breaks_its_reader: "expression",
    no_parameters_break_their_reader: "parameters",
    no_headers_break_their_reader: "headers",
    no_record_breaks_its_reader: "record",
    no_instance_breaks_its_reader: "instance",
    no_journal_breaks_its_reader: "journal",
    no_sentence_breaks_its_reader: "sentence",
    no_policy_breaks_its_reader: "policy",
    no_checkpoint_breaks_its_reader: "checkpoint",
}

#[test]
fn every_target_has_a_test() {
    for target in TARGETS {
        assert!(NAMED.contains(&target.name), "{} has no test", target.name);
    }
}

/// A failing number must repeat its input anywhere and at any time.
#[test]
fn a_number_makes_the_same_input_again_and_most_inputs_differ() {
    let target = target("entity");
    let corpus = (target.corpus)();
    let inputs = || (0..1_000).map(|number| fuzz::mutate::input(target.name, number, &corpus, target.words));
    assert!(inputs().eq(inputs()));
    let different: std::collections::BTreeSet<Vec<u8>> = inputs().collect();
    assert!(different.len() > 900, "only {} of 1,000 inputs differ", different.len());
    let taken = inputs().filter(|bytes| serde_json::from_slice::<serde_json::Value>(bytes).is_ok()).count();
    assert!((20..980).contains(&taken), "{taken} of 1,000 inputs are JSON: neither all nor none may be");
}
