//! NGSI-LD over HTTP (ETSI GS CIM 009 V1.9.1, clause 6). Each handler names its clause.

mod attributes;
mod batch;
mod discovery;
mod entities;
mod past_asked;
mod problems;
mod query;
mod request;
mod subscriptions;
mod temporal;
mod temporal_provision;
mod then;

use std::sync::Arc;

use city_model::Permit;
use city_ngsi_ld::TermMap;
use http::Method;

use crate::caller::Caller;
use crate::city::City;
use crate::doors::{Effect, Operation};
use crate::problem::Problem;

pub use batch::entities_of_message;
pub use problems::{RETRY_AFTER_BUSY, said};
pub use query::{Projection, parse_query};
pub use request::{Ask, encode_path, resolve_with};
pub use subscriptions::is_shown;
pub use then::stood_at;

/// Every operation of this door.
#[must_use]
pub fn operations() -> Vec<Operation<Arc<City>>> {
    macro_rules! operation {
        ($clause:literal, $name:literal, $method:ident $path:literal, $effect:ident, $handler:path) => {
            Operation::new(
                "ngsi-ld",
                $clause,
                $name,
                Method::$method,
                concat!("/ngsi-ld/v1", $path),
                Effect::$effect,
                $handler,
            )
        };
    }
    vec![
        operation!("6.4.3.1", "create_entity", POST "/entities", Write, entities::create_entity),
        operation!("6.4.3.2", "query_entities", GET "/entities", Read, query::query_entities),
        operation!("6.5.3.1", "retrieve_entity", GET "/entities/{entityId}", Read, entities::retrieve_entity),
        operation!("6.5.3.2", "delete_entity", DELETE "/entities/{entityId}", Write, entities::delete_entity),
        operation!("6.5.3.3", "replace_entity", PUT "/entities/{entityId}", Write, entities::replace_entity),
        operation!("6.5.3.4", "merge_entity", PATCH "/entities/{entityId}", Write, entities::merge_entity),
        operation!("6.6.3.1", "append_attributes", POST "/entities/{entityId}/attrs", Write, attributes::append_attributes),
        operation!("6.6.3.2", "update_attributes", PATCH "/entities/{entityId}/attrs", Write, attributes::update_attributes),
        operation!("6.7.3.1", "update_attribute", PATCH "/entities/{entityId}/attrs/{attrId}", Write, attributes::update_attribute),
        operation!("6.7.3.2", "delete_attribute", DELETE "/entities/{entityId}/attrs/{attrId}", Write, attributes::delete_attribute),
        operation!("6.7.3.3", "replace_attribute", PUT "/entities/{entityId}/attrs/{attrId}", Write, attributes::replace_attribute),
        operation!("6.14.3.1", "batch_create", POST "/entityOperations/create", Write, batch::create),
        operation!("6.15.3.1", "batch_upsert", POST "/entityOperations/upsert", Write, batch::upsert),
        operation!("6.16.3.1", "batch_update", POST "/entityOperations/update", Write, batch::update),
        operation!("6.17.3.1", "batch_delete", POST "/entityOperations/delete", Write, batch::delete),
        operation!("6.31.3.1", "batch_merge", POST "/entityOperations/merge", Write, batch::merge),
        operation!("6.23.3.1", "query_entities_by_post", POST "/entityOperations/query", Read, query::query_by_post),
        operation!("6.25.3.1", "list_types", GET "/types", Read, discovery::list_types),
        operation!("6.26.3.1", "retrieve_type", GET "/types/{type}", Read, discovery::retrieve_type),
        operation!("6.27.3.1", "list_attributes", GET "/attributes", Read, discovery::list_attributes),
        operation!("6.28.3.1", "retrieve_attribute", GET "/attributes/{attrId}", Read, discovery::retrieve_attribute),
        operation!("6.10.3.1", "create_subscription", POST "/subscriptions", Define, subscriptions::create_subscription),
        operation!("6.10.3.2", "query_subscriptions", GET "/subscriptions", Define, subscriptions::query_subscriptions),
        operation!("6.11.3.1", "retrieve_subscription", GET "/subscriptions/{subscriptionId}", Define, subscriptions::retrieve_subscription),
        operation!("6.11.3.2", "update_subscription", PATCH "/subscriptions/{subscriptionId}", Define, subscriptions::update_subscription),
        operation!("6.11.3.3", "delete_subscription", DELETE "/subscriptions/{subscriptionId}", Define, subscriptions::delete_subscription),
        operation!("6.18.3.1", "create_temporal_entity", POST "/temporal/entities", Write, temporal_provision::create),
        operation!("6.18.3.2", "query_temporal_entities", GET "/temporal/entities", Read, temporal::query_temporal_entities),
        operation!("6.19.3.1", "retrieve_temporal_entity", GET "/temporal/entities/{entityId}", Read, temporal::retrieve_temporal_entity),
        operation!("6.19.3.2", "delete_temporal_entity", DELETE "/temporal/entities/{entityId}", Write, temporal_provision::delete),
        operation!("6.20.3.1", "append_temporal_attributes", POST "/temporal/entities/{entityId}/attrs", Write, temporal_provision::append),
        operation!("6.21.3.1", "delete_temporal_attribute", DELETE "/temporal/entities/{entityId}/attrs/{attrId}", Write, temporal_provision::delete_attribute),
        operation!("6.22.3.1", "update_temporal_instance", PATCH "/temporal/entities/{entityId}/attrs/{attrId}/{instanceId}", Write, temporal_provision::update_instance),
        operation!("6.22.3.2", "delete_temporal_instance", DELETE "/temporal/entities/{entityId}/attrs/{attrId}/{instanceId}", Write, temporal_provision::delete_instance),
        operation!("6.24.3.1", "query_temporal_by_post", POST "/temporal/entityOperations/query", Read, temporal::query_by_post),
    ]
}

/// Who asks, and in which words, for doors beside this one.
pub async fn reading(city: &City, caller: &Caller) -> Result<(Permit, Arc<TermMap>), Problem> {
    let ask = request::Ask::reading(city, caller, false).await?;
    Ok((ask.permit, ask.terms))
}
