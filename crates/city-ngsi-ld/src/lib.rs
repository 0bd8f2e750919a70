//! NGSI-LD (ETSI GS CIM 009 V1.9.1) between bytes and the model.
//!
//! JSON and query texts come in with the @context they are written in; entities, queries and
//! subscriptions of `city-model` go out, all names expanded. The other way, model values become
//! bytes in the representation and the @context that were asked for. Nothing here does I/O:
//! where a remote @context is needed, its URL is handed to the caller.

pub mod batch;
pub mod context;
pub mod discovery;
pub mod entity;
pub mod error;
mod json;
pub mod plain;
pub mod problem;
pub mod query;
pub mod render;
pub mod subscription;
pub mod temporal;

pub use context::{ContextDocument, ContextSpec, ContextStore, ResolveError, TermMap};
pub use entity::{
    Mode, RefusedId, parse_attribute_instances, parse_batch, parse_entity, parse_fragment, parse_ids, parse_raw_entity,
    peek_id, split_context,
};
pub use error::{Error, ErrorKind};
pub use problem::{Problem, ProblemType};
pub use render::{Format, RenderOptions, render_entities, render_entity, render_value};
pub use temporal::{TemporalEntity, TemporalInstance, TemporalOptions, render_temporal};
