//! Context documents by URL, and the term maps made of them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};

use city_model::Name;

use crate::context::core::{CoreUrl, DEFAULT_VOCAB, core_url};
use crate::context::document::{Definition, Item};
use crate::context::terms::{core_names, is_scheme};
use crate::context::vocabulary::{VOCABULARY_PATH, is_vocabulary, vocabulary_document};
use crate::context::{
    CONTEXT_DEPTH_MAX, CONTEXT_DOCUMENTS_MAX, CONTEXT_TERMS_MAX, ContextDocument, ContextSpec, STORED_DOCUMENTS_MAX,
    STORED_MAPS_MAX, TermMap,
};
use crate::error::Error;

/// Documents and maps, shared by all requests. Fetching is the caller's business.
#[derive(Debug)]
pub struct ContextStore {
    inner: RwLock<Inner>,
    core: Arc<TermMap>,
}

#[derive(Debug, Default)]
struct Inner {
    pinned: HashMap<Box<str>, Arc<ContextDocument>>,
    documents: Bounded<Arc<ContextDocument>>,
    maps: Bounded<Arc<TermMap>>,
    /// Counts the changes of documents, so that no map of old ones is kept.
    changes: u64,
}

impl Inner {
    fn documents_changed(&mut self) {
        self.maps.clear();
        self.changes += 1;
    }
}

/// Why a spec cannot be turned into terms (yet).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// Fetch this document, `insert` it, and try again.
    #[error("The context {0} is not known yet.")]
    Missing(String),
    /// It can never be had.
    #[error("{0} is not a published NGSI-LD core context; the newest one is {newest}.", newest = crate::context::CORE_URL)]
    Unavailable(String),
    #[error(transparent)]
    Invalid(#[from] Error),
}

impl Default for ContextStore {
    fn default() -> Self {
        Self::new()
    }
}

impl ContextStore {
    /// Knows the core contexts and our own vocabulary.
    #[must_use]
    pub fn new() -> Self {
        let store = Self { inner: RwLock::default(), core: Arc::new(TermMap::core()) };
        if let Ok(document) = ContextDocument::parse(vocabulary_document().as_bytes()) {
            store.pin(VOCABULARY_PATH, document);
        }
        store
    }

    #[must_use]
    pub fn core(&self) -> Arc<TermMap> {
        Arc::clone(&self.core)
    }

    /// Keeps a document that was fetched; the oldest one gives way at `STORED_DOCUMENTS_MAX`.
    pub fn insert(&self, url: &str, document: ContextDocument) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.documents.insert(url, Arc::new(document), STORED_DOCUMENTS_MAX);
        inner.documents_changed();
    }

    /// Keeps a document until it is removed, such as one that was added by request (clause 5.13).
    pub fn pin(&self, url: &str, document: ContextDocument) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.pinned.insert(url.into(), Arc::new(document));
        inner.documents_changed();
    }

    /// Forgets a document, so that it is fetched again or is gone. Says whether it was there.
    pub fn remove(&self, url: &str) -> bool {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let removed = inner.pinned.remove(url).is_some() | inner.documents.remove(url);
        inner.documents_changed();
        removed
    }

    #[must_use]
    pub fn contains(&self, url: &str) -> bool {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.pinned.contains_key(url) || inner.documents.get(url).is_some()
    }

    /// The terms of a spec; made once, then looked up.
    pub fn resolve(&self, spec: &ContextSpec) -> Result<Arc<TermMap>, ResolveError> {
        if spec.is_core() {
            return Ok(self.core());
        }
        let changes = {
            let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(map) = inner.maps.get(spec.as_str()) {
                return Ok(Arc::clone(map));
            }
            inner.changes
        };
        let map = Arc::new(self.flatten(spec)?);
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if inner.changes == changes {
            inner.maps.insert(spec.as_str(), Arc::clone(&map), STORED_MAPS_MAX);
        }
        Ok(map)
    }

    fn flatten(&self, spec: &ContextSpec) -> Result<TermMap, ResolveError> {
        let raw = serde_json::from_str(spec.as_str()).map_err(|error| Error::json(&error))?;
        let document = ContextDocument::of(raw)?;
        let mut flat = Flat { core: core_names().iter().map(|(t, n)| (*t, n.clone())).collect(), ..Flat::default() };
        self.collect(&document, &mut flat, CONTEXT_DEPTH_MAX)?;
        let prefixes: Vec<Box<str>> =
            flat.terms.iter().filter(|(_, (_, prefix))| *prefix).map(|(term, _)| term.clone()).collect();
        let terms = flat.terms.into_iter().map(|(term, (iri, _))| (term, Name::from_stored(iri.into()))).collect();
        let map = TermMap::build(spec.clone(), terms, &prefixes);
        Ok(if flat.names_core { map.with_core_inside() } else { map })
    }

    fn collect(&self, document: &ContextDocument, flat: &mut Flat, levels_left: usize) -> Result<(), ResolveError> {
        for item in &document.items {
            match item {
                Item::Reset => flat.terms.clear(),
                Item::Terms { vocab, terms } => flat.define(vocab.as_deref(), terms)?,
                Item::Url(url) => match core_url(url) {
                    CoreUrl::Published(dropped) => {
                        flat.names_core = true;
                        if let Some((term, iri)) = dropped {
                            flat.terms.insert(term.into(), (iri.into(), false));
                        }
                    }
                    CoreUrl::Unpublished => return Err(ResolveError::Unavailable(url.to_string())),
                    CoreUrl::Other => {
                        let Some(levels_left) = levels_left.checked_sub(1) else {
                            return Err(too_many("contexts that name contexts", CONTEXT_DEPTH_MAX));
                        };
                        flat.documents += 1;
                        if flat.documents > CONTEXT_DOCUMENTS_MAX {
                            return Err(too_many("context documents", CONTEXT_DOCUMENTS_MAX));
                        }
                        let document = {
                            let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
                            let url: &str = if is_vocabulary(url) { VOCABULARY_PATH } else { url };
                            inner.pinned.get(url).or_else(|| inner.documents.get(url)).map(Arc::clone)
                        };
                        let document = document.ok_or_else(|| ResolveError::Missing(url.to_string()))?;
                        self.collect(&document, flat, levels_left)?;
                    }
                },
            }
        }
        Ok(())
    }
}

fn too_many(what: &str, bound: usize) -> ResolveError {
    ResolveError::Invalid(Error::bad("@context", format!("leads to more than {bound} {what}")))
}

/// User terms with their IRIs, and whether they may serve as prefixes.
#[derive(Default)]
struct Flat {
    terms: HashMap<Box<str>, (String, bool)>,
    core: HashMap<&'static str, Name>,
    documents: usize,
    /// Some document on the way names a core context.
    names_core: bool,
}

impl Flat {
    /// Terms of one context may lean on each other in any order (JSON-LD 1.1, create term definition).
    fn define(&mut self, vocab: Option<&str>, terms: &[(Box<str>, Definition)]) -> Result<(), Error> {
        if self.terms.len() + terms.len() > CONTEXT_TERMS_MAX {
            return Err(Error::bad("@context", format!("defines more than {CONTEXT_TERMS_MAX} terms")));
        }
        let local: HashMap<&str, &Definition> = terms.iter().map(|(term, definition)| (&**term, definition)).collect();
        let mut made: Vec<(Box<str>, String, bool)> = Vec::with_capacity(terms.len());
        for (term, definition) in terms {
            let (id, marked_prefix) = match definition {
                Definition::Removed => continue,
                Definition::Simple(id) => (&**id, false),
                Definition::Expanded { id: Some(id), prefix } => (&**id, *prefix),
                Definition::Expanded { id: None, prefix } => (&**term, *prefix),
            };
            let iri = self.expand(id, term, vocab, &local, CONTEXT_DEPTH_MAX)?;
            let simple = matches!(definition, Definition::Simple(_));
            let prefix = marked_prefix || simple && iri.ends_with([':', '/', '?', '#', '[', ']', '@']);
            made.push((term.clone(), iri, prefix));
        }
        for (term, definition) in terms {
            if matches!(definition, Definition::Removed) {
                self.terms.remove(term);
            }
        }
        for (term, iri, prefix) in made {
            self.terms.insert(term, (iri, prefix));
        }
        Ok(())
    }

    fn expand(
        &self,
        id: &str,
        term: &str,
        vocab: Option<&str>,
        local: &HashMap<&str, &Definition>,
        levels_left: usize,
    ) -> Result<String, Error> {
        let deeper = || {
            levels_left
                .checked_sub(1)
                .ok_or_else(|| Error::bad("@context", format!("the definition of {term} goes round in a circle")))
        };
        if id.starts_with('@') {
            return Ok(id.to_owned());
        }
        let resolved = |word: &str| -> Result<Option<String>, Error> {
            if let Some(name) = self.core.get(word) {
                return Ok(Some(name.as_str().to_owned()));
            }
            if word != term
                && let Some(definition) = local.get(word)
            {
                return match definition {
                    Definition::Simple(id) | Definition::Expanded { id: Some(id), .. } => {
                        self.expand(id, word, vocab, local, deeper()?).map(Some)
                    }
                    Definition::Expanded { id: None, .. } => self.expand(word, word, vocab, local, deeper()?).map(Some),
                    Definition::Removed => Ok(None),
                };
            }
            Ok(self.terms.get(word).map(|(iri, _)| iri.clone()))
        };
        if id != term
            && let Some(iri) = resolved(id)?
        {
            return Ok(iri);
        }
        if let Some((prefix, suffix)) = id.split_once(':') {
            if !suffix.starts_with("//")
                && let Some(iri) = resolved(prefix)?
                && !iri.starts_with('@')
            {
                return Ok(format!("{iri}{suffix}"));
            }
            if is_scheme(prefix) {
                return Ok(id.to_owned());
            }
        }
        Ok(format!("{}{id}", vocab.unwrap_or(DEFAULT_VOCAB)))
    }
}

/// A map with a bound; what came first goes first.
#[derive(Debug)]
struct Bounded<V> {
    map: HashMap<Box<str>, V>,
    order: VecDeque<Box<str>>,
}

impl<V> Default for Bounded<V> {
    fn default() -> Self {
        Self { map: HashMap::new(), order: VecDeque::new() }
    }
}

impl<V> Bounded<V> {
    fn get(&self, key: &str) -> Option<&V> {
        self.map.get(key)
    }

    fn insert(&mut self, key: &str, value: V, bound: usize) {
        if self.map.insert(key.into(), value).is_none() {
            self.order.push_back(key.into());
        }
        while self.map.len() > bound {
            match self.order.pop_front() {
                Some(oldest) => {
                    self.map.remove(&oldest);
                }
                None => break,
            }
        }
    }

    fn remove(&mut self, key: &str) -> bool {
        self.order.retain(|own| &**own != key);
        self.map.remove(key).is_some()
    }

    fn clear(&mut self) {
        self.map.clear();
        self.order.clear();
    }
}
