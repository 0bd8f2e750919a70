//! The query languages of NGSI-LD: texts in, values of the model out (clauses 4.9 to 4.11, 4.17,
//! 4.19, 4.21). Every error names the place in the text where it went wrong.

mod body;
mod expr;
mod geo;
mod q;
mod times;

pub use body::{QueryBody, parse_query_body};
pub(crate) use body::{expand_values, read_entity_selectors, read_geo_query, read_names};
pub use expr::{parse_scope_q, parse_type_expr};
pub use geo::parse_geo_query;
pub use q::{parse_q, parse_q_with};
pub(crate) use times::time;
pub use times::{LAST_N_MAX, parse_aggregation, parse_temporal_query};

use city_model::name::NAME_BYTES_MAX;
use city_model::{DatasetId, EntityId, Name};

use crate::context::TermMap;
use crate::entity::check_name;
use crate::error::Error;

/// Longest text of one query expression.
pub const EXPRESSION_BYTES_MAX: usize = 32 << 10;
/// Most conditions in one q; each is looked at for each candidate.
pub const CONDITIONS_MAX: usize = 128;
/// Most values in one list of a condition, ids in one query, names in one projection.
pub const LIST_MAX: usize = 1_000;
/// Deepest nesting of parentheses.
pub const PARENTHESES_DEPTH_MAX: usize = 16;

/// Where in a text, and what was expected there. Positions count characters from 1.
pub(crate) fn at(what: &str, text: &str, byte: usize, message: impl std::fmt::Display) -> Error {
    let position = text.get(..byte).map_or(byte, |before| before.chars().count()) + 1;
    Error::bad(what, format!("at character {position}: {message}"))
}

pub(crate) fn check_length(what: &str, text: &str) -> Result<(), Error> {
    match text.len() {
        0 => Err(Error::bad(what, "is empty; leave it out instead")),
        length if length > EXPRESSION_BYTES_MAX => {
            Err(Error::too_complex(what, format!("is longer than {EXPRESSION_BYTES_MAX} bytes")))
        }
        _ => Ok(()),
    }
}

/// A comma separated list of members or attributes: `attrs`, `pick`, `omit` (clause 4.21).
///
/// `id` and `type` come out as `@id` and `@type`, the way `RenderOptions` wants them.
pub fn parse_names(what: &str, text: &str, terms: &TermMap) -> Result<Vec<Name>, Error> {
    check_length(what, text)?;
    names(what, text.split(','), terms)
}

/// `pick` and `omit`, where a bar separates as a comma does (clause 4.21).
pub fn parse_members(what: &str, text: &str, terms: &TermMap) -> Result<Vec<Name>, Error> {
    check_length(what, text)?;
    names(what, text.split([',', '|']), terms)
}

pub(crate) fn names<'t>(
    what: &str,
    texts: impl IntoIterator<Item = &'t str>,
    terms: &TermMap,
) -> Result<Vec<Name>, Error> {
    let mut names = Vec::new();
    for text in texts {
        let text = text.trim();
        if text.contains('{') || text.contains('}') {
            return Err(Error::bad(what, "members of linked entities can only be chosen with join (clause 4.21)"));
        }
        check_name(text, "attribute name").map_err(|error| error.within(what))?;
        if names.len() == LIST_MAX {
            return Err(Error::too_complex(what, format!("names more than {LIST_MAX} attributes")));
        }
        names.push(terms.expand(text));
    }
    Ok(names)
}

/// A comma separated list of entity ids (`id`).
pub fn parse_id_list(text: &str) -> Result<Vec<EntityId>, Error> {
    check_length("id", text)?;
    let mut ids = Vec::new();
    for text in text.split(',') {
        if ids.len() == LIST_MAX {
            return Err(Error::too_complex("id", format!("names more than {LIST_MAX} entities")));
        }
        ids.push(EntityId::parse(text.trim()).map_err(|error| Error::bad("id", error.to_string()))?);
    }
    Ok(ids)
}

/// A comma separated list of dataset ids; `@none` is the default instance (clause 4.5.5).
pub fn parse_dataset_ids(text: &str) -> Result<Vec<Option<DatasetId>>, Error> {
    check_length("datasetId", text)?;
    dataset_ids(text.split(','))
}

pub(crate) fn dataset_ids<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Vec<Option<DatasetId>>, Error> {
    let mut ids = Vec::new();
    for text in texts {
        if ids.len() == LIST_MAX {
            return Err(Error::too_complex("datasetId", format!("names more than {LIST_MAX} datasets")));
        }
        ids.push(match text.trim() {
            "@none" => None,
            uri => Some(DatasetId::parse(uri).map_err(|error| Error::bad("datasetId", error.to_string()))?),
        });
    }
    Ok(ids)
}

/// A regular expression over entity ids.
pub fn parse_id_pattern(text: &str) -> Result<city_model::query::Pattern, Error> {
    if text.len() > NAME_BYTES_MAX {
        return Err(Error::too_complex("idPattern", format!("is longer than {NAME_BYTES_MAX} bytes")));
    }
    city_model::query::Pattern::parse(text).map_err(|message| Error::bad("idPattern", message))
}
