//! The door to our own vocabulary: the @context of suggestions, decisions and commands, for everybody.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use city_ngsi_ld::context::{VOCABULARY_PATH, vocabulary_document};
use http::Method;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use crate::city::City;
use crate::doors::{Effect, Operation};
use crate::parameters::NoParameters;

#[must_use]
pub fn operations() -> Vec<Operation<Arc<City>>> {
    let ours = "docs/reference/loop.md";
    vec![Operation::new(
        "vocabulary",
        ours,
        "get_vocabulary",
        Method::GET,
        VOCABULARY_PATH,
        Effect::Open,
        get_vocabulary,
    )]
}

async fn get_vocabulary(_: NoParameters) -> Response {
    let headers = [(CONTENT_TYPE, "application/ld+json"), (CACHE_CONTROL, "public, max-age=3600")];
    (headers, vocabulary_document()).into_response()
}
