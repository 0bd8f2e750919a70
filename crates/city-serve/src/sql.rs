//! The door for SQL: a statement comes in, rows go out as JSON, CSV or Arrow. Read-only.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use city_sql::{Error, Format};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};

use crate::body::WholeBody;
use crate::caller::Caller;
use crate::city::City;
use crate::doors::{Effect, Operation};
use crate::ngsi_ld::{RETRY_AFTER_BUSY, reading, said};
use crate::parameters::Parameters;
use crate::problem::{Kind, Problem};

/// How many rows an answer has.
pub const ROWS: HeaderName = HeaderName::from_static("renkei-rows");

const CSV: &str = "text/csv";
const JSON: &str = "application/json";
const ARROW: &str = "application/vnd.apache.arrow.stream";

#[must_use]
pub fn operations() -> Vec<Operation<Arc<City>>> {
    let (door, ours, path) = ("sql", "docs/reference/sql.md", "/sql/v1/query");
    vec![
        Operation::new(door, ours, "query_sql", Method::GET, path, Effect::Read, query_sql),
        Operation::new(door, ours, "query_sql_by_post", Method::POST, path, Effect::Read, query_sql_by_post),
    ]
}

async fn query_sql(State(city): State<Arc<City>>, caller: Caller, parameters: Parameters) -> Result<Response, Problem> {
    parameters.only(&["q", "format"])?;
    let Some(text) = parameters.find("q") else {
        let detail = "The parameter q with a statement is missing, such as q=SHOW TABLES.";
        return Err(Problem::new(Kind::BadRequestData, "SQL-001", detail));
    };
    answer(&city, &caller, text, parameters.find("format")).await
}

/// The body is the statement itself.
async fn query_sql_by_post(
    State(city): State<Arc<City>>,
    caller: Caller,
    parameters: Parameters,
    WholeBody(body): WholeBody,
) -> Result<Response, Problem> {
    parameters.only(&["format"])?;
    let text = std::str::from_utf8(&body)
        .map_err(|_| Problem::new(Kind::BadRequestData, "SQL-001", "The statement is not UTF-8."))?;
    answer(&city, &caller, text, parameters.find("format")).await
}

async fn answer(city: &City, caller: &Caller, text: &str, format: Option<&str>) -> Result<Response, Problem> {
    let (format, media) = wanted(&caller.headers, format)?;
    let (permit, terms) = reading(city, caller).await?;
    city.history_caught_up().await?;
    let answer = city.sql.query(&permit, &terms, text).await?;
    let rows = answer.rows();
    let body = tokio::task::block_in_place(|| answer.render(format))?;
    let mut response = ([(CONTENT_TYPE, media)], body).into_response();
    response.headers_mut().insert(ROWS, HeaderValue::from(rows));
    Ok(response)
}

/// The parameter `format`, else what is accepted, else JSON.
fn wanted(headers: &HeaderMap, format: Option<&str>) -> Result<(Format, &'static str), Problem> {
    let accepted = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    match format {
        Some("json") => Ok((Format::Json, JSON)),
        Some("csv") => Ok((Format::Csv, CSV)),
        Some("arrow") => Ok((Format::Arrow, ARROW)),
        Some(other) => {
            let detail = format!("format: \"{other}\" is not one of json, csv and arrow.");
            Err(Problem::new(Kind::BadRequestData, "SQL-001", detail))
        }
        None if accepted.contains(CSV) => Ok((Format::Csv, CSV)),
        None if accepted.contains(ARROW) => Ok((Format::Arrow, ARROW)),
        None => Ok((Format::Json, JSON)),
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Context(error) => error.into(),
            Error::History(error) => error.into(),
            Error::Text(_) => Self::new(Kind::BadRequestData, "SQL-001", said(&error)),
            Error::TooSlow => Self::new(Kind::TooComplexQuery, "SQL-002", said(&error)),
            Error::TooMany => Self::new(Kind::TooManyResults, "SQL-003", said(&error)),
            Error::TooMuchMemory => Self::new(Kind::TooComplexQuery, "SQL-004", said(&error)),
            Error::TooDeep => Self::new(Kind::TooComplexQuery, "SQL-007", said(&error)),
            Error::Busy => {
                Self::plain(StatusCode::SERVICE_UNAVAILABLE, "SQL-008", said(&error)).retry_after(RETRY_AFTER_BUSY)
            }
            Error::TooLong => Self::plain(StatusCode::PAYLOAD_TOO_LARGE, "SQL-005", said(&error)),
            Error::Engine(_) => Self::internal("SQL-006", &error),
        }
    }
}
