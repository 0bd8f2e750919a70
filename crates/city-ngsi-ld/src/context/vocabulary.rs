//! Our own vocabulary as an @context: known without asking the network, under whatever host it is named.

use city_model::vocabulary::{ATTRIBUTES, TYPES, name};
use serde_json::{Map, Value, json};

/// Where every server publishes it.
pub const VOCABULARY_PATH: &str = "/vocab/v1/context.jsonld";

/// The document, as it is published.
#[must_use]
pub fn vocabulary_document() -> String {
    let terms = TYPES.iter().chain(&ATTRIBUTES);
    let context: Map<String, Value> = terms.map(|term| ((*term).to_owned(), name(term).as_str().into())).collect();
    format!("{:#}\n", json!({"@context": context}))
}

/// Whether a URL names it: ours or a neighbour's, it says the same.
pub(super) fn is_vocabulary(url: &str) -> bool {
    url.strip_suffix(VOCABULARY_PATH).is_some_and(|server| {
        let host = server.strip_prefix("http://").or_else(|| server.strip_prefix("https://"));
        host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#']))
    })
}

#[cfg(test)]
mod tests {
    use city_model::vocabulary::{ATTRIBUTES, TYPES, name};

    use super::is_vocabulary;
    use crate::context::{ContextSpec, ContextStore};

    #[test]
    fn every_term_of_ours_means_the_same_in_our_context() {
        let url = "http://city.example/vocab/v1/context.jsonld";
        let terms = ContextStore::new().resolve(&ContextSpec::url(url).unwrap()).unwrap();
        for term in TYPES.iter().chain(&ATTRIBUTES) {
            assert_eq!(terms.expand(term), name(term), "{term}");
            assert_eq!(terms.compact(&name(term)), *term);
        }
    }

    #[test]
    fn only_the_path_below_a_host_names_it() {
        assert!(is_vocabulary("https://city.example:8443/vocab/v1/context.jsonld"));
        for other in [
            "ftp://x/vocab/v1/context.jsonld",
            "http:///vocab/v1/context.jsonld",
            "http://x/a/vocab/v1/context.jsonld",
            "http://x?/vocab/v1/context.jsonld",
        ] {
            assert!(!is_vocabulary(other), "{other}");
        }
    }
}
