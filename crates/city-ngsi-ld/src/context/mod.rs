//! JSON-LD contexts as NGSI-LD uses them (clauses 4.4, 5.5.5, 5.5.7): from the @context of a
//! request to a map between short terms and full names.

mod core;
mod document;
mod spec;
mod store;
mod terms;
mod vocabulary;

pub use core::{CORE_URL, CoreUrl, DEFAULT_VOCAB, NGSI_LD, core_url};
pub use document::ContextDocument;
pub use spec::ContextSpec;
pub use store::{ContextStore, ResolveError};
pub use terms::TermMap;
pub use vocabulary::{VOCABULARY_PATH, vocabulary_document};

/// Largest context document or embedded @context that is read; the largest of the published
/// Smart Data Models contexts has 1.6 MB.
pub const CONTEXT_BYTES_MAX: usize = 4 << 20;
/// Largest @context inside a request body; longer ones belong at a URL.
pub const EMBEDDED_CONTEXT_BYTES_MAX: usize = 256 << 10;
/// Most documents that one @context may lead to.
pub const CONTEXT_DOCUMENTS_MAX: usize = 32;
/// Deepest chain of contexts that name contexts.
pub const CONTEXT_DEPTH_MAX: usize = 8;
/// Most terms in one flattened @context.
pub const CONTEXT_TERMS_MAX: usize = 100_000;
/// Most documents that a store keeps besides the pinned ones; the oldest goes first.
pub const STORED_DOCUMENTS_MAX: usize = 256;
/// Most flattened maps that a store keeps; the oldest goes first.
pub const STORED_MAPS_MAX: usize = 256;
/// Most names that one map remembers beyond those its contexts define.
pub const REMEMBERED_NAMES_MAX: usize = 16_384;
