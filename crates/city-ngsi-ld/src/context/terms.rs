//! Short terms to full names and back (clause 5.5.7; JSON-LD 1.1 IRI expansion and compaction).

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};

use city_model::Name;

use crate::context::core::{self, DEFAULT_VOCAB};
use crate::context::{ContextSpec, REMEMBERED_NAMES_MAX};

/// A flattened @context. Equal names share one text, so a repeated term costs a hash lookup.
#[derive(Debug)]
pub struct TermMap {
    /// `None`: the term is defined as having no meaning.
    terms: HashMap<Box<str>, Name>,
    /// Full name to the term that stands for it; of several the shortest, then the least.
    reverse: HashMap<Name, Box<str>>,
    /// IRI and term of those terms that may stand before a colon, longest IRI first.
    prefixes: Vec<(Box<str>, Box<str>)>,
    spec: ContextSpec,
    rendered: Box<str>,
    /// Names that no context defines.
    remembered: RwLock<HashMap<Box<str>, Name>>,
    /// Terms that were used, where someone wants to know.
    recorded: Option<Mutex<BTreeMap<Box<str>, Name>>>,
}

impl TermMap {
    /// The core context alone.
    #[must_use]
    pub fn core() -> Self {
        Self::build(ContextSpec::core(), HashMap::new(), &[])
    }

    /// `user` holds expanded terms; `prefixes` those of them that may serve as prefixes.
    pub(super) fn build(spec: ContextSpec, user: HashMap<Box<str>, Name>, prefixes: &[Box<str>]) -> Self {
        let mut terms = user;
        for (term, name) in core_names() {
            terms.insert(Box::from(*term), name.clone());
        }
        let mut reverse: HashMap<Name, Box<str>> = HashMap::with_capacity(terms.len());
        for (term, name) in &terms {
            if name.as_str().starts_with('@') {
                continue;
            }
            match reverse.get_mut(name.as_str()) {
                Some(best) if (term.len(), term) < (best.len(), best) => best.clone_from(term),
                Some(_) => {}
                None => {
                    reverse.insert(name.clone(), term.clone());
                }
            }
        }
        // The core context is protected: its terms stand for their names whatever else does.
        for (term, name) in core_names() {
            reverse.insert(name.clone(), Box::from(*term));
        }
        let mut prefixes: Vec<(Box<str>, Box<str>)> = prefixes
            .iter()
            .chain(&[Box::from("ngsi-ld"), Box::from("geojson")])
            .filter_map(|term| Some((Box::<str>::from(terms.get(term)?.as_str()), term.clone())))
            // A compact IRI ends its prefix at the first colon.
            .filter(|(iri, term)| !iri.starts_with('@') && !term.contains(':'))
            .collect();
        prefixes.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.1.cmp(&b.1)));
        prefixes.dedup_by(|later, earlier| later.0 == earlier.0);
        let rendered = spec.rendered().into();
        Self { terms, reverse, prefixes, spec, rendered, remembered: RwLock::default(), recorded: None }
    }

    /// For an @context that leads to a core context by itself: answers name it as it is (clause 4.4).
    #[must_use]
    pub(super) fn with_core_inside(mut self) -> Self {
        self.rendered = self.spec.as_str().into();
        self
    }

    /// A map that knows these terms besides the core ones, for names resolved at an earlier time.
    #[must_use]
    pub fn from_names<'t>(spec: ContextSpec, names: impl IntoIterator<Item = (&'t str, Name)>) -> Self {
        Self::build(spec, names.into_iter().map(|(term, name)| (Box::from(term), name)).collect(), &[])
    }

    /// A copy that notes which terms are used.
    #[must_use]
    pub(crate) fn recording(&self) -> Self {
        Self {
            terms: self.terms.clone(),
            reverse: HashMap::new(),
            prefixes: Vec::new(),
            spec: self.spec.clone(),
            rendered: self.rendered.clone(),
            remembered: RwLock::default(),
            recorded: Some(Mutex::default()),
        }
    }

    pub(crate) fn into_recorded(self) -> BTreeMap<Box<str>, Name> {
        self.recorded.map(|names| names.into_inner().unwrap_or_else(PoisonError::into_inner)).unwrap_or_default()
    }

    /// The full name of a term, compact IRI or IRI.
    #[must_use]
    pub fn expand(&self, term: &str) -> Name {
        let name = match self.terms.get(term) {
            Some(name) => name.clone(),
            None => self.expand_undefined(term),
        };
        if let Some(recorded) = &self.recorded {
            recorded.lock().unwrap_or_else(PoisonError::into_inner).insert(term.into(), name.clone());
        }
        name
    }

    fn expand_undefined(&self, term: &str) -> Name {
        {
            let remembered = self.remembered.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(name) = remembered.get(term) {
                return name.clone();
            }
        }
        let iri = self.iri(term);
        let name = Name::from_stored(iri.into());
        let mut remembered = self.remembered.write().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() < REMEMBERED_NAMES_MAX {
            remembered.insert(term.into(), name.clone());
        }
        name
    }

    fn iri(&self, term: &str) -> String {
        if let Some((prefix, suffix)) = term.split_once(':') {
            if !suffix.starts_with("//")
                && let Some(iri) = self.terms.get(prefix)
                && !iri.as_str().starts_with('@')
            {
                return format!("{iri}{suffix}");
            }
            if is_scheme(prefix) {
                return term.to_owned();
            }
        }
        format!("{DEFAULT_VOCAB}{term}")
    }

    /// The shortest text that expands to this name again.
    #[must_use]
    pub fn compact<'a>(&'a self, name: &'a Name) -> Cow<'a, str> {
        self.compact_iri(name.as_str())
    }

    #[must_use]
    pub fn compact_iri<'a>(&'a self, iri: &'a str) -> Cow<'a, str> {
        if let Some(term) = self.reverse.get(iri) {
            return Cow::Borrowed(term);
        }
        if let Some(suffix) = iri.strip_prefix(DEFAULT_VOCAB)
            && !suffix.is_empty()
            && !suffix.contains(':')
            && !self.terms.contains_key(suffix)
        {
            return Cow::Borrowed(suffix);
        }
        // A name of the default context that cannot be short is shown whole (clause 5.5.7).
        if iri.starts_with(DEFAULT_VOCAB) {
            return Cow::Borrowed(iri);
        }
        for (start, prefix) in &self.prefixes {
            if let Some(suffix) = iri.strip_prefix(&**start)
                && !suffix.is_empty()
                && !suffix.starts_with("//")
            {
                let compact = format!("{prefix}:{suffix}");
                if !self.terms.contains_key(compact.as_str()) {
                    return Cow::Owned(compact);
                }
            }
        }
        Cow::Borrowed(iri)
    }

    /// Where this map comes from.
    #[must_use]
    pub fn spec(&self) -> &ContextSpec {
        &self.spec
    }

    /// The URL for a `Link` header; `None` where several contexts or an embedded one were used.
    #[must_use]
    pub fn link(&self) -> Option<String> {
        self.spec.single_url()
    }

    /// The JSON of the member `@context` in answers.
    #[must_use]
    pub fn rendered(&self) -> &str {
        &self.rendered
    }
}

/// RFC 3986 section 3.1; what has no scheme is no absolute IRI.
pub(super) fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// The core terms, each name made once.
pub(super) fn core_names() -> &'static [(&'static str, Name)] {
    static NAMES: OnceLock<Vec<(&'static str, Name)>> = OnceLock::new();
    NAMES.get_or_init(|| core::core_terms().map(|(term, iri)| (term, Name::from_stored((*iri).into()))).collect())
}
